"""Everything that came out against a plain recomputation from what went in: the findings, none where all is well."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import msgspec

from events.codec import Fact
from events.reference import Directory, Version
from events.topics import DIRECTORY
from tests.faults.assignments import check_assignments
from tests.faults.evidence import Evidence
from tests.faults.inputs import check_inputs, check_letters, facts_of
from tests.faults.records import check_consumer, check_records
from tests.faults.totals import Teams, check_forecast
from tests.lifecycle.reference_fold import Reference


class Remembering(Reference):
    """The plain fold of a customer's facts, with its deals worked out once: every answer of forecast is counted from them."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        super().__init__(facts)
        self.images = cache(self.images)


def findings(evidence: Evidence, now: int) -> list[str]:
    """What is wrong. ``now``: nanoseconds since 1970; whatever was due then must have come."""
    expected = expected_of(evidence)
    return [
        *_lifecycle(evidence, expected, now),
        *check_assignments(evidence),
        *check_forecast(evidence, expected, teams_of(evidence)),
    ]


def lifecycle_findings(evidence: Evidence, now: int) -> list[str]:
    """What is wrong with the outputs of lifecycle, where it runs alone."""
    return list(_lifecycle(evidence, expected_of(evidence), now))


def _lifecycle(evidence: Evidence, expected: Mapping[str, Reference], now: int) -> Iterator[str]:
    yield from check_inputs(evidence)
    yield from check_letters(evidence)
    yield from check_records(evidence, expected, now)
    yield from check_consumer(evidence, expected)


def expected_of(evidence: Evidence) -> dict[str, Reference]:
    """The plain fold of every customer's facts."""
    return {customer: Remembering(facts) for customer, facts in sorted(facts_of(evidence).items())}


def teams_of(evidence: Evidence) -> Teams:
    """Team and region of each rep, by the directory."""
    versions = [msgspec.json.decode(record.value or b"", type=Version) for record in evidence.logs[DIRECTORY.name]]
    directory = msgspec.json.decode(versions[-1].content, type=Directory)
    return {rep.rep_id: (rep.team, rep.region) for rep in directory.reps}
