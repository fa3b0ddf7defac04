"""Process maps as they are asked for: made one at a time, and kept while they are good.

A map reads every history there is, so its cost grows with the store: what was made is given again while nothing was stored since. A
store that is large and busy would never give anything again; there a map that took longer than a second is good for ten times as
long as it took, and says with ``position`` and ``as_of`` what it knows.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi import HTTPException
from msgspec import Struct

from events.values import NANOSECONDS, format_instant
from events.web.conditional import etag
from services.lifecycle.domain.mining import process_map
from services.lifecycle.domain.path import Process
from services.lifecycle.domain.process_map import ProcessMap
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import STAGES
from services.lifecycle.process.histories import Subject, cases
from services.lifecycle.process.question import Question
from services.lifecycle.store import Store

KEPT_MAX: Final = 16
WAITING_MAX: Final = 4
"""So many questions may wait for the one that is being answered."""
NOW_SECONDS: Final = 60
"""For so long "now" is the same: ages grow, and little else."""
LONG_SECONDS: Final = 1
GOOD_TIMES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessAnswer(ProcessMap):
    """A process map, and what was asked. Cases are records or deals (`subject`).

    `as_of`: what had happened by then. `position` grows with everything that is stored. `table_version`: the status table in force
    at `as_of`, by which the map is ordered. `only`: the parameters by which cases were chosen; `from` and `to` are when they began.
    """

    subject: Subject
    as_of: str
    position: int
    table_version: int
    only: dict[str, str]

    @classmethod
    def of(
        cls, found: ProcessMap, *, subject: Subject, as_of: str, position: int, table_version: int, only: dict[str, str]
    ) -> "ProcessAnswer":
        """The answer that a map is."""
        figures: dict[str, Any] = {name: getattr(found, name) for name in ProcessMap.__dataclass_fields__}
        return cls(**figures, subject=subject, as_of=as_of, position=position, table_version=table_version, only=only)


class Made(Struct, frozen=True):
    """An answer with its tag; ``seconds``: how long it took."""

    answer: ProcessAnswer
    tag: str
    policy: Policy
    position: int
    at: int
    seconds: float


class Maps:
    """Answers questions. Thread-safe. ``policy``: the present one; ``clock``: nanoseconds since 1970."""

    def __init__(self, store: Store, policy: Callable[[], Policy], clock: Callable[[], int]) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._kept: OrderedDict[Question, Made] = OrderedDict()
        self._making = threading.Lock()
        self._counting = threading.Lock()
        self.waiting = 0
        """How many questions are being answered or wait."""

    def of(self, question: Question) -> Made:
        """The answer: a kept one while it is good, else a new one. 503 where too many wait already."""
        kept = self._good(question)
        if kept is not None:
            return kept
        with self._counting:
            if self.waiting > WAITING_MAX:
                detail = f"{WAITING_MAX} other process maps are waited for: try again soon"
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "5"})
            self.waiting += 1
        try:
            with self._making:
                return self._good(question) or self._make(question)
        finally:
            with self._counting:
                self.waiting -= 1

    @property
    def kept(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    def _good(self, question: Question) -> Made | None:
        made = self._kept.get(question)
        if made is None or made.policy is not self._policy():
            return None
        age = (self._clock() - made.at) / NANOSECONDS
        if made.seconds > LONG_SECONDS and age < GOOD_TIMES * made.seconds:
            return made
        same_time = question.as_of is not None or age < NOW_SECONDS
        return made if same_time and made.position == self._position() else None

    def _make(self, question: Question) -> Made:
        position, begun = self._position(), self._clock()
        as_of = begun if question.as_of is None else question.as_of
        policy = self._policy()
        table = policy.tables.at(as_of)
        stages = STAGES if question.subject == "records" else STAGES[1:]
        meant = (
            case.trace for case in cases(self._store, question.subject, as_of, profiles=question.by_profile) if question.means(case)
        )
        found = process_map(meant, Process.of(table, stages), as_of, variants=question.variants)
        answer = ProcessAnswer.of(
            found,
            subject=question.subject,
            as_of=format_instant(as_of),
            position=position,
            table_version=table.version,
            only=dict(question.told),
        )
        made = Made(
            answer,
            etag(repr(question), position, as_of, table.version),
            policy,
            position,
            begun,
            (self._clock() - begun) / NANOSECONDS,
        )
        self._kept[question] = made
        self._kept.move_to_end(question)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return made

    def _position(self) -> int:
        return sum(map(self._store.last_number, range(self._store.shards)))
