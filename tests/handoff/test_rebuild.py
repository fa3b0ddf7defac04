"""``handoff rebuild`` against forecast's own application with its threads, on a memory bus."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvicorn

from handoff.client import Services
from handoff.commands import rebuild
from handoff.settings import ServiceName
from services.forecast.api import create_app
from tests.forecast.harness import Forecast, image

from .conftest import Answering, Ended

Handoff = Callable[..., Ended]
JAN = "2018-01-01T00:00:00Z"


class Running(Forecast):
    """Forecast whose threads run, and which answers over HTTP."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for number in range(60):
            self.deal(f"customer-{number % 7}", f"opportunity:{number}", (JAN, image(number)))
        self.settle()
        app = create_app(
            self.store, self.directories, self.loop.progress, self.registry, self.settings, lambda: 0, builder=self.builder
        )
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self.listener]})
        self._thread.start()
        self.builder.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.builder.stop()
        self.listener.close()
        super().close()


@pytest.fixture
def forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    running = Running(tmp_path / "forecast.sqlite")
    monkeypatch.setenv("HANDOFF_FORECAST_PORT", str(running.listener.getsockname()[1]))
    yield running
    running.close()


def test_a_check_then_a_switch_then_what_was_done(handoff: Handoff, forecast: Running) -> None:
    before = forecast.dump()
    rows = sum(map(len, before.values()))
    checked = handoff("rebuild", "forecast", "--check", "--actor", "dana")
    assert (checked.code, checked.out) == (0, f"byte for byte the same: {rows:,} rows, in 0:00:0{checked.out[-2]}\n")
    switched = json.loads(handoff("rebuild", "forecast", "--share", "100", "--json").out)
    assert (switched["outcome"], switched["share"], switched["done"]) == ("switched", 100, 60)
    assert forecast.dump() == before
    listed = handoff("rebuild")
    assert (listed.code, "lifecycle does not answer" in listed.err) == (1, True), "its views are not shown"
    assert "forecast  forecast  1 x" in listed.out
    assert listed.out.rstrip().endswith("switched")


def test_at_a_terminal_there_is_a_bar_and_then_the_answer(terminal: Callable[..., list[str]], forecast: Running) -> None:
    shown = terminal(80, "rebuild", "forecast", "--check", "--share", "100")
    assert any("forecast" in line and "%" in line for line in shown)
    assert "byte for byte the same" in shown[-1]


def test_a_difference_is_told_with_its_place(handoff: Handoff, forecast: Running) -> None:
    with forecast.ledger.transaction() as cursor:
        cursor.execute("UPDATE deal_history SET owner = 'eve' WHERE deal_id = 'opportunity:8'")
    ended = handoff("rebuild", "forecast", "--check")
    assert ended.code == 1
    assert "table deal_history, customer_id customer-1, deal_id opportunity:8, valid_from" in ended.out
    assert "column owner: in the live view 'eve', made again None" in ended.out


def test_ctrl_c_ends_it(forecast: Running, eventually: Callable[..., None]) -> None:
    before = forecast.dump()
    forecast.bus.away = True  # so that it waits
    command = [sys.executable, "-m", "handoff", "rebuild", "forecast"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: forecast.builder.job("forecast")[0].running, seconds=60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, "the live view forecast stays as it is" in said) == (130, True), said
    forecast.bus.away = False
    eventually(lambda: not forecast.builder.job("forecast")[0].running)
    job, standing = forecast.builder.job("forecast")
    assert (job.rebuild and job.rebuild.outcome, standing.live, standing.doubled) == ("cancelled", 0, False)
    assert forecast.dump() == before


class Interrupted:
    """In the place of time: Ctrl-C comes in the first pause, once the rebuild is as far as is said."""

    def __init__(self, forecast: Running, until: Callable[[], None]) -> None:
        self._forecast = forecast
        self._until = until
        self._came = False

    def sleep(self, seconds: float) -> None:
        """The first one is cut short."""
        self._forecast.bus.away = False
        if self._came:
            time.sleep(seconds)
            return
        self._came = True
        self._until()
        raise KeyboardInterrupt


def test_ctrl_c_that_comes_too_late_says_that_the_view_is_switched(
    handoff: Handoff, forecast: Running, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    forecast.bus.away = True
    over = lambda: eventually(lambda: not forecast.builder.job("forecast")[0].running)  # noqa: E731
    monkeypatch.setattr(rebuild, "time", Interrupted(forecast, over))
    ended = handoff("rebuild", "forecast", "--share", "100")
    assert (ended.code, "it was too late: the view forecast was made again, and switched to" in ended.err) == (130, True), ended.err
    assert forecast.builder.job("forecast")[1].generation == 1


def test_ctrl_c_waits_for_what_comes_of_it(handoff: Handoff, forecast: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    forecast.bus.away = True
    monkeypatch.setattr(rebuild, "time", Interrupted(forecast, lambda: None))
    ended = handoff("rebuild", "forecast", "--share", "5")
    job, standing = forecast.builder.job("forecast")
    assert not job.running, "it has waited"
    assert job.rebuild is not None
    assert (ended.code, job.rebuild.outcome, standing.generation) == (130, "cancelled", 0)
    assert "the rebuild has ended (cancelled), and the live view forecast stays as it is" in ended.err


def test_ctrl_c_before_anything_was_begun_ends_nothing(
    handoff: Handoff, forecast: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert handoff("rebuild", "forecast").code == 0

    def post(self: Services, *asked: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Services, "post", post)
    ended = handoff("rebuild", "forecast")
    assert (ended.code, "nothing was begun, and the live view forecast stays as it is" in ended.err) == (130, True)


def test_it_is_ended_by_whoever_says_so(handoff: Handoff, forecast: Running) -> None:
    nothing = handoff("rebuild", "forecast", "--cancel")
    assert (nothing.code, "there is nothing to end" in nothing.err) == (1, True)
    forecast.bus.away = True
    forecast.http.post("/v1/rebuilds", json={"view": "forecast", "actor": "dana"})
    ended = handoff("rebuild", "forecast", "--cancel")
    assert (ended.code, ended.out) == (0, "cancelled; the live view was left as it is\n")


def test_one_that_was_switched_all_the_same_is_not_called_ended(
    handoff: Handoff, services: Mapping[ServiceName, Answering]
) -> None:
    """As a worker of an older version may do."""
    last = {"id": "a1", "outcome": "switched", "seconds": 1.0, "done": 60, "detail": None}
    said = {"running": False, "rebuild": last}
    services["forecast"].says("/v1/rebuilds/forecast", said)
    ended = handoff("rebuild", "forecast", "--cancel")
    assert (ended.code, ended.out) == (1, "made again in 0:00:01 from 60 records, and switched to\n")


def test_what_does_not_exist_is_said(handoff: Handoff) -> None:
    ended = handoff("rebuild", "deals")
    assert (ended.code, "there is no view 'deals': it is one of" in ended.err) == (2, True)
