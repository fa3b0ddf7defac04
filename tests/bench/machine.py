"""Where it was measured: without this, figures of two runs must not be laid side by side."""

import os
import platform
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from handoff.broker.pins import VERSION

FSYNCS: Final = 20


def facts(folder: Path) -> dict[str, Any]:
    """The machine as it is now; ``folder`` is where databases and logs will lie."""
    return {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "kafka": VERSION,
        "load_average": list(os.getloadavg()),
        "fsync_ms": fsync_ms(folder),
    }


def fsync_ms(folder: Path) -> float:
    """What one fsync of 4 KiB takes here, the median of some: on a disk in memory it is next to nothing, and proves nothing."""
    took = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(FSYNCS):
            file.write(b"\0" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return sorted(took)[FSYNCS // 2] * 1000
