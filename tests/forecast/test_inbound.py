"""What is done with records: repeats, parts, poison, bugs; and that positions and effect are one."""

import re
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from events.bus import PositionLost
from events.bus.database import open_database
from events.bus.ledger import Fenced
from events.bus.memory import drain
from events.codec import encode
from events.published import DealsChanged, RecordChanged, Status
from events.record import Message
from events.topics import LIFECYCLE
from events.values import parse_instant
from services.forecast import view
from services.forecast.periods import FOREVER
from tests.forecast.harness import CAUSE, NOW, Forecast, change, image

DAY = "2017-03-01T00:00:00Z"
LATER = "2017-04-01T00:00:00Z"


def open_amount(forecast: Forecast) -> str:
    amount: str = forecast.get("/v1/pipeline")["totals"]["open"]["amount"]
    return amount


def letters(forecast: Forecast) -> list[tuple[str, str, str]]:
    """Dead letters as they were published: error, reason, path."""
    records = forecast.bus.records("forecast.dead-letter.v1")
    headers = [{name: value.decode() for name, value in record.headers if name.startswith("dl_")} for record in records]
    return [(each["dl_error"], each["dl_reason"], each["dl_path"]) for each in headers]


# ------------------------------------------------------------------------------------------ positions


def test_no_view_is_made_of_a_log_that_has_lost_its_beginning_unless_that_is_said(forecast: Forecast) -> None:
    record = forecast.deal("acme", "opportunity:1", (DAY, image(100)))
    log = forecast.bus.log(record.place)
    log.truncate(log.end)
    forecast.deal("acme", "opportunity:2", (DAY, image(70)))
    name = re.escape(f"{LIFECYCLE.name}[{record.partition}]")
    for _ in range(2):
        with pytest.raises(PositionLost, match=rf"{name} was read up to 0, but begins at 1 now"):
            forecast.settle()
        forecast.crash()
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "recover.md").read_text(encoding="utf-8")
    (statement,) = re.findall(r'^sqlite3 \S+ "(UPDATE position [^"]+)"$', page, re.MULTILINE)
    assert "next = 5 " in statement
    with forecast.store.begin() as cursor:
        cursor.execute(re.sub(r"part = \d+", f"part = {record.partition}", statement.replace("next = 5 ", "next = 1 ")))
        assert cursor.rowcount == 1
    forecast.settle()
    assert open_amount(forecast) == "70.00"


# ------------------------------------------------------------------------------------------- repeats


def test_a_repeat_changes_nothing(forecast: Forecast) -> None:
    first = forecast.deals("acme", change("opportunity:1", (DAY, image(100))))
    second = forecast.deals("acme", change("opportunity:1", (LATER, image(70))))
    forecast.publish(first, second)
    forecast.settle()
    before = forecast.dump()
    forecast.publish(first, second, first)
    forecast.settle()
    assert forecast.dump() == before
    assert open_amount(forecast) == "70.00"


def test_without_the_memory_of_versions_a_repeat_would_do_harm(forecast: Forecast) -> None:
    """The control arm of the test before: it is the memory of versions that makes a repeat harmless."""
    first = forecast.deals("acme", change("opportunity:1", (DAY, image(100))), recorded=DAY)
    forecast.publish(first, forecast.deals("acme", change("opportunity:1", (LATER, image(70))), recorded=LATER))
    forecast.settle()
    with forecast.ledger.transaction() as cursor:
        cursor.execute("UPDATE customer SET version = 0")
    forecast.publish(first)
    forecast.settle()
    assert open_amount(forecast) == "100.00"


def test_a_crash_between_batches_loses_nothing_and_doubles_nothing(forecast: Forecast) -> None:
    for number in range(40):
        forecast.deal(f"customer-{number % 5}", f"opportunity:{number}", (DAY, image(1)))
    for _ in range(4):
        forecast.loop.turn()
        forecast.crash()
    forecast.settle()
    assert forecast.get("/v1/pipeline")["totals"]["open"]["count"] == 40


def test_whoever_reads_meanwhile_sees_whole_transactions(forecast: Forecast) -> None:
    """One deal per record, so in every answer deals, groups and position are the same number."""
    for number in range(400):
        forecast.deal(f"customer-{number % 5}", f"opportunity:{number}", (DAY, image(1, owner=f"rep-{number % 3}")))
    seen = {forecast.get("/v1/pipeline", by="rep")["position"]}
    writer = threading.Thread(target=forecast.settle)
    writer.start()
    while writer.is_alive():
        body = forecast.get("/v1/pipeline", by="rep")
        seen.add(body["position"])
        assert body["totals"]["open"]["count"] == body["position"]
        assert sum(group["open"]["count"] for group in body["groups"]) == body["position"]
    writer.join()
    assert forecast.get("/v1/pipeline", by="rep")["position"] == 400
    assert len(seen) > 1


def test_a_crash_before_the_commit_writes_nothing(forecast: Forecast) -> None:
    """Position and effect are one transaction: where one is missing, the other is too."""
    forecast.deal("acme", "opportunity:1", (DAY, image(100)))
    forecast.settle()
    before, position = forecast.dump(), forecast.get("/v1/status")["position"]
    record = forecast.deal("acme", "opportunity:2", (DAY, image(1)))
    with pytest.raises(KeyboardInterrupt), forecast.ledger.transaction([record]) as cursor:  # noqa: PT012
        view.PROJECTIONS[0].save(cursor, {"acme": view.Customer(9, 9, 0)})
        raise KeyboardInterrupt
    assert (forecast.dump(), forecast.get("/v1/status")["position"]) == (before, position)
    forecast.settle()
    assert open_amount(forecast) == "101.00"


def test_a_worker_that_was_replaced_is_refused(forecast: Forecast) -> None:
    forecast.deal("acme", "opportunity:1", (DAY, image(100)))
    forecast.settle()
    zombie = forecast.worker
    forecast.crash()
    forecast.settle()
    record = forecast.deal("acme", "opportunity:2", (DAY, image(1)))
    before = forecast.dump()
    with pytest.raises(Fenced):
        zombie.process([record])
    assert forecast.dump() == before


# --------------------------------------------------------------------------------------------- parts


def parts(forecast: Forecast, customer: str = "acme") -> list[DealsChanged]:
    """A message in three parts; the second deal's history goes on from part to part."""
    changes = [
        [change("opportunity:1", (DAY, image(1))), change("opportunity:2", (DAY, image(10)))],
        [change("opportunity:2", (LATER, image(20)), since=LATER)],
        [change("opportunity:3", (DAY, image(100)))],
    ]
    return [forecast.deals(customer, *each, recorded=LATER, part=number, parts=3) for number, each in enumerate(changes, start=1)]


def test_parts_take_effect_together(forecast: Forecast) -> None:
    first, second, third = parts(forecast)
    forecast.publish(first, second)
    forecast.settle()
    forecast.crash()
    assert forecast.get("/v1/pipeline")["totals"]["open"]["count"] == 0
    forecast.publish(first, second, third)
    forecast.settle()
    assert open_amount(forecast) == "121.00"
    assert forecast.get("/v1/pipeline", as_of=DAY)["totals"]["open"]["amount"] == "111.00"
    assert forecast.get("/v1/status")["dead_letters"] == 0


def test_a_history_that_goes_on_with_the_same_since_is_one(forecast: Forecast) -> None:
    first = forecast.deals("acme", change("opportunity:1", (DAY, image(1))), part=1, parts=2)
    second = forecast.deals("acme", change("opportunity:1", (LATER, image(2)), since=DAY), part=2, parts=2)
    forecast.publish(first, second)
    forecast.settle()
    assert [state["valid_from"] for state in forecast.get("/v1/deals/opportunity:1", customer_id="acme")["history"]] == [DAY, LATER]


def test_the_parts_of_a_status_history_take_effect_together(forecast: Forecast) -> None:
    forecast.status("acme", DAY, "lead", "New", recorded=DAY)
    states = [(DAY, "Qualified"), (LATER, "Unqualified"), (NOW, "Dead")]
    messages = [
        forecast.statuses("acme", at, "lead", name, recorded=LATER, part=n, parts=3) for n, (at, name) in enumerate(states, 1)
    ]
    forecast.publish(*messages[:2])
    forecast.settle()
    forecast.crash()
    assert status_history(forecast) == [(parse_instant(DAY), "New")]
    forecast.publish(*messages)
    forecast.settle()
    assert status_history(forecast) == [(parse_instant(at), name) for at, name in states]
    assert forecast.get("/v1/status")["dead_letters"] == 0


def status_history(forecast: Forecast) -> list[tuple[int, str]]:
    """What is known now of the record's status."""
    with forecast.ledger.transaction() as cursor:
        cursor.execute(
            "SELECT valid_from, name FROM status_history WHERE recorded_to = ? AND customer_id = 'acme' ORDER BY valid_from",
            (FOREVER,),
        )
        return [(at, name) for at, name in cursor.fetchall()]


def test_parts_that_never_become_whole_are_dead_letters(forecast: Forecast) -> None:
    first, second, _ = parts(forecast)
    forecast.publish(first, second)
    forecast.deal("acme", "opportunity:9", (DAY, image(5)))
    forecast.settle()
    assert open_amount(forecast) == "5.00"
    assert [error for error, _, _ in letters(forecast)] == ["IncompleteMessage", "IncompleteMessage"]


def test_a_part_without_the_one_before_is_a_dead_letter(forecast: Forecast) -> None:
    _, second, third = parts(forecast)
    forecast.publish(second, third)
    forecast.settle()
    assert forecast.get("/v1/pipeline")["totals"]["open"]["count"] == 0
    assert [error for error, _, _ in letters(forecast)] == ["IncompleteMessage", "IncompleteMessage"]
    forecast.deal("acme", "opportunity:9", (DAY, image(5)))
    forecast.settle()
    assert open_amount(forecast) == "5.00"


def test_parts_of_different_messages_are_not_put_together(forecast: Forecast) -> None:
    first, _, _ = parts(forecast)
    _, second, third = parts(forecast)
    forecast.publish(first, second, third)
    forecast.settle()
    assert forecast.get("/v1/pipeline")["totals"]["open"]["count"] == 0
    assert [error for error, _, _ in letters(forecast)] == ["IncompleteMessage"] * 3


def test_parts_whose_histories_do_not_go_on_are_dead_letters_of_their_own_class(forecast: Forecast) -> None:
    for part in (1, 2):  # both begin at the same instant
        held = change("opportunity:1", (DAY, image(part)))
        forecast.publish(forecast.deals("acme", held, recorded=DAY, part=part, parts=2))
    forecast.settle()
    assert forecast.get("/v1/pipeline")["totals"]["open"]["count"] == 0
    assert [error for error, _, _ in letters(forecast)] == ["IncompleteMessage"] * 2
    forecast.deal("acme", "opportunity:9", (DAY, image(5)))
    forecast.settle()
    assert open_amount(forecast) == "5.00"


def test_a_clock_that_goes_back_makes_no_interval_that_ends_before_it_begins(forecast: Forecast) -> None:
    forecast.deal("acme", "opportunity:1", (DAY, image(1)), recorded=LATER)
    forecast.deal("acme", "opportunity:1", (DAY, image(2)), recorded=DAY)
    forecast.settle()
    assert open_amount(forecast) == "2.00"
    assert forecast.get("/v1/pipeline", known_at=DAY)["totals"]["open"]["count"] == 0
    assert forecast.get("/v1/pipeline", known_at=LATER)["totals"]["open"]["amount"] == "2.00"


def test_a_large_message_is_taken_in(forecast: Forecast) -> None:
    """Lifecycle splits above 512 KiB, which is more than an input may have."""
    many = [change(f"opportunity:{number}", (DAY, image(1, reason="x" * 1900))) for number in range(250)]
    message = forecast.message(forecast.deals("acme", *many))
    assert len(message.value or b"") > 500_000
    forecast.bus.append(message)
    forecast.settle()
    assert forecast.get("/v1/pipeline")["totals"]["open"]["count"] == 250


# -------------------------------------------------------------------------------------------- poison


def test_what_says_nothing_about_deals_is_passed_over(forecast: Forecast) -> None:
    message = RecordChanged(
        customer_id="acme",
        version=forecast.version("acme"),
        recorded_at=DAY,
        cause=CAUSE,
        status=Status(stage="lead", name="New", probability=0),
        changed=("owner",),
    )
    forecast.publish(message)
    forecast.settle()
    assert forecast.get("/v1/status")["position"] == 1
    assert forecast.get("/v1/status")["dead_letters"] == 0


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (lambda message: replace(message, value=b"{"), "$"),
        (lambda message: replace(message, value=None), "value"),
        (lambda message: replace(message, key=b"other"), "key"),
        (lambda message: replace(message, headers=message.headers[:3]), "header ce_type"),
        (lambda message: replace(message, value=message.value.replace(b'"probability":20', b'"probability":101')), None),
        (
            lambda message: replace(message, value=message.value.replace(b'"since":"2017-03-01', b'"since":"2017-03-02')),
            "$.deals[0].states",
        ),
    ],
)
def test_poison_is_one_dead_letter_and_delays_nothing(forecast: Forecast, spoil: Any, path: str | None) -> None:
    forecast.deal("acme", "opportunity:1", (DAY, image(100)))
    message = forecast.message(forecast.deals("acme", change("opportunity:2", (DAY, image(10)))))
    forecast.bus.append(spoil(message))
    forecast.deal("acme", "opportunity:3", (DAY, image(1)))
    forecast.settle()
    assert open_amount(forecast) == "101.00"
    ((error, reason, found),) = letters(forecast)
    assert error == "Undecodable"
    assert reason
    assert path in (None, found)
    assert forecast.get("/v1/status")["dead_letters"] == 1


def test_a_type_of_another_topic_is_a_dead_letter(forecast: Forecast) -> None:
    message = encode(
        LIFECYCLE.name,
        "crm.deals.changed.v1",
        forecast.deals("acme", change("opportunity:1", (DAY, image(1)))),
        source="x",
        id="1",
        occurred_at=0,
        recorded_at=0,
    )
    headers = tuple((name, b"crm.lead.created.v1" if name == "ce_type" else value) for name, value in message.headers)
    forecast.bus.append(Message(message.topic, message.key, message.value, headers, timestamp=0))
    forecast.settle()
    ((error, reason, _),) = letters(forecast)
    assert error == "Undecodable"
    assert "belongs on crm.lead.v1" in reason


def test_a_bug_is_one_dead_letter_and_not_ready(forecast: Forecast) -> None:
    """What the code cannot deal with (here: two customers have a deal of one name) is found among its neighbours."""
    forecast.deal("other", "opportunity:7", (DAY, image(None)))
    forecast.settle()
    with forecast.ledger.transaction() as cursor:
        cursor.execute("CREATE UNIQUE INDEX broken ON deal_history ((CASE WHEN deal_id = 'opportunity:7' THEN deal_id END))")
    for number in range(10):
        forecast.deal("acme", f"opportunity:{number}", (DAY, image(1)))
    drain([forecast.loop])
    assert open_amount(forecast) == "9.00"
    assert [error for error, _, _ in letters(forecast)] == ["Bug"]
    response = forecast.http.get("/readyz")
    assert response.status_code == 503
    assert {check["name"] for check in response.json()["checks"] if not check["ok"]} == {"bugs"}


@pytest.mark.parametrize("table", ["position", "dead_letter", "letter_count", "customer", "deal_history"])
def test_a_broken_database_is_told_and_no_record_pays_for_it(forecast: Forecast, table: str) -> None:
    forecast.settle()
    with closing(open_database(forecast.settings.database, forecast.path, schema="forecast")) as database:
        with database.begin() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO lost")
        forecast.deal("acme", "opportunity:1", (DAY, image(1)))
        forecast.bus.append(Message(LIFECYCLE.name, b"acme", b"poison", timestamp=0))
        for _ in range(20):
            forecast.loop.turn()
        response = forecast.http.get("/readyz")
        assert response.status_code == 503
        troubled = {check["name"]: check["detail"] for check in response.json()["checks"] if not check["ok"]}
        assert re.search(f'no such table: {table}|relation "{table}" does not exist', troubled["bus"])
        assert ("database" in troubled) == (table == "letter_count")
        assert "bugs" not in troubled
        pipeline = forecast.http.get("/v1/pipeline")
        assert pipeline.status_code == (503 if table in ("deal_history", "position") else 200)
        assert pipeline.status_code == 200 or pipeline.headers["content-type"] == "application/problem+json"
        with database.begin() as cursor:
            cursor.execute(f"ALTER TABLE lost RENAME TO {table}")
    forecast.settle()
    assert forecast.http.get("/readyz").json()["ready"]
    assert open_amount(forecast) == "1.00"
    assert [error for error, _, _ in letters(forecast)] == ["Undecodable"]


def test_dead_letters_count_as_lag_until_they_are_published(forecast: Forecast) -> None:
    forecast.settle()
    forecast.bus.slow = True
    forecast.bus.append(Message(LIFECYCLE.name, b"acme", b"{", timestamp=0))
    for _ in range(3):
        forecast.loop.turn()
    assert forecast.get("/v1/status")["lag"] == 1
    forecast.bus.slow = False
    forecast.settle()
    assert forecast.get("/v1/status")["lag"] == 0
    forecast.crash()
    forecast.settle()
    assert len(letters(forecast)) == 1


def test_what_is_dated_later_than_now_counts_when_it_is_due(forecast: Forecast) -> None:
    forecast.deal("acme", "opportunity:1", ("2018-01-15T12:30:00Z", image(100)), recorded=NOW)
    forecast.settle()
    tag = forecast.http.get("/v1/pipeline").headers["etag"]
    assert forecast.get("/v1/pipeline")["totals"]["open"]["count"] == 0
    forecast.now = "2018-01-15T12:30:00Z"
    response = forecast.http.get("/v1/pipeline", headers={"If-None-Match": tag})
    assert response.status_code == 200
    assert response.json()["totals"]["open"]["count"] == 1
