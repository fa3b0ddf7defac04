"""The Maven Analytics "CRM Sales Opportunities" export as facts. Pure but for reading the files.

In goes a folder with ``sales_pipeline.csv``, ``products.csv`` and ``sales_teams.csv``; out come the facts in the order in which
they happened, the directory of its sales teams, and every row that could not be taken over. The same files give the same facts,
byte for byte, so that importing twice changes nothing.

An opportunity is opened on its engage date at its product's list price, and won (for the close value) or lost on its close date;
days are UTC days. One that is still prospecting has no engage date: it is opened on the day of the export. Every opportunity that
was engaged was being discussed from then on, those that were won or lost later too. The close date of an opportunity is not told
before it has come.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

from events.codec import encode
from events.facts import OpportunityCreated, OpportunityFact, OpportunityLost, OpportunityWon
from events.record import Message
from events.reference import Directory, Rep
from events.topics import OPPORTUNITY
from events.values import Price, day_start
from handoff.importing.csv_file import Row, read_rows
from handoff.importing.rejected import Rejected, Unusable, check

SOURCE: Final = "import/maven"
"""``ce_source`` of the facts."""
CURRENCY: Final = "USD"
EXPORTED_ON: Final = date(2017, 12, 31)
DIRECTORY_SINCE: Final = "2016-01-01T00:00:00Z"
"""From when on the sales teams are in force."""
STATUSES: Final[Mapping[str, str]] = {
    "Prospecting": "Opportunity Identified",
    "Engaging": "In Discussion",
    "Won": "In Discussion",
    "Lost": "In Discussion",
}
"""The status in which an opportunity begins, by its stage in the export."""
LOST_BECAUSE: Final = "not given"
"""The export does not say why an opportunity was lost."""
PRODUCTS: Final[Mapping[str, str]] = {"GTXPro": "GTX Pro"}
"""What the pipeline calls products that the price list calls otherwise."""

_CREATED: Final = "crm.opportunity.created.v1"
_WON: Final = "crm.opportunity.won.v1"
_LOST: Final = "crm.opportunity.lost.v1"

_COLUMNS: Final = (
    "opportunity_id",
    "sales_agent",
    "product",
    "account",
    "deal_stage",
    "engage_date",
    "close_date",
    "close_value",
)


class Export(Struct, frozen=True):
    """``read``: opportunities in the export. ``messages``: their facts, by time. ``directory``: its sales teams."""

    read: int
    messages: tuple[Message, ...]
    directory: Directory
    rejected: tuple[Rejected, ...]


class _Fact(NamedTuple):
    at: int
    id: str
    message: Message


def read_export(folder: Path, now: int) -> Export:
    """The export in a folder. ``now``: nanoseconds since 1970; a fact that is dated later is rejected, as lifecycle would.

    Raises ``CommandError`` for a missing file or column.
    """
    rejected: list[Rejected] = []
    prices = _prices(folder / "products.csv", rejected)
    directory = _directory(folder / "sales_teams.csv", rejected)
    facts: list[_Fact] = []
    first: dict[str, str] = {}
    read = 0
    for row in read_rows(folder / "sales_pipeline.csv", _COLUMNS):
        read += 1
        try:
            facts += _opportunity(row, prices, first, now)
        except Unusable as error:
            rejected.append(Rejected(row.place, str(error)))
    facts.sort(key=lambda fact: (fact.at, fact.id))
    return Export(read, tuple(fact.message for fact in facts), directory, tuple(rejected))


def _opportunity(row: Row | Rejected, prices: Mapping[str, Price], first: dict[str, str], now: int) -> list[_Fact]:
    """The facts of a row, each one that lifecycle will take in; all of them or, with an ``Unusable``, none.

    ``first``: where each opportunity was seen first.
    """
    if isinstance(row, Rejected):
        raise Unusable(row.reason)
    opportunity_id = row.text("opportunity_id")
    if (place := first.setdefault(opportunity_id, row.place)) != row.place:
        raise Unusable(f"opportunity_id: {opportunity_id!r} is there already, at {place}")
    facts = list(_facts(row, prices))
    for fact in facts:
        check(fact.message, now)
    return facts


def _facts(row: Row, prices: Mapping[str, Price]) -> Iterator[_Fact]:
    """What happened to an opportunity."""
    opportunity_id = row.text("opportunity_id")
    customer_id = row.maybe("account") or opportunity_id
    stage = row.text("deal_stage")
    if stage not in STATUSES:
        raise Unusable(f"deal_stage: {stage!r} is none of {', '.join(STATUSES)}")
    product = row.text("product")
    product = PRODUCTS.get(product, product)
    if product not in prices:
        raise Unusable(f"product: {product!r} has no price in products.csv")
    opened = EXPORTED_ON if stage == "Prospecting" and row.maybe("engage_date") is None else row.day("engage_date")
    created = OpportunityCreated(
        customer_id=customer_id,
        opportunity_id=opportunity_id,
        amount=prices[product],
        stage=STATUSES[stage],
        product=product,
        owner=row.maybe("sales_agent"),
    )
    yield _fact(opened, _CREATED, "created", created)
    if stage not in ("Won", "Lost"):
        return
    closed = row.day("close_date")
    if closed < opened:
        raise Unusable(f"close_date: {closed} is before engage_date {opened}")
    if stage == "Won":
        won = OpportunityWon(customer_id=customer_id, opportunity_id=opportunity_id, amount=row.price("close_value", CURRENCY))
        yield _fact(closed, _WON, "won", won)
    else:
        lost = OpportunityLost(customer_id=customer_id, opportunity_id=opportunity_id, reason=LOST_BECAUSE)
        yield _fact(closed, _LOST, "lost", lost)


def _fact(day: date, type_: str, what: str, data: OpportunityFact) -> _Fact:
    at = day_start(day)
    fact_id = f"{data.opportunity_id}/{what}"
    message = encode(OPPORTUNITY.name, type_, data, source=SOURCE, id=fact_id, occurred_at=at)
    return _Fact(at, fact_id, message)


def _prices(file: Path, rejected: list[Rejected]) -> dict[str, Price]:
    """The list price of every product."""
    prices: dict[str, Price] = {}
    for row in read_rows(file, ("product", "sales_price")):
        try:
            if isinstance(row, Rejected):
                raise Unusable(row.reason)
            prices[row.text("product")] = row.price("sales_price", CURRENCY)
        except Unusable as error:
            rejected.append(Rejected(row.place, str(error)))
    return prices


def _directory(file: Path, rejected: list[Rejected]) -> Directory:
    """The sales teams: an agent is a rep, the manager is the team, the regional office is the region."""
    reps: dict[str, Rep] = {}
    for row in read_rows(file, ("sales_agent", "manager", "regional_office")):
        try:
            if isinstance(row, Rejected):
                raise Unusable(row.reason)
            agent = row.text("sales_agent")
            if agent in reps:
                raise Unusable(f"sales_agent: {agent!r} is there twice")
            reps[agent] = Rep(rep_id=agent, name=agent, team=row.maybe("manager"), region=row.maybe("regional_office"))
        except Unusable as error:
            rejected.append(Rejected(row.place, str(error)))
    return Directory(reps=tuple(reps.values()))
