"""From files to versions on topics, and what holds when several write them."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from events.bus import BusError
from events.record import Message
from events.reference import Version
from events.topics import DIRECTORY, RULES
from services.routing.domain.rule_set import RepTarget, RuleSet
from services.routing.publication import Reference
from tests.routing.harness import DIRECTORY_YAML, RULES_YAML, Routing
from tests.routing.words import NOON


def versions(routing: Routing, topic: str = RULES.name) -> list[Version]:
    return [msgspec.json.decode(record.value or b"", type=Version) for record in routing.bus.records(topic)]


def test_a_file_is_published_once_whole_and_for_all_the_past(routing: Routing) -> None:
    for _ in range(3):
        routing.reference.refresh()
    (version,) = versions(routing)
    assert (version.version, version.author, version.effective_from) == (1, "file", "1970-01-01T00:00:00Z")
    assert version.digest == hashlib.sha256(RULES_YAML.encode()).hexdigest()
    assert msgspec.json.decode(version.content, type=RuleSet).route_again == ("prospect",)


def test_a_restart_publishes_nothing(routing: Routing) -> None:
    routing.crash()
    routing.reference.refresh()
    assert len(versions(routing)) == len(versions(routing, DIRECTORY.name)) == 1


def test_a_changed_file_is_a_new_version_from_now_on(routing: Routing) -> None:
    routing.rules_file.write_text("territories: []\ndefault: {rep: carol}\n")
    routing.reference.refresh()
    assert [(version.version, version.effective_from) for version in versions(routing)] == [
        (1, "1970-01-01T00:00:00Z"),
        (2, "2026-01-01T12:00:00Z"),
    ]
    newest = routing.reference.rules.newest
    assert newest is not None
    assert newest.content.default == RepTarget("carol")


def test_a_file_can_say_from_when_on_it_holds(routing: Routing) -> None:
    routing.directory_file.write_text(f"effective_from: 2016-01-01\n{DIRECTORY_YAML}")
    routing.reference.refresh()
    assert versions(routing, DIRECTORY.name)[-1].effective_from == "2016-01-01T00:00:00Z"


def test_a_file_that_goes_back_to_what_it_was_is_a_new_version(routing: Routing) -> None:
    routing.rules_file.write_text("territories: []\ndefault: {rep: carol}\n")
    routing.reference.refresh()
    routing.rules_file.write_text(RULES_YAML)
    routing.reference.refresh()
    assert [version.version for version in versions(routing)] == [1, 2, 3]


def test_somebody_elses_directory_holds_and_the_file_is_not_published_over_it(routing: Routing) -> None:
    routing.publish_directory("anna", "ben", "carol", "dora", version=2)
    routing.crash()
    routing.reference.refresh()
    newest = routing.reference.directory.newest
    assert newest is not None
    assert (newest.version, newest.author, len(newest.content.reps)) == (2, "import", 4)
    assert len(versions(routing, DIRECTORY.name)) == 2


def test_a_file_that_is_changed_afterwards_holds_again(routing: Routing) -> None:
    routing.publish_directory("anna", "ben", "carol", "dora", version=2)
    routing.directory_file.write_text(f"{DIRECTORY_YAML}  - {{rep_id: eve}}\n")
    routing.reference.refresh()
    newest = routing.reference.directory.newest
    assert newest is not None
    assert (newest.version, newest.author) == (3, "file")


def test_rules_that_name_a_rep_who_joins_later_are_taken_over_then(routing: Routing) -> None:
    routing.rules_file.write_text("territories: []\ndefault: {rep: dora}\n")
    routing.reference.refresh()
    assert routing.reference.problems() == ["rules.yaml:2:16 default.rep: 'dora' is not in directory v1"]
    routing.publish_directory("anna", "ben", "carol", "dora", version=2)
    routing.reference.refresh()
    assert routing.reference.problems() == []
    assert [version.version for version in versions(routing)] == [1, 2]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"{}",
        b'{"version": 2, "effective_from": "2020-01-01T00:00:00Z", "author": "x", "content": {"territories": []}}',
        b'{"version": 2, "effective_from": "2020-01-01T00:00:00Z", "author": "x",'
        b' "content": {"territories": [], "default": {"to": "pool", "pool": "gone"}}}',
        b'{"version": 2, "effective_from": "soon", "author": "x", "content": {"territories": [], "default": {"to": "unassigned"}}}',
        b'{"version": 0, "effective_from": "2020-01-01T00:00:00Z", "author": "x",'
        b' "content": {"territories": [], "default": {"to": "unassigned"}}}',
    ],
)
def test_a_record_that_is_no_version_changes_nothing_and_is_complained_of(routing: Routing, value: bytes) -> None:
    routing.bus.append(Message(RULES.name, None, value))
    routing.reference.refresh()
    newest = routing.reference.rules.newest
    assert newest is not None
    assert newest.version == 1
    (problem,) = routing.reference.problems()
    assert problem.startswith("routing.rules.v1 at 1 is not a valid version: ")


def test_a_number_counts_once(routing: Routing) -> None:
    routing.publish_rules(RuleSet(territories=(), default=RepTarget("ben")), version=1)
    routing.reference.refresh()
    newest = routing.reference.rules.newest
    assert newest is not None
    assert newest.author == "file"
    assert routing.reference.problems() == ["routing.rules.v1 at 1 has version 1 again: ignored, give it a new number"]


def test_the_same_version_again_is_no_complaint(routing: Routing) -> None:
    for _ in range(2):
        routing.publish_rules(RuleSet(territories=(), default=RepTarget("ben")), version=2)
    routing.reference.refresh()
    assert routing.reference.problems() == []


@pytest.fixture
def other(routing: Routing, tmp_path: Path) -> Reference:
    """Another worker on the same topics, with files of its own that say the same, at a later time."""
    rules = tmp_path / "others.yaml"
    rules.write_text(RULES_YAML)
    reference = Reference(routing.bus, rules=rules, directory=None, clock=lambda: NOON + 1_000_000_000)
    reference.refresh()
    return reference


def write_at_once(routing: Routing, other: Reference, tmp_path: Path, mine: str, theirs: str) -> None:
    """Both have read the topic when both publish; the other one is first."""
    routing.rules_file.write_text(mine)
    (tmp_path / "others.yaml").write_text(theirs)
    refresh = routing.reference.rules.refresh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routing.reference.rules, "refresh", lambda: (refresh(), other.refresh(), patch.undo()))
        routing.reference.refresh()


def test_a_number_that_somebody_else_has_taken_is_followed_by_the_next(
    routing: Routing, other: Reference, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    write_at_once(routing, other, tmp_path, f"{_TO} {{rep: anna}}\n", f"{_TO} {{rep: carol}}\n")
    assert "rules.yaml is not version 2 of routing.rules.v1, which somebody else has written" in caplog.text
    for _ in range(3):
        routing.reference.refresh()
        other.refresh()
    for reference in (routing.reference, other):
        assert reference.problems() == []
        newest = reference.rules.newest
        assert newest is not None
        assert (newest.version, newest.content.default) == (3, RepTarget("anna"))
    assert "rules.yaml is version 3 of routing.rules.v1" in caplog.text
    assert [version.version for version in versions(routing)] == [1, 2, 2, 3]


def test_two_workers_with_the_same_file_publish_one_version(routing: Routing, other: Reference, tmp_path: Path) -> None:
    write_at_once(routing, other, tmp_path, f"{_TO} {{rep: ben}}\n", f"{_TO} {{rep: ben}}\n")
    routing.reference.refresh()
    other.refresh()
    assert len({version.effective_from for version in versions(routing)[1:]}) == 2  # each at its own time
    assert [version.version for version in versions(routing)] == [1, 2, 2]
    for reference in (routing.reference, other):
        assert reference.problems() == []
        newest = reference.rules.newest
        assert newest is not None
        assert newest.effective_from == NOON + 1_000_000_000  # the first in the log


_TO = "territories: []\ndefault:"


def test_a_missing_file_is_named(routing: Routing) -> None:
    routing.rules_file.unlink()
    routing.reference.refresh()
    assert routing.reference.problems() == [f"{routing.rules_file}: No such file or directory"]


def test_a_directory_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    routing = Routing(tmp_path)
    routing.rules_file.unlink()
    routing.rules_file.mkdir()
    routing.reference.refresh()
    assert routing.reference.problems() == [f"{routing.rules_file}: Is a directory"]
    routing.close()


def test_a_bus_that_is_away_loses_no_version(routing: Routing) -> None:
    routing.rules_file.write_text("territories: []\ndefault: {rep: carol}\n")
    routing.bus.fault = lambda message: "refused"
    with pytest.raises(BusError):
        routing.reference.refresh()
    routing.bus.fault = None
    routing.reference.refresh()
    assert [version.version for version in versions(routing)] == [1, 2]


def test_that_the_bus_is_away_is_said_once_and_until_it_is_back(routing: Routing, caplog: pytest.LogCaptureFixture) -> None:
    routing.bus.away = True
    for _ in range(3):
        routing.reference.look()
    assert len(caplog.records) == 1
    assert routing.reference.problems() == ["rules and directory are not looked at: the memory bus is away"]
    routing.bus.away = False
    routing.reference.look()
    assert routing.reference.problems() == []
