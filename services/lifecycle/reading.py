"""A customer's record at a moment: as of an instant of business time, as it was known at an instant of recorded time, or now.

All are read in the same way, from the record's stored events. Those recorded up to the one instant are its facts, and the versions
of the status table that it was folded with; their fold up to the other instant is the record. The links are those of all these
facts, as if they had always been known (FOLD.md 11), so that a record of the past is what the present one's histories say of it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from events.facts import Command
from events.values import NANOSECONDS, format_instant
from services.lifecycle.domain.arrivals import ref_of
from services.lifecycle.domain.events import AnyEvent, FactAccepted, StatusRevised, TablesApplied
from services.lifecycle.domain.fold import as_of
from services.lifecycle.domain.handoffs import Handoff, bounces
from services.lifecycle.domain.history import Held, StatusShown
from services.lifecycle.domain.parts import whole
from services.lifecycle.domain.record import Record, restore
from services.lifecycle.domain.state import Policy, State
from services.lifecycle.outbound import deal_image, status_state
from services.lifecycle.store import Store

READ: Final = (FactAccepted.TOPIC, TablesApplied.TOPIC, StatusRevised.TOPIC)
"""The stored events that a record is read from. Whatever is recorded together begins with one of the first two."""


class NotThere(LookupError):  # noqa: N818 - says what is the case
    """There was no such record at the moment that is asked for; says since when there is one."""


class Moment(Struct, frozen=True):
    """Business time and recorded time (nanoseconds), both inclusive. None: no limit; then facts dated later than now count too."""

    as_of: int | None = None
    known_at: int | None = None


NOW: Final = Moment()


class Reading(Struct, frozen=True):
    """A record at a moment. ``record`` is that of all facts known then, but its fold ends at the moment.

    ``policy`` has the versions of the status table that it is folded with. ``accepted`` are the facts that were known, with the
    versions under which they are stored; ``statuses`` its status history, each state with the instant at which it became known.
    """

    moment: Moment
    record: Record
    policy: Policy
    accepted: Sequence[tuple[int, FactAccepted]]
    statuses: Sequence[tuple[Held[StatusShown], int]]

    @property
    def state(self) -> State:
        """The state at the moment."""
        state = self.record.fold.state
        assert state is not None, "a record that is not there is not read"
        return state


def read(store: Store, customer_id: str, moment: Moment, policy: Policy) -> Reading:
    """The record at a moment. Raises :class:`NotThere`."""
    shard = store.home(customer_id)
    version = store.version_of(shard, customer_id)  # first, so that what is written meanwhile is left for the next time
    events = store.events_of(shard, customer_id, until=version, topics=READ)
    return reading_of(customer_id, version, events, moment, policy)


def reading_of(customer_id: str, version: int, events: Sequence[tuple[int, AnyEvent]], moment: Moment, policy: Policy) -> Reading:
    """The record at a moment, from its stored events, of which there are ``version``. Raises :class:`NotThere`."""
    known = [(number, event) for number, event in events if moment.known_at is None or event.recorded_at <= moment.known_at]
    accepted = [(number, event) for number, event in known if isinstance(event, FactAccepted)]
    if not accepted:
        raise NotThere(_not_known(customer_id, events, moment))
    if len(known) < len(events):
        version = events[len(known)][0] - 1
    kept = [event for _, event in known if isinstance(event, FactAccepted | TablesApplied)]
    record = restore(customer_id, kept, version, kept[-1].recorded_at, policy)
    policy = policy.known(record.tables)
    fold = record.fold if moment.as_of is None else as_of(record.fold, moment.as_of, policy)
    if fold.state is None:
        raise NotThere(_not_begun(record, moment))
    statuses = [each for each in _recorded(known) if moment.as_of is None or each[0].at <= moment.as_of]
    return Reading(moment, replace(record, fold=fold), policy, accepted, statuses)


def _not_known(customer_id: str, events: Sequence[tuple[int, AnyEvent]], moment: Moment) -> str:
    if not events or moment.known_at is None:
        return f"no fact of a customer {customer_id!r} has been taken in"
    first = format_instant(events[0][1].recorded_at)
    return (
        f"nothing was known of the customer {customer_id!r} at {format_instant(moment.known_at)}: the first fact came in at {first}"
    )


def _not_begun(record: Record, moment: Moment) -> str:
    assert moment.as_of is not None
    name, first = record.customer_id, format_instant(record.fold.statuses[0].at)
    known = "" if moment.known_at is None else f", by what was known at {format_instant(moment.known_at)}"
    return f"the customer {name!r} was not there yet at {format_instant(moment.as_of)}: the first fact is dated {first}{known}"


def _recorded(events: Iterable[tuple[int, AnyEvent]]) -> list[tuple[Held[StatusShown], int]]:
    """The status history with the instant at which each state became known: a state that a revision keeps, keeps it."""
    history: list[tuple[Held[StatusShown], int]] = []
    for _, event in whole(events):
        if isinstance(event, StatusRevised):
            begin = bisect_left(history, event.since, key=lambda entry: entry[0].at)
            known = dict(history[begin:])
            history[begin:] = [(held, known.get(held, event.recorded_at)) for held in event.states]
    return history


# ------------------------------------------------------------------------------------- what people read


def customer_view(reading: Reading) -> dict[str, Any]:
    """The body of ``GET /v1/customers/{customer_id}``. ``facts`` is how many the record is made of."""
    state, record = reading.state, reading.record
    body: dict[str, Any] = plain(
        {
            **head(reading),
            "stage": state.stage,
            "status": state.status,
            "probability": state.probability,
            "owner": state.owner.rep_id,
            "assignment_id": state.owner.assignment_id,
            "version": record.version,
            "facts": len(record.fold.facts),
            "recorded_at": format_instant(record.recorded_at),
            "profile": state.profile,
            "contact": state.contact,
            "bounces": bounces(state.handoffs),
            "deals": [
                {"deal_id": deal, "since": format_instant(history[0].at), **_fields(deal_image(history[-1].what))}
                for deal, history in sorted(record.fold.images.items())
            ],
            "handoffs": [
                _handoff(assignment, handoff)
                for assignment, handoff in sorted(state.handoffs.items(), key=lambda item: (item[1].assigned, item[0]))
            ],
            "commands": _commands(reading),
            "history": [
                {
                    "effective_at": shown.effective_at,
                    "recorded_at": format_instant(recorded_at),
                    "stage": shown.stage,
                    "status": shown.name,
                    "probability": shown.probability,
                    "cause": shown.cause,
                }
                for shown, recorded_at in ((status_state(held), at) for held, at in reading.statuses)
            ],
        }
    )
    return body


def head(reading: Reading) -> dict[str, Any]:
    """What every answer about a record begins with: whose it is, and the moment."""
    moment = reading.moment
    return {
        "customer_id": reading.record.customer_id,
        "as_of": _instant(moment.as_of),
        "known_at": _instant(moment.known_at),
    }


def plain(body: Any) -> Any:
    """A body in builtin types; decimals and dates as they are published."""
    return msgspec.to_builtins(body, builtin_types=(Decimal, date), enc_hook=str)


def _fields(struct: Struct) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _handoff(assignment: str, handoff: Handoff) -> dict[str, Any]:
    ending = handoff.ending
    return {
        "assignment_id": assignment,
        "rep_id": handoff.rep_id,
        "team": handoff.team,
        "previous_rep": handoff.previous_rep,
        "assigned_at": format_instant(handoff.assigned),
        "accepted_at": _instant(handoff.accepted),
        "seconds_to_accept": _seconds(handoff, handoff.accepted),
        "touched_at": _instant(handoff.touched),
        "seconds_to_touch": _seconds(handoff, handoff.touched),
        "rejected_at": _instant(handoff.rejected),
        "reason": handoff.reason,
        "recycled_at": _instant(handoff.recycled),
        "ended": None
        if ending is None
        else {"how": ending.how, "at": format_instant(ending.at), "reason": ending.reason, "successor": ending.successor},
    }


def _instant(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _seconds(handoff: Handoff, instant: int | None) -> float | None:
    """From the assignment until then, to the millisecond."""
    return None if instant is None else round((instant - handoff.assigned) / NANOSECONDS, 3)


def _commands(reading: Reading) -> list[dict[str, Any]]:
    """What people decided, oldest first, and whether it has effect at its place."""
    told = []
    for _, fact in reading.record.fold.facts:
        if not isinstance(fact.data, Command):
            continue
        verdict = reading.state.verdicts[ref_of(fact)]
        told.append(
            {
                "source": fact.source,
                "id": fact.id,
                "type": fact.type,
                "occurred_at": format_instant(fact.occurred_at),
                "actor": fact.data.actor,
                "effective": verdict.effective,
                "rule": verdict.rule or None,
                "explanation": verdict.explanation or None,
            }
        )
    return told[::-1]
