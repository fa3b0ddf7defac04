"""The versions of the status table as their topic has them, and from them the policy of the fold, at any time.

Read whole by every worker, without a group: before it takes in facts, and then about once a second, from a thread of its own, so
that no fact waits for it. A record that is no valid version changes nothing, and is complained of until a valid one follows.
"""

import logging
import threading
from datetime import tzinfo

from events.bus import Bus, BusError
from events.bus.versions import Known, Versions
from events.topics import STATUS_TABLE
from services.lifecycle.domain.process import SalesProcess
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import StatusTable, Tables
from services.lifecycle.statuses import built_in

log = logging.getLogger(__name__)


class StatusTables:
    """All that is known of the topic. Thread-safe; ``policy`` is replaced as a whole."""

    def __init__(self, bus: Bus, zone: tzinfo) -> None:
        self._bus = bus
        self._versions = Versions(bus, STATUS_TABLE.name, SalesProcess)
        self._complained: str | None = None
        self._away: str | None = None
        self.policy = Policy(Tables((built_in(),)), zone)
        """What the fold goes by now."""

    def refresh(self) -> None:
        """Read what is new. Raises ``BusError``, or ``LookupError`` where the topic does not exist."""
        self._versions.refresh()
        tables = tables_of(self._versions)
        if tables.through > self.policy.tables.through:
            self.policy = Policy(tables, self.policy.zone)
            newest = self.policy.tables.newest
            log.info("version %d of the status table, by %s, is known", newest.version, newest.author)
        complaint = self._versions.complaint
        if complaint is not None and complaint != self._complained:
            log.error("%s; the versions before it stay", complaint)
        self._complained = complaint

    def refreshed(self) -> Policy:
        """The policy with all that the topic holds. Raises as :meth:`refresh` does."""
        self.refresh()
        return self.policy

    def look(self) -> None:
        """Refresh, if the bus answers; that it does not is logged once, and is among the problems for as long as it lasts."""
        try:
            self.refresh()
        except BusError as error:
            if self._away is None:
                log.warning("status tables are not looked at: %s", error)
            self._away = f"status tables are not looked at: {error}"
        else:
            self._away = None

    def watch(self, stop: threading.Event, seconds: float) -> None:
        """Look every so many seconds, until ``stop`` is set."""
        while not stop.wait(seconds):
            self.look()

    def await_policy(self, stop: threading.Event, seconds: float) -> Policy:
        """The policy with all that the topic holds, as soon as the bus answers."""
        self.look()
        while self._away is not None and not stop.wait(seconds):
            self.look()
        return self.policy

    def identity(self) -> str:
        """What the topic is, besides its name. Raises ``BusError``."""
        return self._bus.identity(STATUS_TABLE.name)

    def problems(self) -> list[str]:
        """What is wrong with the topic; records go by the valid versions meanwhile."""
        return [problem for problem in (self._versions.complaint, self._away) if problem]


def tables_of(versions: Versions[SalesProcess]) -> Tables:
    """The built-in table, and all that is published."""
    return Tables.of(built_in(), map(table_of, versions.all))


def table_of(known: Known[SalesProcess]) -> StatusTable:
    """A published version as the fold uses it."""
    said = known.content
    return StatusTable(
        said.statuses,
        said.triggers,
        said.opportunities_enabled,
        known.version,
        known.effective_from,
        comment=said.comment,
        author=known.author,
        offset=known.offset,
        recorded_at=known.recorded_at,
    )
