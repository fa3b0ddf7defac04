"""Publishing a version of the status table: the next number, once for the same content, and what it will touch.

Whoever publishes reads the topic before and after. Of two who take the same number at the same time, the first one in the log has
it, for every reader (:mod:`events.bus.versions`); the other is told so, and has published nothing.
"""

import hashlib
from typing import Final, Literal

import msgspec
from msgspec import Struct

from events.bus import Bus, BusError
from events.bus.versions import Versions, message_of, raw
from events.reference import Version
from events.topics import STATUS_TABLE
from events.values import format_instant
from services.lifecycle.domain.process import SalesProcess
from services.lifecycle.domain.table import StatusTable, Tables
from services.lifecycle.tables import tables_of

SEND_SECONDS_MAX: Final = 10.0


class Publication(Struct, frozen=True):
    """What became of it. ``table``: the version that has the number now, which is another's where this one was ``overtaken``.

    ``holds_until`` (nanoseconds): when the next version takes over that is known already. ``late``: it is in force from an instant
    that is past, so that records may have to be folded again.
    """

    outcome: Literal["published", "unchanged", "overtaken"]
    table: StatusTable
    holds_until: int | None
    late: bool


def publish(bus: Bus, process: SalesProcess, *, effective_from: int | None, author: str, now: int) -> Publication:
    """Publish a process, in force from an instant (else from ``now``; nanoseconds). Raises ``BusError``, or ``LookupError``.

    Where the version with the highest number says the same, and is in force from the same instant or none was asked for, nothing is
    published.
    """
    versions = Versions(bus, STATUS_TABLE.name, SalesProcess)
    versions.refresh()
    known = tables_of(versions)
    last = max(known.versions, key=lambda table: table.version)
    if _says(last, process) and effective_from in (None, last.effective_from):
        return _told("unchanged", last, known, now)
    begin = now if effective_from is None else effective_from
    version = Version(
        version=last.version + 1,
        effective_from=format_instant(begin),
        author=author,
        content=raw(process),
        digest=hashlib.sha256(msgspec.json.encode(process)).hexdigest(),
    )
    producer = bus.producer()
    try:
        producer.send([message_of(STATUS_TABLE.name, version)]).wait(SEND_SECONDS_MAX)
    finally:
        producer.close()
    versions.refresh()
    known = tables_of(versions)
    taken = next((table for table in known.versions if table.version == version.version), None)
    if taken is None:
        raise BusError(f"version {version.version} cannot be read back: publish again to see whether it is there")
    mine = _says(taken, process) and taken.effective_from == begin
    return _told("published" if mine else "overtaken", taken, known, now)


def _says(table: StatusTable, process: SalesProcess) -> bool:
    return process.table(table.version, table.effective_from) == msgspec.structs.replace(
        table, author=None, offset=-1, recorded_at=0
    )


def _told(outcome: Literal["published", "unchanged", "overtaken"], table: StatusTable, known: Tables, now: int) -> Publication:
    return Publication(outcome, table, known.until(table), table.effective_from < now)
