"""The services' positions against the logs: a position that its log no longer has, or that is of another topic of that name.

A service stops by itself then and says so in its log; here it is told with the way out, whether or not it runs.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from events.record import TopicPartition
from events.topics import TOPICS
from handoff.doctor.cluster import Bounds
from handoff.doctor.databases import Databases
from handoff.doctor.finding import Finding, Outcome, error, recover, skipped
from handoff.doctor.stores import Stored
from handoff.settings import variable

_FOR_EVER: Final = {topic.name for topic in TOPICS if topic.retention is None}
_UNREAD: Final = "records were deleted unread"
_TAIL: Final = "it lost its tail"
_SECTION: Final = "A position behind the log's start"
_SECTION_REMADE: Final = "A topic, or the cluster, was made again"
_SECTION_FOR_EVER: Final = "Restore a topic"
_NAMED_MAX: Final = 3


def stores(found: Mapping[str, Stored], databases: Databases) -> Outcome:
    """Whether the services' databases can be read."""
    if not found:
        return skipped("stores", f"no service has written to {databases.where} yet")
    findings = tuple(
        error(f"{databases.of(service)} cannot be read ({each.problem})", where=service, fix=databases.mend)
        for service, each in found.items()
        if each.problem
    )
    return Outcome(check="stores", said=f"{', '.join(found)} in {databases.where}", findings=findings)


def positions(
    found: Mapping[str, Stored], bounds: Mapping[TopicPartition, Bounds], identities: Mapping[str, str], databases: Databases
) -> Outcome:
    """Whether each service can go on where it stopped. ``bounds`` are younger than the positions, which move all the time."""
    findings: list[Finding] = []
    for service, each in found.items():
        findings += _remade(service, each, identities, databases)
        same = {
            place: (noted.next, bounds[place])
            for place, noted in sorted(each.positions.items())
            if place in bounds and noted.identity == identities.get(place.topic)
        }
        findings += _lost(service, same, databases)
    count = sum(len(each.positions) for each in found.values())
    return Outcome(check="positions", said=f"{count} logs of {', '.join(found)}", findings=tuple(findings))


def _remade(service: str, each: Stored, identities: Mapping[str, str], databases: Databases) -> Iterator[Finding]:
    """One finding for all topics with the same way out: where one was made again, mostly the whole cluster was."""
    places = {place for place, noted in each.positions.items() if identities.get(place.topic, noted.identity) != noted.identity}
    for topics in _alike(places):
        yield error(
            f"{service} read {_told(topics)} before the topic or the cluster was made again: its positions mean nothing there",
            where=service,
            fix=f"is it the right cluster ({variable('kafka')}) and database ({databases.setting})? If so, "
            + _way_out(service, topics, databases, _SECTION_REMADE),
        )


def _lost(service: str, places: Mapping[TopicPartition, tuple[int, Bounds]], databases: Databases) -> Iterator[Finding]:
    """One finding for each kind of loss and way out: what deleted one log's records mostly deleted those of others too."""
    unread = {place: f"begins at {log.begin}" for place, (following, log) in places.items() if following < log.begin}
    beyond = {place: f"ends at {log.end}" for place, (following, log) in places.items() if following > log.end}
    for lost, why in ((unread, _UNREAD), (beyond, _TAIL)):
        for topics in _alike(lost):
            place, *others = [place for place in lost if place.topic in topics]
            name = f"{place.topic}[{place.partition}]"
            more = f" (and so with {len(others)} more logs)" if others else ""
            yield error(
                f"{service} has read {name} up to {places[place][0]}, and the log {lost[place]}: {why}{more}",
                where=f"{service} {name}",
                fix=_way_out(service, topics, databases, _SECTION),
            )


def _alike(places: Iterable[TopicPartition]) -> Iterable[Collection[str]]:
    """The topics of these logs, by whether they are kept for ever: then what is missing cannot be sent again."""
    groups: defaultdict[bool, set[str]] = defaultdict(set)
    for place in places:
        groups[place.topic in _FOR_EVER].add(place.topic)
    return [sorted(groups[kept]) for kept in sorted(groups)]


def _told(topics: Collection[str]) -> str:
    named, more = list(topics)[:_NAMED_MAX], len(topics) - _NAMED_MAX
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _way_out(service: str, topics: Collection[str], databases: Databases, section: str) -> str:
    """What recover.md says: no database is given up, only the positions in it."""
    forget = databases.forget(service, topics)
    if _FOR_EVER.isdisjoint(topics):
        return (
            f"stop {service} (all workers of it), run `{forget}`, start it, and have the senders send again what it has not read: "
            f"it reads from the beginning, and what it took in before changes nothing ({recover(section)})"
        )
    return (
        f"stop the services, restore {', '.join(topics)} from a copy, with retention.ms=-1, run `{forget}`, and start; "
        f"keep {databases.of(service)}, for what the topic lost may be nowhere else ({recover(_SECTION_FOR_EVER)})"
    )
