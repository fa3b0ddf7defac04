"""What can be in a broker's way is told in one line that names the thing and the way out."""

import shutil
import socket
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

from events.bus.kafka.network import NetworkClient
from handoff.broker import EmbeddedKafka, KafkaUnavailable, embedded
from tests.faults.disks import NotHere, ground
from tests.ports import free_ports

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def used_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a broker that was stopped, with one record; tests work on copies of it."""
    with EmbeddedKafka(tmp_path_factory.mktemp("used")) as kafka:
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap, kafka_client=NetworkClient)
        admin.create_topics([NewTopic("facts", num_partitions=1, replication_factor=1)])
        admin.close()
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, kafka_client=NetworkClient)
        producer.send("facts", b"kept").get(timeout=10)
        producer.close()
    return kafka.data_dir


@pytest.fixture
def data_dir(used_directory: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(used_directory, tmp_path / "kafka"))


def complaint(kafka: EmbeddedKafka) -> str:
    """What a start of `kafka` fails with; nothing of it may be left running."""
    with pytest.raises(KafkaUnavailable) as caught:
        kafka.start()
    assert not kafka.running
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_busy_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = complaint(EmbeddedKafka(tmp_path, port=port))
    assert f"port {port} " in message
    assert "in use" in message
    assert "HANDOFF_KAFKA_PORT" in message


def test_a_port_of_its_own_that_somebody_took_meanwhile_is_chosen_anew(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        chosen = iter([other.getsockname()[1], *free_ports(1)])
        with EmbeddedKafka(tmp_path, free_ports(1)[0], free_port=lambda: next(chosen)) as kafka:
            assert kafka.ready()
        assert next(chosen, None) is None


def test_a_port_that_is_none(tmp_path: Path) -> None:
    assert "port 99999 " in complaint(EmbeddedKafka(tmp_path, port=99999))


@pytest.mark.parametrize("inside", ["", "below"])
def test_a_file_where_the_data_directory_should_be(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    message = complaint(EmbeddedKafka(tmp_path / "file" / inside))
    assert str(tmp_path / "file") in message
    assert "HANDOFF_DATA_DIR" in message


def test_the_data_directory_of_a_running_broker(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PREDECESSOR_SECONDS_MAX", 1.0)
    with EmbeddedKafka(data_dir) as kafka:
        message = complaint(EmbeddedKafka(data_dir))
        assert f"{data_dir} is in use by another broker (process {kafka.pid})" in message
        assert kafka.ready()


def test_data_of_another_node(data_dir: Path) -> None:
    identity = data_dir / "data" / "meta.properties"
    identity.write_text(identity.read_text().replace("node.id=1", "node.id=7"))
    kafka = EmbeddedKafka(data_dir)
    message = complaint(kafka)
    assert "Stored node id 7 doesn't match previous node id 1" in message  # Kafka's own reason
    assert str(kafka.log_file) in message


@pytest.mark.parametrize("damage", ["absent", "overwritten"])
def test_metadata_that_no_longer_knows_the_topics(data_dir: Path, damage: str) -> None:
    metadata = data_dir / "data" / "__cluster_metadata-0"
    if damage == "absent":
        shutil.rmtree(metadata)
    else:
        for segment in metadata.glob("*.log"):
            segment.write_bytes(b"\x7f" * segment.stat().st_size)
    message = complaint(EmbeddedKafka(data_dir))
    assert f"{data_dir / 'data'} is damaged" in message
    assert "facts-0" in message
    assert complaint(EmbeddedKafka(data_dir)).startswith(f"Kafka's data in {data_dir / 'data'} is damaged")


def test_properties_that_kafka_refuses(tmp_path: Path) -> None:
    message = complaint(EmbeddedKafka(tmp_path, properties={"num.io.threads": "many"}))
    assert "Invalid value many for configuration num.io.threads" in message


def test_a_disk_that_is_full() -> None:
    """Whatever fails first, and whether there is space to say so in its log."""
    with ground() as place:
        try:
            disk = place.disk("kafka")
        except NotHere as reason:
            pytest.skip(str(reason))
        kafka = EmbeddedKafka(disk.folder / "kafka")
        with kafka:
            pass
        with disk.full():
            message = complaint(kafka)
        assert "the disk is full" in message
        with kafka:
            assert kafka.ready()


def test_a_log_that_has_grown_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "broker.log"
    log.write_bytes(b"ERROR of long ago\n" * 300_000)
    message = complaint(EmbeddedKafka(tmp_path, properties={"num.io.threads": "many"}))
    assert "long ago" not in message
    assert log.stat().st_size < 100_000
    assert (tmp_path / "broker.log.1").stat().st_size == 18 * 300_000
