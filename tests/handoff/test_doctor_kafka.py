"""``handoff doctor`` on a real Kafka: layout, advertised listener, positions, clocks, versions in force. Each trouble is caused."""

import shlex
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient
from kafka.admin import NewTopic as Wanted
from kafka.structs import TopicPartition as Place

from events.bus.kafka import KafkaBus, create_topics
from events.bus.kafka.network import NetworkClient
from events.bus.kafka.topics import configuration
from events.bus.ledger import Ledger
from events.record import Message, Record, TopicPartition
from events.topics import DIRECTORY, LEAD, LIFECYCLE, ORDER, QUOTE, STATUS_TABLE, TOPICS
from handoff.broker import EmbeddedKafka
from handoff.doctor import Outcome, examine
from handoff.settings import load
from services.forecast.store import Store
from services.routing.publication import Reference
from tests.ports import free_port

from .examined import checked, only

__all__ = ["checked"]  # a fixture

pytestmark = pytest.mark.kafka

SHARDS = 2
LOG = TopicPartition(LIFECYCLE.name, 0)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker whose topics have their real names, and are spoilt."""
    with EmbeddedKafka(tmp_path_factory.mktemp("doctor") / "kafka") as running:
        yield running


@pytest.fixture
def admin(broker: EmbeddedKafka) -> Iterator[Any]:
    client = KafkaAdminClient(bootstrap_servers=broker.bootstrap, kafka_client=NetworkClient)
    yield client
    client.close()


@pytest.fixture
def cluster(
    broker: EmbeddedKafka, admin: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, eventually: Callable[..., None]
) -> EmbeddedKafka:
    """The broker without any topics, named by the settings."""
    names = {topic.name for topic in TOPICS}
    if there := sorted(names & set(admin.list_topics())):
        admin.delete_topics(there)
        eventually(lambda: not names & set(admin.list_topics()))
    monkeypatch.setenv("HANDOFF_KAFKA", broker.bootstrap)
    monkeypatch.setenv("HANDOFF_PARTITIONS", str(SHARDS))
    monkeypatch.setenv("HANDOFF_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return broker


def publish(bootstrap: str, topic: str, count: int = 1) -> None:
    bus = KafkaBus(bootstrap, client_id="test")
    producer = bus.producer()
    message = Message(topic=topic, key=b"c", value=b"{}", headers=(), partition=0)
    producer.send([message] * count).wait(10)
    producer.close()
    bus.close()


# --------------------------------------------------------------------------------------------- layout


def test_a_cluster_that_is_right(cluster: EmbeddedKafka, checked: Callable[..., Any]) -> None:
    create_topics(cluster.bootstrap, SHARDS)
    topics = checked("topics", well=True)
    assert topics["findings"] == []
    assert topics["said"] == f"{len(TOPICS)} of {len(TOPICS)} are there, 2 partitions each where keyed"
    assert "answered in" in checked("broker", well=True)["said"]
    assert checked("listener", well=True)["said"] == f"clients are sent to {cluster.bootstrap}"
    assert checked("kafka", well=True)["said"].startswith("speaks the protocol of 4.")


def test_a_cluster_without_topics(cluster: EmbeddedKafka, checked: Callable[..., Any], handoff: Callable[..., Any]) -> None:
    severity, what, fix = only(checked("topics", well=False))
    assert (severity, what) == ("error", f"{len(TOPICS)} topics are missing: all of them")
    assert handoff(*fix.removeprefix("handoff ").split()).code == 0  # the fix is a command, and it works
    assert not checked("topics", well=True)["findings"]


def test_topics_that_are_laid_out_wrongly(cluster: EmbeddedKafka, admin: Any, checked: Callable[..., Any]) -> None:
    partitions = {ORDER.name: 3, DIRECTORY.name: 2}
    spoilt = {
        LEAD.name: {"message.timestamp.type": "CreateTime"},
        LIFECYCLE.name: {"retention.ms": "1000"},
        "crm.assignment.v1": {"cleanup.policy": "compact"},
        "crm.activity.v1": {"retention.ms": "86400000"},
        "routing.request.v1": {"max.message.bytes": "1000"},
        "forecast.dead-letter.v1": {"message.timestamp.after.max.ms": "3600000"},
    }
    wanted = [
        Wanted(
            topic.name,
            num_partitions=partitions.get(topic.name, topic.partitions(SHARDS)),
            replication_factor=1,
            topic_configs={**configuration(topic, log_time=True), **spoilt.get(topic.name, {})},
        )
        for topic in TOPICS
        if topic != QUOTE
    ]
    admin.create_topics(wanted, wait_for_metadata=True)
    found = {each["where"]: each for each in checked("topics", well=False)["findings"]}
    assert set(found) == {QUOTE.name, ORDER.name, DIRECTORY.name, *spoilt}
    assert found[QUOTE.name]["what"] == f"1 topic is missing: {QUOTE.name}"
    assert found[ORDER.name]["what"].startswith("crm.order.v1 has 3 partitions, the other customer-keyed topics 2")
    assert found[DIRECTORY.name]["what"].startswith("crm.directory.v1 has 2 partitions, and needs one")
    assert found[LEAD.name]["what"] == "crm.lead.v1: message.timestamp.type is CreateTime, not LogAppendTime"
    assert found[LIFECYCLE.name]["fix"] == (
        f"kafka-configs.sh --bootstrap-server {cluster.bootstrap} --alter --topic crm.lifecycle.v1 --add-config retention.ms=-1"
    )
    severities = {name: each["severity"] for name, each in found.items()}
    assert {name for name, severity in severities.items() if severity == "warning"} == {
        "crm.activity.v1",
        "routing.request.v1",
        "forecast.dead-letter.v1",
    }


def test_another_number_of_partitions_than_the_settings_say(
    cluster: EmbeddedKafka, checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics(cluster.bootstrap, SHARDS)
    monkeypatch.setenv("HANDOFF_PARTITIONS", "12")
    severity, what, fix = only(checked("topics", well=False))
    assert (severity, what) == ("error", "the customer-keyed topics have 2 partitions, and HANDOFF_PARTITIONS is 12")
    assert fix.startswith("set HANDOFF_PARTITIONS=2")


# ------------------------------------------------------------------------------------------- listener


@pytest.mark.parametrize("host", ["127.0.0.1", "kafka.invalid"])
def test_an_advertised_listener_that_nobody_reaches(
    tmp_path: Path, checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    address = f"{host}:{free_port()}"
    with EmbeddedKafka(tmp_path / "kafka", properties={"advertised.listeners": f"BROKER://{address}"}) as broker:
        monkeypatch.setenv("HANDOFF_KAFKA", broker.bootstrap)
        severity, what, fix = only(checked("listener", well=False))
        assert not checked("topics", well=False)["looked"]
    assert severity == "error"
    assert what.startswith(f"Kafka answers at {broker.bootstrap}, but sends its clients to {address}, which does not (")
    assert "advertised.listeners" in fix


def test_an_advertised_listener_of_another_cluster(
    cluster: EmbeddedKafka, tmp_path: Path, checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = {"advertised.listeners": f"BROKER://{cluster.bootstrap}"}
    with EmbeddedKafka(tmp_path / "kafka", properties=properties) as broker:
        monkeypatch.setenv("HANDOFF_KAFKA", broker.bootstrap)
        assert f"but sends its clients to {cluster.bootstrap}, which is " in only(checked("listener", well=False))[1]


def test_one_of_two_bootstrap_servers_is_away(
    cluster: EmbeddedKafka, checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics(cluster.bootstrap, SHARDS)
    monkeypatch.setenv("HANDOFF_KAFKA", f"127.0.0.1:1,{cluster.bootstrap}")
    severity, what, _ = only(checked("broker", well=True))
    assert (severity, what) == ("warning", "this bootstrap server does not answer (Connection refused); another one does")


def test_another_kafka_on_our_port(cluster: EmbeddedKafka, checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    create_topics(cluster.bootstrap, SHARDS)
    monkeypatch.delenv("HANDOFF_KAFKA")
    monkeypatch.setenv("HANDOFF_KAFKA_PORT", str(cluster.port))
    severity, what, fix = only(checked("broker", well=False))
    assert severity == "error"
    assert f"what answers at {cluster.bootstrap} is not the Kafka of " in what
    assert f"HANDOFF_KAFKA={cluster.bootstrap}" in fix


# ------------------------------------------------------------------------------------------ positions


def read_up_to(cluster: EmbeddedKafka, data_dir: Path, offset: int, identity: str | None = None) -> None:
    """Have forecast's database say that it has read the log up to an offset."""
    bus = KafkaBus(cluster.bootstrap, client_id="test")
    store = Store(data_dir / "forecast.sqlite")
    topic = bus.identity if identity is None else lambda name: identity
    ledger = Ledger(store.begin, service="forecast", code_version="test", identity=topic)
    ledger.claim([LOG])
    with ledger.transaction([Record(*LOG, offset - 1, 0, b"c", b"{}", ())]):
        pass
    store.close()
    bus.close()


def test_a_position_behind_the_logs_start(cluster: EmbeddedKafka, admin: Any, checked: Callable[..., Any], tmp_path: Path) -> None:
    create_topics(cluster.bootstrap, SHARDS)
    publish(cluster.bootstrap, LOG.topic, 10)
    read_up_to(cluster, tmp_path / "data", 4)
    assert not checked("positions", well=True)["findings"]
    admin.delete_records({Place(*LOG): 9})
    severity, what, fix = only(checked("positions", well=False))
    assert severity == "error"
    assert what == "forecast has read crm.lifecycle.v1[0] up to 4, and the log begins at 9: records were deleted unread"
    file = tmp_path / "data" / "forecast.sqlite"
    assert "restore crm.lifecycle.v1 from a copy" in fix
    assert f"keep forecast's database {file}" in fix
    program, named, statement = shlex.split(fix.split("`")[1])
    assert (program, named) == ("sqlite3", str(file))
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement)
    assert not checked("positions", well=True)["findings"]


def test_a_log_that_lost_its_tail(cluster: EmbeddedKafka, checked: Callable[..., Any], tmp_path: Path) -> None:
    create_topics(cluster.bootstrap, SHARDS)
    publish(cluster.bootstrap, LOG.topic, 3)
    read_up_to(cluster, tmp_path / "data", 8)
    assert only(checked("positions", well=False))[1].endswith("up to 8, and the log ends at 3: it lost its tail")


def test_a_cluster_that_was_made_again(cluster: EmbeddedKafka, checked: Callable[..., Any], tmp_path: Path) -> None:
    create_topics(cluster.bootstrap, SHARDS)
    read_up_to(cluster, tmp_path / "data", 1, identity="another/cluster")
    severity, what, fix = only(checked("positions", well=False))
    assert severity == "error"
    assert what.startswith("forecast read crm.lifecycle.v1 before the topic or the cluster was made again")
    assert "HANDOFF_KAFKA" in fix


# ---------------------------------------------------------------------------------------------- clock


def of(outcomes: list[Outcome], check: str) -> list[tuple[str, str]]:
    return [(each.severity, each.what) for outcome in outcomes if outcome.check == check for each in outcome.findings]


def test_clocks_that_differ_from_the_brokers(cluster: EmbeddedKafka) -> None:
    create_topics(cluster.bootstrap, SHARDS)
    publish(cluster.bootstrap, LEAD.name)
    assert of(examine(load()), "clock") == []
    ((severity, what),) = of(examine(load(), now=lambda: time.time() - 60), "clock")
    assert severity == "warning"
    assert what.endswith("s ahead of this machine's when it wrote on crm.lead.v1")
    ((severity, what),) = of(examine(load(), now=lambda: time.time() - 7300), "clock")
    assert severity == "error"
    assert "2.0 h ahead" in what


# ---------------------------------------------------------------------------------------------- rules


@pytest.fixture
def in_force(cluster: EmbeddedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Publishes a directory and rules, as routing does with its files, and names the files in the settings."""
    create_topics(cluster.bootstrap, SHARDS)

    def publish_files(directory: str, rules: str) -> None:
        for name, text in (("directory", directory), ("rules", rules)):
            (tmp_path / f"{name}.yaml").write_text(text)
            monkeypatch.setenv(f"HANDOFF_{name.upper()}", str(tmp_path / f"{name}.yaml"))
        bus = KafkaBus(cluster.bootstrap, client_id="test")
        paths = {"rules": tmp_path / "rules.yaml", "directory": tmp_path / "directory.yaml"}
        Reference(bus, **paths, clock=time.time_ns).refresh()
        bus.close()

    return publish_files


RULES = "pools:\n  west: [anna, ben]\nterritories:\n  - {name: All, pool: west}\ndefault: {target: unassigned}\n"


def test_files_that_are_in_force_and_one_that_was_changed_since(
    in_force: Callable[[str, str], None], checked: Callable[..., Any], tmp_path: Path
) -> None:
    in_force("reps: [{rep_id: anna}, {rep_id: ben}]\n", RULES)
    rules = checked("rules", well=True)
    assert (rules["said"], rules["findings"]) == ("rules v1 and directory v1 are in force", [])
    (tmp_path / "rules.yaml").write_text(RULES + "# changed\n")
    severity, what, fix = only(checked("rules", well=True))
    assert (severity, what) == ("warning", f"{tmp_path / 'rules.yaml'} was changed, and is not in force")
    assert fix.startswith("start `handoff up`")


def test_rules_may_name_whom_the_next_directory_brings(
    in_force: Callable[[str, str], None], checked: Callable[..., Any], tmp_path: Path
) -> None:
    in_force("reps: [{rep_id: anna}, {rep_id: ben}]\n", RULES)
    (tmp_path / "directory.yaml").write_text("reps: [{rep_id: anna}, {rep_id: ben}, {rep_id: carl}]\n")
    (tmp_path / "rules.yaml").write_text(RULES.replace("ben]", "ben, carl, dora]"))
    found = {each["where"]: each["what"] for each in checked("rules", well=False)["findings"]}
    assert found[str(tmp_path / "directory.yaml")].endswith("was changed, and is not in force")
    assert "'dora' is not in directory v2" in found[str(tmp_path / "rules.yaml")]


def test_a_pool_without_an_active_rep(in_force: Callable[[str, str], None], checked: Callable[..., Any]) -> None:
    in_force("reps: [{rep_id: anna}, {rep_id: ben}]\n", RULES)
    in_force("reps: [{rep_id: anna}, {rep_id: ben, active: false}]\n", RULES)
    assert only(checked("rules", well=True))[:2] == ("warning", "pool 'west': in directory v2, ben is not active")
    in_force("reps: [{rep_id: carl}, {rep_id: ben, active: false}]\n", RULES)
    found = checked("rules", well=False)["findings"]
    assert "pool 'west' has nobody who could take a record: in directory v3, anna is not there, ben is not active" in [
        each["what"] for each in found
    ]
    assert any("'anna' is not in directory v3" in each["what"] for each in found)  # the file cannot be taken over either


def test_the_status_table_in_force_and_a_record_that_is_none(cluster: EmbeddedKafka, checked: Callable[..., Any]) -> None:
    create_topics(cluster.bootstrap, SHARDS)
    assert checked("statuses", well=True)["said"] == "the built-in version is in force"
    publish(cluster.bootstrap, STATUS_TABLE.name)
    severity, what, fix = only(checked("statuses", well=False))
    assert (severity, "lifecycle.status-table.v1 at 0 is not a valid version" in what) == ("error", True)
    assert "`handoff statuses publish FILE`" in fix


def test_a_record_that_is_no_version(
    in_force: Callable[[str, str], None], checked: Callable[..., Any], cluster: EmbeddedKafka
) -> None:
    in_force("reps: [{rep_id: anna}, {rep_id: ben}]\n", RULES)
    publish(cluster.bootstrap, "routing.rules.v1")
    assert "routing.rules.v1 at 1 is not a valid version" in only(checked("rules", well=False))[1]
