"""Errors as ``application/problem+json`` (RFC 9457): what is wrong, where, and what would be right."""

from http import HTTPStatus
from typing import Any, Final

from eventsourcing.persistence import PersistenceError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from events.web.parameters import wrong_parameters

MEDIA_TYPE: Final = "application/problem+json"


def problem(status: int, detail: str, **more: Any) -> JSONResponse:
    """A problem as a response."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of the application be a problem."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(PersistenceError, _no_database)


def no_parameters(request: Request) -> None:
    """Refuse whatever is asked in the query of a resource that has no parameters."""
    wrong = [{"loc": ("query", name), "msg": "is not a parameter of this resource: it has none"} for name in request.query_params]
    if wrong:
        raise RequestValidationError(wrong)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    response = problem(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = wrong_parameters(request, error)
    detail = "; ".join(f"{each['parameter']}: {each['detail']}" for each in errors)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


async def _no_database(_: Request, error: Exception) -> JSONResponse:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"the database cannot be asked ({error}): try again soon")
