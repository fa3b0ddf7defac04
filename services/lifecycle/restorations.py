"""The tables of a restored database: which of its shards have to catch up, what consumers have heard of whom, and never shall hear.

A row of ``restored`` is written by whoever puts a database back, and goes when the shard has caught up. ``ends``: where the inputs
ended when it was surveyed; empty until then. A row of ``withheld`` is about a stored event that is never published
(:mod:`services.lifecycle.parting`), and stays for ever, as that does.

A row of ``restored_empty`` is written with one of ``restored`` where nothing is stored in the whole database: it was lost, and
there is no backup. It goes with the survey, or when somebody says that the past may be missing.
"""

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import json

from events.bus import PositionLost
from events.bus.cursor import Cursor
from events.record import TopicPartition
from services.lifecycle.domain.restated import Heard
from services.lifecycle.shards import are_empty

TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS restored (shard INTEGER PRIMARY KEY, ends TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heard (customer_id TEXT PRIMARY KEY, shard INTEGER NOT NULL, heard TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS restored_empty (shard INTEGER PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS withheld (shard INTEGER NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (shard, number))",
)

Ends = Mapping[TopicPartition, int]


def declare(cursor: Cursor, shards: Collection[int], *, without_the_past: bool = False) -> None:
    """These shards, which are all, are older than the log: they shall catch up. May be said again, also while they do so.

    ``without_the_past``: also where what the inputs no longer have is missing then.
    """
    cursor.executemany(
        "INSERT INTO restored (shard, ends) VALUES (?, '') ON CONFLICT (shard) DO UPDATE SET ends = ''",
        [(each,) for each in shards],
    )
    if without_the_past:
        _may_be_empty(cursor, shards)
    elif are_empty(cursor, shards):
        cursor.executemany(
            "INSERT INTO restored_empty (shard) VALUES (?) ON CONFLICT (shard) DO NOTHING", [(each,) for each in shards]
        )


def of(cursor: Cursor, shards: Collection[int]) -> tuple[dict[int, Ends | None], dict[str, tuple[int, Heard]]]:
    """Of some shards those that were restored, with their ends (None: not surveyed), and the customers that were heard of."""
    marks = ",".join("?" * len(shards))
    cursor.execute(f"SELECT shard, ends FROM restored WHERE shard IN ({marks})", tuple(shards))
    restored = {shard: _ends(said) if said else None for shard, said in cursor.fetchall()}
    cursor.execute(f"SELECT customer_id, shard, heard FROM heard WHERE shard IN ({marks})", tuple(shards))
    return restored, {customer: (shard, json.decode(said, type=Heard)) for customer, shard, said in cursor.fetchall()}


def check_past(cursor: Cursor, shard: int, begins: Mapping[TopicPartition, int], customers: int) -> None:
    """Raise ``PositionLost`` where a database that had nothing would take back what consumers know by facts that are gone.

    ``begins``: where the inputs begin. ``customers``: of how many of the shard consumers have heard.
    """
    gone = [f"{place.topic}[{place.partition}] begins at {begin}" for place, begin in begins.items() if begin > 0]
    cursor.execute("SELECT 1 FROM restored_empty WHERE shard = ?", (shard,))
    if gone and cursor.fetchone() is not None:
        raise PositionLost(
            f"lifecycle's database was empty when it was declared to be restored, and {', '.join(gone)}: what came before is gone."
            f" What consumers know of shard {shard} ({customers} customers) would be said anew from what is left, and statuses and"
            " deals be taken back. Put a backup back (`handoff restore`); without one do what docs/how-to/recover.md says under"
            ' "A database that was lost without a backup"'
        )


def under_way(cursor: Cursor) -> bool:
    """Whether a shard has yet to catch up."""
    cursor.execute("SELECT 1 FROM restored LIMIT 1")
    return cursor.fetchone() is not None


def withheld(cursor: Cursor, shard: int, after: int, until: int) -> set[int]:
    """The entries of a shard's stream that are not published, of those after a number, up to one."""
    cursor.execute("SELECT number FROM withheld WHERE shard = ? AND number > ? AND number <= ?", (shard, after, until))
    return {number for (number,) in cursor.fetchall()}


def surveyed(cursor: Cursor, shard: int, ends: Ends, heard: Mapping[str, Heard], withheld: Collection[int]) -> None:
    """Keep what a survey has found, within a transaction."""
    _may_be_empty(cursor, [shard])
    cursor.execute(
        "UPDATE restored SET ends = ? WHERE shard = ?",
        (json.encode([(*place, end) for place, end in ends.items()]).decode(), shard),
    )
    cursor.executemany(
        "INSERT INTO heard (customer_id, shard, heard) VALUES (?, ?, ?)"
        " ON CONFLICT (customer_id) DO UPDATE SET heard = excluded.heard",
        [(customer, shard, json.encode(known).decode()) for customer, known in heard.items()],
    )
    cursor.executemany(
        "INSERT INTO withheld (shard, number) VALUES (?, ?) ON CONFLICT DO NOTHING", [(shard, number) for number in withheld]
    )


def settled(cursor: Cursor, customers: Collection[str], shards: Collection[int]) -> None:
    """These customers were said anew, and these shards have caught up; within a transaction."""
    cursor.executemany("DELETE FROM heard WHERE customer_id = ?", [(customer,) for customer in customers])
    cursor.executemany("DELETE FROM restored WHERE shard = ?", [(shard,) for shard in shards])


def _may_be_empty(cursor: Cursor, shards: Collection[int]) -> None:
    cursor.executemany("DELETE FROM restored_empty WHERE shard = ?", [(each,) for each in shards])


def _ends(said: str) -> Ends:
    return {TopicPartition(topic, part): end for topic, part, end in json.decode(said, type=list[tuple[str, int, int]])}
