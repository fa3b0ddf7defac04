"""Messages that came in parts: held, bytes and all, until the last part is here, then taken in together.

The parts of a message follow each other with consecutive versions and nothing of the customer between them. A part that does not
fit (lifecycle or the log would have to be broken) is not guessed at: it, and what waits for it, become dead letters.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import msgpack

from events.bus.cursor import Cursor
from events.bus.letters import DeadLetter
from events.record import Record
from services.forecast.changes import Change
from services.forecast.view import Customer

ERROR: Final = "IncompleteMessage"


def fits(change: Change, customer: Customer) -> bool:
    """Whether a change may come now: a whole message where nothing is held, or the very next part."""
    if change.part == 1:
        return customer.parts == 0
    return change.part == customer.parts + 1 and change.version == customer.version + 1


def hold(cursor: Cursor, table: str, record: Record, change: Change, customer: Customer) -> None:
    """Keep a part for later."""
    cursor.execute(
        f"INSERT INTO {table} (customer_id, part, record) VALUES (?, ?, ?)",
        (change.customer_id, change.part, msgpack.encode(record)),
    )
    customer.parts = change.part


def release(cursor: Cursor, table: str, customer_id: str, customer: Customer) -> list[Record]:
    """The parts that are held of a customer, in order; they are held no longer."""
    cursor.execute(f"SELECT record FROM {table} WHERE customer_id = ? ORDER BY part", (customer_id,))
    records = [msgpack.decode(row[0], type=Record) for row in cursor.fetchall()]
    cursor.execute(f"DELETE FROM {table} WHERE customer_id = ?", (customer_id,))
    customer.parts = 0
    return records


def incomplete(records: Sequence[Record], reason: str) -> list[DeadLetter]:
    """The dead letters of parts that will never be whole."""
    return [DeadLetter(record=record, error=ERROR, reason=reason, path="$.part") for record in records]
