"""The numbered load: what a company's systems would publish, from one seed, with all that goes wrong on the way.

In go a seed and a clock, out comes an endless row of :class:`Item`. Customers are drawn by Zipf: a few are busy, most are not.
Most facts happened during the ten months before the load begins, in the order of the customer's own story; some happen when they
are sent. Some come twice, some late, some with the identity of another one, some lie in the wrong partition, and some cannot be
read at all.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Final, NamedTuple

from events.bus.partitioner import crc32
from events.codec import encode
from events.facts import Data
from events.record import Message
from events.topics import LIFECYCLE_INPUTS, MOVED, PARTITIONS
from events.values import NANOSECONDS
from tests.faults import happenings
from tests.faults.happenings import Draw, Held

DAY: Final = 24 * 3600 * NANOSECONDS
STORY_DAYS: Final = 300
CUSTOMERS_AT_A_TIME: Final = 300
FACTS_OF_A_CUSTOMER_MAX: Final = 45
"""A customer whose story is that long makes room for a new one: the plain recomputation takes long for long stories."""
HOMES: Final = {type_: topic.name for topic in LIFECYCLE_INPUTS if topic is not MOVED for type_ in topic.types}

LATER_MAX: Final = 500
"""How many others are sent before one that is held back, at most."""


class Odds(NamedTuple):
    """How often facts are repeated, held back, contradicted, put into the wrong partition, spoiled, and happen when sent."""

    twice: float = 0.06
    late: float = 0.12
    other_content: float = 0.01
    stray: float = 0.04
    malformed: float = 0.02
    now: float = 0.15


class Item(NamedTuple):
    """One input. ``malformed``: it must become a dead letter, and nothing else."""

    number: int
    message: Message
    malformed: bool = False


class Customer:
    """Where a customer's story has come to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.day = 0.0
        self.facts = 0


class Later:
    """Messages that are held back until so many others are sent."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Message]] = []
        self._count = itertools.count()

    def put(self, when: int, message: Message) -> None:
        heapq.heappush(self._heap, (when, next(self._count), message))

    def due(self, now: int) -> Iterator[Message]:
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]


def items(
    seed: int,
    clock: Callable[[], int],
    *,
    held: Held = lambda _: None,
    shards: int = PARTITIONS,
    at_a_time: int = CUSTOMERS_AT_A_TIME,
    odds: Odds = Odds(),  # noqa: B008 - frozen
    later_max: int = LATER_MAX,
    facts_max: int = FACTS_OF_A_CUSTOMER_MAX,
) -> Iterator[Item]:
    """The load. ``clock``: nanoseconds since 1970; ``held``: the last assignment of a customer, as far as anybody can say.

    ``facts_max``: how long a customer's story is.
    """
    chance = Random(seed)
    began = clock() - STORY_DAYS * DAY
    today = datetime.fromtimestamp(clock() // NANOSECONDS, UTC).date()
    numbers, names = itertools.count(1), itertools.count(1)
    customers = [Customer(f"c{next(names)}") for _ in range(at_a_time)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, at_a_time + 1)))
    later = Later()
    for sent in itertools.count(1):
        for message in later.due(sent):
            yield Item(next(numbers), message)
        place = chance.choices(range(at_a_time), cum_weights=weights)[0]
        customer = customers[place]
        number = next(numbers)
        if chance.random() < odds.malformed:
            yield Item(number, happenings.spoiled(chance, customer.name, number, clock(), chance.randrange(shards)), True)
            continue
        type_, data = happenings.next_of(Draw(chance, customer.name, today), first=customer.facts == 0, held=held)
        at = clock() if chance.random() < odds.now else _in_the_story(chance, customer, began)
        message = message_of(type_, data, number, at)
        if chance.random() < odds.stray:  # as librdkafka's clients send it, unless told
            message = _in_partition(message, crc32(customer.name.encode(), shards))
        customer.facts += 1
        if customer.facts >= facts_max:
            customers[place] = Customer(f"c{next(names)}")
        if chance.random() < odds.twice:
            later.put(sent + chance.randrange(1, later_max), message)
        if chance.random() < odds.other_content:
            later.put(sent + chance.randrange(1, later_max), message_of(type_, data, number, at + NANOSECONDS))
        if chance.random() < odds.late:
            later.put(sent + chance.randrange(1, later_max), message)
        else:
            yield Item(number, message)


def message_of(type_: str, data: Data, number: int, at: int) -> Message:
    """A fact of the load, by its number."""
    return encode(HOMES[type_], type_, data, source=f"crm/{number % 3}", id=f"n{number}", occurred_at=at)


def _in_the_story(chance: Random, customer: Customer, began: int) -> int:
    customer.day += chance.choice([0.0, 0.5, 1.0, 3.0, 7.0])
    return began + int(min(customer.day, STORY_DAYS - 1) * DAY) + chance.randrange(2) * NANOSECONDS


def _in_partition(message: Message, partition: int) -> Message:
    return Message(message.topic, message.key, message.value, message.headers, partition, message.timestamp)
