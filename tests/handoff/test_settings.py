"""Settings: from the environment, from options, and on to the services."""

import pytest
from pydantic import ValidationError

from handoff.errors import USAGE, CommandError
from handoff.settings import Settings, load
from services.forecast.settings import Settings as ForecastSettings
from services.lifecycle.settings import Settings as LifecycleSettings


def complaint(**options: object) -> str:
    with pytest.raises(CommandError) as caught:
        load(**options)
    assert caught.value.code == USAGE
    return str(caught.value)


def test_an_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_KAFKA_PORT", "1111")
    monkeypatch.setenv("HANDOFF_PARTITIONS", "3")
    settings = load(kafka_port=2222, partitions=None)
    assert (settings.kafka_port, settings.partitions) == (2222, 3)
    assert settings.bootstrap == "127.0.0.1:2222"


def test_the_services_get_every_setting_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_KAFKA", "")
    monkeypatch.setenv("HANDOFF_RULES", "rules.yaml")
    monkeypatch.setenv("HANDOFF_DATABASE", "")
    monkeypatch.setenv("UNRELATED", "")
    settings = load(data_dir="here", kafka_port=2222, routing_port=3333)
    environment = settings.environment()
    assert environment["HANDOFF_KAFKA"] == "127.0.0.1:2222"
    assert environment["HANDOFF_DATA_DIR"] == str(settings.data_dir.absolute())
    assert environment["HANDOFF_ROUTING_PORT"] == "3333"
    assert environment["HANDOFF_PARTITIONS"] == "12"
    assert environment["HANDOFF_RULES"] == "rules.yaml"
    assert "HANDOFF_DATABASE" not in environment  # empty means not set, for whoever reads it
    assert environment["UNRELATED"] == ""


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("0.0.0.0", "http://127.0.0.1:81"),
        ("::", "http://[::1]:81"),
        ("box.example", "http://box.example:81"),
    ],
)
def test_where_a_service_is_asked(host: str, url: str) -> None:
    assert Settings(host=host, lifecycle_port=81).url("lifecycle") == url


def test_a_wrong_setting_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_KAFKA_PORT", "many")
    monkeypatch.setenv("HANDOFF_PARTITIONS", "0")
    message = complaint()
    assert "HANDOFF_KAFKA_PORT: Input should be a valid integer" in message
    assert "HANDOFF_PARTITIONS: Input should be greater than or equal to 1" in message
    assert "\n" not in message


def test_a_cluster_that_is_no_address() -> None:
    assert "HANDOFF_KAFKA: " in complaint(kafka="broker")
    assert "'broker' is not host:port" in complaint(kafka="broker")


def test_two_servers_cannot_share_a_port() -> None:
    message = complaint(lifecycle_port=81, kafka_port=81)
    assert message == "HANDOFF_LIFECYCLE_PORT and HANDOFF_KAFKA_PORT are both 81: give each a port of its own"
    assert load(lifecycle_port=81, kafka_port=81, kafka="broker:9092").bootstrap == "broker:9092"  # no Kafka is started then


@pytest.mark.parametrize("port", ["0", "65536", "99999", "\N{SUPERSCRIPT TWO}", "9" * 5_000, "-1", ""])
def test_a_port_is_one_that_there_can_be(port: str) -> None:
    assert "is not host:port" in complaint(kafka=f"localhost:{port}")


@pytest.mark.parametrize("settings", [LifecycleSettings, ForecastSettings])
@pytest.mark.parametrize("zone", ["Europe", "x" * 5_000, "../../etc/passwd", "/etc/passwd", "", " ", "a\nb"])
def test_what_is_no_time_zone_is_told_and_no_fault_of_ours(settings: type[LifecycleSettings | ForecastSettings], zone: str) -> None:
    with pytest.raises(ValidationError, match="is not a time zone such as Europe/Berlin"):
        settings(time_zone=zone)
