"""What a run of the simulation is made of: a plan is a shape and a list of steps, and nothing else decides what happens.

Every step carries all that it needs (its messages, its instant, its own seed), so a plan from which steps are taken away is a
plan too: that is what makes a failure shrink. Plans are plain data, and JSON.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from events.record import Message

Service = Literal["lifecycle", "routing", "forecast"]
SERVICES: tuple[Service, ...] = ("lifecycle", "routing", "forecast")

Point = Literal["read", "begin", "commit", "committed", "send", "sent"]
"""Where a process touches what outlives it: before it reads; before a transaction is opened; when all is written, before the
commit; after the commit, before anybody is told; before a message is handed over; when all messages of a call lie in the log,
before anybody is told."""
DatabasePoint = Literal["read", "begin", "commit", "committed"]
"""Where the database may not answer."""
FrozenPoint = Literal["begin", "committed", "send"]
"""Where a process may be frozen in the middle of its work, while another one goes on: wherever it keeps nobody from writing."""


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """``at``: milliseconds since 1970, never before which the step happens; 0: now."""

    at: int = 0


class Input(Struct, frozen=True, omit_defaults=True):
    """A message of a producer. ``malformed``: it must become a dead letter, and nothing else."""

    number: int
    message: Message
    malformed: bool = False


# --------------------------------------------------------------------------------------- what producers do


class Publish(Step, frozen=True, tag="publish"):
    """Producers write, and are told that it was written."""

    inputs: tuple[Input, ...]


class Begin(Step, frozen=True, tag="begin"):
    """A producer writes within a transaction, which stays open; whoever reads stops before it."""

    name: int
    inputs: tuple[Input, ...]


class Conclude(Step, frozen=True, tag="conclude"):
    """The transaction ends: its messages appear, or never do; the marker takes an offset."""

    name: int
    abort: bool


class Gap(Step, frozen=True, tag="gap"):
    """Offsets that hold nothing, at the end of some logs."""

    topic: str
    partition: int
    offsets: int


class Answer(Step, frozen=True, tag="answer"):
    """The rep who was given a customer last answers, if there is one."""

    customer: str
    number: int
    how: Literal["accepts", "rejects", "works"]


class Pass(Step, frozen=True, tag="pass"):
    """Time passes, up to ``at``."""


class Drift(Step, frozen=True, tag="drift"):
    """The log's clock is so many milliseconds ahead of everybody else's from here on, or behind."""

    ahead: int


class Letters(Step, frozen=True, tag="letters"):
    """An operator asks a process of lifecycle to replay all dead letters that are not replayed yet, or to drop those that wait.

    ``force``: also those that would be refused again, and those that are replayed already.
    """

    number: int
    what: Literal["replay", "drop"]
    force: bool = False


class Rebuild(Step, frozen=True, tag="rebuild"):
    """An operator asks a process to make a view again and switch to it, to compare it with the live one, or to end that."""

    service: Service
    number: int
    view: str
    what: Literal["switch", "check", "cancel"]


# ---------------------------------------------------------------------------------- what operations publish


class Mass(Step, frozen=True, tag="mass"):
    """Somebody asks a process of lifecycle for a mass change: what ``change`` (JSON) would do to all of a stage, or what would take
    another one back (``of``); to apply what was previewed; to give it up."""

    number: int
    name: int
    what: Literal["preview", "take back", "apply", "cancel"]
    stage: str = "lead"
    change: str = ""
    of: int = 0


class Version(Step, frozen=True, tag="version"):
    """The next version of a reference topic, in force from ``since`` (milliseconds); or a record that is no version."""

    topic: Literal["table", "rules", "directory"]
    name: str
    since: int = 0


# ------------------------------------------------------------------------------------------ what processes do


BUILDING = 9


class Turn(Step, frozen=True, tag="turn"):
    """A process does its next piece of work. ``seed``: how much it is given of which logs (none: all, in order).

    ``which``: of routing's two loops, of lifecycle's loop and mass changes; ``BUILDING``: of what makes views again. A process that
    has ended is started first, as by its supervisor.
    """

    service: Service
    number: int
    which: int = 0
    seed: int | None = None
    times: int = 1


class Look(Step, frozen=True, tag="look"):
    """A process looks at the reference topics."""

    service: Service
    number: int


class Stop(Step, frozen=True, tag="stop"):
    """A process ends as by SIGTERM."""

    service: Service
    number: int


class Kill(Step, frozen=True, tag="kill"):
    """kill -9 of a process between two turns."""

    service: Service
    number: int


class Die(Step, frozen=True, tag="die"):
    """kill -9 of a process when it passes a point for the so-manieth time from here on."""

    service: Service
    number: int
    point: Point
    nth: int


class Expire(Step, frozen=True, tag="expire"):
    """The broker gives up whoever is, or was last, in a place: the others take its partitions over."""

    service: Service
    number: int


class Replace(Step, frozen=True, tag="replace"):
    """A process is frozen, and another one takes its place; the first one is a zombie from here on."""

    service: Service
    number: int


class Overtake(Step, frozen=True, tag="overtake"):
    """A process freezes in the middle of its work, when it passes a point for the so-manieth time from here on; another one takes
    its place and has so many turns; then the first one goes on."""

    service: Service
    number: int
    nth: int
    turns: int
    seed: int | None = None
    point: FrozenPoint = "begin"


class Zombie(Step, frozen=True, tag="zombie"):
    """A zombie of a place does its next piece of work, if there is one."""

    service: Service
    number: int
    which: int = 0
    seed: int | None = None


# ---------------------------------------------------------------------------------------------- what fails


class Backup(Step, frozen=True, tag="backup"):
    """An operator copies the database of a service, while it works. The copy takes the place of an earlier one."""

    service: Service


class Restore(Step, frozen=True, tag="restore"):
    """All processes of a service end, its copy is put back, and that is declared. ``lost``: there is no copy, it begins anew.

    Whoever works next in one of its places is started on what is there then.
    """

    service: Service
    lost: bool = False


class Fail(Step, frozen=True, tag="fail"):
    """The database fails a process once: it does not answer, or has committed and cannot say so (``committed``)."""

    service: Service
    number: int
    point: DatabasePoint
    nth: int


class Lose(Step, frozen=True, tag="lose"):
    """The log fails whoever writes: the so-manieth message from here on is refused, or written and not acknowledged."""

    fault: Literal["refused", "unanswered"]
    nth: int


class Away(Step, frozen=True, tag="away"):
    """The log answers nobody, or does again."""

    away: bool


class Slow(Step, frozen=True, tag="slow"):
    """What is sent stays on its way, or arrives again."""

    slow: bool


AnyStep = (
    Publish | Begin | Conclude | Gap | Answer | Pass | Drift | Mass | Letters | Rebuild | Version
    | Turn | Look | Stop | Kill | Die | Expire | Replace | Overtake | Zombie
    | Backup | Restore | Fail | Lose | Away | Slow
)  # fmt: skip


class Shape(Struct, frozen=True):
    """What there is: partitions of every keyed topic, processes of each service.

    ``static``: members of groups keep their names over restarts. ``records_max``: of one poll.
    """

    shards: int = 1
    lifecycle: int = 1
    routing: int = 1
    forecast: int = 1
    static: bool = True
    records_max: int = 50

    def places(self) -> list[tuple[Service, int]]:
        """All processes, by service and number."""
        return [(service, number) for service in SERVICES for number in range(getattr(self, service))]


class Plan(Struct, frozen=True):
    """A run."""

    seed: int
    shape: Shape
    steps: tuple[AnyStep, ...]


def to_json(plan: Plan) -> bytes:
    """The plan, to be kept."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=1)


def from_json(text: bytes) -> Plan:
    """A plan that was kept."""
    return msgspec.json.decode(text, type=Plan)
