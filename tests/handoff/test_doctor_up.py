"""``handoff doctor`` beside a real ``handoff up``: all is well, then one thing after the other is not."""

import itertools
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from events.bus.kafka import KafkaBus
from events.bus.partitioner import murmur2
from events.codec import encode
from events.facts import LeadCreated
from events.record import Message
from events.topics import LEAD, PARTITIONS
from handoff.settings import SERVICES
from tests.handoff.test_up import Up

pytestmark = pytest.mark.kafka

NOON = 1_772_366_400_000_000_000


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that was started with a slip of the pen."""
    running = Up(tmp_path_factory.mktemp("doctor") / "data")
    running.environment["HANDOFF_PARTITON"] = "12"
    running.start()
    yield running
    assert running.end(signal.SIGTERM) == 0


def examined(up: Up) -> tuple[int, dict[str, Any]]:
    ended = up.run("doctor", "--json")
    assert ended.stderr == ""
    return ended.returncode, {each["check"]: each for each in json.loads(ended.stdout)["checks"]}


def publish(up: Up, message: Message) -> None:
    bus = KafkaBus(f"127.0.0.1:{up.ports['kafka']}", client_id="test")
    producer = bus.producer()
    producer.send([message]).wait(10)
    producer.close()
    bus.close()


def test_a_stack_that_is_well(up: Up, eventually: Callable[..., None]) -> None:
    eventually(lambda: up.run("status").returncode == 0)
    code, checks = examined(up)
    assert code == 0, checks
    assert [check for check in checks if checks[check]["findings"]] == ["settings"]  # the slip of the pen
    assert all(each["looked"] for each in checks.values()), checks
    assert checks["ports"]["said"] == ", ".join(f"{name} {up.ports[name]} runs" for name in ("kafka", *SERVICES))


def test_the_slip_of_the_pen_is_told_at_the_start_and_in_every_log(up: Up) -> None:
    said = "HANDOFF_PARTITON is set, and nothing reads it: did you mean HANDOFF_PARTITIONS?"
    assert sum(said in line for line in up.lines) == 1
    for name in SERVICES:
        assert (Path(up.data_dir) / "logs" / f"{name}.log").read_text().count(said) == 1


def test_a_sender_that_uses_another_partitioner(up: Up, eventually: Callable[..., None]) -> None:
    message = encode(LEAD.name, "crm.lead.created.v1", LeadCreated(customer_id="acme"), source="website", id="1", occurred_at=NOON)
    elsewhere = (murmur2(b"acme", PARTITIONS) + 1) % PARTITIONS
    publish(up, Message(LEAD.name, message.key, message.value, message.headers, partition=elsewhere))
    eventually(lambda: up.get("lifecycle", "/v1/status")["moved"] == {"website": 1})
    _, checks = examined(up)
    assert checks["partitioner"]["findings"][0]["what"] == "website sent 1 record to another partition than the customer's"


def test_a_record_that_cannot_be_read(up: Up, eventually: Callable[..., None]) -> None:
    publish(up, Message(LEAD.name, b"acme", b"{", (), partition=0))
    eventually(lambda: up.get("lifecycle", "/v1/status")["dead_letters"] == 1)
    code, checks = examined(up)
    assert code == 0  # a warning: nothing of ours is broken
    assert checks["dead letters"]["findings"][0]["what"].startswith(
        "lifecycle refused 1 record (Undecodable); the last is crm.lead.v1[0]"
    )


@pytest.mark.long
def test_a_stack_in_which_everything_moves(up: Up) -> None:
    """Positions and the ends of the logs are not read at the same moment."""
    bus = KafkaBus(f"127.0.0.1:{up.ports['kafka']}", client_id="test")
    producer = bus.producer()
    enough = threading.Event()

    def publish_on() -> None:
        for number in itertools.count():
            if enough.is_set():
                return
            data = LeadCreated(customer_id=f"c-{number % 50}")
            producer.send([encode(LEAD.name, "crm.lead.created.v1", data, source="web", id=f"{number}", occurred_at=NOON)]).wait(10)

    thread = threading.Thread(target=publish_on)
    thread.start()
    try:
        found = [examined(up)[1]["positions"] for _ in range(3)]
    finally:
        enough.set()
        thread.join()
        producer.close()
        bus.close()
    assert [each["findings"] for each in found] == [[], [], []]


def test_a_service_that_hangs(up: Up) -> None:
    os.kill(up.pid("forecast"), signal.SIGSTOP)
    try:
        code, checks = examined(up)
    finally:
        os.kill(up.pid("forecast"), signal.SIGCONT)
    assert code == 1
    assert checks["services"]["findings"][0]["what"].startswith("forecast does not answer at http://127.0.0.1:")
