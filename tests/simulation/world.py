"""A run: the three services on the memory bus, driven step by step by one thread, then left alone until all has come to rest.

Whatever the steps say, the services must come through: a process that ends is started again, as a supervisor does it. What the
run finds wrong by itself is a process that ended without a reason, or was refused though no other one of its service has ever lived
beside it, and a system that does not come to rest.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Final

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError

from events.bus.database import TRANSIENT
from events.bus.ledger import Fenced
from events.bus.memory import Fault, MemoryBus
from events.bus.rebuild.jobs import Rebuild as Rebuilt
from events.record import Message, TopicPartition
from events.topics import TOPICS
from services.lifecycle import restorations
from services.lifecycle.mass.runner import NOT_NOW
from services.lifecycle.store import Store as LifecycleStore
from tests.faults import gathering
from tests.faults.evidence import LOST_NOTHING, Lost
from tests.simulation.databases import Databases
from tests.simulation.outside import Outside
from tests.simulation.process import Border, Crash, Process, Tell, Unanswered, named
from tests.simulation.reference import BEGIN
from tests.simulation.services import GROUPS, REAL, Kinds, Site, start
from tests.simulation.steps import (
    BUILDING,
    Answer,
    AnyStep,
    Away,
    Backup,
    Begin,
    Conclude,
    Die,
    Drift,
    Expire,
    Fail,
    Gap,
    Kill,
    Letters,
    Look,
    Lose,
    Mass,
    Overtake,
    Pass,
    Plan,
    Point,
    Publish,
    Rebuild,
    Replace,
    Restore,
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
LATER: Final = 10 * 60 * 1000
"""How long after the last step everything comes to rest: in milliseconds."""
ONCE_MORE: Final = "everybody is killed once more, and starts again"
WHERE: Final[dict[Point, str]] = {
    "read": "when it reads",
    "begin": "before it opens a transaction",
    "commit": "when all is written, before the commit",
    "committed": "after the commit, before it is told",
    "send": "in the middle of writing to the log",
    "sent": "after writing to the log, before it is told",
}
ASKED_IN_VAIN: Final = (HTTPException, RequestValidationError, *NOT_NOW)
"""What whoever asks a process for something may be told."""


class Place:
    """Where a process runs: the one that runs now, and those that were replaced and do not know it."""

    def __init__(self, service: Service, number: int) -> None:
        self.service: Final = service
        self.name: Final = f"{service}-{number + 1}"
        self.process: Process | None = None
        self.zombies: list[Process] = []
        self.last: Process | None = None
        """Who was here last, running or not."""
        self.waiting: list[Die | Fail] = []
        """What happens to the next process that starts here."""


class World:
    """One run. ``now``: in milliseconds. ``wrong``: what the run itself finds. ``lost``: with databases that were put back.

    ``happened``: how often what can go wrong did, and what came of the views that were made again.
    """

    def __init__(self, plan: Plan, databases: Databases, *, kinds: Kinds = REAL, tell: Tell = lambda _: None) -> None:
        self.plan: Final = plan
        self.now = BEGIN
        self.wrong: list[str] = []
        self.lost = LOST_NOTHING
        self.happened: Final[Counter[str]] = Counter()
        self._rebuilds: set[str] = set()
        """Those whose end was seen."""
        self._contested: set[Process] = set()
        """Those beside whom another one of their service has lived, which may have taken over from them."""
        self._databases = databases
        self._drift = 0
        self._tell = tell
        self.bus = MemoryBus(
            {topic.name: topic.partitions(plan.shape.shards) for topic in TOPICS},
            clock=lambda: self.now + self._drift,
            log_time=[topic.name for topic in TOPICS if topic.log_time],
        )
        self.outside: Final = Outside(self.bus, lambda: self.now, tell)
        names = (f"batch-{number}" for number in itertools.count(1))
        self.site: Final = Site(
            open=databases.open, bus=self.bus, shape=plan.shape, clock=lambda: self.now, new_id=lambda: next(names), kinds=kinds
        )
        self._made: list[Process] = []
        self._places = {(service, number): Place(service, number) for service, number in plan.shape.places()}

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

    # ------------------------------------------------------------------------------------------- steps

    def do(self, step: AnyStep) -> None:
        """One step. A step about a process that does not run, or a place that is not there, is nothing."""
        self.now = max(self.now, step.at)
        match step:
            case Publish():
                self.outside.publish(step.inputs)
            case Begin():
                self.outside.begin(step)
            case Conclude():
                self.outside.conclude(step.name, abort=step.abort)
            case Gap():
                self.outside.gap(step)
            case Answer():
                self.outside.answer(step)
            case Version():
                self.outside.version(step)
            case Mass():
                self._asked(step.number, lambda process: self.outside.mass(process, step))
            case Letters():
                self._asked(step.number, lambda process: self.outside.letters(process, step))
            case Pass():
                self.outside.told("time has passed")
            case Drift():
                self._drift = step.ahead
                self.outside.told(f"the log's clock is {step.ahead / 1000:g} s ahead")
            case Lose():
                self.bus.fault = self._fault(step)
            case Away():
                self.bus.away = step.away
                self._tell(f"the log {'answers nobody' if step.away else 'answers again'}")
            case Slow():
                self.bus.slow = step.slow
                self._tell(f"what is sent {'stays on its way' if step.slow else 'arrives again'}")
            case Backup():
                if self._has_run(step.service) and self._databases.back_up(step.service):
                    self._tell(f"the database of {step.service} is copied")
            case Restore():
                self._restore(step)
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
            case Rebuild() if process is not None:
                if process.builder is None or step.view not in process.builder.views:
                    raise ValueError(f"{place.service} has no view {step.view!r}, which the plan asks it for")
                self._guarded(place, process, lambda: self.outside.rebuild(process, step))
            case Look() if process is not None:
                self._guarded(place, process, process.look)
            case Stop() if process is not None:
                self._tell(f"{place.name} is told to stop")
                self._guarded(place, process, process.stop)
                self._gone(place, process)
            case Kill() if process is not None:
                self._tell(f"{place.name} is killed")
                self._gone(place, process)
            case Die() | Fail():
                if process is None:
                    place.waiting.append(step)
                else:
                    self._arm(process.border, place, step)
            case Overtake() if process is not None:
                process.border.arm(step.point, step.nth, lambda: self._overtaken(place, process, step))
            case Expire() if place.last is not None:
                self._tell(f"the broker gives {place.name} up")
                for group, name in place.last.memberships():
                    self.bus.expire(group, name)
            case Replace():
                self._replace(place)
            case Zombie() if place.zombies:
                self.bus.reseed(step.seed)
                self._turn_of(place, place.zombies[0], step.which)

    def _fault(self, step: Lose) -> Callable[[Message], Fault | None]:
        """A fault of one message."""
        left = [step.nth]

        def fault(message: Message) -> Fault | None:
            left[0] -= 1
            if left[0] != 0:
                return None
            how = "does not take" if step.fault == "refused" else "takes, and says that it failed:"
            self._tell(f"{message.topic} {how} {named(message)}, and all that was to follow")
            self.happened[f"a message is {step.fault}"] += 1
            return step.fault

        return fault

    def _asked(self, number: int, ask: Callable[[Process], object]) -> None:
        """Somebody asks a process of lifecycle for something, if it runs."""
        place = self._places["lifecycle", number % self.plan.shape.lifecycle]
        process = place.process

        def answer() -> None:
            assert process is not None
            with suppress(*ASKED_IN_VAIN):
                ask(process)

        if process is not None:
            self._guarded(place, process, answer)

    # --------------------------------------------------------------------------------------- processes

    def _turn(self, place: Place, which: int) -> None:
        process = place.process or self._start(place)
        if process is not None:
            self._turn_of(place, process, which)

    def _turn_of(self, place: Place, process: Process, which: int) -> None:
        if which != BUILDING:
            self._guarded(place, process, process.works[which % len(process.works)])
            return
        self._guarded(place, process, process.build)
        for view, rebuild in process.rebuilds():  # also of one that was killed right after it: the next one overwrites it
            if rebuild.outcome is not None and rebuild.id not in self._rebuilds:
                self._rebuilds.add(rebuild.id)
                self._made_again(view, rebuild)

    def _made_again(self, view: str, rebuild: Rebuilt) -> None:
        """A view was made again, or was not. No plan has a reason why that should fail, or come to something else."""
        said = f"the view {view}, made again by {rebuild.worker}: {rebuild.outcome}"
        self._tell(said)
        self.happened.update([f"the view {view} is {rebuild.outcome}", f"a view is {rebuild.outcome}"])
        if rebuild.outcome in ("failed", "different"):
            self.wrong.append(f"rebuilt: {said}: {rebuild.difference or rebuild.detail}")

    def _start(self, place: Place) -> Process | None:
        """Another process in a place, on the same database; None where it ends before it works."""
        self._tell(f"{place.name} starts")
        border = Border(lambda what: self._tell(f"{place.name} {what}"))
        for step in place.waiting:
            self._arm(border, place, step)
        place.waiting.clear()
        try:
            process = start(self.site, place.service, place.name, border)
        except (Crash, *TRANSIENT):
            return None
        self._made.append(process)
        places = [each for each in self._places.values() if each.service == place.service]
        if beside := [each for there in places for each in (there.process, *there.zombies) if each is not None]:
            self._contested.update([process, *beside])
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
            self.happened[f"{place.service} is refused"] += 1
            if process not in self._contested:
                self.wrong.append(f"services: {process.name} was refused, and nobody has taken its place: {refusal}")
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

    def _restore(self, step: Restore) -> None:
        """All of a service end; it goes on with an older database, or a new one. Nothing, where there is none to go on with."""
        there = self._has_run(step.service) and self._databases.has(step.service)
        if not there or not (step.lost or self._databases.has_copy(step.service)):
            return
        places = [place for place in self._places.values() if place.service == step.service]
        for process in [process for process in self._made if process.name.startswith(step.service)]:
            process.free()
        for place in places:
            place.process, place.zombies = None, []
        for member in [(group, name) for place in places if place.last for group, name in place.last.memberships()]:
            self.bus.expire(*member)
        held = self._held(step.service)
        if step.lost:
            self._databases.remove(step.service)
            self.lost = self.lost.and_also(held)
        else:
            self._databases.put_back(step.service)
            self.lost = self.lost.and_also(held.without(self._held(step.service)))
        how = "lost" if step.lost else "put back as it was copied"
        self._tell(f"the database of {step.service} is {how}")
        self.happened[f"the database of {step.service} is {how}"] += 1
        if step.service == "lifecycle":
            self._declare()

    def _held(self, service: Service) -> Lost:
        return gathering.held(self.site.open, [service], self.plan.shape.shards)

    def _has_run(self, service: Service) -> bool:
        """Whether a process of a service has ever come up, so that its database has tables."""
        return any(process.name.startswith(service) for process in self._made)

    def _declare(self) -> None:
        """As ``handoff restored lifecycle``."""
        shards = self.plan.shape.shards
        store = LifecycleStore(self.site.open("lifecycle"), shards, code_version="simulation")
        with closing(store), store.database.begin() as cursor:
            restorations.declare(cursor, range(shards))

    def _arm(self, border: Border, place: Place, step: Die | Fail) -> None:
        how = "is killed" if isinstance(step, Die) else "is not answered by its database"
        failure = Crash() if isinstance(step, Die) else Unanswered("the database does not answer")

        def fail() -> None:
            self.happened[f"{place.service} {how}: {step.point}"] += 1
            self._tell(f"{place.name} {how} {WHERE[step.point]}")
            raise failure

        border.arm(step.point, step.nth, fail)

    def _replace(self, place: Place, where: str = "between two turns") -> None:
        """The process of a place is frozen, and another one takes over."""
        if place.process is not None:
            self._tell(f"{place.name} is frozen {where}")
            place.zombies.append(place.process)
            place.process = None
        self._start(place)

    def _overtaken(self, place: Place, process: Process, step: Overtake) -> None:
        if place.process is not process:
            return
        self._replace(place, WHERE[step.point])
        for turn in range(step.turns):
            self.bus.reseed(step.seed)
            self._turn(place, turn)
        self._tell(f"{process.name}, which was frozen, goes on")
        self.happened[f"{place.service} is overtaken: {step.point}"] += 1

    # ------------------------------------------------------------------------------------------ the rest

    def settle(self) -> None:
        """Everything works again, zombies wake and end, whoever is gone is given up; all work until nothing is left."""
        self._tell("from here on nothing fails any more")
        self.bus.away = self.bus.slow = False
        self.bus.fault = None
        for process in self._made:
            process.border.disarm()
        self.outside.conclude_all()
        self.now += LATER
        for place in self._places.values():
            place.waiting.clear()
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
                busy = [p.name for p in self._places.values() if p.process is None or not p.process.idle()]
                self.wrong.append(f"services: after {ROUNDS_MAX} turns of everybody these are not at rest: {', '.join(busy)}")
            quiet = quiet + 1 if self._round() else 0

    def _round(self) -> bool:
        """Everybody works once; whether there was nothing to do."""
        ends = self._ends()
        for place in self._places.values():
            process = place.process or self._start(place)
            if process is not None:
                self._guarded(place, process, process.look)
                for which in (*range(len(process.works)), BUILDING):
                    if place.process is process:
                        self._turn_of(place, process, which)
        processes = [place.process for place in self._places.values()]
        return ends == self._ends() and all(process is not None and process.idle() for process in processes)

    def _ends(self) -> list[int]:
        return [self.bus.log(TopicPartition(t.name, n)).end for t in TOPICS for n in range(self.bus.partitions(t.name))]
