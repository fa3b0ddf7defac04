"""The fold of FOLD.md a second time, in the plainest way that works, to hold the real one against.

In go the facts of one customer and the versions of the status table, out comes what held when. It shares no code with
services/lifecycle: every question about a point of the fold is answered by going through the facts up to there again. Slow on
purpose. Everywhere ``i`` is the number of a fact in fold order, ``n`` how many facts are folded; (12) is a rule of FOLD.md.
This is the last of three parts: histories, and the record's status (FOLD 3, 19 to 23).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from events.codec import Fact
from events.values import parse_instant_or_date
from tests.lifecycle.reference_deals import Deals
from tests.lifecycle.reference_facts import DEFAULT, RANKS, Table

COMMANDS = RANKS[80].split()
STAGES = ["lead", "prospect", "customer"]
LEADS = ["lead.created", "lead.updated"]
BUSINESS = ["lead", "opportunity", "quote", "order"]
ASSIGNED = ["lead.assigned", "lead.unassigned"]


class Lead(NamedTuple):
    """What the lead facts have come to (19, 20): the status, how and by which fact, and the recycling that stands."""

    name: str
    how: str
    by: int = -1
    lead_id: str | None = None
    recycling: int | None = None
    wake_at: int | None = None


class Record(NamedTuple):
    """A record at a point; ``hand``: what a person set, while it holds; ``reverted``: when it was reverted last."""

    stage: str
    name: str
    probability: int
    lead: Lead
    hand: str | None = None
    reverted: int | None = None


Held = tuple[int, Any, str]  # since when, what, and the id of the fact that brought it about


class Reference(Deals):
    """What the facts of one customer come to."""

    def __init__(self, facts: Iterable[Fact], versions: Sequence[Table] = (DEFAULT,), zone: tzinfo = UTC) -> None:
        super().__init__(facts, versions)
        self.zone = zone
        self.records: list[Record] = []
        self.verdicts: dict[tuple[str, str], bool] = {}
        for i in range(len(self.facts)):
            self.records.append(self._record(i))

    # --------------------------------------------------------------------------- (4) what leads have said

    def said(self, field: str) -> Any:
        """What leads have said in a field: the last one counts, of where the customer comes from the first.

        A contact is told part by part, attributes name by name.
        """
        values = [getattr(fact.data, field) for fact, kind in zip(self.facts, self.kind, strict=True) if kind in LEADS]
        told = [value for value in values if value is not None]
        if not told:
            return None
        if field == "attributes":
            return {name: value for attributes in told for name, value in attributes.items()}
        if field == "contact":
            parts = told[0].__struct_fields__
            return {part: [getattr(each, part) for each in told if getattr(each, part) is not None][-1:] for part in parts}
        return told[0] if field in ("source", "source_kind") else told[-1]

    def last_active(self) -> tuple[int | None, int | None]:
        """When anything last happened with the customer, and when somebody last did something; what Handoff does is neither."""
        business = [i for i, kind in enumerate(self.kind) if kind.split(".")[0] in BUSINESS and kind not in ASSIGNED]
        people = [i for i, kind in enumerate(self.kind) if kind == "activity.logged" and not self.facts[i].data.automatic]
        return max(map(self.at, business + people), default=None), max(map(self.at, people), default=None)

    # ------------------------------------------------------------------------------------- (3) history

    @property
    def statuses(self) -> list[Held]:
        """The history of (stage, name, probability)."""
        return self._history(0, lambda n: self.records[n - 1][:3])

    def images(self) -> dict[str, list[Held]]:
        """The history of every deal."""
        return {deal: self._history(self.first(deal), lambda n, deal=deal: self.image(deal, n)) for deal in self.deals}

    def _history(self, begin: int, what: Any) -> list[Held]:
        history: list[Held] = []
        values = {n: what(n) for n in range(begin + 1, len(self.facts) + 1)}
        for n, value in values.items():
            if n < len(self.facts) and self.at(n) == self.at(n - 1):
                continue  # not the last fact of its instant
            if history and history[-1][1] == value:
                continue
            cause = n  # the fact since which it is so without a break
            while cause - 1 in values and values[cause - 1] == value:
                cause -= 1
            history.append((self.at(n - 1), value, self.facts[cause - 1].id))
        return history

    # ------------------------------------------------------------------------------ (19-23) the record's status

    def _record(self, i: int) -> Record:
        table = self.table(i)
        new = table.triggers["new"]
        before = self.records[i - 1] if i else Record("lead", new, table.probability(new), Lead(new, "new"))
        lead = self._lead(before, i)
        stage, hand, reverted = before.stage, before.hand, before.reverted
        data, kind = self.facts[i].data, self.kind[i]
        if kind in COMMANDS:
            effective = self._has_effect(before, i)
            self.verdicts[self.facts[i].source, self.facts[i].id] = effective
            if effective and kind == "status.set":
                stage, hand = table.stage(data.status), data.status
                if STAGES.index(stage) < STAGES.index(before.stage):
                    reverted = self.at(i)
                if stage == "lead":
                    lead = lead._replace(recycling=None, wake_at=None)
            elif effective and kind == "status.reverted":
                stage, hand, reverted = data.stage, None, self.at(i)
            elif effective and kind == "customer.converted":
                stage, hand = "prospect", None
        else:
            stage = max(stage, self._promotion(i, before.reverted), key=STAGES.index)
            if stage != before.stage or self._sets_a_status(before, lead, i):
                hand = None
        now = Record(stage, before.name, before.probability, lead, hand, reverted)
        if stage == before.stage and hand == before.hand and not self._sets_a_status(before, lead, i) and not self.touched(i):
            return now
        name = hand if hand is not None else self._own_rule(stage, lead, i + 1, table)
        if (stage, name) == (before.stage, before.name):
            return now
        return now._replace(name=name, probability=table.probability(name))

    def _lead(self, before: Record, i: int) -> Lead:
        data, kind, lead, triggers = self.facts[i].data, self.kind[i], before.lead, self.table(i).triggers
        if kind in ("lead.created", "lead.updated", "lead.qualified") and data.lead_id is not None:
            lead = lead._replace(lead_id=data.lead_id)
        by_hand = before.hand if before.stage == "lead" else None
        dead = lead.how in ("disqualified", "recycled") or by_hand in (triggers["disqualified"], triggers["recycled"])
        names_it = kind in ("lead.disqualified", "lead.recycled") and (
            data.lead_id is None or lead.lead_id is None or data.lead_id == lead.lead_id
        )
        how = None
        match kind:
            case "lead.created" if dead:
                how = "new"
            case "lead.qualified":
                how = "qualified"
            case "lead.disqualified" if names_it:
                how = "disqualified"
            case "lead.recycled" if names_it:
                wake_at = max(self._begin(data.until), self.at(i)) if data.until is not None else None
                return Lead(triggers["recycled"], "recycled", i, lead.lead_id, i, wake_at)
            case "activity.logged" if data.direction == "inbound" and not data.automatic and lead.recycling is not None:
                how = "new" if self.at(i) > self.at(lead.recycling) else None
            case "tick" if lead.recycling is not None:
                recycled = self.facts[lead.recycling]
                how = "new" if (data.recycled.source, data.recycled.id) == (recycled.source, recycled.id) else None
        return lead if how is None else Lead(triggers[how], how, i, lead.lead_id)

    def _begin(self, until: str) -> int:
        moment = parse_instant_or_date(until)
        if isinstance(moment, int):
            return moment
        return int(datetime(moment.year, moment.month, moment.day, tzinfo=self.zone).timestamp()) * 10**9

    def touched(self, i: int) -> list[str]:
        """The deals that a fact is about: its document's, and that of the quote which it replaces."""
        document = self.documents[i]
        if document is None:
            return []
        deals = [self.deal_of(document)]
        old = getattr(self.facts[i].data, "replaces", None)
        if old is not None and self.replaced_by(old, i) is None and self.replaced_by(old, i + 1) is not None:
            deals += [self.deal_of(("quote", old))] if self.own(("quote", old), i) else []
        return deals

    def _promotion(self, i: int, reverted: int | None) -> str:
        table, kind, n = self.table(i), self.kind[i], i + 1
        deals = self.touched(i)
        said_won = [said for deal in deals if (said := self.last_said(deal, n)) and said[1] == "won"]
        counting = [said for said in said_won if table.opportunities_enabled or self.kind[said[0]] != "opportunity.won"]
        if reverted is None:  # (21)
            if counting or any(self.sold(deal, n) for deal in deals):
                return "customer"
            about = kind.split(".")[0]
            return "prospect" if about == "quote" or (about == "opportunity" and table.opportunities_enabled) else "lead"
        if self.at(i) <= reverted:  # (23)
            return "lead"
        placed = kind == "order.placed" and not self.is_credit(self.documents[i], n) and self.live(self.documents[i], n)
        if placed or any(said[0] == i for said in counting):
            return "customer"
        again = ["quote.created", "quote.sent", "quote.accepted"] + ["opportunity.created"] * table.opportunities_enabled
        return "prospect" if kind in again else "lead"

    def _sets_a_status(self, before: Record, lead: Lead, i: int) -> bool:
        """Whether a fact sets a status at the record's stage (23)."""
        if before.stage == "lead":
            if self.kind[i] == "lead.created" and before.hand is not None:
                triggers = self.table(i).triggers
                return before.hand in (triggers["disqualified"], triggers["recycled"])
            return lead.by == i
        if before.stage == "prospect":
            return any(i == self.first(d) or self.status(d, i) != self.status(d, i + 1) for d in self.deals if self.first(d) <= i)
        return False

    def _own_rule(self, stage: str, lead: Lead, n: int, table: Table) -> str:
        if stage == "lead":
            return lead.name
        if stage == "customer":
            return table.triggers["sale"]
        begun = sorted((deal for deal in self.deals if self.first(deal) < n), key=self.first)
        openly = [deal for deal in begun if self.state(deal, n) == "open"]
        if openly:
            return self.status(max(openly, key=lambda d: (self.probability(d, n), table.place(self.status(d, n)))), n)
        lost = [deal for deal in begun if self.state(deal, n) == "lost"]
        return self.status(max(lost, key=lambda d: self.of(d, n)[-1]), n) if lost else table.triggers["converted"]

    def _has_effect(self, before: Record, i: int) -> bool:
        data, kind = self.facts[i].data, self.kind[i]
        match kind:
            case "status.set":
                return self.table(i).stage(data.status) is not None and data.status != before.name
            case "status.reverted":
                return STAGES.index(data.stage) < STAGES.index(before.stage)
            case "customer.converted":
                return before.stage == "lead"
        return data.rep_id != self.record_owner(i)[0]
