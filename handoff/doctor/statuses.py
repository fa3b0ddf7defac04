"""The status table: whether what is on its topic is right, which version holds, and whether all records have followed."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from events.bus import Bus
from events.bus.versions import Versions
from events.topics import STATUS_TABLE
from handoff.doctor.finding import Finding, Outcome, error, skipped
from services.lifecycle.domain.process import SalesProcess
from services.lifecycle.domain.table import Tables
from services.lifecycle.tables import tables_of

CHECK = "statuses"


class Published(Struct, frozen=True):
    """What the topic holds: the versions, and what is wrong with its last record."""

    tables: Tables
    complaint: str | None


def published(bus: Bus) -> Published:
    """Read the topic. Raises ``BusError``, or ``LookupError`` where it does not exist."""
    versions = Versions(bus, STATUS_TABLE.name, SalesProcess)
    versions.refresh()
    return Published(tables_of(versions), versions.complaint)


def statuses(there: Published | None, lifecycle: Mapping[str, Any] | None, now: int) -> Outcome:
    """``there``: None where Kafka does not tell; ``lifecycle``: its status, if it runs; ``now``: nanoseconds since 1970."""
    findings = tuple(_findings(there, lifecycle))
    if there is None:
        return Outcome(check=CHECK, said="as lifecycle says", findings=findings) if findings else skipped(CHECK, "not known")
    version = there.tables.at(now).version
    which = f"version {version}" if version else "the built-in version"
    return Outcome(check=CHECK, said=f"{which} is in force", findings=findings)


def _findings(there: Published | None, lifecycle: Mapping[str, Any] | None) -> Iterator[Finding]:
    if there is not None and there.complaint is not None:
        fix = "publish what should hold: `handoff statuses publish FILE`; until then the versions before it hold"
        yield error(there.complaint, where=STATUS_TABLE.name, fix=fix)
    said = (lifecycle or {}).get("status_table", {})
    if failed := said.get("sweep", {}).get("failed"):
        fix = "lifecycle's log names them and says why; a restart, with the version that mends it, tries them again"
        yield error(
            f"{failed} records cannot follow a version of the status table, and stay as they are", where="lifecycle", fix=fix
        )
