"""A page of the documentation as something that can be run: its commands in order, each with the output that is shown.

In goes Markdown. A ``sh`` block is a step, a ``python`` block is one too; the ``text`` block that follows directly is what the step
prints. A line ``...`` stands for any lines, ``...`` within a line for any text. A ``yaml`` block whose first line is a comment with
a file name is that file. Blocks in any other language are for readers only.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE: Final = re.compile(r"# ([\w.-]+\.yaml)\n")
_ENDED: Final = "\x01"


class Step(NamedTuple):
    """Something to do, and what is to be seen then (None where the page shows nothing). ``line`` counts from 1."""

    kind: Literal["sh", "python", "yaml"]
    text: str
    shown: str | None
    line: int


class _Block(NamedTuple):
    language: str
    text: str
    begin: int
    end: int


def steps(page: str) -> Iterator[Step]:
    """The steps of a page, in order. Raises ``ValueError`` for output that belongs to no step."""
    blocks = [_Block(found[1], found[2], found.start(), found.end()) for found in _BLOCK.finditer(page)]
    claimed = set()
    for number, block in enumerate(blocks):
        line = page.count("\n", 0, block.begin) + 1
        if block.language == "sh" or block.language == "python":
            following = blocks[number + 1] if number + 1 < len(blocks) else None
            shown = None
            if following and following.language == "text" and not page[block.end : following.begin].strip():
                shown = following.text
                claimed.add(number + 1)
            yield Step("sh" if block.language == "sh" else "python", block.text, shown, line)
        elif block.language == "yaml" and _FILE.match(block.text):
            yield Step("yaml", block.text, None, line)
        elif block.language == "text" and number not in claimed:
            raise ValueError(f"line {line}: output that follows no command")


def file_name(step: Step) -> str:
    """The file that a ``yaml`` step is."""
    found = _FILE.match(step.text)
    assert found
    return found[1]


def matches(shown: str, printed: str) -> bool:
    """Whether what was printed is what is shown. Trailing blanks do not count; ``...`` stands for anything."""
    pattern = ""
    for line in shown.rstrip().splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += "[^\n]*?".join(re.escape(part) for part in line.rstrip().split("...")) + r"[^\S\n]*\n"
    return re.fullmatch(pattern, printed.rstrip() + "\n" if printed.strip() else "") is not None


class Shell:
    """One bash for a whole page, so that directories and variables last from step to step. A context manager."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={**environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, commands: str) -> str:
        """What the commands print, standard error included."""
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f"{commands}\nprintf '\\001\\n'\n")
        self._bash.stdin.flush()
        printed = ""
        for line in self._bash.stdout:
            printed += line
            if printed.endswith(f"{_ENDED}\n"):
                return printed.removesuffix(f"{_ENDED}\n")
        raise AssertionError(f"the shell ended:\n{printed}")

    def __enter__(self) -> "Shell":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.close()
        self._bash.wait(10)
        self._bash.stdout.close()
