"""The examples of status tables: those without a complaint are right, the others are complained about as the page says."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from events.files.yaml_tree import FileError
from services.lifecycle.statuses import read_statuses
from services.lifecycle.sweep import RECORDS_A_STEP, Swept

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "describe-your-process.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
EXAMPLES: Final = [
    (TEXT.count("\n", 0, found.start()) + 1, found[1], found[2])
    for found in re.finditer(r"^```yaml\n(.*?)^```$(?:\n\n^```text\n(status-table.*?)^```$)?", TEXT, re.MULTILINE | re.DOTALL)
]


def complaints(text: str) -> str:
    """What is said of an example."""
    try:
        read_statuses(text.encode())
    except FileError as error:
        return f"{error}\n"
    return ""


@pytest.mark.parametrize(("line", "text", "said"), EXAMPLES, ids=[f"line {line}" for line, _, _ in EXAMPLES])
def test_an_example_is_right_or_wrong_as_the_page_says(line: int, text: str, said: str | None) -> None:
    assert complaints(text) == (said or ""), f"{PAGE.name}:{line}"


def test_there_are_examples_of_both_kinds() -> None:
    assert {said is None for _, _, said in EXAMPLES} == {True, False}


def test_progress_is_told_as_the_page_says() -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert list(json.loads(block)["status_table"]["sweep"]) == list(Swept.__struct_fields__)
    assert f"some {RECORDS_A_STEP} records at a time" in " ".join(TEXT.split())
