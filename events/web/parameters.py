"""What is wrong with the parameters of a request, in words that say what would be right."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_type_hints

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel


def wrong_parameters(request: Request, error: RequestValidationError) -> list[dict[str, str]]:
    """Each parameter that is wrong, and why."""
    errors = []
    for each in error.errors():
        parameter = ".".join(str(part) for part in each["loc"][1:])
        errors.append({"parameter": parameter, "detail": _wording(each, parameter, _known_parameters(request))})
    return errors


def _wording(error: Any, parameter: str, known: Sequence[str]) -> str:
    match error.get("type"):
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
    return [field.alias or name for model in models for name, field in model.model_fields.items()]
