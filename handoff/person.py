"""Who decides, or publishes: the name that is said, else that of whoever is logged in."""

import getpass
from collections.abc import Callable
from typing import Final

NOBODY: Final = "handoff"
"""Where the machine has no name for its user, as in some containers."""


def person(said: str | None = None, *, logged_in: Callable[[], str] = getpass.getuser) -> str:
    """The name."""
    if said is not None:
        return said
    try:
        return logged_in()
    except (OSError, KeyError, ImportError):
        return NOBODY
