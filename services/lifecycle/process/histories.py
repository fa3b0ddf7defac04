"""The status histories of all records or deals, read from the stored events as a stream.

``status`` and ``deals`` events say from which instant on a history is anew, so replaying them gives the present history without
folding facts. Only what a map needs of an event is decoded. Events are read in the order in which they were stored, which a
database does ten times faster than customer by customer; so the histories of one shard are in memory at a time, some 700 bytes
each. What is stored meanwhile may be seen or not.
"""

from collections.abc import Iterable, Iterator
from sys import intern
from typing import Final, Literal

import msgspec
from msgspec import Struct

from events.facts import Stage
from services.lifecycle.domain.events import DealsRevised, RecordRevised, StatusRevised
from services.lifecycle.domain.mining import Visit
from services.lifecycle.store import Store

Subject = Literal["records", "deals"]


class Case(Struct, gc=False):
    """A record or a deal: its visits, and its source, country and owner as they are now."""

    trace: list[Visit]
    source: str | None = None
    country: str | None = None
    owner: str | None = None

    def revise(self, since: int, visits: Iterable[Visit]) -> None:
        """From an instant on the history is this."""
        trace = self.trace
        while trace and trace[-1][0] >= since:
            trace.pop()
        for visit in visits:
            if not trace or trace[-1][1:] != visit[1:]:
                trace.append(visit)

    def until(self, as_of: int) -> bool:
        """Forget what came after an instant; whether anything is left."""
        while self.trace and self.trace[-1][0] > as_of:
            self.trace.pop()
        return bool(self.trace)


def cases(store: Store, subject: Subject, as_of: int, *, profiles: bool = True) -> Iterator[Case]:
    """Every case that had begun by an instant (nanoseconds), as it was then.

    Without ``profiles`` a record's source, country and owner may be older than the present ones, and less is read.
    """
    for shard in range(store.shards):
        yield from (case for case in _of_shard(store, shard, subject, profiles) if case.until(as_of))


def _of_shard(store: Store, shard: int, subject: Subject, profiles: bool) -> Iterable[Case]:
    if subject == "deals":
        return _deals(store.stream(shard, [DealsRevised.TOPIC])).values()
    topics = [StatusRevised.TOPIC, RecordRevised.TOPIC] if profiles else [StatusRevised.TOPIC]
    return _records(store.stream(shard, topics)).values()


class _Shown(Struct, frozen=True, gc=False):
    stage: Stage
    name: str


class _StatusHeld(Struct, frozen=True, gc=False):
    at: int
    what: _Shown


class _Origin(Struct, frozen=True, gc=False):
    source: str | None = None
    country: str | None = None


class _Record(Struct, frozen=True, gc=False):
    """What is read of ``StatusRevised`` and ``RecordRevised``; the latter has no states."""

    profile: _Origin
    owner: str | None
    since: int | None = None
    states: tuple[_StatusHeld, ...] = ()


class _Image(Struct, frozen=True, gc=False):
    status: str
    state: Literal["open", "won", "lost"]
    owner: str | None = None
    origin: _Origin = _Origin()


class _ImageHeld(Struct, frozen=True, gc=False):
    at: int
    image: _Image


class _Deal(Struct, frozen=True, gc=False):
    deal_id: str
    since: int | None
    states: tuple[_ImageHeld, ...]


class _Deals(Struct, frozen=True, gc=False):
    deals: tuple[_Deal, ...]


_record_of: Final = msgspec.json.Decoder(_Record).decode
_deals_of: Final = msgspec.json.Decoder(_Deals).decode


def _records(events: Iterable[tuple[str, bytes]]) -> dict[str, Case]:
    """Records by customer."""
    known: dict[str, Case] = {}
    for customer, state in events:
        event = _record_of(state)
        case = known.get(customer)
        if case is None:
            case = known[customer] = Case([])
        if event.since is not None:
            case.revise(event.since, [(held.at, held.what.stage, intern(held.what.name)) for held in event.states])
        case.source, case.country, case.owner = _shared(event.profile, event.owner)
    return known


def _deals(events: Iterable[tuple[str, bytes]]) -> dict[tuple[str, str], Case]:
    """Deals by customer and id; one that another has absorbed is none."""
    known: dict[tuple[str, str], Case] = {}
    for customer, state in events:
        for deal in _deals_of(state).deals:
            key = customer, deal.deal_id
            if deal.since is None:
                known.pop(key, None)
                continue
            case = known.get(key)
            if case is None:
                case = known[key] = Case([])
            case.revise(deal.since, [(held.at, _stage_of(held.image), intern(held.image.status)) for held in deal.states])
            if deal.states:
                now = deal.states[-1].image
                case.source, case.country, case.owner = _shared(now.origin, now.owner)
    return known


def _shared(origin: _Origin, owner: str | None) -> tuple[str | None, str | None, str | None]:
    """Texts that many cases share, each kept once."""
    source, country = origin.source, origin.country
    return source and intern(source), country and intern(country), owner and intern(owner)


def _stage_of(image: _Image) -> Stage:
    """A deal is a prospect's, until it is won."""
    return "customer" if image.state == "won" else "prospect"
