"""Reps from elsewhere, added to the sales force that is there. Pure.

In go all versions of ``crm.directory.v1`` and the reps to add with the instant from which they are there; out come the versions to
publish. A version is always whole: so each of them is the sales force that held at some instant, together with the reps to add: one
from the first instant on, and one for every version that begins later and would hide them. Where they are there already, nothing
is published.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from events.record import Message, Record
from events.reference import Directory, Rep, Version, in_force
from events.topics import DIRECTORY
from events.values import format_instant, parse_instant


def read_versions(records: Iterable[Record]) -> list[Version]:
    """The valid versions on the topic; of those with the same number, the first. The services pass over the others too."""
    versions: dict[int, Version] = {}
    for record in records:
        try:
            version = msgspec.json.decode(record.value or b"", type=Version)
            _content(version)
            parse_instant(version.effective_from)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            continue
        versions.setdefault(version.version, version)
    return list(versions.values())


def additions(versions: Sequence[Version], reps: Sequence[Rep], since: str, author: str) -> list[Version]:
    """The versions that are missing for these reps to be there from an instant (RFC 3339) on, oldest first."""
    begin = parse_instant(since)
    later = {instant for version in versions if (instant := parse_instant(version.effective_from)) > begin}
    number = max((version.version for version in versions), default=0)
    missing = []
    for instant in (begin, *sorted(later)):
        holding = in_force(versions, instant)
        present = _content(holding).reps if holding else ()
        # At the first instant the reps are as they are told here; what operations say of them later stands.
        united = _united(present, reps, told_here=instant == begin)
        if united != present:
            number += 1
            content = Raw(msgspec.json.encode(Directory(reps=united)))
            missing.append(Version(version=number, effective_from=format_instant(instant), author=author, content=content))
    return missing


def message_of(version: Version) -> Message:
    """The record that publishes a version."""
    return Message(
        topic=DIRECTORY.name,
        key=None,
        value=msgspec.json.encode(version),
        headers=(("content-type", b"application/json"),),
        partition=0,
    )


def _united(present: Sequence[Rep], added: Sequence[Rep], *, told_here: bool) -> tuple[Rep, ...]:
    news = {rep.rep_id: rep for rep in added}
    united = [_told(rep, news[rep.rep_id]) if told_here and rep.rep_id in news else rep for rep in present]
    known = {rep.rep_id for rep in present}
    return (*united, *(rep for rep in added if rep.rep_id not in known))


def _told(rep: Rep, news: Rep) -> Rep:
    """A rep with the team and region that are told; what is not told stays as it is."""
    return replace(rep, name=rep.name or news.name, team=news.team or rep.team, region=news.region or rep.region)


def _content(version: Version) -> Directory:
    return msgspec.json.decode(version.content, type=Directory)
