"""The words in which the stories of routing are told."""

from collections.abc import Iterator, Sequence
from typing import Any

from events.facts import Contact
from events.published import Cause, HandoffProgressed, Profile, RecordChanged, Status, StatusChanged
from events.reference import Directory, Rep
from events.requests import OwnerChanged, ProgressReported, RecordMatched, Request
from events.values import format_instant
from services.routing.domain.decide import decide
from services.routing.domain.rule_set import Member, PoolTarget, RuleSet, Target, Territory, Unassigned
from services.routing.domain.story import Assigned, CustomerEvent, DirectoryApplied, RulesApplied, State

NOON = 1_767_268_800_000_000_000
"""2026-01-01T12:00:00Z."""
SECOND = 1_000_000_000
CAUSE = Cause(source="crm", id="1", type="crm.lead.created.v1")

NEW = Status(stage="lead", name="New", probability=0)
PROSPECT = Status(stage="prospect", name="Proposal", probability=50)
CUSTOMER = Status(stage="customer", name="Closed Won", probability=100)


def reps(*names: str, **inactive: bool) -> Directory:
    """A directory; ``reps("anna", ben=False)`` has ben inactive."""
    active = tuple(Rep(rep_id=name, team="Sales") for name in names)
    return Directory(reps=(*active, *(Rep(rep_id=name, active=is_active) for name, is_active in inactive.items())))


def pool_rules(default: Target | None = None, /, **pools: Sequence[str | tuple[str, int]]) -> RuleSet:
    """Rules with a territory for each pool, of the same name; nobody else gets anything unless ``default`` says so."""
    members = {
        name: tuple(Member(each) if isinstance(each, str) else Member(*each) for each in listed) for name, listed in pools.items()
    }
    return RuleSet(
        territories=tuple(Territory(name=name, target=PoolTarget(name)) for name in pools),
        pools=members,
        default=default or Unassigned(),
    )


def asks(customer: str, version: int, territory: str | None = None, **more: Any) -> RecordMatched:
    """Match asks for a rep."""
    more = {"rule_set_version": 1, "status": NEW, **more}
    return RecordMatched(**_request(customer, version), territory=territory, **more)


def shows(customer: str, version: int, owner: str, assignment_id: str | None = None) -> OwnerChanged:
    """The record shows an owner."""
    return OwnerChanged(**_request(customer, version), owner=owner, assignment_id=assignment_id)


def reports(
    customer: str, version: int, progress: str, assignment_id: str, rep_id: str, reason: str | None = None
) -> ProgressReported:
    """The rep did something about an assignment."""
    return ProgressReported(
        **_request(customer, version),
        assignment_id=assignment_id,
        rep_id=rep_id,
        progress=progress,
        reason=reason,
        at=format_instant(NOON),
    )


def _request(customer: str, version: int) -> dict[str, Any]:
    return {"customer_id": customer, "version": version, "recorded_at": format_instant(NOON + version * SECOND), "cause": CAUSE}


class DeskStory:
    """A desk without a log: requests in, decisions out."""

    def __init__(self, rules: RuleSet, directory: Directory) -> None:
        self.state = State()
        self.state.apply(RulesApplied(version=1, content=rules))
        self.state.apply(DirectoryApplied(version=1, content=directory))

    def when(self, *requests: Request) -> list[CustomerEvent]:
        """What is decided, request by request; every one comes twice, and the second time changes nothing."""
        return list(self._decided(requests))

    def assigned(self, *requests: Request) -> list[str]:
        """The reps that are chosen."""
        return [event.rep_id for event in self.when(*requests) if isinstance(event, Assigned)]

    def _decided(self, requests: Sequence[Request]) -> Iterator[CustomerEvent]:
        for request in requests:
            event = decide(self.state, request)
            if event is not None:
                self.state.apply(event)
                yield event
            assert decide(self.state, request) is None, "a repeated request was decided again"


# ----------------------------------------------------------------------------- what lifecycle says


def status_changed(customer: str, version: int, **more: Any) -> StatusChanged:
    """The record has a status; a new lead unless told."""
    more = {"previous": None, "current": NEW, "profile": Profile(), **more}
    return StatusChanged(**_request(customer, version), since=format_instant(NOON), states=(), **more)


def record_changed(customer: str, version: int, **more: Any) -> RecordChanged:
    """The record has another owner or profile."""
    more = {"status": NEW, "changed": ("owner",), "profile": Profile(), **more}
    return RecordChanged(**_request(customer, version), **more)


def progressed(customer: str, version: int, assignment_id: str, rep_id: str, progress: str, **more: Any) -> HandoffProgressed:
    """The first answer to an assignment."""
    return HandoffProgressed(
        **_request(customer, version),
        assignment_id=assignment_id,
        rep_id=rep_id,
        progress=progress,
        at=format_instant(NOON),
        **more,
    )


CONTACT = Contact(name="Erika Muster", email="erika@example.com")
