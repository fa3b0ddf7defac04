"""Routing on the memory bus and a real database: say what lifecycle says, let it settle, look at what came out."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from events.assignments import LeadAssigned, LeadUnassigned
from events.bus.database import SQLITE, TRANSIENT, open_database
from events.bus.loop import Loop
from events.bus.memory import MemoryBus, drain
from events.bus.versions import message_of, raw
from events.codec import Fact, decode, encode
from events.published import Published
from events.record import Message, Record
from events.reference import Directory, Rep, Version
from events.topics import ASSIGNMENT, LIFECYCLE, REQUEST, RULES, TOPICS
from events.values import parse_instant
from services.routing.desk import Desk
from services.routing.domain.rule_set import RuleSet
from services.routing.domain.story import Event
from services.routing.inbound import Match
from services.routing.metrics import Counters
from services.routing.publication import Reference
from services.routing.store import Store
from tests.routing.words import NOON

SHARDS = 2
_TYPES = {data: name for name, data in LIFECYCLE.types.items()}

RULES_YAML = """
pools:
  north: [anna, ben]
territories:
  - name: North
    when: {country: [DE, NO]}
    pool: north
  - name: Partners
    when: {source_kind: partner}
    rep: carol
  - name: Tobacco
    when: {industry: Tobacco}
    target: unassigned
route_again: [prospect]
default: {pool: north}
"""
DIRECTORY_YAML = """
reps:
  - {rep_id: anna, team: Inside}
  - {rep_id: ben, team: Inside}
  - {rep_id: carol, team: Partners}
"""


class Routing:
    """One process of routing over a memory bus: both hops. ``crash`` forgets it as it is, and another one takes over."""

    def __init__(self, folder: Path, *, seed: int | None = None, bus: MemoryBus | None = None, database: str = SQLITE) -> None:
        self.folder = folder
        self.database = database
        self.rules_file, self.directory_file = folder / "rules.yaml", folder / "directory.yaml"
        self.rules_file.write_text(RULES_YAML)
        self.directory_file.write_text(DIRECTORY_YAML)
        self.bus = bus or MemoryBus({topic.name: topic.partitions(SHARDS) for topic in TOPICS}, seed=seed)
        self.stores: list[Store] = []
        self.start()
        self.reference.refresh()

    def start(self) -> None:
        """Another process on the same database and files."""
        database = open_database(self.database, self.folder / "routing.sqlite", schema="routing")
        self.store = Store(database, code_version="test", identity=self.bus.identity)
        self.stores.append(self.store)
        self.reference = Reference(self.bus, rules=self.rules_file, directory=self.directory_file, clock=lambda: NOON)
        counters = Counters.on(CollectorRegistry())
        self.match = Match(self.bus, self.store.ledger, self.reference, counters)
        self.desk = Desk(self.store, self.reference, counters, customers_max=2, snapshot_events=5)
        self.loops = [
            Loop(
                self.bus,
                worker,
                group=f"routing-{topic}",
                topics=[topic],
                instance="1",
                records_max=7,
                poll_seconds=0,
                transient=TRANSIENT,
            )
            for worker, topic in ((self.match, LIFECYCLE.name), (self.desk, REQUEST.name))
        ]

    def crash(self) -> None:
        """As after kill -9: nothing is closed, nothing is saved."""
        self.start()

    def close(self) -> None:
        for store in self.stores:
            store.close()

    def says(self, *messages: Published) -> None:
        """Lifecycle publishes."""
        for message in messages:
            at = parse_instant(message.recorded_at)
            name = f"{message.customer_id}/{message.version:010d}"
            self.bus.append(
                encode(
                    LIFECYCLE.name,
                    _TYPES[type(message)],
                    message,
                    source="handoff/lifecycle",
                    id=name,
                    occurred_at=at,
                    recorded_at=at,
                )
            )

    def settle(self) -> None:
        drain(self.loops)

    def facts(self) -> list[Fact]:
        """What consumers see on crm.assignment.v1: the first occurrences."""
        found = [decode(record) for record in self.bus.records(ASSIGNMENT.name)]
        assert all(isinstance(fact, Fact) for fact in found)
        return list({fact.id: fact for fact in reversed(found) if isinstance(fact, Fact)}.values())[::-1]

    def said(self, customer: str) -> list[LeadAssigned | LeadUnassigned]:
        """What is published about a record."""
        return [
            fact.data
            for fact in self.facts()
            if isinstance(fact.data, LeadAssigned | LeadUnassigned) and fact.customer_id == customer
        ]

    def requests(self) -> list[Fact]:
        return [fact for record in self.bus.records(REQUEST.name) if isinstance(fact := decode(record), Fact)]

    def log(self) -> list[Event]:
        """The desk's own events."""
        return list(self.store.replay())

    def letters(self) -> Sequence[Record]:
        return self.bus.records("routing.dead-letter.v1")

    def publish_directory(self, *names: str, version: int) -> None:
        """Somebody else, an importer, publishes a directory."""
        self._publish("crm.directory.v1", version, Directory(reps=tuple(Rep(rep_id=name) for name in names)))

    def publish_rules(self, rules: RuleSet, version: int) -> None:
        self._publish(RULES.name, version, rules)

    def _publish(self, topic: str, version: int, content: msgspec.Struct) -> None:
        whole = Version(version=version, effective_from="2016-01-01T00:00:00Z", author="import", content=raw(content))
        self.bus.append(message_of(topic, whole))


def lifecycle_message(message: Published) -> Message:
    at = parse_instant(message.recorded_at)
    name = f"{message.customer_id}/{message.version:010d}"
    type_ = _TYPES[type(message)]
    return encode(LIFECYCLE.name, type_, message, source="handoff/lifecycle", id=name, occurred_at=at, recorded_at=at)
