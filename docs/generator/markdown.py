"""Pieces of Markdown: tables, code, and words of docstrings."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown, kept on one line."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "".join(f"| {' | '.join(_cell(text) for text in line)} |\n" for line in lines)


def code(text: object) -> str:
    """A text as code."""
    return f"`{text}`"


def json_code(value: Any) -> str:
    """A value as JSON, in code."""
    return code(msgspec.json.format(msgspec.json.encode(value), indent=-1).decode())


def prose(docstring: str) -> str:
    """The words of a docstring, without its marks of reStructuredText."""
    text = docstring.strip().replace("``", "`")
    return re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", text)


def anchor(heading: str) -> str:
    """The anchor that repository hosts give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", "")).replace(" ", "-")


def link(heading: str) -> str:
    """A link to a heading of the same page."""
    return f"[{heading}](#{anchor(heading)})"


def _cell(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip()).replace("|", "\\|")
