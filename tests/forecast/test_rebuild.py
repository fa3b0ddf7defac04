"""The view made again beside the live one: byte for byte the same, whatever comes meanwhile and whoever is killed."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.bus.memory import drain
from events.bus.rebuild import sets
from events.bus.rebuild.jobs import STALE_SECONDS
from events.record import Message
from events.topics import LIFECYCLE
from services.forecast.store import VIEW
from tests.forecast.harness import Forecast, change, image
from tests.forecast.test_bitemporal import assert_equal, scenarios
from tests.postgres import PostgresServer
from tests.uncommitted import uncommitted, work

JAN, FEB, MAR = "2018-01-01T00:00:00Z", "2018-02-01T00:00:00Z", "2018-03-01T00:00:00Z"


@pytest.fixture
def sold(forecast: Forecast) -> Forecast:
    """Some customers with deals, one with a corrected past, one with half of a message, and a record that cannot be read."""
    for number in range(5):
        forecast.deal(
            f"customer-{number}", f"opportunity:{number}", (JAN, image(100 + number)), (FEB, image(90, "won", closed_at=FEB))
        )
        forecast.status(f"customer-{number}", JAN, "prospect", "In Discussion")
    forecast.deal("customer-1", "opportunity:1", (JAN, image(7)), (MAR, image(8)), recorded=MAR)
    forecast.publish(forecast.deals("customer-2", change("quote:1", (JAN, image(3))), recorded=MAR, part=1, parts=2))
    forecast.bus.append(Message(LIFECYCLE.name, b"customer-0", b"poison", timestamp=0))
    forecast.settle()
    return forecast


def begin(forecast: Forecast, *, check: bool = False) -> dict[str, Any]:
    response = forecast.http.post("/v1/rebuilds", json={"view": "forecast", "actor": "dana", "check": check})
    assert response.status_code == 202, response.text
    assert response.headers["location"] == "/v1/rebuilds/forecast"
    body: dict[str, Any] = response.json()
    return body


def look(forecast: Forecast) -> dict[str, Any]:
    return forecast.get("/v1/rebuilds/forecast")


def finish(forecast: Forecast, between: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """Work to the end, and the tidying up after it; what the rebuild came to."""
    while forecast.builder.step() is not None:
        between()
    said = look(forecast)
    assert not said["running"]
    found: dict[str, Any] = said["rebuild"]
    return found


def test_a_check_says_that_both_are_the_same_and_leaves_nothing(sold: Forecast) -> None:
    before = sold.dump()
    said = begin(sold, check=True)
    assert (said["running"], said["rebuild"]["actor"], said["rebuild"]["worker"]) == (True, "dana", "forecast-1")
    rebuild = finish(sold)
    assert (rebuild["outcome"], rebuild["difference"]) == ("equal", None)
    assert rebuild["done"] == sum(map(len, before.values()))
    assert sold.dump() == before
    assert sold.rows_of(1) == 0
    assert look(sold)["generation"] == 0


def test_after_a_switch_the_answers_are_those_of_the_view_that_was_made(sold: Forecast) -> None:
    before, tag = sold.dump(), sold.http.get("/v1/pipeline").headers["etag"]
    answers = [sold.get("/v1/pipeline", as_of=at, known_at=known) for at in (JAN, FEB, MAR) for known in (JAN, FEB, MAR)]
    begin(sold)
    assert finish(sold)["outcome"] == "switched"
    assert look(sold)["generation"] == 1
    assert sold.dump() == before
    assert [sold.get("/v1/pipeline", as_of=at, known_at=known) for at in (JAN, FEB, MAR) for known in (JAN, FEB, MAR)] == answers
    assert sold.http.get("/v1/pipeline").headers["etag"] != tag, "it may be another answer"
    assert sold.rows_of(0) == 0, "the old one is deleted"


def test_what_comes_after_a_switch_is_taken_in_once(sold: Forecast) -> None:
    begin(sold)
    finish(sold)
    sold.publish(sold.deals("customer-2", change("quote:1", (MAR, image(4))), recorded=MAR, part=2, parts=2))
    sold.deal("customer-9", "opportunity:9", (FEB, image(1000)))
    sold.settle()
    twin = Forecast(sold.path.with_name("twin.sqlite"))
    twin.bus = sold.bus
    twin.start()
    twin.settle()
    assert sold.dump() == twin.dump()
    begin(sold)
    assert finish(sold)["outcome"] == "switched", "and back to the first set"
    assert look(sold)["generation"] == 2
    assert sold.dump() == twin.dump()
    twin.close()


def test_a_view_that_was_damaged_is_found_and_made_whole(sold: Forecast) -> None:
    before = sold.dump()
    with sold.ledger.transaction() as cursor:
        cursor.execute("UPDATE deal_history SET amount = amount + 1 WHERE customer_id = 'customer-3'")
    begin(sold, check=True)
    rebuild = finish(sold)
    assert rebuild["outcome"] == "different"
    found = rebuild["difference"]
    assert (found["table"], found["column"], found["live"], found["made"]) == ("deal_history", "amount", "10301", "10300")
    assert found["key"]["customer_id"] == "customer-3"
    assert sold.dump() != before, "a check changes nothing"
    begin(sold)
    assert finish(sold)["outcome"] == "switched"
    assert sold.dump() == before


@pytest.mark.parametrize(
    ("sql", "live", "made"),
    [
        ("DELETE FROM boundary WHERE instant = (SELECT max(instant) FROM boundary)", "there is no such row", "there is a row"),
        ("INSERT INTO boundary (instant) VALUES (5)", "there is a row", "there is no such row"),
        ("DELETE FROM customer WHERE customer_id = 'customer-0'", "there is no such row", "there is a row"),
    ],
)
def test_a_row_too_many_or_too_few_is_found(sold: Forecast, sql: str, live: str, made: str) -> None:
    with sold.ledger.transaction() as cursor:
        cursor.execute(sql)
    begin(sold, check=True)
    found = finish(sold)["difference"]
    assert (found["column"], found["live"], found["made"]) == (None, live, made)


@pytest.mark.parametrize("check", [True, False])
def test_the_live_view_answers_and_takes_in_all_the_time(sold: Forecast, check: bool) -> None:
    """Between any two steps something comes; no answer is ever of half a view, and none misses what was taken in."""
    numbers = iter(range(100, 10_000))
    seen: list[int] = []

    def comes() -> None:
        number = next(numbers)
        if number < 160:
            sold.deal(f"customer-{number % 7}", f"opportunity:{number}", (JAN, image(1)))
            sold.settle()
        seen.append(sold.get("/v1/pipeline", as_of=MAR)["totals"]["open"]["count"])
        assert seen[-1] == expected + min(number, 159) - 99

    expected = sold.get("/v1/pipeline", as_of=MAR)["totals"]["open"]["count"]
    begin(sold, check=check)
    assert finish(sold, comes)["outcome"] == ("equal" if check else "switched")
    assert len(seen) > 20
    begin(sold, check=True)
    assert finish(sold)["outcome"] == "equal"


def test_a_partition_to_which_more_comes_all_the_time_keeps_no_other_waiting(sold: Forecast) -> None:
    places = {record.key: record.partition for record in sold.bus.records(LIFECYCLE.name)}
    busiest = min(places, key=lambda key: (places[key], key)).decode()
    for number in range(40):
        sold.deal(f"customer-{number % 5}", f"quote:{number}", (JAN, image(1)))
    sold.settle()
    numbers = iter(range(1000))

    def comes() -> None:
        for _ in range(2):  # a step takes in three
            sold.deal(busiest, f"order:{next(numbers)}", (JAN, image(1)))
        sold.settle()

    begin(sold)
    steps = 0
    while look(sold)["running"]:
        sold.builder.step()
        comes()
        steps += 1
        assert steps < 200, look(sold)["rebuild"]
    finish(sold)


def test_a_killed_service_leaves_the_live_view_and_its_next_start_tidies_up(sold: Forecast) -> None:
    before = sold.dump()
    begin(sold)
    steps = 0
    while sold.builder.step() is not None:
        steps += 1
    for killed_after in range(1, steps):
        begin(sold)
        for _ in range(killed_after):
            sold.builder.step()
        sold.crash()
        assert sold.dump() == before
        if sold.settings.database != "sqlite":  # another worker may be alive: it has to be silent for a while
            rebuild = look(sold)
            if rebuild["running"]:
                silent(sold)
        while sold.builder.step() is not None:
            pass
        with sold.store.snapshot() as cursor:
            standing = sets.to_read(cursor, VIEW)
        assert not standing.doubled
        assert sold.rows_of(standing.other) == 0
        assert sold.dump() == before
        assert look(sold)["rebuild"]["outcome"] in ("abandoned", "switched")


def silent(forecast: Forecast) -> None:
    """As if the one who works had been silent for longer than a worker may be."""
    with forecast.ledger.transaction() as cursor:
        cursor.execute("UPDATE rebuild SET beat = beat - ?", ((STALE_SECONDS + 1) * 10**9,))


def test_only_one_at_a_time_and_who_it_is_is_said(sold: Forecast) -> None:
    begin(sold)
    refused = sold.http.post("/v1/rebuilds", json={"view": "forecast", "actor": "eve"})
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    assert "by forecast-1, asked by dana" in refused.json()["detail"]
    assert finish(sold)["outcome"] == "switched"


def test_it_can_be_ended(sold: Forecast) -> None:
    before = sold.dump()
    assert sold.http.delete("/v1/rebuilds/forecast").status_code == 409
    begin(sold)
    sold.builder.step()
    assert sold.http.delete("/v1/rebuilds/forecast").status_code == 202
    assert finish(sold)["outcome"] == "cancelled"
    assert sold.dump() == before
    assert sold.rows_of(1) == 0


def test_an_end_that_was_accepted_is_the_end_after_whichever_step_it_comes(sold: Forecast) -> None:
    """Also in the rest between the last step of filling and the switch; later it is told what came of it."""
    before, accepted, after = sold.dump(), True, 0
    while accepted:
        after += 1
        begin(sold)
        for _ in range(after):
            sold.builder.step()
        answer = sold.http.delete("/v1/rebuilds/forecast")
        accepted = answer.status_code == 202
        assert finish(sold)["outcome"] == ("cancelled" if accepted else "switched"), f"after {after} steps"
        assert look(sold)["generation"] == (0 if accepted else 1)
        assert sold.dump() == before
    assert after > 5
    assert answer.json()["detail"].endswith(": switched")


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"view": "deals", "actor": "dana"}, 404, "it has forecast"),
        ({"view": "forecast"}, 422, "actor"),
        ({"view": "forecast", "actor": "dana", "share": 0}, 422, "share"),
        ({"view": "forecast", "actor": "dana", "now": True}, 422, "now"),
    ],
)
def test_a_wrong_request_is_a_problem(forecast: Forecast, body: dict[str, Any], status: int, word: str) -> None:
    response = forecast.http.post("/v1/rebuilds", json=body)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert word in response.text


def test_a_log_that_is_not_whole_makes_no_view(sold: Forecast) -> None:
    before = sold.dump()
    place = next(record.place for record in sold.bus.records(LIFECYCLE.name))
    sold.bus.log(place).truncate(1)
    begin(sold)
    rebuild = finish(sold)
    assert rebuild["outcome"] == "failed"
    assert f"{place.topic}[{place.partition}] begins at 1" in rebuild["detail"]
    assert sold.dump() == before


def test_while_kafka_is_away_it_waits(sold: Forecast) -> None:
    begin(sold)
    sold.bus.away = True
    for _ in range(10):
        assert sold.builder.step() is not None
    sold.bus.away = False
    assert finish(sold)["outcome"] == "switched"


def test_whichever_transaction_is_not_committed_no_record_is_missing(sold: Forecast) -> None:
    before, number, count = sold.dump(), 0, [1]
    while number < count[0]:
        number += 1
        begin(sold)
        with uncommitted(sold.ledger, number) as count:
            work(sold.builder)
        assert finish(sold)["outcome"] == "switched"
        assert sold.dump() == before, f"transaction {number}"
    assert number > 10


def fails_on(forecast: Forecast, table: str, *deals: str) -> None:
    """From now on the database refuses the second of these deals, as a bug of the code would."""
    cases = " ".join(f"WHEN deal_id = 'opportunity:{deal}' THEN 1" for deal in deals)
    with forecast.ledger.transaction() as cursor:
        cursor.execute(f"CREATE UNIQUE INDEX broken ON {table} ((CASE {cases} END))")


def mended(forecast: Forecast) -> None:
    with forecast.ledger.transaction() as cursor:
        cursor.execute("DROP INDEX broken")


def test_a_record_on_which_the_code_fails_is_passed_over_only_if_it_is_a_letter(forecast: Forecast) -> None:
    for number in range(9):
        forecast.deal("acme", f"opportunity:{number}", (JAN, image(1)))
    fails_on(forecast, "deal_history", "6", "7")
    drain([forecast.loop])
    assert forecast.ledger.dead_letters() == {"Bug": 1}
    mended(forecast)
    before = forecast.dump()
    fails_on(forecast, "deal_history_2", "6", "7")
    begin(forecast, check=True)
    assert finish(forecast)["outcome"] == "equal", "what was refused is refused"
    mended(forecast)
    fails_on(forecast, "deal_history_2", "4", "5")
    begin(forecast, check=True)
    rebuild = finish(forecast)
    assert rebuild["outcome"] == "failed"
    assert "which the live view has, cannot be taken in" in rebuild["detail"]
    mended(forecast)
    begin(forecast, check=True)
    assert finish(forecast)["difference"]["key"]["deal_id"] == "opportunity:7", "mended, it has what the letter says"
    assert forecast.dump() == before


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(), st.data())
def test_however_the_log_was_cut_a_view_made_again_is_the_same(tmp_path_factory: Any, scenario: Any, data: st.DataObject) -> None:
    """I6: with late facts, repeats, parts and crashes, and a rebuild under way while they come."""
    _play(Forecast(tmp_path_factory.mktemp("view") / "forecast.sqlite"), *scenario, data)


@pytest.mark.postgres
@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(), st.data())
def test_however_the_log_was_cut_a_view_made_again_is_the_same_on_postgresql(
    tmp_path_factory: Any, postgres: PostgresServer, scenario: Any, data: st.DataObject
) -> None:
    url = postgres.database()
    _play(Forecast(tmp_path_factory.mktemp("view") / "forecast.sqlite", database=url), *scenario, data)
    postgres.drop(url)


def _play(forecast: Forecast, published: Any, batches: Any, data: st.DataObject) -> None:
    steps = st.integers(0, 12)
    try:
        begin(forecast, check=data.draw(st.booleans()))
        for batch in batches:
            if batch is None:
                forecast.crash()
            else:
                forecast.publish(*batch)
                for _ in range(data.draw(steps)):  # the worker is behind
                    forecast.builder.step()
                forecast.settle()
            for _ in range(data.draw(steps)):
                forecast.builder.step()
        silent(forecast)
        while forecast.builder.step() is not None:
            pass
        assert look(forecast)["rebuild"]["outcome"] in ("equal", "switched", "abandoned")
        for check in (True, False, True):
            begin(forecast, check=check)
            assert finish(forecast)["outcome"] == ("equal" if check else "switched")
        assert_equal(forecast, published)
    finally:
        forecast.close()


def test_a_worker_that_stood_still_while_another_took_its_work_over_does_nothing(sold: Forecast) -> None:
    before = sold.dump()
    begin(sold)
    for _ in range(6):
        sold.builder.step()
    frozen = sold.builder
    silent(sold)
    sold.crash()
    begin(sold)
    for _ in range(5):
        sold.builder.step()
    while frozen.step() is not None:
        pass
    assert finish(sold)["outcome"] == "switched", "the work of the second one was not touched"
    while frozen.step() is not None:
        pass
    assert look(sold)["generation"] == 1
    assert sold.dump() == before


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_while_there_is_nothing_to_do_nothing_is_written(sold: Forecast) -> None:
    begin(sold)
    finish(sold)
    with closing(sqlite3.connect(sold.path)) as another:
        before = another.execute("PRAGMA data_version").fetchone()
        assert sold.builder.step() is None
        assert another.execute("PRAGMA data_version").fetchone() == before
        begin(sold)
        assert another.execute("PRAGMA data_version").fetchone() != before
    finish(sold)
