"""Typed reading of a YAML tree: every method gives the value, or adds a problem that says what was expected and gives None."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Final, Generic, TypeVar

from msgspec import Struct

from events.files.yaml_tree import Entries, Items, Place, Problem, Scalar, Tree
from events.values import NANOSECONDS, format_instant, parse_instant

TEXT_MAX: Final = 200
NUMBER_MAX: Final = 2**53
"""The largest whole number that every reader of JSON gets exactly."""
DIGITS_MAX: Final = 40
"""Of a whole number, zeros in front included: Python refuses to read thousands of them."""
HINTS_MAX: Final = 20
"""For how many problems of a file it is said what was probably meant: a name is held against as many as ten thousand others."""
DATE_LENGTH: Final = len("2026-01-31")
UNITS: Final = {"w": 7 * 24 * 3600, "d": 24 * 3600, "h": 3600, "m": 60}
"""The units of a duration, in seconds, the longest first."""


C = TypeVar("C")


class Written(Struct, Generic[C], frozen=True):
    """What a file says. ``effective_from`` is None where it does not say from when on it holds."""

    content: C
    effective_from: str | None


class Reader:
    """Reads one file; ``problems`` is what was wrong so far."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    def fail(self, at: Place, message: str) -> None:
        """Note a problem."""
        self.problems.append(at.problem(message))

    def meant(self, word: str, known: Collection[str]) -> str:
        """What was probably meant, to be appended to a message; only for the first problems: to look for it may take long."""
        return meant(word, known) if len(self.problems) < HINTS_MAX else ""

    def entries(self, tree: Tree, known: Collection[str] | None, required: Collection[str] = ()) -> Mapping[str, Tree] | None:
        """A mapping with these keys (any keys where ``known`` is None)."""
        if not isinstance(tree, Entries):
            self.fail(tree.place, f"a mapping (key: value) is expected, not {tree}")
            return None
        for name in tree.entries:
            if known is not None and name not in known:
                self.fail(tree.keys[name], f"unknown key{self.meant(name, known)}")
        for name in required:
            if name not in tree.entries:
                self.fail(tree.place, f"{name!r} is missing")
        return tree.entries

    def items(self, tree: Tree) -> tuple[Tree, ...]:
        """The entries of a list."""
        if not isinstance(tree, Items):
            self.fail(tree.place, f"a list is expected, not {tree}")
            return ()
        return tree.items

    def text(self, tree: Tree, what: str = "text", length_max: int = TEXT_MAX) -> str | None:
        """A text that is not empty."""
        if not isinstance(tree, Scalar) or tree.kind != "str":
            quotes = ": put it in quotes" if isinstance(tree, Scalar) and tree.kind != "null" else ""
            self.fail(tree.place, f"{what} is expected, not {tree}{quotes}")
            return None
        if not tree.text.strip() or len(tree.text) > length_max or not tree.text.isprintable():
            self.fail(tree.place, f"{what} has 1 to {length_max} printable characters")
            return None
        return tree.text

    def prose(self, tree: Tree, length_max: int) -> str | None:
        """A text of any number of lines: as one paragraph, for a file may be folded wherever its lines are full."""
        if isinstance(tree, Scalar) and tree.kind == "str":
            tree = Scalar(tree.place, " ".join(tree.text.split()), tree.kind)
        return self.text(tree, length_max=length_max)

    def integer(self, tree: Tree, least: int, most: int) -> int | None:
        """A whole number in this range."""
        if not isinstance(tree, Scalar) or tree.kind != "int":
            self.fail(tree.place, f"a whole number is expected, not {tree}")
            return None
        digits = tree.text.replace("_", "")
        number = int(digits) if digits.lstrip("+-").isdecimal() and len(digits) <= DIGITS_MAX else None
        if number is None or not least <= number <= most:
            self.fail(tree.place, f"a whole number from {least} to {most} is expected, not {tree.text[:TEXT_MAX]}")
            return None
        return number

    def boolean(self, tree: Tree) -> bool | None:
        """True or false."""
        if not isinstance(tree, Scalar) or tree.kind != "bool":
            self.fail(tree.place, f"true or false is expected, not {tree}")
            return None
        return tree.text.lower() == "true"

    def scalar(self, tree: Tree) -> str | int | bool | None:
        """A text, a whole number, true or false: whatever it looks like."""
        match tree:
            case Scalar(kind="bool"):
                return self.boolean(tree)
            case Scalar(kind="int"):
                return self.integer(tree, -NUMBER_MAX, NUMBER_MAX)
            case _:
                return self.text(tree)

    def choice(self, tree: Tree, choices: Collection[str]) -> str | None:
        """One of a few words."""
        word = self.text(tree, " or ".join(choices))
        if word is None or word in choices:
            return word
        self.fail(tree.place, f"{word!r} is not one of {', '.join(choices)}{self.meant(word, choices)}")
        return None

    def instant(self, tree: Tree) -> str | None:
        """A time with its offset, or a date (its first instant in UTC), as Handoff writes it."""
        if not isinstance(tree, Scalar):
            self.fail(tree.place, f"a time is expected, not {tree}")
            return None
        try:
            return format_instant(parse_instant(f"{tree.text}T00:00:00Z" if len(tree.text) == DATE_LENGTH else tree.text))
        except ValueError as error:
            self.fail(tree.place, str(error))
            return None

    def duration(self, tree: Tree, most: int) -> int | None:
        """A time that passes, such as ``30m``, ``12h``, ``3d`` or ``2w``, in nanoseconds; at most so many."""
        found = re.fullmatch(r"([1-9][0-9]{0,8})([wdhm])", tree.text) if isinstance(tree, Scalar) else None
        if found is None:
            self.fail(tree.place, f"a duration such as 30m, 12h, 3d or 2w is expected, not {tree}")
            return None
        nanoseconds = int(found[1]) * UNITS[found[2]] * NANOSECONDS
        if nanoseconds > most:
            self.fail(tree.place, f"a duration of at most {duration_text(most)} is expected, not {found[0]}")
            return None
        return nanoseconds


def duration_text(nanoseconds: int) -> str:
    """A duration (whole minutes) as a file says it, in the largest unit that gives a whole number, from days down."""
    seconds = nanoseconds // NANOSECONDS
    unit = next((name for name in ("d", "h") if seconds % UNITS[name] == 0), "m")
    return f"{seconds // UNITS[unit]}{unit}"


def meant(word: str, known: Collection[str]) -> str:
    """What was probably meant, to be appended to a message."""
    folded = {name.casefold(): name for name in known}
    close = get_close_matches(word.casefold()[:TEXT_MAX], folded, n=1)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""
