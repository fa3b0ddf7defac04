"""What a command has come to, as people read it: now, by the fold of its record, whatever was told of it before."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import HTTPException
from fastapi.responses import Response
from msgspec.json import encode

from events.bus.letters import Buried
from events.bus.progress import Progress
from events.codec import Fact
from events.facts import FactRef
from events.topics import COMMAND
from events.values import format_instant
from services.lifecycle import problems
from services.lifecycle.domain.events import FactAccepted
from services.lifecycle.domain.fold import steps
from services.lifecycle.domain.order import key_of
from services.lifecycle.domain.record import Record
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.verdicts import verdict_of
from services.lifecycle.effects import at_its_place
from services.lifecycle.mapper import FORWARDED, from_bytes
from services.lifecycle.plain_commands import COMMANDS, SOURCE
from services.lifecycle.store import Store
from services.lifecycle.trace import Name
from services.lifecycle.whereabouts import wait

TYPES: Final = frozenset({*COMMAND.types, *COMMANDS.values()})
"""The events that are commands."""


def stored(store: Store, fact: Fact) -> Fact | None:
    """What was taken in under the name of a fact, if anything was."""
    row = store.traces.of_customer((fact.source, fact.id), store.home(fact.customer_id), fact.customer_id)
    if row is None:
        return None
    event = from_bytes(row.topic, row.state)
    assert isinstance(event, FactAccepted)
    return event.fact


def told(store: Store, policy: Policy, now: Progress, name: Name, customer_id: str | None, pending: Fact | None) -> Response:
    """The answer to what a command comes to. ``pending``: what it says, where it is known to be on its way.

    Raises a problem where it is not known, and where several customers have one.
    """
    rows = [(shard, str(row.originator_id), row.topic) for shard, row in store.traces.events(name)]
    homes = {customer: shard for shard, customer, topic in rows if topic != FORWARDED}
    if customer_id is not None:  # many may have a command of that name: those of a mass change do
        home = store.home(customer_id)
        homes = {customer_id: home} if store.traces.of_customer(name, home, customer_id) is not None else {}
    if len(homes) > 1:
        customers = ", ".join(map(repr, sorted(homes)))
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"{customers} have a command of that name: say which, by customer_id")
    for customer, shard in homes.items():
        record = store.load(shard, [customer], policy)[customer]
        return _body(name, _judged(record, policy.known(record.tables), name), now)
    letters = [
        each for each in store.traces.letters(name) if customer_id is None or each.key == customer_id.encode(errors="replace")
    ]
    if letters:
        return _body(name, _buried(letters[0]), now)
    given = name[0] == SOURCE and store.keys.given(name[1], customer_id)  # perhaps at another worker
    if pending is not None or given or any(topic == FORWARDED for _, _, topic in rows):
        said = {} if pending is None else _said(pending)
        return _body(name, {**said, "verdict": "pending", "explanation": wait(now, store.shards)}, now)
    detail = f"no command {name[1]!r} of source {name[0]!r} has been taken in or refused: {wait(now, store.shards)}"
    return problems.problem(HTTPStatus.NOT_FOUND, detail, lag=now.lag, lag_seconds=round(now.lag_seconds, 3))


def _body(name: Name, said: dict[str, Any], now: Progress) -> Response:
    body = {"id": name[1], "source": name[0], **said, "lag": now.lag, "lag_seconds": round(now.lag_seconds, 3)}
    return Response(encode(body), media_type="application/json")


def _said(fact: Fact) -> dict[str, Any]:
    return {"customer_id": fact.customer_id, "type": fact.type, "time": format_instant(fact.occurred_at), "says": fact.data}


def _judged(record: Record, policy: Policy, name: Name) -> dict[str, Any]:
    """What a command of a record comes to at its place, and how the record stands now."""
    fact = record.known[FactRef(source=name[0], id=name[1])].fact
    step = next(steps(record.fold, key_of(fact), policy))
    verdict = verdict_of(step)
    if verdict is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{fact.type} is no command: ask for it at /v1/events")
    state = record.fold.state
    assert state is not None
    stands = {"stage": state.stage, "status": state.status, "probability": state.probability, "owner": state.owner.rep_id}
    return {
        **_said(fact),
        "verdict": "effective" if verdict.effective else "no effect",
        "rule": verdict.rule or None,
        "explanation": verdict.explanation or None,
        "changed": at_its_place(step),
        "wakes_at": _wakes_at(record, fact),
        "record": {**stands, "version": record.version},
    }


def _wakes_at(record: Record, fact: Fact) -> str | None:
    """When a recycled lead comes back by itself, while its recycling stands."""
    state = record.fold.state
    assert state is not None
    if state.lead.wake_at is None or state.lead.recycling != FactRef(source=fact.source, id=fact.id):
        return None
    return format_instant(state.lead.wake_at)


def _buried(letter: Buried) -> dict[str, Any]:
    return {
        "customer_id": None if letter.key is None else letter.key.decode(errors="replace"),
        "verdict": "refused",
        "rule": letter.error,
        "explanation": f"{letter.path}: {letter.reason}" if letter.path else letter.reason,
    }
