"""A deal at a point of the fold (FOLD.md 12 and 14-17): its state, close date, status, probability, owner and image."""

from datetime import date

from msgspec import Struct

from events.facts import (
    Category,
    Data,
    OpportunityLost,
    OpportunityUpdated,
    OpportunityWon,
    OrderCancelled,
    QuoteAccepted,
    QuoteCreated,
    QuoteSent,
    SourceKind,
    Split,
)
from events.published import Profile
from events.values import Money
from services.lifecycle.domain.documents import AnyDocument, Named, Opportunity, Order, Quote, stage_changed_to
from services.lifecycle.domain.figures import Count, DealStateName, Documents, Figures, count, price_of
from services.lifecycle.domain.links import Kind
from services.lifecycle.domain.order import Key
from services.lifecycle.domain.table import StatusTable, Tables


class Origin(Struct, frozen=True, omit_defaults=True, gc=False):
    """Where the customer came from: the part of the record's profile that forecasts are grouped by."""

    source: str | None = None
    source_kind: SourceKind | None = None
    campaign: str | None = None
    country: str | None = None
    region: str | None = None

    @classmethod
    def of(cls, profile: Profile) -> "Origin":
        """The origin that a profile tells."""
        return cls(profile.source, profile.source_kind, profile.campaign, profile.country, profile.region)


class DocumentImage(Struct, frozen=True, omit_defaults=True, gc=False):
    """A document of a deal as it stands; ``included``: it is counted in the deal's figures."""

    kind: Kind
    id: str
    state: str
    amount: Money | None = None
    included: bool = False
    replaced_by: str | None = None


class Image(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """All that the forecast needs of a deal. ``closed_at`` in nanoseconds, figures in minor units of ``currency``."""

    status: str
    probability: int
    state: DealStateName
    closed_at: int | None = None
    reason: str | None = None
    competitor: str | None = None
    close_date: date | None = None
    figures: Figures = Figures()
    category: Category = "likely"
    currency: str | None = None
    currency_conflicts: tuple[str, ...] = ()
    owner: str | None = None
    splits: tuple[Split, ...] = ()
    product: str | None = None
    origin: Origin = Origin()
    documents: tuple[DocumentImage, ...] = ()


class Mark(Struct, frozen=True, gc=False):
    """The last thing said about a deal as a whole: won, lost or reopened (12), and by which fact; ``by_stage``: by its stage."""

    state: DealStateName
    by: Key
    reason: str | None = None
    competitor: str | None = None
    by_stage: bool = False


class Deal(Struct, frozen=True, kw_only=True, gc=False):
    """A deal at a point of the fold. ``*_since`` is the fact since which it has its state, and its status.

    ``last`` is its last own fact; ``named_owner`` what its documents say, ``kept_owner`` what a closed deal keeps of
    the record (17).
    """

    last: Key
    state: DealStateName
    state_since: Key
    status: str
    status_since: Key
    probability: int
    count: Count
    documents: tuple[AnyDocument, ...]
    mark: Mark | None = None
    named_owner: Named[str] | None = None
    kept_owner: str | None = None


def deal_after(before: Deal | None, key: Key, data: Data | None, documents: tuple[AnyDocument, ...], tables: Tables) -> Deal:
    """A deal after one more fact; ``documents`` are all of it that have facts by now.

    ``data`` is None where the fact is another deal's (a quote there replaces one here).
    """
    last = before.last if before is not None and data is None else key
    table = tables.at(last[0])
    was, now = Documents(() if before is None else before.documents), Documents(documents)
    mark = _mark(key, data, was, now, "open" if before is None else before.state, table) or (before.mark if before else None)
    state = _state(now, mark)
    status = _status(now, state, table)
    state_since = before.state_since if before is not None and before.state == state else key
    status_since = before.status_since if before is not None and before.status == status else key
    return Deal(
        last=last,
        state=state,
        state_since=state_since,
        status=status,
        status_since=status_since,
        probability=_probability(now, state, status, status_since, tables),
        count=count(now, state),
        documents=documents,
        mark=mark,
        named_owner=max((d.owner for d in documents if d.owner is not None), key=lambda owner: owner.by, default=None),
        kept_owner=before.kept_owner if before is not None and state_since == before.state_since else None,
    )


def _state(documents: Documents, mark: Mark | None) -> DealStateName:
    """Rule 12. Open, reopened too, needs an opportunity of its own or something live."""
    if documents.sold or documents.only_live_credits:
        return "won"
    if mark is not None and mark.state != "open":
        return mark.state
    if documents.opportunity is None and not documents.live_quotes and not documents.live_orders:
        return "lost"
    return "open"


def _mark(key: Key, data: Data | None, was: Documents, now: Documents, state: DealStateName, table: StatusTable) -> Mark | None:
    """What a fact says about its deal as a whole, if anything; ``state`` is the deal's before it (12)."""
    match data:
        case OpportunityWon():
            return Mark("won", key)
        case OpportunityLost(reason=reason, competitor=competitor):
            return Mark("lost", key, reason, competitor)
        case QuoteCreated() | QuoteSent() | QuoteAccepted() if state == "lost":
            return Mark("open", key)
        case OrderCancelled() if was.sold and not now.sold:
            return Mark("open", key)
    stage = stage_changed_to(was.opportunity, data, table)
    if stage is None:
        return None
    if stage == table.triggers["sale"]:
        return Mark("won", key, by_stage=True)
    if stage == table.triggers["lost"]:
        return Mark("lost", key, by_stage=True)
    return Mark("open", key) if isinstance(data, OpportunityUpdated) else None


def _status(documents: Documents, state: DealStateName, table: StatusTable) -> str:
    """Rule 15: of an open deal the furthest of its opportunity's stage and what its live quotes have come to since."""
    triggers = table.triggers
    if state != "open":
        return triggers["sale" if state == "won" else "lost"]
    reached = [triggers["opportunity"]]
    stage = documents.opportunity.stage if documents.opportunity is not None else None
    if stage is not None:
        reached.append(stage.value)
    for quote in documents.live_quotes:
        if stage is None or quote.last > stage.by:
            reached.append(triggers["quote"])
            if quote.state in ("returned", "accepted"):
                reached.append(triggers["returned" if quote.state == "returned" else "accepted"])
    return table.furthest(reached)


def _probability(documents: Documents, state: DealStateName, status: str, since: Key, tables: Tables) -> int:
    """Rule 16: an explicit one holds until the status changes at a later instant."""
    if state != "open":
        return 100 if state == "won" else 0
    quoted = [q.probability for q in documents.live_quotes if q.include and q.probability and _holds(q.probability, since)]
    if quoted:
        return max(quoted, key=lambda named: named.by).value
    opportunity = documents.opportunity
    if opportunity is not None and opportunity.probability is not None and _holds(opportunity.probability, since):
        return opportunity.probability.value
    return tables.at(since[0]).probability(status)


def _holds(explicit: Named[int], status_since: Key) -> bool:
    return explicit.by[0] >= status_since[0]


def owner_of(deal: Deal, record_owner: str | None) -> str | None:
    """Rule 17: the last named by its own documents; else the record's while open, and what it kept when closed."""
    if deal.named_owner is not None:
        return deal.named_owner.value
    return record_owner if deal.state == "open" else deal.kept_owner


def image_of(deal: Deal, record_owner: str | None, origin: Origin) -> Image:
    """The deal as consumers see it."""
    documents = Documents(deal.documents)
    opportunity = documents.opportunity
    dates = [quote.close_date for quote in documents.live_quotes if quote.include and quote.close_date is not None]
    close_date = opportunity.close_date if opportunity is not None else None
    if dates:
        close_date = max(dates, key=lambda named: named.by).value
    lost = deal.mark if deal.mark is not None and deal.state == "lost" else None
    return Image(
        status=deal.status,
        probability=deal.probability,
        state=deal.state,
        closed_at=None if deal.state == "open" else deal.state_since[0],
        reason=lost.reason if lost else None,
        competitor=lost.competitor if lost else None,
        close_date=close_date,
        figures=deal.count.figures,
        category=deal.count.category,
        currency=deal.count.currency,
        currency_conflicts=deal.count.conflicts,
        owner=owner_of(deal, record_owner),
        splits=opportunity.splits if opportunity is not None else (),
        product=opportunity.product if opportunity is not None else None,
        origin=origin,
        documents=_document_images(documents, deal),
    )


def _document_images(documents: Documents, deal: Deal) -> tuple[DocumentImage, ...]:
    counted = set(deal.count.counted)
    return tuple(_document_image(document, deal, (document.kind, document.id) in counted) for document in documents.all)


def _document_image(document: AnyDocument, deal: Deal, included: bool) -> DocumentImage:
    state: str
    match document:
        case Opportunity():
            state = deal.mark.state if deal.mark is not None else "open"
        case Quote() | Order():
            state = document.state
    return DocumentImage(
        kind=document.kind,
        id=document.id,
        state=state,
        amount=price_of(document),
        included=included,
        replaced_by=document.replaced_by if isinstance(document, Quote) else None,
    )
