"""The process matrix as people read it: ``GET /v1/statuses``, one version of the status table with all that it says."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from events.business_time import end_of, instant_or_date
from events.files.reading import duration_text
from events.values import format_instant
from services.lifecycle.domain.table import StatusRow, StatusTable, Tables
from services.lifecycle.tables import StatusTables


def _readable(text: str) -> str:
    instant_or_date(text)
    return text


class StatusesQuery(BaseModel):
    """``/v1/statuses``."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int | None, Field(ge=0, description="This version; 0 is the built-in one.")] = None
    as_of: Annotated[
        str | None,
        AfterValidator(_readable),
        Field(description="The version in force then. Without it: now.", examples=["2026-06-30", "2026-06-30T18:00:00Z"]),
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "StatusesQuery":
        if self.version is not None and self.as_of is not None:
            raise ValueError("ask for a version or for an instant, not for both")
        return self


def router(tables: StatusTables, clock: Callable[[], int]) -> APIRouter:
    """The resource. ``clock``: nanoseconds since 1970."""
    routes = APIRouter(tags=["statuses"])

    @routes.get("/v1/statuses")
    def statuses(query: Annotated[StatusesQuery, Query()]) -> dict[str, Any]:
        """The sales process: the statuses in order with all that is written of them, and what sets which.

        Without a parameter the version in force now. `versions` lists all that are known, in the order in which they come into
        force, and `problems` what is wrong on their topic.
        """
        policy, now = tables.policy, clock()
        instant = now if query.as_of is None else end_of(query.as_of, policy.zone)
        table = policy.tables.at(instant)
        if query.version is not None:
            named = [each for each in policy.tables.versions if each.version == query.version]
            if not named:
                known = ", ".join(str(each.version) for each in policy.tables.versions)
                raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no version {query.version} of the status table, only {known}")
            table = named[0]
        versions = [version_view(each, policy.tables, now) for each in policy.tables.versions]
        return {**table_view(table, policy.tables, now), "versions": versions, "problems": tables.problems()}

    return routes


def version_view(table: StatusTable, known: Tables, now: int) -> dict[str, Any]:
    """A version without what it says. ``until``: when the next one takes over; None where none does yet."""
    published, until = table.offset >= 0, known.until(table)
    return {
        "version": table.version,
        "effective_from": format_instant(table.effective_from) if published else None,
        "until": None if until is None else format_instant(until),
        "in_force": known.at(now) is table,
        "author": table.author,
        "recorded_at": format_instant(table.recorded_at) if published else None,
    }


def table_view(table: StatusTable, known: Tables, now: int) -> dict[str, Any]:
    """A version with all that it says."""
    return {**version_view(table, known, now), **content_view(table)}


def content_view(table: StatusTable) -> dict[str, Any]:
    """What a version says, as a file says it."""
    return {
        "comment": table.comment,
        "opportunities_enabled": table.opportunities_enabled,
        "statuses": [_row(row) for row in table.rows],
        "triggers": dict(table.triggers),
    }


def _row(row: StatusRow) -> dict[str, Any]:
    said = msgspec.structs.asdict(row)
    told: dict[str, Any] = {name: [*value] if isinstance(value, tuple) else value for name, value in said.items()}
    for name in ("target_duration", "follow_up"):
        told[name] = None if said[name] is None else duration_text(said[name])
    return told
