"""Ten thousand leads in one mass change on the real stack, lifecycle killed in the middle of it: routing takes over, each once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from events.bus.kafka import KafkaBus
from events.codec import Fact, decode, encode
from events.facts import LeadCreated
from events.topics import ASSIGNMENT, LEAD
from events.values import parse_instant
from tests.handoff.test_up import Up

from .test_import_under_fire import settled, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(400)]

LEADS = 10_000
RULES = """
territories:
  - name: Not yet
    when: {status: [New]}
    target: unassigned
default:
  pool: [ann, bob]
"""
DIRECTORY = """
reps:
  - rep_id: ann
  - rep_id: bob
"""


def test_routing_takes_over_what_a_mass_change_changed_whoever_is_killed(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "directory.yaml").write_text(DIRECTORY)
    up = Up(tmp_path / "data")
    up.environment |= {
        "HANDOFF_RULES": str(tmp_path / "rules.yaml"),
        "HANDOFF_DIRECTORY": str(tmp_path / "directory.yaml"),
    }
    up.start()
    try:
        publish_leads(up)
        settled(up)
        assert up.get("lifecycle", "/v1/customers?unowned=true&count=true&limit=1")["count"] == LEADS

        began = time.monotonic()
        previewed = json.loads(up.run("mass-change", "preview", "status=New", "--set-status", "Qualified", "--json").stdout)
        assert (previewed["selected"], previewed["changing"]) == (LEADS, LEADS)
        seen = time.monotonic()
        applying = subprocess.Popen(
            [sys.executable, "-m", "handoff", "mass-change", "apply", previewed["id"], "--json"],
            env=up.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        path = f"/v1/mass-changes/{previewed['id']}"
        wait_until(lambda: up.get("lifecycle", path)["written"] > LEADS // 10)
        os.kill(up.pid("lifecycle"), signal.SIGKILL)
        applying.wait(60)  # it may have been told that lifecycle is away: the work goes on all the same
        wait_until(lambda: up.ready() and up.get("lifecycle", path)["state"] == "applied", 120)
        settled(up)
        print(f"{LEADS} records: previewed in {seen - began:.1f} s, applied, killed and routed in {time.monotonic() - seen:.1f} s")

        done = up.get("lifecycle", path)
        assert (done["written"], done["staying"]) == (LEADS, 0)
        owned = Counter(
            {rep: up.get("lifecycle", f"/v1/customers?owner={rep}&count=true&limit=1")["count"] for rep in ("ann", "bob")}
        )
        assert owned == {"ann": LEADS // 2, "bob": LEADS // 2}
        assert assigned(up) == Counter({f"c{number}": 1 for number in range(LEADS)})
        for service in ("lifecycle", "routing", "forecast"):
            assert up.get(service, "/v1/status")["dead_letters"] == 0
    finally:
        assert up.end(signal.SIGTERM) == 0


def publish_leads(up: Up) -> None:
    bus = KafkaBus(f"127.0.0.1:{up.ports['kafka']}", client_id="test-mass-change")
    producer = bus.producer()
    at = parse_instant("2026-03-01T09:00:00Z")
    leads = [LeadCreated(customer_id=f"c{number}", country="DE") for number in range(LEADS)]
    messages = [
        encode(LEAD.name, "crm.lead.created.v1", lead, source="test", id=f"lead-{number}", occurred_at=at)
        for number, lead in enumerate(leads)
    ]
    producer.send(messages).wait(60)
    producer.close()
    bus.close()


def assigned(up: Up) -> Counter[str]:
    """How often each customer was assigned: by the topic itself, repeats left out."""
    bus = KafkaBus(f"127.0.0.1:{up.ports['kafka']}", client_id="test-mass-change")
    seen: dict[str, str] = {}
    try:
        consumer = bus.consumer("test-mass-change", [ASSIGNMENT.name], lambda places: dict.fromkeys(places, 0), lambda _: None)
        quiet = 0
        while quiet < 5:
            records = consumer.poll(1.0, 5000)
            quiet = 0 if records else quiet + 1
            for record in records:
                fact = decode(record)
                if isinstance(fact, Fact) and fact.type == "crm.lead.assigned.v1":
                    seen[fact.id] = fact.customer_id
        consumer.close()
    finally:
        bus.close()
    return Counter(seen.values())
