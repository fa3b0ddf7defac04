"""The projection's writing side: the bitemporal histories of deals and of records' statuses.

In: changes, in the order of their versions. Out: rows (see :mod:`.store`). Nothing that was once known is overwritten: what a
change replaces is closed in recorded time, so that any past answer can be given again.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from events.bus.ledger import Cursor
from services.forecast.changes import Change, Rewrite
from services.forecast.periods import FOREVER
from services.forecast.store import DEAL_COLUMNS, SPAN, STATUS_COLUMNS


class Customer(Struct):
    """How far a customer's messages have been taken in. ``parts``: of an unfinished message, how many are held."""

    version: int = -1
    recorded_at: int = 0
    parts: int = 0


class History:
    """The statements that rewrite one of the two tables."""

    def __init__(self, table: str, keys: Sequence[str], columns: Sequence[str]) -> None:
        key = " AND ".join(f"{name} = ?" for name in keys)
        state = ", ".join((*keys, *SPAN, *columns))
        marks = ", ".join("?" * (len(keys) + len(SPAN) + len(columns)))
        # The plus keeps the planner to the primary key: the other index begins with recorded_to, which all open rows share.
        known = f"FROM {table} WHERE {key} AND +recorded_to = {FOREVER}"
        one = f"{key} AND valid_from = ? AND recorded_from = ?"
        self._forget = f"DELETE {known} AND valid_from >= ? AND recorded_from = ?"
        self._close = f"UPDATE {table} SET recorded_to = ? WHERE {key} AND +recorded_to = {FOREVER} AND valid_from >= ?"
        self._before = f"SELECT valid_from, valid_to, recorded_from {known} AND valid_from < ? ORDER BY valid_from DESC LIMIT 1"
        self._shorten = f"UPDATE {table} SET valid_to = ? WHERE {one}"
        self._copy = (
            f"INSERT INTO {table} ({state}) SELECT {', '.join((*keys, 'valid_from', '?', '?', str(FOREVER), *columns))}"
            f" FROM {table} WHERE {one}"
        )
        self._supersede = f"UPDATE {table} SET recorded_to = ? WHERE {one}"
        self._insert = f"INSERT INTO {table} ({state}) VALUES ({marks})"

    def rewrite(self, cursor: Cursor, change: Rewrite, recorded: int) -> None:
        """From ``since`` on the history is the change's states, known from ``recorded`` on."""
        key, states = change.key, change.states
        since = -FOREVER - 1 if change.since is None else change.since
        # What became known at this very instant was never seen by anybody who asks for an instant: it leaves no row.
        cursor.execute(self._forget, (*key, since, recorded))
        cursor.execute(self._close, (recorded, *key, since))
        self._cut(cursor, key, since, recorded)
        instants = [*(at for at, _ in states), FOREVER]
        rows = [(*key, at, end, recorded, FOREVER, *row) for (at, row), end in zip(states, instants[1:], strict=True)]
        cursor.executemany(self._insert, rows)
        cursor.executemany("INSERT OR IGNORE INTO boundary (instant) VALUES (?)", [(at,) for at in (since, *instants[:-1])])

    def _cut(self, cursor: Cursor, key: tuple[str, ...], since: int, recorded: int) -> None:
        """End the state that lasts beyond ``since`` there."""
        cursor.execute(self._before, (*key, since))
        row = cursor.fetchone()
        if row is None or row[1] <= since:
            return
        valid_from, _, recorded_from = row
        if recorded_from == recorded:
            cursor.execute(self._shorten, (since, *key, valid_from, recorded_from))
            return
        cursor.execute(self._copy, (since, recorded, *key, valid_from, recorded_from))
        cursor.execute(self._supersede, (recorded, *key, valid_from, recorded_from))


DEALS: Final = History("deal_history", ("customer_id", "deal_id"), DEAL_COLUMNS)
STATUSES: Final = History("status_history", ("customer_id",), STATUS_COLUMNS)


def apply(cursor: Cursor, change: Change, customer: Customer) -> None:
    """Write what a change that was not seen before brings about."""
    # Lifecycle's clock never goes back for a customer; if it did, an interval would end before it began.
    customer.recorded_at = max(customer.recorded_at, change.recorded_at)
    if change.status is not None:
        STATUSES.rewrite(cursor, change.status, customer.recorded_at)
    for deal in change.deals:
        DEALS.rewrite(cursor, deal, customer.recorded_at)


def load(cursor: Cursor, customer_ids: Iterable[str]) -> dict[str, Customer]:
    """How far these customers are; a new one is at no version."""
    found = {}
    for customer_id in customer_ids:
        cursor.execute("SELECT version, recorded_at, parts FROM customer WHERE customer_id = ?", (customer_id,))
        row = cursor.fetchone()
        found[customer_id] = Customer(*row) if row else Customer()
    return found


def save(cursor: Cursor, customers: dict[str, Customer]) -> None:
    """Keep how far these customers are."""
    cursor.executemany(
        "INSERT OR REPLACE INTO customer (customer_id, version, recorded_at, parts) VALUES (?, ?, ?, ?)",
        [(customer_id, c.version, c.recorded_at, c.parts) for customer_id, c in customers.items()],
    )
