"""How the tables of events are called, one for each shard, and what can be told by that."""

import re
from collections.abc import Collection, Iterable
from typing import Final

from events.bus.cursor import Cursor

_TABLE: Final = re.compile(r"shard_\d{3,}_events")


def table_of(shard: int) -> str:
    """The name of the table of a shard's events."""
    return f"shard_{shard:03d}_events"


def counted(tables: Iterable[str]) -> int:
    """How many shards a database with these tables has."""
    return sum(_TABLE.fullmatch(name) is not None for name in tables)


def are_empty(cursor: Cursor, shards: Collection[int]) -> bool:
    """Whether nothing is stored in any of these shards."""
    return not any(_has_rows(cursor, table_of(shard)) for shard in shards)


def _has_rows(cursor: Cursor, table: str) -> bool:
    cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")
    return cursor.fetchone() is not None
