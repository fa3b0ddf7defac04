"""``python -m tests.fuzz.conformance SECONDS SEED``: requests that OpenAPI describes, and that it forbids, to every operation.

Made by schemathesis from the services' OpenAPI, answered by the applications in process, on stores with content. What it checks: no
server error, the status and the media type are documented, the body is as its schema says.
"""

import logging
import sys
from time import monotonic
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.generation import GenerationMode

from tests.fuzz.worlds import Worlds

EXAMPLES: Final = 25
"""Of an operation, in one round."""
CHECKS: Final = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]
WAITING: Final = 503
"""Said where Kafka does not answer, or too many wait: an answer, and no fault."""


def conform(worlds: Worlds, seconds: float, number: int) -> tuple[int, dict[str, str]]:
    """Ask all services for so many seconds; how often was asked, and what was wrong, by operation."""
    deadline, asked, wrong, found = monotonic() + seconds, 0, {}, []
    for service, app in worlds.apps.items():
        schema = schemathesis.openapi.from_asgi("/openapi.json", app)
        found += [(f"{service} {operation.label}", operation) for operation in (each.ok() for each in schema.get_all_operations())]
    while monotonic() < deadline:
        for name, operation in found:
            if monotonic() > deadline:
                break
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                asked += EXAMPLES
                try:
                    _ask(operation, mode, number)
                except Unsatisfiable:  # an operation without parameters can be asked in one way
                    asked -= EXAMPLES
                except Exception as error:  # whatever it is, it is what is looked for
                    wrong.setdefault(name, f"{type(error).__name__}: {error}")
        number += 1
    return asked, wrong


def _ask(operation: Any, mode: GenerationMode, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call()
        if answer.status_code != WAITING:
            case.validate_response(answer, checks=CHECKS)

    ask()


def main() -> int:
    """0 where every answer is as it should be."""
    logging.disable(logging.CRITICAL)
    worlds = Worlds()
    try:
        asked, wrong = conform(worlds, float(sys.argv[1]), int(sys.argv[2]))
    finally:
        worlds.close()
    for name, what in wrong.items():
        print(f"\n{name}\n{what[:3_000]}", flush=True)
    print(f"OpenAPI        {asked:>10,} requests: {f'{len(wrong)} operations WRONG' if wrong else 'every answer is as it says'}")
    return min(1, len(wrong))


if __name__ == "__main__":
    sys.exit(main())
