"""The demo's own data directory, made anew for each run: nothing is deleted that a demo did not make, or that is in use."""

import shutil
from pathlib import Path
from typing import Final

from handoff.errors import CommandError
from handoff.stack.folder import OWNER, PROCESSES, claim

KEPT: Final = {OWNER, PROCESSES}
MARK: Final = "DEMO.txt"
"""The file that says that all beside it is a demo's."""
WORDS: Final = "`handoff demo` makes this directory anew each time: everything in it is deleted then.\n"


def make_anew(data_dir: Path) -> None:
    """Delete what a demo before has left there. Raises ``CommandError`` where that is not possible, or not to be done."""
    try:
        found = list(data_dir.iterdir()) if data_dir.exists() else []
    except OSError as error:
        raise _unusable(data_dir, error) from error
    if found and data_dir / MARK not in found:
        raise CommandError(
            f"data directory {data_dir} is made anew for each demo, but holds what no demo has made ({found[0].name}): "
            "move that away, or choose another directory with HANDOFF_DATA_DIR"
        )
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / MARK).write_text(WORDS)
        with claim(data_dir):
            for path in data_dir.iterdir():
                if path.name not in {MARK, *KEPT}:
                    _delete(path)
    except OSError as error:
        raise _unusable(data_dir, error) from error


def refuse_demo(data_dir: Path) -> None:
    """Raise ``CommandError`` where a demo has made the directory: its topics keep simulated time, and the next demo deletes it."""
    if (data_dir / MARK).exists():
        raise CommandError(
            f"data directory {data_dir} was made by `handoff demo`: its topics keep simulated time, and the next demo deletes "
            "everything in it; choose another directory with HANDOFF_DATA_DIR"
        )


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
