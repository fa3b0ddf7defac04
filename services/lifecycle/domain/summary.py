"""A record in one line: what lists show, search by and sort by."""

from __future__ import annotations

from msgspec import Struct

from events.facts import SourceKind, Stage
from services.lifecycle.domain.fold import Fold


class Summary(Struct, frozen=True, kw_only=True, gc=False):
    """A record as it is now. Instants in nanoseconds since 1970.

    ``since``: it has had this stage and status without a break since then, whatever its probability. ``began_at``: its first fact.
    ``active_at`` and ``touched_at`` as in :mod:`services.lifecycle.domain.activity`; a record to which nothing has happened yet is
    active since it began.
    """

    stage: Stage
    status: str
    probability: int
    since: int
    owner: str | None
    company: str | None
    country: str | None
    source: str | None
    source_kind: SourceKind | None
    score: int | None
    began_at: int
    active_at: int
    touched_at: int | None


def summary_of(fold: Fold) -> Summary:
    """The line of a record that has at least one fact."""
    state = fold.state
    assert state is not None
    profile = state.profile
    began_at = fold.statuses[0].at
    return Summary(
        stage=state.stage,
        status=state.status,
        probability=state.probability,
        since=_since(fold),
        owner=state.owner.rep_id,
        company=profile.company,
        country=profile.country,
        source=profile.source,
        source_kind=profile.source_kind,
        score=profile.score,
        began_at=began_at,
        active_at=began_at if state.activity.active_at is None else state.activity.active_at,
        touched_at=state.activity.touched_at,
    )


def _since(fold: Fold) -> int:
    """When the present stage and status began: a change of the probability alone does not count."""
    last = fold.statuses[-1]
    since = last.at
    for held in reversed(fold.statuses):
        if (held.what.stage, held.what.name) != (last.what.stage, last.what.name):
            break
        since = held.at
    return since
