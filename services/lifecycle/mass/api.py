"""Mass changes over HTTP: see what would happen, apply it, look how far it is, give it up, take it back."""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response, StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from events.values import NANOSECONDS
from events.web import cursors
from events.web.conditional import form_of
from events.web.openapi import CSV
from services.lifecycle import problems
from services.lifecycle.admission import unknown_status
from services.lifecycle.criteria import Criteria
from services.lifecycle.domain.state import Policy
from services.lifecycle.mass.answers import Answers
from services.lifecycle.mass.batches import Batch, Batches, State
from services.lifecycle.mass.change import Change, Name, Reason, Recycle, SetStatus
from services.lifecycle.mass.runner import Runner
from services.lifecycle.store import Store

ENDED: Final = ("applied", "cancelled")
RECORDS_MAX: Final = 100_000
"""Records of one batch."""
KEPT_MAX: Final = 30 * 24 * 3600 * NANOSECONDS
"""For so long a preview can be applied; the next one that is asked for after that clears it away."""
LIMIT_MAX: Final = 1000
BATCHES_MAX: Final = 100
"""Mass changes on a page: the records of each are counted."""
_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
BatchId = Annotated[str, Path(pattern=_ID)]
Key = Annotated[str | None, Header(pattern=_ID, description="Becomes the id: letters, digits, dot, dash and underscore.")]


class MassChange(BaseModel):
    """A change of many records. It is a preview until it is applied."""

    model_config = ConfigDict(extra="forbid")

    filter: Annotated[Criteria, Field(description="Which records. An empty filter is refused: say `all`.")]
    all: Annotated[bool, Field(description="Yes, all records: needed where the filter is empty.")] = False
    change: Annotated[Change, Field(description="What is wanted of each.")]
    actor: Annotated[Name, Field(description="Who decides.", examples=["dana"])]
    reason: Annotated[Reason | None, Field(description="Why; recycling needs one.")] = None


class Reversal(BaseModel):
    """Who takes a batch back, and why."""

    model_config = ConfigDict(extra="forbid")

    actor: Name
    reason: Reason | None = None


def place_of(cursor: str) -> tuple[int, str]:
    """When the last batch of the page before began, and its id. Raises ``ValueError``."""
    return cursors.place_of(cursor, tuple[cursors.Whole, str])


def _cursor(text: str) -> str:
    place_of(text)
    return text


class BatchesQuery(BaseModel):
    """``/v1/mass-changes``."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=BATCHES_MAX)] = 20
    after: Annotated[str | None, AfterValidator(_cursor), Field(description="`next` of the page before.")] = None


class RecordsQuery(BaseModel):
    """``/v1/mass-changes/{id}/records``."""

    model_config = ConfigDict(extra="forbid")

    effective: Annotated[bool | None, Field(description="Only records that change, or only those that do not.")] = None
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX, description="Records on a page. A CSV file has no pages.")] = 100
    after: Annotated[str, Field(max_length=200, description="`next` of the page before: a customer's id.")] = ""
    format: Annotated[Literal["json", "csv"] | None, Field(description="Instead of an Accept header, for links.")] = None


class Resources:
    """What the resources share. ``clock``: nanoseconds since 1970. ``new_id``: the id of a batch that begins now."""

    def __init__(
        self,
        store: Store,
        batches: Batches,
        runner: Runner,
        policy: Callable[[], Policy],
        clock: Callable[[], int],
        *,
        new_id: Callable[[int], str] | None = None,
    ) -> None:
        self.batches: Final = batches
        self.answers: Final = Answers(batches, runner)
        self._store = store
        self._runner = runner
        self._policy = policy
        self._clock = clock
        self._new_id = new_id or _new_id

    def found(self, id: str) -> Batch:
        """A batch by its id. Raises 404."""
        batch = self.batches.get(id)
        if batch is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no mass change {id!r}")
        return batch

    def advanced(self, id: str, before: Sequence[State], after: State, otherwise: str) -> dict[str, Any]:
        """A batch after it has entered a state. Raises 409 where it cannot."""
        batch = self.batches.advance(id, before, after, self._clock())
        if batch is None or batch.state != after:
            state = "gone" if batch is None else batch.state
            raise HTTPException(HTTPStatus.CONFLICT, f"the mass change is {state}: {otherwise}")
        self._runner.wake()
        return self.answers.batch(batch)

    def previewed(self, asked: MassChange, id: str | None) -> Batch:
        """A new batch, which is being previewed. Raises 409, 422."""
        policy, now = self._policy(), self._clock()
        _check(asked, policy)
        selected = self._store.customers(asked.filter.selection(now, policy.zone, policy.tables))
        if selected > RECORDS_MAX:
            raise _refused("filter", f"{selected} records are meant, at most {RECORDS_MAX} can be changed at once: narrow it down")
        return self._added(
            Batch(
                id=id or self._new_id(now),
                state="previewing",
                criteria=asked.filter.model_dump_json(exclude_none=True),
                change=asked.change,
                actor=asked.actor,
                reason=asked.reason,
                reverts=None,
                selected=selected,
                created_at=now,
            )
        )

    def taken_back(self, id: str, asked: Reversal) -> Batch:
        """A new batch that takes another one back. Raises 409."""
        batch, written, now = self.found(id), self.batches.tally(id).written, self._clock()
        if batch.state not in ENDED or not written:
            why = f"it is {batch.state}" if batch.state not in ENDED else "no command of it was written"
            raise HTTPException(HTTPStatus.CONFLICT, f"there is nothing to take back: {why}")
        if (other := self.batches.reverting(id)) is not None:
            raise HTTPException(HTTPStatus.CONFLICT, f"{id} is taken back already, by {other.id}, which is {other.state}")
        return self._added(
            Batch(
                id=self._new_id(now),
                state="previewing",
                criteria="{}",
                change=None,
                actor=asked.actor,
                reason=asked.reason or f"takes back {id}",
                reverts=id,
                selected=written,
                created_at=now,
            )
        )

    def _added(self, batch: Batch) -> Batch:
        self.batches.forget(batch.created_at - KEPT_MAX, batch.created_at)
        there = self.batches.add(batch)
        asked = (batch.criteria, batch.change, batch.actor, batch.reason, batch.reverts)
        if (there.criteria, there.change, there.actor, there.reason, there.reverts) != asked:
            raise HTTPException(HTTPStatus.CONFLICT, f"there is another mass change {batch.id!r}: take another Idempotency-Key")
        self._runner.wake()
        return there


def router(resources: Resources) -> APIRouter:
    """What can be asked and done."""
    routes = APIRouter(prefix="/v1/mass-changes", tags=["mass changes"])
    nothing_asked = [Depends(problems.no_parameters)]

    @routes.post("", status_code=HTTPStatus.ACCEPTED, dependencies=nothing_asked)
    def preview(response: Response, asked: MassChange, idempotency_key: Key = None) -> dict[str, Any]:
        """See what a change would do to every record that is meant; nothing happens yet. Kept for 30 days, if it is not applied.

        `Idempotency-Key` becomes the id: asked again with it, the same batch is answered.
        """
        batch = resources.previewed(asked, idempotency_key)
        response.headers["Location"] = f"/v1/mass-changes/{batch.id}"
        return resources.answers.batch(batch)

    @routes.get("")
    def listed(query: Annotated[BatchesQuery, Query()]) -> dict[str, Any]:
        """Mass changes, newest first."""
        page = resources.batches.newest(query.limit + 1, place_of(query.after) if query.after else None)
        last = page[query.limit - 1] if len(page) > query.limit else None
        following = None if last is None else cursors.cursor_of(last.created_at, last.id)
        return {"mass_changes": [resources.answers.batch(batch) for batch in page[: query.limit]], "next": following}

    @routes.get("/{id}", dependencies=nothing_asked)
    def one(id: BatchId) -> dict[str, Any]:
        """A mass change: its state, how many records it means and changes, and how far it is."""
        return resources.answers.batch(resources.found(id))

    @routes.get("/{id}/records", response_model=None, responses=CSV)
    def records(request: Request, id: BatchId, query: Annotated[RecordsQuery, Query()]) -> Response | dict[str, Any]:
        """Its records: how each stood before, what would happen or happened to it, and by which rule nothing did.

        Once its command is written, `outcome` is what became of it as of now: a later fact may give it effect, or take it.
        """
        batch = resources.found(id)
        if form_of(request, query.format) == "csv":
            headers = {"Content-Disposition": f'attachment; filename="{id}.csv"', "Vary": "Accept"}
            media_type = "text/csv; charset=utf-8; header=present"
            return StreamingResponse(resources.answers.csv(batch, query.effective), media_type=media_type, headers=headers)
        page = resources.batches.entries(id, after=query.after, limit=query.limit + 1, effective=query.effective)
        entries = page[: query.limit]
        following = entries[-1].customer_id if len(page) > query.limit else None
        return {"id": id, "records": resources.answers.records(batch, entries), "next": following}

    @routes.post("/{id}/apply", status_code=HTTPStatus.ACCEPTED, dependencies=nothing_asked)
    def apply(id: BatchId) -> dict[str, Any]:
        """Do it: one command for each record that changes. Only what was previewed happens: records changed since stay."""
        batch = resources.found(id)
        if batch.state in ("applying", "applied"):
            return resources.answers.batch(batch)
        return resources.advanced(id, ["previewed"], "applying", "only a finished preview can be applied")

    @routes.post("/{id}/cancel", dependencies=nothing_asked)
    def cancel(id: BatchId) -> dict[str, Any]:
        """Give it up. What is written already stays, and can be taken back."""
        batch = resources.found(id)
        if batch.state == "cancelled":
            return resources.answers.batch(batch)
        return resources.advanced(id, ["previewing", "previewed", "applying"], "cancelled", "what is applied is reverted instead")

    @routes.post("/{id}/revert", status_code=HTTPStatus.ACCEPTED, dependencies=nothing_asked)
    def revert(response: Response, id: BatchId, asked: Reversal) -> dict[str, Any]:
        """Take it back: a mass change of its own, to be applied like any other.

        Every record gets the status or the owner that it had before, where it still stands as the change left it.
        """
        batch = resources.taken_back(id, asked)
        response.headers["Location"] = f"/v1/mass-changes/{batch.id}"
        return resources.answers.batch(batch)

    return routes


def _new_id(now: int) -> str:
    day = datetime.fromtimestamp(now // NANOSECONDS, UTC).strftime("%Y%m%d")
    return f"mass-{day}-{secrets.token_hex(4)}"


# --------------------------------------------------------------------------------------------- refusing


def _check(asked: MassChange, policy: Policy) -> None:
    if not asked.filter.model_dump(exclude_none=True) and not asked.all:
        raise _refused("filter", "it is empty, so all records are meant: say so with `all`, or narrow it down")
    change = asked.change
    if isinstance(change, SetStatus) and not policy.tables.knows(change.status):
        raise _refused("change.status", unknown_status(change.status, policy.tables))
    if isinstance(change, Recycle) and asked.reason is None:
        raise _refused("reason", "is missing: a lead is recycled for a reason that reports can group by")


def _refused(field: str, detail: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", *field.split(".")), "msg": detail}])
