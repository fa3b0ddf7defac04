"""What is wrong with a request is told in an answer of a size that people read, whatever the request was."""

import json
from typing import Annotated

import pytest
from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, Field

from events.web.application import application
from events.web.parameters import ERRORS_MAX, wrong_parameters


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=100)] = ""


@pytest.fixture
def http() -> TestClient:
    app = application("test")

    @app.post("/")
    def post(asked: Asked) -> str:
        return asked.name

    @app.get("/{name}")
    def get(name: str, few: Annotated[list[str] | None, Query()] = None) -> str:
        return f"{name} {few}"

    @app.exception_handler(RequestValidationError)
    async def told(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(wrong_parameters(request, error), 422)

    return TestClient(app)


def errors(http: TestClient, body: str) -> list[dict[str, str]]:
    answer = http.post("/", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    found: list[dict[str, str]] = answer.json()
    return found


def test_the_first_of_many_are_told(http: TestClient) -> None:
    found = errors(http, json.dumps({f"nome{number}": 1 for number in range(10_000)}))
    assert len(found) == ERRORS_MAX
    assert found[0]["detail"] == "is not a field of this object (did you mean name?); these are: name"


@pytest.mark.parametrize("body", ['{"\\ud800": 1}', '{"name": "\\ud800"}', '{"a\\udfff": {"\\ud800": []}}'])
def test_halves_of_characters_are_wrong_and_no_fault_of_ours(http: TestClient, body: str) -> None:
    assert errors(http, body)


def test_names_are_quoted_only_so_far(http: TestClient) -> None:
    assert len(errors(http, json.dumps({"x" * 100_000: 1}))[0]["parameter"]) == 200


def test_a_body_that_is_no_object_is_called_the_body(http: TestClient) -> None:
    assert [each["parameter"] for each in errors(http, "7")] == ["body"]


@pytest.mark.parametrize("asked", ["/a%00", "/a?few=%00", "/a?many=%00"])
def test_nobody_is_asked_for_a_text_that_no_database_keeps(http: TestClient, asked: str) -> None:
    answer = http.get(asked)
    (error,) = answer.json()
    assert (answer.status_code, error["detail"]) == (422, "has a NUL character, which no text here has")
    assert http.get(asked.replace("%00", "0")).status_code == 200
