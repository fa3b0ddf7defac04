"""The reference fold, second part: deals, and who owns them and the record (FOLD 12 to 18)."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from events.codec import Fact
from events.values import Money
from tests.lifecycle.reference_facts import Document, Facts, Table, short

CATEGORIES = ["worst", "likely", "upside"]
FIGURES = ("amount", "worst", "likely", "upside", "low", "high")


class Deals(Facts):
    """The deals of one customer at every point of the fold."""

    def __init__(self, facts: Iterable[Fact], versions: Sequence[Table]) -> None:
        super().__init__(facts, versions)
        self.state, self.status, self.record_owner = cache(self.state), cache(self.status), cache(self.record_owner)
        self.amounts, self.probability = cache(self.amounts), cache(self.probability)

    # ------------------------------------------------------------------------------------- (12) a deal's state

    def live_of(self, kind: str, deal: str, n: int) -> list[Document]:
        """A deal's live quotes or orders."""
        return [document for document in self.members(deal, n) if document[0] == kind and self.live(document, n)]

    def sold(self, deal: str, n: int) -> bool:
        """Whether a deal has a live order that is no credit."""
        return any(not self.is_credit(order, n) for order in self.live_of("order", deal, n))

    def opportunity(self, deal: str, n: int) -> Document | None:
        """A deal's opportunity, if it has a fact of its own."""
        return next((document for document in self.members(deal, n) if document[0] == "opportunity"), None)

    def stages(self, deal: str, n: int) -> list[tuple[int, str]]:
        """Each change of the stage that an opportunity names: by which fact, to what. What is no stage of a deal does not count."""
        changes: list[tuple[int, str]] = []
        for i in self.of(deal, n):
            stage, table = getattr(self.facts[i].data, "stage", None), self.table(i)
            counts = stage is not None and (table.stage(stage) == "prospect" or stage == table.triggers["sale"])
            if counts and (not changes or changes[-1][1] != stage):
                changes.append((i, stage))
        return changes

    def last_said(self, deal: str, n: int) -> tuple[int, str] | None:
        """The last of won, lost and reopened, and the fact that said so (12)."""
        changed = dict(self.stages(deal, n))
        said = None
        for i in self.of(deal, n):
            kind, table = self.kind[i], self.table(i)
            while_lost = i > self.first(deal) and self.state(deal, i) == "lost"
            reopened = (
                (kind == "opportunity.updated" and i in changed)
                or (kind in ("quote.created", "quote.sent", "quote.accepted") and while_lost)
                or (kind == "order.cancelled" and self.sold(deal, i) and not self.sold(deal, i + 1))
            )
            if kind == "opportunity.won" or changed.get(i) == table.triggers["sale"]:
                said = (i, "won")
            elif kind == "opportunity.lost" or changed.get(i) == table.triggers["lost"]:
                said = (i, "lost")
            elif reopened:
                said = (i, "open")
        return said

    def state(self, deal: str, n: int) -> str:
        """Open, won or lost (12)."""
        if self.sold(deal, n):
            return "won"
        quotes, orders = self.live_of("quote", deal, n), self.live_of("order", deal, n)
        opportunity = self.opportunity(deal, n)
        if orders and not quotes and opportunity is None:
            return "won"  # live credits only
        said = self.last_said(deal, n)
        if said is not None and said[1] != "open":
            return said[1]
        return "lost" if opportunity is None and not quotes and not orders else "open"

    def since(self, what: Any, deal: str, n: int) -> int:
        """The fact since which a deal has its state, or its status."""
        begin = self.first(deal)
        while n - 1 > begin and what(deal, n - 1) == what(deal, n):
            n -= 1
        return n - 1

    # ------------------------------------------------------------------------------- (13, 14) figures, close date

    def amounts(self, deal: str, n: int) -> dict[str, Any]:
        """Figures in minor units, currency, conflicts, category, and the documents that were counted."""
        documents, opportunity = self.members(deal, n), self.opportunity(deal, n)
        priced = [d for d in documents if self.price(d, n) is not None]
        nothing = dict.fromkeys(("amount", "worst", "likely", "upside", "low", "high"))
        default = self.value(opportunity, "category", n, "likely") if opportunity else "likely"
        if not priced:
            return {**nothing, "currency": None, "conflicts": (), "category": default, "counted": []}
        currency = self.price(priced[0], n).currency
        fields = ("amount", "amount_low", "amount_high", "won_amount")
        said = [self.value(d, field, n) for d in priced for field in fields]
        conflicts = tuple(sorted({money.currency for money in said if money is not None} - {currency}))

        def figure(document: Document, field: str = "amount") -> int | None:
            money = self.value(document, field, n)
            return money.minor if money is not None and money.currency == currency else None

        def category(document: Document) -> str:
            return self.value(document, "category", n, "likely")

        def answer(counted: list[Document], figures: dict[str, Any], kind: str) -> dict[str, Any]:
            return {**nothing, **figures, "currency": currency, "conflicts": conflicts, "category": kind, "counted": counted}

        def all_the_same(figure: int) -> dict[str, Any]:
            return dict.fromkeys(nothing, figure)

        orders = [d for d in self.live_of("order", deal, n) if figure(d) is not None]
        if orders and (self.sold(deal, n) or all(self.is_credit(d, n) for d in documents)):
            return answer(orders, all_the_same(sum(figure(d) or 0 for d in orders)), default)
        quotes = [d for d in self.live_of("quote", deal, n) if figure(d) is not None]
        if self.state(deal, n) == "won":
            if opportunity and (won := figure(opportunity, "won_amount")) is not None:
                return answer([opportunity], all_the_same(won), default)
            accepted = [d for d in quotes if self.accepted(d[1], n)]
            if accepted:
                last = max(accepted, key=lambda d: self.accepted(d[1], n)[-1])
                return answer([last], all_the_same(figure(last) or 0), category(last))
        counted = [d for d in quotes if self.value(d, "include_in_forecast", n, True)]
        if not counted and opportunity and figure(opportunity) is not None:
            counted = [opportunity]
        if not counted:
            return answer([], {}, default)
        sure = [d for d in counted if category(d) != "upside"]
        highest = max(sure or counted, key=lambda d: figure(d) or 0)  # of equals the first

        def ranged(document: Document, place: int) -> int:
            amount = figure(document) or 0
            own = (figure(document, "amount_low"), amount, figure(document, "amount_high"))[place]
            return amount if own is None else own

        figures: dict[str, Any] = {"low": ranged(highest, 0), "amount": ranged(highest, 1), "high": ranged(highest, 2)}
        for place, name in enumerate(CATEGORIES):
            within = [ranged(d, place) for d in counted if CATEGORIES.index(category(d)) <= place]
            figures[name] = max(within) if within else None
        return answer(counted, figures, category(highest))

    def price(self, document: Document, n: int) -> Money | None:
        """What a document shows as its amount: its own, else what it was won at."""
        amount = self.value(document, "amount", n)
        return amount if amount is not None else self.value(document, "won_amount", n)

    def included_last(self, deal: str, field: str, n: int, within: Any = lambda _i: True) -> Any:
        """The last named by a live included quote, else by the opportunity (14, 16); only facts ``within`` count."""
        quotes = [q for q in self.live_of("quote", deal, n) if self.value(q, "include_in_forecast", n, True)]
        by_quotes = [self.named(q, field, n)[-1] for q in quotes if self.named(q, field, n)]
        opportunity = self.opportunity(deal, n)
        by_opportunity = self.named(opportunity, field, n)[-1:] if opportunity else []
        for named in (by_quotes, by_opportunity):
            holding = [i for i in named if within(i)]
            if holding:
                return getattr(self.facts[max(holding)].data, field)
        return None

    # --------------------------------------------------------------------- (15-17) status, probability, owner

    def status(self, deal: str, n: int) -> str:
        """A deal's status (15), named by the version at its last own fact (24)."""
        table, state = self.table(self.of(deal, n)[-1]), self.state(deal, n)
        triggers = table.triggers
        if state != "open":
            return triggers["sale"] if state == "won" else triggers["lost"]
        names = [triggers["opportunity"]]
        explicit = [(i, stage) for i, stage in self.stages(deal, n) if self.is_open_stage(i, stage)]
        if explicit:
            names.append(explicit[-1][1])
        for quote in self.live_of("quote", deal, n):
            if explicit and self.own(quote, n)[-1] < explicit[-1][0]:
                continue
            names.append(triggers["quote"])
            if self.document_state(quote, n) in ("returned", "accepted"):
                names.append(triggers[self.document_state(quote, n)])
        return max(names, key=table.place)

    def is_open_stage(self, i: int, stage: str) -> bool:
        """Whether a stage, named by a fact, was an open one."""
        return stage not in (self.table(i).triggers["sale"], self.table(i).triggers["lost"])

    def probability(self, deal: str, n: int) -> int:
        """A deal's probability (16)."""
        if self.state(deal, n) != "open":
            return 100 if self.state(deal, n) == "won" else 0
        since = self.since(self.status, deal, n)
        explicit = self.included_last(deal, "probability", n, within=lambda i: self.at(i) >= self.at(since))
        return self.table(since).probability(self.status(deal, n)) if explicit is None else explicit

    def named_owners(self, deal: str, n: int) -> list[int]:
        """The facts of a deal that name an owner."""
        return [i for i in self.of(deal, n) if getattr(self.facts[i].data, "owner", None) is not None]

    def owner(self, deal: str, n: int) -> str | None:
        """A deal's owner (17)."""
        named = self.named_owners(deal, n)
        if named:
            return self.facts[named[-1]].data.owner
        if self.state(deal, n) == "open":
            return self.record_owner(n)[0]
        for after in range(self.since(self.state, deal, n) + 1, n + 1):
            if self.record_owner(after)[0] is not None:
                return self.record_owner(after)[0]
        return None

    def image(self, deal: str, n: int) -> dict[str, Any]:
        """Everything that is published of a deal."""
        state, opportunity, amounts = self.state(deal, n), self.opportunity(deal, n), self.amounts(deal, n)
        said = self.last_said(deal, n)
        lost = self.facts[said[0]].data if said and state == said[1] == "lost" else None
        return {
            "state": state,
            "status": self.status(deal, n),
            "probability": self.probability(deal, n),
            "closed_at": None if state == "open" else self.at(self.since(self.state, deal, n)),
            "reason": getattr(lost, "reason", None),
            "competitor": getattr(lost, "competitor", None),
            "close_date": self.included_last(deal, "close_date", n),
            "figures": tuple(amounts[name] for name in ("amount", "worst", "likely", "upside", "low", "high")),
            "category": amounts["category"],
            "currency": amounts["currency"],
            "currency_conflicts": amounts["conflicts"],
            "owner": self.owner(deal, n),
            "splits": self.value(opportunity, "splits", n, ()) if opportunity else (),
            "product": self.value(opportunity, "product", n) if opportunity else None,
            "origin": self.origin(n),
            "documents": [self._document_image(d, d in amounts["counted"], said, n) for d in self.members(deal, n)],
        }

    def _document_image(self, document: Document, counted: bool, said: tuple[int, str] | None, n: int) -> tuple[Any, ...]:
        own = "open" if said is None else said[1]
        state = own if document[0] == "opportunity" else self.document_state(document, n)
        replaced_by = self.replaced_by(document[1], n) if document[0] == "quote" else None
        return (*document, state, self.price(document, n), counted, replaced_by)

    def origin(self, n: int) -> tuple[Any, ...]:
        """What leads have said that forecasts are grouped by; source and its kind are the first ones."""
        said = []
        for field, which in (("source", 0), ("source_kind", 0), ("campaign", -1), ("country", -1), ("region", -1)):
            facts = [fact.data for fact in self.facts[:n] if short(fact) in ("lead.created", "lead.updated")]
            values = [value for data in facts if (value := getattr(data, field)) is not None]
            said.append(values[which] if values else None)
        return tuple(said)

    # ----------------------------------------------------------------------------------- (18) the record's owner

    def record_owner(self, n: int) -> tuple[str | None, str | None]:
        """The record's owner, and the assignment that made it so."""
        owner, lead_owner, decided = (None, None), None, False
        for i in range(n):
            data = self.facts[i].data
            match self.kind[i]:
                case "lead.created" | "lead.updated" if data.owner is not None and data.owner != lead_owner:
                    lead_owner = data.owner
                    owner, decided = (data.owner, None), True
                case "lead.assigned":
                    owner, decided = (data.rep_id, data.assignment_id), True
                case "lead.unassigned" if data.assignment_id is not None and data.assignment_id == owner[1]:
                    owner, decided = (None, None), True
                case "owner.set" if self.record_owner(i)[0] != data.rep_id:
                    owner, decided = (data.rep_id, None), True
        if decided:
            return owner
        naming = [deal for deal in self.deals if self.named_owners(deal, n)]
        if not naming:
            return None, None
        first = min(naming, key=lambda deal: self.named_owners(deal, n)[0])
        return self.facts[self.named_owners(first, n)[-1]].data.owner, None
