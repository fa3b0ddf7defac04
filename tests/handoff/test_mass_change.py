"""``handoff customers`` and ``handoff mass-change`` against lifecycle's own application, on a memory bus."""

import getpass
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from events.facts import LeadCreated, LeadQualified
from events.record import Message
from events.values import parse_instant
from handoff.criteria import LISTS, OTHERS
from services.lifecycle.api import create_app
from services.lifecycle.criteria import Criteria
from services.lifecycle.mass.api import Resources
from services.lifecycle.mass.batches import Batches
from services.lifecycle.mass.runner import Runner
from tests.lifecycle.harness import Lifecycle

Run = Callable[..., Any]
DAY_1, DAY_2 = "2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z"


@pytest.fixture
def lifecycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lifecycle]:
    """Three leads, at the address where the commands look for lifecycle."""
    running = Lifecycle(tmp_path / "lifecycle.sqlite")
    for customer, owner in (("a", None), ("b", "ann"), ("c", "ann")):
        lead = LeadCreated(customer_id=customer, company=f"{customer.upper()} Inc", country="DE", owner=owner)
        running.publish("crm.lead.created.v1", lead, DAY_1)
    running.publish("crm.lead.qualified.v1", LeadQualified(customer_id="c"), DAY_2)
    running.settle()
    taking_in = threading.Lock()

    def publish(messages: Sequence[Message]) -> None:
        with taking_in:
            for message in messages:
                running.bus.append(replace(message, timestamp=time.time_ns() // 1_000_000))
            running.settle()

    batches = Batches(running.store.database)
    runner = Runner(batches, running.store, lambda: running.policy, publish, time.time_ns)
    mass = Resources(running.store, batches, runner, lambda: running.policy, time.time_ns)
    tables, progress = running.tables, running.loop.progress
    app = create_app(running.store, tables, progress, CollectorRegistry(), mass=mass, clock=lambda: parse_instant(DAY_2))
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("HANDOFF_LIFECYCLE_PORT", str(listener.getsockname()[1]))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    http = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    http.start()
    runner.start()
    yield running
    runner.stop()
    server.should_exit = True
    http.join()
    listener.close()
    running.store.close()


def test_finding_customers(handoff: Run, lifecycle: Lifecycle) -> None:
    ended = handoff("customers", "stage=lead", "owner=ann", "--sort", "since", "--desc")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "customer  company  status     since                owner  overdue",
        "c         C Inc    Qualified  2026-03-02 09:00:00  ann",
        "b         B Inc    New        2026-03-01 09:00:00  ann    since 2026-03-02 09:00:00",
        "2 customers",
    ]
    assert handoff("customers", "--limit", "1").out.splitlines()[-1] == "3 customers: the first 1 (--all shows the others)"
    lines = handoff("customers", "--all", "--json").out.splitlines()
    assert [json.loads(line)["customer_id"] for line in lines] == ["a", "b", "c"]
    assert handoff("customers", "country=FR").out.splitlines()[-1] == "0 customers"


def test_a_mass_change_from_preview_to_taking_it_back(handoff: Run, lifecycle: Lifecycle) -> None:
    seen = handoff("mass-change", "preview", "status=New", "status=Qualified", "--set-owner", "ann", "--reason", "territories")
    assert seen.code == 0, seen.err
    name = seen.out.split(":")[0]
    assert seen.out.splitlines() == [
        f"{name}: set-owner ann, previewed",
        "1 of 3 customers would change; 2 stay (2 owner-is-set)",
        "",
        "customer  before          after           outcome",
        "a         New, nobody     New, ann        would-change",
        "b         New, ann        New, ann        would-not: ann owns the record already: any other rep can be named",
        "c         Qualified, ann  Qualified, ann  would-not: ann owns the record already: any other rep can be named",
        f"to do it: handoff mass-change apply {name}",
    ]
    done = handoff("mass-change", "apply", name)
    assert done.out.splitlines()[1] == "1 of 3 customers were changed; 2 stay (2 owner-is-set)"
    assert done.out.splitlines()[-1] == f"to take it back: handoff mass-change revert {name}"
    assert handoff("customers", "owner=ann").out.splitlines()[1].startswith("a ")
    shown = json.loads(handoff("mass-change", "show", name, "--json").out)
    assert (shown["state"], shown["written"], shown["actor"]) == ("applied", 1, getpass.getuser())
    back = handoff("mass-change", "revert", name, "--apply")
    assert "no-owner-before" in back.out
    again = handoff("mass-change", "revert", name)
    assert again.code == 1
    assert "is taken back already" in again.err
    listed = handoff("mass-change", "list").out.splitlines()
    assert [line.split()[1] for line in listed[1:]] == ["applied", "applied"]


def test_preview_and_apply_at_once_and_giving_up(handoff: Run, lifecycle: Lifecycle) -> None:
    done = handoff("mass-change", "preview", "--all", "--set-status", "Dead", "--apply", "--json")
    assert (done.code, json.loads(done.out)["written"]) == (0, 3)
    seen = json.loads(handoff("mass-change", "preview", "customer_id=a", "--recycle", "--reason", "x", "--json").out)
    assert json.loads(handoff("mass-change", "cancel", seen["id"], "--json").out)["state"] == "cancelled"
    assert handoff("mass-change", "apply", seen["id"]).code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["preview", "status=New"], "say one change: --set-status, --revert, --convert, --set-owner or --recycle"),
        (["preview", "status=New", "--convert", "--set-owner", "x"], "say one change"),
        (["preview", "status=New", "--convert", "--until", "2027-01-01"], "it needs --recycle"),
        (["preview", "New", "--convert"], "'New' is no criterion: write for example status=New or country=DE"),
        (["preview", "text=a", "text=b", "--convert"], "text is there twice, and only one can hold"),
        (["preview", "status=Nwe", "--convert"], "(did you mean 'New'?)"),
        (["preview", "colour=red", "--convert"], "filter.colour: is not a field of this object"),
        (["preview", "score_min=many", "--convert"], "filter.score_min"),
        (["preview", "--convert"], "say so with `all`, or narrow it down"),
        (["preview", "status=New", "--recycle"], "reason: is missing"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(handoff: Run, lifecycle: Lifecycle, arguments: Sequence[str], said: str) -> None:
    ended = handoff("mass-change", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_the_criteria_are_those_of_lifecycle() -> None:
    assert {*LISTS, *OTHERS} == set(Criteria.model_fields)
    assert {name for name, field in Criteria.model_fields.items() if "list" in str(field.annotation)} == {*LISTS}
