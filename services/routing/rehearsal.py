"""What would become of a dead letter's record if it came now, in the hop that reads its topic.

The desk takes what is said about a customer in the order of versions, so a request that another one has overtaken changes nothing
any more: the next change of the record is routed by all that is known then.
"""

from events.bus.letters.office import Verdict
from events.codec import Undecodable, decode
from events.record import Record
from events.requests import RecordMatched, Request
from events.topics import LIFECYCLE, REQUEST, RULES
from services.routing.domain.story import Decision
from services.routing.inbound import READ, is_passed_over, request_of
from services.routing.publication import Reference
from services.routing.store import Store


class Rehearsal:
    """Asks the rules and the desk's log."""

    def __init__(self, store: Store, reference: Reference) -> None:
        self._store = store
        self._reference = reference

    def __call__(self, record: Record) -> Verdict:
        """What the record comes to."""
        if record.topic == LIFECYCLE.name and is_passed_over(record):
            return Verdict("accepted", reason="it does not concern routing")
        fact = decode(record, READ if record.topic == LIFECYCLE.name else REQUEST.types)
        if isinstance(fact, Undecodable):
            return Verdict("refused", "Undecodable", fact.reason, fact.path)
        if record.topic == REQUEST.name:
            assert isinstance(fact.data, Request)
            return self._of_request(fact.data)
        request = request_of(fact.data, self._reference.rules_in_force(), self._reference.directory_in_force().version)
        return Verdict("accepted", reason="it does not concern routing") if request is None else self._of_request(request)

    def _of_request(self, request: Request) -> Verdict:
        if isinstance(request, RecordMatched) and self._reference.rules_of(request.rule_set_version) is None:
            reason = f"version {request.rule_set_version} is not on {RULES.name}"
            return Verdict("refused", "Undecodable", reason, "$.rule_set_version")
        events = self._store.events_of(request.customer_id)
        decided = max((event.version for event in events if isinstance(event, Decision)), default=0)
        if request.version == decided:
            return Verdict("repeated", reason="the desk has decided this request")
        if request.version < decided:
            reason = (
                f"the desk has decided about version {decided} of {request.customer_id!r} since: it says nothing new any more;"
                " drop the letter"
            )
            return Verdict("refused", "Overtaken", reason, "$.version")
        return Verdict("accepted")
