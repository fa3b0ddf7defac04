"""Latency on the whole stack: a lead in, its status out, its rep out, against two raw round trips over the same Kafka.

A round sends so many leads a second on schedule, whatever is answered (latency counts from the schedule, so that a stall is not
forgiven), first through the echo and then through the services. Rows: ``status`` and ``assigned``.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

from events import facts
from events.bus.kafka import KafkaBus, create_topics
from events.record import Message
from events.topics import ASSIGNMENT, LIFECYCLE, PARTITIONS, Topic
from tests.bench.echo import reader
from tests.bench.result import BrokenRunError, Comparison, Goal, Lap, percentile
from tests.bench.workload import message

PER_SECOND: Final = 50
ANSWER_SECONDS_MAX: Final = 30.0
OUT: Final = Topic(name="bench.out.v1", writer="operations", purpose="to the echo")
BACK: Final = Topic(name="bench.back.v1", writer="operations", purpose="from the echo")
STATUS: Final = (LIFECYCLE.name, b"crm.status.changed.v1")
ASSIGNED: Final = (ASSIGNMENT.name, b"crm.lead.assigned.v1")
Answer = tuple[str, bytes]
"""What is waited for: a topic and a type."""


class Listener:
    """Notes when the first record of a type and key comes on a topic."""

    def __init__(self, bootstrap: str, *topics: str) -> None:
        self._consumer = reader(bootstrap, *topics)
        self._stopped = threading.Event()
        self.seen: dict[tuple[str, bytes, bytes], float] = {}
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._consumer.close(autocommit=False)

    def latencies(self, answer: Answer, due: dict[bytes, float]) -> list[float]:
        """The milliseconds from when each was due until its answer came. Waits for all of them."""
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while any((*answer, key) not in self.seen for key in due):
            if time.monotonic() > deadline:
                missing = sum((*answer, key) not in self.seen for key in due)
                raise BrokenRunError(f"{missing} of {len(due)} leads have no {answer[1].decode()} within {ANSWER_SECONDS_MAX:g} s")
            time.sleep(0.02)
        return [(self.seen[(*answer, key)] - at) * 1000 for key, at in due.items()]

    def _listen(self) -> None:
        while not self._stopped.is_set():
            found = self._consumer.poll(timeout_ms=100)
            now = time.perf_counter()
            for records in found.values():
                for record in records:
                    type_ = dict(record.headers).get("ce_type", b"")
                    self.seen.setdefault((record.topic, type_, record.key), now)


def latency_rows(bootstrap: str, seconds: float, rounds: int) -> Iterator[Comparison]:
    """p99 of the services against p99 of two raw round trips, round by round."""
    create_topics(bootstrap, PARTITIONS, topics=(OUT, BACK))
    status, assigned = [], []
    count = max(1, int(seconds * PER_SECOND))
    with (
        closing(KafkaBus(bootstrap, "bench")) as bus,
        closing(bus.producer()) as producer,
        echo(bootstrap),
        closing(Listener(bootstrap, BACK.name, LIFECYCLE.name, ASSIGNMENT.name)) as listener,
    ):
        send = lambda each: producer.send([each])  # noqa: E731
        for number in range(-1, rounds):  # the first one warms up
            leads = [lead(f"L-{number:+d}-{each}") for each in range(count if number >= 0 else PER_SECOND)]
            raw = _p99(listener, _schedule(send, [_to(OUT, each) for each in leads]), (BACK.name, b"crm.lead.created.v1"))
            due = _schedule(send, leads)
            if number >= 0:
                status.append(Lap(_p99(listener, due, STATUS), raw))
            reps = _p99(listener, due, ASSIGNED)
            if number >= 0:
                assigned.append(Lap(reps, raw))
    floor = "two raw Kafka round trips, p99"
    rate = f"p99 at {PER_SECOND} leads/s"
    yield Comparison(
        name="status",
        subject=f"lead in → status changed out, {rate}",
        floor=floor,
        unit="ms",
        laps=tuple(status),
        goal=Goal(3, at_most=True),
    )
    yield Comparison(
        name="assigned",
        subject=f"lead in → assigned out, {rate}",
        floor=floor,
        unit="ms",
        laps=tuple(assigned),
        goal=Goal(3.5, at_most=True),
    )


def lead(customer: str) -> Message:
    """A new customer's lead, dated now."""
    data = facts.LeadCreated(customer_id=customer, company="Acme GmbH", country="DE", employees=250, source="webinar")
    return message(data, f"{customer}-created", time.time_ns())


def _to(topic: Topic, lead: Message) -> Message:
    return Message(topic.name, lead.key, lead.value, lead.headers)


def _schedule(send: Callable[[Message], Any], sent: Sequence[Message]) -> dict[bytes, float]:
    """Send at a steady rate; when each was due, by key."""
    due: dict[bytes, float] = {}
    began = time.perf_counter() + 0.05
    for number, each in enumerate(sent):
        at = began + number / PER_SECOND
        time.sleep(max(0.0, at - time.perf_counter()))
        assert each.key is not None
        due[each.key] = at
        send(each)
    return due


def _p99(listener: Listener, due: dict[bytes, float], answer: Answer) -> float:
    return percentile(listener.latencies(answer, due), 99)


@contextmanager
def echo(bootstrap: str) -> Iterator[None]:
    """The echo, in a process that ends with this one."""
    command = [sys.executable, "-m", "tests.bench.echo", bootstrap, OUT.name, BACK.name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise BrokenRunError(f"the echo ended with exit code {process.wait(5)}")
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()
