"""docker-compose.yml as far as it can be judged without an engine: each name leads somewhere, nothing is open to the network."""

import importlib.util
from typing import Any

import pytest

from events.environment import VARIABLES
from handoff.broker.pins import VERSION
from handoff.broker.server_properties import FIXED
from handoff.settings import SERVICES, Settings
from services.routing.transport import EXIT_SECONDS_MAX

from .composition import ROOT, compose, defaults, environment, instructions

STACK = compose()
CONTAINERS: dict[str, dict[str, Any]] = STACK["services"]
OURS = {name: each for name, each in CONTAINERS.items() if name != "kafka"}


def listeners(setting: str) -> dict[str, str]:
    return dict(each.split("://") for each in environment(CONTAINERS["kafka"])[setting].split(","))


def test_it_runs_kafka_its_topics_and_the_three_services() -> None:
    assert set(CONTAINERS) == {"kafka", "topics", *SERVICES}
    assert STACK["name"] == "handoff"
    assert "version" not in STACK  # obsolete, and warned about


@pytest.mark.parametrize("name", CONTAINERS)
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    for port in CONTAINERS[name].get("ports", []):
        address, published, target = port.split(":")
        assert address == "127.0.0.1"
        assert published == target, "the defaults are those of `handoff up`"


def test_images_are_pinned_and_kafka_is_the_one_that_the_tests_run() -> None:
    assert CONTAINERS["kafka"]["image"] == f"apache/kafka:{VERSION}"
    assert {each["image"] for each in OURS.values()} == {"handoff:local"}
    for each in OURS.values():
        assert each["build"] == {"context": ".", "dockerfile": "deploy/Dockerfile"}
        assert (ROOT / each["build"]["dockerfile"]).is_file()


def test_whoever_is_waited_for_exists_and_can_be_waited_for() -> None:
    for name, each in CONTAINERS.items():
        for other, wait in each.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in CONTAINERS[other], f"{name} waits for ever for {other}"
            else:
                assert wait["condition"] == "service_completed_successfully"
                assert CONTAINERS[other]["restart"] == "no", f"{other} never completes"
    for service in SERVICES:
        assert set(CONTAINERS[service]["depends_on"]) == {"kafka", "topics"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_runs_answers_and_is_probed_at_one_port(service: str) -> None:
    each = CONTAINERS[service]
    python, flag, module = each["command"]
    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(f"{module}.__main__"), module
    port = str(Settings.model_fields[f"{service}_port"].default)
    assert f"HANDOFF_{service.upper()}_PORT" not in each["environment"], "inside, the port is the default"
    assert [published.rpartition(":")[2] for published in each["ports"]] == [port]
    assert each["healthcheck"]["test"] == ["CMD", "python", "/opt/handoff/healthcheck.py", port]
    assert environment(each)["HANDOFF_HOST"] == "0.0.0.0"  # or nothing reaches it
    assert int(each["stop_grace_period"].removesuffix("s")) > EXIT_SECONDS_MAX


def test_every_variable_is_one_that_somebody_reads() -> None:
    named = {name for each in OURS.values() for name in each["environment"]} | {name for name, _ in defaults()}
    assert named <= VARIABLES
    assert named >= {"HANDOFF_KAFKA", "HANDOFF_PARTITIONS", "HANDOFF_KAFKA_PORT"}


def test_topics_and_services_agree_about_the_partitions() -> None:
    assert {environment(each)["HANDOFF_PARTITIONS"] for each in OURS.values()} == {"12"}
    changed = compose({"HANDOFF_PARTITIONS": "3"})["services"]
    assert {environment(changed[name])["HANDOFF_PARTITIONS"] for name in OURS} == {"3"}


def test_the_example_of_settings_names_the_defaults() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    assert {(name, value) for name, value in pairs} == defaults()
    commented = {line.removeprefix("# ").split("=")[0] for line in lines if line.startswith("# HANDOFF_")}
    assert commented <= {name for name, value in CONTAINERS["forecast"]["environment"].items() if value is None}


def test_kafka_sends_containers_and_the_host_each_to_an_address_that_reaches_it() -> None:
    told, heard = listeners("KAFKA_ADVERTISED_LISTENERS"), listeners("KAFKA_LISTENERS")
    assert told == {"CONTAINERS": "kafka:19092", "HOST": "127.0.0.1:9092"}
    assert heard == {"CONTAINERS": ":19092", "HOST": ":9092", "CONTROLLER": ":29093"}
    assert {environment(each)["HANDOFF_KAFKA"] for each in OURS.values()} == {told["CONTAINERS"]}
    assert CONTAINERS["kafka"]["ports"] == ["127.0.0.1:9092:9092"]
    moved = compose({"HANDOFF_KAFKA_PORT": "9192"})["services"]["kafka"]
    assert moved["ports"] == ["127.0.0.1:9192:9092"]
    assert environment(moved)["KAFKA_ADVERTISED_LISTENERS"].endswith("HOST://127.0.0.1:9192")
    protocols = environment(CONTAINERS["kafka"])["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    assert {each.split(":")[0] for each in protocols} == set(heard)


def test_kafka_is_set_up_as_the_one_of_this_machine() -> None:
    """What changes how Handoff behaves; memory and threads may differ."""
    container = environment(CONTAINERS["kafka"])
    for name in (
        "auto.create.topics.enable",
        "log.retention.ms",
        "message.max.bytes",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr",
        "share.coordinator.state.topic.replication.factor",
        "share.coordinator.state.topic.min.isr",
        "group.initial.rebalance.delay.ms",
        "group.min.session.timeout.ms",
        "process.roles",
        "node.id",
    ):
        assert container[f"KAFKA_{name.replace('.', '_').upper()}"] == FIXED[name], name


def test_every_store_is_a_volume_of_one_container() -> None:
    mounts = {name: [volume.split(":")[0] for volume in each.get("volumes", [])] for name, each in CONTAINERS.items()}
    assert mounts == {"kafka": ["kafka"], "topics": [], **{service: [service] for service in SERVICES}}
    assert set(STACK["volumes"]) == {"kafka", *SERVICES}
    for service in SERVICES:
        (volume,) = CONTAINERS[service]["volumes"]
        assert volume.split(":")[1] == environment(CONTAINERS[service])["HANDOFF_DATA_DIR"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_may_do_little(name: str) -> None:
    each = OURS[name]
    assert each["read_only"] is True
    assert each["tmpfs"] == ["/tmp"]
    assert each["cap_drop"] == ["ALL"]
    assert each["security_opt"] == ["no-new-privileges:true"]
    assert each["init"] is True
    (user,) = [instruction.rest for instruction in instructions() if instruction.name == "USER"]
    assert user == "10001:10001"
