"""A consumer of lifecycle: what one holds who hears every event in order and knows nothing else."""

from collections import Counter

from events.facts import FactRef
from events.published import Profile
from services.lifecycle.domain.deals import Image
from services.lifecycle.domain.events import (
    AnyEvent,
    CommandJudged,
    DealsRevised,
    FactAccepted,
    HandoffProgressed,
    RecordRevised,
    StatusRevised,
)
from services.lifecycle.domain.history import Held, StatusShown


class Consumer:
    """Histories of the status and of every deal, owner and profile, the refused commands, and what became of assignments."""

    def __init__(self) -> None:
        self.statuses: list[Held[StatusShown]] = []
        self.images: dict[str, list[tuple[int, Image]]] = {}
        self.current: StatusShown | None = None
        self.owner: str | None = None
        self.assignment_id: str | None = None
        self.profile = Profile()
        self.refused: set[FactRef] = set()
        self.progress: dict[tuple[str, str], tuple[str, int, str | None]] = {}
        self._facts: Counter[FactRef] = Counter()

    def hear(self, event: AnyEvent) -> None:
        """One more event."""
        match event:
            case FactAccepted():  # stored, but not published
                self._facts[FactRef(source=event.fact.source, id=event.fact.id)] += 1
            case StatusRevised():
                if event.part == 1:
                    assert event.previous == self.current, "the status before is the one that was said last"
                self.statuses = [held for held in self.statuses if held.at < event.since] + list(event.states)
                self.current = event.current
                self._record(event)
            case RecordRevised():
                assert event.status == self.statuses[-1].what
                self._record(event)
            case DealsRevised():
                self._deals(event)
            case CommandJudged():
                ref = FactRef(source=event.command.source, id=event.command.id)
                assert event.effective is (ref in self.refused) or self._facts[ref] > 1, "only what changes is told"
                self.refused = self.refused - {ref} if event.effective else self.refused | {ref}
            case HandoffProgressed():
                self._progress(event)

    def _record(self, event: StatusRevised | RecordRevised) -> None:
        self.owner, self.assignment_id, self.profile = event.owner, event.assignment_id, event.profile

    def _progress(self, event: HandoffProgressed) -> None:
        told = (event.assignment_id, event.progress)
        if event.withdrawn:
            del self.progress[told]
        else:
            assert self.progress.get(told) != (event.rep_id, event.at, event.reason), "only what changes is told"
            self.progress[told] = (event.rep_id, event.at, event.reason)

    def _deals(self, event: DealsRevised) -> None:
        for deal in event.deals:
            if deal.since is None:
                del self.images[deal.deal_id]
                continue
            kept = [(at, image) for at, image in self.images.get(deal.deal_id, []) if at < deal.since]
            self.images[deal.deal_id] = kept + [(held.at, held.image) for held in deal.states]
