"""What the services answer over HTTP, and what to say when one does not.

In go the settings (where the services are), a path and its parameters; out comes the JSON. A problem (RFC 9457) becomes the
:class:`CommandError` with its detail: what does not exist is bad news (1), a wrong question is wrong usage (2).
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import httpx2

from handoff.errors import NOT_WELL, USAGE, CommandError
from handoff.settings import ServiceName, Settings, variable

ANSWER_SECONDS_MAX: Final = 30.0
SLOW_SECONDS_MAX: Final = 600.0
STATUS_SECONDS_MAX: Final = 5.0
"""A service that cannot say how it is within this time is as good as down."""
CONNECT_SECONDS_MAX: Final = 2.0
WRONG_QUESTION: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)

Parameter = str | Sequence[str] | None


class ServiceDown(CommandError):  # noqa: N818 - says what is the case
    """A service does not answer, or says that it cannot."""


class Services:
    """The three services. A context manager; connections are kept between questions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = httpx2.Client(trust_env=False)  # no proxy between a machine and itself

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._http.close()

    def get(self, service: ServiceName, path: str, **parameters: Parameter) -> Any:
        """The answer to a question; parameters that are None are left out, a list is a parameter for each of its values."""
        return self._ask("GET", service, path, ANSWER_SECONDS_MAX, parameters=parameters)

    def post(self, service: ServiceName, path: str, body: Mapping[str, Any] | None = None, **parameters: Parameter) -> Any:
        """The answer to a request that something be done."""
        return self._ask("POST", service, path, ANSWER_SECONDS_MAX, parameters=parameters, body=body)

    def delete(self, service: ServiceName, path: str) -> Any:
        """The answer to a request that something be ended."""
        return self._ask("DELETE", service, path, ANSWER_SECONDS_MAX)

    def text(self, service: ServiceName, path: str, **parameters: Parameter) -> str:
        """The answer as it came, from a resource that may take its time: it reads the whole store."""
        return str(self._ask("GET", service, path, SLOW_SECONDS_MAX, parameters=parameters, read=lambda answer: answer.text))

    def status(self, service: ServiceName) -> Any:
        """What a service says of itself. Raises ``ServiceDown`` where it says nothing."""
        return self._ask("GET", service, "/v1/status", STATUS_SECONDS_MAX)

    def _ask(
        self,
        method: str,
        service: ServiceName,
        path: str,
        seconds: float,
        *,
        parameters: Mapping[str, Parameter] = MappingProxyType({}),
        body: Mapping[str, Any] | None = None,
        read: Callable[[httpx2.Response], Any] = httpx2.Response.json,
    ) -> Any:
        url = self._settings.url(service)
        given = {name: value for name, value in parameters.items() if value is not None}
        timeout = httpx2.Timeout(seconds, connect=CONNECT_SECONDS_MAX)
        try:
            answer = self._http.request(method, f"{url}{path}", params=given, json=body, timeout=timeout)
            if answer.is_success:
                return read(answer)
        except (httpx2.HTTPError, ValueError) as error:
            raise ServiceDown(
                f"{service} does not answer at {url} ({error}): start it with `handoff up`, "
                f"or say where it is with {variable(f'{service}_port')}"
            ) from error
        message = f"{service} answers {answer.status_code}: {_detail(answer)}"
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ServiceDown(message, NOT_WELL)
        raise CommandError(message, USAGE if answer.status_code in WRONG_QUESTION else NOT_WELL)


def _detail(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300] or "no reason given"
