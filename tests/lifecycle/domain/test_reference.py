"""The fold agrees with a second one, written from FOLD.md alone in the plainest way that works."""

from typing import Any

from hypothesis import given
from msgspec.structs import astuple

from events.facts import LeadFields
from events.published import Profile
from services.lifecycle.domain.deals import Image
from services.lifecycle.domain.fold import fold_of
from services.lifecycle.domain.handoffs import Handoff, bounces
from services.lifecycle.domain.history import History as Held
from tests.lifecycle.domain.histories import History, histories
from tests.lifecycle.reference_facts import in_order
from tests.lifecycle.reference_fold import Reference
from tests.lifecycle.reference_handoffs import bounces_of, handoffs_of

SAID = [name for name in Profile.__struct_fields__ if name in LeadFields.__struct_fields__]


@given(histories())
def test_the_fold_agrees_with_the_reference(history: History) -> None:
    assert_agree(history)


def assert_agree(history: History) -> None:
    """Everything that either of the two says about a history is the same."""
    reference = Reference(history.facts, history.versions, history.zone)
    fold = fold_of(in_order(history.facts), history.policy)
    state = fold.state
    assert state is not None

    assert as_told(fold.statuses, lambda shown: (shown.stage, shown.name, shown.probability)) == reference.statuses
    images = reference.images()
    assert sorted(fold.images) == sorted(images)
    for deal, held in fold.images.items():
        assert as_told(held, plain) == images[deal], deal
    count = len(reference.facts)
    assert (state.owner.rep_id, state.owner.assignment_id) == reference.record_owner(count)
    assert {(ref.source, ref.id): verdict.effective for ref, verdict in state.verdicts.items()} == reference.verdicts
    handoffs = {assignment: tuple(handoff) for assignment, handoff in handoffs_of(reference).items()}
    assert {assignment: as_tuple(handoff) for assignment, handoff in state.handoffs.items()} == handoffs
    assert bounces(state.handoffs) == bounces_of(reference)
    lead = reference.records[-1].lead
    assert (state.lead.name, state.lead.lead_id, state.lead.wake_at) == (lead.name, lead.lead_id, lead.wake_at)
    assert {name: getattr(state.profile, name) for name in SAID} == {name: reference.said(name) for name in SAID}
    contact = reference.said("contact")
    assert (state.contact is None) is (contact is None)
    if contact is not None:
        assert [getattr(state.contact, part) for part in contact] == [last[0] if last else None for last in contact.values()]
    assert astuple(state.activity) == reference.last_active()


def as_tuple(handoff: Handoff) -> tuple[Any, ...]:
    """A hand-off of the domain as the reference writes it."""
    *fields, ending = astuple(handoff)
    return (*fields, None if ending is None else astuple(ending))


def as_told(history: Held[Any], plainly: Any) -> list[tuple[int, Any, str]]:
    """A history of the domain as the reference writes it."""
    return [(held.at, plainly(held.what), held.cause.id) for held in history]


def plain(image: Image) -> dict[str, Any]:
    """An image of the domain as the reference writes it."""
    figures, origin = image.figures, image.origin
    return {
        "state": image.state,
        "status": image.status,
        "probability": image.probability,
        "closed_at": image.closed_at,
        "reason": image.reason,
        "competitor": image.competitor,
        "close_date": image.close_date,
        "figures": (figures.amount, figures.worst, figures.likely, figures.upside, figures.low, figures.high),
        "category": image.category,
        "currency": image.currency,
        "currency_conflicts": image.currency_conflicts,
        "owner": image.owner,
        "splits": image.splits,
        "product": image.product,
        "origin": (origin.source, origin.source_kind, origin.campaign, origin.country, origin.region),
        "documents": [(d.kind, d.id, d.state, d.amount, d.included, d.replaced_by) for d in image.documents],
    }
