"""The border of lifecycle: the only place where a stored event becomes a published one.

Stored events hold instants as numbers and money in minor units; what is published holds RFC 3339 and decimal strings. Ids are
derived (``<customer_id>/<version>``), so an event that is published again is the same, byte for byte.
"""

from typing import Final

from events import published
from events.codec import encode
from events.published import Amounts, DealChange, DealState, Document, Status, StatusState
from events.record import Message, Record
from events.topics import LIFECYCLE, MOVED
from events.values import Money, format_instant
from services.lifecycle.domain.deals import DocumentImage, Image
from services.lifecycle.domain.events import (
    AnyEvent,
    CommandJudged,
    DealRevised,
    DealsRevised,
    FactAccepted,
    HandoffProgressed,
    RecordRestated,
    RecordRevised,
    StatusRevised,
    TablesApplied,
)
from services.lifecycle.domain.history import Held, StatusShown
from services.lifecycle.mapper import Forwarded

SOURCE: Final = "handoff/lifecycle"
"""``ce_source`` of all that lifecycle publishes."""

_TYPES: Final = {cls: name for name, cls in LIFECYCLE.types.items()}


def derived_id(customer_id: str, version: int) -> str:
    """The id of a customer's published event: the version in fixed width, so that bytes sort as numbers."""
    return f"{customer_id}/{version:010d}"


def name_of(record: Record | Message) -> tuple[str, int] | None:
    """The customer and the version that a record of ours says, by its headers alone."""
    headers = dict(record.headers)
    if headers.get("ce_source") != SOURCE.encode():
        return None
    customer, _, version = headers.get("ce_id", b"").decode(errors="replace").rpartition("/")
    return (customer, int(version)) if customer and version.isdecimal() else None


def messages_of(customer_id: str, version: int, event: AnyEvent | Forwarded) -> tuple[Message, ...]:
    """What is sent of a stored event (of a fact or a table alone, nothing). What is published occurred when it was recorded."""
    if isinstance(event, Forwarded):
        return (_on_its_way(event),)
    data = _published(customer_id, version, event)
    if data is None:
        return ()
    return (
        encode(
            LIFECYCLE.name,
            _TYPES[type(data)],
            data,
            source=SOURCE,
            id=derived_id(customer_id, version),
            occurred_at=event.recorded_at,
            recorded_at=event.recorded_at,
        ),
    )


def _on_its_way(event: Forwarded) -> Message:
    return Message(
        topic=MOVED.name,
        key=event.key,
        value=event.value,
        headers=event.headers,
        partition=event.partition,
        timestamp=event.timestamp,
    )


def _published(customer_id: str, version: int, event: AnyEvent) -> published.Published | None:
    recorded_at = format_instant(event.recorded_at)
    match event:
        case FactAccepted() | TablesApplied() | RecordRestated():
            return None
        case StatusRevised():
            return published.StatusChanged(
                customer_id=customer_id,
                version=version,
                recorded_at=recorded_at,
                cause=event.cause,
                since=format_instant(event.since),
                states=tuple(status_state(held) for held in event.states),
                previous=_status(event.previous) if event.previous is not None else None,
                current=_status(event.current),
                owner=event.owner,
                assignment_id=event.assignment_id,
                profile=event.profile,
                contact=event.contact,
                part=event.part,
                parts=event.parts,
            )
        case RecordRevised():
            return published.RecordChanged(
                customer_id=customer_id,
                version=version,
                recorded_at=recorded_at,
                cause=event.cause,
                owner=event.owner,
                assignment_id=event.assignment_id,
                profile=event.profile,
                contact=event.contact,
                status=_status(event.status),
                changed=event.changed,
            )
        case DealsRevised():
            return published.DealsChanged(
                customer_id=customer_id,
                version=version,
                recorded_at=recorded_at,
                cause=event.cause,
                deals=tuple(_deal_change(deal) for deal in event.deals),
                part=event.part,
                parts=event.parts,
            )
        case HandoffProgressed():
            return published.HandoffProgressed(
                customer_id=customer_id,
                version=version,
                recorded_at=recorded_at,
                cause=event.cause,
                assignment_id=event.assignment_id,
                rep_id=event.rep_id,
                progress=event.progress,
                reason=event.reason,
                at=format_instant(event.at),
                withdrawn=event.withdrawn,
            )
        case CommandJudged():
            return published.CommandRefused(
                customer_id=customer_id,
                version=version,
                recorded_at=recorded_at,
                cause=event.cause,
                command=event.command,
                effective=event.effective,
                rule=event.rule or None,
                explanation=event.explanation or None,
            )


def status_state(held: Held[StatusShown]) -> StatusState:
    """A status from an instant on, as it is published."""
    shown = held.what
    return StatusState(
        effective_at=format_instant(held.at), stage=shown.stage, name=shown.name, probability=shown.probability, cause=held.cause
    )


def _status(shown: StatusShown) -> Status:
    return Status(stage=shown.stage, name=shown.name, probability=shown.probability)


def _deal_change(deal: DealRevised) -> DealChange:
    return DealChange(
        deal_id=deal.deal_id,
        since=None if deal.since is None else format_instant(deal.since),
        states=tuple(DealState(effective_at=format_instant(state.at), image=deal_image(state.image)) for state in deal.states),
    )


def deal_image(image: Image) -> published.DealImage:
    """A deal's image, as it is published."""
    origin = image.origin
    return published.DealImage(
        status=image.status,
        probability=image.probability,
        state=image.state,
        closed_at=None if image.closed_at is None else format_instant(image.closed_at),
        reason=image.reason,
        competitor=image.competitor,
        close_date=image.close_date,
        amounts=_amounts(image),
        category=image.category,
        currency=image.currency,
        currency_conflicts=image.currency_conflicts,
        owner=image.owner,
        splits=image.splits,
        product=image.product,
        source=origin.source,
        source_kind=origin.source_kind,
        campaign=origin.campaign,
        country=origin.country,
        region=origin.region,
        documents=tuple(_document(document) for document in image.documents),
    )


def _amounts(image: Image) -> Amounts:
    figures, currency = image.figures, image.currency
    if currency is None:
        return Amounts()
    said = (figures.amount, figures.worst, figures.likely, figures.upside, figures.low, figures.high)
    # Mostly they are all the same, and a Decimal takes its time to be made and checked.
    money = {minor: None if minor is None else Money.of_minor(minor, currency) for minor in set(said)}
    amount, worst, likely, upside, low, high = (money[minor] for minor in said)
    return Amounts(amount=amount, worst=worst, likely=likely, upside=upside, low=low, high=high)


def _document(document: DocumentImage) -> Document:
    amount = document.amount
    return Document(
        kind=document.kind,
        id=document.id,
        amount=None if amount is None else Money(amount=amount.amount, currency=amount.currency),
        included=document.included,
        replaced_by=document.replaced_by,
        state=document.state,
    )
