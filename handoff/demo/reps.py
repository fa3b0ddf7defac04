"""What the simulated reps do with the records that routing gives them. Pure: the same assignment has the same answers, for ever."""

from random import Random
from typing import Final

from events.assignments import LeadAssigned
from events.facts import ActivityLogged, HandoffAccepted, HandoffRejected
from handoff.demo.company import GIVEN_BACK, PHONES, TALKS
from handoff.demo.story import Happening
from handoff.demo.worktime import HOUR, MINUTE, span

ACCEPTED: Final = 0.88
"""Of all assignments so many are accepted."""
GIVEN_BACK_AT_ALL: Final = 0.04
"""So many are given back; to the others nobody says anything."""


def answers(seed: int, assigned: LeadAssigned, at: int) -> list[Happening]:
    """What the rep says to an assignment of the instant ``at``, and does then."""
    rng = Random(f"{seed}/{assigned.assignment_id}")  # noqa: S311 - a simulation
    customer, rep, assignment = assigned.customer_id, assigned.rep_id, assigned.assignment_id
    fate, said = rng.random(), at + 2 * MINUTE + span(rng.random() ** 3 * 30, HOUR)
    if fate > ACCEPTED + GIVEN_BACK_AT_ALL:
        return []
    if fate > ACCEPTED:
        rejected = HandoffRejected(customer_id=customer, rep_id=rep, assignment_id=assignment, reason=rng.choice(GIVEN_BACK))
        return [Happening(said, PHONES, f"{assignment}/rejected", rejected)]
    accepted = HandoffAccepted(customer_id=customer, rep_id=rep, assignment_id=assignment)
    told = [Happening(said, PHONES, f"{assignment}/accepted", accepted)]
    if rng.random() < 0.7:
        talk = ActivityLogged(
            customer_id=customer,
            rep_id=rep,
            activity_id=f"{assignment}/first",
            kind=rng.choice(TALKS),
            direction="outbound",
            outcome=rng.choice((None, "meeting agreed", "voice mail", "sends documents")),
        )
        told.append(Happening(said + span(rng.random() ** 2 * 20, HOUR), PHONES, f"{assignment}/first", talk))
    return told
