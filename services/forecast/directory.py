"""The sales force over time, as ``crm.directory.v1`` has it: whole versions, read by every process, without a group.

Which version answers is decided by its ``effective_from``, never by its arrival. A record that is no valid version, or repeats a
number, changes nothing and is remembered as a problem.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from events.bus import BusError
from events.record import Record
from events.reference import Directory, Rep, Version, in_force
from events.topics import DIRECTORY
from events.values import parse_instant

log = logging.getLogger(__name__)


class Reps(NamedTuple):
    """The reps of one version, by id; ``version`` is None where there is no directory at all."""

    version: int | None
    by_id: Mapping[str, Rep]

    def team(self, rep_id: str | None) -> str | None:
        """The rep's team, where it is known."""
        rep = self.by_id.get(rep_id or "")
        return rep.team if rep else None

    def region(self, rep_id: str | None) -> str | None:
        """The rep's region, where it is known."""
        rep = self.by_id.get(rep_id or "")
        return rep.region if rep else None

    def name(self, rep_id: str) -> str:
        """The rep's name, or the id where no name is known."""
        rep = self.by_id.get(rep_id)
        return (rep.name if rep else None) or rep_id


class _Known(NamedTuple):
    """What has been read so far. ``position``: the next offset; None while the topic was never read."""

    position: int | None
    versions: Mapping[int, tuple[Version, Reps]]
    problem: str | None


class Directories:
    """All versions. ``read``: the records from an offset on; ``end``: the offset after the last one. Thread-safe."""

    def __init__(self, read: Callable[[int], Sequence[Record]], end: Callable[[], int]) -> None:
        self._read = read
        self._end = end
        self._lock = threading.Lock()
        self._known = _Known(None, {}, None)

    @property
    def position(self) -> int | None:
        """The next offset to read: changes whenever there is a new version. None while the topic was never read."""
        return self._known.position

    @property
    def problem(self) -> str | None:
        """What was wrong with the last record, if something was."""
        return self._known.problem

    def at(self, instant: int) -> Reps:
        """The sales force at an instant (nanoseconds)."""
        versions = self._known.versions
        version = in_force((version for version, _ in versions.values()), instant)
        return versions[version.version][1] if version else Reps(None, {})

    def behind(self) -> int:
        """How many offsets of the topic are not yet read. Raises ``BusError``."""
        return max(0, self._end() - (self._known.position or 0))

    def refresh(self) -> None:
        """Read what is new. Raises ``BusError``, or ``LookupError`` where there is no such topic."""
        with self._lock:
            known, end = self._known, self._end()
            if known.position is not None and end < known.position:  # the topic was made again
                known = _Known(0, {}, None)
            for record in self._read(known.position or 0):
                known = _with(known, record)
            self._known = known._replace(position=max(end, known.position or 0))


def _with(known: _Known, record: Record) -> _Known:
    position = record.offset + 1
    try:
        version = msgspec.json.decode(record.value or b"", type=Version)
        directory = msgspec.json.decode(version.content, type=Directory)
        parse_instant(version.effective_from)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        return known._replace(position=position, problem=_problem(record, f"is not a valid version: {error}"))
    if version.version in known.versions:
        return known._replace(position=position, problem=_problem(record, f"has version {version.version} again: number it anew"))
    reps = Reps(version.version, {rep.rep_id: rep for rep in reversed(directory.reps)})
    return _Known(position, {**known.versions, version.version: (version, reps)}, None)


def _problem(record: Record, what: str) -> str:
    problem = f"{DIRECTORY.name} at {record.offset} {what}"
    log.error("%s; the other versions stay", problem)
    return problem


class Refresher:
    """Keeps directories fresh, from its own thread between ``start`` and ``stop``."""

    def __init__(self, directories: Directories, seconds: float) -> None:
        self._directories = directories
        self._seconds: Final = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="directory", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no longer."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        away = False
        while True:
            try:
                self._directories.refresh()
                away = False
            except (BusError, LookupError) as error:
                if not away:
                    log.warning("%s cannot be read: %s; tried again until it can", DIRECTORY.name, error)
                away = True
            if self._stopped.wait(self._seconds):
                return
