"""An event log in XES (IEEE 1849), plain or gzipped, as traces that know their place; in constant memory, however long it is.

In go a file and the keys of the attributes that are wanted; out come its traces one by one, each with its own attributes and
its events, in the order of the file. XES says everything in tags, so text, nested attributes and what stands outside of
traces are passed over. XML that only an attacker or an accident writes meets a limit: no document type (hence no entities
that grow), no tag that never ends, no nesting without end, no trace that fills the memory.

What is no XES log at all stops an import before anything is published (:class:`CommandError`). A trace that is wrong costs itself
alone, and a file that breaks off in the middle costs what follows (:class:`Rejected`).
"""

import gzip
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final
from xml.parsers import expat

from msgspec import Struct

from handoff.errors import CommandError
from handoff.importing.rejected import Rejected, Unusable

NAME: Final = "concept:name"
"""The attribute that names a trace or an event."""
CHUNK_BYTES: Final = 64 * 1024
TAG_BYTES_MAX: Final = 1024 * 1024
"""So much text, comment or unfinished tag may lie between two tags."""
DEPTH_MAX: Final = 64
"""So deep may attributes be nested."""
EVENTS_MAX: Final = 10_000
"""So many events may a trace have."""
VALUE_CHARACTERS_MAX: Final = 1_000
"""So long may the value of a wanted attribute be."""
_GZIP: Final = b"\x1f\x8b"
_SHOWN_CHARACTERS: Final = 60


class Element(Struct):
    """A trace or an event: the line where it begins, and its wanted attributes by key."""

    line: int
    values: dict[str, str]

    def maybe(self, key: str) -> str | None:
        """The value of an attribute, or None; an empty one says nothing."""
        return self.values.get(key) or None

    def text(self, key: str) -> str:
        """The value of an attribute. Raises ``Unusable`` where there is none."""
        if value := self.maybe(key):
            return value
        raise Unusable(f"{key} is missing")


class Trace(Element):
    """A trace: what happened in one case."""

    file: str
    events: list[Element]

    def rejected(self, reason: str, line: int | None = None) -> Rejected:
        """The trace as one that is not taken over; ``line``: where it is wrong, if not as a whole."""
        return Rejected(f"{self.file}:{line or self.line}", f"{self._called}: {reason}")

    @property
    def _called(self) -> str:
        name = self.maybe(NAME)
        return f"trace {name[:_SHOWN_CHARACTERS]!r}" if name else "a trace without a name"


class XesLog:
    """The traces of a file, to be read once."""

    def __init__(self, file: Path, keys: Collection[str]) -> None:
        self._file = file
        self._keys = frozenset(keys)
        self._bytes = 0
        self._bytes_read = 0
        self.read = 0
        """So many traces were read, those that are wrong included."""

    @property
    def share(self) -> float:
        """How much of the file is read, from 0 to 1."""
        return self._bytes_read / self._bytes if self._bytes else 0.0

    def traces(self) -> Iterator[Trace | Rejected]:
        """Read them. Raises ``CommandError`` where the file cannot be read, or is no XES log."""
        collector = _Collector(self._file.name, self._keys)
        chunks = self._chunks()
        while True:
            broken: Rejected | None = None
            chunk = b""
            try:
                chunk = next(chunks, b"")
                collector.feed(chunk)
            except _BrokenError as error:
                if not collector.begun:
                    raise CommandError(f"{self._file} is no XES log: {error}") from error
                broken = collector.broken(str(error))
            taken = collector.taken()
            self.read += len(taken)
            yield from taken
            if broken:
                yield broken
            if broken or not chunk:
                return

    def _chunks(self) -> Iterator[bytes]:
        """The bytes of the XML."""
        try:
            with self._file.open("rb") as stored, _unpacked(stored) as stream:
                self._bytes = self._file.stat().st_size
                while chunk := _read(stream):
                    self._bytes_read = stored.tell()
                    yield chunk
        except OSError as error:
            raise CommandError(f"{self._file} cannot be read: {error.strerror}") from error


class _BrokenError(Exception):
    """The file cannot be read on: why."""


@contextmanager
def _unpacked(stored: BufferedReader) -> Iterator[BufferedReader | gzip.GzipFile]:
    zipped = stored.read(len(_GZIP)) == _GZIP
    stored.seek(0)
    if not zipped:
        yield stored
        return
    with gzip.GzipFile(fileobj=stored) as stream:
        yield stream


def _read(stream: BufferedReader | gzip.GzipFile) -> bytes:
    """The next bytes: those before a damaged place too."""
    try:
        return stream.read1(CHUNK_BYTES)
    except EOFError:
        raise _BrokenError("the gzip file is cut off: get it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _BrokenError(f"the gzip file is damaged ({error}): get it again") from None


class _Collector:
    """Puts traces together from tags."""

    def __init__(self, file: str, keys: frozenset[str]) -> None:
        self._file = file
        self._keys = keys
        self._depth = 0
        self._tags = 0
        self._quiet_bytes = 0
        self._trace: Trace | None = None
        self._event: Element | None = None
        self._fault: Rejected | None = None
        self._taken: list[Trace | Rejected] = []
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._doctype

    @property
    def begun(self) -> bool:
        """Whether it is a log."""
        return self._tags > 0

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes; none at the end. Raises ``_BrokenError``."""
        before = self._tags
        try:
            self._parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            if chunk:
                raise _BrokenError(f"not XML from column {error.offset + 1} on ({expat.ErrorString(error.code)})") from None
            raise _BrokenError("the file ends in the middle" if self.begun else "there is no tag in it") from None
        except (LookupError, ValueError) as error:  # an encoding that is not there
            raise _BrokenError(f"its encoding cannot be read ({error}): save it as UTF-8") from None
        self._quiet_bytes = 0 if self._tags > before else self._quiet_bytes + len(chunk)
        if self._quiet_bytes > TAG_BYTES_MAX:
            raise _BrokenError(f"no tag begins within {TAG_BYTES_MAX:,} bytes")

    def taken(self) -> list[Trace | Rejected]:
        """The traces that have become complete since the last time."""
        taken, self._taken = self._taken, []
        return taken

    def broken(self, reason: str) -> Rejected:
        """The rest of the file as what is not taken over."""
        lost = f"; {self._trace.rejected('is not taken over').reason}" if self._trace else ""
        return Rejected(f"{self._file}:{self._parser.CurrentLineNumber}", f"{reason}; nothing is read from here on{lost}")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        name = tag.rpartition(" ")[2]
        if self._depth == 1 and name != "log":
            raise _BrokenError(f"its first tag is <{name[:_SHOWN_CHARACTERS]}>, not <log>")
        self._tags += 1
        if self._depth > DEPTH_MAX:
            raise _BrokenError(f"tags are nested more than {DEPTH_MAX} deep")
        if self._depth == 2 and name == "trace":
            self._trace = Trace(self._parser.CurrentLineNumber, {}, self._file, [])
        elif self._trace is not None and self._depth == 3:
            if name == "event":
                self._event = Element(self._parser.CurrentLineNumber, {})
            else:
                self._attribute(self._trace, attributes)
        elif self._event is not None and self._depth == 4:
            self._attribute(self._event, attributes)

    def _end(self, tag: str) -> None:
        if self._trace is not None:
            if self._depth == 2:
                self._taken.append(self._trace if self._fault is None else self._fault)
                self._trace = self._fault = None
            elif self._depth == 3 and self._event is not None:
                self._add(self._trace, self._event)
                self._event = None
        self._depth -= 1

    def _add(self, trace: Trace, event: Element) -> None:
        if len(trace.events) < EVENTS_MAX:
            trace.events.append(event)
        else:
            self._find_fault(trace, f"has more than {EVENTS_MAX:,} events", event)

    def _attribute(self, element: Element, attributes: dict[str, str]) -> None:
        key = attributes.get("key")
        if key not in self._keys:
            return
        value = attributes.get("value", "")
        if len(value) <= VALUE_CHARACTERS_MAX:
            element.values[key] = value
        elif self._trace is not None:
            reason = f"{key} has {len(value):,} characters, at most {VALUE_CHARACTERS_MAX:,} are taken in"
            self._find_fault(self._trace, reason, element)

    def _find_fault(self, trace: Trace, reason: str, element: Element) -> None:
        """The first fault that is found is told."""
        if self._fault is None:
            self._fault = trace.rejected(reason, element.line)

    def _doctype(self, *_: object) -> None:
        raise _BrokenError("it has a document type (<!DOCTYPE): XES has none, and entities that it may declare are not read")
