"""What the tests of the doctor share: running it, and reading what it found."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

SECONDS_MAX = 30.0  # it takes 5 on an idle machine; what hangs does so for minutes


@pytest.fixture
def checked(handoff: Callable[..., Any]) -> Callable[..., Any]:
    """Runs the doctor; the outcome of one check, and whether all is well."""

    def run(check: str, *, well: bool) -> Any:
        began = time.monotonic()
        ended = handoff("doctor", "--json")
        assert time.monotonic() - began < SECONDS_MAX
        said = json.loads(ended.out)
        assert (ended.code, said["well"]) == (0 if well else 1, well), ended.out
        return next(each for each in said["checks"] if each["check"] == check)

    return run


def only(outcome: Any) -> tuple[str, str, str]:
    """The one finding: severity, what, fix."""
    (found,) = outcome["findings"]
    return found["severity"], found["what"], found["fix"]
