"""What is wrong with the parameters of a request, in words that say what would be right."""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

ERRORS_MAX: Final = 50
"""How many wrong parameters of a request are told: a request may have tens of thousands."""
NAME_MAX: Final = 200
"""How many characters of a parameter's name are quoted."""


def wrong_parameters(request: Request, error: RequestValidationError) -> list[dict[str, str]]:
    """Each parameter that is wrong, and why; the first 50 of them."""
    errors = []
    for each in error.errors()[:ERRORS_MAX]:
        parameter = _quotable(".".join(str(part) for part in each["loc"][1:]) or str(each["loc"][0]))
        errors.append({"parameter": parameter, "detail": _quotable(_wording(each, _known(request, each["loc"])), 2000)})
    return errors


def sound(request: Request) -> None:
    """Refuse what no resource has an answer for; a dependency of every application."""
    _once(request)
    _plain(request)


def _plain(request: Request) -> None:
    """Refuse a text with a NUL character: databases keep none, and PostgreSQL cannot even be asked for one."""
    given = [("path", name, str(text)) for name, text in request.path_params.items()]
    given += [("query", name, text) for name, text in request.query_params.multi_items()]
    wrong = [(place, name) for place, name, text in given if "\0" in text]
    if wrong:
        raise RequestValidationError([{"loc": each, "msg": "has a NUL character, which no text here has"} for each in wrong])


def _once(request: Request) -> None:
    """Refuse a parameter that is given twice, unless it takes several values: nothing says which one is meant."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    fields = {field.alias or name: field for model in _models_of(request) for name, field in model.model_fields.items()}
    several = {name for name, field in fields.items() if _is_list(field.annotation)}
    twice = sorted(name for name, count in given.items() if count > 1 and name not in several)
    if twice:
        raise RequestValidationError([{"loc": ("query", name), "msg": "is given more than once"} for name in twice])


def _quotable(text: str, length_max: int = NAME_MAX) -> str:
    """A text that came with a request, so that it can be sent back: JSON can say halves of characters, UTF-8 cannot."""
    return text[:length_max].encode(errors="replace").decode()


def _wording(error: Any, known: Sequence[str]) -> str:
    match error.get("type"):
        case "extra_forbidden":
            meant = get_close_matches(str(error["loc"][-1])[:NAME_MAX], known, n=1)
            hint = f" (did you mean {meant[0]}?)" if meant else ""
            what = "field of this object" if error["loc"][0] == "body" else "parameter of this resource"
            return f"is not a {what}{hint}; these are: {', '.join(known) or 'none'}"
        case "missing":
            return "is required"
        case "literal_error" | "enum":
            return f"must be one of {error['ctx']['expected'].replace(chr(39), '').replace(' or ', ', ')}"
        case _:
            return str(error["msg"]).removeprefix("Value error, ")


def _known(request: Request, place: Sequence[Any]) -> list[str]:
    """What may stand at a place of the request: the fields of its query model, or of a part of its body."""
    models = _models_of(request)
    for part in place[1:-1]:
        models = [found for model in models if part in model.model_fields for found in _models(model.model_fields[part].annotation)]
    return [field.alias or name for model in models for name, field in model.model_fields.items()]


def _models_of(request: Request) -> list[type[BaseModel]]:
    """The models of the resource that is asked for: of its query, and of its body."""
    route = request.scope.get("route")
    hints = get_type_hints(getattr(route, "endpoint", None) or (lambda: None))
    return [hint for hint in hints.values() if _is_model(hint)]


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or (
        get_origin(annotation) in (Annotated, Union, UnionType) and any(map(_is_list, get_args(annotation)))
    )


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field may hold; of several, none: which one is meant is said by its own part of the place."""
    found = [each for each in (annotation, *get_args(annotation)) if _is_model(each)]
    return found if len(found) == 1 else []


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)
