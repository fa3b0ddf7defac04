"""What a version of the status table does that comes late: in force from an instant that a record is already folded past.

In go a record as it was folded, and the versions that are known now; out come the record as it is with them, and the events that
say what that changed. The outcome is the fold of the facts with all versions, whichever came first (FOLD.md 24, DESIGN 10 I4).
"""

from typing import Final

from msgspec.structs import replace

from events.published import Cause
from events.topics import STATUS_TABLE
from services.lifecycle.domain.adding import Folded
from services.lifecycle.domain.events import AnyEvent, TablesApplied
from services.lifecycle.domain.fold import fold_of
from services.lifecycle.domain.record import Accepted, Record
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import StatusTable, Tables
from services.lifecycle.domain.told import changes

SOURCE: Final = "operations"
"""Who writes status tables: the source of causes that name a version."""


def brought_up(record: Record, policy: Policy) -> Accepted:
    """The record with all versions that are known now. One that is not late for it, or changes nothing of it, leaves no event."""
    tables = policy.tables
    if record.tables >= tables.through:
        return Accepted(record)
    if not _is_late(record, tables):
        return Accepted(replace(record, tables=tables.through))
    fold = fold_of((known.fact for known in record.known.values()), policy)
    newest = tables.newest
    recorded_at = max(record.recorded_at, newest.recorded_at)
    folded = Folded(fold, {*record.fold.images, *fold.images}, again=True)
    told = list(changes(record.fold, folded, record.known, cause_of(newest), recorded_at))
    if not told:  # then whoever folds the facts again, with or without the version, comes to the same
        return Accepted(replace(record, fold=fold, tables=tables.through))
    applied = TablesApplied(recorded_at=recorded_at, tables=tables.through, version=newest.version)
    events: list[AnyEvent] = [applied, *told]
    version = record.version + len(events)
    return Accepted(Record(record.customer_id, fold, record.known, version, recorded_at, tables.through), events)


def cause_of(table: StatusTable) -> Cause:
    """The version as the cause of what it changed."""
    return Cause(source=SOURCE, id=f"{STATUS_TABLE.name}/{table.version}", type=STATUS_TABLE.name)


def _is_late(record: Record, tables: Tables) -> bool:
    """Whether any fact of the record goes by other rules than those it was folded with."""
    before, since = tables.known(record.tables), tables.changed_since(record.tables)
    if since is None:
        return False
    for (instant, *_), _ in record.fold.facts:  # the last one first
        if instant < since:
            break
        if before.at(instant).rules != tables.at(instant).rules:
            return True
    return False
