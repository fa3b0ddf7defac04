"""The exact jars of the broker, pinned: `jars.sha256` beside this file, one line per jar.

A line is the jar's SHA-256, its size in bytes and its Maven coordinate. The list is a lock file: it is made from the
coordinates in `ROOTS` by `python -m handoff.broker pin` (see `pin`), kept under version control, and all that a
machine ever fetches. So no machine resolves dependencies by itself, and none runs a jar that differs from the list.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

VERSION = "4.3.1"
"""Of Apache Kafka."""

ROOTS = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.slf4j:slf4j-simple:1.7.36")
"""What the broker needs; the rest follows from their POMs. slf4j-simple writes the log."""

FILE = Path(__file__).with_name("jars.sha256")


@dataclass(frozen=True)
class Pin:
    """One jar and what it must be."""

    sha256: str
    size: int
    coordinate: str

    @cached_property
    def file_name(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def pinned() -> list[Pin]:
    """The list, in the order of the class path."""
    lines = FILE.read_text().splitlines()
    return [Pin(sha256, int(size), coordinate) for sha256, size, coordinate in map(str.split, lines)]


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pin(download_dir: Path) -> int:
    """Resolve `ROOTS` anew into `download_dir` and write the list; returns the number of jars.

    For the maintainer who changes `VERSION`: look at the difference, then commit it with the change.
    """
    from jgo.maven import MavenContext  # noqa: PLC0415 - takes 0.3 s, and only maintainers need it

    context = MavenContext(repo_cache=download_dir, timeout=30)
    roots = [context.create_dependency(coordinate) for coordinate in ROOTS]
    for root in roots:
        root.scope = "compile"
    lines = []
    for part in context.resolver.resolve(roots):
        for dependency in part:
            if dependency.scope in ("compile", "runtime"):
                path = dependency.artifact.resolve()
                coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
                lines.append(f"{digest(path)} {path.stat().st_size} {coordinate}\n")
    FILE.write_text("".join(lines))
    return len(lines)
