"""The view equals the naive recomputation at every instant, in any batching, with repeats, parts and restarts."""

import itertools
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.published import DealImage, DealsChanged, Published, Status, StatusChanged, StatusState
from events.values import format_instant, parse_instant
from services.forecast.domain import Question, Segment, deal_of, segment_of, summarize
from services.forecast.figures import Figures, Segments
from services.forecast.periods import FOREVER, Period
from services.forecast.store import Moment, Store
from tests.forecast.harness import CAUSE, Forecast, change, image
from tests.forecast.naive import Naive
from tests.postgres import PostgresServer

HOURS = [format_instant(parse_instant("2017-03-30T20:00:00Z") + hour * 3600 * 10**9) for hour in range(7)]
CUSTOMERS = ("acme", "globex")
PERIOD = Period("a day", "2017-03-31", "2017-03-31")
DOLLARS = Question("USD")
QUESTION = Question("USD", PERIOD, 20)
DEALS = ("opportunity:1", "opportunity:2", "quote:3")

images = st.one_of(
    st.builds(
        image,
        st.one_of(st.none(), st.integers(0, 10**12)),
        probability=st.sampled_from([10, 20, 50]),
        currency=st.sampled_from(["USD", "EUR"]),
        owner=st.sampled_from([None, "ann", "bob"]),
        product=st.sampled_from([None, "", "GTX Pro"]),
        close_date=st.sampled_from([None, date(2017, 3, 31), date(2017, 4, 1)]),
    ),
    st.builds(
        image,
        st.integers(-(10**12), 10**12),
        st.sampled_from(["won", "lost"]),
        closed_at=st.sampled_from(HOURS),
        owner=st.sampled_from([None, "ann"]),
    ),
)


@st.composite
def deal_changes(draw: st.DrawFn) -> Any:
    """One deal's history from an instant on: its states, the loss of all states that it had from there on, or that it never was."""
    deal_id = draw(st.sampled_from(DEALS))
    instants = sorted(draw(st.sets(st.integers(0, len(HOURS) - 1), max_size=4)))
    if not instants and draw(st.booleans()):
        return change(deal_id)
    since = HOURS[draw(st.integers(0, instants[0] if instants else len(HOURS) - 1))]
    return change(deal_id, *((HOURS[at], draw(images)) for at in instants), since=since)


@st.composite
def histories(draw: st.DrawFn) -> list[Published]:
    """What lifecycle may publish: versions and recorded times rise per customer, long messages are in parts."""
    published: list[Published] = []
    clocks = dict.fromkeys(CUSTOMERS, 0)
    harness = _Versions()
    for _ in range(draw(st.integers(1, 12))):
        customer = draw(st.sampled_from(CUSTOMERS))
        clocks[customer] = min(len(HOURS) - 1, clocks[customer] + draw(st.integers(0, 2)))
        recorded = HOURS[clocks[customer]]
        if draw(st.booleans()):
            changes = draw(st.lists(deal_changes(), min_size=1, max_size=3, unique_by=lambda each: each.deal_id))
            parts = [[each] for each in changes] if draw(st.booleans()) else [changes]
            for number, part in enumerate(parts, start=1):
                published.append(
                    DealsChanged(
                        customer_id=customer,
                        version=harness.next(customer),
                        recorded_at=recorded,
                        cause=CAUSE,
                        deals=tuple(part),
                        part=number,
                        parts=len(parts),
                    )
                )
        else:
            published.append(_status(draw, customer, harness.next(customer), recorded))
    return published


class _Versions:
    """Versions of customers: they rise, with gaps (facts that change nothing have versions too)."""

    def __init__(self) -> None:
        self._last = dict.fromkeys(CUSTOMERS, 0)

    def next(self, customer: str) -> int:
        self._last[customer] += 1
        return self._last[customer]


def _status(draw: st.DrawFn, customer: str, version: int, recorded: str) -> Published:
    instants = sorted(draw(st.sets(st.integers(0, len(HOURS) - 1), max_size=3)))
    since = HOURS[draw(st.integers(0, instants[0] if instants else len(HOURS) - 1))]
    states = [
        StatusState(
            effective_at=HOURS[at],
            cause=CAUSE,
            stage=draw(st.sampled_from(["lead", "prospect", "customer"])),
            name="x",
            probability=0,
        )
        for at in instants
    ]
    return StatusChanged(
        customer_id=customer,
        version=version,
        recorded_at=recorded,
        cause=CAUSE,
        since=since,
        states=tuple(states),
        current=Status(stage="lead", name="x", probability=0),
    )


@st.composite
def deliveries(draw: st.DrawFn, published: Sequence[Published]) -> list[list[Published] | None]:
    """The batches in which they arrive: the relay may start over from an earlier message; None is a crash."""
    batches: list[list[Published] | None] = []
    sent = 0
    while sent < len(published):
        start = draw(st.integers(max(0, sent - 4), sent))
        size = draw(st.integers(1, 5))
        batches.append(list(published[start : start + size]))
        sent = max(sent, start + size)
        if draw(st.integers(0, 5)) == 0:
            batches.append(None)
    return batches


@st.composite
def scenarios(draw: st.DrawFn) -> tuple[list[Published], list[list[Published] | None]]:
    published = draw(histories())
    return published, draw(deliveries(published))


def moments(published: Sequence[Published]) -> Iterator[Moment]:
    """Around every instant that matters, in both times."""
    instants = [parse_instant(hour) for hour in HOURS]
    around = sorted({instant + shift for instant in instants for shift in (-1, 0)})
    known = sorted({parse_instant(message.recorded_at) for message in published})
    yield from (Moment(*each) for each in itertools.product(around, [known[0] - 1, *known, FOREVER - 1]))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios())
def test_the_view_is_the_fold_of_all_messages(tmp_path_factory: Any, scenario: Any) -> None:
    _play(Forecast(tmp_path_factory.mktemp("view") / "forecast.sqlite"), *scenario)


@pytest.mark.postgres
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios())
def test_the_view_is_the_fold_of_all_messages_on_postgresql(tmp_path_factory: Any, postgres: PostgresServer, scenario: Any) -> None:
    url = postgres.database()
    _play(Forecast(tmp_path_factory.mktemp("view") / "forecast.sqlite", database=url), *scenario)
    postgres.drop(url)


def _play(forecast: Forecast, published: Sequence[Published], batches: Sequence[Sequence[Published] | None]) -> None:
    """Let messages arrive in batches, with a crash where there is none; in the end the view is what they say together."""
    try:
        for batch in batches:
            if batch is None:
                forecast.crash()
            else:
                forecast.publish(*batch)
                forecast.settle()
        assert forecast.ledger.dead_letters() == {}
        assert_equal(forecast, published)
    finally:
        forecast.close()


def assert_equal(forecast: Forecast, published: Sequence[Published]) -> None:
    """The view is what the messages say together, at every moment."""
    naive = Naive(published)
    segments = Segments()
    for moment, by in zip(moments(published), itertools.cycle(("stage", "rep", "product", "quarter", None)), strict=False):
        expected = naive.deals(*moment)
        with forecast.store.snapshot() as cursor:
            figures = Figures(cursor)
            listed = {(each.customer_id, each.deal_id): each.deal for each in figures.deals(moment, None, ("", ""))}
            assert listed == {key: deal_of(held, forecast.settings.zone) for key, held in expected.items()}
            stages = {(each.customer_id, each.deal_id): each.group for each in figures.deals(moment, "stage", ("", ""))}
            assert stages == {key: naive.stages(*moment).get(key[0]) for key in expected}
            pipeline = summarize(segments.of(figures, moment, by), DOLLARS, None)
            assert pipeline.totals.open.amount == sum(_amount(held) for held in expected.values() if held.state == "open")
            found = summarize(segments.of(figures, moment, by, PERIOD), QUESTION, lambda each: each.group)
            assert _numbers(found) == _numbers(_recomputed(expected, naive.stages(*moment), by, forecast))
            images = {key: figures.history(*key, moment.known_at) for key in expected}
        for key, held in expected.items():
            now = [text for begin, end, _, text in images[key] if begin <= moment.as_of < end]
            assert [msgspec.json.decode(text, type=DealImage) for text in now] == [held]


def _amount(held: DealImage) -> int:
    amount = held.amounts.amount
    return amount.minor if amount and amount.currency == "USD" else 0


def _recomputed(
    expected: Mapping[tuple[str, str], DealImage], stages: Mapping[str, str], by: str | None, forecast: Forecast
) -> Any:
    keys = {"stage": lambda key, _: stages.get(key[0]), "rep": lambda _, held: held.owner, "product": lambda _, held: held.product}
    group = keys.get(by or "", lambda *_: None)
    single = [segment_of(deal_of(held, forecast.settings.zone), group(key, held)) for key, held in expected.items()]
    return summarize(single, QUESTION, lambda each: each.group)


def _numbers(summary: Any) -> Any:
    def of(totals: Any) -> Any:
        parts = [(part.count, part.amount, part.weighted) for part in (totals.open, totals.won, totals.lost)]
        return (*parts, totals.worst, totals.likely, totals.upside, totals.weighted, totals.without_amount)

    groups = {key: of(totals) for key, totals in summary.groups.items()}
    excluded = {name: (left.count, left.amount) for name, left in summary.excluded.items()}
    return of(summary.totals), groups, {name: of(totals) for name, totals in summary.other_currencies.items()}, excluded


def test_what_a_late_fact_takes_back_leaves_what_was_before(forecast: Forecast) -> None:
    """A history that lost its tail, or the beginning of its tail, is no gap: states that are the same as before are not told."""
    forecast.deal("acme", "opportunity:1", *((HOURS[hour], image(hour * 100)) for hour in (1, 2, 4)), recorded=HOURS[4])
    forecast.status("acme", HOURS[1], "lead", "New")
    forecast.status("acme", HOURS[2], "prospect", "Proposal")
    forecast.publish(
        forecast.deals("acme", change("opportunity:1", (HOURS[4], image(400)), since=HOURS[2]), recorded=HOURS[5]),
        StatusChanged(
            customer_id="acme",
            version=forecast.version("acme"),
            recorded_at=HOURS[5],
            cause=CAUSE,
            since=HOURS[2],
            states=(),
            current=Status(stage="lead", name="New", probability=0),
        ),
    )
    forecast.settle()
    for hour, amount in ((1, "100.00"), (3, "100.00"), (4, "400.00")):
        groups = forecast.get("/v1/pipeline", as_of=HOURS[hour], by="stage")["groups"]
        assert [(group["key"], group["open"]["amount"]) for group in groups] == [("lead", amount)]
    forecast.publish(forecast.deals("acme", change("opportunity:1", since=HOURS[4]), recorded=HOURS[6]))
    forecast.settle()
    assert forecast.get("/v1/pipeline", as_of=HOURS[6])["totals"]["open"] == {"count": 1, "amount": "100.00", "weighted": "20.00"}


def test_what_is_known_later_changes_no_earlier_answer(forecast: Forecast) -> None:
    """I2 over time: an answer that was given for (as_of, known_at) is given again, whatever came to be known since."""
    forecast.deal("acme", "opportunity:1", (HOURS[0], image(100)), recorded=HOURS[1])
    forecast.settle()
    asked = {"as_of": HOURS[4], "known_at": HOURS[1], "by": "quarter"}
    before = forecast.get("/v1/pipeline", **asked)
    forecast.deal(
        "acme", "opportunity:1", (HOURS[0], image(70)), (HOURS[2], image(70, "won", closed_at=HOURS[2])), recorded=HOURS[5]
    )
    forecast.settle()
    after = forecast.get("/v1/pipeline", **asked)
    assert {**after, "position": 0} == {**before, "position": 0}
    assert forecast.get("/v1/pipeline", as_of=HOURS[4])["totals"]["won"] == {"count": 1, "amount": "70.00"}


def test_a_view_built_anew_from_the_log_is_the_same(forecast: Forecast, tmp_path: Path) -> None:
    """I6: histories do not depend on how the log was cut into polls."""
    for hour in range(6):
        for customer in ("acme", "globex", "initech"):
            forecast.deal(customer, f"opportunity:{hour % 2}", (HOURS[hour], image(hour * 7)), recorded=HOURS[hour])
            forecast.status(customer, HOURS[hour], "prospect", "In Discussion")
            forecast.settle()
    again = Forecast(tmp_path / "again.sqlite", seed=3, records_max=1000)
    again.bus = forecast.bus
    again.start()
    again.settle()
    assert again.dump() == forecast.dump()
    assert len(again.dump()["deal_history"]) > 18
    again.close()


def test_customers_of_a_stage_are_one_segment_however_many_they_are(forecast: Forecast) -> None:
    for number in range(30):
        forecast.deal(f"c{number}", "opportunity:1", (HOURS[1], image(100)))
        if number % 3:
            forecast.status(f"c{number}", HOURS[1], "prospect", "Proposal")
    forecast.settle()
    moment = Moment(parse_instant(HOURS[2]), FOREVER - 1)
    with forecast.store.snapshot() as cursor:
        found = Figures(cursor).segments(moment, "stage")
    assert sorted((each.group or "", each.deals, each.amount) for each in found) == [("", 10, 100_000), ("prospect", 20, 200_000)]


def test_what_holds_with_no_end_in_sight_is_added_up_without_sorting(tmp_path: Path) -> None:
    """It is most of what there is: all deals of today. SQLite alone is asked; PostgreSQL adds up in a hash table."""
    plans: list[list[str]] = []

    class Explained(Figures):
        def _rows(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
            if "GROUP BY" in query:
                first, *_ = query.split(" UNION ALL ")
                plans.append([step for *_, step in super()._rows(f"EXPLAIN QUERY PLAN {first}", parameters)])
            return super()._rows(query, parameters)

    forecast = Forecast(tmp_path / "forecast.sqlite")
    forecast.start()
    forecast.deal("acme", "opportunity:1", (HOURS[1], image(100)))
    forecast.settle()
    with forecast.store.snapshot() as cursor:
        (found,) = Explained(cursor).segments(Moment(parse_instant(HOURS[2])))
    forecast.close()
    assert (found.deals, found.amount) == (1, 10_000)
    assert plans == [["SEARCH deal_history USING COVERING INDEX deal_history_held (recorded_to=? AND valid_to=?)"]]


def test_the_indexes_of_an_older_database_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "forecast.sqlite"
    Store(path).close()
    older = ("deal_history_slice", "deal_history_2_slice", "status_history_slice")
    with closing(sqlite3.connect(path)) as connection:
        before = indexes(connection)
        connection.execute("DROP INDEX deal_history_held")
        for name in older:
            connection.execute(f"CREATE INDEX {name} ON {name.removesuffix('_slice')} (recorded_to, valid_to)")
        assert indexes(connection) == (before | {*older}) - {"deal_history_held"}
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        assert indexes(connection) == before


def indexes(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")}


def test_answers_are_kept_until_something_comes_and_only_so_many(forecast: Forecast) -> None:
    asked: list[tuple[Moment, str | None]] = []

    class Counted(Figures):
        def segments(self, moment: Moment, by: str | None = None, period: Period | None = None) -> list[Segment]:
            asked.append((moment, by))
            return super().segments(moment, by, period)

    def ask(*groupings: str | None) -> list[str | None]:
        asked.clear()
        with forecast.store.snapshot() as cursor:
            for by in groupings:
                kept.of(Counted(cursor), moment, by)
        return [by for _, by in asked]

    moment = Moment(parse_instant(HOURS[2]), FOREVER - 1)
    kept = Segments(questions_max=2, segments_max=3)
    for number in range(3):
        product = {"product": f"p{number}"} if number else {}
        forecast.deal(f"c{number}", "opportunity:1", (HOURS[1], image(100, **product)))
    forecast.settle()
    assert ask(None, None, "rep", None, "rep") == [None, "rep"]
    assert ask("status", "rep", "status", None) == ["status", None], "the newest two"
    assert ask("product", "product", None) == ["product", None], "three segments are too many beside others"
    forecast.deal("c9", "opportunity:1", (HOURS[1], image(100)))
    forecast.settle()
    assert ask(None, None) == [None]
    forecast.deal("c8", "opportunity:1", (HOURS[1], image(100, product="p8")))
    forecast.settle()
    assert ask("product", "product") == ["product", "product"], "more than are kept at all"
