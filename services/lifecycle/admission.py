"""What lifecycle refuses for good of the facts that the codec takes: a status that no version of the table has."""

from events.codec import Fact, Undecodable
from events.facts import StatusSet
from events.files.reading import meant
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
    return Undecodable(unknown_status(fact.data.status, tables), f"{root}.status")


def unknown_status(name: str, tables: Tables) -> str:
    """What is wrong with a status that no version of the table has, and what would be right."""
    known = tables.names()
    return f"{name[:200]!r} is a status of no version of the table{meant(name, known)}; there are {', '.join(known)}"
