"""``handoff rebuild`` against forecast's own application with its threads, on a memory bus."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from services.forecast.api import create_app
from tests.forecast.harness import Forecast, image

from .conftest import Ended

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


def test_it_is_ended_by_whoever_says_so(handoff: Handoff, forecast: Running) -> None:
    nothing = handoff("rebuild", "forecast", "--cancel")
    assert (nothing.code, "there is nothing to end" in nothing.err) == (1, True)


def test_what_does_not_exist_is_said(handoff: Handoff) -> None:
    ended = handoff("rebuild", "deals")
    assert (ended.code, "there is no view 'deals': it is one of" in ended.err) == (2, True)
