"""What a batch wants of a record, as the fact that says it; what that would do; and what would take it back. Pure."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Struct
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from events.codec import Fact
from events.facts import (
    CustomerConverted,
    Data,
    LeadRecycled,
    OwnerSet,
    StatusReverted,
    StatusSet,
)
from events.values import normal_instant_or_date
from services.lifecycle.domain.arrivals import ref_of
from services.lifecycle.domain.fold import steps
from services.lifecycle.domain.order import key_of
from services.lifecycle.domain.record import Record, accept
from services.lifecycle.domain.state import Policy, State
from services.lifecycle.domain.status import Verdict
from services.lifecycle.domain.verdicts import verdict_of


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
    """What the fact would do to the record as it is. The record must be folded with the tables that are known now."""
    accepted = accept(record, fact, ("", 0, 0), policy)
    before, after = record.fold.state, accepted.record.fold.state
    assert before is not None
    assert after is not None
    verdict = verdict_in(accepted.record, fact, policy)
    if verdict is None:  # the only reason why a new fact does not enter the set
        verdict = Verdict(False, "record-too-large", "; ".join(excess.reason for _, excess in accepted.beyond))
    return Outlook(Standing.of(before), Standing.of(after), verdict)


def verdict_in(record: Record, fact: Fact, policy: Policy) -> Verdict | None:
    """What a command comes to in a record, now; None where the record does not have it."""
    if ref_of(fact) not in record.known:
        return None
    return verdict_of(next(steps(record.fold, key_of(fact), policy)))


# -------------------------------------------------------------------------------------- taking it back


class Kept(Struct, frozen=True):
    """Why a record stays as it is when a batch is taken back."""

    rule: str
    explanation: str


def undo(change: Change, before: Standing, after: Standing, now: Standing, *, lead: str) -> Change | Kept:
    """What takes a change of a record back, where the record still stands as the change left it.

    ``lead``: the status that lead facts give it, whatever its stage; one that was set by hand before can only be set again.
    """
    if isinstance(change, SetOwner):
        if now.owner != after.owner:
            return Kept("changed-since", f"{_owner(now)} owns the record now, not {_owner(after)} as the change left it")
        if before.owner is None:
            return Kept("no-owner-before", "nobody owned the record before, and a command can only give it to somebody")
        return SetOwner(rep_id=before.owner)
    if (now.stage, now.status) != (after.stage, after.status):
        return Kept("changed-since", f"the record is a {now.stage}, {now.status}, now, not {after.status} as the change left it")
    by_itself = isinstance(change, Convert) and before.status == lead
    return Revert(stage="lead") if by_itself else SetStatus(status=before.status)


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
