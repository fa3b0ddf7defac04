"""The projection's writing side: the bitemporal histories of deals and of records' statuses.

In: changes, in the order of their versions. Out: rows (see :mod:`.store`). Nothing that was once known is overwritten: what a
change replaces is closed in recorded time, so that any past answer can be given again.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from events.bus.cursor import Cursor
from events.bus.rebuild import SUFFIXES
from services.forecast.changes import Change, Rewrite
from services.forecast.periods import FOREVER
from services.forecast.store import DEAL_COLUMNS, SPAN, STATUS_COLUMNS


class Customer(Struct):
    """How far a customer's messages have been taken in. ``parts``: of an unfinished message, how many are held.

    ``instants``: when the histories that were written since it was loaded change, or did.
    """

    version: int = -1
    recorded_at: int = 0
    parts: int = 0
    instants: list[int] = []


class History:
    """The statements that rewrite one of the two tables."""

    def __init__(self, table: str, keys: Sequence[str], columns: Sequence[str]) -> None:
        key = " AND ".join(f"{name} = ?" for name in keys)
        state = ", ".join((*keys, *SPAN, *columns))
        marks = ", ".join("?" * (len(keys) + len(SPAN) + len(columns)))
        one = f"WHERE {key} AND valid_from = ? AND recorded_from = ?"
        # The plus keeps the planner to the primary key: the other index begins with recorded_to, which all open rows share.
        self._known = (
            f"SELECT valid_from, valid_to, recorded_from FROM {table} WHERE {key} AND +recorded_to = {FOREVER} AND valid_to >= ?"
            " ORDER BY valid_from"
        )
        self._forget = f"DELETE FROM {table} {one}"
        self._supersede = f"UPDATE {table} SET recorded_to = ? {one}"
        self._resize = f"UPDATE {table} SET valid_to = ? {one}"
        self._copy = (
            f"INSERT INTO {table} ({state}) SELECT {', '.join((*keys, 'valid_from', '?', '?', str(FOREVER), *columns))}"
            f" FROM {table} {one}"
        )
        self._insert = f"INSERT INTO {table} ({state}) VALUES ({marks})"

    def rewrite(self, cursor: Cursor, change: Rewrite, recorded: int) -> list[int]:
        """From ``since`` on the history is the change's states, known from ``recorded`` on. What was before them goes on.

        Answers with the instants at which the history changes now, or did.
        """
        key, states = change.key, change.states
        since = -FOREVER - 1 if change.since is None else change.since
        instants = [*(at for at, _ in states), FOREVER]
        cursor.execute(self._known, (*key, since))
        for valid_from, valid_to, recorded_from in cursor.fetchall():
            row = (*key, valid_from, recorded_from)
            if valid_from < since:  # the state that holds until then, or beyond: where no other follows, it goes on
                self._carry_on(cursor, row, valid_to, instants[0], recorded)
            elif recorded_from == recorded:  # never seen by anybody who asks for an instant: it leaves no row
                cursor.execute(self._forget, row)
            else:
                cursor.execute(self._supersede, (recorded, *row))
        rows = [(*key, at, end, recorded, FOREVER, *row) for (at, row), end in zip(states, instants[1:], strict=True)]
        cursor.executemany(self._insert, rows)
        return [since, *instants[:-1]]

    def _carry_on(self, cursor: Cursor, row: tuple[str | int, ...], until: int, end: int, recorded: int) -> None:
        """Let a state that held until an instant hold until another one: a history that lost its tail is no gap."""
        if until == end:
            return
        if row[-1] == recorded:
            cursor.execute(self._resize, (end, *row))
            return
        cursor.execute(self._copy, (end, recorded, *row))
        cursor.execute(self._supersede, (recorded, *row))


class Projection:
    """The view in one of the two sets of tables, by its suffix."""

    def __init__(self, suffix: str) -> None:
        self.deals: Final = History(f"deal_history{suffix}", ("customer_id", "deal_id"), DEAL_COLUMNS)
        self.statuses: Final = History(f"status_history{suffix}", ("customer_id",), STATUS_COLUMNS)
        self.held: Final = f"held_part{suffix}"
        self._load = f"SELECT version, recorded_at, parts FROM customer{suffix} WHERE customer_id = ?"
        self._save = (
            f"INSERT INTO customer{suffix} (customer_id, version, recorded_at, parts) VALUES (?, ?, ?, ?) ON CONFLICT (customer_id)"
            " DO UPDATE SET version = excluded.version, recorded_at = excluded.recorded_at, parts = excluded.parts"
        )
        self._bound = f"INSERT INTO boundary{suffix} (instant) VALUES (?) ON CONFLICT DO NOTHING"

    def apply(self, cursor: Cursor, change: Change, customer: Customer) -> None:
        """Write what a change that was not seen before brings about."""
        # Lifecycle's clock never goes back for a customer; if it did, an interval would end before it began.
        customer.recorded_at = max(customer.recorded_at, change.recorded_at)
        if change.status is not None:
            customer.instants += self.statuses.rewrite(cursor, change.status, customer.recorded_at)
        for deal in change.deals:
            customer.instants += self.deals.rewrite(cursor, deal, customer.recorded_at)

    def load(self, cursor: Cursor, customer_ids: Iterable[str]) -> dict[str, Customer]:
        """How far these customers are; a new one is at no version."""
        found = {}
        for customer_id in customer_ids:
            cursor.execute(self._load, (customer_id,))
            row = cursor.fetchone()
            found[customer_id] = Customer(*row) if row else Customer()
        return found

    def save(self, cursor: Cursor, customers: dict[str, Customer]) -> None:
        """Keep how far these customers are, and every instant at which a figure may change by the passing of time alone."""
        cursor.executemany(self._save, [(customer_id, c.version, c.recorded_at, c.parts) for customer_id, c in customers.items()])
        instants = sorted({instant for customer in customers.values() for instant in customer.instants})
        cursor.executemany(self._bound, [(instant,) for instant in instants])


PROJECTIONS: Final = tuple(map(Projection, SUFFIXES))
"""The view in each set."""
