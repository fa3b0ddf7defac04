"""From file to topic: ``rules.yaml`` and ``directory.yaml`` become versions when they change, and only when they are right.

In goes a file, looked at about once a second; out goes a whole new version on the reference topic, once for every new content. A
wrong file is logged once and reported for as long as it is wrong; the last good version stays in force. Where somebody else has
taken the number of a version at the same time, it is published again under the next one.
"""

import hashlib
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar

from msgspec import Struct

from events.bus import Bus, BusError
from events.bus.versions import FILE, Known, Versions, message_of, raw
from events.files.reading import Written
from events.files.yaml_tree import FILE_BYTES_MAX, FileError
from events.reference import Directory, Version
from events.topics import DIRECTORY, RULES
from events.values import format_instant
from services.routing.directory import read_directory
from services.routing.domain.rule_set import RuleSet
from services.routing.rules import read_rules

log = logging.getLogger(__name__)

FIRST_EFFECTIVE_FROM: Final = "1970-01-01T00:00:00Z"
"""The first version of a file that does not say otherwise holds for all the past."""
SEND_SECONDS_MAX: Final = 10.0

C = TypeVar("C", bound=Struct)


class Source(Generic[C]):
    """One file and its topic. ``read`` makes content of bytes, or raises ``FileError``; ``clock``: nanoseconds since 1970."""

    def __init__(
        self,
        bus: Bus,
        path: Path,
        versions: Versions[C],
        read: Callable[[bytes], Written[C]],
        clock: Callable[[], int],
    ) -> None:
        self._bus = bus
        self._path = path
        self._versions = versions
        self._read = read
        self._clock = clock
        self._seen: object = None
        self.problem: str | None = None
        """What is wrong with the file, a line for each problem; None while it is right."""

    def check(self, *, context: object = None) -> None:
        """Look at the file, and publish it where it is new and right. Raises ``BusError``, and then nothing is lost.

        A file that was looked at is not read again until it, or the ``context`` in which it is read, changes.
        """
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino, context)
            if seen == self._seen:
                return
            with self._path.open("rb") as file:
                content = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            self._complain(f"{self._path}: {error.strerror or error}")
            self._seen = None
            return
        self._seen = seen if self._take_in(content) else None

    def _take_in(self, content: bytes) -> bool:
        """Whether it is done with: it is the last version of the file, or wrong."""
        digest = hashlib.sha256(content).hexdigest()
        last = self._versions.newest_of_file
        if last is not None and last.digest == digest:
            self.problem = None
            return True
        try:
            written = self._read(content)
        except FileError as error:
            self._complain(str(error))
            return True
        self.problem = None
        return self._publish(written, digest, first=last is None)

    def _publish(self, written: Written[C], digest: str, *, first: bool) -> bool:
        """Whether it is the version that has the number."""
        newest = self._versions.newest
        version = Version(
            version=1 if newest is None else newest.version + 1,
            effective_from=written.effective_from or (FIRST_EFFECTIVE_FROM if first else format_instant(self._clock())),
            author=FILE,
            content=raw(written.content),
            digest=digest,
        )
        producer = self._bus.producer()
        try:
            producer.send([message_of(self._versions.topic, version)]).wait(SEND_SECONDS_MAX)
        finally:
            producer.close()
        self._versions.refresh()
        there = self._versions.get(version.version)
        if there is None or there.digest != digest:
            log.warning(
                "%s is not version %d of %s, which somebody else has written: it is published again under the next number",
                self._path.name,
                version.version,
                self._versions.topic,
            )
            return False
        log.info("%s is version %d of %s", self._path.name, version.version, self._versions.topic)
        return True

    def _complain(self, problem: str) -> None:
        if problem != self.problem:
            newest = self._versions.newest
            stays = f"version {newest.version} stays" if newest else "there is no version yet"
            log.error("%s is not taken over (%s):\n%s", self._path.name, stays, problem)
        self.problem = problem


class Reference:
    """Rules and directory: their versions, and the files that they come from. Thread-safe for reading."""

    def __init__(self, bus: Bus, *, rules: Path | None, directory: Path | None, clock: Callable[[], int]) -> None:
        self.rules: Final = Versions(bus, RULES.name, RuleSet)
        self.directory: Final = Versions(bus, DIRECTORY.name, Directory)
        self._rules_file = Source(bus, rules, self.rules, partial(self._read_rules, name=rules.name), clock) if rules else None
        self._directory_file = (
            Source(bus, directory, self.directory, partial(read_directory, name=directory.name), clock) if directory else None
        )
        self._away: str | None = None

    def refresh(self) -> None:
        """Read the topics, and look at the files. Raises ``BusError``."""
        self.directory.refresh()
        self.rules.refresh()
        if self._directory_file:
            self._directory_file.check()
        reps = self.directory.newest
        if self._rules_file and reps:
            self._rules_file.check(context=reps.version)

    def look(self) -> None:
        """Refresh, if the bus answers; that it does not is logged once, and is among the problems as long as it lasts."""
        try:
            self.refresh()
        except BusError as error:
            if self._away is None:
                log.warning("rules and directory are not looked at: %s", error)
            self._away = f"rules and directory are not looked at: {error}"
        else:
            self._away = None

    def rules_in_force(self) -> Known[RuleSet]:
        """The newest rules. Raises ``BusError`` while there are none: to be tried again."""
        return _in_force(self.rules)

    def directory_in_force(self) -> Known[Directory]:
        """The newest directory. Raises ``BusError`` while there is none: to be tried again."""
        return _in_force(self.directory)

    def rules_of(self, version: int) -> Known[RuleSet] | None:
        """The rules of a version. Raises ``BusError``."""
        if self.rules.get(version) is None:
            self.rules.refresh()
        return self.rules.get(version)

    def directory_of(self, version: int) -> Known[Directory] | None:
        """The directory of a version. Raises ``BusError``."""
        if self.directory.get(version) is None:
            self.directory.refresh()
        return self.directory.get(version)

    def unusable(self) -> str | None:
        """Why nothing can be decided at all: there is no version yet, and the file that should be the first one is wrong."""
        if self.rules.newest is not None and self.directory.newest is not None:
            return None
        missing = "there is no directory yet" if self.directory.newest is None else "there are no rules yet"
        return f"{missing}: {'; '.join(line for problem in self.problems() for line in problem.splitlines()) or 'no file is set'}"

    def problems(self) -> list[str]:
        """What is wrong with files and topics; decisions go by the last good versions meanwhile."""
        files = [source.problem for source in (self._directory_file, self._rules_file) if source]
        found = [*files, self.directory.complaint, self.rules.complaint, self._away]
        return [problem for problem in found if problem]

    def _read_rules(self, content: bytes, name: str) -> Written[RuleSet]:
        directory = self.directory.newest
        assert directory is not None
        return read_rules(content, [rep.rep_id for rep in directory.content.reps], directory.version, name)


def _in_force(versions: Versions[C]) -> Known[C]:
    if versions.newest is None:
        versions.refresh()
    newest = versions.newest
    if newest is None:
        raise BusError(f"there is no valid version on {versions.topic} yet: nothing can be decided")
    return newest
