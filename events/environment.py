"""The environment variables of an installation: every name that some process of it reads: a slip of the pen is told.

In go the names that are set, out come those that nobody reads, each with the one that was probably meant. What the variables mean,
and their defaults, is in the settings of whoever reads them; a test holds this list against those.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from msgspec import Struct

PREFIX: Final = "HANDOFF_"

VARIABLES: Final = frozenset(
    PREFIX + name
    for name in (
        "CACHE_DIR",
        "CACHE_FACTS",
        "CACHE_RECORDS",
        "CURRENCY",
        "DATABASE",
        "DATA_DIR",
        "DEAD_LETTER_DAYS",
        "DIRECTORY",
        "DIRECTORY_SECONDS",
        "FORECAST_PORT",
        "HOST",
        "INSTANCE",
        "JAVA",
        "KAFKA",
        "KAFKA_PORT",
        "LIFECYCLE_PORT",
        "MAVEN_URL",
        "MINIMUM_PROBABILITY",
        "PARTITIONS",
        "REPLICATION",
        "REPLICATION",
        "ROUTING_PORT",
        "RULES",
        "TICKS",
        "TIME_ZONE",
        "WATCHDOG_SECONDS",
    )
)

LIKENESS_MIN: Final = 0.6
"""How alike two names must be, without the prefix that all share, to count as a slip."""


class Unknown(Struct, frozen=True):
    """A variable that nobody reads. ``meant``: the one that its name is most like, if it is like any."""

    name: str
    meant: str | None

    def __str__(self) -> str:
        hint = f"did you mean {self.meant}?" if self.meant else "`handoff config` lists all of them"
        return f"{self.name} is set, and nothing reads it: {hint}"


def unknown(names: Iterable[str]) -> list[Unknown]:
    """The variables that begin with the prefix and that nobody reads, in order of name; in either case, as they are read."""
    strange = sorted(name for name in names if name.upper().startswith(PREFIX) and name.upper() not in VARIABLES)
    return [Unknown(name, _meant(name.upper().removeprefix(PREFIX))) for name in strange]


def _meant(name: str) -> str | None:
    bare = [variable.removeprefix(PREFIX) for variable in sorted(VARIABLES)]
    found = get_close_matches(name, bare, n=1, cutoff=LIKENESS_MIN)
    return PREFIX + found[0] if found else None
