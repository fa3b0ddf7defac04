"""The options of the campaign: ``--kills``, ``--seed``."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--kills", type=int, default=20, help="how many processes the fault campaign kills")
    group.addoption("--seed", type=int, default=None, help="the seed of the fault campaign (a failed one prints its own)")
