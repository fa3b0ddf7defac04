"""What OpenAPI says of answers, the same in every service: problem documents, forms besides JSON, answers that have not changed.

FastAPI takes it from return types, and services answer with responses of their own: so it is said here, and a test (``tests/fuzz``)
holds every answer against it.
"""

from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

PROBLEM: Final = "application/problem+json"
Answers = dict[int | str, dict[str, Any]]
"""By status."""


class WrongParameter(BaseModel):
    """A parameter that is wrong."""

    parameter: str
    detail: str


class WrongValue(BaseModel):
    """A value in a body that is wrong."""

    path: str
    reason: str


class Problem(BaseModel):
    """A problem document (RFC 9457). Some resources add fields of their own."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: list[WrongParameter | WrongValue] = []


_MODEL: Final = {"$ref": f"#/components/schemas/{Problem.__name__}"}
PROBLEMS: Final[Answers] = {
    "4XX": {"description": "What was asked is wrong, or not there: `detail` says what would be right", "model": Problem},
    "503": {"description": "Not now: try again soon", "model": Problem},
}
"""Of a whole application: every resource may answer so."""
UNCHANGED: Final[Answers] = {304: {"description": "The answer is the one whose ETag was sent"}}
CSV: Final[Answers] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
"""Besides JSON, where it is asked for."""
BYTES: Final[Answers] = {200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}
UNREADY: Final[Answers] = {"503": {"description": "A check is not well", "content": {"application/json": {}}}}


def install(app: FastAPI) -> None:
    """Let the application's OpenAPI say that problems have a media type of their own: FastAPI knows one type of JSON."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        for methods in document["paths"].values():
            for operation in methods.values():
                for answer in operation["responses"].values():
                    content = answer.get("content", {})
                    if content.get("application/json", {}).get("schema") == _MODEL:
                        content[PROBLEM] = content.pop("application/json")
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it
