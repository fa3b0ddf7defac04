"""What a soak publishes: the numbered load at a steady rate, by the clock, whatever comes of it.

Every fact is due at an instant, and latency counts from there: a publisher that stalls with the machine does not forgive what
stalled it. Once in a while a probe goes along: a deal of a customer of its own, that can be asked for by name.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Final, NamedTuple

from events.bus import BusError, Delivery
from events.bus.kafka import KafkaBus
from events.facts import OpportunityCreated
from events.record import Message
from events.values import Price
from tests.faults.load import Item, Odds, items, message_of
from tests.soak.listening import Latencies, Listener

FACTS_OF_A_CUSTOMER: Final = 20
CUSTOMERS_AT_A_TIME: Final = 1_000
ODDS: Final = Odds(twice=0.02, late=0.05, other_content=0.0, stray=0.01, malformed=0.002, now=0.9)
"""A company's: nine of ten facts are told when they happen, the tenth is dated back."""
PROBES_PER_SECOND: Final = 2
PROBE: Final = "opportunity"
STEP_SECONDS: Final = 0.05
"""What is due within it is sent together: a message at a time would load the machine more than the services do."""
UNANSWERED_MAX: Final = 1_000
"""Sends that Kafka has not acknowledged: with more, the run is broken and not slow."""


class Probe(NamedTuple):
    """A deal that was published, to be asked for."""

    customer: str
    due: float


class Traffic:
    """A thread that publishes so many facts a second until it is stopped."""

    def __init__(self, bootstrap: str, listener: Listener, latencies: Latencies, *, rate: float, seed: int) -> None:
        self.sent = 0
        self.malformed = 0
        self.error = ""
        self.probes: deque[Probe] = deque()
        self._bootstrap = bootstrap
        self._listener = listener
        self._latencies = latencies
        self._rate = rate
        self._items = items(
            seed,
            time.time_ns,
            held=listener.held,
            at_a_time=CUSTOMERS_AT_A_TIME,
            odds=ODDS,
            facts_max=FACTS_OF_A_CUSTOMER,
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return when all that was sent is acknowledged, or is not to be."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with closing(KafkaBus(self._bootstrap, "soak")) as bus, closing(bus.producer()) as producer:
                unanswered: deque[Delivery] = deque()
                for some in self._scheduled():
                    for due, item in some:
                        if item.message.key is not None and not item.malformed:
                            self._listener.expect(item, due)
                        self._latencies.note("published late", due)
                    unanswered.append(producer.send([item.message for _, item in some]))
                    self.sent += len(some)
                    self.malformed += sum(item.malformed for _, item in some)
                    while unanswered and unanswered[0].done():
                        unanswered.popleft().wait(0)
                    if len(unanswered) > UNANSWERED_MAX:
                        raise BusError(f"Kafka has not acknowledged {len(unanswered):,} facts")
                for each in unanswered:
                    each.wait(60)
        except Exception as error:  # whatever it is, the run is broken, and says so
            self.error = f"{type(error).__name__}: {error}"

    def _scheduled(self) -> Iterator[Sequence[tuple[float, Item]]]:
        """What is due by now, each fact with the instant at which it was (by ``perf_counter``)."""
        began = time.perf_counter()
        number = probes = 0
        while not self._ended.is_set():
            now = time.perf_counter()
            some: list[tuple[float, Item]] = []
            while began + number / self._rate <= now:
                some.append((began + number / self._rate, next(self._items)))
                number += 1
            probe = Probe(f"probe-{probes}", began + probes / PROBES_PER_SECOND)
            if probe.due <= now:
                some.append((probe.due, Item(0, probe_message(probe.customer, probes))))
                self.probes.append(probe)
                probes += 1
            if some:
                yield some
            self._ended.wait(STEP_SECONDS)


def probe_message(customer: str, number: int) -> Message:
    """The deal of a probe."""
    data = OpportunityCreated(customer_id=customer, opportunity_id=PROBE, amount=Price(amount=Decimal(100), currency="EUR"))
    return message_of("crm.opportunity.created.v1", data, -number - 1, time.time_ns())
