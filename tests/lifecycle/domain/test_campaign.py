"""``make properties``: histories by the hundred thousand, each told in some order with its table versions, against the second fold.

What single properties ask of a hundred histories is asked of every one here, at once: whatever order facts and versions come in,
however often and in whatever batches, with the sweep coming by or not, the record is the one that the set gives; a consumer of
what was published holds it after every step; what is stored restores it; and the reference fold agrees with it.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import given as each
from hypothesis import strategies as st

from events.codec import Fact
from services.lifecycle.domain.fold import fold_of
from tests.lifecycle.domain.histories import History, domain_table, histories
from tests.lifecycle.domain.test_properties import assert_holds, assert_same
from tests.lifecycle.domain.test_reference import assert_agree
from tests.lifecycle.domain.test_refold import Played, assert_restored
from tests.lifecycle.reference_facts import in_order

pytestmark = [pytest.mark.properties, pytest.mark.timeout(0)]

SHARES = 20
"""So many parts of the campaign, which run beside each other."""

Step = Fact | int | tuple[Fact, ...] | None
"""A fact, the number of a version, facts that come together, or the sweep."""


@st.composite
def tales(draw: Any) -> tuple[History, list[Step]]:
    """A history and how it comes: facts, some of them again, and its versions but the first, in order or not, one by one or not."""
    history: History = draw(histories())
    again = draw(st.lists(st.sampled_from(history.facts), max_size=3))
    told: list[Any] = [*history.facts, *again, *range(1, len(history.versions))]
    coming = draw(st.one_of(st.just(told), st.permutations(told)))
    ways = draw(st.lists(st.sampled_from(["one", "one", "one", "sweep", "batch"]), min_size=len(coming), max_size=len(coming)))
    steps: list[Step] = []
    for step, way in zip(coming, ways, strict=True):
        if way == "sweep":
            steps.append(None)
        before = steps[-1] if steps else None
        if way == "batch" and isinstance(step, Fact) and isinstance(before, Fact | tuple):
            steps[-1] = (*(before if isinstance(before, tuple) else (before,)), step)
        else:
            steps.append(step)
    missing = [fact for fact in history.facts if fact not in told]
    return history, [*steps, *missing]


def tell(history: History, steps: list[Step]) -> None:
    """Tell it, and look at everything."""
    first, *others = [domain_table(table, number) for number, table in enumerate(history.versions)]
    played = Played(first, history.zone)
    for step in steps:
        match step:
            case None:
                played.follow()
            case int():
                played.learn(others[step - 1], step)
            case tuple():
                played.hear(*step)
                assert_holds(played.consumer, played.record.fold)
            case Fact():
                played.hear(step)
                assert_holds(played.consumer, played.record.fold)
    played.follow()
    assert_same(played.record.fold, fold_of(in_order(history.facts), history.policy))
    assert_holds(played.consumer, played.record.fold)
    assert_restored(played)
    assert_agree(history)


@pytest.mark.parametrize("share", range(SHARES))
def test_every_history_comes_out_right(
    share: int, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    count, start = pytestconfig.getoption("--histories") // SHARES, pytestconfig.getoption("--first-seed")
    told = facts = 0

    @seed(start + share)
    @settings(
        max_examples=count,
        database=None,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @each(tales())
    def check(tale: tuple[History, list[Step]]) -> None:
        nonlocal told, facts
        history, steps = tale
        told, facts = told + 1, facts + len(history.facts)
        tell(history, steps)

    check()
    assert told >= count
    record_property("histories", told)
    record_property("facts", facts)
