"""Everything that a machine needs once before its first broker: jars, a Java, and Java's start-up archive.

In goes who is to be told about progress, out comes a sentence about what was found. A broker starts without this too:
it fetches what is missing; only the archive is made here and nowhere else.
"""

import tempfile
from pathlib import Path

from handoff.broker import archive
from handoff.broker.embedded import JVM_OPTIONS, EmbeddedKafka
from handoff.broker.errors import KafkaUnavailable
from handoff.broker.jars import Progress, cache_dir, class_path, silent
from handoff.broker.java import Java, find_java
from handoff.broker.locks import LockedError, exclusive
from handoff.broker.pins import VERSION

TRAINING_SECONDS_MAX = 120.0

ARCHIVES_MAX = 4
"""Archives kept, of some 50 MB each; without a limit every new virtual environment or Java would add one for ever."""


def prepare(on_progress: Progress = silent, java: str | None = None) -> str:
    """Make this machine ready to start brokers, offline from then on; quick when it already is.

    Every byte of the jars is checked again. `java`: as in `find_java`. Raises `KafkaUnavailable`.
    """
    found = find_java(java)
    jars = class_path(on_progress, thorough=True)
    file = archive.archive_file(found, jars, JVM_OPTIONS)
    if not file.exists():
        on_progress("preparing Java for quick starts of Kafka (10-20 s, once)")
        try:
            _train(found, file)
        except OSError as error:  # a broker did run, so this machine is ready all the same
            on_progress(f"Java made no start-up archive ({error.strerror}): Kafka starts in 2-3 s instead of 1")
    return f"Kafka {VERSION} on Java {found.major} ({found.executable})"


def _train(java: Java, file: Path) -> None:
    """Run a broker once in a directory of its own, so that Java writes the archive when it ends."""
    file.parent.mkdir(exist_ok=True)
    try:
        with (
            exclusive(cache_dir() / "training", TRAINING_SECONDS_MAX),
            tempfile.TemporaryDirectory(dir=file.parent, prefix=".training-") as scratch,
        ):
            if file.exists():  # made by another process in the meantime
                return
            made = Path(scratch, "archive")
            broker = EmbeddedKafka(Path(scratch, "broker"), java=str(java.executable), jvm_options=archive.make(java, made))
            try:
                broker.start()
            finally:
                broker.stop(TRAINING_SECONDS_MAX)
            made.replace(file)
            _discard_old(file.parent)
    except LockedError:
        raise KafkaUnavailable("another process has been preparing Java for Kafka for two minutes: end it") from None


def _discard_old(archives: Path) -> None:
    """Keep the newest; a broker that runs on one of the others is not disturbed by its removal."""
    for file in sorted(archives.glob("java-*"), key=lambda file: file.stat().st_mtime)[:-ARCHIVES_MAX]:
        file.unlink()
