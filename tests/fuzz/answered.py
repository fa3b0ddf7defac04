"""What a conformance run must have heard before it may pass: 503 to everything breaks no promise, and keeps none.

Apart from :mod:`tests.fuzz.conformance`, which needs schemathesis, so that this is tested without.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

WAITING: Final = 503
"""Said where Kafka does not answer, or too many wait: an answer, and no fault."""
ANSWERED_MIN: Final = 0.5
"""The share of answers that must not be 503: of a service, and of each of its operations to requests of each kind.

What the services wait for is there, and they are asked one thing at a time: of 2,852 answers none was 503. Half leaves room for a
machine that is slow for once. By kind, because what is forbidden is refused before anything is waited for, and would hide the rest.
"""
_WAY_OUT: Final = "what it waits for is to be in tests/fuzz/worlds.py"
_KNOWN: Final = "what it is asked about is to be in tests/fuzz/worlds.py, and found in tests/fuzz/content.py"

Answers = Mapping[str, Mapping[str, Mapping[str, Counter[int]]]]
"""How often each status was answered, by service, operation, and kind of request."""
Promised = Mapping[str, Mapping[str, Collection[int]]]
"""The statuses of success that OpenAPI documents, by service and operation."""


def heard(counted: Iterable[Counter[int]]) -> tuple[int, int]:
    """How many answers there were, and how many of them 503."""
    statuses = list(counted)
    return sum(each.total() for each in statuses), sum(each[WAITING] for each in statuses)


def succeeded(counted: Iterable[Counter[int]]) -> int:
    """How many answers were a success."""
    return sum(count for statuses in counted for status, count in statuses.items() if status // 100 == 2)


def unheard(promised: Promised, answers: Answers) -> dict[str, str]:
    """The operations of which a success that is documented was never answered, so that nobody has seen what it is like."""
    wrong = {}
    for service, operations in promised.items():
        for operation, statuses in operations.items():
            kinds = answers.get(service, {}).get(operation, {})
            missing = sorted(status for status in statuses if not any(counted[status] for counted in kinds.values()))
            if missing:
                wrong[f"{service} {operation}"] = f"it never answered {', '.join(map(str, missing))}, which it documents: {_KNOWN}"
    return wrong


def unanswered(answers: Answers) -> dict[str, str]:
    """Why nothing is known of a service, or else of some of its operations: they said 503, or were not asked."""
    wrong = {}
    for service, operations in answers.items():
        asked, waited = heard(statuses for kinds in operations.values() for statuses in kinds.values())
        if not asked:
            wrong[service] = "it was never asked: see what schemathesis makes of its OpenAPI"
        elif _waits(asked, waited):
            wrong[service] = f"{waited:,} of {asked:,} answers are {WAITING}, and were not checked: {_WAY_OUT}"
        else:
            wrong.update({f"{service} {operation}": why for operation, kinds in operations.items() if (why := _unanswered(kinds))})
    return wrong


def _unanswered(kinds: Mapping[str, Counter[int]]) -> str | None:
    for kind, statuses in kinds.items():
        asked, waited = heard([statuses])
        if _waits(asked, waited):
            return f"{waited:,} of {asked:,} answers to {kind} requests are {WAITING}, and were not checked: {_WAY_OUT}"
    return None if any(kinds.values()) else "it was never asked: see what schemathesis makes of its OpenAPI"


def _waits(asked: int, waited: int) -> bool:
    return asked - waited < ANSWERED_MIN * asked
