"""The bank's loan applications on the real stack, while importer and services are killed: the figures are exact all the same.

Deals are asked of forecast over HTTP; what no service answers yet (the funnel, the medians) is read from the records in lifecycle's
store, as the domain folds them.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import pytest

from events.bus.partitioner import murmur2
from handoff.importing.bpic12 import Applications
from handoff.settings import SERVICES
from services.lifecycle.domain.fold import Fold
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from services.lifecycle.store import Store
from tests.handoff.test_up import Up

from .applications import APPLICATIONS, CLOSED, FACTS, LOG, MISSING, OPEN_AT, STAGES, UNQUOTED, Figures, Open
from .test_import_under_fire import customers, kill_at_random, settled, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.data, pytest.mark.long, pytest.mark.timeout(1500)]

SHARDS = 12
WAIT_SECONDS = 600
IMPORTER_KIB_MAX = 128 * 1024
"""The importer with Kafka's client and the command line."""


def test_killed_services_lose_and_double_nothing(tmp_path: Path) -> None:
    if not LOG.exists():
        pytest.skip(MISSING)
    up = Up(tmp_path / "data")
    up.start()
    try:
        Import(up).kill_when_it_publishes()
        importing = Import(up)
        kill_at_random(up, importing.process)
        importing.check()
        settled(up)
        check(up)
        for again in [Import(up), Import(up)]:  # at the same time
            again.check()
        settled(up)
        check(up)
    finally:
        assert up.end(signal.SIGTERM) == 0
    Figures.of(records(up)).check()


class Import:
    """`handoff import bpic12`, watched."""

    def __init__(self, up: Up) -> None:
        command = [
            sys.executable,
            "-m",
            "handoff",
            "import",
            "bpic12",
            str(LOG),
            "--wait",
            "--timeout",
            str(WAIT_SECONDS),
            "--json",
        ]
        self.process = subprocess.Popen(
            command, env=up.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        self.told: list[str] = []
        self.peak_kib = 0
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        """Look at its memory whenever it tells how far it is."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.told.append(line.rstrip("\n"))
            status = Path(f"/proc/{self.process.pid}/status")
            if status.exists():
                self.peak_kib = int(status.read_text().partition("VmHWM:")[2].split()[0])

    def kill_when_it_publishes(self) -> None:
        """kill -9 in the middle of it."""
        wait_until(lambda: len(self.told) >= 2)
        self.process.kill()
        assert self._ended() == ("", -signal.SIGKILL)

    def _ended(self) -> tuple[str, int]:
        """What it answered, and its exit code."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        answer = self.process.stdout.read()
        code = self.process.wait(10)
        self._listening.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return answer, code

    def check(self) -> None:
        """It takes everything over, tells of it, and is small."""
        said, code = self._ended()
        assert code == 0
        answer = json.loads(said)
        print(answer, self.peak_kib)
        assert answer.pop("seconds") > 0
        assert answer == {"read": APPLICATIONS, "published": FACTS, "rejected": 0}
        assert any("facts of" in line and "of the file" in line for line in self.told)
        assert self.peak_kib < IMPORTER_KIB_MAX


def check(up: Up) -> None:
    """What the services answer over HTTP."""
    totals = up.get("forecast", "/v1/pipeline")["totals"]
    assert {state: totals[state]["count"] for state in totals} == CLOSED
    stages = {group["key"]: group for group in up.get("forecast", "/v1/pipeline?by=stage")["groups"]}
    assert stages["customer"]["won"]["count"] == STAGES["customer"]
    assert {instant: open_at(up, instant) for instant in OPEN_AT} == OPEN_AT
    assert customers(up) == APPLICATIONS
    assert all(up.get(service, "/v1/status")["dead_letters"] == 0 for service in SERVICES)


def open_at(up: Up, instant: str) -> Open:
    """The open deals of an instant, as forecast answers."""
    body = up.get("forecast", f"/v1/pipeline?by=status&as_of={instant}")
    assert body["other_currencies"] == []
    opened = body["totals"]["open"]
    unquoted = sum(group["open"]["count"] for group in body["groups"] if group["key"] == UNQUOTED)
    deals = list(open_deals(up, instant))
    assert len(deals) == opened["count"]
    naive = sum(quotes(up, instant, deal) for deal in deals)
    return Open(opened["count"], whole(opened["amount"]), opened["count"] - unquoted, naive)


def open_deals(up: Up, instant: str) -> Iterator[Any]:
    """The deals behind it, page by page."""
    asked = {"as_of": instant, "state": "open", "limit": "500"}
    while True:
        page = up.get("forecast", f"/v1/deals?{urlencode(asked)}")
        yield from page["deals"]
        if page["next"] is None:
            return
        asked["after"] = page["next"]


def quotes(up: Up, instant: str, deal: Any) -> int:
    """The sum of every quote that a deal ever had by then."""
    asked = urlencode({"customer_id": deal["customer_id"], "as_of": instant})
    image = up.get("forecast", f"/v1/deals/{quote(deal['deal_id'])}?{asked}")["image"]
    return sum(whole(document["amount"]["amount"]) for document in image["documents"] if document["kind"] == "quote")


def whole(amount: str) -> int:
    """Whole euros: the log has no others."""
    euros, cents = amount.split(".")
    assert cents == "00"
    return int(euros)


def records(up: Up) -> Iterator[Fold]:
    """Every record in lifecycle's store, folded anew from its facts."""
    names = {message.key.decode() for message in Applications(LOG, time.time_ns(), lambda _: None).messages() if message.key}
    homes: defaultdict[int, list[str]] = defaultdict(list)
    for name in sorted(names):
        homes[murmur2(name.encode(), SHARDS)].append(name)
    policy = Policy(Tables((DEFAULT,)), ZoneInfo("UTC"))
    store = Store(up.data_dir / "lifecycle.sqlite", SHARDS, code_version="test")
    try:
        for shard, members in homes.items():
            for record in store.load(shard, members, policy).values():
                yield record.fold
    finally:
        store.close()
