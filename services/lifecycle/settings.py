"""The settings of lifecycle: environment variables with the prefix ``HANDOFF_``."""

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.bus.database.setting import SQLITE, checked
from events.topics import PARTITIONS


class Settings(BaseSettings):
    """Every setting that lifecycle reads."""

    model_config = SettingsConfigDict(env_prefix="HANDOFF_", env_ignore_empty=True, extra="ignore")

    kafka: Annotated[str, Field(description="Bootstrap servers, host:port, several separated by commas.")] = "127.0.0.1:9092"
    data_dir: Annotated[Path, Field(description="Where the service keeps its database.")] = Path(".handoff")
    database: Annotated[
        str,
        Field(
            repr=False,  # it may have a password
            description="`sqlite`: a file in the data directory. Or `postgresql://user:password@host:5432/database`, which exists;"
            " the service keeps to a schema `lifecycle` in it, and makes that.",
        ),
    ] = SQLITE
    partitions: Annotated[int, Field(ge=1, le=1000, description="Partitions of every customer-keyed topic; never changed.")] = (
        PARTITIONS
    )
    host: Annotated[str, Field(description="The address that the HTTP server binds to.")] = "127.0.0.1"
    lifecycle_port: Annotated[int, Field(ge=1, le=65535, description="The port of lifecycle's HTTP server.")] = 8081
    time_zone: Annotated[str, Field(description="The business time zone (IANA): where a bare date begins.")] = "UTC"
    ticks: Annotated[
        bool, Field(description="Whether time passes by this machine's clock; not where facts are simulated, and ticks with them.")
    ] = True
    dead_letter_days: Annotated[
        int, Field(ge=1, le=36_500, description="How many days a dead letter that was replayed or dropped is kept.")
    ] = 30
    instance: Annotated[str, Field(description="The name of this worker: stable over restarts, unique in the group.")] = "1"
    cache_records: Annotated[int, Field(ge=0, description="How many customer records are kept in memory.")] = 20_000
    cache_facts: Annotated[
        int, Field(ge=0, description="How many facts the records in memory have together, at most: about 3 KiB each.")
    ] = 200_000
    watchdog_seconds: Annotated[float, Field(gt=0, description="The process ends when nothing has moved for so long.")] = 60.0

    @field_validator("database")
    @classmethod
    def _is_database(cls, database: str) -> str:
        return checked(database)

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # "Europe" is a folder
            raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin") from error
        return name
