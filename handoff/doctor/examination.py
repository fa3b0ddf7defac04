"""One examination: facts are gathered side by side, each within its time, and the checks are run on them in order.

In go the settings and this machine's clock; out come the outcomes. Nothing is changed, and what does not run is not missed: checks
that cannot look say why. Nothing dead is waited for longer than 2 s, and all of it takes 5 s at most.
"""

import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final

from kafka.errors import KafkaError
from msgspec import Struct

from events.bus import BusError
from events.bus.database import SQLITE
from events.bus.kafka import KafkaBus
from events.environment import unknown
from events.topics import TOPICS
from events.values import NANOSECONDS
from handoff.broker import KafkaUnavailable
from handoff.broker import ports as loopback
from handoff.broker.java import Java, find_java
from handoff.configuration import effective
from handoff.doctor import listeners, machine, statuses
from handoff.doctor.clock import clock
from handoff.doctor.cluster import Cluster, broker_version, describe
from handoff.doctor.databases import Databases, Files, Schemas
from handoff.doctor.deadline import Asked
from handoff.doctor.finding import Outcome, skipped
from handoff.doctor.home import Home, home, other_kafka
from handoff.doctor.layout import layout, simulated_time
from handoff.doctor.letters import BUG, letters
from handoff.doctor.ports import Port, ports
from handoff.doctor.positions import positions, stores
from handoff.doctor.reference import Published, published, reference
from handoff.doctor.senders import senders
from handoff.doctor.services import Said, hear, services
from handoff.doctor.sockets import listener
from handoff.doctor.stores import Letters, Stored, read
from handoff.settings import SERVICES, ServiceName, Settings, variable
from services.lifecycle.settings import Settings as LifecycleSettings
from services.routing.settings import Settings as RoutingSettings

SERVICE_SECONDS_MAX: Final = 2.0
JAVA_SECONDS_MAX: Final = 2.0
CLUSTER_SECONDS_MAX: Final = 5.0
VERSIONS_SECONDS_MAX: Final = 10.0
"""How much longer a cluster that has described itself may take to tell its rules, directory and status table."""
STORE_SECONDS_MAX: Final = 2.0
SECOND_LOOK_SECONDS: Final = 1.0


class Kafka(Struct, frozen=True):
    """What could be learned of Kafka: None where it does not tell; ``why`` says why."""

    doors: listeners.Doors
    cluster: Cluster | None
    published: Published | None
    tables: statuses.Published | None
    why: str


def examine(settings: Settings, now: Callable[[], float] = time.time) -> list[Outcome]:
    """Look at everything. ``now``: seconds since 1970."""
    java = None if settings.kafka else Asked(_java)
    heard = {name: Asked(partial(hear, settings, name)) for name in SERVICES}
    doors = listeners.knock(settings.bootstrap)
    place = home(settings, doors.met)
    databases = _databases(place)
    found = _stored(databases)  # before the ends of the logs are asked: where records come in, these have moved on by then
    readable = {name: each for name, each in found.items() if not each.problem}
    kafka = _kafka(settings.bootstrap, doors)
    said = {name: _answer(question, settings.url(name)) for name, question in heard.items()}
    return [
        *_this_machine(settings, place, java),
        ports(_ports(settings, kafka, said)),
        *_of_kafka(settings, kafka, place, databases),
        clock(now(), _appended(kafka.cluster), {name: each.ahead for name, each in said.items() if each.ahead is not None}),
        services(said, _second_look(settings, said), expected=place.running, data_dir=str(place.data_dir)),
        stores(found, databases),
        _positions(kafka, readable, place, databases),
        letters({name: _letters(said[name], readable.get(name)) for name in SERVICES if said[name].status or name in readable}),
        senders(_moved(said["lifecycle"])),
        _reference(kafka, running=said["routing"].status is not None),
        statuses.statuses(kafka.tables, said["lifecycle"].status, int(now() * NANOSECONDS)),
    ]


# ------------------------------------------------------------------------------------------ gathering


def _answer(question: Asked[Said], url: str) -> Said:
    try:
        return question.answer(SERVICE_SECONDS_MAX)
    except TimeoutError as error:
        return Said(url=url, why=str(error))


def _second_look(settings: Settings, said: Mapping[ServiceName, Said]) -> dict[ServiceName, Said]:
    """Those that lag, a second later."""
    lagging = [name for name, each in said.items() if each.status and each.status["lag"]]
    if not lagging:
        return {}
    time.sleep(SECOND_LOOK_SECONDS)
    again = {name: Asked(partial(hear, settings, name)) for name in lagging}
    return {name: _answer(question, settings.url(name)) for name, question in again.items()}


def _java() -> Java | str:
    try:
        return find_java()
    except KafkaUnavailable as error:
        return str(error)


def _kafka(bootstrap: str, doors: listeners.Doors) -> Kafka:
    """Where clients can work, ask the cluster."""
    if not doors.usable:
        return Kafka(doors, None, None, None, "no client can work there" if doors.met else "Kafka does not answer")
    deadline = time.monotonic() + CLUSTER_SECONDS_MAX
    cluster, reading = Asked(lambda: describe(bootstrap)), Asked(lambda: _published(bootstrap))
    why, described = "", None
    try:
        described = cluster.answer(deadline - time.monotonic())
        deadline += VERSIONS_SECONDS_MAX
    except (BusError, KafkaError, TimeoutError) as error:
        why = f"Kafka does not tell ({error})"
    try:
        there, tables = reading.answer(max(0.0, deadline - time.monotonic()))
    except (BusError, KafkaError, LookupError, ValueError, TimeoutError):
        there, tables = None, None  # the topics are missing or wrong, which the check of topics tells
    return Kafka(doors, described, there, tables, why)


def _published(bootstrap: str) -> tuple[Published, statuses.Published]:
    bus = KafkaBus(bootstrap, client_id="handoff-doctor")
    try:
        return published(bus), statuses.published(bus)
    finally:
        bus.close()


def _stored(databases: Databases) -> dict[str, Stored]:
    """What the services have written, for those that have."""
    asked: dict[str, Asked[Stored | None]] = {name: Asked(partial(read, databases, name)) for name in SERVICES}
    found: dict[str, Stored] = {}
    for name, question in asked.items():
        try:
            answer = question.answer(STORE_SECONDS_MAX)
        except TimeoutError as error:
            answer = Stored(problem=str(error))
        if answer:
            found[name] = answer
    return found


def _databases(place: Home) -> Databases:
    """The PostgreSQL database, where one is named; else the files."""
    try:
        database = LifecycleSettings().database
    except ValueError:  # which the check of settings tells
        database = SQLITE
    return Files(place.data_dir) if database == SQLITE else Schemas(database)


def _ports(settings: Settings, kafka: Kafka, said: Mapping[ServiceName, Said]) -> list[Port]:
    found = [
        _port(name, settings.port(name), settings.host, ours=(said[name].status or {}).get("service") == name) for name in SERVICES
    ]
    if settings.kafka:
        return found
    return [_port("kafka", settings.kafka_port, loopback.HOST, ours=kafka.doors.met is not None), *found]


def _port(server: str, number: int, host: str, *, ours: bool) -> Port:
    obstacle = loopback.obstacle(number, host)
    owner = listener(number) if obstacle and not ours else None
    return Port(server=server, setting=variable(f"{server}_port"), number=number, obstacle=obstacle, ours=ours, owner=owner)


# -------------------------------------------------------------------------------------------- checks


def _this_machine(settings: Settings, place: Home, java: Asked[Java | str] | None) -> list[Outcome]:
    package = metadata.metadata("handoff")
    problems = {each.setting.name: each.problem for each in effective() if each.problem}
    existing = next(folder for folder in (place.data_dir, *place.data_dir.parents) if folder.exists())
    try:
        answer = java.answer(JAVA_SECONDS_MAX) if java else None
    except TimeoutError as error:
        answer = f"Java does not tell its version: {error}"
    return [
        machine.versions(platform.python_version(), package["Requires-Python"], metadata.requires("handoff") or []),
        machine.environment(unknown(os.environ), problems),
        machine.java(answer),
        machine.disk(place.data_dir, shutil.disk_usage(existing).free, writable=os.access(existing, os.W_OK)),
    ]


def _of_kafka(settings: Settings, kafka: Kafka, place: Home, databases: Databases) -> list[Outcome]:
    bootstrap, expected = settings.bootstrap, bool(settings.kafka) or place.running
    door = listeners.broker(kafka.doors, bootstrap, expected=expected, named=bool(settings.kafka))
    outcomes = [other_kafka(door, settings, place), listeners.advertised(kafka.doors, bootstrap)]
    if kafka.cluster is None:
        return [*outcomes, skipped("kafka", kafka.why), skipped("topics", kafka.why)]
    return [
        *outcomes,
        broker_version(kafka.cluster.version),
        layout(kafka.cluster.topics, settings.partitions, bootstrap, databases),
    ]


def _appended(cluster: Cluster | None) -> dict[str, float]:
    """The newest time that the broker itself wrote, by topic; none where time is simulated."""
    if cluster is None or simulated_time(cluster.topics):
        return {}
    stamped = {topic.name for topic in TOPICS if topic.log_time}
    found: dict[str, float] = {}
    for place, log in cluster.bounds.items():
        if place.topic in stamped and log.newest is not None:
            found[place.topic] = max(found.get(place.topic, 0.0), log.newest / 1000)
    return found


def _positions(kafka: Kafka, found: Mapping[str, Stored], place: Home, databases: Databases) -> Outcome:
    if kafka.cluster is None or place.foreign:
        return skipped("positions", kafka.why or "another Kafka answers")
    if not found:
        return skipped("positions", "no service has written here yet, or none can be read")
    return positions(found, kafka.cluster.bounds, kafka.cluster.identities, databases)


def _letters(said: Said, found: Stored | None) -> Mapping[str, Letters]:
    """Dead letters as the database has them, or else as the service says: it may run on another machine."""
    if found:
        return found.letters
    count = said.status["dead_letters"] if said.status else 0
    return {BUG if "bugs" in said.failing else "": Letters(count, "", said.failing.get("bugs", ""))} if count else {}


def _moved(lifecycle: Said) -> Mapping[str, int] | None:
    if lifecycle.status is None:
        return None
    moved: Mapping[str, int] = lifecycle.status.get("moved", {})
    return moved


def _reference(kafka: Kafka, *, running: bool) -> Outcome:
    try:
        settings = RoutingSettings()
    except ValueError:  # which the check of settings tells
        return skipped("rules", "routing's settings are wrong")
    files: dict[str, Path] = {"rules": settings.rules, "directory": settings.directory}
    return reference(files, kafka.published, routing=running)
