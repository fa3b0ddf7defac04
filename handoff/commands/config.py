"""``handoff config``: every setting, with its value, where that comes from, and what it means."""

import os
from collections.abc import Sequence
from typing import Any, Final

from events.environment import unknown
from handoff.configuration import READERS, Effective, effective
from handoff.console import complain, out, say, say_json, table
from handoff.errors import NOT_WELL
from handoff.options import Json

WIDE: Final = 150
"""Columns from which a setting fits on one line of a terminal."""


def config(as_json: Json = False) -> int:
    """Show every setting of the stack and of the services: value, origin and meaning. Exit code 1 where one is wrong.

    A variable HANDOFF_... that nothing reads is told on standard error, with the one that was probably meant.
    """
    settings, strange = effective(), unknown(os.environ)
    for each in strange:
        complain(f"warning: {each}")
    for wrong in (each for each in settings if each.problem):
        complain(f"{wrong.setting.name}: {wrong.problem}")
    if as_json:
        unread = [{"name": each.name, "meant": each.meant} for each in strange]
        say_json({"settings": [_object(each) for each in settings], "unknown": unread})
    elif out().is_terminal and out().width < WIDE:
        _tell(settings)
    else:
        rows = [
            (each.setting.name, each.value, each.origin, _readers(each.setting.services), each.setting.meaning) for each in settings
        ]
        table(("setting", "value", "origin", "read by", "meaning"), rows)
    return NOT_WELL if any(each.problem for each in settings) else 0


def _object(each: Effective) -> dict[str, Any]:
    setting = each.setting
    return {
        "name": setting.name,
        "value": each.value,
        "default": setting.default,
        "origin": each.origin,
        "read_by": list(setting.services),
        "meaning": setting.meaning,
        "problem": each.problem,
    }


def _tell(settings: Sequence[Effective]) -> None:
    """Two lines for each setting: what is in force, then what it is about. What was set stands out."""
    for each in settings:
        changed = each.origin != "default"
        say(f"{each.setting.name} = {each.value}{'' if changed else ' (default)'}", style="bold" if changed else "")
        say(f"    {each.setting.meaning} Read by {_readers(each.setting.services)}.", style="dim")


def _readers(services: Sequence[str]) -> str:
    return "all" if len(services) == len(READERS) else ", ".join(services)
