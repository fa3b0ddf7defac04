"""Figures and names as the picture of a process map writes them: durations and shares for people, names that fit."""

import unicodedata

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def duration(seconds: int | None) -> str:
    """A time for people, in the unit that fits: 45 s, 12 min, 5.2 h, 14.4 d."""
    if seconds is None:
        return "-"
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < _DAY else f"{seconds / _DAY:,.1f} d"


def percent(share: float | None) -> str:
    """A share for people."""
    return "-" if share is None else f"{share * 100:.1f} %".replace("100.0", "100")


def text_width(text: str, size: float) -> float:
    """How wide a text is at most, as sans-serif fonts go."""
    return size * sum(1.05 if unicodedata.east_asian_width(each) in "WF" else 0.62 for each in text)


def cut(text: str, width: float, size: float) -> str:
    """A text in one line that fits a width; what is longer ends with an ellipsis."""
    (line,) = wrapped(text, width, size, 1)
    return line


def wrapped(text: str, width: float, size: float, lines_max: int) -> list[str]:
    """A text in so many lines at most (at least one), broken between words where that is possible."""
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < lines_max:
        fitting = next((end for end in range(len(rest), 0, -1) if text_width(rest[:end], size) <= width), 1)
        blank = rest.rfind(" ", 0, fitting + 1)
        end = fitting if fitting == len(rest) or blank <= 0 else blank
        lines.append(rest[:end])
        rest = rest[end:].strip()
    if rest:
        lines[-1] = lines[-1][:-1] + "…"
    return lines or [""]
