"""The services' positions against the logs: a position that its log no longer has, or that is of another topic of that name.

A service stops by itself then and says so in its log; here it is told with the way out, whether or not it runs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from events.record import TopicPartition
from handoff.doctor.cluster import Bounds
from handoff.doctor.finding import Finding, Outcome, error, skipped
from handoff.doctor.stores import Stored
from handoff.settings import variable

_ANEW: Final = {
    "forecast": "it is rebuilt from crm.lifecycle.v1, which is kept for ever",
    "routing": "it reads its own requests again, which are kept for ever",
    "lifecycle": "what it took in and the topics no longer have is lost then, so keep the file",
}


def stores(found: Mapping[str, Stored], data_dir: Path) -> Outcome:
    """Whether the services' files can be read."""
    if not found:
        return skipped("stores", f"no service has written to {data_dir} yet")
    findings = tuple(
        error(
            f"{service}'s database {data_dir / f'{service}.sqlite'} cannot be read ({each.problem})",
            where=service,
            fix=f"restore it from a copy, or choose another directory with {variable('data_dir')}",
        )
        for service, each in found.items()
        if each.problem
    )
    return Outcome(check="stores", said=f"{', '.join(found)} in {data_dir}", findings=findings)


def positions(
    found: Mapping[str, Stored], bounds: Mapping[TopicPartition, Bounds], identities: Mapping[str, str], data_dir: Path
) -> Outcome:
    """Whether each service can go on where it stopped. ``bounds`` are younger than the positions, which move all the time."""
    findings: list[Finding] = []
    for service, each in found.items():
        findings += _remade(service, each, identities, data_dir)
        same = {
            place: (noted.next, bounds[place])
            for place, noted in sorted(each.positions.items())
            if place in bounds and noted.identity == identities.get(place.topic)
        }
        findings += _lost(service, same, data_dir)
    count = sum(len(each.positions) for each in found.values())
    return Outcome(check="positions", said=f"{count} logs of {', '.join(found)}", findings=tuple(findings))


def _remade(service: str, each: Stored, identities: Mapping[str, str], data_dir: Path) -> Iterator[Finding]:
    """One finding for all topics of a service: where one was made again, mostly the whole cluster was."""
    remade = sorted(
        {place.topic for place, noted in each.positions.items() if identities.get(place.topic, noted.identity) != noted.identity}
    )
    if remade:
        named = ", ".join(remade[:3]) + (f" and {len(remade) - 3} more" if len(remade) > 3 else "")
        yield error(
            f"{service} read {named} before the topic or the cluster was made again: its positions mean nothing there",
            where=service,
            fix=f"is it the right cluster ({variable('kafka')}) and directory ({variable('data_dir')})? If so, "
            + _anew(service, data_dir),
        )


def _lost(service: str, places: Mapping[TopicPartition, tuple[int, Bounds]], data_dir: Path) -> Iterator[Finding]:
    """One finding for each kind of loss: what deleted one log's records mostly deleted those of others too."""
    unread = {place: f"begins at {log.begin}" for place, (following, log) in places.items() if 0 < following < log.begin}
    beyond = {place: f"ends at {log.end}" for place, (following, log) in places.items() if following > log.end}
    for lost, why in ((unread, "records were deleted unread"), (beyond, "it lost its tail")):
        if lost:
            place, bound = next(iter(lost.items()))
            name = f"{place.topic}[{place.partition}]"
            more = f" (and so with {len(lost) - 1} more logs)" if len(lost) > 1 else ""
            yield error(
                f"{service} has read {name} up to {places[place][0]}, and the log {bound}: {why}{more}",
                where=f"{service} {name}",
                fix=f"restore the topic from a copy; or {_anew(service, data_dir)}",
            )


def _anew(service: str, data_dir: Path) -> str:
    return f"stop {service}, move {data_dir / f'{service}.sqlite'} away (with its -wal and -shm), and start it: {_ANEW[service]}"
