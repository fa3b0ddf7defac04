"""How far routing has come: both hops as one."""

from collections.abc import Callable, Sequence

from events.bus.progress import Progress, State

_WORST: Sequence[State] = ("stopped", "retrying", "starting", "running")


def both(hops: Sequence[Callable[[], Progress]]) -> Progress:
    """The progress of all hops together: the worst state, the sum of lags, the longest wait."""
    found = [progress() for progress in hops]
    return Progress(
        state=min((progress.state for progress in found), key=_WORST.index),
        lag=sum(progress.lag for progress in found),
        lag_seconds=max(progress.lag_seconds for progress in found),
        positions={place: offset for progress in found for place, offset in progress.positions.items()},
        unread={place: count for progress in found for place, count in progress.unread.items()},
        pending=sum(progress.pending for progress in found),
        error="; ".join(progress.error for progress in found if progress.error),
        degraded=any(progress.degraded for progress in found),
        rejected=sum(progress.rejected for progress in found),
    )
