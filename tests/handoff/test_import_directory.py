"""Reps added to the sales force that is there."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from events.record import Record
from events.reference import Directory, Rep, Version, in_force
from events.topics import DIRECTORY
from events.values import parse_instant
from handoff.importing.directory import additions, message_of, read_versions

SINCE = "2016-01-01T00:00:00Z"
ANN = Rep(rep_id="ann", name="Ann", team="West Coast", region="West")
BOB = Rep(rep_id="bob", name="Bob", team="East Coast", region="East")
EVA = Rep(rep_id="eva", name="Eva", email="eva@example.com", team="Berlin", region="EMEA")


def version(number: int, effective_from: str, *reps: Rep) -> Version:
    content = Raw(msgspec.json.encode(Directory(reps=reps)))
    return Version(version=number, effective_from=effective_from, author="file", content=content)


def reps_at(versions: list[Version], instant: str) -> list[Rep]:
    found = in_force(versions, parse_instant(instant))
    assert found is not None
    return list(msgspec.json.decode(found.content, type=Directory).reps)


def add(versions: list[Version], *reps: Rep) -> list[Version]:
    """All versions after adding the reps."""
    return [*versions, *additions(versions, reps, SINCE, "import/test")]


def test_the_first_directory_of_all() -> None:
    (only,) = add([], ANN, BOB)
    assert (only.version, only.effective_from, only.author) == (1, SINCE, "import/test")
    assert reps_at([only], "1999-01-01T00:00:00Z") == [ANN, BOB]


def test_those_who_are_there_stay() -> None:
    versions = add([version(1, "1970-01-01T00:00:00Z", EVA)], ANN)
    assert [v.version for v in versions] == [1, 2]
    assert reps_at(versions, "2015-12-31T23:59:59Z") == [EVA]
    assert reps_at(versions, SINCE) == [EVA, ANN]


def test_a_version_that_begins_later_does_not_hide_those_who_are_added() -> None:
    later, gone = "2020-01-01T00:00:00Z", "2024-01-01T00:00:00Z"
    versions = add([version(3, later, EVA), version(5, gone, BOB), version(4, later, EVA, BOB)], ANN)
    assert [(v.version, v.effective_from) for v in versions[3:]] == [(6, SINCE), (7, later), (8, gone)]
    assert reps_at(versions, SINCE) == [EVA, ANN]  # before any version's date the first one holds
    assert reps_at(versions, later) == [EVA, BOB, ANN]
    assert reps_at(versions, gone) == [BOB, ANN]


def test_what_is_there_already_is_not_published_again() -> None:
    versions = add([version(1, "2020-01-01T00:00:00Z", EVA), version(2, "2021-01-01T00:00:00Z", ANN, EVA)], ANN, BOB)
    assert add(versions, ANN, BOB) == versions
    assert add(versions, BOB) == versions


def test_what_operations_say_of_a_rep_later_stands() -> None:
    moved = Rep(rep_id="ann", team="Board", region="HQ")
    versions = add([version(1, "1970-01-01T00:00:00Z", moved), version(2, "2020-01-01T00:00:00Z", moved)], ANN)
    assert reps_at(versions, SINCE) == [Rep(rep_id="ann", name="Ann", team="West Coast", region="West")]
    assert reps_at(versions, "2020-01-01T00:00:00Z") == [moved]
    assert add(versions, ANN) == versions


def test_what_is_not_told_of_a_rep_stays() -> None:
    versions = add([version(1, "1970-01-01T00:00:00Z", EVA)], Rep(rep_id="eva", region="DACH"))
    assert reps_at(versions, SINCE) == [msgspec.structs.replace(EVA, region="DACH")]


people = st.lists(st.sampled_from([ANN, BOB, EVA]), unique_by=lambda rep: rep.rep_id, max_size=3)
days = st.sampled_from(["1970-01-01", "2015-06-01", "2016-01-01", "2019-01-01", "2023-01-01"])


@given(st.lists(st.tuples(days, people), max_size=5), people)
def test_afterwards_everybody_is_there_from_then_on_and_nobody_is_gone(
    history: list[tuple[str, list[Rep]]], added: list[Rep]
) -> None:
    before = [version(number, f"{day}T00:00:00Z", *reps) for number, (day, reps) in enumerate(history, start=1)]
    after = add(before, *added)
    assert add(after, *added) == after
    for instant in (f"{day}T12:00:00Z" for day in ("2016-01-01", "2017-01-01", "2019-01-01", "2023-01-01", "2030-01-01")):
        held = in_force(before, parse_instant(instant))
        stayed = msgspec.json.decode(held.content, type=Directory).reps if held else ()
        if not after:
            assert not added
            continue
        present = {rep.rep_id for rep in reps_at(after, instant)}
        assert present == {rep.rep_id for rep in (*stayed, *added)}


@pytest.mark.parametrize(
    "broken", [b"", b"{}", b'{"version": 9, "effective_from": "soon", "author": "x", "content": {"reps": []}}']
)
def test_the_topic_is_read_as_the_services_read_it(broken: bytes) -> None:
    first, again = version(1, SINCE, ANN), version(1, SINCE, BOB)
    values = [broken, message_of(first).value, message_of(again).value]
    records = [Record(DIRECTORY.name, 0, offset, 0, None, value) for offset, value in enumerate(values)]
    (read,) = read_versions(records)
    assert reps_at([read], SINCE) == [ANN]
