"""What came about in a run, and how often: a fault that is planned and never comes about finds nothing.

What goes wrong is counted as it happens (``World.happened``). What people and time brought about is read from what is left in the
end: of databases that were put back, what is in them then.
"""

from collections import Counter
from typing import Final

from events.topics import MOVED, TICK_TYPE
from tests.simulation.world import World

BATCHES: Final = (
    "SELECT b.state, b.reverts FROM mass_change AS b"
    " WHERE b.state <> 'applied' OR EXISTS (SELECT 1 FROM mass_change_record AS r WHERE r.batch = b.id AND r.written = 1)"
)
"""All but those that are applied and have changed nothing."""
ACTS: Final = "SELECT act FROM letter_act"
BACK: Final = ", which takes back another one"


def happenings(world: World) -> Counter[str]:
    """How often what happened."""
    batches = world.site.rows("lifecycle", BATCHES)
    ticks = [record for record in world.bus.records(MOVED.name) if ("ce_type", TICK_TYPE.encode()) in record.headers]
    return Counter(
        {
            **world.happened,
            **Counter(f"a mass change is {state}{BACK if reverts else ''}" for state, reverts in batches),
            **Counter(f"a dead letter is {act}" for (act,) in world.site.rows("lifecycle", ACTS)),
            "a lead is woken by a tick": len(ticks),
        }
    )
