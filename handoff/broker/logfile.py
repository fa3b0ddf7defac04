"""The broker's log: a bounded file, and what it says about a start that failed."""

import re
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

SIZE_MAX = 4 << 20
"""In bytes, looked at when the broker starts: a start writes about 150 KB, a quiet day little more."""

QUOTE_MAX = 300
"""In characters: an error in full can be a page."""

_ENTRY = re.compile(r"\d{4}-\d\d-\d\dT\S+ \[.*?\] [A-Z]+ \S+ - ")
_ERROR = re.compile(r"\] ERROR |Exception|Error:|Error occurred |Error$")
_CAUSE = re.compile(r"Caused by: |[\w.$]+(?:Exception|Error): ")
_THREAD = re.compile(r'Caused by: |Exception in thread "main" ')


def open_for_append(path: Path) -> BinaryIO:
    """Open the log at its end; one that has grown too large is set aside as `<name>.1` first."""
    if path.exists() and path.stat().st_size > SIZE_MAX:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def says(path: Path, offset: int, text: str) -> bool:
    """Whether the log has the text after `offset` bytes."""
    with path.open("rb") as log:
        log.seek(offset)
        return text.encode() in log.read()


def first_error(path: Path, offset: int) -> str | None:
    """The reason given by the first error after `offset` bytes, or None when there is no error.

    Kafka's own line often says no more than "fatal exception"; the reason is at the end of the trace that follows.
    """
    with path.open("rb") as log:
        log.seek(offset)
        lines = log.read().decode(errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if _ERROR.search(line):
            trace = takewhile(lambda following: not _ENTRY.match(following), lines[number:])
            causes = [following for following in trace if _CAUSE.match(following)]
            reason = causes[-1] if causes else _ENTRY.sub("", line)
            return _THREAD.sub("", reason).strip()[:QUOTE_MAX]
    return None
