"""Java's start-up archive for the broker: a file of loaded classes that halves the time and work of every start.

In go the Java and the class path, out come the options that make such a file or use it. An archive fits one Java, one
set of files and one set of options, so these are in its name; Java checks them again (jars by their time and size) and
silently does without the archive when they do not match. Java 25 has a new kind of archive (JEP 514), older ones have
class data sharing (JEP 350).
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from handoff.broker.jars import cache_dir
from handoff.broker.java import Java

AOT_MAJOR_MIN = 25


def archive_file(java: Java, class_path: str, options: Sequence[str]) -> Path:
    """Where the archive of this combination is, or would be."""
    jars = [f"{jar} {os.stat(jar).st_mtime_ns}" for jar in class_path.split(os.pathsep)]
    combination = "\n".join([str(java.executable), java.banner, *jars, *options])
    name = hashlib.sha256(combination.encode()).hexdigest()[:16]
    return cache_dir() / "archives" / f"java-{java.major}-{name}"


def use(java: Java, file: Path) -> list[str]:
    """The options to start with `file`; none when there is no such file."""
    if not file.exists():
        return []
    return [f"-XX:AOTCache={file}" if java.major >= AOT_MAJOR_MIN else f"-XX:SharedArchiveFile={file}"]


def make(java: Java, file: Path) -> list[str]:
    """The options to write `file` when Java ends."""
    return [f"-XX:AOTCacheOutput={file}" if java.major >= AOT_MAJOR_MIN else f"-XX:ArchiveClassesAtExit={file}"]
