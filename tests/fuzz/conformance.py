"""``python -m tests.fuzz.conformance SECONDS SEED``: requests that OpenAPI describes, and that it forbids, to every operation.

Made by schemathesis from the services' OpenAPI, answered by the applications in process, on stores with content. What it checks: no
server error, the status and the media type are documented, the body is as its schema says; and that there were answers to check,
every documented success among them (:mod:`tests.fuzz.answered`). Who makes ids up is not answered with success: about half of the
requests that OpenAPI describes are about what is there (:mod:`tests.fuzz.content`).
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.generation import GenerationMode

from tests.fuzz.answered import WAITING, Answers, Promised, heard, succeeded, unanswered, unheard
from tests.fuzz.content import NOTHING, WHEN, Content, Known, contents
from tests.fuzz.worlds import SERVICES, Worlds

EXAMPLES: Final = 25
"""Of an operation, in one round."""
EXAMPLES_FIRST: Final = 2
"""In the first round, which goes to its end: no operation is left out, however short the time. Known requests come before them."""
PARAMETERS_MAX: Final = 3
"""Of a request about what is there, besides those that it needs: with more of them hardly any finds something."""
KINDS: Final = {GenerationMode.POSITIVE: "described", GenerationMode.NEGATIVE: "forbidden"}


def body_is_documented(_: Any, answer: Any, case: Any) -> None:
    """A body is of an answer that OpenAPI says has one: where it names no media type, the other checks look at none."""
    documented = case.operation.responses.find_by_status_code(answer.status_code)
    media_type = (answer.headers.get("content-type") or ["nothing"])[0]
    if answer.content and documented is not None:
        assert documented.definition.get("content"), f"{answer.status_code} is documented without a body, and has one: {media_type}"


CHECKS: Final = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    body_is_documented,
]


class Asked(NamedTuple):
    """``answers``: all that there were; ``promised``: what there should be among them; ``wrong``: what was wrong, by operation."""

    answers: Answers
    promised: Promised
    wrong: dict[str, str]


def conform(apps: Mapping[str, FastAPI], seconds: float, number: int, renewed: Callable[[], Mapping[str, Content]] = dict) -> Asked:
    """Ask services for so many seconds, and every operation at least in both ways, and about what is there.

    ``renewed``: before each round, lets all happen that was asked for, and says what there is then.
    """
    deadline, wrong, found = monotonic() + seconds, dict[str, str](), []
    answers: dict[str, dict[str, dict[str, Counter[int]]]] = {}
    promised = {}
    for service, app in apps.items():
        operations = [each.ok() for each in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations()]
        answers[service] = {operation.label: {kind: Counter() for kind in KINDS.values()} for operation in operations}
        promised[service] = {operation.label: _successes(operation) for operation in operations}
        found += [(service, operation) for operation in operations]
    first = True
    while first or monotonic() < deadline:
        try:
            content = renewed()
        except Exception as error:  # of a service, as well: what it has taken in, it cannot tell
            content = {}
            wrong.setdefault("what there is", f"{type(error).__name__}: {error}")
        for service, operation in found:
            if not first and monotonic() > deadline:
                break
            for mode, kind in KINDS.items():
                there = content.get(service, NOTHING) if mode is GenerationMode.POSITIVE else None
                try:
                    _ask(operation, mode, number, there, answers[service][operation.label][kind], first=first)
                except Unsatisfiable:  # an operation without parameters can be asked in one way
                    pass
                except (Exception, BaseExceptionGroup) as error:  # whatever it is, it is what is looked for
                    wrong.setdefault(f"{service} {operation.label}", f"{type(error).__name__}: {error}")
        first = False
        number += 1
    return Asked(answers, promised, wrong)


def _successes(operation: Any) -> set[int]:
    return {int(status) for status in operation.responses.status_codes if status.isdecimal() and int(status) // 100 == 2}


def _ask(
    operation: Any, mode: GenerationMode, number: int, content: Content | None, statuses: Counter[int], *, first: bool
) -> None:
    strategy = operation.as_strategy(generation_mode=mode)
    known = () if content is None else content.about(operation.label)
    if content is not None and known:
        strategy = st.one_of(strategy, _about(strategy, known, content.said.get(operation.label, {}), content.instants))

    def ask(case: Any) -> None:
        answer = case.call()
        statuses[answer.status_code] += 1
        if answer.status_code != WAITING:
            case.validate_response(answer, checks=CHECKS)

    asking = given(strategy)(ask)
    for each in reversed(known) if first else ():  # the one that is added last is asked first
        asking = example(_plain(operation, each))(asking)
    seed(number)(
        settings(
            max_examples=EXAMPLES_FIRST if first else EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )(asking)
    )()


def _plain(operation: Any, known: Known) -> Any:
    body = {} if known.body is None else {"body": known.body, "media_type": known.media_type}
    return operation.Case(path_parameters=dict(known.path), query=dict(known.query), headers=dict(known.headers), **body)


@st.composite
def _about(
    draw: st.DrawFn, described: Any, known: Sequence[Known], said: Mapping[str, Sequence[Any]], instants: Sequence[str]
) -> Any:
    """A request as it is described, but about what is there: in all that it must name, and in some of what it may."""
    case, about = draw(described), draw(st.sampled_from(known))
    free = sorted(case.query.keys() - about.query.keys() - {"after"})  # a cursor that nobody has given leads nowhere
    chosen = draw(st.lists(st.sampled_from(free), max_size=PARAMETERS_MAX, unique=True)) if free else []
    query = {}
    for name in chosen:
        values = said.get(name) or (instants if WHEN.search(name) else ())
        query[name] = draw(st.sampled_from(values)) if values else case.query[name]
    case.path_parameters = dict(about.path)
    case.query = query | dict(about.query)
    if about.body is not None:
        grown = isinstance(about.body, dict) and isinstance(case.body, dict) and draw(st.booleans())
        case.body = {**case.body, **about.body} if grown else about.body
        case.media_type = about.media_type
    for name, value in about.headers.items():
        case.headers[name] = value
    return case


def main() -> int:
    """0 where every answer is as it should be, and there were enough of them."""
    logging.disable(logging.CRITICAL)
    worlds = Worlds()
    try:
        answers, promised, wrong = conform(worlds.apps, float(sys.argv[1]), int(sys.argv[2]), lambda: contents(worlds))
    finally:
        worlds.close()
    answers = {service: answers.get(service, {}) for service in SERVICES}
    wrong = {**unheard(promised, answers), **unanswered(answers), **wrong}
    for name, what in wrong.items():
        print(f"\n{name}\n{what[:3_000]}", flush=True)
    asked = 0
    for service, operations in answers.items():
        counted = [statuses for kinds in operations.values() for statuses in kinds.values()]
        (count, waited), good = heard(counted), succeeded(counted)
        asked += count
        of_them = f"{good:>6,} of them successes, {waited:>5,} {WAITING}"
        print(f"{service:<14} {count:>10,} answers, {of_them}, {len(operations):>5,} operations")
    print(f"OpenAPI        {asked:>10,} requests: {f'{len(wrong)} WRONG' if wrong else 'every answer is as it says'}")
    return min(1, len(wrong))


if __name__ == "__main__":
    sys.exit(main())
