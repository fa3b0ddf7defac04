"""A CSV file as rows that know their place, so that every complaint names file, line and column.

A file that is not there, is no text, or lacks a column stops an import before anything is published (:class:`CommandError`). A
value that is wrong concerns its row alone (:class:`Unusable`).
"""

import csv
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from msgspec import Struct

from events.values import Price
from handoff.errors import CommandError
from handoff.importing.rejected import Rejected, Unusable


class Row(Struct, frozen=True):
    """One row. Values are without the blanks around them; an empty one says nothing."""

    place: str
    values: dict[str, str]

    def text(self, column: str) -> str:
        """What the column says. Raises ``Unusable`` where it says nothing."""
        if value := self.maybe(column):
            return value
        raise Unusable(f"{column} is empty")

    def maybe(self, column: str) -> str | None:
        """What the column says, or None."""
        return self.values.get(column) or None

    def day(self, column: str) -> date:
        """The day in a column. Raises ``Unusable``."""
        text = self.text(column)
        try:
            if len(text) != len("2017-01-31"):
                raise ValueError
            return date.fromisoformat(text)
        except ValueError:
            raise Unusable(f"{column}: {text!r} is not a day such as 2017-01-31") from None

    def price(self, column: str, currency: str) -> Price:
        """The amount in a column. Raises ``Unusable``."""
        text = self.text(column)
        try:
            return Price(amount=Decimal(text), currency=currency)
        except InvalidOperation:
            raise Unusable(f"{column}: {text!r} is not an amount such as 1054 or 1054.50") from None
        except ValueError as error:
            raise Unusable(f"{column}: {error}") from None


def read_rows(file: Path, columns: Sequence[str]) -> Iterator[Row | Rejected]:
    """The rows of a file that has at least these columns; blank lines are passed over.

    A row is one line: so a quotation mark that is never closed costs its own row, and not all that follow.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            header = _cells(next(lines, ""))
            if missing := [column for column in columns if column not in header]:
                found = ", ".join(header) or "nothing"
                raise CommandError(f"{file} has no column {' and no column '.join(missing)}: its first line has {found}")
            for number, line in enumerate(lines, start=2):
                if line.strip():
                    yield _row(f"{file.name}:{number}", line, header)
    except csv.Error as error:
        raise CommandError(f"{file}: its first line is no CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from error
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error


def _row(place: str, line: str, header: list[str]) -> Row | Rejected:
    try:
        cells = _cells(line)
    except csv.Error as error:
        return Rejected(place, f"is no row of CSV: {error}")
    if len(cells) != len(header):
        return Rejected(place, f"has {len(cells)} values, and the first line {len(header)} names")
    return Row(place, dict(zip(header, cells, strict=True)))


def _cells(line: str) -> list[str]:
    return [cell.strip() for row in csv.reader([line], strict=True) for cell in row]
