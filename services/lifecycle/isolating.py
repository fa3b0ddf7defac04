"""Work on several records together, one of which may be broken: by a bug in the code, or in what is stored. The others go on."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from events.bus import PositionLost
from events.bus.database import TRANSIENT
from events.bus.ledger import Fenced

NO_BUG: Final[tuple[type[Exception], ...]] = (*TRANSIENT, Fenced, PositionLost)

T = TypeVar("T")


def isolated(
    customers: Sequence[str], work: Callable[[Sequence[str]], T], leave: Callable[[str, Exception], object]
) -> Sequence[T]:
    """What comes of the work on all customers, or on halves and quarters of them where it fails; who fails alone is left behind.

    ``leave`` is told of each with the reason. Raises what is no bug, such as a database that does not answer.
    """
    if not customers:
        return ()
    try:
        return (work(customers),)
    except NO_BUG:
        raise
    except Exception as error:
        if len(customers) == 1:
            leave(customers[0], error)
            return ()
    middle = len(customers) // 2
    return (*isolated(customers[:middle], work, leave), *isolated(customers[middle:], work, leave))
