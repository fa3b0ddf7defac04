"""The example export on the real stack, while its services are killed: the totals are exact all the same.

The figures are those of the export (https://www.kaggle.com/datasets/innocentmfa/crm-sales-opportunities), see docs in the README.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from handoff.settings import SERVICES
from tests.handoff.test_up import Up

pytestmark = [pytest.mark.long, pytest.mark.kafka, pytest.mark.data, pytest.mark.timeout(280)]

DATA = Path(__file__).parents[3] / "shared" / "data" / "maven"
KILLS = 3
REGIONS = {"West": "3568647.00", "Central": "3346293.00", "East": "3090594.00"}
QUARTERS = {"2017-Q1": "1134672.00", "2017-Q2": "3086111.00", "2017-Q3": "2982255.00", "2017-Q4": "2802496.00"}
AS_OF = {
    "2017-03-31": (1330, "3280185.00"),
    "2017-06-30": (1686, "4216807.00"),
    "2017-09-30": (2409, "5763490.00"),
}


def test_killed_services_lose_and_double_nothing(tmp_path: Path) -> None:
    if not (DATA / "sales_pipeline.csv").exists():
        pytest.skip(f"{DATA.name}/sales_pipeline.csv is not there: put the export beside the checkout, in shared/data/maven")
    up = Up(tmp_path / "data")
    up.start()
    try:
        importing = import_maven(up)
        kill_at_random(up, importing)
        assert json.loads(importing.communicate(timeout=200)[0]) | {"seconds": 0} == {
            "read": 8800,
            "published": 15511,
            "rejected": 0,
            "seconds": 0,
        }
        settled(up)
        check(up)
        again = import_maven(up)
        assert json.loads(again.communicate(timeout=200)[0])["published"] > 15000
        check(up)
        assert "lag" in up.get("lifecycle", "/v1/status")
    finally:
        assert up.end(signal.SIGTERM) == 0


def import_maven(up: Up) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "handoff", "import", "maven", str(DATA), "--wait", "--json"]
    return subprocess.Popen(command, env=up.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def kill_at_random(up: Up, importing: "subprocess.Popen[str]") -> None:
    """kill -9, one service after the other, each when it has moved a random bit further."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    victims = [*SERVICES] * (KILLS // len(SERVICES))
    chance.shuffle(victims)
    for victim in victims:
        begun = position(up, victim)
        wanted = begun + chance.randrange(50, 1500)
        deadline = time.monotonic() + 10
        while position(up, victim) < wanted and time.monotonic() < deadline and importing.poll() is None:
            pass
        os.kill(up.pid(victim), signal.SIGKILL)
        wait_until(up.ready)


def wait_until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def position(up: Up, service: str) -> int:
    try:
        return int(up.get(service, "/v1/status")["position"])
    except OSError:
        return 0


def settled(up: Up) -> None:
    wait_until(lambda: all(up.get(service, "/v1/status")["lag"] == 0 for service in SERVICES))


def customers(up: Up) -> int:
    """How many customer records lifecycle has."""
    with sqlite3.connect(f"file:{up.data_dir}/lifecycle.sqlite?mode=ro", uri=True) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'shard%events'")]
        counts = [database.execute(f"SELECT count(DISTINCT originator_id) FROM {table}").fetchone()[0] for table in tables]
    database.close()
    return sum(counts)


def check(up: Up) -> None:
    """The exact figures of the export."""
    pipeline = up.get("forecast", "/v1/pipeline?by=region")
    totals = pipeline["totals"]
    assert (totals["won"]["count"], totals["won"]["amount"]) == (4238, "10005534.00")
    assert totals["lost"]["count"] == 2473
    assert (totals["open"]["count"], totals["open"]["amount"]) == (1589 + 500, "4966215.00")
    assert {group["key"]: group["won"]["amount"] for group in pipeline["groups"] if group["key"]} == REGIONS
    statuses = {group["key"]: group["open"] for group in up.get("forecast", "/v1/pipeline?by=status")["groups"]}
    assert (statuses["In Discussion"]["count"], statuses["In Discussion"]["amount"]) == (1589, "3892229.00")
    assert (statuses["Opportunity Identified"]["count"], statuses["Opportunity Identified"]["amount"]) == (500, "1073986.00")
    managers = up.get("forecast", "/v1/pipeline?by=team")["groups"]
    best = max(managers, key=lambda group: float(group["won"]["amount"]))
    assert (best["key"], best["won"]["amount"]) == ("Melvin Marxen", "2251930.00")
    for quarter, amount in QUARTERS.items():
        assert up.get("forecast", f"/v1/forecast?period={quarter}")["won"]["amount"] == amount
    for day, (count, amount) in AS_OF.items():
        then = up.get("forecast", f"/v1/pipeline?as_of={day}")["totals"]["open"]
        assert (then["count"], then["amount"]) == (count, amount)
    stages = {group["key"]: group for group in up.get("forecast", "/v1/pipeline?by=stage")["groups"]}
    assert stages.keys() == {"prospect", "customer"}
    assert customers(up) == 85 + 1425
    assert all(up.get(service, "/v1/status")["dead_letters"] == 0 for service in SERVICES)
