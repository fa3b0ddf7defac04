"""How fast the import of a log is, and how much memory it takes at most: ``python -m tests.handoff.import_memory FILE``.

The importer as it is, publishing to a bus that takes everything in and keeps nothing: Kafka is not what is measured. Prints one
line of JSON; ``facts_a_second`` is of the processor's time, so that a busy machine does not matter.
"""

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from events.bus import Bus, Delivery
from events.record import Message
from handoff.importing.bpic12 import Applications
from handoff.importing.publish import publish


class Nowhere:
    """A bus, its producer and a delivery in one."""

    def producer(self) -> "Nowhere":
        return self

    def send(self, messages: Sequence[Message]) -> Delivery:
        return self

    def done(self, timeout: float = 0.0) -> bool:
        return True

    def wait(self, timeout: float) -> None:
        """It has arrived."""

    def close(self) -> None:
        """Nothing is open."""


def peak_kib() -> int:
    """The most memory that this process ever had, in KiB (Linux: without what it was before it was this program)."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def main() -> None:
    rejected: Counter[str] = Counter()
    log = Applications(Path(sys.argv[1]), time.time_ns(), lambda _: rejected.update(["rejected"]))
    published = publish(cast(Bus, Nowhere()), log.messages(), lambda written: None)
    answer = {
        "read": log.read,
        "published": published,
        "rejected": rejected.total(),
        "peak_kib": peak_kib(),
        "facts_a_second": round(published / time.process_time()),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
