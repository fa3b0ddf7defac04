"""When a process that died is started again, and when that is given up. Pure: the times come from the caller.

The first death is answered almost at once; those that follow soon after it wait twice as long each. A process that dies again and
again is broken, and starting it for ever would only hide that.
"""

from collections import deque
from typing import Final

PAUSE_SECONDS_MIN: Final = 0.2
PAUSE_SECONDS_MAX: Final = 5.0
DEATHS_MAX: Final = 5
WINDOW_SECONDS: Final = 60.0


class Revival:
    """The recent deaths of one process."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque()

    def died(self, now: float) -> float | None:
        """Note a death: the seconds until the next start, or None when this was the last one (5 within 60 s)."""
        self._deaths.append(now)
        while self._deaths[0] < now - WINDOW_SECONDS:
            self._deaths.popleft()
        recent = len(self._deaths)
        return None if recent >= DEATHS_MAX else min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2.0 ** (recent - 1))
