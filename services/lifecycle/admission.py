"""What lifecycle refuses for good of the facts that the codec takes: a status that no version of the table has."""

from difflib import get_close_matches

from events.codec import Fact, Undecodable
from events.facts import StatusSet
from services.lifecycle.domain.table import Tables


def objection(fact: Fact, tables: Tables, root: str = "$") -> Undecodable | None:
    """Why a fact is refused, if it is. ``root``: the path of its data."""
    if not isinstance(fact.data, StatusSet) or tables.knows(fact.data.status):
        return None
    status = fact.data.status[:200]
    meant = get_close_matches(status, tables.names(), n=1)
    slip = f" (did you mean {meant[0]!r}?)" if meant else ""
    return Undecodable(
        f"{status!r} is a status of no version of the table{slip}; there are {', '.join(tables.names())}", f"{root}.status"
    )
