"""How a command ends that cannot do what it was asked for: one line for the user, and an exit code."""

from typing import Final

NOT_WELL: Final = 1
"""The question was answered, and the answer is not good: a service is down, a customer does not exist, rows were rejected."""
USAGE: Final = 2
"""The command was called wrongly, or something around it (a setting, a port, Kafka) does not allow it."""
INTERRUPTED: Final = 130
"""What a shell makes of a command that Ctrl-C ended."""


class CommandError(Exception):
    """The message is one line that names the thing, the place and the way out; ``code`` is the exit code."""

    def __init__(self, message: str, code: int = USAGE) -> None:
        super().__init__(message)
        self.code = code
