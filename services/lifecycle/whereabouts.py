"""``GET /v1/events``: did my event arrive, and what did it do. By source and id, which is what its sender knows of it.

An event has been taken in (as which version of which record, and what its arrival changed), or is on its way home from another
partition, or was refused. An identity holds within a customer, so the answer is a list; one that is nothing of that is not known
*yet*, and the service's lag says whether to wait.
"""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import unquote_to_bytes

from eventsourcing.persistence import Notification
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response
from msgspec.json import encode
from pydantic import BaseModel, ConfigDict, Field

from events.bus.letters import Buried
from events.bus.progress import Progress
from events.facts import FactRef
from events.values import INSTANT_MAX, format_instant
from services.lifecycle import problems
from services.lifecycle.domain.arrivals import Arrival, arrivals, ref_of
from services.lifecycle.domain.events import FactAccepted
from services.lifecycle.effects import at_arrival
from services.lifecycle.mapper import FORWARDED, Forwarded, from_bytes
from services.lifecycle.store import Store
from services.lifecycle.trace import FOUND_MAX, Name

STATES: Final = ("taken in", "on its way", "refused")
"""What becomes of an event; of several of one name the first that one of them is in is told."""
_FACTS: Final = (FactAccepted.TOPIC,)
_MILLISECOND: Final = 1_000_000
_PREFIX: Final = b"/v1/events/"
_IN_PATH: Final = [
    {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}, "description": what}
    for name, what in (("source", "The event's source, as it was sent."), ("id", "The event's id, as it was sent."))
]

CustomerId = Annotated[str | None, Field(min_length=1, max_length=200, description="Only that customer's.")]


class OfCustomer(BaseModel):
    """Whose event it is."""

    model_config = ConfigDict(extra="forbid")

    customer_id: CustomerId = None


class Asked(OfCustomer):
    """What an event is called."""

    source: Annotated[str, Field(min_length=1, description="The event's source, as it was sent.", examples=["/marketing"])]
    id: Annotated[str, Field(min_length=1, description="The event's id, as it was sent.", examples=["7f1c"])]


def router(store: Store, progress: Callable[[], Progress]) -> APIRouter:
    """The resources."""
    routes = APIRouter(tags=["events"])

    @routes.get("/v1/events")
    def by_query(asked: Annotated[Asked, Query()]) -> Response:
        """Whether an event has arrived, and what it did: taken in, on its way to its customer's partition, or refused."""
        return _answer(store, progress(), (asked.source, asked.id), asked.customer_id)

    def by_path(request: Request, asked: Annotated[OfCustomer, Query()]) -> Response:
        """The same by a path. The id is what follows the last slash, the source all before it: write slashes of an id as `%2F`."""
        return _answer(store, progress(), _named(request), asked.customer_id)

    routes.add_api_route("/v1/events/{source}/{id}", by_path, openapi_extra={"parameters": _IN_PATH})
    routes.add_api_route("/v1/events/{name:path}", by_path, include_in_schema=False)  # with slashes, as they are or escaped
    return routes


def _named(request: Request) -> Name:
    """Source and id of a path, which is looked at before anybody decodes it: only so can a slash be part of a name."""
    source, _, id_ = request.scope["raw_path"].partition(_PREFIX)[2].rpartition(b"/")
    try:
        name = unquote_to_bytes(source).decode(), unquote_to_bytes(id_).decode()
    except UnicodeDecodeError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "source and id are UTF-8, percent-encoded") from None
    if not all(name):
        raise HTTPException(HTTPStatus.NOT_FOUND, "an event is asked for as /v1/events/SOURCE/ID, or ?source=SOURCE&id=ID")
    return name


def _answer(store: Store, now: Progress, name: Name, customer_id: str | None) -> Response:
    found = whereabouts(store, name, customer_id)
    lag = {"lag": now.lag, "lag_seconds": round(now.lag_seconds, 3)}
    if not found:
        return problems.problem(HTTPStatus.NOT_FOUND, f"{_whose(name, customer_id)}: {wait(now, store.shards)}", **lag)
    states = {each["state"] for each in found}
    state = next(each for each in STATES if each in states)
    more = customer_id is None and len(found) >= FOUND_MAX  # as after a mass change, whose commands all have its id
    body = encode({"source": name[0], "id": name[1], "state": state, "found": found, "more": more, **lag})
    return Response(body, media_type="application/json")


def _whose(name: Name, customer_id: str | None) -> str:
    whose = "" if customer_id is None else f" of customer {customer_id!r}"
    return f"no event {name[1]!r} of source {name[0]!r}{whose} has been taken in or refused"


def wait(now: Progress, shards: int) -> str:
    """What whoever asks may hope for. A worker knows of its own shards what waits there, and not of those of others."""
    if now.state != "running":
        return f"the service is {now.state} and reads nothing now ({now.error or 'it waits for its partitions'}): ask again later"
    if now.lag:
        return f"{now.lag} records wait to be read or published: ask again in a moment"
    read = len({place.partition for place in now.positions})
    if read < shards:
        return (
            f"nothing waits to be read at this worker, which reads {read} of {shards} partitions; where others read, there may"
            " be something: ask again in a moment"
        )
    return "nothing waits to be read, so it is not in Kafka under this source and id (they are compared letter by letter)"


def whereabouts(store: Store, name: Name, customer_id: str | None = None) -> list[dict[str, Any]]:
    """Where the events of a source and id are, first those that were taken in."""
    rows = store.traces.events(name)
    customers = {str(row.originator_id): shard for shard, row in rows if row.topic != FORWARDED}
    if customer_id is not None:  # it may be an event that Handoff wrote, which is not traced
        customers = {customer_id: store.home(customer_id)}
    arrived = [each for customer, shard in sorted(customers.items()) for each in _taken_in(store, shard, customer, name)]
    known = {each["customer_id"] for each in arrived}
    moved = [_moved(row) for _, row in rows if row.topic == FORWARDED]
    letters = [_refused(letter) for letter in store.traces.letters(name)]
    others = [each for each in moved if each["customer_id"] not in known] + letters
    return arrived + [each for each in others if customer_id in (None, each["customer_id"])]


def _taken_in(store: Store, shard: int, customer: str, name: Name) -> Iterator[dict[str, Any]]:
    """The facts of a record that are called so: one, or with those that another one of the same name has replaced."""
    source, id_ = name
    facts = [
        (version, event) for version, event in store.events_of(shard, customer, topics=_FACTS) if isinstance(event, FactAccepted)
    ]
    origins = {version: event.origin for version, event in facts}
    for arrival in arrivals(facts):
        if ref_of(arrival.fact) == FactRef(source=source, id=id_):
            changes = store.events_of(shard, customer, after=arrival.changes_after, until=arrival.changes_until)
            yield _arrived(arrival, origins[arrival.version]) | {"changed": at_arrival(event for _, event in changes)}


def _arrived(arrival: Arrival, origin: tuple[str, int, int]) -> dict[str, Any]:
    topic, partition, offset = origin
    fact = arrival.fact
    return {
        "state": "replaced" if arrival.replaced else "taken in",
        "customer_id": fact.customer_id,
        "type": fact.type,
        "occurred_at": format_instant(fact.occurred_at),
        "recorded_at": format_instant(fact.recorded_at),
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "version": arrival.version,
        "late": arrival.late,
        "together": arrival.together,
    }


def _moved(row: Notification) -> dict[str, Any]:
    message = from_bytes(row.topic, row.state)
    assert isinstance(message, Forwarded)
    _, topic, partition, offset, *_ = str(row.originator_id).split("/")
    return {
        "state": "on its way",
        "customer_id": message.key.decode(errors="replace"),
        "topic": topic,
        "partition": int(partition),
        "offset": int(offset),
        "home": message.partition,
    }


def _refused(letter: Buried) -> dict[str, Any]:
    recorded_at = letter.timestamp * _MILLISECOND
    return {
        "state": "refused",
        "customer_id": None if letter.key is None else letter.key.decode(errors="replace"),
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "recorded_at": format_instant(recorded_at) if 0 <= recorded_at <= INSTANT_MAX else None,
        "error": letter.error,
        "reason": letter.reason,
        "path": letter.path,
        "resolved": letter.resolved,
    }
