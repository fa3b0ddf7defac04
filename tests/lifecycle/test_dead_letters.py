"""Dead letters of lifecycle over HTTP: found, seen byte for byte, rehearsed, replayed with one effect, dropped, forgotten."""

import csv
import io
import itertools
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from events.bus.database import TRANSIENT
from events.bus.letters.office import REHEARSAL_SECONDS_MAX, Office
from events.bus.letters.selection import Selection
from events.bus.partitioner import murmur2
from events.facts import LeadCreated, OpportunityWon
from events.record import Message, Record
from events.values import NANOSECONDS, parse_instant
from services.lifecycle.api import create_app
from services.lifecycle.batch import Batch
from services.lifecycle.rehearsal import Rehearsal
from tests.lifecycle.domain.histories import TABLES
from tests.lifecycle.harness import SHARDS, Lifecycle, process_of

DAY_1, DAY_2, NOW = "2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z", "2026-03-03T12:00:00Z"
JUNK = b'\xff\xfe{"customer_id": "acme"\x00'


class Fixable:
    """A fault in taking in one customer's records, there until it is fixed: what a faulty release would be."""

    def __init__(self, lifecycle: Lifecycle, customer: str) -> None:
        self.fixed = False
        sound = lifecycle.worker.process

        def process(records: Any) -> None:
            if not self.fixed and any(record.key == customer.encode() for record in records):
                raise ZeroDivisionError(f"a fault in the release, for {customer}")
            sound(records)

        lifecycle.worker.process = process  # type: ignore[method-assign]


@pytest.fixture
def http(lifecycle: Lifecycle) -> TestClient:
    return client_of(lifecycle)


def client_of(lifecycle: Lifecycle) -> TestClient:
    store = lifecycle.stores[-1]
    rehearsal = Rehearsal(store, lifecycle.tables)
    office = Office(
        store.ledger.letters,
        store.database.read,
        rehearsal,
        ends=lifecycle.bus.end_offsets,
        transient=TRANSIENT,
        now=lambda: parse_instant(NOW),
    )
    app = create_app(store, lifecycle.tables, lifecycle.loop.progress, CollectorRegistry(), office=office)
    return TestClient(app)


def shard_of(customer: str) -> int:
    return murmur2(customer.encode(), SHARDS)


def astray(key: bytes, partitions: int) -> int:
    """Another partition than the customer's."""
    return (murmur2(key, partitions) + 1) % partitions


def won(customer: str = "acme") -> OpportunityWon:
    return OpportunityWon(customer_id=customer, opportunity_id="o1")


def junk(lifecycle: Lifecycle, key: bytes | None = b"acme", value: bytes | None = JUNK, topic: str = "crm.lead.v1") -> Record:
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"j-1"), ("ce_source", b"/web"), ("ce_type", b"crm.lead.created.v1"))
    message = Message(topic, key, value, (*headers, ("x-raw", b"\xff\x00"), ("ce_time", DAY_1.encode())), partition=1)
    return lifecycle.bus.append(replace(message, timestamp=parse_instant(DAY_1) // 1_000_000))


def ask(http: TestClient, path: str = "", status: int = 200, **parameters: Any) -> Any:
    answer = http.get(f"/v1/dead-letters{path}", params=parameters)
    assert answer.status_code == status, answer.text
    return answer.json()


def order(http: TestClient, act: str, status: int, **body: Any) -> Any:
    answer = http.post(f"/v1/dead-letters/{act}", json={"actor": "dana", **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_letter_is_listed_and_seen_byte_for_byte(lifecycle: Lifecycle, http: TestClient) -> None:
    record = junk(lifecycle)
    lifecycle.settle()
    (listed,) = ask(http)["dead_letters"]
    assert listed == {
        "letter": "lifecycle/1",
        "number": 1,
        "state": "waiting",
        "changed_at": None,
        "error": "Undecodable",
        "path": "$",
        "reason": listed["reason"],
        "topic": "crm.lead.v1",
        "partition": 1,
        "offset": 0,
        "recorded_at": DAY_1,
        "customer_id": "acme",
        "source": "/web",
        "id": "j-1",
        "type": "crm.lead.created.v1",
        "bytes": len(JUNK),
        "attempts": 1,
        "code_version": "test",
        "replay_of": None,
    }
    shown = ask(http, "/1")
    assert shown["key"] == {"text": "acme", "base64": "YWNtZQ=="}
    assert shown["value"]["text"] is None
    assert b64decode(shown["value"]["base64"]) == JUNK
    assert [(each["name"], b64decode(each["base64"])) for each in shown["headers"]] == list(record.headers)
    assert (shown["done"], shown["became"]) == ([], [])
    assert shown["verdict"]["outcome"] == "refused"
    raw = http.get("/v1/dead-letters/1/value")
    assert (raw.content, raw.headers["content-type"]) == (JUNK, "application/octet-stream")
    assert "no dead letter 7" in ask(http, "/7", 404)["detail"]


def test_whatever_is_refused_again_by_force_is_another_letter(lifecycle: Lifecycle, http: TestClient) -> None:
    """Of every error, and where the record lay with a neighbour: nothing that is replayed is passed over without a word."""
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme", company="A"), DAY_1, id="one")
    lifecycle.settle()
    other = lifecycle.message("crm.lead.created.v1", LeadCreated(customer_id="acme", company="B"), DAY_1, id="one")
    lifecycle.bus.append(other)
    lifecycle.bus.append(
        replace(other, partition=astray(b"acme", SHARDS), value=other.value and other.value.replace(b'"B"', b'"C"'))
    )
    junk(lifecycle)
    lifecycle.settle()
    waiting = lifecycle.store.ledger.dead_letters()
    assert waiting == {"IdentityConflict": 2, "Undecodable": 1}
    said = order(http, "replay", 202, all=True, force=True)
    assert [each["verdict"]["outcome"] for each in said["letters"]] == ["refused"] * 3
    lifecycle.settle()
    assert lifecycle.store.ledger.dead_letters() == waiting, "another one for each"
    assert {each["replay_of"] for each in ask(http, again=True)["dead_letters"]} == {"lifecycle/1", "lifecycle/2", "lifecycle/3"}


def test_a_bug_is_replayed_after_its_fix_and_has_the_effect_of_one(lifecycle: Lifecycle, http: TestClient) -> None:
    fault = Fixable(lifecycle, "acme")
    lifecycle.publish("crm.opportunity.won.v1", won(), DAY_2)
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="beta"), DAY_1)
    lifecycle.settle()
    assert http.get("/readyz").json()["checks"][-1]["ok"] is False
    (letter,) = ask(http, error="Bug")["dead_letters"]
    assert letter["reason"] == "ZeroDivisionError: a fault in the release, for acme"

    fault.fixed = True
    dry = order(http, "replay", 200, all=True, dry_run=True)
    assert [(each["letter"], each["done"], each["verdict"]["outcome"]) for each in dry["letters"]] == [
        ("lifecycle/1", "replayed", "accepted")
    ]
    assert lifecycle.store.ledger.dead_letters() == {"Bug": 1}

    assert order(http, "replay", 202, all=True, reason="release 7")["done"] == 1
    assert http.get("/readyz").json()["checks"][-1]["ok"] is True
    lifecycle.settle()
    assert lifecycle.store.version_of(shard_of("acme"), "acme") > 0
    told = [fact.data.deals for fact in lifecycle.published() if fact.type == "crm.deals.changed.v1"]
    assert len(told) == 1

    again = order(http, "replay", 200, all=True)
    assert (again["done"], again["letters"]) == (0, [])
    by_number = order(http, "replay", 200, filter={"number": [1], "state": "any"})
    assert by_number["letters"][0]["why"] == "it is replayed already"
    assert order(http, "replay", 202, filter={"number": [1], "state": "any"}, force=True)["done"] == 1
    lifecycle.settle()
    assert [fact.data.deals for fact in lifecycle.published() if fact.type == "crm.deals.changed.v1"] == told
    assert lifecycle.counted("crm.opportunity.v1", "repeated") == 1
    shown = ask(http, "/1")
    assert [(act["act"], act["actor"], act["reason"], act["published"]) for act in shown["done"]] == [
        ("replayed", "dana", "release 7", True),
        ("replayed", "dana", "", True),
    ]
    assert (shown["state"], shown["became"], shown["verdict"]["outcome"]) == ("replayed", [], "repeated")


def test_what_is_replayed_is_the_record_itself_with_one_header_more(lifecycle: Lifecycle, http: TestClient) -> None:
    record = junk(lifecycle)
    lifecycle.settle()
    order(http, "replay", 202, all=True, force=True)
    lifecycle.settle()
    first, second = [each for each in lifecycle.bus.records("crm.lead.v1") if each.value == JUNK]
    assert (first.key, first.value, first.headers, first.partition) == (record.key, JUNK, record.headers, record.partition)
    assert (second.key, second.value, second.partition) == (record.key, JUNK, record.partition)
    assert second.headers == (*record.headers, ("dl_replay", b"lifecycle/1/1"))


def test_a_replay_that_fails_again_is_a_letter_that_names_the_first(lifecycle: Lifecycle, http: TestClient) -> None:
    junk(lifecycle)
    lifecycle.settle()
    kept = order(http, "replay", 200, all=True)
    assert (kept["done"], kept["letters"][0]["why"]) == (0, "it would be refused again")
    for _ in range(2):
        assert order(http, "replay", 202, all=True, force=True)["done"] == 1
        lifecycle.settle()
    waiting = ask(http, again="true", newer_than=1)["dead_letters"]
    assert [(each["letter"], each["replay_of"]) for each in waiting] == [("lifecycle/3", "lifecycle/1")]
    assert ask(http, "/1")["became"] == ["lifecycle/2", "lifecycle/3"]
    assert [header for header in lifecycle.bus.records("crm.lead.v1")[-1].headers if header[0] == "dl_replay"] == [
        ("dl_replay", b"lifecycle/2/2")
    ]
    assert lifecycle.store.ledger.dead_letters() == {"Undecodable": 1}


def test_replays_that_fail_are_not_replayed_by_who_replays_all(lifecycle: Lifecycle, http: TestClient) -> None:
    """Each failure is a new letter that waits: going on page by page would never end if those were meant too."""
    for _ in range(5):
        junk(lifecycle)
    lifecycle.settle()
    after, done = None, 0
    while True:
        answer = http.post(
            "/v1/dead-letters/replay", json={"actor": "dana", "all": True, "force": True, "limit": 2, "after": after}
        ).json()
        done += answer["done"]
        lifecycle.settle()
        after = answer["next"]
        if after is None:
            break
    assert (done, lifecycle.store.ledger.dead_letters()) == (5, {"Undecodable": 5})
    assert [each["number"] for each in ask(http, order="asc")["dead_letters"]] == [6, 7, 8, 9, 10]


def test_a_rehearsal_that_takes_long_ends_early_and_goes_on(lifecycle: Lifecycle) -> None:
    """A record of thousands of facts is folded for each of its letters: no request may take as long as a thousand of those."""
    for _ in range(5):
        junk(lifecycle)
    lifecycle.settle()
    times = itertools.count(0.0, REHEARSAL_SECONDS_MAX / 2 + 0.1)
    office = Office(
        lifecycle.store.ledger.letters,
        lifecycle.store.database.read,
        Rehearsal(lifecycle.store, lifecycle.tables),
        ends=lifecycle.bus.end_offsets,
        transient=TRANSIENT,
        now=lambda: parse_instant(NOW),
        monotonic=lambda: next(times),
    )
    rounds, after = [], None
    while after is None or rounds[-1].more:
        rounds.append(office.replay(Selection(), actor="a", why="", force=False, dry_run=True, after=after, limit=10))
        after = rounds[-1].decisions[-1].line.number
    assert [[decision.line.number for decision in each.decisions] for each in rounds] == [[1, 2], [3, 4], [5]]


def test_operators_who_replay_at_once_replay_once(lifecycle: Lifecycle, http: TestClient) -> None:
    fault = Fixable(lifecycle, "acme")
    lifecycle.publish("crm.opportunity.won.v1", won(), DAY_2)
    lifecycle.settle()
    fault.fixed = True
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: http.post("/v1/dead-letters/replay", json={"actor": "dana", "all": True}), range(8)))
    assert sorted(answer.json()["done"] for answer in answers) == [0] * 7 + [1]
    lifecycle.settle()
    assert sum(record.key == b"acme" for record in lifecycle.bus.records("crm.opportunity.v1")) == 2
    assert len([fact for fact in lifecycle.published() if fact.type == "crm.deals.changed.v1"]) == 1


def test_a_replay_survives_a_crash_and_a_bus_that_is_away(lifecycle: Lifecycle, http: TestClient) -> None:
    fault = Fixable(lifecycle, "acme")
    lifecycle.publish("crm.opportunity.won.v1", won(), DAY_2)
    lifecycle.settle()
    fault.fixed = True
    lifecycle.bus.away = True
    assert order(http, "replay", 202, all=True)["done"] == 1
    lifecycle.loop.turn()
    lifecycle.crash()
    lifecycle.bus.away = False
    lifecycle.settle()
    assert len([fact for fact in lifecycle.published() if fact.type == "crm.deals.changed.v1"]) == 1
    assert ask(client_of(lifecycle), "/1")["done"][0]["published"] is True


def test_another_worker_relays_what_this_one_was_asked_for(
    lifecycle: Lifecycle, http: TestClient, eventually: Callable[..., None]
) -> None:
    """The one that answers over HTTP need not have the partition: the database says what is to be published."""
    fault = Fixable(lifecycle, "acme")
    lifecycle.publish("crm.opportunity.won.v1", won(), DAY_2)
    lifecycle.settle()
    fault.fixed = True
    store, _, _ = lifecycle.start("lifecycle-2")
    assert store is lifecycle.stores[-1]
    other = client_of(lifecycle)
    assert order(other, "replay", 202, all=True)["done"] == 1
    eventually(lambda: lifecycle.counted("crm.opportunity.v1", "accepted") or lifecycle.published(), doing=lifecycle.loop.turn)


def test_the_rehearsal_says_what_the_fold_would(lifecycle: Lifecycle, http: TestClient) -> None:
    fault = Fixable(lifecycle, "acme")
    lifecycle.publish("crm.opportunity.won.v1", won(), DAY_2, id="one")
    stray = lifecycle.bus.append(lifecycle.message("crm.opportunity.won.v1", won(), DAY_1, id="two"), partitioner=astray)
    for opportunity in ("o1", "o2"):
        fact = OpportunityWon(customer_id="beta", opportunity_id=opportunity)
        lifecycle.publish("crm.opportunity.won.v1", fact, DAY_1, id="three")
    lifecycle.settle()
    fault.fixed = True
    lifecycle.publish("crm.opportunity.won.v1", won(), DAY_2, id="one")  # its sender has sent it again meanwhile
    lifecycle.settle()
    assert stray.partition != shard_of("acme")
    told = order(http, "replay", 200, all=True, dry_run=True)["letters"]
    rehearsed = {(each["verdict"]["outcome"], each["verdict"]["error"], each["done"]) for each in told}
    assert rehearsed == {
        ("repeated", None, "replayed"),
        ("accepted", None, "replayed"),
        ("refused", "IdentityConflict", None),
    }
    assert lifecycle.counted("crm.opportunity.v1", "moved") == 0


def test_a_fact_from_the_future_is_taken_in_once_its_time_has_come(lifecycle: Lifecycle, http: TestClient) -> None:
    message = lifecycle.message("crm.opportunity.won.v1", won(), NOW)
    lifecycle.bus.append(replace(message, timestamp=parse_instant(DAY_1) // 1_000_000))
    lifecycle.settle()
    (letter,) = ask(http)["dead_letters"]
    assert letter["path"] == "header ce_time"
    assert ask(http, "/1")["verdict"]["outcome"] == "accepted"  # the broker stamps it anew


def test_letters_are_found_counted_and_paged(lifecycle: Lifecycle, http: TestClient) -> None:
    for number in range(7):
        junk(lifecycle, key=f"c-{number}".encode(), value=b"{}" if number % 2 else b"{1, 2", topic="crm.lead.v1")
    junk(lifecycle, key=None, value=None, topic="crm.quote.v1")
    lifecycle.settle()
    assert ask(http, count="true", limit=3) | {"dead_letters": []} == {"dead_letters": [], "next": 6, "count": 8}
    first = ask(http, limit=5)
    rest = ask(http, limit=5, after=first["next"])
    assert [each["number"] for each in first["dead_letters"] + rest["dead_letters"]] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert rest["next"] is None
    assert [each["number"] for each in ask(http, order="asc", limit=2)["dead_letters"]] == [1, 2]
    for parameters, count in (
        ({"topic": ["crm.quote.v1"]}, 1),
        ({"customer_id": ["c-1", "c-2"]}, 2),
        ({"source": "/web", "id": "j-1", "type": "crm.lead.created.v1"}, 8),
        ({"id": "other"}, 0),
        ({"text": "MALFORMED"}, 4),
        ({"text": "100%_!"}, 0),
        ({"partition": 1, "offset": 0}, 2),
        ({"recorded_from": "2026-03-01", "recorded_to": "2026-03-01"}, 8),
        ({"recorded_to": "2026-02-28"}, 0),
        ({"recorded_from": "2026-03-01T09:00:00.001Z"}, 0),
        ({"state": "any", "again": "false"}, 8),
        ({"state": "dropped"}, 0),
        ({"error": ["Bug", "LimitExceeded"]}, 0),
    ):
        assert ask(http, count="true", limit=1, **parameters)["count"] == count, parameters  # type: ignore[arg-type]
    groups = ask(http, "/groups")
    assert [(each["error"], each["path"], each["count"], each["newest"]) for each in groups["groups"]] == [
        ("Undecodable", "$", 4, 7),
        ("Undecodable", "$.customer_id", 3, 6),
        ("Undecodable", "value", 1, 8),
    ]
    assert (groups["count"], groups["more"]) == (8, False)
    assert ask(http, "/groups", by="day")["groups"] == [
        {"day": "2026-03-01", "count": 8, "first": DAY_1, "last": DAY_1, "newest": 8}
    ]
    assert [(each["topic"], each["count"]) for each in ask(http, "/groups", by="topic", limit=1)["groups"]] == [("crm.lead.v1", 7)]
    text = http.get("/v1/dead-letters", headers={"Accept": "text/csv"}).text
    lines = list(csv.DictReader(io.StringIO(text)))
    assert ([line["letter"] for line in lines], lines[0]["recorded_at"]) == ([f"lifecycle/{n}" for n in range(8, 0, -1)], DAY_1)


def test_a_list_that_has_not_changed_is_not_sent_again(lifecycle: Lifecycle, http: TestClient) -> None:
    junk(lifecycle)
    lifecycle.settle()
    tag = http.get("/v1/dead-letters").headers["etag"]
    assert http.get("/v1/dead-letters", headers={"If-None-Match": tag}).status_code == 304
    assert http.get("/v1/dead-letters?limit=5", headers={"If-None-Match": tag}).status_code == 200
    order(http, "drop", 200, all=True, reason="known")
    assert http.get("/v1/dead-letters", headers={"If-None-Match": tag}).json()["dead_letters"] == []


def test_what_is_dropped_is_done_with_and_can_be_had_back(lifecycle: Lifecycle, http: TestClient) -> None:
    fault = Fixable(lifecycle, "acme")
    lifecycle.publish("crm.opportunity.won.v1", won(), DAY_2, id="o-1")
    lifecycle.settle()
    dry = order(http, "drop", 200, all=True, reason="a test", dry_run=True)
    assert (dry["done"], dry["dry_run"], lifecycle.store.ledger.dead_letters()) == (1, True, {"Bug": 1})
    assert order(http, "drop", 200, all=True, reason="a test")["done"] == 1
    assert lifecycle.store.ledger.dead_letters() == {}
    assert ask(http, "/1")["done"][0]["reason"] == "a test"
    (told,) = http.get("/v1/events", params={"source": "crm", "id": "o-1"}).json()["found"]
    assert (told["error"], told["resolved"]) == ("Bug", "dropped")
    again = order(http, "drop", 200, filter={"number": [1], "state": "any"}, reason="again")
    assert again["letters"][0]["why"] == "it is dropped already"
    fault.fixed = True
    assert order(http, "replay", 202, filter={"number": [1], "state": "dropped"})["done"] == 1
    lifecycle.settle()
    assert lifecycle.store.ledger.dead_letters() == {}
    assert [fact for fact in lifecycle.published() if fact.type == "crm.deals.changed.v1"]


def test_a_letter_whose_replay_would_be_too_large_is_not_replayed(lifecycle: Lifecycle, http: TestClient) -> None:
    junk(lifecycle, value=b"[" * (1024 * 1024 - 600))
    lifecycle.settle()
    assert ask(http, "/1")["verdict"]["outcome"] == "refused"
    large = b"[" * (1024 * 1024 - 91 - 4 - sum(len(n) + len(v) + 10 for n, v in lifecycle.bus.records("crm.lead.v1")[0].headers))
    junk(lifecycle, value=large)
    lifecycle.settle()
    told = order(http, "replay", 202, all=True, force=True)["letters"]
    assert [(each["number"], each["done"], each["verdict"]["error"]) for each in told] == [
        (1, "replayed", "Undecodable"),
        (2, None, "TooLarge"),
    ]
    lifecycle.settle()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"actor": "dana"}, "it is empty, so all that wait are meant"),
        ({"actor": "dana", "filter": {"state": "any"}}, "it is empty"),
        ({"all": True}, "actor"),
        ({"all": True, "actor": ""}, "actor"),
        ({"actor": "dana", "filter": {"eror": ["Bug"]}}, "did you mean error?"),
        ({"actor": "dana", "filter": {"state": "gone"}}, "waiting, replayed, dropped"),
        ({"actor": "dana", "filter": {"number": [2**64]}}, "number"),
        ({"actor": "dana", "filter": {"number": []}}, "number"),
        ({"actor": "dana", "filter": {"recorded_from": "yesterday"}}, "recorded_from"),
        ({"actor": "dana", "all": True, "limit": 1001}, "limit"),
        ({"actor": "dana", "all": True, "after": "7"}, "after"),
        ([], ""),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(http: TestClient, body: Any, said: str) -> None:
    answer = http.post("/v1/dead-letters/replay", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert said in answer.json()["detail"]


def test_parameters_of_lists_are_checked_too(http: TestClient) -> None:
    assert "did you mean error?" in ask(http, status=422, errors="Bug")["detail"]
    assert "is given more than once" in http.get("/v1/dead-letters?limit=1&limit=2").json()["detail"]
    assert http.get("/v1/dead-letters?error=Bug&error=Undecodable").status_code == 200
    assert http.get(f"/v1/dead-letters?after={2**63}").status_code == 422
    assert http.get("/v1/dead-letters/0").status_code == 422
    assert http.get("/v1/dead-letters/x").status_code == 422
    assert http.post("/v1/dead-letters/drop", json={"actor": "dana", "all": True}).status_code == 422  # without a reason


def test_texts_may_hold_what_no_database_does(lifecycle: Lifecycle, http: TestClient) -> None:
    junk(lifecycle, key=b"a\x00\xff", value=b"\x00")
    lifecycle.settle()
    body = b'{"actor": "d\\u0000\\ud800", "all": true, "reason": "\\u0000"}'
    answer = http.post("/v1/dead-letters/drop", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 422), answer.text
    assert ask(http, customer_id="a\\0�", state="any")["dead_letters"], "as it is shown"


def test_forgotten_is_what_was_dealt_with_and_published_long_ago(lifecycle: Lifecycle, http: TestClient) -> None:
    for _ in range(4):
        junk(lifecycle)
    lifecycle.settle()
    order(http, "replay", 202, filter={"number": [1]}, force=True)
    order(http, "drop", 200, filter={"number": [2]}, reason="known")
    lifecycle.settle()  # the replay is letter 5
    order(http, "replay", 202, filter={"number": [3]}, force=True)  # not published yet
    letters, now = lifecycle.store.ledger.letters, parse_instant(NOW)
    assert letters.prune(now, at=now) == 0
    tag = http.get("/v1/dead-letters?state=any").headers["etag"]
    assert letters.prune(now + NANOSECONDS, at=now, limit=1) == 1
    assert letters.prune(now + NANOSECONDS, at=now) == 1
    assert [each["number"] for each in ask(http, state="any", order="asc")["dead_letters"]] == [3, 4, 5]
    assert http.get("/v1/dead-letters?state=any", headers={"If-None-Match": tag}).status_code == 200
    assert [each["replay_of"] for each in ask(http, number=5)["dead_letters"]] == ["lifecycle/1"]
    lifecycle.settle()
    assert letters.prune(now + NANOSECONDS, at=now) == 1
    assert lifecycle.store.ledger.dead_letters() == {"Undecodable": 3}


def test_a_batch_that_is_only_asked_writes_nothing(lifecycle: Lifecycle) -> None:
    record = lifecycle.bus.append(lifecycle.message("crm.opportunity.won.v1", won(), DAY_2))
    assert Rehearsal(lifecycle.store, lifecycle.tables)(record).outcome == "accepted"
    assert Batch(lifecycle.store, lifecycle.tables, {}).work.events == {}
    assert lifecycle.store.customers() == 0


def test_a_table_that_is_not_read_here_yet_is_read_for_the_rehearsal(lifecycle: Lifecycle) -> None:
    """Another worker, or the one before, was faster: that is no reason to refuse anything."""
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme"), DAY_1)
    lifecycle.publish_table(process_of(TABLES["short"]), "2026-01-01T00:00:00Z", version=1)
    lifecycle.settle()
    lifecycle.crash()
    record = lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme", company="Acme"), DAY_2)
    assert Rehearsal(lifecycle.store, lifecycle.tables)(record).outcome == "accepted"
