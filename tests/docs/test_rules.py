"""The examples of rules and directories: those without a complaint are right, the others are complained about as the page says."""

import re
from pathlib import Path
from typing import Final

import pytest

from events.files.yaml_tree import FileError
from services.routing.directory import read_directory
from services.routing.domain.rule_set import FIELDS
from services.routing.rules import read_rules

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "write-rules.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
EXAMPLES: Final = [
    (TEXT.count("\n", 0, found.start()) + 1, found[1], found[2])
    for found in re.finditer(r"^```yaml\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", TEXT, re.MULTILINE | re.DOTALL)
]
REPS: Final = ("anna", "ben", "carl")


def complaints(text: str) -> str:
    """What is said of an example; a condition alone is put into a territory."""
    if text.startswith("when:"):
        condition = "".join(f"    {line}\n" for line in text.splitlines())
        text = f"# rules.yaml\nterritories:\n  - name: Example\n{condition}    rep: anna\ndefault:\n  rep: anna\n"
    try:
        if text.startswith("# rules.yaml"):
            read_rules(text.encode(), REPS, 1)
        else:
            assert text.startswith("# directory.yaml")
            read_directory(text.encode())
    except FileError as error:
        return f"{error}\n"
    return ""


@pytest.mark.parametrize(("line", "text", "said"), EXAMPLES, ids=[f"line {line}" for line, _, _ in EXAMPLES])
def test_an_example_is_right_or_wrong_as_the_page_says(line: int, text: str, said: str | None) -> None:
    assert complaints(text) == (said or ""), f"{PAGE.name}:{line}"


def test_the_reps_of_the_rules_are_those_of_the_directory_on_the_page() -> None:
    directory = next(text for _, text, _ in EXAMPLES if text.startswith("# directory.yaml"))
    assert tuple(rep.rep_id for rep in read_directory(directory.encode()).content.reps) == REPS


def test_every_field_and_operator_is_named() -> None:
    assert not [name for name in FIELDS if f"`{name}`" not in TEXT]
    assert not [
        name for name in ("in", "not", "exists", "prefix", "gt", "gte", "lt", "lte", "any", "all") if f"`{name}`" not in TEXT
    ]
