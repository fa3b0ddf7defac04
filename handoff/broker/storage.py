"""What can be seen of Kafka's data without Kafka: is it formatted, does its metadata still know its topics, is there any space."""

import shutil
from pathlib import Path
from typing import Final

SPACE_BYTES_MIN: Final = 1 << 20
"""With less a broker cannot even start: it writes its log and its metadata first."""

_METADATA = "__cluster_metadata-0"
_STRAY = "-stray"


def is_formatted(log_dir: Path) -> bool:
    """Whether the directory has its identity; this file is the last thing that formatting writes."""
    return (log_dir / "meta.properties").exists()


def lacks_space(folder: Path) -> bool:
    """Whether the disk is full. A broker that dies of it may have no space to say so in its log."""
    return shutil.disk_usage(folder).free < SPACE_BYTES_MIN


def forgotten(log_dir: Path) -> list[str]:
    """The directories of all topic partitions if the metadata knows none of them, else nothing; ask when it is ready.

    A broker whose metadata log is damaged or gone does not fail: it starts as an empty one and sets aside the records
    of every topic that it does not know. Some such directories are normal, left by topics that were deleted; nothing
    but such directories means that all records are lost to the broker.
    """
    partitions = [path.name for path in log_dir.iterdir() if path.is_dir() and path.name != _METADATA]
    return sorted(partitions) if all(name.endswith(_STRAY) for name in partitions) else []
