"""``handoff dead-letters`` against lifecycle's own application on a memory bus; the other services are little servers, or away."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from prometheus_client import CollectorRegistry

from events.bus.database import TRANSIENT
from events.bus.letters import selection
from events.bus.letters.office import Office
from events.facts import LeadUpdated
from events.record import Message
from events.values import parse_instant
from handoff.letters import PAGE, Tally, again, chosen
from handoff.settings import ServiceName
from services.lifecycle.api import create_app
from services.lifecycle.rehearsal import Rehearsal
from tests.lifecycle.harness import SHARDS, Lifecycle

from .conftest import Answering, Ended

Handoff = Callable[..., Ended]
NOW = "2026-03-03T12:00:00Z"
EMPTY = {"groups": [], "more": False, "count": 0, "unpublished": 0, "by": "reason"}


@pytest.fixture
def quiet(services: Mapping[ServiceName, Answering]) -> Mapping[ServiceName, Answering]:
    """Routing and forecast have no dead letters."""
    for server in services.values():
        server.says("/v1/dead-letters/groups", EMPTY)
        server.says("/v1/dead-letters", {"dead_letters": [], "next": None, "count": 0})
        none = {"dry_run": False, "done": 0, "kept": 0, "letters": [], "next": None}
        server.says("/v1/dead-letters/replay", none)
        server.says("/v1/dead-letters/drop", none)
    return services


class Running(Lifecycle):
    """Lifecycle whose loop turns by itself, and which answers over HTTP."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        rehearsal = Rehearsal(self.store, self.tables)
        office = Office(
            self.store.ledger.letters,
            self.store.database.read,
            rehearsal,
            ends=self.bus.end_offsets,
            transient=TRANSIENT,
            now=lambda: parse_instant(NOW),
        )
        app = create_app(self.store, self.tables, self.loop.progress, CollectorRegistry(), office=office)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.run, kwargs={"sockets": [self.listener]}),
            threading.Thread(target=self._turn),
        ]
        for thread in self._threads:
            thread.start()

    def _turn(self) -> None:
        while not self._ending.wait(0.005):
            self.loop.turn()

    def close(self) -> None:
        self._ending.set()
        self._server.should_exit = True
        for thread in self._threads:
            thread.join()
        self.loop.close()
        self.listener.close()
        self.store.close()


@pytest.fixture
def lifecycle(
    quiet: Mapping[ServiceName, Answering], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> Iterator[Running]:
    """Four letters: three of one reason, and one with a key that a terminal would obey."""
    running = Running(tmp_path / "lifecycle.sqlite")
    monkeypatch.setenv("HANDOFF_LIFECYCLE_PORT", str(running.listener.getsockname()[1]))
    at = parse_instant("2026-03-01T09:00:00Z") // 1_000_000
    for number in range(3):
        running.bus.append(Message("crm.lead.v1", b"acme", b"{%d" % number, (("ce_id", b"1"),), 1, at))
    running.bus.append(Message("crm.quote.v1", b"\x1b[31mred", None, (), 1, at))
    eventually(lambda: running.store.ledger.dead_letters() == {"Undecodable": 4})
    yield running
    running.close()


def test_listing_shows_reasons_then_the_newest(handoff: Handoff, lifecycle: Running) -> None:
    ended = handoff("dead-letters", "list", "--limit", "2")
    assert (ended.code, ended.err) == (0, "")
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert lines == [
        "lifecycle: 4 waiting",
        "letters last reason",
        "3 2026-03-01 09:00:00 Undecodable: header ce_specversion is missing: send a CloudEvents <n> event, in binary mode"
        " (ce_ headers) or as application/cloudevents+json",
        "1 2026-03-01 09:00:00 Undecodable: value is missing: a fact is not deleted, another one corrects it",
        "",
        "letter recorded lay at customer reason",
        *(line for line in lines if line.startswith("lifecycle/")),
        "the newest 2 (--all shows the others)",
        "",
        "routing: 0 waiting",
        "forecast: 0 waiting",
    ]
    assert "\x1b" not in ended.out
    assert r"\x1b[31mred" in ended.out
    letters = [
        json.loads(line) for line in handoff("dead-letters", "list", "service=lifecycle", "--all", "--json").out.splitlines()
    ]
    assert [letter["letter"] for letter in letters] == ["lifecycle/4", "lifecycle/3", "lifecycle/2", "lifecycle/1"]
    assert handoff("dead-letters", "list", "service=lifecycle", "topic=crm.quote.v1").out.startswith("lifecycle: 1 waiting")
    assert "crm.lead.v1" in handoff("dead-letters", "list", "service=lifecycle", "--by", "topic").out


def test_one_is_shown_with_its_bytes_and_what_would_become_of_it(handoff: Handoff, lifecycle: Running) -> None:
    ended = handoff("dead-letters", "show", "lifecycle/1")
    assert ended.code == 0, ended.err
    assert "crm.lead.v1[1] at 0, recorded 2026-03-01T09:00:00Z" in ended.out
    assert "replayed now it would be refused: Undecodable header ce_specversion" in ended.out
    assert ended.out.endswith("\n{0\n")
    assert json.loads(handoff("dead-letters", "show", "lifecycle/4", "--json").out)["value"] is None
    missing = handoff("dead-letters", "show", "lifecycle/99")
    assert (missing.code, "has no dead letter 99" in missing.err) == (1, True)


def test_a_replay_tells_what_stays_and_what_failed_again(handoff: Handoff, lifecycle: Running) -> None:
    dry = handoff("dead-letters", "replay", "--all", "--dry-run")
    assert dry.code == 0, dry.err
    assert "lifecycle: 0 of 4 would be replayed\n  4 stay: it would be refused again (Undecodable)\n" in dry.out
    said = handoff("dead-letters", "replay", "--all").out
    assert said.startswith(
        "lifecycle: 0 of 4 replayed\n  4 stay: it would be refused again (Undecodable)\n    for example lifecycle/"
    )
    assert ": header ce_specversion is missing" in said
    forced = handoff("dead-letters", "replay", "lifecycle/1", "lifecycle/2", "--force", "--actor", "dana", "--reason", "a try")
    assert forced.code == 1
    assert "lifecycle: 2 of 2 replayed\n  2 failed again, for example lifecycle/5: header ce_specversion" in forced.out
    again = handoff("dead-letters", "list", "service=lifecycle", "again=true").out
    assert "lifecycle: 2 waiting" in again
    assert "(again, first lifecycle/1) Undecodable: header ce_specversion" in again
    shown = handoff("dead-letters", "show", "lifecycle/1").out
    assert "replayed by dana at 2026-03-03 12:00:00, in Kafka: a try" in shown
    assert "its replays became lifecycle/5" in shown
    assert handoff("dead-letters", "replay", "lifecycle/1").out.splitlines()[1] == "  1 stay: it is replayed already"


class Busy:
    """A service that is never done: whatever it takes in, as much more has come."""

    def __init__(self) -> None:
        self.asked = 0

    def get(self, service: ServiceName, path: str, **asked: Any) -> dict[str, Any]:
        if not path.endswith("/replays"):
            return {"count": 0, "dead_letters": [], "next": None}
        self.asked += 1
        at = {"a[0]": 10 + self.asked, "a[1]": 40}
        ends = {log: None if self.asked == 2 else position + 3 for log, position in at.items()}
        logs = [{"log": log, "position": position, "end": ends[log]} for log, position in at.items()]
        return {"unpublished": 2 if self.asked == 1 else 0, "logs": logs}


def test_a_busy_service_need_not_be_idle_for_a_replay_to_be_over() -> None:
    """Nor does a log count to which nothing was replayed now."""
    services, told = Busy(), list[str]()
    assert again(services, "lifecycle", Tally(7, {"a[0]"}), 60, told.append).count == 0  # type: ignore[arg-type]
    said = ["2 to be published", "Kafka does not answer", *(f"{count} to be taken in" for count in (3, 2, 1))]
    assert told == [f"lifecycle: {each}" for each in said]


class Divided(Running):
    """Two workers; it answers for the first one, and the second one stands still as soon as all replays are published."""

    def __init__(self, path: Path) -> None:
        self.paused = threading.Event()
        self.resumed = threading.Event()
        super().__init__(path)

    def _turn(self) -> None:
        first = self.loop
        store, _, second = self.start("lifecycle-2")
        while not self._ending.wait(0.001):
            first.turn()
            with store.database.read() as cursor:
                replayed = bool(selection.reading(cursor)) and not selection.unpublished(cursor)
            if replayed and not self.resumed.is_set():
                self.paused.set()
            else:
                second.turn()
        second.close()
        store.close()


def test_a_replay_is_not_over_while_another_worker_has_not_taken_it_in(
    handoff: Handoff,
    quiet: Mapping[ServiceName, Answering],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., None],
) -> None:
    running = Divided(tmp_path / "lifecycle.sqlite")
    try:
        monkeypatch.setenv("HANDOFF_LIFECYCLE_PORT", str(running.listener.getsockname()[1]))
        eventually(lambda: len({place.partition for place in running.loop.progress().positions}) == SHARDS // 2)
        mine = {place.partition for place in running.loop.progress().positions}
        (shard, *_) = {*range(SHARDS)} - mine
        running.bus.append(Message("crm.lead.v1", b"acme", b"{", (("ce_id", b"1"),), shard))
        eventually(lambda: running.store.ledger.dead_letters() == {"Undecodable": 1})
        customer = next(name for name in map(str, range(100)) if running.store.home(name) == shard)
        for number in range(200):
            running.publish("crm.lead.updated.v1", LeadUpdated(customer_id=customer, score=number % 100), "2026-03-01T09:00:00Z")
        ended = handoff("dead-letters", "replay", "lifecycle/1", "--force", "--wait", "1.5")
        assert running.paused.is_set(), "it is published, and the worker stands still before it takes it in"
        assert running.loop.progress().lag == 0
        assert (ended.code, "lifecycle has not caught up yet" in ended.out) == (1, True), ended.out
        running.resumed.set()
        eventually(lambda: running.store.ledger.dead_letters() == {"Undecodable": 1} and not _left(running))
        assert "lifecycle: 1 waiting" in handoff("dead-letters", "list", "service=lifecycle", "again=true").out
    finally:
        running.close()


def _left(running: Running) -> int:
    with running.store.database.read() as cursor:
        positions = selection.reading(cursor)
    ends = running.bus.end_offsets(positions)
    return sum(ends[place] - position for place, position in positions.items())


def test_dropping_needs_a_reason_and_is_noted(handoff: Handoff, lifecycle: Running) -> None:
    assert handoff("dead-letters", "drop", "--all").code == 2
    ended = handoff("dead-letters", "drop", "topic=crm.lead.v1", "--reason", "a test")
    assert (ended.code, ended.out) == (0, "lifecycle: 3 of 3 dropped\n")
    assert handoff("dead-letters", "list", "service=lifecycle", "state=dropped").out.startswith("lifecycle: 3 dropped")
    assert handoff("dead-letters", "drop", "topic=crm.lead.v1", "--reason", "a test").out == "no letter is meant\n"


def test_a_service_that_is_away_is_said_and_the_others_are_shown(
    handoff: Handoff, lifecycle: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDOFF_ROUTING_PORT", "9")
    ended = handoff("dead-letters", "list")
    assert ended.code == 1
    assert "routing does not answer at http://127.0.0.1:9" in ended.err
    assert "its dead letters are not shown" in ended.err
    assert "lifecycle: 4 waiting" in ended.out
    ended = handoff("dead-letters", "drop", "--all", "--reason", "x")
    assert (ended.code, "lifecycle: 4 of 4 dropped" in ended.out) == (1, True)


def test_all_that_is_meant_is_done_in_steps(handoff: Handoff, quiet: Mapping[ServiceName, Answering]) -> None:
    """What the service takes at a time is a thousand; where to go on is its word."""
    letter = {"letter": "routing/1", "number": 1, "state": "waiting", "done": "dropped", "why": None, "verdict": None}
    answers = [
        {"dry_run": False, "done": PAGE, "kept": 0, "letters": [letter] * PAGE, "next": "1000-2500"},
        {"dry_run": False, "done": 7, "kept": 0, "letters": [letter] * 7, "next": None},
    ]
    quiet["routing"].answers["/v1/dead-letters/drop"] = lambda: (200, answers.pop(0))
    ended = handoff("dead-letters", "drop", "service=routing", "error=Bug", "--reason", "x", "--actor", "dana")
    assert ended.out.startswith("routing: 1,007 of 1,007 dropped in ")
    asked = {"filter": {"error": ["Bug"], "state": "waiting"}, "all": True, "actor": "dana", "reason": "x", "dry_run": False}
    assert quiet["routing"].posted == [
        {**asked, "after": None, "limit": PAGE},
        {**asked, "after": "1000-2500", "limit": PAGE},
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay"], "say which letters"),
        (["drop", "--reason", "x"], "say which letters"),
        (["replay", "17"], "'17' is no letter: write for example lifecycle/17"),
        (["replay", "lifecycle/x"], "is no letter"),
        (["replay", "billing/1"], "there is no service 'billing'"),
        (["list", "service=billing"], "there is no service 'billing'"),
        (["list", "eror=Bug"], "'eror' is no criterion of dead letters"),
        (["list", "partition=x"], "partition=x: it is a number"),
        (["list", "again=perhaps"], "again=perhaps: it is true or false"),
        (["list", "state=any", "state=waiting"], "state is there twice"),
        (["replay", "lifecycle/1", "service=routing"], "name letters, or say a service"),
        (["show", "lifecycle"], "is no letter"),
    ],
)
def test_a_wrong_command_is_told_what_would_be_right(handoff: Handoff, arguments: list[str], said: str) -> None:
    ended = handoff("dead-letters", *arguments)
    assert (ended.code, said in ended.err) == (2, True), ended.err


def test_what_is_typed_is_what_is_meant() -> None:
    asked = chosen(["error=Bug", "error=Undecodable", "offset=7", "again=false", "service=routing"])
    assert asked.body("routing") == {"error": ["Bug", "Undecodable"], "offset": 7, "again": False, "state": "waiting"}
    assert asked.query("routing")["again"] == "false"
    named = chosen(["lifecycle/1", "lifecycle/2", "routing/1"])
    assert (named.services, named.body("lifecycle")) == (("lifecycle", "routing"), {"number": [1, 2], "state": "any"})
