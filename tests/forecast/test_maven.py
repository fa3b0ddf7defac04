"""The exact figures of a real export, 8,800 opportunities, through projection and HTTP (`handoff import maven` adds the fold)."""

import csv
import itertools
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from events.published import DealImage, Published, Status, StatusChanged, StatusState
from events.reference import Rep
from events.values import day_start, format_instant
from tests.forecast.harness import CAUSE, Forecast, change, group, image

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "maven"
EXPORTED = "2017-12-31"
pytestmark = pytest.mark.data


def rows(name: str) -> list[dict[str, str]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"../shared/data/maven/{name} is not there")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def at(day: str) -> str:
    return format_instant(day_start(date.fromisoformat(day)))


def published(forecast: Forecast) -> Iterator[Published]:
    """What lifecycle publishes of the export: customers' facts in business order, recorded on the day of the export."""
    prices = {row["product"]: row["sales_price"] for row in rows("products.csv")}
    steps: dict[str, list[tuple[str, dict[str, str], bool]]] = {}
    for row in rows("sales_pipeline.csv"):
        history = steps.setdefault(row["account"] or row["opportunity_id"], [])
        history.append((row["engage_date"] or EXPORTED, row, False))
        if row["deal_stage"] in ("Won", "Lost"):
            history.append((row["close_date"], row, True))
    for customer, history in steps.items():
        stage: Any = None
        for day, row, closed in sorted(history, key=lambda step: (step[0], step[1]["opportunity_id"], step[2])):
            yield forecast.deals(
                customer,
                change(f"opportunity:{row['opportunity_id']}", (at(day), deal(row, prices, closed))),
                recorded=at(EXPORTED),
            )
            now = "customer" if stage == "customer" or (closed and row["deal_stage"] == "Won") else "prospect"
            if now != stage:
                stage = now
                yield record(forecast, customer, at(day), stage)


def deal(row: dict[str, str], prices: dict[str, str], closed: bool) -> DealImage:
    product = row["product"].replace("GTXPro", "GTX Pro")
    listed, fields = prices[product], {"owner": row["sales_agent"], "product": product}
    if not closed:
        name, probability = ("Opportunity Identified", 10) if row["deal_stage"] == "Prospecting" else ("In Discussion", 20)
        return image(listed, status=name, probability=probability, **fields)
    won = row["deal_stage"] == "Won"
    return image(row["close_value"] if won else listed, "won" if won else "lost", closed_at=at(row["close_date"]), **fields)


def record(forecast: Forecast, customer: str, since: str, stage: Any) -> StatusChanged:
    shown = {"stage": stage, "name": "Closed Won" if stage == "customer" else "In Discussion", "probability": 0}
    return StatusChanged(
        customer_id=customer,
        version=forecast.version(customer),
        recorded_at=at(EXPORTED),
        cause=CAUSE,
        since=since,
        states=(StatusState(effective_at=since, cause=CAUSE, **shown),),
        current=Status(**shown),
    )


@pytest.fixture(scope="module")
def maven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forecast]:
    forecast = Forecast(tmp_path_factory.mktemp("maven") / "forecast.sqlite", seed=1, records_max=2000)
    reps = [Rep(rep_id=row["sales_agent"], team=row["manager"], region=row["regional_office"]) for row in rows("sales_teams.csv")]
    forecast.reps(1, "2016-01-01T00:00:00Z", reps)
    messages = list(published(forecast))
    forecast.publish(*messages)
    forecast.settle()
    again: Sequence[Published] = messages[::7]
    forecast.publish(*again)  # as when the relay starts over
    forecast.settle()
    yield forecast
    forecast.close()


def figures(part: dict[str, Any]) -> tuple[int, str]:
    return part["count"], part["amount"]


def test_totals(maven: Forecast) -> None:
    totals = maven.get("/v1/pipeline")["totals"]
    assert figures(totals["won"]) == (4238, "10005534.00")
    assert totals["lost"]["count"] == 2473
    assert figures(totals["open"]) == (1589 + 500, f"{3892229 + 1073986}.00")
    assert totals["open"]["weighted"] == f"{(3892229 * 20 + 1073986 * 10) / 100:.2f}"
    assert f"{totals['won']['count'] / (totals['won']['count'] + totals['lost']['count']):.2%}" == "63.15%"
    assert f"{float(totals['won']['amount']) / totals['won']['count']:.2f}" == "2360.91"


def test_open_by_status(maven: Forecast) -> None:
    body = maven.get("/v1/pipeline", by="status")
    assert figures(group(body, "In Discussion")["open"]) == (1589, "3892229.00")
    assert figures(group(body, "Opportunity Identified")["open"]) == (500, "1073986.00")


@pytest.mark.parametrize(
    ("quarter", "amount"),
    [("2017-Q1", "1134672.00"), ("2017-Q2", "3086111.00"), ("2017-Q3", "2982255.00"), ("2017-Q4", "2802496.00")],
)
def test_won_by_quarter(maven: Forecast, quarter: str, amount: str) -> None:
    assert group(maven.get("/v1/pipeline", by="quarter"), quarter)["won"]["amount"] == amount
    body = maven.get("/v1/forecast", period=quarter)
    assert body["won"]["amount"] == amount
    assert body["open"]["count"] == 0
    assert {each["rule"]: each["count"] for each in body["excluded"]}["no_close_date"] == 1589 + 500


def test_the_year_is_its_quarters_and_months(maven: Forecast) -> None:
    year = maven.get("/v1/forecast", period="2017")["won"]
    months = [maven.get("/v1/forecast", period=f"2017-{month:02}")["won"] for month in range(1, 13)]
    assert figures(year) == (4238, "10005534.00")
    assert sum(month["count"] for month in months) == 4238
    assert sum(float(month["amount"]) for month in months) == 10005534


@pytest.mark.parametrize("asked", [("/v1/pipeline", {}), ("/v1/forecast", {"period": "2017"})])
def test_won_by_region_and_manager(maven: Forecast, asked: tuple[str, dict[str, str]]) -> None:
    path, parameters = asked
    regions = maven.get(path, by="region", **parameters)
    won = {each["key"]: each["won"]["amount"] for each in regions["groups"]}
    assert won == {"West": "3568647.00", "Central": "3346293.00", "East": "3090594.00"}
    teams = maven.get(path, by="team", **parameters)["groups"]
    best = max(teams, key=lambda each: float(each["won"]["amount"]))
    assert (best["key"], best["won"]["amount"]) == ("Melvin Marxen", "2251930.00")


@pytest.mark.parametrize(
    ("day", "count", "amount"),
    [("2017-03-31", 1330, "3280185.00"), ("2017-06-30", 1686, "4216807.00"), ("2017-09-30", 2409, "5763490.00")],
)
def test_open_as_of(maven: Forecast, day: str, count: int, amount: str) -> None:
    assert figures(maven.get("/v1/pipeline", as_of=day)["totals"]["open"]) == (count, amount)
    listed = itertools.chain.from_iterable(pages(maven, as_of=day, state="open"))
    assert sum(1 for _ in listed) == count


def pages(maven: Forecast, **asked: str) -> Iterator[list[dict[str, Any]]]:
    cursor: dict[str, str] = {}
    while True:
        body = maven.get("/v1/deals", limit=500, **asked, **cursor)
        yield body["deals"]
        if body["next"] is None:
            return
        cursor = {"after": body["next"]}


def test_by_stage_everything_is_somewhere(maven: Forecast) -> None:
    body = maven.get("/v1/pipeline", by="stage")
    assert [each["key"] for each in body["groups"]] == ["prospect", "customer"]
    assert group(body, "customer")["won"]["count"] == 4238
    with maven.store.snapshot() as cursor:
        cursor.execute("SELECT count(*) FROM customer")
        assert tuple(cursor.fetchone()) == (85 + 1425,)
