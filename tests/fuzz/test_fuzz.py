"""A small fixed share of ``make fuzz``: every target with its corpus, and with what one seed makes of it."""

import itertools
import logging
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from tests.fuzz.answered import succeeded, unanswered, unheard
from tests.fuzz.campaign import BLIND, IDLE, campaign, inputs
from tests.fuzz.catalogue import TARGETS
from tests.fuzz.content import Content, Known, content_of, contents
from tests.fuzz.feeding import feed, shortened
from tests.fuzz.measures import growth, memory
from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target, always
from tests.fuzz.targets.requests import opened
from tests.fuzz.worlds import Worlds
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


GUIDED = "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0\n#900\tDONE   cov: 20 ft: 30 corp: 7/90b exec/s: 900\n"
UNGUIDED = "#2\tINITED exec/s: 0\nWARNING: no interesting inputs were found so far.\n#900\tDONE   corp: 1/1b exec/s: 900\n"
"""What libFuzzer says where nothing is instrumented."""


@pytest.mark.parametrize(("said", "executions", "why"), [(GUIDED, 900, None), (UNGUIDED, 900, BLIND), ("DONE\n", 0, IDLE)])
def test_a_fuzzer_that_executes_nothing_or_sees_nothing_is_found(
    said: str,
    executions: int,
    why: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tests.fuzz.campaign.guided", lambda: True)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", said))
    (found,) = campaign(["times"], 1, SEED, 1, tmp_path)
    assert (found.executions, found.failures) == (executions, (why,) if why else ())
    told = f"times: {why}" if why else "every promise held"
    assert told in capsys.readouterr().out


def test_a_target_that_is_fed_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tests.fuzz.campaign.guided", lambda: False)
    (fed,) = campaign(["times"], 1, SEED, 2, tmp_path)
    assert fed.executions > 100
    assert not fed.failures
    assert IDLE not in capsys.readouterr().out
    monkeypatch.setattr("tests.fuzz.campaign.inputs", lambda *_: iter(()))
    found = campaign(["times", "yaml"], 1, SEED, 2, tmp_path)
    assert [each.failures for each in found] == [(IDLE,)] * 2
    said = capsys.readouterr().out
    assert f"times: {IDLE}" in said
    assert f"yaml: {IDLE}" in said


@pytest.mark.parametrize(
    ("operations", "wrong"),
    [
        ([({200: 1}, {}), ({404: 5, 503: 4}, {422: 1})], set()),
        ([({503: 9}, {503: 9}), ({503: 9}, {503: 9})], {"sales"}),
        ([({503: 9}, {422: 9}), ({200: 9}, {422: 9})], {"sales GET /0"}),
        ([({200: 9}, {422: 9}), ({200: 4, 503: 5}, {422: 9})], {"sales GET /1"}),
        ([({200: 9}, {503: 9}), ({200: 9}, {})], {"sales GET /0"}),
        ([({}, {}), ({200: 9}, {422: 9})], {"sales GET /0"}),
        ([({}, {})], {"sales"}),
        ([], {"sales"}),
    ],
)
def test_what_was_answered_with_503_or_not_asked_is_found(
    operations: list[tuple[dict[int, int], dict[int, int]]], wrong: set[str]
) -> None:
    counted = {
        f"GET /{number}": {"described": Counter(described), "forbidden": Counter(forbidden)}
        for number, (described, forbidden) in enumerate(operations)
    }
    assert unanswered({"sales": counted, "sound": {"GET /": {"described": Counter({200: 1})}}}).keys() == wrong


@pytest.mark.parametrize(
    ("counted", "missing"),
    [
        ({"described": {200: 1, 202: 1}}, ""),
        ({"described": {200: 1, 404: 9}, "forbidden": {202: 1, 422: 9}}, ""),
        ({"described": {200: 1, 404: 9}, "forbidden": {422: 9}}, "202"),
        ({"described": {404: 9, 503: 9}}, "200, 202"),
        ({}, "200, 202"),
    ],
)
def test_a_success_that_is_documented_and_never_answered_is_found(counted: dict[str, dict[int, int]], missing: str) -> None:
    kinds = {kind: Counter(statuses) for kind, statuses in counted.items()}
    promised: dict[str, dict[str, set[int]]] = {"sales": {"POST /": {202, 200}, "GET /moved": set()}, "sound": {"GET /": {200}}}
    wrong = unheard(promised, {"sales": {"POST /": kinds}, "sound": {"GET /": {"described": Counter({200: 1})}}})
    assert wrong.keys() == ({"sales POST /"} if missing else set())
    assert all(f"never answered {missing}, " in why for why in wrong.values())


def test_what_there_is_is_answered_with_every_success_that_is_documented() -> None:
    worlds = Worlds()
    promised: dict[str, dict[str, set[int]]] = {}
    answers: dict[str, dict[str, dict[str, Counter[int]]]] = {}
    try:
        for service, content in contents(worlds).items():
            client = TestClient(worlds.apps[service])
            for path, operations in worlds.apps[service].openapi()["paths"].items():
                for method, operation in operations.items():
                    name = f"{method.upper()} {path}"
                    statuses = {int(status) for status in operation["responses"] if status.startswith("2")}
                    promised.setdefault(service, {})[name] = statuses
                    known = content.about(name)
                    counted = Counter(each.sent(client, method, path).status_code for each in known)
                    assert succeeded([counted]) == len(known), f"{service} {name}: {counted}"
                    answers.setdefault(service, {})[name] = {"described": counted}
        assert not unheard(promised, answers)
        assert contents(worlds)["lifecycle"].known["POST /v1/mass-changes/{id}/revert"]  # what was applied can be taken back
    finally:
        worlds.close()


def shop(sent: list[str] | None = None) -> FastAPI:
    """An application that knows two things, and of the second not what it says it does. ``sent``: what it is asked for."""
    app = FastAPI()

    @app.middleware("http")
    async def noted(request: Request, following: Callable[..., Any]) -> Response:
        if sent is not None:
            sent.append(str(request.url))
        answer: Response = await following(request)
        return answer

    described: dict[int | str, dict[str, Any]] = {"4XX": {"description": "No", "content": {"application/json": {}}}}
    thing = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    described[200] = {"description": "Yes", "content": {"application/json": {"schema": thing}}}

    @app.get("/things")
    def things(limit: int = 9, after: str = "", format: str = "json") -> dict[str, Any]:
        there = [{"thing_id": "T-1", "changed_at": "2026-03-01T09:00:00Z"}, {"thing_id": "T-2", "colour": "red"}]
        return {"things": there[:limit], "next": "T-1" if limit == 1 and not after else None}

    @app.get("/things/{thing_id}", responses=described, response_model=None)
    def one(thing_id: str, colour: str = "", as_of: str = "", after: str = "") -> Response:
        there = {"T-1": {"name": "One", "colour": "red"}, "T-2": {"called": "Two"}}
        return JSONResponse(there.get(thing_id, {}), 200 if thing_id in there else 404)

    return app


def of_shop(*things: str) -> Content:
    """What there is in it."""
    return content_of(shop(), lambda _: iter([("GET /things/{thing_id}", [Known({"thing_id": thing}) for thing in things])]))


def test_what_may_be_asked_for_is_what_is_answered() -> None:
    content = of_shop("T-1")
    assert content.said == {"GET /things": {}, "GET /things/{thing_id}": {"colour": ["red"]}}
    assert content.instants == ["2026-03-01T09:00:00Z"]
    assert content.about("GET /things") == (
        Known(),
        Known(query={"limit": 1, "after": "T-1"}),
        Known(query={"format": "csv"}),
    )
    assert content.about("POST /things") == (Known(),)
    assert content.about("POST /things/{thing_id}") == ()
    with pytest.raises(AssertionError, match="/nothing: "):
        content_of(shop(), lambda get: iter([("GET /nothing", get("/nothing"))]))


@pytest.mark.parametrize(
    ("things", "unlike", "missing"),
    [(("T-1",), False, False), (("T-1", "T-2"), True, False), ((), False, True), (("T-3",), False, True), (None, False, True)],
)
def test_a_success_that_is_not_as_documented_is_found_where_there_is_one(
    things: tuple[str, ...] | None, unlike: bool, missing: bool
) -> None:
    pytest.importorskip("schemathesis", reason="make fuzz installs it")
    from tests.fuzz.conformance import conform

    answers, promised, wrong = conform({"shop": shop()}, 0, SEED, lambda: {} if things is None else {"shop": of_shop(*things)})
    assert wrong.keys() == ({"shop GET /things/{thing_id}"} if unlike else set())
    assert all('"name" is a required property' in why for why in wrong.values())
    assert unheard(promised, answers).keys() == ({"shop GET /things/{thing_id}"} if missing else set())


def test_half_of_what_is_asked_is_about_what_is_there_and_a_seed_decides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("schemathesis", reason="make fuzz installs it")
    from tests.fuzz import conformance

    monkeypatch.setattr(conformance, "EXAMPLES_FIRST", 40)
    monkeypatch.setattr(conformance, "KINDS", {mode: kind for mode, kind in conformance.KINDS.items() if kind == "described"})

    def asked(number: int) -> list[str]:
        sent: list[str] = []
        conformance.conform({"shop": shop(sent)}, 0, number, lambda: {"shop": of_shop("T-1")})
        return [each.removeprefix("http://testserver/things/") for each in sent if "/things/" in each]

    first = asked(SEED)
    assert asked(SEED) == first
    assert asked(SEED + 1) != first
    about = [each for each in first if each.partition("?")[0] == "T-1"]
    assert 10 < len(about) < 31
    assert any("colour=red" in each for each in about)
    assert any("as_of=2026-03-01T09" in each for each in about)
    assert not any("after=" in each for each in about)


def test_a_service_that_cannot_tell_what_there_is_is_found() -> None:
    pytest.importorskip("schemathesis", reason="make fuzz installs it")
    from tests.fuzz.conformance import conform

    def broken() -> dict[str, Content]:
        raise ValueError("no such table")

    answers, _, wrong = conform({"shop": shop()}, 0, SEED, broken)
    assert wrong == {"what there is": "ValueError: no such table"}
    assert answers["shop"]["GET /things"]["described"]


def test_all_that_is_known_is_asked_about_in_the_first_round() -> None:
    pytest.importorskip("schemathesis", reason="make fuzz installs it")
    from tests.fuzz.conformance import conform

    sent, things = list[str](), [f"T-{number}" for number in range(10, 30)]
    conform({"shop": shop(sent)}, 0, SEED, lambda: {"shop": of_shop(*things)})
    assert {f"http://testserver/things/{thing}" for thing in things} <= {*sent}


def test_a_body_that_is_not_documented_is_found() -> None:
    pytest.importorskip("schemathesis", reason="make fuzz installs it")
    from tests.fuzz.conformance import conform

    app = FastAPI()
    app.get("/noted", status_code=202, response_class=Response)(lambda: JSONResponse({}, 202))
    app.get("/silent", status_code=202, response_class=Response)(lambda: Response(status_code=202))
    _, _, wrong = conform({"shop": app}, 0, SEED)
    assert wrong.keys() == {"shop GET /noted"}
    assert "202 is documented without a body, and has one: application/json" in wrong["shop GET /noted"]


def answering(*statuses: int) -> FastAPI:
    """An application whose operations answer one status each, which is documented."""

    def always_says(status: int) -> Callable[[], Response]:
        return lambda: Response(status_code=status)

    app = FastAPI()
    for number, status in enumerate(statuses):
        app.get(f"/{number}", status_code=status, response_class=Response)(always_says(status))
    return app


def test_an_api_that_only_answers_503_is_found() -> None:
    pytest.importorskip("schemathesis", reason="make fuzz installs it")
    from tests.fuzz.conformance import conform

    apps = {"sound": answering(200, 200), "down": answering(503, 503), "partly": answering(200, 200, 503)}
    answers, _, wrong = conform(apps, 0, SEED)
    assert not wrong
    assert all(kinds["described"] for operations in answers.values() for kinds in operations.values())
    assert unanswered(answers).keys() == {"down", "partly GET /2"}
