"""What operators come to: find dead letters, see what would become of them now, replay them, drop them.

A replay is decided here and done by the relay: what is chosen here is noted in one transaction, each letter only if it is still
as it was seen. So two operators who replay the same letters replay them once, and asking again replays what is left.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from events.bus import BusError
from events.bus.cursor import Cursor, Opens
from events.bus.letters.keeping import Act, Letters, replay_of
from events.bus.letters.selection import Line, Selection, page, reading, record_of, unpublished
from events.bus.sizes import check_size
from events.record import Record, TopicPartition
from events.topics import TOPICS

Outcome = Literal["accepted", "repeated", "refused"]
ACT_MAX: Final = 10**18 - 1
"""In the place of an act that is not there yet, for the size."""
REASON_MAX: Final = 2000
REHEARSAL_SECONDS_MAX: Final = 5.0
"""How long one call finds out what would become of letters; at least one is decided."""
FUTILE: Final = ("TooLarge", "Overtaken")
"""Of these a replay comes to nothing, not to another letter either: it is not published, or passed over as one that was had."""
_MILLISECOND: Final = 1_000_000
_STAMPED: Final = {topic.name for topic in TOPICS if topic.log_time}


Ends = Callable[[Collection[TopicPartition]], Mapping[TopicPartition, int]]


class Verdict(Struct, frozen=True):
    """What would become of a record if it came now. ``error``, ``reason`` and ``path`` are those of the letter that it would be.

    Repeated: it says what is known already. ``reason`` may say more of the others, too.
    """

    outcome: Outcome
    error: str = ""
    reason: str = ""
    path: str = ""


Check = Callable[[Record], Verdict]
"""Asks the service's own code, which writes nothing. Raises what means that the database does not answer."""


class Decision(Struct, frozen=True):
    """What was done about a letter, or would be. ``done``: replayed, dropped, or none and ``why``."""

    line: Line
    done: Act | None
    why: str = ""
    verdict: Verdict | None = None


class Underway(Struct, frozen=True):
    """How far replays are. ``unpublished``: how many are not known to be in their logs.

    ``positions``: up to where each log that letters were replayed to is taken in, by whichever worker; ``ends``: where it ended
    after that was asked, empty while the bus does not answer.
    """

    unpublished: int
    positions: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]


class Round(Struct, frozen=True):
    """What was done about some letters, and whether there are more that are meant."""

    decisions: Sequence[Decision]
    more: bool


class Office:
    """Thread-safe. ``read`` opens a snapshot; ``transient``: what means "not now"; ``now``: nanoseconds since 1970.

    ``ends``: where logs end, which the bus knows.
    """

    def __init__(
        self,
        letters: Letters,
        read: Opens,
        check: Check,
        *,
        ends: Ends,
        transient: tuple[type[Exception], ...],
        now: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._letters = letters
        self._read = read
        self._check = check
        self._ends = ends
        self._transient = transient
        self._monotonic = monotonic
        self.now: Final = now

    @property
    def service(self) -> str:
        """Whose letters these are."""
        return self._letters.service

    def reading(self) -> AbstractContextManager[Cursor]:
        """A snapshot of the letters, for :mod:`events.bus.letters.selection`."""
        return self._read()

    def underway(self) -> Underway:
        """How far what was replayed is: first it is published, then it is taken in, up to where the logs end by then."""
        with self._read() as cursor:
            left, positions = unpublished(cursor), reading(cursor)
        try:
            ends = self._ends(positions.keys()) if positions else {}
        except BusError:
            ends = {}
        return Underway(left, positions, ends)

    def verdict(self, number: int, record: Record) -> Verdict:
        """What would become of a letter that is replayed now."""
        message = replay_of(record, f"{self.service}/{number}/{ACT_MAX}", self.now())
        try:
            check_size(message)
        except ValueError as error:
            return Verdict("refused", "TooLarge", str(error), "value")
        stamp = self.now() // _MILLISECOND if record.topic in _STAMPED or message.timestamp is None else message.timestamp
        try:
            return self._check(replace(record, timestamp=stamp, headers=message.headers))
        except self._transient:
            raise
        except Exception as error:
            return Verdict("refused", "Bug", f"{type(error).__name__}: {error}"[:REASON_MAX])

    def replay(
        self, selection: Selection, *, actor: str, why: str, force: bool, dry_run: bool, after: int | None, limit: int
    ) -> Round:
        """Replay the letters that are meant, oldest first, after a number: those that would be taken in now.

        ``force``: also those that would be refused again, and those that are replayed already; but none of :data:`FUTILE`. It ends
        early where it takes long to find out: a long record is read and folded for each letter.
        """
        lines = self._page(selection, after, limit)
        deadline = self._monotonic() + REHEARSAL_SECONDS_MAX
        decisions: list[Decision] = []
        for line in lines:
            if decisions and self._monotonic() > deadline:
                break
            decisions.append(self._decide(line, force))
        done = decisions if dry_run else self._do(decisions, "replayed", actor, why)
        return Round(done, more=len(lines) == limit or len(decisions) < len(lines))

    def drop(self, selection: Selection, *, actor: str, why: str, dry_run: bool, after: int | None, limit: int) -> Round:
        """Note that nothing is to be done about the letters that are meant, oldest first, after a number."""
        decisions = [
            Decision(line, "dropped") if line.state == "waiting" else Decision(line, None, f"it is {line.state} already")
            for line in self._page(selection, after, limit)
        ]
        done = decisions if dry_run else self._do(decisions, "dropped", actor, why)
        return Round(done, more=len(decisions) == limit)

    def _page(self, selection: Selection, after: int | None, limit: int) -> list[Line]:
        with self._read() as cursor:
            return page(cursor, selection, after=after, limit=limit, rising=True)

    def _decide(self, line: Line, force: bool) -> Decision:
        if line.state == "replayed" and not force:
            return Decision(line, None, "it is replayed already")
        with self._read() as cursor:  # one for each: none is held open for as long as a record is folded
            record = record_of(cursor, line.number)
        if record is None:
            return Decision(line, None, "it is forgotten")
        verdict = self.verdict(line.number, record)
        if verdict.outcome == "refused" and (verdict.error in FUTILE or not force):
            return Decision(line, None, "it would be refused again", verdict)
        return Decision(line, "replayed", "", verdict)

    def _do(self, decisions: Sequence[Decision], act: Act, actor: str, why: str) -> list[Decision]:
        chosen = [decision.line.seen for decision in decisions if decision.done]
        done = self._letters.act(chosen, act, at=self.now(), actor=actor, why=why) if chosen else set()
        return [
            decision
            if decision.done is None or decision.line.number in done
            else replace(decision, done=None, why="somebody else has dealt with it meanwhile")
            for decision in decisions
        ]
