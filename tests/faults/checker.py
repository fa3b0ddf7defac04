"""Everything that came out against a plain recomputation from what went in: the findings, none where all is well."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

import msgspec

from events.assignments import LeadAssigned
from events.codec import Fact
from events.facts import HandoffAccepted, HandoffRejected, LifecycleTick
from events.published import CommandRefused, HandoffProgressed
from events.reference import Directory, in_force
from events.topics import ASSIGNMENT, DIRECTORY, LIFECYCLE, MOVED, STATUS_TABLE
from events.values import parse_instant
from tests.faults.assignments import check_assignments
from tests.faults.evidence import Evidence, versions_of
from tests.faults.inputs import SENT_TO, check_inputs, check_letters, facts_of
from tests.faults.records import check_consumer, check_moved, check_records, check_ticks, check_withheld
from tests.faults.totals import Teams, check_forecast
from tests.lifecycle.reference_facts import DEFAULT, Table
from tests.lifecycle.reference_fold import Reference


class Remembering(Reference):
    """The plain fold of a customer's facts, with its deals worked out once: every answer of forecast is counted from them."""

    def __init__(self, facts: Iterable[Fact], versions: Sequence[Table]) -> None:
        super().__init__(facts, versions)
        self.images = cache(self.images)


def findings(evidence: Evidence, now: int) -> list[str]:
    """What is wrong. ``now``: nanoseconds since 1970; whatever was due then must have come, and forecast was asked since."""
    expected = expected_of(evidence)
    return [
        *_lifecycle(evidence, expected, now),
        *check_assignments(evidence),
        *check_forecast(evidence, expected, lambda instant: teams_of(evidence, instant), now),
    ]


def lacking(evidence: Evidence) -> list[str]:
    """What a long load brings about, and this one has not: the silence of the checks about it would mean nothing."""
    topics = (*SENT_TO, ASSIGNMENT.name, MOVED.name, LIFECYCLE.name)
    kinds = Counter(type(fact.data) for topic in topics for _, fact in evidence.facts(topic))
    sent = [(fact.customer_id, fact.source, fact.id) for topic in SENT_TO for _, fact in evidence.facts(topic)]
    reasons = {dict(record.headers)["dl_error"].decode() for record in evidence.logs["lifecycle.dead-letter.v1"]}
    now = [
        answer.body["totals"] for answer in evidence.answers if answer.path == "/v1/pipeline" and "as_of" not in answer.parameters
    ]
    there = {
        "a fact that strayed": len(evidence.logs[MOVED.name]) > kinds[LifecycleTick],
        "a fact that came again": len(sent) > len(set(sent)),
        "a command that was refused": kinds[CommandRefused],
        "a lead that was woken": kinds[LifecycleTick],
        "an assignment": kinds[LeadAssigned],
        "an answer of a rep": kinds[HandoffAccepted] and kinds[HandoffRejected],
        "progress of a hand-off": kinds[HandoffProgressed],
        "a malformed input": "Undecodable" in reasons,
        "an identity with two contents": "IdentityConflict" in reasons,
        **{f"a deal that is {state}": any(totals[state]["count"] for totals in now) for state in ("open", "won", "lost")},
    }
    return [f"campaign: there never was {what}" for what, so in there.items() if not so]


def lifecycle_findings(evidence: Evidence, now: int) -> list[str]:
    """What is wrong with the outputs of lifecycle, where it runs alone."""
    return list(_lifecycle(evidence, expected_of(evidence), now))


def _lifecycle(evidence: Evidence, expected: Mapping[str, Reference], now: int) -> Iterator[str]:
    yield from check_inputs(evidence)
    yield from check_letters(evidence)
    yield from check_records(evidence, expected, now)
    yield from check_consumer(evidence, expected)
    yield from check_withheld(evidence)
    yield from check_moved(evidence)
    yield from check_ticks(evidence)


def expected_of(evidence: Evidence) -> dict[str, Reference]:
    """The plain fold of every customer's facts, with the versions of the status table that were published."""
    versions = tables_of(evidence)
    return {customer: Remembering(facts, versions) for customer, facts in sorted(facts_of(evidence).items())}


def tables_of(evidence: Evidence) -> list[Table]:
    """The built-in table, and all that was published, by number."""
    published = sorted(versions_of(evidence, STATUS_TABLE.name), key=lambda version: version.version)
    tables = [DEFAULT]
    for version in published:
        said = msgspec.json.decode(version.content)
        rows = [(row["name"], row["stage"], row.get("probability", 0)) for row in said["statuses"]]
        enabled = said.get("opportunities_enabled", True)
        tables.append(Table(parse_instant(version.effective_from), rows, said["triggers"], enabled))
    return tables


def teams_of(evidence: Evidence, instant: int) -> Teams:
    """Team and region of each rep, by the directory in force at an instant."""
    version = in_force(versions_of(evidence, DIRECTORY.name), instant)
    assert version is not None
    directory = msgspec.json.decode(version.content, type=Directory)
    return {rep.rep_id: (rep.team, rep.region) for rep in directory.reps}
