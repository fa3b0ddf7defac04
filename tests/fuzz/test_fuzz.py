"""A small fixed share of ``make fuzz``: every target with its corpus, and with what one seed makes of it."""

import itertools
import logging
import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.fuzz.campaign import inputs
from tests.fuzz.catalogue import TARGETS
from tests.fuzz.feeding import feed, shortened
from tests.fuzz.measures import growth, memory
from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target, always
from tests.fuzz.targets.requests import opened
from tests.postgres import PostgresServer

CPU_SECONDS = 0.3
"""For each target, after its corpus."""
SEED = 20261126


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_every_promise_holds(name: str) -> None:
    target = TARGETS[name]
    corpus = len(list(target.corpus()))
    with target.open() as run:
        deadline = time.process_time() + CPU_SECONDS
        for number, data in enumerate(inputs(target, SEED)):
            if number >= corpus and time.process_time() > deadline:
                break
            failure = feed(run, data, target.cpu_seconds_max)
            assert failure is None, f"input {number}: {data[:2_000]!r}\n{failure.told}"


@pytest.mark.postgres
def test_every_promise_of_requests_holds_on_postgresql(postgres: PostgresServer) -> None:
    target = TARGETS["http"]
    with opened(postgres.database()) as run:
        for data in target.corpus():
            failure = feed(run, data, target.cpu_seconds_max)
            assert failure is None, f"{data[:2_000]!r}\n{failure.told}"


def faulty(data: bytes) -> None:
    """A parser with three faults."""
    if b"\xff{" in data:
        data.decode()
    if data.count(b"[") > 3:
        raise RecursionError
    while b"loop" in data:
        pass


@pytest.mark.parametrize(
    ("fault", "mark", "shortest"),
    [(b"abc\xff{xyz", "UnicodeDecodeError", b"\xff{"), (b"[a[b[c[d", "RecursionError", b"[[[["), (b"xxloopxx", "Hangs", b"loop")],
)
def test_what_is_wrong_is_found_and_made_short(fault: bytes, mark: str, shortest: bytes) -> None:
    failure = feed(faulty, fault, cpu_seconds_max=0.05)
    assert failure is not None
    assert failure.mark.startswith(mark)
    assert shortened(faulty, fault, failure.mark, cpu_seconds_max=0.05) == shortest
    assert feed(faulty, b"harmless", cpu_seconds_max=0.05) is None


def test_a_seed_says_which_inputs_there_are() -> None:
    first, again = ([*itertools.islice(inputs(TARGETS["times"], 7), 200)] for _ in range(2))
    assert first == again
    assert first != [*itertools.islice(inputs(TARGETS["times"], 8), 200)]
    random = Random(1)
    assert len({mutated(first[:20], TARGETS["times"].words, random) for _ in range(100)}) > 80


def by_the_square(data: bytes) -> None:
    for at in range(data.count(b"[") // 8):
        data[at:].count(b"]]")


def in_step(data: bytes) -> int:
    return sum(sum(data) for _ in range(100))


def test_what_grows_by_the_square_is_found_and_what_grows_in_step_is_not() -> None:
    square, step = (Target(run.__name__, always(run), lambda: [b"x"]) for run in (by_the_square, in_step))
    assert {slow.piece for slow in growth([square], seconds_min=0.001)} == {b"["}
    assert not list(growth([step]))


def test_what_is_kept_is_weighed() -> None:
    kept: list[bytes] = []
    leaking = Target("leaking", always(lambda data: kept.append(data * 100)), lambda: [b"x" * 100])
    half, whole = memory(leaking, count=400)
    assert whole - half > 200 * 100 * 50
    half, whole = memory(Target("sound", always(bytes.upper), lambda: [b"x" * 100]), count=400)
    assert whole - half < 50_000
