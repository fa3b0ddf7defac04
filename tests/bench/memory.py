"""What lifecycle's memory grows by over a million customers, once the cache is full: a process of its own, which streams them.

``python -m tests.bench.memory CUSTOMERS WARM FOLDER`` takes in one fact of each and prints, as JSON, the MiB that it holds at
first (after WARM of them) and at the end. The records come from a generator, so that nothing but
lifecycle keeps anything.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from events import facts
from events.bus.partitioner import murmur2
from events.record import Record, TopicPartition
from events.topics import LEAD, PARTITIONS
from events.values import day_start
from services.lifecycle.settings import Settings
from services.lifecycle.store import Store
from tests.bench.installation import resident
from tests.bench.lifecycle import BATCH, worker_on_logs
from tests.bench.result import BrokenRunError, Goal, Measure
from tests.bench.workload import FIRST_DAY, message

CUSTOMERS: Final = 1_000_000
WARM: Final = 2 * int(Settings.model_fields["cache_records"].default)
"""Customers after which the cache is full and everything has been done at least once."""
GROWTH_MIB: Final = 20


def memory_rows(folder: Path, customers: int, *, warm: int = WARM) -> Iterator[Measure]:
    """The growth past the cache, and what was held then."""
    command = [sys.executable, "-m", "tests.bench.memory", str(customers), str(warm), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise BrokenRunError(f"the process whose memory is measured ended with {run.returncode}: {run.stderr[-2000:]}")
    first, last = json.loads(run.stdout)
    kept = f"{Settings.model_fields['cache_records'].default:,} records in the cache"
    yield Measure(name="memory", subject=f"lifecycle after {warm:,} customers, {kept}", unit="MiB", figures=(first,))
    yield Measure(
        name="growth",
        subject=f"what lifecycle holds after {customers:,} customers more than after {warm:,}",
        unit="MiB",
        figures=(last - first,),
        goal=Goal(GROWTH_MIB, at_most=True),
    )


def main(customers: int, warm: int, folder: Path) -> int:
    """Be the process whose memory is measured."""
    held = []
    with closing(Store(folder / "memory.sqlite", PARTITIONS, code_version="bench")) as store:
        worker = worker_on_logs(store, [TopicPartition(LEAD.name, shard) for shard in range(PARTITIONS)])
        taken = 0
        for batch in _batches(customers):
            worker.process(batch)
            taken += len(batch)
            if taken - len(batch) < warm <= taken:
                held.append(resident(os.getpid()))
        held.append(resident(os.getpid()))
    sys.stdout.write(json.dumps(held[:1] + held[-1:]))
    return 0


def _batches(customers: int) -> Iterator[list[Record]]:
    ends = [0] * PARTITIONS
    begin, batch = day_start(FIRST_DAY), list[Record]()
    for number in range(customers):
        name = f"C-{number:07d}"
        lead = facts.LeadCreated(customer_id=name, lead_id=f"{name}-l", company=f"Company {name}", country="DE", score=number % 101)
        said = message(lead, f"{number:07d}", begin + number, begin + number)
        shard = murmur2(name.encode(), PARTITIONS)
        batch.append(Record(LEAD.name, shard, ends[shard], said.timestamp or 0, said.key, said.value, said.headers))
        ends[shard] += 1
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
