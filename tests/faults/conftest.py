"""The options of the campaign, ``--kills``, ``--seed`` and ``--on``, and the table of what campaigns have done."""

import pytest

from tests.faults.plan import LAYOUTS
from tests.faults.tally import Tally, table

NAMES = [layout.name for layout in LAYOUTS]
TALLIES = pytest.StashKey[list[Tally]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--kills", type=int, default=20, help="how many processes the fault campaigns kill, together")
    group.addoption("--seed", type=int, default=None, help="the seed of the fault campaigns (a failed one prints its own)")
    group.addoption("--on", choices=NAMES, default=None, help="what the stack stands on; else one campaign after the other on each")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLIES] = []


@pytest.fixture
def tallies(pytestconfig: pytest.Config) -> list[Tally]:
    """What campaigns of this session have done."""
    return pytestconfig.stash[TALLIES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if tallies := config.stash[TALLIES]:
        terminalreporter.section("faults")
        for line in table(tallies):
            terminalreporter.write_line(line)
