"""Links and deals (FOLD.md 8-10): which documents make one deal, over the whole set of facts and undated.

A link field is the last writer's. What the links say as a whole is a :class:`Grouping`; a fact that changes the
grouping of documents that already had facts changes their past, and the record is folded anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct
from rpds import HashTrieMap, HashTrieSet

from events.facts import OrderPlaced, QuoteFields
from services.lifecycle.domain.order import Key

Kind = Literal["opportunity", "quote", "order"]
DocumentKey = tuple[Kind, str]
"""A document of a customer: its kind and the id that the sender gave it."""
Link = tuple[Key, str]
"""Who wrote a link field last, and the id that it names."""


def document_of(data: object) -> DocumentKey | None:
    """The document that a fact's data is about, if any."""
    for kind in ("order", "quote", "opportunity"):  # an order names quotes and opportunities too: its own id comes first
        identifier = getattr(data, f"{kind}_id", None)
        if kind == "opportunity" and isinstance(data, QuoteFields | OrderPlaced):
            continue
        if identifier is not None:
            return kind, identifier
    return None


class Links(Struct, frozen=True):
    """The link fields of every document that has a fact; the last writer's of each. ``named``: quotes that any link ever named."""

    documents: HashTrieSet[DocumentKey] = HashTrieSet()
    quote_opportunity: HashTrieMap[str, Link] = HashTrieMap()
    quote_replaces: HashTrieMap[str, Link] = HashTrieMap()
    order_opportunity: HashTrieMap[str, Link] = HashTrieMap()
    order_quote: HashTrieMap[str, Link] = HashTrieMap()
    named: HashTrieSet[str] = HashTrieSet()

    def plus(self, key: Key, data: object) -> Links:
        """The links after a fact (in whatever order facts come); the same object where it says nothing new."""
        document = document_of(data)
        if document is None:
            return self
        documents = self.documents if document in self.documents else self.documents.insert(document)
        opportunities, replaces, named = self.quote_opportunity, self.quote_replaces, self.named
        by_order, quotes = self.order_opportunity, self.order_quote
        match data:
            case QuoteFields():
                opportunities = _written(opportunities, data.quote_id, key, data.opportunity_id)
                replaces = _written(replaces, data.quote_id, key, data.replaces)
                named = _with(named, data.replaces)
            case OrderPlaced():
                by_order = _written(by_order, data.order_id, key, data.opportunity_id)
                quotes = _written(quotes, data.order_id, key, data.quote_id)
                named = _with(named, data.quote_id)
        after = Links(documents, opportunities, replaces, by_order, quotes, named)
        same = all(getattr(self, field) is getattr(after, field) for field in self.__struct_fields__)
        return self if same else after


def _with(named: HashTrieSet[str], quote: str | None) -> HashTrieSet[str]:
    return named if quote is None or quote in named else named.insert(quote)


def _written(links: HashTrieMap[str, Link], document: str, key: Key, named: str | None) -> HashTrieMap[str, Link]:
    if named is None:
        return links
    before = links.get(document)
    return links if before is not None and before[0] > key else links.insert(document, (key, named))


class Grouping(Struct, frozen=True):
    """The deal of every document with a fact, the documents of every deal, and the ``replaces`` links that stand."""

    deal_of: HashTrieMap[DocumentKey, str]
    members: HashTrieMap[str, tuple[DocumentKey, ...]]
    replaces: Mapping[str, str]

    def regrouped(self, earlier: Grouping, written: Mapping[str, Link]) -> set[DocumentKey]:
        """The documents whose past changes: they are of another deal than before, or their ``replaces`` link stands otherwise.

        ``written`` are the earlier ``replaces`` links: one of them that stands only now replaces from its first fact on (7). A
        quote that had none has no past in which it could matter.
        """
        standing = {quote for quote, _ in earlier.replaces.items() ^ self.replaces.items() if quote in written}
        moved = {document for document, deal in earlier.deal_of.items() if self.deal_of.get(document) != deal}
        return moved | {("quote", quote) for quote in standing}


def group(links: Links) -> Grouping:
    """What the links as a whole say (FOLD.md 8-10)."""
    replaces = _without_cycles(links.quote_replaces)
    roots = _roots(replaces)

    def chain(quote: str) -> str:
        return roots.get(quote, quote)

    by_chain: dict[str, Link] = {}
    for quote, link in links.quote_opportunity.items():
        by_chain[chain(quote)] = max(by_chain.get(chain(quote), link), link)
    by_order: dict[str, Link] = {}
    for order, (_, quote) in links.order_quote.items():
        if order in links.order_opportunity:
            link = links.order_opportunity[order]
            by_order[chain(quote)] = max(by_order.get(chain(quote), link), link)

    def deal_of_quote(quote: str) -> str:
        own = links.quote_opportunity.get(quote) or by_chain.get(chain(quote)) or by_order.get(chain(quote))
        return f"opportunity:{own[1]}" if own else f"quote:{chain(quote)}"

    def deal_of_order(order: str) -> str:
        if order in links.order_opportunity:
            return f"opportunity:{links.order_opportunity[order][1]}"
        return deal_of_quote(links.order_quote[order][1]) if order in links.order_quote else f"order:{order}"

    deal_of: dict[DocumentKey, str] = {}
    for kind, identifier in links.documents:
        match kind:
            case "opportunity":
                deal = f"opportunity:{identifier}"
            case "quote":
                deal = deal_of_quote(identifier)
            case "order":
                deal = deal_of_order(identifier)
        deal_of[kind, identifier] = deal
    return Grouping(HashTrieMap.convert(deal_of), HashTrieMap.convert(_members(deal_of.items())), replaces)


def _members(pairs: Iterable[tuple[DocumentKey, str]]) -> dict[str, tuple[DocumentKey, ...]]:
    members: defaultdict[str, list[DocumentKey]] = defaultdict(list)
    for document, deal in pairs:
        members[deal].append(document)
    return {deal: tuple(sorted(documents)) for deal, documents in members.items()}


def _without_cycles(replaces: Mapping[str, Link]) -> dict[str, str]:
    """The links without the latest one of every cycle. A quote replaces one quote at most, so cycles do not share links."""
    standing = {quote: named for quote, (_, named) in replaces.items()}
    seen: set[str] = set()
    for start in replaces:
        path: dict[str, None] = {}
        quote = start
        while quote in standing and quote not in path and quote not in seen:
            path[quote] = None
            quote = standing[quote]
        if quote in path:
            steps = list(path)
            cycle = steps[steps.index(quote) :]
            del standing[max(cycle, key=lambda member: replaces[member][0])]
        seen.update(path)
    return standing


def _roots(replaces: Mapping[str, str]) -> dict[str, str]:
    roots: dict[str, str] = {}
    for start in replaces:
        path = []
        quote = start
        while quote in replaces and quote not in roots:
            path.append(quote)
            quote = replaces[quote]
        root = roots.get(quote, quote)
        roots.update(dict.fromkeys(path, root))
    return roots


NOTHING = Grouping(HashTrieMap(), HashTrieMap(), {})
"""The grouping of no documents."""


def extended(grouping: Grouping, links: Links, document: DocumentKey) -> Grouping | None:
    """The grouping with one more document, in the common case that it changes nothing else; else None.

    ``links`` are those with the document's own. No link names an order; an opportunity is its own deal in any case.
    """
    kind, identifier = document
    deal: str | None
    match kind:
        case "opportunity":
            deal = f"opportunity:{identifier}"
        case "quote":
            linked = identifier in links.named or identifier in links.quote_replaces
            own = links.quote_opportunity.get(identifier)
            deal = None if linked else f"opportunity:{own[1]}" if own else f"quote:{identifier}"
        case "order":
            deal = _deal_of_new_order(grouping, links, identifier)
    if deal is None:
        return None
    return Grouping(
        grouping.deal_of.insert(document, deal),
        grouping.members.insert(deal, tuple(sorted((*grouping.members.get(deal, ()), document)))),
        grouping.replaces,
    )


def _deal_of_new_order(grouping: Grouping, links: Links, order: str) -> str | None:
    opportunity, quote = links.order_opportunity.get(order), links.order_quote.get(order)
    if quote is None:
        return f"opportunity:{opportunity[1]}" if opportunity else f"order:{order}"
    if opportunity is None:
        return grouping.deal_of.get(("quote", quote[1]))
    # with both, it may decide the opportunity of the quote's chain: not where the quote names one itself
    return f"opportunity:{opportunity[1]}" if quote[1] in links.quote_opportunity else None
