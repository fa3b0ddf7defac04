"""The reference fold, first part: the order of facts, the status table, documents and links (FOLD 1, 2, 5 to 11, 24)."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from events.codec import Fact, content

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
        return {row[0]: row[2] for row in self.rows}.get(name, 0)

    def stage(self, name: str) -> str | None:
        """The stage of a status."""
        return {row[0]: row[1] for row in self.rows}.get(name)


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


Document = tuple[str, str]


def in_order(facts: Iterable[Fact]) -> list[Fact]:
    """One fact of each identity (2), in fold order (1)."""
    chosen: dict[tuple[str, str], Fact] = {}
    for fact in sorted(facts, key=lambda fact: hashlib.sha256(content(fact)).digest()):
        chosen.setdefault((fact.source, fact.id), fact)
    return sorted(chosen.values(), key=lambda fact: (fact.occurred_at, RANK[short(fact)], fact.source.encode(), fact.id.encode()))


def short(fact: Fact) -> str:
    """``quote.sent`` of ``crm.quote.sent.v1``."""
    return "tick" if fact.type == "lifecycle.tick.v1" else fact.type.removeprefix("crm.").removesuffix(".v1")


class Facts:
    """The facts of one customer, their documents, and which documents belong together."""

    def __init__(self, facts: Iterable[Fact], versions: Sequence[Table]) -> None:
        self.facts = in_order(facts)
        self.kind = [short(fact) for fact in self.facts]
        self.versions = sorted(versions, key=lambda version: version.since)
        self.documents = [self._document(i) for i in range(len(self.facts))]
        self.deal_of = cache(self.deal_of)
        self.replaces = self._standing()
        self.deals = list(dict.fromkeys(self.deal_of(document) for document in self.documents if document))

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
