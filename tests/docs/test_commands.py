"""Commands that the documentation names exist, with the options that it names; those of the README are run."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from docs.generator.command_line import commands
from docs.generator.pages import FOLDER
from tests.handoff.test_up import Up

from .test_links import PAGES, ROOT

_BLOCK: Final = re.compile(r"^```(?:sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"`((?:handoff|make) [^`\n]+)`")
_COMMAND: Final = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?((?:handoff|make) .+)$", re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"[A-Z]+|\.\.\.")
EXPORT: Final = {
    "products.csv": "product,sales_price\nGTX Pro,4821\n",
    "sales_teams.csv": "sales_agent,manager,regional_office\nAnn Adams,Mary Major,West\n",
    "sales_pipeline.csv": "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n"
    "O1,Ann Adams,GTXPro,Initech,Won,2017-01-10,2017-03-01,4514\n",
}


def named(page: Path) -> Iterator[list[str]]:
    """The commands that a page names, as words."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in _BLOCK.findall(text) for line in _COMMAND.findall(block.replace("\\\n", " "))]
    for line in [*lines, *_SPAN.findall(text)]:
        if not line.startswith("handoff: "):
            try:
                yield shlex.split(line.split(" | ")[0], comments=True)
            except ValueError:  # a text that goes on in the next line
                yield line.split("'")[0].split()


WRITTEN: Final = [page for page in PAGES if page.parent != FOLDER]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist_with_their_options(page: Path) -> None:
    known = {tuple(path.split()[1:]): command for path, command in commands()}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in named(page):
        if words[0] == "make":
            assert words[1] in targets, f"{page.name}: {' '.join(words)}"
            continue
        path = next((tuple(words[1 : 1 + length]) for length in (2, 1) if tuple(words[1 : 1 + length]) in known), None)
        if path is None:
            assert words[1].startswith("-") or any(each[0] == words[1] for each in known), f"{page.name}: {' '.join(words)}"
            continue
        options = {name for parameter in known[path].params for name in parameter.opts}
        wrong = [word for word in words if word.startswith("--") and word.split("=")[0] not in options]
        assert not wrong, f"{page.name}: {' '.join(words)}"


def test_commands_are_found() -> None:
    assert ["handoff", "customer", "acme"] in list(named(ROOT / "docs" / "tutorial.md"))
    assert ["make", "demo"] in list(named(ROOT / "README.md"))


@pytest.mark.long
@pytest.mark.kafka
def test_the_commands_of_the_readme_do_what_they_should(tmp_path: Path) -> None:
    blocks = _BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    lines = next(block for block in blocks if "handoff up" in block).splitlines()
    assert lines[0].split("#")[0].strip() == ".venv/bin/handoff up"
    export = tmp_path / "path" / "to" / "export"
    export.mkdir(parents=True)
    for name, text in EXPORT.items():
        (export / name).write_text(text)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    up = Up(tmp_path / "data")
    up.start()
    try:
        for line in lines[1:]:
            command = line.replace(":8083", f":{up.ports['forecast']}").replace("curl ", "curl -sf ")
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env={**os.environ, **up.environment},
                capture_output=True,
                text=True,
                check=False,
                timeout=90,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            assert done.stdout.strip(), line
    finally:
        assert up.end(signal.SIGTERM) == 0
