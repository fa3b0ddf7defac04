"""The settings of the one-machine stack, and how its services get them.

In go environment variables with the prefix ``HANDOFF_`` and, above them, options of the command line; out come checked values, and
the environment that the services start with. A setting that only a service reads passes through untouched: the service checks it.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.bus.kafka.clients import addresses
from events.topics import PARTITIONS
from handoff.errors import CommandError

PREFIX: Final = "HANDOFF_"

ServiceName = Literal["lifecycle", "routing", "forecast"]
SERVICES: Final[tuple[ServiceName, ...]] = get_args(ServiceName)
"""The services, in the order in which customers pass through them."""

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """What the stack and the commands around it are told."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    data_dir: Annotated[Path, Field(description="Where Kafka, the services and their logs keep everything.")] = Path(".handoff")
    kafka: Annotated[str | None, Field(description="An existing cluster, host:port; without it one is started.")] = None
    kafka_port: Annotated[Port, Field(description="The port of the Kafka that is started.")] = 9092
    lifecycle_port: Annotated[Port, Field(description="The port of lifecycle's HTTP server.")] = 8081
    routing_port: Annotated[Port, Field(description="The port of routing's HTTP server.")] = 8082
    forecast_port: Annotated[Port, Field(description="The port of forecast's HTTP server.")] = 8083
    partitions: Annotated[int, Field(ge=1, le=1000, description="Partitions of every customer-keyed topic; never changed.")] = (
        PARTITIONS
    )
    replication: Annotated[
        int, Field(ge=1, le=100, description="Copies of every topic created on an existing cluster; 3 where brokers may fail.")
    ] = 1
    host: Annotated[str, Field(description="The address that the services bind to.")] = "127.0.0.1"

    @field_validator("kafka")
    @classmethod
    def _is_addresses(cls, bootstrap: str | None) -> str | None:
        if bootstrap is not None:
            addresses(bootstrap)
        return bootstrap

    @property
    def bootstrap(self) -> str:
        """Where Kafka is: the cluster that was named, or the one that the stack starts."""
        return self.kafka or f"127.0.0.1:{self.kafka_port}"

    def port(self, service: ServiceName) -> int:
        """The port of a service's HTTP server."""
        ports: dict[ServiceName, int] = {
            "lifecycle": self.lifecycle_port,
            "routing": self.routing_port,
            "forecast": self.forecast_port,
        }
        return ports[service]

    def url(self, service: ServiceName) -> str:
        """Where a service answers, as seen from this machine."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - recognised, not bound to
        host = everywhere.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port(service)}"

    def environment(self) -> dict[str, str]:
        """The environment of the services: this process's own, with every setting of the stack resolved."""
        inherited = {name: value for name, value in os.environ.items() if value or not name.startswith(PREFIX)}
        resolved = {
            "kafka": self.bootstrap,
            "data_dir": self.data_dir.absolute(),
            "partitions": self.partitions,
            "host": self.host,
            **{f"{service}_port": self.port(service) for service in SERVICES},
        }
        return {**inherited, **{variable(name): str(value) for name, value in resolved.items()}}


def variable(setting: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{setting.upper()}"


def load(**options: Any) -> Settings:
    """The settings; an option that is not None goes before the environment. Raises ``CommandError`` for what is wrong."""
    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        wrong = [f"{variable(str(each['loc'][0]))}: {each['msg'].removeprefix('Value error, ')}" for each in error.errors()]
        raise CommandError("; ".join(wrong)) from None
    _check_ports(settings)
    return settings


def _check_ports(settings: Settings) -> None:
    """Four servers need four ports."""
    names = [f"{service}_port" for service in SERVICES] + ([] if settings.kafka else ["kafka_port"])
    taken: dict[int, str] = {}
    for name in names:
        port = getattr(settings, name)
        if port in taken:
            raise CommandError(f"{variable(taken[port])} and {variable(name)} are both {port}: give each a port of its own")
        taken[port] = name
