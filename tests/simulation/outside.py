"""What comes from outside: producers write to the log, operations publish versions, people ask processes for something."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec.structs import replace

from events.assignments import LeadAssigned
from events.bus.database import TRANSIENT
from events.bus.letters.selection import Selection
from events.bus.memory import MemoryBus, Transaction
from events.bus.rebuild.builder import Wanted
from events.bus.rebuild.jobs import Busy
from events.codec import Fact, decode, encode
from events.facts import ActivityLogged, HandoffAccepted, HandoffRejected
from events.record import Message, TopicPartition
from events.topics import ASSIGNMENT
from events.values import format_instant
from services.lifecycle.mass.api import MassChange, Resources, Reversal
from tests.simulation.process import Process, Tell, by_topic, named
from tests.simulation.reference import RUBBISH, first_versions, version_message
from tests.simulation.steps import Answer, Begin, Gap, Input, Letters, Mass, Rebuild, Version

LETTERS_MAX: Final = 100


def instant(milliseconds: int) -> str:
    """An instant as it is told."""
    return format_instant(milliseconds * 1_000_000)


class Outside:
    """All who are not a service. ``now``: milliseconds since 1970. ``sent``: what producers were told is written."""

    def __init__(self, bus: MemoryBus, now: Callable[[], int], tell: Tell) -> None:
        self._bus = bus
        self._now = now
        self._tell = tell
        self.sent: Final[list[Input]] = []
        self._open: dict[int, tuple[Transaction, Sequence[Input]]] = {}
        self._versions: dict[str, int] = {}
        self._batches: dict[int, str] = {}
        for version in first_versions():
            self._versions[version.topic] = 1
            bus.append(version_message(version, 1))

    # --------------------------------------------------------------------------------------- producers

    def publish(self, inputs: Sequence[Input]) -> None:
        """Producers write."""
        for each in inputs:
            record = self._bus.append(self._placed(each.message))
            self.sent.append(each)
            self.told(f"published to {record.topic}: {named(record)}{' (which cannot be read)' if each.malformed else ''}")

    def begin(self, step: Begin) -> None:
        """A producer writes in a transaction."""
        transaction = self._bus.transaction()
        transaction.send([self._placed(each.message) for each in step.inputs])
        self._open[step.name] = (transaction, step.inputs)
        for topic, names in by_topic([each.message for each in step.inputs]):
            self.told(f"published to {topic} in transaction {step.name}, which is open: {names}")

    def conclude(self, name: int, *, abort: bool) -> None:
        """A transaction ends, if it is open."""
        transaction, inputs = self._open.pop(name, (None, ()))
        if transaction is None:
            return
        self.told(f"transaction {name} is {'aborted' if abort else 'committed'}")
        if abort:
            transaction.abort()
        else:
            transaction.commit()
            self.sent.extend(inputs)

    def conclude_all(self) -> None:
        """What is open is committed."""
        for name in list(self._open):
            self.conclude(name, abort=False)

    def gap(self, step: Gap) -> None:
        """Offsets that hold nothing."""
        self._bus.log(TopicPartition(step.topic, step.partition % self._bus.partitions(step.topic))).gap(step.offsets)

    def version(self, step: Version) -> None:
        """Operations publish."""
        number = self._versions.get(step.topic, 0) + (step.name != RUBBISH)
        self._versions[step.topic] = number
        self._bus.append(version_message(step, number))
        self.told(f"operations publish version {number} of the {step.topic}, in force from {instant(step.since)}: {step.name}")

    def _placed(self, message: Message) -> Message:
        """The message in a partition that there is."""
        if message.partition is None:
            return message
        return replace(message, partition=message.partition % self._bus.partitions(message.topic))

    # ------------------------------------------------------------------------------------------ people

    def answer(self, step: Answer) -> None:
        """The rep who was given a customer last does something about it, in a tool that writes to the log."""
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
        at = self._now() * 1_000_000
        message = encode("crm.activity.v1", type_, data, source="tool", id=f"answer{step.number}", occurred_at=at)
        self.publish([Input(step.number, message)])

    def _last_assignment(self, customer: str) -> LeadAssigned | None:
        facts = [decode(record) for record in self._bus.records(ASSIGNMENT.name) if record.key == customer.encode()]
        given = [fact.data for fact in facts if isinstance(fact, Fact) and isinstance(fact.data, LeadAssigned)]
        return given[-1] if given else None

    def mass(self, process: Process, step: Mass) -> None:
        """Somebody asks for a mass change. Raises what whoever asks is told."""
        assert process.mass is not None
        of = self._batches.get(step.of, "")
        self.told(f"{process.name} is asked to {step.what} mass change {step.name}{f': {step.change}' if step.change else ''}")
        if step.what == "preview":
            said = {"filter": {"stage": [step.stage]}, "change": json.loads(step.change), "actor": "eva", "reason": "spring"}
            self._batches[step.name] = process.mass.previewed(MassChange.model_validate(said), None).id
        elif step.what == "take back":
            self._batches[step.name] = process.mass.taken_back(of, Reversal(actor="eva")).id
        else:
            _advance(process.mass, self._batches.get(step.name, ""), step)

    def letters(self, process: Process, step: Letters) -> None:
        """An operator deals with all dead letters of lifecycle."""
        assert process.office is not None
        self.told(f"{process.name} is asked to {step.what} its dead letters{', whatever they are' if step.force else ''}")
        said: dict[str, Any] = {"actor": "eva", "why": "mended", "dry_run": False, "after": None, "limit": LETTERS_MAX}
        if step.what == "drop":
            process.office.drop(Selection(), **said)
        else:
            process.office.replay(Selection(), force=step.force, **said)

    def rebuild(self, process: Process, step: Rebuild) -> None:
        """An operator asks for a view."""
        assert process.builder is not None
        self.told(f"{process.name} is asked for the view {step.view} again: {step.what}")
        with suppress(Busy, *TRANSIENT):
            if step.what == "cancel":
                process.builder.cancel(step.view)
            else:
                process.builder.begin(Wanted(step.view, "eva", check=step.what == "check", share=100))

    def told(self, what: str) -> None:
        """What happens, with its time."""
        self._tell(f"{instant(self._now())} {what}")


def _advance(mass: Resources, id: str, step: Mass) -> None:
    if step.what == "apply":
        mass.advanced(id, ["previewed"], "applying", "it is not previewed")
    else:
        mass.advanced(id, ["previewing", "previewed", "applying"], "cancelled", "it has ended")
