"""The instants at which recycled leads come back (FOLD.md 20): one row for each that waits, and the tick that says it is time.

Of the table there are two (:mod:`events.bus.rebuild`): one is live. The row goes when the tick is sent.
"""

from collections.abc import Callable, Collection
from typing import Final

from events.bus.cursor import Cursor
from events.bus.rebuild import SUFFIXES, Table, sets
from events.codec import encode
from events.facts import FactRef, LifecycleTick
from events.topics import MOVED, TICK_TYPE
from events.values import format_instant
from services.lifecycle.mapper import Forwarded
from services.lifecycle.outbound import SOURCE
from services.lifecycle.work import Wake

VIEW: Final = "wakes"
"""The name of the view that the table is."""
TABLE: Final = Table("wake", ("customer_id",), ("shard", "at", "source", "id"))
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS wake{set} (
        customer_id TEXT PRIMARY KEY, shard INTEGER NOT NULL, at BIGINT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS wake{set}_by_time ON wake{set} (shard, at)",
)
TABLES: Final = tuple(table.format(set=suffix) for suffix in SUFFIXES for table in _TABLES)
DUE_MAX: Final = 500
"""So many leads come back in one transaction."""


def write(cursor: Cursor, table: str, shard: int, customer_id: str, wake: Wake | None) -> None:
    """Note when a customer's lead comes back, or that it does not, within a transaction."""
    if wake is None:
        cursor.execute(f"DELETE FROM {table} WHERE customer_id = ?", (customer_id,))
        return
    cursor.execute(
        f"INSERT INTO {table} (customer_id, shard, at, source, id) VALUES (?, ?, ?, ?, ?) ON CONFLICT (customer_id) DO UPDATE"
        " SET shard = excluded.shard, at = excluded.at, source = excluded.source, id = excluded.id",
        (customer_id, shard, wake.at, wake.recycling.source, wake.recycling.id),
    )


def due(cursor: Cursor, shards: Collection[int], instant: int) -> list[tuple[int, Wake]]:
    """Recycled leads of some shards whose time has come, with their shard, the longest due first."""
    marks = ",".join("?" * len(shards))
    live = TABLE.of(sets.to_read(cursor, VIEW).live)
    cursor.execute(
        f"SELECT shard, customer_id, at, source, id FROM {live} WHERE shard IN ({marks}) AND at <= ? ORDER BY at LIMIT {DUE_MAX}",
        (*shards, instant),
    )
    return [(shard, Wake(customer, at, FactRef(source=source, id=id_))) for shard, customer, at, source, id_ in cursor.fetchall()]


def paths_of(wake: Wake) -> tuple[str, str]:
    """How the tick that wakes a lead is named: it is sent once by a name.

    The second is for where another fact has taken the recycling's place (FOLD.md 2), and the tick of that one was sent already.
    """
    path = f"{wake.recycling.source}/{wake.recycling.id}"
    return path, f"{path}/{wake.at}"


def name_of(wake: Wake, path: str) -> str:
    """The name under which its message is stored."""
    return f"wake/{wake.customer_id}/{path}"


def unsent(wake: Wake, find: Callable[[str], Forwarded | None]) -> str | None:
    """How its tick is to be named; None where it was sent. ``find``: the message of a name that was sent from its shard, if any."""
    for path in paths_of(wake):
        message = find(name_of(wake, path))
        if message is None:
            return path
        if ("ce_time", format_instant(wake.at).encode()) in message.headers:
            return None
    return None


def tick(shard: int, path: str, wake: Wake, now: int) -> Forwarded:
    """The record that says that time has come to where a recycled lead was waiting.

    It is recorded now, and not when it was due: that may be long ago, and the topic drops what was recorded a month ago.
    """
    message = encode(
        MOVED.name,
        TICK_TYPE,
        LifecycleTick(customer_id=wake.customer_id, recycled=wake.recycling),
        source=SOURCE,
        id=f"{wake.customer_id}/wake/{path}",
        occurred_at=wake.at,
        recorded_at=now,
    )
    assert message.key is not None
    assert message.value is not None
    assert message.timestamp is not None
    return Forwarded(partition=shard, key=message.key, value=message.value, headers=message.headers, timestamp=message.timestamp)
