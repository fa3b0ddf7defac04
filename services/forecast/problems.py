"""Errors as ``application/problem+json`` (RFC 9457): what is wrong, where, and what would be right."""

import sqlite3
from collections.abc import Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, Final, get_type_hints

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

MEDIA_TYPE: Final = "application/problem+json"


class InvalidParameterError(Exception):
    """A query parameter whose value makes no sense here."""

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(f"{parameter}: {detail}")
        self.parameter = parameter
        self.detail = detail


def problem(status: int, detail: str, **more: Any) -> JSONResponse:
    """A problem as a response."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of the application be a problem."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(InvalidParameterError, _invalid_parameter)
    app.add_exception_handler(sqlite3.Error, _no_database)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    response = problem(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _invalid_parameter(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidParameterError)
    return _unprocessable([{"parameter": error.parameter, "detail": error.detail}])


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = []
    for each in error.errors():
        parameter = ".".join(str(part) for part in each["loc"][1:])
        errors.append({"parameter": parameter, "detail": _wording(each, parameter, _known_parameters(request))})
    return _unprocessable(errors)


async def _no_database(_: Request, error: Exception) -> JSONResponse:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"the database cannot be asked ({error}): try again soon")


def _unprocessable(errors: Sequence[dict[str, str]]) -> JSONResponse:
    detail = "; ".join(f"{each['parameter']}: {each['detail']}" for each in errors)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=list(errors))


def _wording(error: Any, parameter: str, known: Sequence[str]) -> str:
    match error["type"]:
        case "extra_forbidden":
            meant = get_close_matches(parameter, known, n=1)
            hint = f" (did you mean {meant[0]}?)" if meant else ""
            return f"is not a parameter of this resource{hint}; these are: {', '.join(known)}"
        case "missing":
            return "is required"
        case "literal_error" | "enum":
            return f"must be one of {error['ctx']['expected'].replace(chr(39), '').replace(' or ', ', ')}"
        case _:
            return str(error["msg"]).removeprefix("Value error, ")


def _known_parameters(request: Request) -> list[str]:
    """The parameters of the resource that was asked: the fields of its query model."""
    route = request.scope.get("route")
    hints = get_type_hints(getattr(route, "endpoint", None) or (lambda: None))
    models = [hint for hint in hints.values() if isinstance(hint, type) and issubclass(hint, BaseModel)]
    return [name for model in models for name in model.model_fields]
