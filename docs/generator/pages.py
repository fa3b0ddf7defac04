"""Which pages there are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from docs.generator import command_line, dead_letters, events, http, limits, metrics, process_map, settings, statuses

FOLDER: Final = Path(__file__).parents[1] / "reference"
_NOTE: Final = "<!-- Made from the code by `make docs`. Change the code, not this page. -->\n\n"


def pages() -> Mapping[str, str]:
    """The text of every page, by file name."""
    made = {
        "events.md": events.page(),
        "settings.md": settings.page(),
        "command-line.md": command_line.page(),
        "http.md": http.page(),
        "limits.md": limits.page(),
        "metrics.md": metrics.page(),
        "dead-letters.md": dead_letters.page(),
        "statuses.md": statuses.page(),
    }
    return {name: _NOTE + text.rstrip() + "\n" for name, text in made.items()} | {"process-map.svg": process_map.svg()}
