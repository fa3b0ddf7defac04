"""The fold of FOLD.md a second time, in the plainest way that works, to hold the real one against.

In go the facts of one customer and the versions of the status table, out comes what held when. It shares no code with
services/lifecycle: every question about a point of the fold is answered by going through the facts up to there again. Slow on
purpose. Everywhere ``i`` is the number of a fact in fold order, ``n`` how many facts are folded; (12) is a rule of FOLD.md.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any, NamedTuple

from events.codec import Fact, content
from events.values import Money, parse_instant_or_date

RANKS = {  # (1)
    10: "lead.created", 11: "lead.updated", 12: "lead.qualified", 13: "lead.recycled", 14: "lead.disqualified",
    20: "opportunity.created", 21: "opportunity.updated",
    30: "quote.created", 31: "quote.updated", 32: "quote.sent", 33: "quote.returned", 34: "quote.accepted",
    35: "quote.declined", 36: "quote.cancelled",
    40: "order.placed", 41: "order.billed", 42: "order.cancelled",
    50: "opportunity.lost", 51: "opportunity.won",
    60: "activity.logged handoff.accepted handoff.rejected",
    70: "lead.unassigned", 71: "lead.assigned", 72: "handoff.breached handoff.completed",
    75: "tick",
    80: "status.set status.reverted customer.converted owner.set",
}  # fmt: skip
RANK = {name: rank for rank, names in RANKS.items() for name in names.split()}
COMMANDS = RANKS[80].split()
STAGES = ["lead", "prospect", "customer"]
CATEGORIES = ["worst", "likely", "upside"]


class Table(NamedTuple):
    """A version of the status table (24): rows of (name, stage, probability)."""

    since: int
    rows: Sequence[tuple[str, str, int]]
    triggers: dict[str, str]
    opportunities_enabled: bool = True

    def place(self, name: str) -> int:
        """How far a status is; -1 where this version does not have it."""
        names = [row[0] for row in self.rows]
        return names.index(name) if name in names else -1

    def probability(self, name: str) -> int:
        """The probability of a status."""
        return dict((row[0], row[2]) for row in self.rows).get(name, 0)

    def stage(self, name: str) -> str | None:
        """The stage of a status."""
        return dict((row[0], row[1]) for row in self.rows).get(name)


DEFAULT = Table(
    0,
    [
        ("New", "lead", 0), ("Qualified", "lead", 0), ("Unqualified", "lead", 0), ("Dead", "lead", 0), ("Recycled", "lead", 0),
        ("Opportunity Identified", "prospect", 10), ("In Discussion", "prospect", 20),
        ("Identified Decision Makers", "prospect", 30), ("Proposal", "prospect", 50), ("In Negotiation", "prospect", 75),
        ("Purchasing", "prospect", 90), ("Closed Lost", "prospect", 0), ("Closed Won", "customer", 100),
    ],
    {
        "new": "New", "qualified": "Qualified", "disqualified": "Dead", "recycled": "Recycled",
        "converted": "Opportunity Identified", "opportunity": "Opportunity Identified", "quote": "Proposal",
        "returned": "In Negotiation", "accepted": "Purchasing", "sale": "Closed Won", "lost": "Closed Lost",
    },
)  # fmt: skip


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


Document = tuple[str, str]
Held = tuple[int, Any, str]  # since when, what, and the id of the fact that brought it about


def in_order(facts: Iterable[Fact]) -> list[Fact]:
    """One fact of each identity (2), in fold order (1)."""
    chosen: dict[tuple[str, str], Fact] = {}
    for fact in sorted(facts, key=lambda fact: hashlib.sha256(content(fact)).digest()):
        chosen.setdefault((fact.source, fact.id), fact)
    return sorted(
        chosen.values(), key=lambda fact: (fact.occurred_at, RANK[short(fact)], fact.source.encode(), fact.id.encode())
    )


def short(fact: Fact) -> str:
    """``quote.sent`` of ``crm.quote.sent.v1``."""
    return "tick" if fact.type == "lifecycle.tick.v1" else fact.type.removeprefix("crm.").removesuffix(".v1")


class Reference:
    """What the facts of one customer come to."""

    def __init__(self, facts: Iterable[Fact], versions: Sequence[Table] = (DEFAULT,), zone: tzinfo = UTC) -> None:
        self.facts = in_order(facts)
        self.kind = [short(fact) for fact in self.facts]
        self.versions = sorted(versions, key=lambda version: version.since)
        self.zone = zone
        self.documents = [self._document(i) for i in range(len(self.facts))]
        self.state, self.status, self.record_owner = cache(self.state), cache(self.status), cache(self.record_owner)
        self.deal_of, self.amounts, self.probability = cache(self.deal_of), cache(self.amounts), cache(self.probability)
        self.replaces = self._standing()
        self.deals = list(dict.fromkeys(self.deal_of(document) for document in self.documents if document))
        self.records: list[Record] = []
        self.verdicts: dict[tuple[str, str], bool] = {}
        for i in range(len(self.facts)):
            self.records.append(self._record(i))

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
        for n in values:
            if n < len(self.facts) and self.at(n) == self.at(n - 1):
                continue  # not the last fact of its instant
            if history and history[-1][1] == values[n]:
                continue
            cause = n  # the fact since which it is so without a break
            while cause - 1 in values and values[cause - 1] == values[n]:
                cause -= 1
            history.append((self.at(n - 1), values[n], self.facts[cause - 1].id))
        return history

    def at(self, i: int) -> int:
        """The instant of a fact."""
        return self.facts[i].occurred_at

    def table(self, i: int) -> Table:
        """The version in force at a fact (24)."""
        return ([v for v in self.versions if v.since <= self.at(i)] or self.versions[:1])[-1]

    # ----------------------------------------------------------------------------------- (5-7) documents

    def _document(self, i: int) -> Document | None:
        kind = self.kind[i].split(".")[0]
        return (kind, getattr(self.facts[i].data, f"{kind}_id")) if kind in ("opportunity", "quote", "order") else None

    def own(self, document: Document, n: int) -> list[int]:
        """The facts of a document."""
        return [i for i in range(n) if self.documents[i] == document]

    def named(self, document: Document, field: str, n: int) -> list[int]:
        """The facts of a document that name a field; what an opportunity is won at is a field of its own."""
        name, won = ("amount", True) if field == "won_amount" else (field, False)
        mine = [i for i in self.own(document, n) if (self.kind[i] == "opportunity.won") is won]
        return [i for i in mine if getattr(self.facts[i].data, name, None) is not None]

    def value(self, document: Document, field: str, n: int, default: Any = None) -> Any:
        """The last writer's."""
        named = self.named(document, field, n)
        return getattr(self.facts[named[-1]].data, "amount" if field == "won_amount" else field) if named else default

    def document_state(self, document: Document, n: int) -> str:
        """A quote's and an order's state (6)."""
        state = {"quote": "created", "order": "placed"}[document[0]]
        for i in self.own(document, n):
            said = self.kind[i].split(".")[1]
            if said == "sent" and state == "returned":
                continue
            if said in ("sent", "accepted", "declined", "cancelled", "returned", "billed"):
                state = said
        return state

    def replaced_by(self, quote: str, n: int) -> str | None:
        """The quote that took its place (7)."""
        for i in range(n):
            if getattr(self.facts[i].data, "replaces", None) == quote:
                by = self.facts[i].data.quote_id
                if self.replaces.get(by) == quote:
                    return by
        return None

    def accepted(self, quote: str, n: int) -> list[int]:
        """The acceptances of a quote so far."""
        return [i for i in self.own(("quote", quote), n) if self.kind[i] == "quote.accepted"]

    def live(self, document: Document, n: int) -> bool:
        """Whether a quote or an order is live (7)."""
        if document[0] == "opportunity" or self.document_state(document, n) in ("declined", "cancelled"):
            return False
        return document[0] == "order" or self.replaced_by(document[1], n) is None or bool(self.accepted(document[1], n))

    def is_credit(self, document: Document, n: int) -> bool:
        """An order with a negative amount (7)."""
        amount = self.value(document, "amount", n)
        return document[0] == "order" and amount is not None and amount.minor < 0

    # -------------------------------------------------------------------------------- (8-11) links, deals

    def link(self, kind: str, field: str) -> dict[str, tuple[int, str]]:
        """A link field of all documents of a kind: the last writer and what it names (8)."""
        links = {}
        for i, document in enumerate(self.documents):
            if document and document[0] == kind and getattr(self.facts[i].data, field, None) is not None:
                links[document[1]] = (i, getattr(self.facts[i].data, field))
        return links

    def _standing(self) -> dict[str, str]:
        links = self.link("quote", "replaces")
        while True:
            for start in links:
                cycle, quote = [start], links[start][1]
                while quote in links and quote not in cycle:
                    cycle.append(quote)
                    quote = links[quote][1]
                if quote == start:
                    del links[max(cycle, key=lambda member: links[member][0])]
                    break
            else:
                return {quote: named for quote, (_, named) in links.items()}

    def root(self, quote: str) -> str:
        """The quote of its chain that replaces none."""
        while quote in self.replaces:
            quote = self.replaces[quote]
        return quote

    def opportunity_of(self, quote: str) -> str | None:
        """A quote's opportunity (9)."""
        own = self.link("quote", "opportunity_id")
        if quote in own:
            return own[quote][1]
        by_quotes = [link for other, link in own.items() if self.root(other) == self.root(quote)]
        if by_quotes:
            return max(by_quotes)[1]
        named = self.link("order", "opportunity_id")
        quotes = self.link("order", "quote_id")
        by_orders = [named[o] for o, (_, q) in quotes.items() if o in named and self.root(q) == self.root(quote)]
        return max(by_orders)[1] if by_orders else None

    def deal_of(self, document: Document) -> str:
        """The deal of a document (10)."""
        kind, name = document
        opportunity, quote = None, None
        if kind == "opportunity":
            opportunity = name
        elif kind == "quote":
            opportunity, quote = self.opportunity_of(name), name
        else:
            _, opportunity = self.link("order", "opportunity_id").get(name, (0, None))
            _, quote = self.link("order", "quote_id").get(name, (0, None))
            if opportunity is None and quote is not None:
                opportunity = self.opportunity_of(quote)
        if opportunity is not None:
            return f"opportunity:{opportunity}"
        return f"quote:{self.root(quote)}" if quote is not None else f"order:{name}"

    def of(self, deal: str, n: int) -> list[int]:
        """The facts of a deal's documents."""
        return [i for i in range(n) if (document := self.documents[i]) and self.deal_of(document) == deal]

    def first(self, deal: str) -> int:
        """The fact with which a deal begins (11)."""
        return self.of(deal, len(self.facts))[0]

    def members(self, deal: str, n: int) -> list[Document]:
        """A deal's documents, in fold order of their first facts."""
        return list(dict.fromkeys(self.documents[i] for i in self.of(deal, n)))

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
            if kind == "opportunity.won" or changed.get(i) == table.triggers["sale"]:
                said = (i, "won")
            elif kind == "opportunity.lost" or changed.get(i) == table.triggers["lost"]:
                said = (i, "lost")
            elif kind == "opportunity.updated" and i in changed:
                said = (i, "open")
            elif kind in ("quote.created", "quote.sent", "quote.accepted") and i > self.first(deal) and self.state(deal, i) == "lost":
                said = (i, "open")
            elif kind == "order.cancelled" and self.sold(deal, i) and not self.sold(deal, i + 1):
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
        if document[0] == "opportunity":
            state = said[1] if said else "open"
        else:
            state = self.document_state(document, n)
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
