"""When anything last happened to a customer, and when somebody last spoke with them: what idle records and follow-ups go by."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from events.codec import Fact
from events.facts import ActivityLogged, LeadFact, LeadFields, OpportunityFact, OrderFact, QuoteFact

_BUSINESS: Final = (LeadFields, LeadFact, OpportunityFact, QuoteFact, OrderFact)


class Activity(Struct, frozen=True, gc=False):
    """The last instants (nanoseconds since 1970), None where there was none.

    ``active_at``: something happened between the customer and the company. What Handoff does itself (assignments, ticks), what a
    machine does and what people decide about the record do not count: a lead that nobody has spoken to for a year stays idle when
    it gets another owner. ``touched_at``: somebody, and no machine, did something with the customer.
    """

    active_at: int | None = None
    touched_at: int | None = None


def activity_after(activity: Activity, fact: Fact) -> Activity:
    """The same after one more fact, later than all before."""
    data = fact.data
    if isinstance(data, ActivityLogged) and not data.automatic:
        return Activity(fact.occurred_at, fact.occurred_at)
    if isinstance(data, _BUSINESS):
        return Activity(fact.occurred_at, activity.touched_at)
    return activity


def latest(one: Activity, other: Activity) -> Activity:
    """The last instants of two sets of facts together."""
    active, touched = (
        max((at for at in instants if at is not None), default=None)
        for instants in ((one.active_at, other.active_at), (one.touched_at, other.touched_at))
    )
    return Activity(active, touched)
