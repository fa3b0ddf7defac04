"""Cursors: where a page ended, as a text that a client hands back for the next one. Whatever comes back may be anything."""

import base64
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

CURSOR_CHARACTERS_MAX: Final = 8_000
"""Longer than any place that there is: an id in it has 640 characters at most."""
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that databases keep."""

P = TypeVar("P", bound=tuple[Any, ...])


def cursor_of(*place: str | int | None) -> str:
    """A place as an opaque cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def place_of(cursor: str, kind: type[P]) -> P:
    """The place that a cursor is, a tuple of such a kind. Raises ``ValueError``."""
    try:
        if len(cursor) > CURSOR_CHARACTERS_MAX:
            raise ValueError
        place: P = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=kind)
        if any(isinstance(each, str) and "\0" in each for each in place):
            raise ValueError
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        raise ValueError("is not a cursor: take `next` of the page before") from None
    return place
