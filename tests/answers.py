"""Whether several workers of a service say the same: every resource that can be read, lists and totals as well as single things.

Which resources there are comes from the service itself (its OpenAPI document): one that nobody asks for fails the test.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2

OF_A_WORKER: Final = {"/livez", "/readyz", "/metrics", "/v1/status"}
"""What a worker says of itself, which differs."""
CHANGING: Final = ("lag", "lag_seconds", "as_of")
"""What it says of itself, and the present, in the answer to something else. Questions that can be asked as of an instant are."""
Asked = Mapping[str, str]


def assert_same_answers(ports: Sequence[int], asked: Mapping[str, Sequence[tuple[str, Asked]]]) -> list[Any]:
    """Ask every worker for everything; the answers. ``asked``: by resource, the paths to ask for and their parameters."""
    first, *others = ports
    with httpx2.Client(trust_env=False, timeout=30) as http:
        said = http.get(f"http://127.0.0.1:{first}/openapi.json").json()["paths"]
        resources = {path for path, methods in said.items() if "get" in methods} - OF_A_WORKER
        assert resources == asked.keys(), f"not asked for: {resources - asked.keys()}; not there: {asked.keys() - resources}"
        answers = []
        for path, parameters in (each for some in asked.values() for each in some):
            wanted = _answer(http, first, path, parameters)
            for port in others:
                assert _answer(http, port, path, parameters) == wanted, f"{path} {dict(parameters)}"
            answers.append(wanted)
    return answers


def _answer(http: httpx2.Client, port: int, path: str, parameters: Asked) -> Any:
    answer = http.get(f"http://127.0.0.1:{port}{path}", params=dict(parameters))
    assert answer.is_success, (path, answer.status_code, answer.text)
    if "json" not in answer.headers["content-type"]:
        return answer.content
    body = answer.json()
    return {name: said for name, said in body.items() if name not in CHANGING} if isinstance(body, dict) else body
