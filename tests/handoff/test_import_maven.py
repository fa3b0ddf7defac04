"""The Maven export as facts: the mapping, what is wrong with rows, and the real files."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from events.codec import Fact, decode
from events.facts import OpportunityCreated, OpportunityLost, OpportunityWon
from events.record import Message, Record
from events.reference import Rep
from events.values import Price, day_start, format_instant
from handoff.errors import USAGE, CommandError
from handoff.importing.maven import Export, read_export
from handoff.importing.rejected import Rejected

NOW = day_start(date(2026, 1, 1))
REAL = Path(__file__).parents[3] / "shared" / "data" / "maven"

PIPELINE = """\
opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value
O1,Ann Adams,GTXPro,Acme,Won,2017-01-10,2017-03-01,4514
O2,Bob Baker,MG Special,Acme,Lost,2017-01-05,2017-02-01,0
O3,Ann Adams,MG Special,Globex,Engaging,2017-01-10,,
O4,Bob Baker,MG Special,,Prospecting,,,
"""
PRODUCTS = "product,series,sales_price\nGTX Pro,GTX,4821\nMG Special,MG,55.50\n"
TEAMS = "sales_agent,manager,regional_office\nAnn Adams,Mary Major,West\nBob Baker,Max Minor,\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small export."""
    (tmp_path / "sales_pipeline.csv").write_text(PIPELINE)
    (tmp_path / "products.csv").write_text(PRODUCTS)
    (tmp_path / "sales_teams.csv").write_text(TEAMS)
    return tmp_path


def facts(messages: Iterable[Message]) -> list[Fact]:
    """What lifecycle reads of the messages."""
    read = [decode(Record(m.topic, 0, 0, NOW // 1_000_000, m.key, m.value, m.headers)) for m in messages]
    assert all(isinstance(fact, Fact) for fact in read)
    return [fact for fact in read if isinstance(fact, Fact)]


def with_row(folder: Path, row: str) -> Export:
    """The export with one more row at its end, the sixth line."""
    with (folder / "sales_pipeline.csv").open("a") as file:
        file.write(f"{row}\n")
    return read_export(folder, NOW)


def usd(amount: str) -> Price:
    return Price(amount=Decimal(amount), currency="USD")


def test_opportunities_become_facts_in_the_order_in_which_they_happened(folder: Path) -> None:
    export = read_export(folder, NOW)
    assert export.read == 4
    assert export.rejected == ()
    told = [(format_instant(fact.occurred_at)[:10], fact.id, fact.customer_id, fact.source) for fact in facts(export.messages)]
    assert told == [
        ("2017-01-05", "O2/created", "Acme", "import/maven"),
        ("2017-01-10", "O1/created", "Acme", "import/maven"),
        ("2017-01-10", "O3/created", "Globex", "import/maven"),
        ("2017-02-01", "O2/lost", "Acme", "import/maven"),
        ("2017-03-01", "O1/won", "Acme", "import/maven"),
        ("2017-12-31", "O4/created", "O4", "import/maven"),
    ]


def test_what_the_facts_say(folder: Path) -> None:
    said = {fact.id: fact.data for fact in facts(read_export(folder, NOW).messages)}
    assert said["O1/created"] == OpportunityCreated(
        customer_id="Acme",
        opportunity_id="O1",
        amount=usd("4821"),  # the list price, by the price list's name of the product
        stage="In Discussion",
        product="GTX Pro",
        owner="Ann Adams",
    )
    assert said["O1/won"] == OpportunityWon(customer_id="Acme", opportunity_id="O1", amount=usd("4514"))
    assert said["O2/lost"] == OpportunityLost(customer_id="Acme", opportunity_id="O2", reason="not given")
    stages = {name: data.stage for name, data in said.items() if isinstance(data, OpportunityCreated)}
    assert stages == {
        "O1/created": "In Discussion",
        "O2/created": "In Discussion",
        "O3/created": "In Discussion",
        "O4/created": "Opportunity Identified",
    }


def test_the_same_export_is_the_same_bytes(folder: Path) -> None:
    assert read_export(folder, NOW).messages == read_export(folder, NOW + 10**18).messages


def test_the_sales_teams_become_a_directory(folder: Path) -> None:
    assert read_export(folder, NOW).directory.reps == (
        Rep(rep_id="Ann Adams", name="Ann Adams", team="Mary Major", region="West"),
        Rep(rep_id="Bob Baker", name="Bob Baker", team="Max Minor"),
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("O5,Ann,GTX Pro,Acme,Won,2017-02-30,2017-03-01,1", "engage_date: '2017-02-30' is not a day such as 2017-01-31"),
        ("O5,Ann,GTX Pro,Acme,Won,20170220,2017-03-01,1", "engage_date: '20170220' is not a day such as 2017-01-31"),
        ("O5,Ann,GTX Pro,Acme,Won,,2017-03-01,1", "engage_date is empty"),
        ("O5,Ann,GTX Pro,Acme,Won,2017-02-20,,1", "close_date is empty"),
        ("O5,Ann,GTX Pro,Acme,Won,2017-02-20,2017-02-19,1", "close_date: 2017-02-19 is before engage_date 2017-02-20"),
        ("O5,Ann,GTX Pro,Acme,Won,2017-02-20,2017-03-01,", "close_value is empty"),
        ("O5,Ann,GTX Pro,Acme,Won,2017-02-20,2017-03-01,1e999", "close_value: is out of range"),
        ("O5,Ann,GTX Pro,Acme,Won,2017-02-20,2017-03-01,NaN", "close_value: NaN is not a number"),
        ("O5,Ann,GTX Pro,Acme,Won,2017-02-20,2017-03-01,-5", "close_value: -5.00 is negative"),
        ("O5,Ann,GTX Pro,Acme,Won,2017-02-20,2017-03-01,a lot", "close_value: 'a lot' is not an amount such as 1054 or 1054.50"),
        ("O5,Ann,GTX Pro,Acme,Sold,2017-02-20,,", "deal_stage: 'Sold' is none of Prospecting, Engaging, Won, Lost"),
        ("O5,Ann,GTX Max,Acme,Engaging,2017-02-20,,", "product: 'GTX Max' has no price in products.csv"),
        (",Ann,GTX Pro,Acme,Engaging,2017-02-20,,", "opportunity_id is empty"),
        ("O1,Ann,GTX Pro,Acme,Engaging,2017-02-20,,", "opportunity_id: 'O1' is there already, at sales_pipeline.csv:2"),
        ("O5,Ann,GTX Pro,Acme,Engaging,2017-02-20", "has 6 values, and the first line 8 names"),
        ('O5,"Ann,GTX Pro,Acme,Engaging,2017-02-20,,', "is no row of CSV: unexpected end of data"),
        ("O5,Ann,GTX Pro,Acme,Engaging,2026-01-02,,", "header ce_time: 2026-01-02T00:00:00Z is more than 60 minutes after"),
        (f"O5,Ann,GTX Pro,{'A' * 201},Engaging,2017-02-20,,", "$.customer_id: Expected `str` of length <= 200"),
    ],
)
def test_a_row_that_is_wrong_is_rejected_and_the_others_are_not(folder: Path, row: str, reason: str) -> None:
    good = read_export(folder, NOW)
    export = with_row(folder, row)
    assert export.read == good.read + 1
    assert export.messages == good.messages
    (rejected,) = export.rejected
    assert rejected.place == "sales_pipeline.csv:6"
    assert rejected.reason.startswith(reason)


def test_an_unclosed_quotation_mark_costs_its_own_row_only(folder: Path) -> None:
    rows = PIPELINE.splitlines(keepends=True)
    (folder / "sales_pipeline.csv").write_text("".join([rows[0], '"', *rows[1:]]))
    export = read_export(folder, NOW)
    assert [rejected.place for rejected in export.rejected] == ["sales_pipeline.csv:2"]
    assert export.read == 4
    assert len(export.messages) == 4


def test_products_and_teams_have_their_own_rejects(folder: Path) -> None:
    (folder / "products.csv").write_text(PRODUCTS.replace("55.50", "cheap"))
    (folder / "sales_teams.csv").write_text(TEAMS + "Ann Adams,Other,East\n")
    export = read_export(folder, NOW)
    assert export.rejected == (
        Rejected("products.csv:3", "sales_price: 'cheap' is not an amount such as 1054 or 1054.50"),
        Rejected("sales_teams.csv:4", "sales_agent: 'Ann Adams' is there twice"),
        *(Rejected(f"sales_pipeline.csv:{n}", "product: 'MG Special' has no price in products.csv") for n in (3, 4, 5)),
    )


def test_a_byte_order_mark_blank_lines_blanks_and_other_columns_do_not_matter(folder: Path) -> None:
    good = read_export(folder, NOW)
    rows = [f"x, {', '.join(line.split(','))}" for line in PIPELINE.splitlines()]
    (folder / "sales_pipeline.csv").write_text("\ufeff" + "\r\n\r\n".join(rows), encoding="utf-8")
    assert read_export(folder, NOW).messages == good.messages


def spoil(folder: Path, name: str, content: bytes | None) -> str:
    file = folder / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(CommandError) as caught:
        read_export(folder, NOW)
    assert caught.value.code == USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["sales_pipeline.csv", "products.csv", "sales_teams.csv"])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "its first line has nothing"),
        (b"one,two\n", "its first line has one, two"),
        (b"\xff\xfe", "is not UTF-8"),
        (b'"one\n', "its first line is no CSV"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_import(folder: Path, name: str, content: bytes | None, complaint: str) -> None:
    message = spoil(folder, name, content)
    assert str(folder / name) in message
    assert complaint in message


def test_the_command_says_what_is_missing(folder: Path, handoff: Callable[..., Sequence[object]]) -> None:
    (folder / "products.csv").unlink()
    code, out, err = handoff("import", "maven", str(folder), "--json")
    assert (code, out) == (2, "")
    assert err == f"handoff: {folder / 'products.csv'} cannot be read: No such file or directory\n"


@pytest.mark.data
def test_the_real_export() -> None:
    file = REAL / "sales_pipeline.csv"
    if not file.exists():
        pytest.skip(f"{file} is missing")
    export = read_export(REAL, NOW)
    assert export.read == 8_800
    assert export.rejected == ()
    assert len(export.directory.reps) == 35
    assert len({rep.team for rep in export.directory.reps}) == 6
    found = facts(export.messages)
    assert Counter(fact.type for fact in found) == {
        "crm.opportunity.created.v1": 8_800,
        "crm.opportunity.won.v1": 4_238,
        "crm.opportunity.lost.v1": 2_473,
    }
    assert len({(fact.customer_id, fact.id) for fact in found}) == len(found)
    assert len({fact.customer_id for fact in found}) == 85 + 1_425
    assert [fact.occurred_at for fact in found] == sorted(fact.occurred_at for fact in found)
    won = [fact.data.amount for fact in found if isinstance(fact.data, OpportunityWon)]
    assert sum(price.amount for price in won if price) == 10_005_534
    assert json.loads(export.messages[0].value or b"")["amount"]["currency"] == "USD"
