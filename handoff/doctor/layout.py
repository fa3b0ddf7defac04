"""The topics as the cluster has them, against :mod:`events.topics`: there or not, partitions, and how records are kept."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from events.bus.kafka.topics import FOR_EVER, configuration
from events.topics import TOPICS, Topic, dead_letters
from handoff.doctor.databases import Databases
from handoff.doctor.finding import Finding, Outcome, error, recover, warning
from handoff.settings import SERVICES, variable

_LETTERS: Final = {dead_letters(service).name: service for service in SERVICES}
_SECTION: Final = "A topic with another number of partitions"
_CHECKED: Final[tuple[str, ...]] = (
    "message.timestamp.type",
    "message.timestamp.after.max.ms",
    "retention.ms",
    "cleanup.policy",
    "max.message.bytes",
)


class Laid(Struct, frozen=True):
    """A topic as it is: how many partitions, and its settings on the broker."""

    partitions: int
    settings: Mapping[str, str]


def layout(found: Mapping[str, Laid], shards: int, bootstrap: str, databases: Databases) -> Outcome:
    """What is wrong with the topics. ``found``: those that exist, by name; ``shards``: HANDOFF_PARTITIONS."""
    simulated = simulated_time(found)
    findings = [*_missing(found, bootstrap), *_counts(found, shards, databases)]
    for topic in TOPICS:
        if topic.name in found:
            findings += _settings(topic, found[topic.name], bootstrap, simulated=simulated)
    there = sum(topic.name in found for topic in TOPICS)
    said = f"{there} of {len(TOPICS)} are there, {shards} partitions each where keyed{', on simulated time' if simulated else ''}"
    return Outcome(check="topics", said=said, findings=tuple(findings))


def simulated_time(found: Mapping[str, Laid]) -> bool:
    """Whether these are the topics of a demo: on every input the writer's own timestamps stand, and nothing expires."""
    inputs = [found[topic.name].settings for topic in TOPICS if topic.log_time and topic.name in found]
    return bool(inputs) and all(
        (each.get("message.timestamp.type"), each.get("retention.ms")) == ("CreateTime", FOR_EVER) for each in inputs
    )


def _missing(found: Mapping[str, Laid], bootstrap: str) -> Iterator[Finding]:
    missing = [topic.name for topic in TOPICS if topic.name not in found]
    if missing:
        named = ", ".join(missing) if len(missing) < len(TOPICS) else "all of them"
        what = f"{len(missing)} topic{'s are' if len(missing) > 1 else ' is'} missing: {named}"
        yield error(what, where=named, fix=f"handoff topics create --kafka {bootstrap}")


def _counts(found: Mapping[str, Laid], shards: int, databases: Databases) -> Iterator[Finding]:
    """One number for all customer-keyed topics, which is the one in the settings; one partition for the others."""
    keyed = [found[topic.name].partitions for topic in TOPICS if topic.keyed and topic.name in found]
    usual = Counter(keyed).most_common(1)[0][0] if keyed else shards
    for topic in TOPICS:
        if topic.name in found and (count := found[topic.name].partitions) != topic.partitions(usual):
            wrong = (
                f"the other customer-keyed topics {usual}: its customers are in other shards"
                if topic.keyed
                else "and needs one: its records have no order among them"
            )
            yield error(
                f"{topic.name} has {count} partitions, {wrong}",
                where=topic.name,
                fix=_way_back(topic, topic.partitions(usual), databases),
            )
    if usual != shards:
        yield error(
            f"the customer-keyed topics have {usual} partitions, and {variable('partitions')} is {shards}",
            where=variable("partitions"),
            fix=f"set {variable('partitions')}={usual}: the number is never changed once there are records",
        )


def _way_back(topic: Topic, wanted: int, databases: Databases) -> str:
    """How a topic gets its number of partitions back: it is copied, but where its records can be had from elsewhere."""
    name, page = topic.name, recover(_SECTION)
    if topic.log_time:
        return (
            f"stop the services and the producers, delete {name}, make it anew with `handoff topics create`, delete its position "
            f"rows with `{databases.forget('lifecycle', [name])}`, start, and have the senders send again what came since the "
            f"topic grew: what was known already changes nothing ({page})"
        )
    if name in _LETTERS:
        service = _LETTERS[name]
        return (
            f"stop {service}, delete {name}, make it anew with `handoff topics create`, and start: "
            f"the letters are in {databases.of(service)} too ({page})"
        )
    return (
        f"stop the services and whoever writes to {name}; what it holds is nowhere else and must be copied to a topic with "
        f"{wanted} partition{'s' if wanted > 1 else ''}, which then takes its place ({page})"
    )


def _settings(topic: Topic, there: Laid, bootstrap: str, *, simulated: bool) -> Iterator[Finding]:
    wanted = configuration(topic, log_time=not simulated)
    checked = [name for name in _CHECKED if name in wanted and name in there.settings]
    wrong = {name: wanted[name] for name in checked if not _enough(name, there.settings[name], wanted[name])}
    if wrong:
        told = ", ".join(f"{name} is {there.settings[name]}, not {value}" for name, value in wrong.items())
        changes = ",".join(f"{name}={value}" for name, value in wrong.items())
        fix = f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --topic {topic.name} --add-config {changes}"
        say = error if _grave(topic, wrong) else warning
        yield say(f"{topic.name}: {told}", where=topic.name, fix=fix)


def _grave(topic: Topic, wrong: Mapping[str, str]) -> bool:
    """Whether records are lost for good, or dated by whoever writes them."""
    kept_for_ever = topic.retention is None and "retention.ms" in wrong
    return kept_for_ever or bool(wrong.keys() & {"message.timestamp.type", "cleanup.policy"})


def _enough(name: str, there: str, wanted: str) -> bool:
    """A record may be larger than asked for, further ahead, and kept longer."""
    if name in ("max.message.bytes", "message.timestamp.after.max.ms"):
        return int(there) >= int(wanted)
    if name == "retention.ms" and wanted != FOR_EVER:
        return there == FOR_EVER or int(there) >= int(wanted)
    return there == wanted
