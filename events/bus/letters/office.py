"""What operators come to: find dead letters, see what would become of them now, replay them, drop them.

A replay is decided here and done by the relay: what is chosen here is noted in one transaction, each letter only if it is still
as it was seen. So two operators who replay the same letters replay them once, and asking again replays what is left.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from events.bus.cursor import Cursor, Opens
from events.bus.letters.keeping import ACTS_AT_ONCE_MAX, Act, Letters, replay_of
from events.bus.letters.selection import Line, Selection, page, record_of
from events.bus.sizes import check_size
from events.record import Record
from events.topics import TOPICS

Outcome = Literal["accepted", "repeated", "refused"]
REASON_MAX: Final = 2000
_MILLISECOND: Final = 1_000_000
_STAMPED: Final = {topic.name for topic in TOPICS if topic.log_time}


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


class Office:
    """Thread-safe. ``read`` opens a snapshot; ``transient``: what means "not now"; ``now``: nanoseconds since 1970."""

    def __init__(
        self, letters: Letters, read: Opens, check: Check, *, transient: tuple[type[Exception], ...], now: Callable[[], int]
    ) -> None:
        self._letters = letters
        self._read = read
        self._check = check
        self._transient = transient
        self.now: Final = now

    @property
    def service(self) -> str:
        """Whose letters these are."""
        return self._letters.service

    @contextmanager
    def reading(self) -> Iterator[Cursor]:
        """A snapshot of the letters, for :mod:`events.bus.letters.selection`."""
        with self._read() as cursor:
            yield cursor

    def verdict(self, number: int, record: Record) -> Verdict:
        """What would become of a letter that is replayed now."""
        message = replay_of(record, self.service, number, self.now())
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
    ) -> list[Decision]:
        """Replay the letters that are meant, oldest first, after a number: those that would be taken in now.

        ``force``: also those that would be refused again, and those that are replayed already. Nothing that is too large is.
        """
        with self._read() as cursor:
            lines = page(cursor, selection, after=after, limit=min(limit, ACTS_AT_ONCE_MAX), rising=True)
            decisions = [self._decide(cursor, line, force) for line in lines]
        return decisions if dry_run else self._do(decisions, "replayed", actor, why)

    def drop(self, selection: Selection, *, actor: str, why: str, dry_run: bool, after: int | None, limit: int) -> list[Decision]:
        """Note that nothing is to be done about the letters that are meant, oldest first, after a number."""
        with self._read() as cursor:
            lines = page(cursor, selection, after=after, limit=min(limit, ACTS_AT_ONCE_MAX), rising=True)
        decisions = [
            Decision(line, "dropped") if line.state == "waiting" else Decision(line, None, f"it is {line.state} already")
            for line in lines
        ]
        return decisions if dry_run else self._do(decisions, "dropped", actor, why)

    def _decide(self, cursor: Cursor, line: Line, force: bool) -> Decision:
        if line.state == "replayed" and not force:
            return Decision(line, None, "it is replayed already")
        record = record_of(cursor, line.number)
        assert record is not None, "both are read from one snapshot"
        verdict = self.verdict(line.number, record)
        if verdict.outcome == "refused" and (verdict.error == "TooLarge" or not force):
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
