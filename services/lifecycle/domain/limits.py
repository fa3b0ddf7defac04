"""How large a record may become: every step of it takes bounded time, and every message about it fits its topic.

A fact that would go beyond is refused when it arrives. This is the only thing in which the order of arrival matters: of too many
facts, the first are kept.
"""

from typing import Final

import msgspec
from msgspec import Struct

from services.lifecycle.domain.adding import Folded

FACTS_MAX: Final = 20_000
"""Facts of one record: what is read and folded when it is needed and not in memory (about a minute of a slow machine)."""
DOCUMENTS_MAX: Final = 500
"""Documents of one deal: each of its states shows them all, in one message."""
ATTRIBUTES_BYTES_MAX: Final = 256 * 1024
"""What a record's attributes come to as JSON: leads add to them, and each message about the record carries them all."""


class Excess(Struct, frozen=True):
    """Why a fact is too much for its record; ``path`` is the field that it concerns."""

    reason: str
    path: str


def too_many(customer_id: str, facts: int) -> Excess | None:
    """Whether a record has more facts than are kept."""
    if facts <= FACTS_MAX:
        return None
    return Excess(
        f"{customer_id!r} has {FACTS_MAX} facts, and no more are kept of one customer: is it one customer, or what a sender says"
        " where it knows none?",
        "$.customer_id",
    )


def excess(customer_id: str, folded: Folded) -> Excess | None:
    """Whether a record has become too large by what was folded last."""
    state, members = folded.fold.state, folded.fold.grouping.members
    for deal in sorted(folded.deals):
        if len(members.get(deal, ())) > DOCUMENTS_MAX:
            return Excess(
                f"the deal {deal!r} of {customer_id!r} would have more than {DOCUMENTS_MAX} documents: give those that come an"
                " opportunity of their own",
                "$",
            )
    attributes = state.profile.attributes if state is not None else None
    if attributes and len(msgspec.json.encode(attributes)) > ATTRIBUTES_BYTES_MAX:
        return Excess(
            f"the attributes of {customer_id!r} would have more than {ATTRIBUTES_BYTES_MAX} bytes: names that are used again"
            " take the place of what they said before",
            "$.attributes",
        )
    return None
