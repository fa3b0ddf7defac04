"""The demo's own data directory, made anew for each run: nothing is deleted that a demo did not make, or that is in use."""

import shutil
from pathlib import Path
from typing import Final

from handoff.errors import CommandError
from handoff.settings import SERVICES
from handoff.stack.folder import OWNER, PROCESSES, claim

LOCKS: Final = {OWNER, PROCESSES}
MADE: Final = ("kafka", "logs", *(f"{service}.sqlite" for service in SERVICES))
"""How the names begin of all that a stack makes."""


def make_anew(data_dir: Path) -> None:
    """Delete what a demo before has left there. Raises ``CommandError`` where that is not possible, or not to be done."""
    try:
        found = list(data_dir.iterdir()) if data_dir.exists() else []
    except OSError as error:
        raise _unusable(data_dir, error) from error
    strange = sorted(path.name for path in found if path.name not in LOCKS and not path.name.startswith(MADE))
    if strange:
        raise CommandError(
            f"data directory {data_dir} is made anew for each demo, but holds what no demo has made ({', '.join(strange[:3])}): "
            "move that away, or choose another directory with HANDOFF_DATA_DIR"
        )
    if not found:
        return
    with claim(data_dir):
        try:
            for path in data_dir.iterdir():
                if path.name not in LOCKS:
                    _delete(path)
        except OSError as error:
            raise _unusable(data_dir, error) from error


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _unusable(data_dir: Path, error: OSError) -> CommandError:
    return CommandError(
        f"data directory {data_dir} cannot be made anew ({error.strerror}: {error.filename}): "
        "repair it, or choose another directory with HANDOFF_DATA_DIR"
    )
