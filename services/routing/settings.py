"""The settings of routing: environment variables with the prefix ``HANDOFF_``."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.bus.database.setting import SQLITE, checked
from events.topics import PARTITIONS

DEFAULTS: Final = Path(__file__).parent / "defaults"


class Settings(BaseSettings):
    """Every setting that routing reads."""

    model_config = SettingsConfigDict(env_prefix="HANDOFF_", env_ignore_empty=True, extra="ignore")

    kafka: Annotated[str, Field(description="Bootstrap servers, host:port, several separated by commas.")] = "127.0.0.1:9092"
    data_dir: Annotated[Path, Field(description="Where the service keeps its database.")] = Path(".handoff")
    database: Annotated[
        str,
        Field(
            repr=False,  # it may have a password
            description="`sqlite`: a file in the data directory. Or `postgresql://user:password@host:5432/database`, which exists;"
            " the service keeps to a schema `routing` in it, and makes that.",
        ),
    ] = SQLITE
    partitions: Annotated[int, Field(ge=1, le=1000, description="Partitions of every customer-keyed topic; never changed.")] = (
        PARTITIONS
    )
    host: Annotated[str, Field(description="The address that the HTTP server binds to.")] = "127.0.0.1"
    routing_port: Annotated[int, Field(ge=1, le=65535, description="The port of routing's HTTP server.")] = 8082
    rules: Annotated[Path, Field(description="Your rules; looked at every second, published when they change.")] = (
        DEFAULTS / "rules.yaml"
    )
    directory: Annotated[Path, Field(description="Your directory of reps; looked at every second, published when it changes.")] = (
        DEFAULTS / "directory.yaml"
    )
    dead_letter_days: Annotated[
        int, Field(ge=1, le=36_500, description="How many days a dead letter that was replayed or dropped is kept.")
    ] = 30
    instance: Annotated[str, Field(description="The name of this worker: stable over restarts, unique in the group.")] = "1"
    watchdog_seconds: Annotated[float, Field(gt=0, description="The process ends when nothing has moved for so long.")] = 60.0

    @field_validator("database")
    @classmethod
    def _is_database(cls, database: str) -> str:
        return checked(database)
