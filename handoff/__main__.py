"""``handoff``, also as ``python -m handoff``: the command line, with Ctrl-C heeded from the first moment on."""

import sys

from handoff.errors import INTERRUPTED


def run() -> int:
    """Run the command that was typed. Returns the exit code."""
    try:
        from handoff.cli import main  # noqa: PLC0415 - the imports take half a second, in which Ctrl-C may come

        return main()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(run())
