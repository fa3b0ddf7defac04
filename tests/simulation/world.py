"""A run: the three services on the memory bus, driven step by step by one thread, then left alone until all has come to rest.

Whatever the steps say, the services must come through: a process that ends is started again, as a supervisor does it. What the
run finds wrong by itself is a process that ended without a reason, and a system that does not come to rest.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from msgspec.structs import replace

from events.assignments import LeadAssigned
from events.bus.ledger import Fenced
from events.bus.memory import MemoryBus, Transaction
from events.codec import Fact, decode, encode
from events.facts import ActivityLogged, HandoffAccepted, HandoffRejected
from events.record import Message, TopicPartition
from events.topics import ASSIGNMENT, TOPICS
from events.values import format_instant
from services.lifecycle.mass.api import MassChange, Reversal
from services.lifecycle.mass.runner import NOT_NOW
from tests.simulation.process import Crash, Process, Unanswered, by_topic, named
from tests.simulation.reference import BEGIN, RUBBISH, first_versions, version_message
from tests.simulation.services import REAL, Kinds, Site, start
from tests.simulation.steps import (
    Answer,
    AnyStep,
    Away,
    Begin,
    Conclude,
    Die,
    Drift,
    Expire,
    Fail,
    Gap,
    Input,
    Kill,
    Look,
    Lose,
    Mass,
    Overtake,
    Pass,
    Plan,
    Point,
    Publish,
    Replace,
    Service,
    Slow,
    Stop,
    Turn,
    Version,
    Zombie,
)

ROUNDS_MAX: Final = 400
"""So many turns of everybody are enough to come to rest, after any plan."""
QUIET_ROUNDS: Final = 3
ZOMBIE_TURNS: Final = 4
ONCE_MORE: Final = "everybody is killed once more, and starts again"
LATER: Final = 10 * 60 * 1000
"""How long after the last step everything comes to rest: in milliseconds."""


class Place:
    """Where a process runs: the one that runs now, and those that were replaced and do not know it."""

    def __init__(self, service: Service, number: int) -> None:
        self.service: Final = service
        self.number: Final = number
        self.process: Process | None = None
        self.zombies: list[Process] = []
        self.last: Process | None = None
        """Who was here last, running or not."""

    @property
    def name(self) -> str:
        return f"{self.service}-{self.number + 1}"


class World:
    """One run. ``now``: milliseconds since 1970. ``wrong``: what the run itself has found."""

    def __init__(self, plan: Plan, folder: Path, *, kinds: Kinds = REAL, tell: Callable[[str], None] = lambda _: None) -> None:
        self.plan: Final = plan
        self.now = BEGIN
        self._drift = 0
        self.wrong: list[str] = []
        self.sent: list[Input] = []
        """What producers were told is written."""
        self._tell = tell
        shape = plan.shape
        self.bus = MemoryBus(
            {topic.name: topic.partitions(shape.shards) for topic in TOPICS},
            clock=lambda: self.now + self._drift,
            log_time=[topic.name for topic in TOPICS if topic.log_time],
        )
        names = (f"batch-{number}" for number in itertools.count(1))
        self.site = Site(folder=folder, bus=self.bus, shape=shape, clock=lambda: self.now, new_id=lambda: next(names), kinds=kinds)
        self._versions: dict[str, int] = {}
        self._open: dict[int, tuple[Transaction, Sequence[Input]]] = {}
        self._batches: dict[int, str] = {}
        self._made: list[Process] = []
        self._places = {(service, number): Place(service, number) for service, number in shape.places()}
        for version in first_versions():
            self._versions[version.topic] = 1
            self.bus.append(version_message(version, 1))

    def run(self) -> None:
        """All steps, and the rest."""
        for step in self.plan.steps:
            self.do(step)
        self.settle()

    def passages(self, service: Service) -> Counter[Point]:
        """How often processes of a service have passed each point."""
        made = [process.border.passages for process in self._made if process.name.startswith(service)]
        return sum(made, Counter())

    def close(self) -> None:
        """Close the files of all processes that ever were."""
        for process in self._made:
            process.free()

    def _time(self) -> str:
        return instant(self.now)

    # ------------------------------------------------------------------------------------------- steps

    def do(self, step: AnyStep) -> None:
        """One step. A step about a process that does not run, or a place that is not there, is nothing."""
        self.now = max(self.now, step.at)
        match step:
            case Publish():
                self._publish(step.inputs)
            case Begin():
                self._begin(step)
            case Conclude():
                self._conclude(step.name, abort=step.abort)
            case Gap():
                self.bus.log(TopicPartition(step.topic, step.partition % self.bus.partitions(step.topic))).gap(step.offsets)
            case Answer():
                self._answer(step)
            case Pass():
                self._tell(f"{self._time()} time has passed")
            case Drift():
                self._drift = step.ahead
                self._tell(f"{self._time()} the log's clock is {step.ahead / 1000:g} s ahead")
            case Mass():
                self._mass(self._places[("lifecycle", step.number % self.plan.shape.lifecycle)], step)
            case Version():
                self._publish_version(step)
            case Lose():
                self.bus.fault = _once(step)
            case Away():
                self.bus.away = step.away
            case Slow():
                self.bus.slow = step.slow
            case _:
                place = self._places.get((step.service, step.number))
                if place is not None:
                    self._do_at(place, step)

    def _do_at(self, place: Place, step: Any) -> None:
        process = place.process
        match step:
            case Turn():
                for _ in range(step.times):
                    self.bus.reseed(step.seed)
                    self._turn(place, step.which)
            case Look() if process is not None:
                self._guarded(place, process, process.look)
            case Stop() if process is not None:
                self._tell(f"{place.name} is told to stop")
                self._guarded(place, process, process.stop)
                self._gone(place, process)
            case Kill() if process is not None:
                self._tell(f"{place.name} is killed")
                self._gone(place, process)
            case Die():
                self._arm(place, step, Crash())
            case Fail():
                self._arm(place, step, Unanswered("the database does not answer"))
            case Overtake() if process is not None:
                process.border.arm("begin", step.nth, lambda: self._overtaken(place, process, step))
            case Expire() if place.last is not None:
                self._tell(f"the broker gives {place.name} up")
                for group, name in place.last.memberships():
                    self.bus.expire(group, name)
            case Replace():
                self._replace(place)
            case Zombie() if place.zombies:
                self.bus.reseed(step.seed)
                self._turn_of(place, place.zombies[0], step.which)

    # --------------------------------------------------------------------------------------- producers

    def _publish(self, inputs: Sequence[Input]) -> None:
        for each in inputs:
            record = self.bus.append(self._placed(each.message))
            self.sent.append(each)
            self._tell(f"{self._time()} published to {record.topic}: {named(record)}{_said(each)}")

    def _placed(self, message: Message) -> Message:
        """The message in a partition that there is."""
        if message.partition is None:
            return message
        return replace(message, partition=message.partition % self.bus.partitions(message.topic))

    def _begin(self, step: Begin) -> None:
        transaction = self.bus.transaction()
        transaction.send([self._placed(each.message) for each in step.inputs])
        self._open[step.name] = (transaction, step.inputs)
        for topic, names in by_topic([each.message for each in step.inputs]):
            self._tell(f"{self._time()} published to {topic} in transaction {step.name}, which is open: {names}")

    def _conclude(self, name: int, *, abort: bool) -> None:
        transaction, inputs = self._open.pop(name, (None, ()))
        if transaction is None:
            return
        self._tell(f"transaction {name} is {'aborted' if abort else 'committed'}")
        if abort:
            transaction.abort()
        else:
            transaction.commit()
            self.sent += inputs

    def _answer(self, step: Answer) -> None:
        given = self._last_assignment(step.customer)
        if given is None:
            return
        mine: dict[str, Any] = {"customer_id": step.customer, "rep_id": given.rep_id}
        match step.how:
            case "accepts":
                type_, data = "crm.handoff.accepted.v1", HandoffAccepted(**mine, assignment_id=given.assignment_id)
            case "rejects":
                type_ = "crm.handoff.rejected.v1"
                data = HandoffRejected(**mine, assignment_id=given.assignment_id, reason="no time")
            case "works":
                type_, data = "crm.activity.logged.v1", ActivityLogged(**mine, activity_id=f"answer {step.number}")
        at = self.now * 1_000_000
        message = encode("crm.activity.v1", type_, data, source="tool", id=f"answer{step.number}", occurred_at=at)
        self._publish([Input(step.number, message)])

    def _mass(self, place: Place, step: Mass) -> None:
        process = place.process
        if process is None or process.mass is None:
            return
        mass, name = process.mass, self._batches.get(step.name, "")
        before = {"take back": self._batches.get(step.of, "")}.get(step.what, step.change)
        self._tell(f"{self._time()} {place.name} is asked to {step.what} mass change {step.name}: {before}")

        def asked() -> None:
            match step.what:
                case "preview":
                    said = {
                        "filter": {"stage": [step.stage]},
                        "change": json.loads(step.change),
                        "actor": "eva",
                        "reason": "spring",
                    }
                    self._batches[step.name] = mass.previewed(MassChange.model_validate(said), None).id
                case "take back":
                    self._batches[step.name] = mass.taken_back(before, Reversal(actor="eva")).id
                case "apply":
                    mass.advanced(name, ["previewed"], "applying", "it is not previewed")
                case "cancel":
                    mass.advanced(name, ["previewing", "previewed", "applying"], "cancelled", "it has ended")

        def answered() -> None:
            with suppress(HTTPException, RequestValidationError, *NOT_NOW):  # whoever asks is told so
                asked()

        self._guarded(place, process, answered)

    def _last_assignment(self, customer: str) -> LeadAssigned | None:
        facts = [decode(record) for record in self.bus.records(ASSIGNMENT.name) if record.key == customer.encode()]
        given = [fact.data for fact in facts if isinstance(fact, Fact) and isinstance(fact.data, LeadAssigned)]
        return given[-1] if given else None

    def _publish_version(self, step: Version) -> None:
        number = self._versions.get(step.topic, 0) + (step.name != RUBBISH)
        self._versions[step.topic] = number
        self.bus.append(version_message(step, number))
        since = instant(step.since)
        self._tell(f"{self._time()} operations publish version {number} of the {step.topic}, in force from {since}: {step.name}")

    # --------------------------------------------------------------------------------------- processes

    def _turn(self, place: Place, which: int) -> None:
        self._turn_of(place, place.process or self._start(place), which)

    def _turn_of(self, place: Place, process: Process, which: int) -> None:
        self._guarded(place, process, process.works[which % len(process.works)])

    def _start(self, place: Place) -> Process:
        """Another process in a place, on the same database."""
        self._tell(f"{place.name} starts")
        tell = self._tell
        name = place.name
        process = start(self.site, place.service, place.number, lambda what: tell(f"{name} {what}"))
        self._made.append(process)
        place.process = place.last = process
        return process

    def _guarded(self, place: Place, process: Process, work: Callable[[], object]) -> None:
        """Let a process work; see how it ends, if it does."""
        try:
            work()
        except Crash:
            self._gone(place, process)
        except Fenced as refusal:
            self._tell(f"{process.name} is refused, and ends: {refusal}")
            self._ended(place, process)
        except Exception as error:
            self.wrong.append(f"services: {process.name} ended with {type(error).__name__}: {error}")
            self._ended(place, process)

    def _ended(self, place: Place, process: Process) -> None:
        """A process ends by itself: it leaves what it can."""
        with suppress(Crash):
            process.close()
        self._gone(place, process)

    def _gone(self, place: Place, process: Process) -> None:
        if place.process is process:
            place.process = None
        place.zombies = [each for each in place.zombies if each is not process]

    def _arm(self, place: Place, step: Die | Fail, failure: BaseException) -> None:
        process = place.process or self._start(place)

        def fail() -> None:
            how = "is killed" if isinstance(step, Die) else "is not answered by its database"
            self._tell(f"{process.name} {how} {WHERE[step.point]}")
            raise failure

        process.border.arm(step.point, step.nth, fail)

    def _replace(self, place: Place) -> Process:
        """The process of a place is frozen, and another one takes over."""
        if place.process is not None:
            self._tell(f"{place.name} is frozen")
            place.zombies.append(place.process)
        return self._start(place)

    def _overtaken(self, place: Place, process: Process, step: Overtake) -> None:
        if place.process is not process:
            return
        self._replace(place)
        for turn in range(step.turns):
            self.bus.reseed(step.seed)
            self._turn(place, turn)
        self._tell(f"{process.name}, which was frozen, goes on")

    # ------------------------------------------------------------------------------------------ the rest

    def settle(self) -> None:
        """Everything works again, zombies wake and end, whoever is gone is given up; all work until nothing is left."""
        self._tell("from here on nothing fails any more")
        self.bus.away = self.bus.slow = False
        self.bus.fault = None
        for process in self._made:
            process.border.disarm()
        for name in list(self._open):
            self._conclude(name, abort=False)
        self.now += LATER
        for place in self._places.values():
            for zombie in list(place.zombies):
                for turn in range(ZOMBIE_TURNS):
                    self.bus.reseed(turn)
                    if zombie in place.zombies:
                        self._turn_of(place, zombie, turn)
                self._gone(place, zombie)
        self.everybody_leaves()
        self._come_to_rest()

    def restart(self) -> None:
        """Everybody is killed, and another one in each place works until nothing is left."""
        self._tell(ONCE_MORE)
        for place in self._places.values():
            place.process = None
        self.everybody_leaves()
        self._come_to_rest()

    def everybody_leaves(self) -> None:
        """The broker gives everybody up; who lives joins again."""
        for group in GROUPS:
            for member in self.bus.members(group):
                self.bus.expire(group, member)

    def _come_to_rest(self) -> None:
        self.bus.reseed(None)
        quiet = rounds = 0
        while quiet < QUIET_ROUNDS and not self.wrong:
            rounds += 1
            if rounds > ROUNDS_MAX:
                progress = {p.name: [each.progress() for each in p.process.loops] for p in self._places.values() if p.process}
                self.wrong.append(f"services: not at rest after {ROUNDS_MAX} turns of everybody: {progress}")
                return
            quiet = quiet + 1 if self._round() else 0

    def _round(self) -> bool:
        """Everybody works once; whether there was nothing to do."""
        ends = self._ends()
        for place in self._places.values():
            process = place.process or self._start(place)
            self._guarded(place, process, process.look)
            for which in range(len(process.works)):
                if place.process is process:
                    self._turn_of(place, process, which)
        processes = [place.process for place in self._places.values()]
        return ends == self._ends() and all(process is not None and process.idle() for process in processes)

    def _ends(self) -> list[int]:
        return [self.bus.log(TopicPartition(t.name, n)).end for t in TOPICS for n in range(self.bus.partitions(t.name))]


GROUPS: Final = ("lifecycle", "routing: crm.lifecycle.v1", "routing: routing.request.v1", "forecast")


WHERE: Final[dict[Point, str]] = {
    "begin": "before it opens a transaction",
    "commit": "when all is written, before the commit",
    "committed": "after the commit, before it is told",
    "send": "in the middle of writing to the log",
    "sent": "after writing to the log, before it is told",
}


def _once(step: Lose) -> Callable[[Message], Any]:
    """A fault of one message."""
    left = [step.nth]

    def fault(_: Message) -> Any:
        left[0] -= 1
        return step.fault if left[0] == 0 else None

    return fault


def instant(milliseconds: int) -> str:
    """An instant as it is told."""
    return format_instant(milliseconds * 1_000_000)


def _said(each: Input) -> str:
    return " (which cannot be read)" if each.malformed else ""
