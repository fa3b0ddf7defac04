"""The checker of the campaign: silent about services that did their work, and not about a single thing that is wrong."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from events.bus.database.sqlite import SQLite
from events.bus.letters.tables import REPLAY
from events.bus.memory import drain
from events.facts import Contact
from events.published import RecordChanged, Status, StatusChanged
from events.record import Message, Record
from events.topics import ASSIGNMENT, DIRECTORY, LIFECYCLE, MOVED, TICK_TYPE, TOPICS
from events.values import NANOSECONDS, format_instant, parse_instant
from services.lifecycle.reading import NOW, customer_view, read
from services.routing.domain.story import Assigned, Superseded
from tests.faults import gathering
from tests.faults.checker import findings, lacking
from tests.faults.evidence import LOST_NOTHING, Evidence, Lost, content_of
from tests.faults.load import items
from tests.forecast.harness import Forecast
from tests.lifecycle.harness import SHARDS, Lifecycle
from tests.routing.harness import Routing

BEGIN = 1_767_225_600 * NANOSECONDS
"""Where time begins on the memory bus."""
SEED, FACTS = 12, 350


@dataclass
class World:
    """The three services on a memory bus."""

    lifecycle: Lifecycle
    routing: Routing
    forecast: Forecast

    def settle(self) -> None:
        drain([self.lifecycle.loop, *self.routing.loops], turns_max=2_000)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """What the three services made of a load when nothing went wrong."""
    folder = tmp_path_factory.mktemp("world")
    lifecycle = Lifecycle(folder / "lifecycle.sqlite", clock=lambda: BEGIN)
    routing = Routing(folder, bus=lifecycle.bus)
    world = World(lifecycle, routing, Forecast(folder / "forecast.sqlite"))
    sent = []

    def held(customer: str) -> Any:
        world.settle()
        given = [said for said in world.routing.said(customer) if hasattr(said, "rule_set_version")]
        return given[-1] if given else None

    for item in itertools.islice(items(SEED, lambda: BEGIN + NANOSECONDS, held=held, shards=SHARDS), FACTS):
        lifecycle.bus.append(item.message)
        sent.append(item)
    world.settle()
    yield gathered(world, folder, sent)
    routing.close()
    world.forecast.close()
    for store in lifecycle.stores:
        store.close()


def gathered(world: World, folder: Path, sent: list[Any]) -> Evidence:
    lifecycle, forecast = world.lifecycle, world.forecast
    logs = {topic.name: lifecycle.bus.records(topic.name) for topic in TOPICS}
    for record in (*logs[LIFECYCLE.name], *logs[DIRECTORY.name]):
        forecast.bus.append(Message(record.topic, record.key, record.value, record.headers, record.partition, record.timestamp))
    forecast.now = format_instant(BEGIN + 3600 * NANOSECONDS)
    forecast.directories.refresh()
    forecast.settle()
    store, policy = lifecycle.store, lifecycle.policy
    customers = gathering.customers_of(store)
    records = {}
    for _, customer in customers:
        records[customer] = customer_view(read(store, customer, NOW, policy))
    return Evidence(
        sent=sent,
        partitions=SHARDS,
        logs=logs,
        accepted=gathering.stored_facts(store, customers),
        records=records,
        notifications=gathering.notifications(store),
        withheld=gathering.withheld(store),
        decisions=world.routing.log(),
        letters={name: gathering.buried(SQLite(folder / f"{name}.sqlite")) for name in ("lifecycle", "routing", "forecast")},
        answers=[
            gathering.answer_of(path, asked, forecast.get(path, **asked))
            for path, asked in gathering.questions(BEGIN + NANOSECONDS)
        ],
    )


def test_the_load_has_everything_that_the_checker_looks_at(evidence: Evidence) -> None:
    """Or its silence would mean nothing."""
    assert lacking(evidence) == []
    assert sum(item.malformed for item in evidence.sent) > 5
    assert len(evidence.records) > 20
    assert sum(isinstance(event, Assigned) for event in evidence.decisions) > 20


def test_what_is_not_there_is_told(evidence: Evidence) -> None:
    nothing = replace(evidence, logs={topic.name: [] for topic in TOPICS}, accepted=[], answers=[])
    assert len(lacking(nothing)) == 12
    assert lacking(with_log(evidence, ASSIGNMENT.name, lambda _: [])) == ["campaign: there never was an assignment"]


def test_it_finds_nothing_where_nothing_is_wrong(evidence: Evidence) -> None:
    assert findings(evidence, BEGIN) == []


# ------------------------------------------------------------------------------- one thing wrong at a time


def with_log(evidence: Evidence, topic: str, change: Callable[[list[Record]], list[Record]]) -> Evidence:
    return replace(evidence, logs={**evidence.logs, topic: change(list(evidence.logs[topic]))})


def without_an_input(evidence: Evidence) -> Evidence:
    return with_log(evidence, "crm.quote.v1", lambda records: records[1:])


def without_a_stored_fact(evidence: Evidence) -> Evidence:
    return replace(evidence, accepted=evidence.accepted[1:])


def with_a_fact_twice(evidence: Evidence) -> Evidence:
    return replace(evidence, accepted=[*evidence.accepted, *evidence.accepted[:3]])


def with_a_contested_fact_twice(evidence: Evidence) -> Evidence:
    """The content that came first, the one that took its place, and the first one again."""
    times = Counter(accepted.identity for accepted in evidence.accepted)
    again = next(accepted for accepted in evidence.accepted if times[accepted.identity] == 2)
    return replace(evidence, accepted=[*evidence.accepted, again])


def with_a_fact_that_says_something_else(evidence: Evidence) -> Evidence:
    first, *others = evidence.accepted
    return replace(evidence, accepted=[first._replace(content=b"something else"), *others])


def with_a_tick_too_early(evidence: Evidence) -> Evidence:
    """A second before the lead was to come back, in the log of notifications, too."""

    def earlier(message: Any) -> Any:
        if ("ce_type", TICK_TYPE.encode()) not in message.headers:
            return message
        at = format_instant(parse_instant(dict(message.headers)["ce_time"].decode()) - NANOSECONDS)
        return replace(message, headers=tuple((n, at.encode() if n == "ce_time" else v) for n, v in message.headers))

    spoiled = with_log(evidence, MOVED.name, lambda records: [earlier(record) for record in records])
    return replace(spoiled, notifications=[earlier(message) for message in evidence.notifications])


def without_a_message(evidence: Evidence) -> Evidence:
    return with_log(evidence, LIFECYCLE.name, lambda records: records[:-1])


def with_a_message_withheld(evidence: Evidence) -> Evidence:
    """The last one, without a reason: it lies nowhere, and the log of notifications says that it never shall."""
    *others, last = evidence.notifications
    return replace(without_a_message_like(evidence, last), notifications=others, withheld=[last])


def with_a_message_withheld_that_lies_there(evidence: Evidence) -> Evidence:
    return replace(evidence, withheld=[next(m for m in evidence.notifications if m.topic == LIFECYCLE.name)])


def without_a_message_like(evidence: Evidence, message: Message) -> Evidence:
    return with_log(evidence, message.topic, lambda records: [r for r in records if content_of(r) != content_of(message)])


def with_two_messages_exchanged(evidence: Evidence) -> Evidence:
    def exchanged(records: list[Record]) -> list[Record]:
        n = next(n for n in range(len(records) - 1) if records[n].key == records[n + 1].key)
        return [*records[:n], records[n + 1], records[n], *records[n + 2 :]]

    return with_log(evidence, LIFECYCLE.name, exchanged)


def with_a_repeat_that_is_not_the_same(evidence: Evidence) -> Evidence:
    def repeated(records: list[Record]) -> list[Record]:
        return [*records, replace(records[0], offset=10**6, value=records[1].value)]

    return with_log(evidence, LIFECYCLE.name, repeated)


def with_a_record_of(name: str, value: Any) -> Callable[[Evidence], Evidence]:
    def changed(evidence: Evidence) -> Evidence:
        customer = next(customer for customer, body in evidence.records.items() if body[name] != value)
        return replace(evidence, records={**evidence.records, customer: {**evidence.records[customer], name: value}})

    return changed


def without_a_record(evidence: Evidence) -> Evidence:
    return replace(evidence, records=dict(list(evidence.records.items())[1:]))


def without_a_letter(evidence: Evidence) -> Evidence:
    return replace(evidence, letters={**evidence.letters, "lifecycle": evidence.letters["lifecycle"][1:]})


def with_a_letter_too_much(evidence: Evidence) -> Evidence:
    return replace(evidence, letters={**evidence.letters, "forecast": [(LIFECYCLE.name, 0, 0)]})


def with_a_letter_that_was_not_published(evidence: Evidence) -> Evidence:
    return with_log(evidence, "lifecycle.dead-letter.v1", lambda records: records[1:])


def with_a_letter_again(anew: dict[str, bytes], *, lost: bool) -> Callable[[Evidence], Evidence]:
    """A dead letter of a database that came after the one of another letter was lost; ``lost``: after its own one was."""

    def changed(evidence: Evidence) -> Evidence:
        letter, other, *_ = evidence.logs["lifecycle.dead-letter.v1"]
        headers = tuple((name, anew.get(name, value)) for name, value in letter.headers)
        again = with_log(evidence, letter.topic, lambda records: [*records, replace(letter, offset=10**6, headers=headers)])
        headers_of_lost = dict((letter if lost else other).headers)
        place = (headers_of_lost["dl_topic"].decode(), int(headers_of_lost["dl_partition"]), int(headers_of_lost["dl_offset"]))
        return replace(again, lost=Lost(letters={"lifecycle": {place}}))

    return changed


def with_a_cent_too_much(evidence: Evidence) -> Evidence:
    answer = next(answer for answer in evidence.answers if answer.path == "/v1/pipeline")
    totals = answer.body["totals"]
    cents = f"{float(totals['open']['amount']) + 0.01:.2f}"
    body: Mapping[str, Any] = {**answer.body, "totals": {**totals, "open": {**totals["open"], "amount": cents}}}
    return replace(evidence, answers=[answer._replace(body=body)])


def with_an_answer(of: Callable[[Any], bool], **changed: Any) -> Callable[[Evidence], Evidence]:
    """The first answer of some says something else than it did."""

    def wrong(evidence: Evidence) -> Evidence:
        answer = next(answer for answer in evidence.answers if of(answer))
        return replace(evidence, answers=[answer._replace(body={**answer.body, **changed})])

    return wrong


def with_the_answer_of_another_moment(evidence: Evidence) -> Evidence:
    """A forecast that ignores ``as_of``, and says so."""
    asked = next(answer for answer in evidence.answers if "as_of" in answer.parameters and "by" not in answer.parameters)
    others = {name: value for name, value in asked.parameters.items() if name != "as_of"}
    now = next(answer for answer in evidence.answers if answer.path == asked.path and answer.parameters == others)
    return replace(evidence, answers=[asked._replace(body=now.body)])


def with_an_answer_from_the_future(evidence: Evidence) -> Evidence:
    return replace(evidence, answers=[answer._replace(ended=BEGIN) for answer in evidence.answers])


def without_a_decision(evidence: Evidence) -> Evidence:
    return replace(evidence, decisions=evidence.decisions[:-1])


def with_another_rep(evidence: Evidence) -> Evidence:
    place, event = next((n, e) for n, e in enumerate(evidence.decisions) if isinstance(e, Assigned))
    changed = replace(event, rep_id="carol" if event.rep_id != "carol" else "anna")
    return replace(evidence, decisions=[*evidence.decisions[:place], changed, *evidence.decisions[place + 1 :]])


def without_an_assignment(evidence: Evidence) -> Evidence:
    return with_log(evidence, ASSIGNMENT.name, lambda records: records[1:])


def with_a_directory_again(evidence: Evidence) -> Evidence:
    return with_log(evidence, DIRECTORY.name, lambda records: [*records, *records])


def with_last_words(change: Callable[[Any], Any]) -> Callable[[Evidence], Evidence]:
    """What was said of a record, other than it is: the last such message of a customer, in the log of notifications, too."""

    def changed(evidence: Evidence) -> Evidence:
        last = {
            fact.customer_id: (record, fact.data)
            for record, fact in evidence.facts(LIFECYCLE.name)
            if isinstance(fact.data, StatusChanged | RecordChanged)
        }
        record, data = next((r, d) for r, d in last.values() if isinstance(d, StatusChanged) and d.previous is not None)
        value = msgspec.json.encode(change(data))
        spoiled = with_log(
            evidence, LIFECYCLE.name, lambda records: [replace(r, value=value) if r is record else r for r in records]
        )
        notes = [replace(m, value=value) if content_of(m) == content_of(record) else m for m in evidence.notifications]
        return replace(spoiled, notifications=notes)

    return changed


def another(status: Status | None) -> Status:
    return Status(stage="lead", name="Inactive", probability=1)


WRONG_WORDS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda data: replace(data, current=another(data.current)), "published: status of "),
    (lambda data: replace(data, current=another(data.current)), "published: of "),
    (lambda data: replace(data, previous=another(data.previous)), "published: of "),
    (lambda data: replace(data, profile=replace(data.profile, company="Another GmbH")), "published: profile of "),
    (lambda data: replace(data, contact=Contact(name="Somebody Else")), "published: contact of "),
]


@pytest.mark.parametrize(("change", "kind"), WRONG_WORDS)
def test_it_finds_what_is_wrong_in_what_routing_goes_by(evidence: Evidence, change: Callable[[Any], Any], kind: str) -> None:
    found = findings(with_last_words(change)(evidence), BEGIN)
    assert any(finding.startswith(kind) for finding in found), found[:5]


def without_the_last_word(evidence: Evidence) -> Evidence:
    """An assignment has ended by desk and record, and its rep was not told."""
    last = next(event for event in reversed(evidence.decisions) if isinstance(event, Assigned))
    common: dict[str, Any] = {"customer_id": last.customer_id, "version": last.version + 1, "at": last.at + 1, "cause": last.cause}
    ended = Superseded(**common, assignment_id=last.assignment_id, rep_id=last.rep_id, owner="elena", confirmed=False)
    record = {**evidence.records[last.customer_id], "owner": "elena", "assignment_id": None}
    records = {**evidence.records, last.customer_id: record}
    return replace(evidence, decisions=[*evidence.decisions, ended], records=records)


def with_a_record_that_was_forgotten(evidence: Evidence) -> Evidence:
    """Nobody has it, and it was never decided whose it is to be."""
    gone = next(customer for customer, record in evidence.records.items() if record["stage"] != "customer")
    records = {**evidence.records, gone: {**evidence.records[gone], "owner": None, "assignment_id": None}}
    decisions = [event for event in evidence.decisions if getattr(event, "customer_id", "") != gone]
    return replace(evidence, decisions=decisions, records=records)


@pytest.mark.parametrize(
    ("spoil", "what"), [(without_the_last_word, "was not told that"), (with_a_record_that_was_forgotten, "was forgotten")]
)
def test_it_finds_who_was_not_told_and_who_was_forgotten(
    evidence: Evidence, spoil: Callable[[Evidence], Evidence], what: str
) -> None:
    found = findings(spoil(evidence), BEGIN)
    assert any(finding.startswith("assignments: ") and what in finding for finding in found), found[:5]


WRONG: list[tuple[Callable[[Evidence], Evidence], str]] = [
    (without_an_input, "inputs: "),
    (without_a_stored_fact, "inputs: "),
    (with_a_fact_twice, "inputs: "),
    (with_a_contested_fact_twice, "inputs: "),
    (with_a_fact_that_says_something_else, "inputs: "),
    (with_a_tick_too_early, "ticks: "),
    (without_a_message, "published: "),
    (with_a_message_withheld, "published: "),
    (with_a_message_withheld_that_lies_there, "published: "),
    (with_two_messages_exchanged, "published: "),
    (with_a_repeat_that_is_not_the_same, "crm.lifecycle.v1: "),
    (with_a_record_of("status", "Qualified"), "records: "),
    (with_a_record_of("owner", "nobody"), "records: "),
    (with_a_record_of("facts", 0), "records: "),
    (with_a_record_of("history", []), "records: "),
    (with_a_record_of("deals", []), "records: "),
    (with_a_record_of("assignment_id", "a"), "assignments: "),
    (without_a_record, "records: "),
    (without_a_letter, "letters: "),
    (with_a_letter_too_much, "letters: "),
    (with_a_letter_that_was_not_published, "letters: "),
    (with_a_letter_again({"dl_number": b"77"}, lost=False), "letters: "),
    (with_a_letter_again({"dl_error": b"Bug"}, lost=True), "letters: "),
    (with_a_cent_too_much, "forecast: "),
    (with_an_answer(lambda answer: "as_of" in answer.parameters, as_of=format_instant(BEGIN)), "forecast: "),
    (with_an_answer(lambda answer: "as_of" not in answer.parameters, as_of=format_instant(BEGIN - 1)), "forecast: "),
    (with_an_answer(lambda answer: True, known_at=format_instant(BEGIN)), "forecast: "),
    (with_the_answer_of_another_moment, "forecast: "),
    (with_an_answer_from_the_future, "forecast: "),
    (without_a_decision, "assignments: "),
    (with_another_rep, "assignments: "),
    (without_an_assignment, "assignments: "),
    (with_a_directory_again, "assignments: "),
]


@pytest.mark.parametrize(("spoil", "kind"), WRONG)
def test_it_finds_what_is_wrong(evidence: Evidence, spoil: Callable[[Evidence], Evidence], kind: str) -> None:
    found = findings(spoil(evidence), BEGIN)
    assert any(finding.startswith(kind) for finding in found), found[:5]


def test_a_letter_of_a_database_that_was_lost_may_come_again_with_another_number(evidence: Evidence) -> None:
    assert findings(with_a_letter_again({"dl_number": b"77"}, lost=True)(evidence), BEGIN) == []


def test_what_a_copy_has_that_was_put_back_is_not_lost(evidence: Evidence) -> None:
    """Of two losses the second one forgives nothing that the copy of it holds; what the first one took stays lost."""
    place, other = evidence.letters["lifecycle"][:2]
    held = Lost(letters={"lifecycle": {place, other}}, batches={"b1", "b2"})
    copy = Lost(letters={"lifecycle": {other}, "routing": {place}}, batches={"b1"})
    assert held.without(copy) == Lost(letters={"lifecycle": {place}, "routing": frozenset()}, batches={"b2"})
    before = Lost(letters={"forecast": {place}}, batches={"b1"})
    assert before.and_also(held.without(copy)).batches == {"b1", "b2"}
    assert before.and_also(LOST_NOTHING) == before


@pytest.mark.parametrize(("value", "right"), [(None, True), (b"{}", False)])
def test_a_replay_of_what_strayed_is_what_strayed(evidence: Evidence, value: bytes | None, right: bool) -> None:
    """A letter can be about a record on this topic, and goes there when it is replayed."""

    def replayed(records: list[Record]) -> list[Record]:
        stray = next(record for record in records if ("ce_type", TICK_TYPE.encode()) not in record.headers)
        headers = (*stray.headers, (REPLAY, b"lifecycle/1/1"))
        return [*records, replace(stray, offset=10**6, headers=headers, value=value or stray.value)]

    assert (findings(with_log(evidence, MOVED.name, replayed), BEGIN) == []) is right
