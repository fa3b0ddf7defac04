"""Cursors come back as they went out, or are refused: nothing in them reaches a database that it could not keep."""

import base64
import json

import pytest

from events.web.cursors import CURSOR_CHARACTERS_MAX, Whole, cursor_of, place_of

Place = tuple[Whole, str]


def spelled(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize("place", [(0, ""), (-(2**63), "a/ä\n"), (2**63 - 1, "x" * 640)])
def test_a_cursor_is_its_place(place: Place) -> None:
    assert place_of(cursor_of(*place), Place) == place


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "ä",
        "=" * 10,
        spelled("[]"),
        spelled("null"),
        spelled('[1, "a", 2]'),
        spelled('["1", "a"]'),
        spelled('[true, "a"]'),
        spelled('[1e3, "a"]'),
        spelled('[NaN, "a"]'),
        spelled(f'[{2**63}, "a"]'),
        spelled(f'[{"9" * 5000}, "a"]'),
        spelled('[1, "\\u0000"]'),
        spelled('[1, "\\ud800"]'),
        spelled("[" * 5_000),
        spelled(json.dumps([1, "x" * CURSOR_CHARACTERS_MAX])),
        base64.urlsafe_b64encode(b'[1, "\xff"]').decode(),
    ],
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match="is not a cursor: take `next` of the page before"):
        place_of(cursor, Place)
