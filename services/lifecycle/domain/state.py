"""The record at a point of the fold, and one step of it: what one more fact, later than all before, changes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from rpds import HashTrieMap

from events.assignments import LeadAssigned, LeadUnassigned
from events.codec import Fact
from events.facts import (
    Contact,
    CustomerConverted,
    Data,
    FactRef,
    LeadCreated,
    LeadFields,
    LeadRecycled,
    OwnerSet,
    QuoteFields,
    Stage,
    StatusReverted,
    StatusSet,
)
from events.published import Profile
from services.lifecycle.domain.activity import Activity, activity_after
from services.lifecycle.domain.deals import Origin, deal_after
from services.lifecycle.domain.documents import AnyDocument, Opportunity, Order, Quote, opportunity_after, order_after, quote_after
from services.lifecycle.domain.handoffs import Handoffs, Tenure, handoffs_after
from services.lifecycle.domain.links import DocumentKey, Grouping, document_of
from services.lifecycle.domain.order import Key
from services.lifecycle.domain.status import (
    Deals,
    Lead,
    Prospects,
    Verdict,
    judge,
    lead_after,
    name_of,
    promoted,
    prospects_after,
    taken_back,
)
from services.lifecycle.domain.table import STAGES, StatusTable, Tables

COMMANDS: Final = (StatusSet, StatusReverted, CustomerConverted, OwnerSet)
"""The facts that may have no effect at their place (23)."""


class Policy(Struct, frozen=True):
    """What the fold is given besides facts: the status tables, and the time zone in which a date begins."""

    tables: Tables
    zone: tzinfo

    def known(self, through: int) -> Policy:
        """The same when the status tables were known up to there on their topic only."""
        tables = self.tables.known(through)
        return self if tables is self.tables else Policy(tables, self.zone)


class Ownership(Tenure, frozen=True):
    """Who owns the record (18). ``said``: a lead, an assignment or a command ever decided it; ``lead``: the last lead.owner.

    ``by_deal`` is the deal whose documents were the first to name an owner: it decides while nothing else has.
    """

    rep_id: str | None = None
    assignment_id: str | None = None
    said: bool = False
    lead: str | None = None
    by_deal: str | None = None


class State(Struct, frozen=True, kw_only=True, gc=False):
    """A record at a point of the fold. ``by_hand`` is the status that a person set, while it holds; ``reverted_at`` an instant.

    ``replaced`` says by which quote a quote was replaced (it may name quotes that have no fact yet).
    """

    lead: Lead
    stage: Stage
    status: str
    probability: int
    by_hand: str | None = None
    reverted_at: int | None = None
    owner: Ownership = Ownership()
    profile: Profile = Profile()
    contact: Contact | None = None
    documents: HashTrieMap[DocumentKey, AnyDocument] = HashTrieMap()
    deals: Deals = HashTrieMap()
    prospects: Prospects = Prospects()
    replaced: HashTrieMap[str, str] = HashTrieMap()
    handoffs: Handoffs = HashTrieMap()
    verdicts: HashTrieMap[FactRef, Verdict] = HashTrieMap()
    activity: Activity = Activity()


def state_after(before: State | None, fact: Fact, key: Key, grouping: Grouping, policy: Policy) -> tuple[State, set[str]]:
    """The state after one more fact, and the deals whose image it may have changed."""
    table = policy.tables.at(key[0])
    if before is None:  # a record is a lead, New, from its first fact (19)
        name = table.triggers["new"]
        before = State(lead=Lead("new", name, key), stage="lead", status=name, probability=table.probability(name))
    papers = _papers(before, fact, key, grouping, policy.tables)
    verdict = judge(fact.data, before.stage, before.status, before.owner.rep_id, table)
    owner = _owner_after(before.owner, fact, verdict, papers)
    deals, following = _with_kept_owner(before, papers, owner.rep_id)
    profile, contact = (_profile(before.profile, fact.data), _contact(before.contact, fact.data))
    lead = lead_after(before.lead, fact, key, before.by_hand if before.stage == "lead" else None, table, policy.zone)
    recycled = before.stage == "lead" and isinstance(fact.data, LeadRecycled) and lead.by == key
    state = replace(
        before,
        lead=lead,
        owner=owner,
        profile=profile,
        contact=contact,
        documents=papers.documents,
        deals=deals,
        prospects=prospects_after(before.prospects, papers.touched, before.deals, deals) if papers.touched else before.prospects,
        replaced=papers.replaced,
        handoffs=handoffs_after(before.handoffs, fact, before.owner, owner, recycled=recycled),
        verdicts=_verdicts(before, fact, verdict),
        activity=activity_after(before.activity, fact),
    )
    state = _with_status(before, state, fact, key, verdict, papers.touched, table)
    if profile is not before.profile and Origin.of(profile) != Origin.of(before.profile):
        return state, set(deals)
    return state, {*papers.touched, *following}


def _verdicts(before: State, fact: Fact, verdict: Verdict) -> HashTrieMap[FactRef, Verdict]:
    if not isinstance(fact.data, COMMANDS):
        return before.verdicts
    return before.verdicts.insert(FactRef(source=fact.source, id=fact.id), verdict)


def _profile(profile: Profile, data: Data) -> Profile:
    """What leads have said, last writer by field; the source and its kind are the first ones; nothing is cleared (4)."""
    if not isinstance(data, LeadFields):
        return profile
    said = {name: value for name in Profile.__struct_fields__ if (value := getattr(data, name)) is not None}
    for name in ("source", "source_kind"):
        if getattr(profile, name) is not None:
            said.pop(name, None)
    if "attributes" in said and profile.attributes:
        said["attributes"] = {**profile.attributes, **said["attributes"]}
    return replace(profile, **said) if said else profile


def _contact(contact: Contact | None, data: Data) -> Contact | None:
    if not isinstance(data, LeadFields) or data.contact is None:
        return contact
    if contact is None:
        return data.contact
    said = {name: value for name in Contact.__struct_fields__ if (value := getattr(data.contact, name)) is not None}
    return replace(contact, **said)


# ----------------------------------------------------------------------------- documents and deals


class _Papers(Struct):
    """The documents and deals after a fact; ``touched``: the deals that it changed, its own first."""

    documents: HashTrieMap[DocumentKey, AnyDocument]
    deals: Deals
    replaced: HashTrieMap[str, str]
    touched: tuple[str, ...] = ()


def _papers(state: State, fact: Fact, key: Key, grouping: Grouping, tables: Tables) -> _Papers:
    data = fact.data
    document = document_of(data)
    if document is None:
        return _Papers(state.documents, state.deals, state.replaced)
    documents = state.documents.insert(document, _document_after(state, document, key, data, tables.at(key[0])))
    touched = [grouping.deal_of[document]]
    replaced = state.replaced
    if isinstance(data, QuoteFields) and data.replaces is not None and data.replaces not in replaced:
        old = data.replaces
        if grouping.replaces.get(data.quote_id) == old:
            replaced = replaced.insert(old, data.quote_id)
            quote = documents.get(("quote", old))
            if isinstance(quote, Quote):
                documents = documents.insert(("quote", old), replace(quote, replaced_by=data.quote_id))
                touched += [deal for deal in [grouping.deal_of["quote", old]] if deal not in touched]
    deals = state.deals
    for deal in touched:
        present = tuple(documents[member] for member in grouping.members[deal] if member in documents)
        said = data if deal == touched[0] else None
        deals = deals.insert(deal, deal_after(deals.get(deal), key, said, present, tables))
    return _Papers(documents, deals, replaced, tuple(touched))


def _document_after(state: State, document: DocumentKey, key: Key, data: Data, table: StatusTable) -> AnyDocument:
    before = state.documents.get(document)
    match document[0]:
        case "opportunity":
            assert before is None or isinstance(before, Opportunity)
            return opportunity_after(before, key, data, table)
        case "quote":
            assert before is None or isinstance(before, Quote)
            quote = quote_after(before, key, data)
            return quote if before is not None else replace(quote, replaced_by=state.replaced.get(quote.id))
        case "order":
            assert before is None or isinstance(before, Order)
            return order_after(before, key, data)


# --------------------------------------------------------------------------------------------- owner


def _owner_after(owner: Ownership, fact: Fact, verdict: Verdict, papers: _Papers) -> Ownership:
    """Rule 18."""
    match fact.data:
        case LeadFields(owner=rep) if rep is not None and rep != owner.lead:
            return Ownership(rep, None, True, rep)
        case LeadAssigned(rep_id=rep, assignment_id=assignment):
            return Ownership(rep, assignment, True, owner.lead)
        case LeadUnassigned(assignment_id=assignment) if assignment is not None and assignment == owner.assignment_id:
            return Ownership(None, None, True, owner.lead)
        case OwnerSet(rep_id=rep) if verdict.effective:
            return Ownership(rep, None, True, owner.lead)
    if owner.said:
        return owner
    first = owner.by_deal or next((deal for deal in papers.touched if papers.deals[deal].named_owner is not None), None)
    named = papers.deals[first].named_owner if first is not None else None
    return owner if named is None else replace(owner, rep_id=named.value, by_deal=first)


def _with_kept_owner(before: State, papers: _Papers, owner: str | None) -> tuple[Deals, list[str]]:
    """Rule 17: what closed deals keep of the record's owner; and the deals whose owner may have followed the record's."""
    candidates = papers.deals if owner != before.owner.rep_id else papers.touched
    deals, following = papers.deals, []
    for name in candidates:
        deal = papers.deals[name]
        if deal.named_owner is not None:
            continue
        following.append(name)
        if deal.state != "open" and deal.kept_owner is None and owner is not None:
            deals = deals.insert(name, replace(deal, kept_owner=owner))
    return deals, following


# -------------------------------------------------------------------------------------------- status


def _with_status(
    before: State, state: State, fact: Fact, key: Key, verdict: Verdict, touched: Iterable[str], table: StatusTable
) -> State:
    """Rules 19 to 23: stage, status and probability after the fact."""
    stage, by_hand, reverted_at, lead = before.stage, before.by_hand, before.reverted_at, state.lead
    deals = [state.deals[name] for name in touched]
    match fact.data:
        case StatusSet(status=wanted) if verdict.effective:
            row = table.row(wanted)
            assert row is not None
            if STAGES.index(row.stage) < STAGES.index(stage):
                reverted_at = key[0]
            stage, by_hand = row.stage, wanted
            if stage == "lead":
                lead = replace(lead, recycling=None, wake_at=None)
        case StatusReverted(stage=wanted) if verdict.effective:
            stage, by_hand, reverted_at = wanted, None, key[0]
        case CustomerConverted() if verdict.effective:
            stage, by_hand = "prospect", None
        case data if not isinstance(data, COMMANDS):
            stage = promoted(stage, fact, key, reverted_at, deals, table)
            if stage != before.stage or _ends_by_hand(before, state, fact, key, touched, table):
                by_hand = None
    state = replace(state, stage=stage, by_hand=by_hand, reverted_at=reverted_at, lead=lead)
    # at other stages lead facts change nothing (19)
    said = stage == "lead" and (lead.trigger, lead.by) != (before.lead.trigger, before.lead.by)
    if (stage, by_hand) == (before.stage, before.by_hand) and not deals and not said:
        return state  # nothing that a status rests on has changed: a new version of the table touches no record by itself
    name = by_hand if by_hand is not None else name_of(stage, lead, state.prospects, state.deals, table)
    if (name, stage) == (before.status, before.stage):
        return state
    return replace(state, status=name, probability=table.probability(name))


def _ends_by_hand(before: State, state: State, fact: Fact, key: Key, touched: Iterable[str], table: StatusTable) -> bool:
    """Rule 23: whether a fact sets a status at the record's stage, and so ends what was set by hand."""
    if before.stage == "lead":
        if isinstance(fact.data, LeadCreated):  # sets New only where it takes back Dead or Recycled
            return before.by_hand in taken_back(table)
        return state.lead.by == key
    if before.stage == "prospect":
        return any(name not in before.deals or before.deals[name].status != state.deals[name].status for name in touched)
    return False
