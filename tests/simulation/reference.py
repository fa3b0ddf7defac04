"""The reference data of a simulation: versions of the status table, of rules and of the directory, by name."""

from collections.abc import Mapping
from typing import Final

from events.bus.versions import message_of, raw
from events.record import Message
from events.reference import Directory, Rep
from events.reference import Version as Published
from events.topics import DIRECTORY, RULES, STATUS_TABLE
from events.values import NANOSECONDS, format_instant
from services.routing.domain.rule_set import RuleSet
from services.routing.rules import read_rules
from tests.lifecycle.domain.histories import TABLES
from tests.lifecycle.harness import process_of
from tests.simulation.steps import Version

BEGIN: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z, in milliseconds: when simulations begin."""
TOPIC_OF: Final = {"table": STATUS_TABLE.name, "rules": RULES.name, "directory": DIRECTORY.name}
RUBBISH: Final = "no version"
"""The name of a record that is none."""

REPS: Final = ("anna", "ben", "chiara", "dev", "elena", "frank", "grace")


def _directory(active: str, team: str) -> Directory:
    """A directory; who is not named is not active. ``team`` of all whose names come before d."""
    return Directory(
        reps=tuple(
            Rep(
                rep_id=name,
                active=name in active.split(),
                team=team if name < "d" else "Field",
                region="North" if name < "f" else None,
            )
            for name in REPS
        )
    )


DIRECTORIES: Final[Mapping[str, Directory]] = {
    "all": _directory(" ".join(REPS), "Inside"),
    "few": _directory("anna ben elena", "Inside"),
    "renamed": _directory("anna ben chiara dev elena frank", "Hunters"),
    "nobody": _directory("", "Inside"),
}


def _rules(text: str) -> RuleSet:
    return read_rules(text.encode(), REPS, 1, "rules.yaml").content


RULE_SETS: Final[Mapping[str, RuleSet]] = {
    "north": _rules(
        """
pools: {north: [anna, {rep: ben, weight: 2}], south: [chiara, dev]}
territories:
  - {name: North, when: {country: [DE, FR]}, pool: north}
  - {name: Partners, when: {source_kind: partner}, rep: elena}
  - {name: Big, when: {employees: {gte: 1000}}, pool: south}
default: {pool: north}
route_again: [prospect]
"""
    ),
    "clearing": _rules(
        """
pools: {north: [anna, ben, frank]}
territories:
  - {name: Sold, when: {stage: customer}, target: clear_owner}
  - {name: Prospects, when: {stage: prospect}, target: keep_owner}
  - {name: Abroad, when: {country: [JP, ZA]}, target: unassigned}
default: {pool: north}
route_again: [prospect, customer]
"""
    ),
    "south": _rules(
        """
pools: {south: [chiara, dev]}
territories:
  - {name: Web, when: {source: web}, rep: frank}
default: {pool: south}
"""
    ),
}


def first_versions() -> list[Version]:
    """What is in force when a simulation begins: without rules and reps nothing can be decided."""
    return [Version(topic="directory", name="all"), Version(topic="rules", name="north")]


def version_message(step: Version, number: int) -> Message:
    """The record of a version."""
    if step.name == RUBBISH:
        return Message(TOPIC_OF[step.topic], None, b'{"version": ', partition=0)
    content = {
        "table": lambda: process_of(TABLES[step.name]),
        "rules": lambda: RULE_SETS[step.name],
        "directory": lambda: DIRECTORIES[step.name],
    }[step.topic]()
    since = format_instant(step.since * (NANOSECONDS // 1000))
    return message_of(TOPIC_OF[step.topic], Published(version=number, effective_from=since, author="ops", content=raw(content)))
