"""Rows as CSV for spreadsheets.

A text that a spreadsheet would take for a formula (``=``, ``+``, ``-``, ``@`` and control characters in front) gets an
apostrophe: names come from outside. Amounts are ours, and stay numbers.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe(text: str | None) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text and text.startswith(_FORMULA) else text or ""


def csv_of(columns: Sequence[str] | None, rows: Iterable[Sequence[Any]]) -> str:
    """A line of column names (unless there are none: the rows go on), and a line for each row."""
    text = io.StringIO()
    writer = csv.writer(text)
    if columns is not None:
        writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
