"""Criteria on the command line: ``status=New country=DE idle_since=2026-01-01``, as lifecycle's HTTP interface has them."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import typer

from handoff.errors import USAGE, CommandError

LISTS: Final = ("customer_id", "stage", "status", "owner", "country", "source")
"""Criteria of which any of several values may hold."""
OTHERS: Final = (
    *("unowned", "created_from", "created_to", "score_min", "score_max"),
    *("idle_since", "overdue", "follow_up_due", "text"),
)

Criteria = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CRITERION=VALUE]...",
        help=f"Which customers: {', '.join(LISTS)} (each as often as you like: any of them holds), {', '.join(OTHERS)}.",
        show_default=False,
    ),
]


def read_criteria(arguments: Iterable[str] | None) -> Mapping[str, str | list[str]]:
    """The criteria that were typed. Raises ``CommandError``; whether a value makes sense is said by lifecycle."""
    found: dict[str, str | list[str]] = {}
    for argument in arguments or ():
        name, equals, value = argument.partition("=")
        if not equals:
            raise CommandError(f"{argument!r} is no criterion: write for example status=New or country=DE", USAGE)
        if name in LISTS:
            values = found.setdefault(name, [])
            assert isinstance(values, list)
            values.append(value)
        elif name in found:
            raise CommandError(f"{name} is there twice, and only one can hold", USAGE)
        else:
            found[name] = value
    return found
