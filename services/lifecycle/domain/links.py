"""Links and deals (FOLD.md 8-10): which documents make one deal, over the whole set of facts and undated.

A link field is the last writer's. What the links say as a whole is a :class:`Grouping`. Links tie quotes and orders into clusters
that know nothing of each other, so a fact that says something new of a link changes the grouping of its cluster only. Where that
regroups documents that already had facts, their past changes, and the record is folded anew from the first of these facts on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
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


class Links(Struct, frozen=True, gc=False):
    """The link fields of every document that has a fact; the last writer's of each.

    ``named_by``: the quotes and orders that ever named a quote, by its id.
    """

    documents: HashTrieSet[DocumentKey] = HashTrieSet()
    quote_opportunity: HashTrieMap[str, Link] = HashTrieMap()
    quote_replaces: HashTrieMap[str, Link] = HashTrieMap()
    order_opportunity: HashTrieMap[str, Link] = HashTrieMap()
    order_quote: HashTrieMap[str, Link] = HashTrieMap()
    named_by: HashTrieMap[str, tuple[DocumentKey, ...]] = HashTrieMap()

    def plus(self, key: Key, data: object) -> Links:
        """The links after a fact (in whatever order facts come); the same object where it says nothing new."""
        document = document_of(data)
        if document is None:
            return self
        documents = self.documents if document in self.documents else self.documents.insert(document)
        opportunities, replaces, named_by = self.quote_opportunity, self.quote_replaces, self.named_by
        by_order, quotes = self.order_opportunity, self.order_quote
        match data:
            case QuoteFields():
                opportunities = _written(opportunities, data.quote_id, key, data.opportunity_id)
                replaces = _written(replaces, data.quote_id, key, data.replaces)
                named_by = _named(named_by, data.replaces, document)
            case OrderPlaced():
                by_order = _written(by_order, data.order_id, key, data.opportunity_id)
                quotes = _written(quotes, data.order_id, key, data.quote_id)
                named_by = _named(named_by, data.quote_id, document)
        after = Links(documents, opportunities, replaces, by_order, quotes, named_by)
        same = all(getattr(self, field) is getattr(after, field) for field in self.__struct_fields__)
        return self if same else after

    def of(self, cluster: Collection[DocumentKey]) -> Links:
        """The links of some documents alone."""
        quotes = [identifier for kind, identifier in cluster if kind == "quote"]
        orders = [identifier for kind, identifier in cluster if kind == "order"]
        return Links(
            HashTrieSet([document for document in cluster if document in self.documents]),
            _some(self.quote_opportunity, quotes),
            _some(self.quote_replaces, quotes),
            _some(self.order_opportunity, orders),
            _some(self.order_quote, orders),
        )


def _named(
    named_by: HashTrieMap[str, tuple[DocumentKey, ...]], quote: str | None, document: DocumentKey
) -> HashTrieMap[str, tuple[DocumentKey, ...]]:
    if quote is None:
        return named_by
    before = named_by.get(quote, ())
    return named_by if document in before else named_by.insert(quote, tuple(sorted((*before, document))))


def _some(links: HashTrieMap[str, Link], names: Iterable[str]) -> HashTrieMap[str, Link]:
    found = {name: link for name in names if (link := links.get(name)) is not None}
    return HashTrieMap.convert(found) if found else HashTrieMap()


def _written(links: HashTrieMap[str, Link], document: str, key: Key, named: str | None) -> HashTrieMap[str, Link]:
    if named is None:
        return links
    before = links.get(document)
    return links if before is not None and before[0] > key else links.insert(document, (key, named))


class Grouping(Struct, frozen=True, gc=False):
    """The deal of every document with a fact, the documents of every deal, and the ``replaces`` links that stand."""

    deal_of: HashTrieMap[DocumentKey, str]
    members: HashTrieMap[str, tuple[DocumentKey, ...]]
    replaces: HashTrieMap[str, str]


def group(links: Links) -> Grouping:
    """What the links as a whole say (FOLD.md 8-10)."""
    deal_of, replaces = _said(links)
    return Grouping(HashTrieMap.convert(deal_of), HashTrieMap.convert(_members(deal_of.items())), HashTrieMap.convert(replaces))


def _said(links: Links) -> tuple[dict[DocumentKey, str], dict[str, str]]:
    """The deal of every document with a fact, and the ``replaces`` links that stand."""
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
    return deal_of, replaces


def _alone(document: DocumentKey, links: Links) -> str:
    """The deal of a document that links tie to no other."""
    kind, identifier = document
    opportunities = links.quote_opportunity if kind == "quote" else links.order_opportunity
    own = None if kind == "opportunity" else opportunities.get(identifier)
    return f"opportunity:{own[1]}" if own else f"{kind}:{identifier}"


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


NOTHING = Grouping(HashTrieMap(), HashTrieMap(), HashTrieMap())
"""The grouping of no documents."""


def regrouped(before: Grouping, links: tuple[Links, Links], documents: Iterable[DocumentKey]) -> tuple[Grouping, set[DocumentKey]]:
    """The grouping after facts about some documents, and the documents whose past that changes.

    ``links`` are those before and after. The past of a document changes where it is of another deal than before, or its
    ``replaces`` link stands otherwise: one that was written earlier and stands only now replaces from its first fact on (7), while
    a quote that had none has no past in which it could matter.
    """
    cluster = _cluster(links, documents)
    if len(cluster) == 1:
        said = {document: _alone(document, links[1]) for document in cluster if document in links[1].documents}
        standing: dict[str, str] = {}
    else:
        said, standing = _said(links[1].of(cluster))
    deal_of, members, replaces, moved = before.deal_of, before.members, before.replaces, set[DocumentKey]()
    for document in cluster:
        was, deal = before.deal_of.get(document), said.get(document)
        if was == deal:
            continue
        if was is not None:
            moved.add(document)
            left = tuple(member for member in members[was] if member != document)
            members = members.insert(was, left) if left else members.remove(was)
        if deal is None:
            deal_of = deal_of.remove(document)
        else:
            deal_of = deal_of.insert(document, deal)
            members = members.insert(deal, tuple(sorted((*members.get(deal, ()), document))))
    for quote in (identifier for kind, identifier in cluster if kind == "quote"):
        stood, stands = replaces.get(quote), standing.get(quote)
        if stood == stands:
            continue
        replaces = replaces.remove(quote) if stands is None else replaces.insert(quote, stands)
        if quote in links[0].quote_replaces:
            moved.add(("quote", quote))
    return Grouping(deal_of, members, replaces), moved


def _cluster(links: tuple[Links, Links], documents: Iterable[DocumentKey]) -> set[DocumentKey]:
    """All that links tie to some documents, as they are or were, quotes without a fact included. An opportunity ties nothing."""
    cluster: set[DocumentKey] = set()
    waiting = list(documents)
    while waiting:
        document = waiting.pop()
        if document in cluster:
            continue
        cluster.add(document)
        kind, identifier = document
        if kind == "opportunity":
            continue
        for each in links:
            link = (each.quote_replaces if kind == "quote" else each.order_quote).get(identifier)
            if link is not None:
                waiting.append(("quote", link[1]))
            if kind == "quote":
                waiting += each.named_by.get(identifier, ())
    return cluster
