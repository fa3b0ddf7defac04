"""The bank's loan applications, imported: every figure of the log comes out of the records."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from events.codec import Fact, decode
from events.record import Record
from handoff.importing.bpic12 import Applications
from handoff.importing.rejected import Rejected
from services.lifecycle.domain.fold import fold_of
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables

from .applications import (
    CLOSED,
    DAYS_TO_ORDER,
    FACTS,
    FUNNEL,
    LOG,
    MINUTES_TO_ACTIVITY,
    MISSING,
    OPEN_AT,
    SHARES,
    STAGES,
    TYPES,
    WORKED_ON,
    Figures,
)

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "real-data.md"


def applications() -> Iterator[list[Fact]]:
    """The facts of each application, as lifecycle decodes them."""
    rejected: list[Rejected] = []
    now = time.time_ns()
    messages = Applications(LOG, now, rejected.append).messages()
    for _, group in itertools.groupby(messages, key=lambda message: message.key):
        decoded = [decode(Record(m.topic, 0, 0, now // 1_000_000, m.key, m.value, m.headers)) for m in group]
        yield [fact for fact in decoded if isinstance(fact, Fact)]
    assert rejected == []


@pytest.mark.data
def test_the_records_have_the_figures_of_the_log() -> None:
    if not LOG.exists():
        pytest.skip(MISSING)
    policy = Policy(Tables((DEFAULT,)), ZoneInfo("UTC"))
    Figures.of(fold_of(application, policy) for application in applications()).check()


def test_the_page_tells_these_figures() -> None:
    page = PAGE.read_text(encoding="utf-8")
    told = [
        *(f"{count:,}" for count in (*TYPES.values(), FACTS, WORKED_ON, *CLOSED.values(), FUNNEL["ordered"])),
        *(f"{figure:,}" for opened in OPEN_AT.values() for figure in opened),
        *SHARES,
        f"{DAYS_TO_ORDER} days",
        f"{MINUTES_TO_ACTIVITY} minutes",
        f"{STAGES['customer']:,} customers",
    ]
    assert [figure for figure in told if figure not in page] == []
