"""The deterministic twin of Kafka, for tests and simulations: no threads, no waiting, no clock of its own.

It keeps what services could trip over: offsets with gaps, aborted and open transactions, groups with range assignment and a
barrier at each rebalance, sessions that expire unnoticed, static members that are replaced without being told, producers that fail
for good, a log that loses its begin or end, a topic that is made again under its name.
"""

from collections.abc import Sequence

from events.bus.loop import Loop
from events.bus.memory.bus import MemoryBus
from events.bus.memory.consumer import MemoryConsumer
from events.bus.memory.producer import Fault, MemoryProducer, Transaction

__all__ = ["Fault", "MemoryBus", "MemoryConsumer", "MemoryProducer", "Transaction", "drain"]


def drain(loops: Sequence[Loop], turns_max: int = 10_000) -> None:
    """Turn loops one after the other until all have caught up with each other. Raises ``TimeoutError`` after so many rounds."""
    for _ in range(turns_max):
        for loop in loops:
            loop.turn()
        if all(loop.progress().state == "running" and loop.progress().lag == 0 for loop in loops):
            for loop in loops:
                loop.turn()  # idle: saves what was acknowledged
            return
    raise TimeoutError(f"not settled after {turns_max} rounds: {[loop.progress() for loop in loops]}")
