"""The bank's loan applications as facts: the mapping, what is wrong with applications, and the command."""

import gzip
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from events.codec import Fact, decode
from events.facts import (
    ActivityLogged,
    LeadCreated,
    LeadDisqualified,
    LeadQualified,
    OpportunityCreated,
    OpportunityLost,
    OpportunityWon,
    OrderPlaced,
    QuoteCancelled,
    QuoteCreated,
    QuoteDeclined,
    QuoteReturned,
    QuoteSent,
)
from events.record import Message, Record
from events.values import Money, Price, day_start, format_instant
from handoff.importing.bpic12 import Applications
from handoff.importing.rejected import Rejected

NOW = day_start(date(2026, 1, 1))
EUR = Price(amount=Decimal("20000"), currency="EUR")
ORDERED = Money(amount=Decimal("20000"), currency="EUR")


def event(name: str, at: str, transition: str = "COMPLETE", resource: str | None = None) -> str:
    """An event on a line; ``at`` is a time of 1 October 2011."""
    said = {"org:resource": resource, "lifecycle:transition": transition, "concept:name": name}
    attributes = "".join(f'<string key="{key}" value="{value}"/>' for key, value in said.items() if value is not None)
    return f'<event>{attributes}<date key="time:timestamp" value="2011-10-01T{at}+02:00"/></event>\n'


def application(*events: str, name: str = "173688", amount: str = "20000") -> str:
    """A trace; its first event is on its second line."""
    own = {"AMOUNT_REQ": amount, "concept:name": name}
    attributes = "".join(f'<string key="{key}" value="{value}"/>' for key, value in own.items() if value)
    return f"<trace>{attributes}\n{''.join(events)}</trace>\n"


def written(file: Path, *traces: str) -> Path:
    """A log with these traces; the first one begins on line 2."""
    file.write_bytes(gzip.compress(f"<log>\n{''.join(traces)}</log>".encode()))
    return file


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., tuple[list[Message], list[Rejected]]]:
    """Reads a log with some traces: the messages, and what was rejected."""

    def read_them(*traces: str) -> tuple[list[Message], list[Rejected]]:
        rejected: list[Rejected] = []
        log = Applications(written(tmp_path / "log.xes.gz", *traces), NOW, rejected.append)
        messages = list(log.messages())
        assert log.read == len(traces)
        return messages, rejected

    return read_them


def facts(messages: Iterable[Message]) -> list[Fact]:
    """What lifecycle reads of the messages."""
    read = [decode(Record(m.topic, 0, 0, NOW // 1_000_000, m.key, m.value, m.headers)) for m in messages]
    assert all(isinstance(fact, Fact) for fact in read)
    return [fact for fact in read if isinstance(fact, Fact)]


SUBMITTED = event("A_SUBMITTED", "00:38:44.546")
ACCEPTED = event("A_ACCEPTED", "11:42:43.308")


def test_an_application_that_becomes_an_order(read: Callable[..., Any]) -> None:
    messages, rejected = read(
        application(
            SUBMITTED,
            event("A_PARTLYSUBMITTED", "00:38:44.880"),
            event("A_PREACCEPTED", "00:39:37.906"),
            event("W_Completeren aanvraag", "00:39:38.875", "SCHEDULE"),
            event("W_Completeren aanvraag", "11:36:46.437", "START"),
            ACCEPTED,
            event("O_SELECTED", "11:45:09.243"),
            event("A_FINALIZED", "11:45:09.243", resource="10862"),
            event("O_CREATED", "11:45:11.197"),
            event("O_SENT", "11:45:11.380"),
            event("W_Completeren aanvraag", "11:45:13.917", "COMPLETE"),
            event("W_Nabellen offertes", "12:17:08.924", "START", "10913"),
            event("W_Nabellen offertes", "13:17:08.924", "START", "10913"),
            event("O_SENT_BACK", "13:33:05.791"),
            event("A_REGISTERED", "14:37:29.226"),
            event("O_ACCEPTED", "14:37:29.226"),
            event("A_ACTIVATED", "14:37:29.226"),
        )
    )
    assert rejected == []
    found = facts(messages)
    own: dict[str, Any] = {"customer_id": "173688"}
    quote: dict[str, Any] = {**own, "quote_id": "173688-1"}
    assert [(format_instant(fact.occurred_at)[11:], fact.id, fact.data) for fact in found] == [
        ("22:38:44.546Z", "A_SUBMITTED/0001", LeadCreated(**own, lead_id="173688", expected_amount=EUR)),
        ("22:39:37.906Z", "A_PREACCEPTED/0001", LeadQualified(**own, lead_id="173688")),
        (
            "09:36:46.437Z",
            "W_Completeren aanvraag/0001",
            ActivityLogged(**own, activity_id="W_Completeren aanvraag/0001", kind="task"),
        ),
        ("09:42:43.308Z", "A_ACCEPTED/0001", OpportunityCreated(**own, opportunity_id="173688", amount=EUR)),
        ("09:45:11.197Z", "O_CREATED/0001", QuoteCreated(**quote, opportunity_id="173688", amount=EUR)),
        ("09:45:11.38Z", "O_SENT/0001", QuoteSent(**quote)),
        *(
            (
                f"{hour}:17:08.924Z",
                f"W_Nabellen offertes/{number:04}",
                ActivityLogged(
                    **own, activity_id=f"W_Nabellen offertes/{number:04}", kind="call", direction="outbound", rep_id="10913"
                ),
            )
            for hour, number in (("10", 1), ("11", 2))
        ),
        ("11:33:05.791Z", "O_SENT_BACK/0001", QuoteReturned(**quote)),
        ("12:37:29.226Z", "O_ACCEPTED/0001", OrderPlaced(**quote, order_id="173688", opportunity_id="173688", amount=ORDERED)),
        ("12:37:29.226Z", "A_ACTIVATED/0001", OpportunityWon(**own, opportunity_id="173688")),
    ]
    assert {fact.source for fact in found} == {"import/bpic12"}
    assert {message.topic for message in messages} == {
        "crm.lead.v1",
        "crm.opportunity.v1",
        "crm.quote.v1",
        "crm.order.v1",
        "crm.activity.v1",
    }


@pytest.mark.parametrize(("name", "reason"), [("A_DECLINED", "rejected"), ("A_CANCELLED", "withdrawn")])
def test_an_application_that_ends_is_a_dead_lead_or_a_lost_opportunity(read: Callable[..., Any], name: str, reason: str) -> None:
    messages, _ = read(
        application(SUBMITTED, event(name, "12:00:00.000"), name="1"),
        application(SUBMITTED, ACCEPTED, event(name, "12:00:00.000"), name="2"),
    )
    ends = [fact.data for fact in facts(messages) if fact.id == f"{name}/0001"]
    assert ends == [
        LeadDisqualified(customer_id="1", lead_id="1", reason=reason),
        OpportunityLost(customer_id="2", opportunity_id="2", reason=reason),
    ]


def quotes(messages: Iterable[Message]) -> list[tuple[str, str, str | None]]:
    """Which quote each event of a quote is about, and which one it replaces."""
    about = [fact for fact in facts(messages) if fact.id.startswith("O_")]
    return [(fact.id, fact.data.quote_id, getattr(fact.data, "replaces", None)) for fact in about]  # type: ignore[union-attr]


def test_an_event_of_a_quote_is_one_of_the_quote_that_is_live(read: Callable[..., Any]) -> None:
    messages, rejected = read(
        application(
            SUBMITTED,
            ACCEPTED,
            event("O_CREATED", "12:00:00.000"),
            event("O_SENT", "12:00:01.000"),
            event("O_CANCELLED", "12:00:02.000"),
            event("O_CREATED", "12:00:03.000"),
            event("O_SENT_BACK", "12:00:04.000"),
            event("O_DECLINED", "12:00:05.000"),
        )
    )
    assert rejected == []
    assert quotes(messages) == [
        ("O_CREATED/0001", "173688-1", None),
        ("O_SENT/0001", "173688-1", None),
        ("O_CANCELLED/0001", "173688-1", None),
        ("O_CREATED/0002", "173688-2", None),
        ("O_SENT_BACK/0001", "173688-2", None),
        ("O_DECLINED/0001", "173688-2", None),
    ]
    assert [type(fact.data) for fact in facts(messages)][-4:] == [QuoteCancelled, QuoteCreated, QuoteReturned, QuoteDeclined]


@pytest.mark.parametrize("cancelled", [[], [event("O_CANCELLED", "13:00:00.000")]])
def test_a_new_quote_replaces_one_that_is_live_or_dies_at_the_same_instant(read: Callable[..., Any], cancelled: list[str]) -> None:
    messages, _ = read(application(event("O_CREATED", "12:00:00.000"), *cancelled, event("O_CREATED", "13:00:00.000")))
    assert ("O_CREATED/0002", "173688-2", "173688-1") in quotes(messages)


def test_the_automatic_resource_is_no_person(read: Callable[..., Any]) -> None:
    messages, _ = read(
        application(*(event("W_Valideren aanvraag", "12:00:00.000", "START", who) for who in ("112", "10913", None)))
    )
    activities = [fact.data for fact in facts(messages) if isinstance(fact.data, ActivityLogged)]
    assert [(activity.rep_id, activity.automatic) for activity in activities] == [("112", True), ("10913", False), (None, False)]


def test_events_are_taken_in_order_of_time_and_of_one_instant_in_the_order_of_the_log(read: Callable[..., Any]) -> None:
    in_order = [SUBMITTED, ACCEPTED, event("O_CREATED", "12:00:00.000"), event("O_CANCELLED", "12:00:00.000")]
    shuffled = [in_order[2], in_order[3], in_order[1], in_order[0]]
    assert read(application(*shuffled)) == read(application(*in_order))


def test_the_same_log_is_the_same_bytes(tmp_path: Path) -> None:
    file = written(tmp_path / "log.xes.gz", application(SUBMITTED, ACCEPTED), application(SUBMITTED, name="2"))
    first, second = (list(Applications(file, now, lambda _: None).messages()) for now in (NOW, NOW + 10**18))
    assert first == second


UTC_TIME = '<date key="time:timestamp" value="2011-10-01T00:00:00Z"/>'
SUBMIT = '<string key="concept:name" value="A_SUBMITTED"/>'


@pytest.mark.parametrize(
    ("trace", "line", "reason"),
    [
        (application(SUBMITTED, amount=""), 2, "trace '173688': AMOUNT_REQ is missing"),
        (application(SUBMITTED, amount="a lot"), 2, "trace '173688': AMOUNT_REQ: 'a lot' is not an amount such as 20000"),
        (application(SUBMITTED, amount="-5"), 2, "trace '173688': AMOUNT_REQ: -5.00 is negative"),
        (application(SUBMITTED, amount="NaN"), 2, "trace '173688': AMOUNT_REQ: NaN is not a number"),
        (application(SUBMITTED, amount="1e999"), 2, "trace '173688': AMOUNT_REQ: is out of range"),
        (application(SUBMITTED, name=""), 2, "a trace without a name: concept:name is missing"),
        (application(SUBMITTED, name="x" * 201), 3, f"trace '{'x' * 60}': $.customer_id: Expected `str` of length <= 200"),
        (application(), 2, "trace '173688': none of its events is a fact"),
        (application(event("O_SELECTED", "12:00:00.000")), 2, "trace '173688': none of its events is a fact"),
        (application(SUBMITTED, f"<event>{SUBMIT}</event>"), 4, "trace '173688': time:timestamp is missing"),
        (application(SUBMITTED, f"<event>{UTC_TIME}</event>"), 4, "trace '173688': concept:name is missing"),
        (
            application(SUBMITTED, event("A_SUBMITTED", "24:00:00")),
            4,
            "trace '173688': time:timestamp: '2011-10-01T24:00:00+02:00'",
        ),
        (
            application(SUBMITTED.replace("+02:00", "")),
            3,
            "trace '173688': time:timestamp: '2011-10-01T00:38:44.546' has no offset",
        ),
        (application(SUBMITTED.replace("2011-", "2026-")), 3, "trace '173688': header ce_time: 2026-09-30T22:38:44.546Z is more"),
        (application(SUBMITTED, event("A_GUESSED", "12:00:00")), 4, "trace '173688': concept:name: 'A_GUESSED' is no event of"),
        (application(SUBMITTED, event("O_SENT", "12:00:00")), 4, "trace '173688': O_SENT of no quote: none is live then"),
        (
            application(
                SUBMITTED,
                event("O_CREATED", "12:00:00"),
                event("O_CANCELLED", "12:00:01"),
                event("O_ACCEPTED", "12:00:02"),
            ),
            6,
            "trace '173688': O_ACCEPTED of no quote: none is live then",
        ),
    ],
)
def test_an_application_that_is_wrong_is_rejected_whole_and_the_others_are_not(
    read: Callable[..., Any], trace: str, line: int, reason: str
) -> None:
    good = application(SUBMITTED, ACCEPTED, name="good")
    messages, (rejected,) = read(trace, good)
    assert rejected.place == f"log.xes.gz:{line}"
    assert rejected.reason.startswith(reason)
    assert messages == read(good)[0]


def test_the_command_says_what_is_no_log(tmp_path: Path, handoff: Callable[..., Any]) -> None:
    (tmp_path / "log.xes").write_text("<html/>")
    ended = handoff("import", "bpic12", str(tmp_path / "log.xes"), "--json")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"handoff: {tmp_path / 'log.xes'} is no XES log: its first tag is <html>, not <log>\n"


def test_the_command_lists_what_it_rejects_and_writes_all_of_it_to_a_file(tmp_path: Path, handoff: Callable[..., Any]) -> None:
    log = written(tmp_path / "log.xes.gz", *(application(SUBMITTED, name=f"{n}", amount="") for n in range(25)))
    ended = handoff("import", "bpic12", str(log), "--rejects", str(tmp_path / "rejects"), "--json")
    assert ended.code == 1
    assert ended.out.startswith('{"read": 25, "published": 0, "rejected": 25, "seconds": ')
    told = [f"log.xes.gz:{2 + 3 * n} trace '{n}': AMOUNT_REQ is missing" for n in range(25)]
    assert (tmp_path / "rejects").read_text().splitlines() == told
    assert ended.err.splitlines() == [
        *(f"handoff: {line}" for line in told[:20]),
        "handoff: and 5 more applications; --rejects FILE writes them all",
    ]


def test_a_file_for_rejects_that_cannot_be_written_stops_the_import(tmp_path: Path, handoff: Callable[..., Any]) -> None:
    log = written(tmp_path / "log.xes.gz", application(SUBMITTED))
    ended = handoff("import", "bpic12", str(log), "--rejects", str(tmp_path / "none" / "rejects"))
    assert (ended.code, ended.err) == (2, f"handoff: {tmp_path / 'none' / 'rejects'}: No such file or directory\n")
