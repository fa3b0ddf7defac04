"""The directory over time: by effective_from, never by arrival; what is wrong is said and changes nothing."""

from collections.abc import Sequence

import msgspec
import pytest

from events.bus import BusError
from events.record import Record
from events.reference import Rep
from events.values import parse_instant
from services.forecast.directory import Directories


class Log:
    """A reference topic: its records, a gap at its end where a transaction was committed, and whether it answers."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.gap = 0
        self.away = False

    def add(self, value: bytes) -> None:
        self.records.append(Record("crm.directory.v1", 0, len(self.records), 0, None, value))

    def version(self, number: int, effective_from: str, *reps: Rep) -> None:
        content = {"reps": [msgspec.to_builtins(rep) for rep in reps]}
        self.add(msgspec.json.encode({"version": number, "effective_from": effective_from, "author": "test", "content": content}))

    def read(self, offset: int) -> Sequence[Record]:
        if self.away:
            raise BusError("away")
        return self.records[offset:]

    def end(self) -> int:
        return len(self.records) + self.gap


def ann(team: str) -> Rep:
    return Rep(rep_id="ann", name="Ann", team=team, region="West")


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def directories(log: Log) -> Directories:
    return Directories(log.read, log.end)


def team(directories: Directories, at: str) -> str | None:
    return directories.at(parse_instant(at)).team("ann")


def test_the_version_in_force_answers_whenever_it_came(log: Log, directories: Directories) -> None:
    log.version(2, "2017-06-01T00:00:00Z", ann("new"))
    log.version(1, "2017-01-01T00:00:00Z", ann("old"))
    directories.refresh()
    assert team(directories, "2017-05-31T23:59:59.999999999Z") == "old"
    assert team(directories, "2017-06-01T00:00:00Z") == "new"
    assert team(directories, "2016-01-01T00:00:00Z") == "old"


def test_of_two_from_one_instant_the_higher_number_holds(log: Log, directories: Directories) -> None:
    log.version(2, "2017-01-01T00:00:00Z", ann("second"))
    log.version(1, "2017-01-01T00:00:00Z", ann("first"))
    directories.refresh()
    assert team(directories, "2017-01-01T00:00:00Z") == "second"


def test_what_is_not_known_has_no_team(log: Log, directories: Directories) -> None:
    assert team(directories, "2017-01-01T00:00:00Z") is None
    log.version(1, "2017-01-01T00:00:00Z", Rep(rep_id="bob"))
    directories.refresh()
    reps = directories.at(parse_instant("2017-01-01T00:00:00Z"))
    assert (reps.team(None), reps.team("ann"), reps.team("bob"), reps.region("bob"), reps.name("bob")) == (
        None,
        None,
        None,
        None,
        "bob",
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b'{"version":2,"author":"x","content":{"reps":[]}}',
        b'{"version":2,"effective_from":"tomorrow","author":"x","content":{"reps":[]}}',
        b'{"version":2,"effective_from":"2017-01-01T00:00:00Z","author":"x","content":{"reps":[{"team":"x"}]}}',
        b'{"version":1,"effective_from":"2017-01-01T00:00:00Z","author":"x","content":{"reps":[]}}',
    ],
)
def test_a_wrong_version_changes_nothing_and_is_said(log: Log, directories: Directories, value: bytes) -> None:
    log.version(1, "2017-01-01T00:00:00Z", ann("old"))
    log.add(value)
    directories.refresh()
    assert team(directories, "2018-01-01T00:00:00Z") == "old"
    assert "crm.directory.v1 at 1" in (directories.problem or "")
    assert directories.position == 2
    log.version(3, "2017-01-01T00:00:00Z", ann("new"))
    directories.refresh()
    assert (team(directories, "2018-01-01T00:00:00Z"), directories.problem) == ("new", None)


def test_behind_counts_what_is_not_read(log: Log, directories: Directories) -> None:
    log.version(1, "2017-01-01T00:00:00Z", ann("old"))
    log.gap = 1
    assert (directories.behind(), directories.position) == (2, None)
    directories.refresh()
    assert (directories.behind(), directories.position) == (0, 2)


def test_what_is_known_stays_while_the_bus_is_away(log: Log, directories: Directories) -> None:
    log.version(1, "2017-01-01T00:00:00Z", ann("old"))
    directories.refresh()
    log.away = True
    with pytest.raises(BusError):
        directories.refresh()
    assert team(directories, "2017-01-01T00:00:00Z") == "old"


def test_a_topic_that_was_made_again_is_read_again(log: Log, directories: Directories) -> None:
    log.version(1, "2017-01-01T00:00:00Z", ann("old"))
    log.version(2, "2017-01-01T00:00:00Z", ann("older"))
    directories.refresh()
    log.records.clear()
    log.version(1, "2017-01-01T00:00:00Z", ann("new"))
    directories.refresh()
    assert team(directories, "2017-01-01T00:00:00Z") == "new"
