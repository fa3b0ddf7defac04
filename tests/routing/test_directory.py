"""``directory.yaml``: the sales force, and what can be wrong with it."""
# ruff: noqa: E501 - problems are quoted as whole lines

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.files.yaml_tree import PROBLEMS_MAX, FileError, Problem
from events.reference import Directory, Rep
from services.routing.directory import read_directory
from tests.fuzz.feeding import no_longer_than


def problems(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        read_directory(text.encode())
    return str(caught.value).splitlines()


def test_reps() -> None:
    found = read_directory(b"""
effective_from: 2026-01-01
reps:
  - {rep_id: anna, name: Anna Berg, email: anna@example.com, team: Inside, region: EMEA, time_zone: Europe/Berlin}
  - {rep_id: "7", active: false, skills: [German, Cloud], attributes: {quota: 5, lead: true, desk: A}}
""")
    assert found.effective_from == "2026-01-01T00:00:00Z"
    assert found.content == Directory(
        reps=(
            Rep(rep_id="anna", name="Anna Berg", email="anna@example.com", team="Inside", region="EMEA", time_zone="Europe/Berlin"),
            Rep(rep_id="7", active=False, skills=("German", "Cloud"), attributes={"quota": 5, "lead": True, "desk": "A"}),
        )
    )


def test_all_problems_at_once() -> None:
    assert problems("""reps:
  - {rep_id: anna, nmae: Anna}
  - {rep_id: anna}
  - {rep_id: 7}
  - {name: Nobody}
  - {rep_id: ben, email: ben at example, time_zone: Europe/Berlim}
  - {rep_id: cem, active: 1, skills: German}
  - dora
team: x
""") == [
        "directory.yaml:2:20 reps[0].nmae: unknown key (did you mean 'name'?)",
        "directory.yaml:3:14 reps[1].rep_id: 'anna' is there twice: first on line 2",
        "directory.yaml:4:14 reps[2].rep_id: an id (text) is expected, not '7' (a number): put it in quotes",
        "directory.yaml:5:5 reps[3]: 'rep_id' is missing",
        "directory.yaml:6:26 reps[4].email: 'ben at example' is not an e-mail address",
        "directory.yaml:6:53 reps[4].time_zone: 'Europe/Berlim' is not a time zone such as Europe/Berlin (did you mean 'Europe/Berlin'?)",
        "directory.yaml:7:27 reps[5].active: true or false is expected, not '1' (a number)",
        "directory.yaml:7:38 reps[5].skills: a list is expected, not 'German' (text)",
        "directory.yaml:8:5 reps[6]: a mapping (key: value) is expected, not 'dora' (text)",
        "directory.yaml:9:1 team: unknown key",
    ]


def test_nobody_is_no_directory() -> None:
    assert problems("reps: []\n") == ["directory.yaml:1:7 reps: a directory has 1 to 10000 reps"]
    assert problems("{}\n") == ["directory.yaml:1:1 'reps' is missing"]


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_the_answer_is_a_directory_or_problems(content: bytes) -> None:
    assert directory_or_problems(content)


def directory_or_problems(content: bytes) -> Directory | list[Problem]:
    try:
        return read_directory(content).content
    except FileError as error:
        return error.problems


def test_numbers_that_are_longer_than_python_reads_are_no_numbers() -> None:
    text = f"reps:\n  - {{rep_id: anna, attributes: {{quota: {'9' * 5_000}}}}}"
    (problem,) = problems(text)
    assert problem.startswith("directory.yaml:2:40 reps[0].attributes.quota: a whole number from ")
    assert len(problem) < 400


def test_a_value_is_quoted_only_so_far() -> None:
    assert max(map(len, problems(f"reps: {'x' * 100_000}"))) < 400


def test_the_first_hundred_problems_are_told_and_how_many_more_there_are() -> None:
    lines = problems("reps:\n" + "  - 1\n" * 1_000)
    assert len(lines) == PROBLEMS_MAX + 1
    assert lines[-1] == "directory.yaml: 900 more problems: mend these first"


def test_a_large_sales_force_with_time_zones_is_read_in_time() -> None:
    reps = "".join(
        f"  - {{rep_id: r{number}, time_zone: {'Europe/Berlin' if number % 2 else 'Europe/Brlin'}}}\n" for number in range(2_000)
    )
    with no_longer_than(cpu_seconds=30):  # looking for the zones of this machine each time took minutes
        assert "did you mean 'Europe/Berlin'?" in problems("reps:\n" + reps)[0]


def test_a_file_that_is_no_utf8_is_told_with_its_place_also_behind_a_byte_order_mark() -> None:
    with pytest.raises(FileError) as caught:
        read_directory(b"\xef\xbb\xbfreps:\n  - M\xfcller")
    assert str(caught.value) == "directory.yaml:2:6 this is not UTF-8: save the file in that encoding"
