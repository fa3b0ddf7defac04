"""The tables of a restored database: which of its shards have to catch up, and what consumers have heard of whom meanwhile.

A row of ``restored`` is written by whoever puts a database back, and goes when the shard has caught up. ``ends``: where the inputs
ended when it was surveyed; empty until then.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from msgspec import json

from events.bus.cursor import Cursor
from events.record import TopicPartition
from services.lifecycle.domain.restated import Heard

TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS restored (shard INTEGER PRIMARY KEY, ends TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heard (customer_id TEXT PRIMARY KEY, shard INTEGER NOT NULL, heard TEXT NOT NULL)",
)

Ends = Mapping[TopicPartition, int]


def declare(cursor: Cursor, shards: Iterable[int]) -> None:
    """These shards are older than the log: they shall catch up. May be said again, also of one that is just doing so."""
    cursor.executemany(
        "INSERT INTO restored (shard, ends) VALUES (?, '') ON CONFLICT (shard) DO UPDATE SET ends = ''",
        [(each,) for each in shards],
    )


def of(cursor: Cursor, shards: Collection[int]) -> tuple[dict[int, Ends | None], dict[str, tuple[int, Heard]]]:
    """Of some shards those that were restored, with their ends (None: not surveyed), and the customers that were heard of."""
    marks = ",".join("?" * len(shards))
    cursor.execute(f"SELECT shard, ends FROM restored WHERE shard IN ({marks})", tuple(shards))
    restored = {shard: _ends(said) if said else None for shard, said in cursor.fetchall()}
    cursor.execute(f"SELECT customer_id, shard, heard FROM heard WHERE shard IN ({marks})", tuple(shards))
    return restored, {customer: (shard, json.decode(said, type=Heard)) for customer, shard, said in cursor.fetchall()}


def surveyed(cursor: Cursor, shard: int, ends: Ends, heard: Mapping[str, Heard]) -> None:
    """Keep what a survey has found, within a transaction."""
    cursor.execute(
        "UPDATE restored SET ends = ? WHERE shard = ?",
        (json.encode([(*place, end) for place, end in ends.items()]).decode(), shard),
    )
    cursor.executemany(
        "INSERT INTO heard (customer_id, shard, heard) VALUES (?, ?, ?)"
        " ON CONFLICT (customer_id) DO UPDATE SET heard = excluded.heard",
        [(customer, shard, json.encode(known).decode()) for customer, known in heard.items()],
    )


def settled(cursor: Cursor, customers: Collection[str], shards: Collection[int]) -> None:
    """These customers were said anew, and these shards have caught up; within a transaction."""
    cursor.executemany("DELETE FROM heard WHERE customer_id = ?", [(customer,) for customer in customers])
    cursor.executemany("DELETE FROM restored WHERE shard = ?", [(shard,) for shard in shards])


def _ends(said: str) -> Ends:
    return {TopicPartition(topic, part): end for topic, part, end in json.decode(said, type=list[tuple[str, int, int]])}
