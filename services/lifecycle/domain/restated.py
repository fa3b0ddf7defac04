"""A record said anew: what consumers were told of it, and what makes them right, whatever that was.

An older database that is put back beside a newer log does not know what was published since. What that was can be heard on the
log, and is one ``Heard`` per customer; once the record's facts are in again, the record is said as a whole, under numbers that
nobody has seen. Pure, like the rest of the fold.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from events.facts import FactRef
from events.published import (
    Cause,
    CommandRefused,
    DealsChanged,
    HandoffProgressed,
    Profile,
    Published,
    RecordChanged,
    Status,
    StatusChanged,
)
from events.values import parse_instant
from services.lifecycle.domain import events
from services.lifecycle.domain.events import AnyEvent, DealRevised, FactAccepted, ImageHeld, RecordRestated, TablesApplied
from services.lifecycle.domain.handoffs import PROGRESS, Progress
from services.lifecycle.domain.history import StatusShown
from services.lifecycle.domain.record import Accepted, Record
from services.lifecycle.domain.told import (
    Changed,
    deals_revised,
    overtaken_by_owner,
    progress_told,
    record_revised,
    status_revised,
)

SOURCE: Final = "operations"
TYPE: Final = "lifecycle.restored"
"""Source and type of causes that name a restored database."""


class Progressed(Struct, frozen=True):
    """What was told of a hand-off: who, what, when (nanoseconds), and the reason of a rejection."""

    assignment_id: str
    progress: Progress
    rep_id: str
    at: int
    reason: str | None


class Heard(Struct, frozen=True, kw_only=True):
    """What consumers know of a record.

    ``version``, ``recorded_at``: of the last message. ``since``: the earliest instant of which they were told a status, and
    ``deals``: of each deal (nanoseconds). ``refused``: the commands that have no effect, as far as they know.
    """

    version: int = 0
    recorded_at: int = 0
    since: int | None = None
    status: StatusShown | None = None
    owner: str | None = None
    assignment_id: str | None = None
    profile: Profile = Profile()
    deals: dict[str, int] = {}
    handoffs: tuple[Progressed, ...] = ()
    refused: tuple[FactRef, ...] = ()


def heard_of(record: Record) -> Heard:
    """What consumers know who have heard all that was published of a record as it is."""
    fold, state = record.fold, record.fold.state
    if state is None:
        return Heard()
    return Heard(
        version=record.version,
        recorded_at=record.recorded_at,
        since=fold.statuses[0].at,
        status=fold.statuses[-1].what,
        owner=state.owner.rep_id,
        assignment_id=state.owner.assignment_id,
        profile=state.profile,
        deals={deal: history[0].at for deal, history in fold.images.items()},
        handoffs=tuple(_handoffs(record)),
        refused=tuple(ref for ref, verdict in state.verdicts.items() if not verdict.effective),
    )


def more(heard: Heard, message: Published) -> Heard:
    """The same after one more message; one that was heard already changes nothing."""
    if message.version <= heard.version:
        return heard
    recorded_at = max(heard.recorded_at, parse_instant(message.recorded_at))
    heard = replace(heard, version=message.version, recorded_at=recorded_at)
    match message:
        case StatusChanged():
            since = _earlier(heard.since, parse_instant(message.since))
            return replace(_whole(heard, message.current, message), since=since)
        case RecordChanged():
            return _whole(heard, message.status, message)
        case DealsChanged():
            deals = dict(heard.deals)
            for deal in message.deals:
                if deal.since is None:
                    deals.pop(deal.deal_id, None)
                else:
                    deals[deal.deal_id] = _earlier(deals.get(deal.deal_id), parse_instant(deal.since))
            return replace(heard, deals=deals)
        case HandoffProgressed():
            name = (message.assignment_id, message.progress)
            kept = tuple(each for each in heard.handoffs if (each.assignment_id, each.progress) != name)
            now = Progressed(*name, message.rep_id, parse_instant(message.at), message.reason)
            return replace(heard, handoffs=kept if message.withdrawn else (*kept, now))
        case CommandRefused():
            ref = FactRef(source=message.command.source, id=message.command.id)
            others = tuple(each for each in heard.refused if each != ref)
            return replace(heard, refused=others if message.effective else (*others, ref))
    return heard


def revising(heard: Heard, record: Record) -> Heard:
    """The same for a record that has noted a history of its own, which nobody has heard: it is revised together with theirs."""
    return replace(heard, since=_earlier(heard.since, record.fold.statuses[0].at)) if record.fold.statuses else heard


def _whole(heard: Heard, status: Status, message: StatusChanged | RecordChanged) -> Heard:
    return replace(
        heard,
        status=StatusShown(status.stage, status.name, status.probability),
        owner=message.owner,
        assignment_id=message.assignment_id,
        profile=message.profile,
    )


def _earlier(known: int | None, instant: int) -> int:
    return instant if known is None else min(known, instant)


# -------------------------------------------------------------------------------------- the record meanwhile


def raised(record: Record, heard: Heard) -> Record:
    """The record, going on from the numbers that consumers have seen, and from their clock."""
    return replace(record, version=max(record.version, heard.version), recorded_at=max(record.recorded_at, heard.recorded_at))


def quiet(before: Record, accepted: Accepted) -> Accepted:
    """The same outcome with nothing told: what is kept are the facts, and the versions of the status table."""
    kept = [event for event in accepted.events if isinstance(event, FactAccepted | TablesApplied)]
    return replace(accepted, record=replace(accepted.record, version=before.version + len(kept)), events=kept)


def restated(record: Record, heard: Heard) -> Accepted:
    """The record as it is, said as a whole to those who have heard so much."""
    cause = Cause(source=SOURCE, id=f"{record.customer_id}/{heard.version:010d}", type=TYPE)
    said = [RecordRestated(recorded_at=record.recorded_at, heard=heard.version), *_said(record, heard, cause)]
    return Accepted(replace(record, version=record.version + len(said)), said)


def _said(record: Record, heard: Heard, cause: Cause) -> Iterator[AnyEvent]:
    state = record.fold.state
    assert state is not None
    yield from _statuses(record, heard, cause)
    changed: list[Changed] = []
    if state.owner.rep_id is not None or heard.owner is not None:
        changed.append("owner")  # also where it is the same: whoever gave the record to somebody else meanwhile is told
    if state.profile != heard.profile:
        changed.append("profile")
    if changed:
        overtaken = overtaken_by_owner((known.fact for known in record.known.values()), state)
        yield record_revised(record.fold, changed, overtaken or cause, record.recorded_at)
    yield from _deals(record, heard, cause)
    yield from _progress(record, heard, cause)
    yield from _verdicts(record, heard, cause)


def _statuses(record: Record, heard: Heard, cause: Cause) -> Iterator[AnyEvent]:
    """``previous`` is what was told last: so a status that is the same now starts nothing anywhere."""
    statuses = record.fold.statuses
    since = _earlier(heard.since, statuses[0].at)
    yield from status_revised(record.fold, statuses, since, heard.status, cause, record.recorded_at)


def _deals(record: Record, heard: Heard, cause: Cause) -> Iterator[AnyEvent]:
    images, said = record.fold.images, []
    for deal in sorted({*heard.deals, *images}):
        history = images.get(deal, ())
        since = _earlier(heard.deals.get(deal), history[0].at) if history else None
        said.append(DealRevised(deal, since, tuple(ImageHeld(held.at, held.what) for held in history)))
    yield from deals_revised(said, cause, record.recorded_at)


def _progress(record: Record, heard: Heard, cause: Cause) -> Iterator[AnyEvent]:
    now = set(_handoffs(record))
    names = {(each.assignment_id, each.progress) for each in now}
    gone = [each for each in heard.handoffs if (each.assignment_id, each.progress) not in names]
    new = sorted(now - set(heard.handoffs), key=lambda each: (each.assignment_id, each.progress))
    for each, withdrawn in [*((each, True) for each in gone), *((each, False) for each in new)]:
        yield events.HandoffProgressed(
            recorded_at=record.recorded_at,
            cause=cause,
            assignment_id=each.assignment_id,
            rep_id=each.rep_id,
            progress=each.progress,
            reason=each.reason,
            at=each.at,
            withdrawn=withdrawn,
        )


def _handoffs(record: Record) -> Iterable[Progressed]:
    assert record.fold.state is not None
    for assignment, handoff in sorted(record.fold.state.handoffs.items()):
        for progress in PROGRESS:
            if (told := progress_told(handoff, progress)) is not None:
                rep_id, at, reason = told
                yield Progressed(assignment, progress, rep_id, at, reason)


def _verdicts(record: Record, heard: Heard, cause: Cause) -> Iterator[AnyEvent]:
    assert record.fold.state is not None
    for ref, verdict in sorted(record.fold.state.verdicts.items(), key=lambda pair: (pair[0].source, pair[0].id)):
        if verdict.effective == (ref in heard.refused):
            yield events.CommandJudged(
                recorded_at=record.recorded_at,
                cause=cause,
                command=Cause(source=ref.source, id=ref.id, type=record.known[ref].fact.type),
                effective=verdict.effective,
                rule=verdict.rule,
                explanation=verdict.explanation,
            )


def heard_after(record: Record, messages: Sequence[Published]) -> Heard:
    """What consumers know who have heard a record as it is, and these messages."""
    heard = heard_of(record)
    for message in messages:
        heard = more(heard, message)
    return heard
