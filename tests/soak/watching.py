"""What is looked at every few seconds: what each process holds, what each service says of itself, what lies on the disk.

Memory is counted twice: resident, and anonymous, which is what a process has asked for; the difference is pages of files, which
the kernel takes back when it needs them (Kafka maps its indexes). As Linux tells it.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

from handoff.client import ServiceDown, Services
from handoff.settings import SERVICES, ServiceName
from tests.faults.stack import Stack

PROCESSES: Final = (*SERVICES, "kafka")
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
MIB: Final = 2**20
METRICS_EVERY: Final = 3
"""Metrics are asked for with every third look: every 15 s, as a Prometheus does."""
ANSWERS_EVERY: Final = 12
"""``ASKED`` is asked for every minute, as a page that somebody has open does."""
ASKED: Final[dict[str, tuple[ServiceName, dict[str, str]]]] = {
    "/v1/pipeline": ("forecast", {"currency": "EUR"}),
    "/v1/customers": ("lifecycle", {"limit": "100"}),
}
"""Answers over all deals and all customers, by path: of whom, and with which parameters."""
STEPS: Final = 50_000
"""What the machine's speed is measured by takes so many steps, from one place in memory to another.

4 ms on a quiet machine, 14 where its caches are full of other things.
"""


class Watch:
    """Takes samples of a stack."""

    def __init__(self, stack: Stack, services: Services) -> None:
        self.samples: list[dict[str, Any]] = []
        self._stack = stack
        self._services = services
        self._began = time.monotonic()
        self._way = way(4 * STEPS)

    def look(self, sent: int) -> dict[str, Any]:
        """One more sample. ``sent``: how many facts were published until now."""
        found: dict[str, Any] = {
            "seconds": round(time.monotonic() - self._began, 1),
            "sent": sent,
            "load_average": os.getloadavg()[0],
            "work_ms": work_ms(self._way),
            "processes": {name: self._process(name) for name in PROCESSES},
            "services": {name: self._service(name) for name in SERVICES},
            "disk_mib": self._disk(),
        }
        if len(self.samples) % ANSWERS_EVERY == 0:
            found["answers_ms"] = self._answers()
        self.samples.append(found)
        return found

    def _process(self, name: str) -> dict[str, float] | None:
        try:
            pid = self._stack.pid(name)
            held = process(pid)
            if name == "kafka":  # the files of its log grow in number with the log: they are told apart
                held["log_handles"] = handles_within(pid, self._stack.data_dir / "kafka")
                held["handles"] -= held["log_handles"]
        except (OSError, ValueError):  # it has just died: the end tells how often that was
            return None
        return held

    def _service(self, name: str) -> dict[str, Any] | None:
        try:
            said = self._services.status(name)  # type: ignore[arg-type]
            if len(self.samples) % METRICS_EVERY == 0:
                self._services.text(name, "/metrics")  # type: ignore[arg-type]
        except ServiceDown:
            return None
        return {key: said[key] for key in ("state", "lag", "lag_seconds", "dead_letters") if key in said}

    def _answers(self) -> dict[str, float]:
        """How long ``ASKED`` takes, in milliseconds, as far as it is answered."""
        found = {}
        for path, (service, parameters) in ASKED.items():
            began = time.perf_counter()
            try:
                self._services.get(service, path, **parameters)
            except ServiceDown:
                continue
            found[path] = round((time.perf_counter() - began) * 1000, 1)
        return found

    def _disk(self) -> dict[str, float]:
        folder = self._stack.data_dir
        sizes = {"kafka": sum(size(file) for file in (folder / "kafka").rglob("*"))}
        for name in SERVICES:
            sizes[name] = size(folder / f"{name}.sqlite")
            sizes[f"{name} wal"] = size(folder / f"{name}.sqlite-wal")
        sizes["logs"] = sum(size(file) for file in (folder / "logs").rglob("*"))
        return {name: round(bytes_ / MIB, 2) for name, bytes_ in sizes.items()}


def way(places: int) -> list[int]:
    """From each of so many places to the next, across all of them in no order, as a program goes from object to object."""
    order = list(range(places))
    Random(1).shuffle(order)
    return [following for _, following in sorted(zip(order, order[1:] + order[:1], strict=True))]


def work_ms(way: list[int]) -> float:
    """The processor time of always the same work: on a machine that others share, it is not always the same time."""
    began = time.thread_time()
    place = 0
    for _ in range(STEPS):
        place = way[place]
    return round((time.thread_time() - began) * 1000, 3)


def process(pid: int) -> dict[str, float]:
    """What a process holds and has spent: MiB, counts, and seconds of all its threads."""
    folder = Path(f"/proc/{pid}")
    said = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
    times = (folder / "stat").read_text().rpartition(")")[2].split()
    kib = {name: int(said[name].split()[0]) for name in ("VmRSS", "RssAnon")}
    return {
        "resident_mib": round(kib["VmRSS"] / 1024, 2),
        "anonymous_mib": round(kib["RssAnon"] / 1024, 2),
        "handles": len(list((folder / "fd").iterdir())),
        "threads": int(said["Threads"]),
        "cpu_seconds": (int(times[11]) + int(times[12])) / TICKS_PER_SECOND,
    }


def handles_within(pid: int, folder: Path) -> int:
    """How many of a process's open files lie in a folder."""
    found = 0
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed in between
            found += handle.readlink().is_relative_to(folder)
    return found


def size(file: Path) -> int:
    """Bytes of a file on the disk; 0 where it is none (any more)."""
    try:
        said = file.stat()
    except OSError:
        return 0
    return said.st_blocks * 512 if file.is_file() else 0
