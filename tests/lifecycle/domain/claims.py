"""What tests claim of a story, as phrases: ``then(is_prospect("Proposal", 50), deal("quote:q1", amount=1000))``.

Days count as in :mod:`tests.lifecycle.domain.speech`; figures are whole units of the deal's currency.
"""

from collections.abc import Callable
from datetime import date
from itertools import groupby
from typing import Any

from events.codec import Fact
from events.facts import Contact, FactRef
from services.lifecycle.domain.deals import Image
from services.lifecycle.domain.events import (
    CommandJudged,
    DealsRevised,
    FactAccepted,
    HandoffProgressed,
    RecordRevised,
    StatusRevised,
)
from services.lifecycle.domain.handoffs import bounces
from services.lifecycle.domain.history import StatusShown
from tests.lifecycle.domain.speech import DAY, NEW_YEAR
from tests.lifecycle.domain.story import Claim, Story

FIGURES = ("amount", "worst", "likely", "upside", "low", "high")


def day_of(instant: int | None) -> float | None:
    """The day of the story that an instant lies in."""
    return None if instant is None else round(1 + (instant - NEW_YEAR) / DAY, 6)


def _equal(seen: object, claimed: object, of: str) -> None:
    assert seen == claimed, f"{of}: seen {seen!r}, claimed {claimed!r}"


# ------------------------------------------------------------------------------------------ the record


def _status(stage: str, name: str, probability: int | None) -> Claim:
    def claim(story: Story) -> None:
        shown = story.record.fold.statuses[-1].what
        _equal((shown.stage, shown.name), (stage, name), "status")
        if probability is not None:
            _equal(shown.probability, probability, f"probability of {name}")

    return claim


def is_lead(name: str, probability: int | None = None) -> Claim:
    return _status("lead", name, probability)


def is_prospect(name: str, probability: int | None = None) -> Claim:
    return _status("prospect", name, probability)


def is_customer(name: str = "Closed Won", probability: int | None = None) -> Claim:
    return _status("customer", name, probability)


def had_statuses(*history: tuple[float, str]) -> Claim:
    """The whole history, by day and name."""
    return lambda story: _equal([(day_of(h.at), h.what.name) for h in story.record.fold.statuses], list(history), "statuses")


def because_of(*causes: Fact) -> Claim:
    """The facts that brought the statuses about."""
    return lambda story: _equal([h.cause.id for h in story.record.fold.statuses], [fact.id for fact in causes], "causes")


def owned_by(rep: str | None, assignment: str | None = None) -> Claim:
    return lambda story: _equal((story.state.owner.rep_id, story.state.owner.assignment_id), (rep, assignment), "owner")


def wakes(day: float | None) -> Claim:
    return lambda story: _equal(day_of(story.state.lead.wake_at), day, "wakes")


def knows(**profile: Any) -> Claim:
    """What the profile says."""
    return lambda story: _equal({name: getattr(story.state.profile, name) for name in profile}, profile, "profile")


def handed_off(assignment: str, **progress: Any) -> Claim:
    """What became of an assignment: the days on which it was accepted, rejected, touched, recycled."""

    def claim(story: Story) -> None:
        handoff = story.state.handoffs[assignment]
        seen = {name: getattr(handoff, name) for name in ("rep_id", "accepted", "rejected", "touched", "recycled")}
        days = {name: value if name == "rep_id" else day_of(value) for name, value in seen.items() if value is not None}
        _equal(days, progress, assignment)

    return claim


def ended(assignment: str, how: str, *, day: float, reason: str | None = None, successor: str | None = None) -> Claim:
    """How a hand-off ended."""

    def claim(story: Story) -> None:
        ending = story.state.handoffs[assignment].ending
        assert ending is not None, f"{assignment} has not ended"
        _equal((ending.how, day_of(ending.at)), (how, day), f"end of {assignment}")
        _equal((ending.reason, ending.successor), (reason, successor), f"end of {assignment}")

    return claim


def stands(*assignments: str) -> Claim:
    """These hand-offs have not ended, and all others have."""
    return lambda story: _equal(
        sorted(name for name, handoff in story.state.handoffs.items() if handoff.ending is None), sorted(assignments), "stand"
    )


def bounced(times: int) -> Claim:
    """How often an assignment came to nothing."""
    return lambda story: _equal(bounces(story.state.handoffs), times, "bounces")


def withdraws(*progress: tuple[str, str, float]) -> Claim:
    """What is taken back of assignments: (assignment, progress, day)."""

    def claim(story: Story) -> None:
        events = [event for event in story.events if isinstance(event, HandoffProgressed) and event.withdrawn]
        _equal([(event.assignment_id, event.progress, day_of(event.at)) for event in events], list(progress), "withdrawn")

    return claim


def refuses(command: Fact, rule: str) -> Claim:
    """The command has no effect, by this rule."""

    def claim(story: Story) -> None:
        verdict = story.state.verdicts[FactRef(source=command.source, id=command.id)]
        _equal((verdict.effective, verdict.rule), (False, rule), command.id)
        assert verdict.explanation

    return claim


def obeys(command: Fact) -> Claim:
    """The command has effect."""
    return lambda story: _equal(story.state.verdicts[FactRef(source=command.source, id=command.id)].effective, True, command.id)


def keeps(fact: Fact, instead_of: Fact) -> Claim:
    """Of two facts of one identity one is the fact, and the other is refused."""

    def claim(story: Story) -> None:
        assert fact in [known for _, known in story.record.fold.facts]
        assert [known.fact for known in story.refused], "nothing was refused"
        assert all(known.fact == instead_of for known in story.refused)

    return claim


# ----------------------------------------------------------------------------------------------- deals


def has_deals(*names: str) -> Claim:
    """These deals exist and no others."""
    return lambda story: _equal(sorted(story.record.fold.images), sorted(names), "deals")


def deal(name: str, **claimed: Any) -> Claim:
    """What a deal is now: fields of its image and its figures; ``closed`` is a day, ``included`` the ids that count."""
    return lambda story: _equal(_told_of(story.record.fold.images[name][-1].what, claimed), claimed, name)


def deal_had(name: str, field: str, *history: tuple[float, Any]) -> Claim:
    """The history of one field of a deal."""

    def claim(story: Story) -> None:
        told = [(day_of(held.at), _told_of(held.what, {field: ...})[field]) for held in story.record.fold.images[name]]
        changes = [next(group) for _, group in groupby(told, key=lambda entry: entry[1])]
        _equal(changes, list(history), f"{field} of {name}")

    return claim


def _told_of(image: Image, fields: dict[str, Any]) -> dict[str, Any]:
    """Some fields of an image in the words of stories."""
    words: dict[str, Callable[[], Any]] = {
        "closed": lambda: day_of(image.closed_at),
        "close_date": lambda: image.close_date.isoformat() if isinstance(image.close_date, date) else None,
        "conflicts": lambda: list(image.currency_conflicts),
        "included": lambda: {document.id for document in image.documents if document.included},
        "documents": lambda: {document.id: document.state for document in image.documents},
        "replaced": lambda: {document.id: document.replaced_by for document in image.documents if document.replaced_by},
        "source": lambda: image.origin.source,
        "country": lambda: image.origin.country,
        **{name: lambda name=name: _whole(getattr(image.figures, name)) for name in FIGURES},
        "categories": lambda: [_whole(getattr(image.figures, name)) for name in ("worst", "likely", "upside")],
    }
    return {name: words[name]() if name in words else getattr(image, name) for name in fields}


def _whole(minor: int | None) -> float | None:
    return None if minor is None else minor / 100


# ---------------------------------------------------------------------------------------------- events


def stores(*topics: str) -> Claim:
    """The events of the last fact, by the names under which they are stored; none at all if it was known."""
    return lambda story: _equal([event.TOPIC for event in story.events], list(topics), "events")


def revises_status(since: float, *states: tuple[float, str], previous: str | None, current: str) -> Claim:
    """The status history is these states from a day on."""

    def claim(story: Story) -> None:
        (event,) = [event for event in story.events if isinstance(event, StatusRevised)]
        _equal(day_of(event.since), since, "since")
        _equal([(day_of(held.at), held.what.name) for held in event.states], list(states), "states")
        _equal((_name(event.previous), _name(event.current)), (previous, current), "previous and current")

    return claim


def _name(shown: StatusShown | None) -> str | None:
    return None if shown is None else shown.name


def revises_record(*changed: str, owner: str | None) -> Claim:
    """Owner or profile changed."""

    def claim(story: Story) -> None:
        (event,) = [event for event in story.events if isinstance(event, RecordRevised)]
        _equal((event.changed, event.owner), (changed, owner), "record")

    return claim


def tells_contact(contact: Contact) -> Claim:
    """The person travels with status and record."""

    def claim(story: Story) -> None:
        told = [event.contact for event in story.events if isinstance(event, StatusRevised | RecordRevised)]
        _equal(told, [contact], "contact")

    return claim


def revises_deals(**amounts: tuple[float, list[tuple[float, float | None]]] | None) -> Claim:
    """From which day on which deals' amounts are revised, ``opportunity_o1=(since, [(day, amount)…])``; None: the deal is gone."""

    def claim(story: Story) -> None:
        (event,) = [event for event in story.events if isinstance(event, DealsRevised)]
        seen = {
            revised.deal_id.replace(":", "_"): None
            if revised.since is None
            else (day_of(revised.since), [(day_of(held.at), _whole(held.image.figures.amount)) for held in revised.states])
            for revised in event.deals
        }
        _equal(seen, amounts, "deals")

    return claim


def judges(command: Fact, *, effective: bool) -> Claim:
    """The verdict on a command is told."""

    def claim(story: Story) -> None:
        (event,) = [event for event in story.events if isinstance(event, CommandJudged)]
        _equal((event.command.id, event.command.type, event.effective), (command.id, command.type, effective), "verdict")

    return claim


def reports(*progress: tuple[str, str, float]) -> Claim:
    """What is told of assignments: (assignment, progress, day)."""

    def claim(story: Story) -> None:
        events = [event for event in story.events if isinstance(event, HandoffProgressed) and not event.withdrawn]
        _equal([(event.assignment_id, event.progress, day_of(event.at)) for event in events], list(progress), "progress")

    return claim


def changes_nothing() -> Claim:
    """The fact enters the set, and that is all."""

    def claim(story: Story) -> None:
        assert [event.TOPIC for event in story.events] == [FactAccepted.TOPIC]

    return claim
