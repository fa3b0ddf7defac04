"""How long it takes: from when a fact was due until its status change is out, its assignment is out, its deal is in an answer.

The listener reads the two topics as any consumer would; what a message tells of its cause leads back to the fact.
"""

import threading
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import httpx2
import msgspec
from msgspec import Struct

from events.assignments import LeadAssigned
from events.topics import ASSIGNMENT, LIFECYCLE
from tests.bench.echo import reader
from tests.bench.result import percentile
from tests.faults.load import Item

if TYPE_CHECKING:
    from tests.soak.traffic import Probe

STATUS: Final = "status change out"
ASSIGNED: Final = "rep out"
VISIBLE: Final = "deal in the forecast"
TYPES: Final = {b"crm.status.changed.v1": STATUS, b"crm.lead.assigned.v1": ASSIGNED}
REMEMBERED: Final = 200_000
"""Facts whose instant is remembered, and customers whose assignment is: the oldest are forgotten."""
POLL_MS: Final = 50
ASK_SECONDS: Final = 0.01
ASK_SHARE: Final = 0.1
"""Between two questions passes so much of the time that was waited: what is told is at most so much too long, and a service that is
late is not asked all the time."""
VISIBLE_SECONDS_MAX: Final = 60.0


class Latencies:
    """Milliseconds by what was waited for and by the minute in which it was due."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._told: dict[tuple[str, int], dict[str, float]] = {}
        self._lock = threading.Lock()

    def note(self, what: str, due: float) -> None:
        """It has come just now. ``due``: by ``perf_counter``."""
        now = time.perf_counter()
        with self._lock:
            self._found[what][int((due - self._began) / 60)].append((now - due) * 1000)

    def by_minute(self) -> dict[str, list[dict[str, float]]]:
        """Median, p99, maximum and count for each minute.

        What was counted before and has not grown is not counted again, and nobody who has something to note waits for the rest: a
        pause in here would be told as the services'.
        """
        with self._lock:
            minutes = {what: sorted(some) for what, some in self._found.items()}
            grown = {
                (what, minute): tuple(self._found[what][minute])
                for what, some in minutes.items()
                for minute in some
                if self._told.get((what, minute), {}).get("count") != len(self._found[what][minute])
            }
        self._told.update((key, _figures(some)) for key, some in grown.items())
        return {what: [{"minute": minute, **self._told[what, minute]} for minute in some] for what, some in minutes.items()}


def _figures(values: Sequence[float]) -> dict[str, float]:
    in_order = sorted(values)
    found = {"p50": percentile(in_order, 50), "p99": percentile(in_order, 99), "max": in_order[-1]}
    return {**{name: round(value, 2) for name, value in found.items()}, "count": len(values)}


class _Caused(Struct):
    """What is read of a message: the id of the fact that brought it about."""

    cause: Mapping[str, str]


class Listener:
    """A thread that reads status changes and assignments."""

    def __init__(self, bootstrap: str, latencies: Latencies) -> None:
        self._consumer: Any = reader(bootstrap, LIFECYCLE.name, ASSIGNMENT.name)
        self._latencies = latencies
        self._due: OrderedDict[str, float] = OrderedDict()
        self._assigned: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._consumer.close(autocommit=False)

    def expect(self, item: Item, due: float) -> None:
        """A fact is about to be published; where it comes twice, the first time counts."""
        name = dict(item.message.headers)["ce_id"].decode()
        with self._lock:
            self._due.setdefault(name, due)
            _bound(self._due)

    def held(self, customer: str) -> LeadAssigned | None:
        """The last assignment of a customer."""
        with self._lock:
            said = self._assigned.get(customer)
        return None if said is None else msgspec.json.decode(said, type=LeadAssigned)

    def _run(self) -> None:
        seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        while not self._ended.is_set():
            for records in self._consumer.poll(timeout_ms=POLL_MS).values():
                for record in records:
                    what = TYPES.get(dict(record.headers).get("ce_type", b""))
                    if what is None:
                        continue
                    cause = msgspec.json.decode(record.value, type=_Caused).cause["id"]
                    if what == ASSIGNED:
                        self._note_assignment(record.key.decode(), record.value)
                    with self._lock:
                        due = self._due.get(cause)
                    if due is not None and (what, cause) not in seen:
                        seen[what, cause] = None
                        _bound(seen)
                        self._latencies.note(what, due)

    def _note_assignment(self, customer: str, said: bytes) -> None:
        with self._lock:
            self._assigned[customer] = said
            self._assigned.move_to_end(customer)
            _bound(self._assigned)


def _bound(some: OrderedDict[Any, Any]) -> None:
    if len(some) > REMEMBERED:
        some.popitem(last=False)


class Asker:
    """A thread that asks forecast for the deals of probes, one after the other, until it has each."""

    def __init__(self, url: str, probes: "deque[Probe]", deal: str, latencies: Latencies) -> None:
        self.missed: list[str] = []
        self._url = url
        self._probes = probes
        self._deal = deal
        self._latencies = latencies
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx2.Client(trust_env=False) as http:
            while not self._ended.is_set():
                if not self._probes:
                    self._ended.wait(ASK_SECONDS)
                    continue
                probe = self._probes.popleft()
                if self._await(http, probe):
                    self._latencies.note(VISIBLE, probe.due)
                elif not self._ended.is_set():
                    self.missed.append(probe.customer)

    def _await(self, http: httpx2.Client, probe: "Probe") -> bool:
        began = time.monotonic()
        while (waited := time.monotonic() - began) < VISIBLE_SECONDS_MAX and not self._ended.is_set():
            try:
                answer = http.get(f"{self._url}/v1/deals/{self._deal}", params={"customer_id": probe.customer}, timeout=10)
            except httpx2.HTTPError:  # asked again, until it is too late
                pass
            else:
                if answer.is_success:
                    return True
            self._ended.wait(max(ASK_SECONDS, ASK_SHARE * waited))
        return False
