"""The options that several commands share: settings of the stack, each with its environment variable."""

from pathlib import Path
from typing import Annotated, Any

import typer

from handoff.settings import Settings, variable


def _setting(name: str) -> Any:
    field = Settings.model_fields[name]
    default = "" if field.default is None else f", default {field.default}"
    return typer.Option(help=f"{field.description} ({variable(name)}{default})", rich_help_panel="Settings", show_default=False)


KafkaAddress = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        help=f"Kafka's address, host:port ({variable('kafka')}; else that of the Kafka that `handoff up` starts).",
        rich_help_panel="Settings",
        show_default=False,
    ),
]
"""For the commands that work with a Kafka, and start none."""

DataDir = Annotated[Path | None, _setting("data_dir")]
Kafka = Annotated[str | None, _setting("kafka")]
KafkaPort = Annotated[int | None, _setting("kafka_port")]
LifecyclePort = Annotated[int | None, _setting("lifecycle_port")]
RoutingPort = Annotated[int | None, _setting("routing_port")]
ForecastPort = Annotated[int | None, _setting("forecast_port")]
Partitions = Annotated[int | None, _setting("partitions")]
Replication = Annotated[int | None, _setting("replication")]
Host = Annotated[str | None, _setting("host")]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
