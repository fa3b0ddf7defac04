"""What a batch wants of a record, as the fact that says it; what that would do; and what would take it back. Pure."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Struct
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from events.codec import Fact
from events.facts import (
    CustomerConverted,
    Data,
    FactRef,
    LeadRecycled,
    OwnerSet,
    StatusReverted,
    StatusSet,
)
from events.values import normal_instant_or_date
from services.lifecycle.domain.fold import Fold
from services.lifecycle.domain.record import Record, accept
from services.lifecycle.domain.state import Policy, State
from services.lifecycle.domain.status import Verdict


def _when(text: str | None) -> str | None:
    return None if text is None else normal_instant_or_date(text)


PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]+$"
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
Reason = Annotated[str, Field(min_length=1, max_length=2000, pattern="^[^\\x00]*$")]


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SetStatus(_Change):
    """Set the status by hand."""

    command: Literal["set-status"] = "set-status"
    status: Annotated[Name, Field(description="By its name in the status table.")]


class Revert(_Change):
    """Take the record back to a lower stage."""

    command: Literal["revert"] = "revert"
    stage: Literal["lead", "prospect"]


class Convert(_Change):
    """Make a lead a prospect."""

    command: Literal["convert"] = "convert"


class SetOwner(_Change):
    """Give the record to a rep."""

    command: Literal["set-owner"] = "set-owner"
    rep_id: Name


class Recycle(_Change):
    """Give the lead back to marketing."""

    command: Literal["recycle"] = "recycle"
    until: Annotated[
        str | None, AfterValidator(_when), Field(description="When it is New again: an instant, or a day (00:00 business time).")
    ] = None


Change = Annotated[SetStatus | Revert | Convert | SetOwner | Recycle, Field(discriminator="command")]


class Standing(Struct, frozen=True):
    """What a mass change can change of a record."""

    stage: str
    status: str
    owner: str | None

    @classmethod
    def of(cls, state: State) -> Standing:
        """How a record stands."""
        return cls(state.stage, state.status, state.owner.rep_id)

    def __str__(self) -> str:
        return f"{self.stage}, {self.status}, owned by {self.owner or 'nobody'}"


class Outlook(Struct, frozen=True):
    """What a change does to a record: how it stands before and after, and by which rule nothing happens, if nothing does."""

    before: Standing
    after: Standing
    verdict: Verdict


def fact_type(change: Change) -> str:
    """The type of the fact that says it."""
    match change:
        case SetStatus():
            return "crm.status.set.v1"
        case Revert():
            return "crm.status.reverted.v1"
        case Convert():
            return "crm.customer.converted.v1"
        case SetOwner():
            return "crm.owner.set.v1"
        case Recycle():
            return "crm.lead.recycled.v1"


def data_of(change: Change, customer_id: str, actor: str, reason: str | None) -> Data:
    """The fact's data. Raises ``ValueError`` for what the contract does not allow."""
    match change:
        case SetStatus(status=status):
            return StatusSet(customer_id=customer_id, status=status, actor=actor, reason=reason)
        case Revert(stage=stage):
            return StatusReverted(customer_id=customer_id, stage=stage, actor=actor, reason=reason)
        case Convert():
            return CustomerConverted(customer_id=customer_id, actor=actor)
        case SetOwner(rep_id=rep):
            return OwnerSet(customer_id=customer_id, rep_id=rep, actor=actor, reason=reason)
        case Recycle(until=until):
            return LeadRecycled(customer_id=customer_id, reason=reason or "", until=until)


def outlook(record: Record, fact: Fact, policy: Policy) -> Outlook:
    """What the fact would do to the record as it is; what it did, where the record has it already."""
    assert record.fold.state is not None
    after = accept(record, fact, ("", 0, 0), policy).record
    assert after.fold.state is not None
    return Outlook(Standing.of(record.fold.state), Standing.of(after.fold.state), verdict_of(after.fold, fact))


def verdict_of(fold: Fold, fact: Fact) -> Verdict:
    """Whether a fact of the set has effect now. A recycling has while it stands (FOLD.md 20)."""
    assert fold.state is not None
    ref = FactRef(source=fact.source, id=fact.id)
    if not isinstance(fact.data, LeadRecycled):
        return fold.state.verdicts[ref]
    stage, lead = fold.state.stage, fold.state.lead
    if stage != "lead":
        return Verdict(False, "not-a-lead", f"the record is a {stage}: only a lead can be recycled")
    if lead.recycling != ref:
        return Verdict(
            False, "recycling-ended", f"the lead is {fold.state.status}: something later has taken the recycling's place"
        )
    return Verdict(True)


# -------------------------------------------------------------------------------------- taking it back


class Kept(Struct, frozen=True):
    """Why a record stays as it is when a batch is taken back."""

    rule: str
    explanation: str


def undo(change: Change, before: Standing, after: Standing, now: Standing) -> Change | Kept:
    """What takes a change of a record back, where the record still stands as the change left it."""
    if isinstance(change, SetOwner):
        if now.owner != after.owner:
            return Kept("changed-since", f"{_owner(now)} owns the record now, not {_owner(after)} as the change left it")
        if before.owner is None:
            return Kept("no-owner-before", "nobody owned the record before, and a command can only give it to somebody")
        return SetOwner(rep_id=before.owner)
    if (now.stage, now.status) != (after.stage, after.status):
        return Kept("changed-since", f"the record is a {now.stage}, {now.status}, now, not {after.status} as the change left it")
    return Revert(stage="lead") if isinstance(change, Convert) else SetStatus(status=before.status)


def _owner(standing: Standing) -> str:
    return standing.owner or "nobody"


# ---------------------------------------------------------------------------------------- as it is kept

_ADAPTER: Final[TypeAdapter[Change]] = TypeAdapter(Change)


def change_from(text: str) -> Change:
    """A change that :func:`change_to` has written."""
    return _ADAPTER.validate_json(text)


def change_to(change: Change) -> str:
    """A change as JSON."""
    return change.model_dump_json()
