"""The settings of forecast: environment variables with the prefix ``HANDOFF_``."""

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.bus.database.setting import SQLITE, checked
from events.topics import PARTITIONS


class Settings(BaseSettings):
    """Every setting that forecast reads."""

    model_config = SettingsConfigDict(env_prefix="HANDOFF_", env_ignore_empty=True, extra="ignore")

    kafka: Annotated[str, Field(description="Bootstrap servers, host:port, several separated by commas.")] = "127.0.0.1:9092"
    data_dir: Annotated[Path, Field(description="Where the service keeps its database.")] = Path(".handoff")
    database: Annotated[
        str,
        Field(
            repr=False,  # it may have a password
            description="`sqlite`: a file in the data directory. Or `postgresql://user:password@host:5432/database`, which exists;"
            " the service keeps to a schema `forecast` in it, and makes that.",
        ),
    ] = SQLITE
    partitions: Annotated[int, Field(ge=1, le=1000, description="Partitions of every customer-keyed topic; never changed.")] = (
        PARTITIONS
    )
    host: Annotated[str, Field(description="The address that the HTTP server binds to.")] = "127.0.0.1"
    forecast_port: Annotated[int, Field(ge=1, le=65535, description="The port of forecast's HTTP server.")] = 8083
    time_zone: Annotated[str, Field(description="The business time zone (IANA): where days, quarters and periods begin.")] = "UTC"
    currency: Annotated[
        str | None,
        Field(pattern="^[A-Z]{3}$", description="The currency of answers (ISO 4217). Without it: the one that most deals have."),
    ] = None
    minimum_probability: Annotated[
        int, Field(ge=0, le=100, description="Open deals below this probability (percent) do not count in a forecast.")
    ] = 0
    dead_letter_days: Annotated[
        int, Field(ge=1, le=36_500, description="How many days a dead letter that was replayed or dropped is kept.")
    ] = 30
    instance: Annotated[str, Field(description="The name of this worker: stable over restarts, unique in the group.")] = "1"
    directory_seconds: Annotated[float, Field(gt=0, description="How often to look for a new version of the directory.")] = 1.0
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

    @property
    def zone(self) -> ZoneInfo:
        """The business time zone."""
        return ZoneInfo(self.time_zone)
