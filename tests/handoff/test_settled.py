"""Waiting until nothing is on its way any more, and ``handoff status``: both read what the services say of themselves."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from handoff.client import Services
from handoff.errors import NOT_WELL, CommandError
from handoff.importing.settled import settled, wait_until_settled
from handoff.settings import SERVICES, load


def status(service: str, lag: int = 0, at: int = 5, state: str = "running", letters: int = 0) -> dict[str, Any]:
    return {
        "service": service,
        "state": state,
        "lag": lag,
        "lag_seconds": lag / 10,
        "position": at,
        "positions": {f"{service}[0]": at},
        "dead_letters": letters,
    }


def look(**changes: dict[str, Any] | None) -> dict[str, dict[str, Any] | None]:
    return {name: changes[name] if name in changes else status(name) for name in SERVICES}


def test_two_quiet_looks_at_the_same_positions_are_settled() -> None:
    assert settled(look(), look())


@pytest.mark.parametrize(
    "other",
    [
        look(routing=status("routing", lag=1)),
        look(routing=status("routing", at=6)),  # something came through in between: it may go on elsewhere
        look(forecast=status("forecast", state="starting")),  # its lag is that of the partitions it has
        look(lifecycle=None),
        {},
    ],
)
def test_anything_else_is_not(other: dict[str, Any]) -> None:
    assert not settled(other, look())
    assert not settled(look(), other)


def test_the_wait_ends_when_everybody_is_quiet(services: dict[str, Any]) -> None:
    lags = {"lifecycle": [2, 0, 0, 0, 0], "routing": [0, 3, 0, 0, 0], "forecast": [0, 0, 1, 0, 0]}
    for name, server in services.items():
        server.answers["/v1/status"] = lambda name=name: (200, status(name, lag=lags[name].pop(0)))
    told: list[str] = []
    with Services(load()) as asked:
        wait_until_settled(asked, 10, told.append)
    assert [len(lag) for lag in lags.values()] == [0, 0, 0]
    assert told[:2] == [
        "waiting: lifecycle is 2 behind, routing is 0 behind, forecast is 0 behind",
        "waiting: lifecycle is 0 behind, routing is 3 behind, forecast is 0 behind",
    ]


def test_a_wait_that_is_too_long_says_who_is_behind(services: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    services["lifecycle"].says("/v1/status", status("lifecycle"))
    services["routing"].says("/v1/status", status("routing", lag=1200, state="retrying"))
    services["forecast"].server_close()
    with Services(load()) as asked, pytest.raises(CommandError) as caught:
        wait_until_settled(asked, 0, lambda text: None)
    assert caught.value.code == NOT_WELL
    assert str(caught.value) == (
        "not everything is reflected after 0 s: lifecycle is 0 behind, routing is 1,200 behind (retrying), forecast does not answer"
    )


def test_status_when_all_is_well(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    for name, server in services.items():
        server.says("/v1/status", status(name, letters=1 if name == "routing" else 0))
    ended = handoff("status", "--json")
    assert ended.code == 0
    idle = {"state": "running", "lag": 0, "lag_seconds": 0.0}
    assert json.loads(ended.out) == {
        "services": {"lifecycle": idle, "routing": idle, "forecast": idle},
        "dead_letters": {"lifecycle": 0, "routing": 1, "forecast": 0},
    }
    lines = handoff("status").out.splitlines()
    assert [line.split()[:5] for line in lines] == [
        ["service", "state", "lag", "seconds", "dead"],
        ["lifecycle", "running", "0", "0.0", "0"],
        ["routing", "running", "0", "0.0", "1"],
        ["forecast", "running", "0", "0.0", "0"],
    ]


@pytest.mark.parametrize("state", ["starting", "retrying", "stopped"])
def test_status_is_bad_news_when_a_service_does_not_run(services: dict[str, Any], handoff: Callable[..., Any], state: str) -> None:
    for name, server in services.items():
        server.says("/v1/status", status(name, state=state if name == "forecast" else "running"))
    ended = handoff("status", "--json")
    assert ended.code == 1
    assert json.loads(ended.out)["services"]["forecast"]["state"] == state


def test_a_service_that_fails_is_as_good_as_down(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    for name, server in services.items():
        server.says("/v1/status", status(name) if name != "routing" else {"detail": "oops"}, 200 if name != "routing" else 500)
    ended = handoff("status", "--json")
    assert ended.code == 1
    assert {name: each["state"] for name, each in json.loads(ended.out)["services"].items()} == {
        "lifecycle": "running",
        "routing": "down",
        "forecast": "running",
    }


def test_status_when_nobody_answers(handoff: Callable[..., Any]) -> None:
    ended = handoff("status", "--json")
    assert ended.code == 1
    down = {"state": "down", "lag": None, "lag_seconds": None}
    assert json.loads(ended.out) == {"services": dict.fromkeys(SERVICES, down), "dead_letters": dict.fromkeys(SERVICES)}
    assert handoff("status").code == 1
