"""What lifecycle refuses for good of the facts that the codec takes: a status that no version of the table has."""

from difflib import get_close_matches

from events.codec import Fact, Undecodable
from events.facts import StatusSet
from events.record import Headers
from events.submission import Refused, Submission, examine
from services.lifecycle.domain.table import Tables


def admit(headers: Headers, value: bytes, now: int, tables: Tables) -> Submission | Refused:
    """What becomes of an event that arrives at an instant (nanoseconds since 1970), as the record that it would be."""
    found = examine(headers, value, now)
    if isinstance(found, Refused) or (refused := objection(found.fact, tables, found.root)) is None:
        return found
    return Refused((refused,), found.fact.id, found.fact.source, found.fact.type)


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
