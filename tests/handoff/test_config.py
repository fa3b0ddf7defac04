"""``handoff config``, and the one list of all settings that it shows: value, origin, meaning, slips of the pen, no secrets."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from events.environment import VARIABLES, unknown
from handoff.configuration import all_settings, effective, masked
from handoff.settings import SERVICES

COLUMNS = 80


def shown(handoff: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(handoff("config", "--json").out)["settings"]}


def test_every_setting_is_known_to_every_process() -> None:
    names = [setting.name for setting in all_settings()]
    assert len(names) == len(set(names))
    assert set(names) == VARIABLES, "events/environment.py lists what the settings read"


def test_every_setting_says_what_it_means_and_who_reads_it() -> None:
    for setting in all_settings():
        assert setting.meaning.endswith("."), setting.name
        assert setting.services, setting.name
        assert setting.default, setting.name
        assert not Path(setting.default).is_absolute(), f"{setting.name}: a default is the same on every machine"


def test_a_setting_that_several_read_is_there_once() -> None:
    by_name = {setting.name: setting for setting in all_settings()}
    assert by_name["HANDOFF_DATA_DIR"].services == ("handoff", *SERVICES)
    assert by_name["HANDOFF_CURRENCY"].services == ("forecast",)
    assert by_name["HANDOFF_TICKS"].default == "true"
    assert by_name["HANDOFF_RULES"].default == "built in"


def test_value_and_origin(handoff: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_CURRENCY", "EUR")
    monkeypatch.setenv("HANDOFF_RULES", "")  # empty means not set
    found = shown(handoff)
    assert (found["HANDOFF_CURRENCY"]["value"], found["HANDOFF_CURRENCY"]["origin"]) == ("EUR", "environment")
    assert (found["HANDOFF_RULES"]["value"], found["HANDOFF_RULES"]["origin"]) == ("built in", "default")
    assert handoff("config").code == 0


def test_a_wrong_value_is_named_and_the_others_are_shown(handoff: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_MINIMUM_PROBABILITY", "101")
    ended = handoff("config")
    assert ended.code == 1
    assert ended.err == "handoff: HANDOFF_MINIMUM_PROBABILITY: Input should be less than or equal to 100\n"
    assert len(ended.out.splitlines()) == 1 + len(VARIABLES)


def test_a_slip_of_the_pen_is_told_with_what_was_meant(handoff: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_PARTITION", "4")
    ended = handoff("config")
    assert ended.code == 0
    assert ended.err == "handoff: warning: HANDOFF_PARTITION is set, and nothing reads it: did you mean HANDOFF_PARTITIONS?\n"
    assert json.loads(handoff("config", "--json").out)["unknown"] == [{"name": "HANDOFF_PARTITION", "meant": "HANDOFF_PARTITIONS"}]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HANDOFF_KAFAK", "HANDOFF_KAFKA"),
        ("HANDOFF_DATADIR", "HANDOFF_DATA_DIR"),
        ("handoff_time_zon", "HANDOFF_TIME_ZONE"),
        ("HANDOFF_XYZZY", None),
    ],
)
def test_what_was_meant(name: str, meant: str | None) -> None:
    assert [(each.name, each.meant) for each in unknown([name, "PATH", "HANDOFF_KAFKA", "handoff_kafka"])] == [(name, meant)]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("postgresql://handoff:geheim@db:5432/crm", "postgresql://handoff:***@db:5432/crm"),
        ("postgresql://handoff:ge@heim:1@db/crm", "postgresql://handoff:***@db/crm"),
        ("postgresql://handoff@db/crm?password=geheim&sslmode=on", "postgresql://handoff@db/crm?password=***&sslmode=on"),
        ("host=db password=geheim dbname=crm", "host=db password=*** dbname=crm"),
        ("https://maven.example/repository", "https://maven.example/repository"),
        ("127.0.0.1:9092,[::1]:9093", "127.0.0.1:9092,[::1]:9093"),
    ],
)
def test_no_password_is_shown(text: str, safe: str) -> None:
    assert masked(text) == safe


@pytest.mark.parametrize("url", ["postgresql://handoff:geheim@db:5432/crm", "mysql://handoff:geheim@db/crm"])
def test_no_password_is_shown_by_the_command(handoff: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HANDOFF_DATABASE", url)
    for arguments in (["config"], ["config", "--json"]):
        ended = handoff(*arguments)
        assert "geheim" not in ended.out + ended.err
        assert "handoff:***@db" in ended.out


def test_the_settings_in_force_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("handoff_currency", "USD")  # read in either case
    assert {each.setting.name: each.value for each in effective()}["HANDOFF_CURRENCY"] == "USD"


def test_it_fits_a_terminal_of_80_columns(terminal: Callable[..., list[str]]) -> None:
    lines = terminal(COLUMNS, "config")
    assert "HANDOFF_TIME_ZONE = UTC (default)" in [line.rstrip() for line in lines]
    assert max(len(line) for line in lines) <= COLUMNS


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_warns_of_a_slip_once_and_goes_on(service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HANDOFF_KAFAK", "broker:9092")
    monkeypatch.setenv("HANDOFF_DATA_DIR", str(tmp_path))
    monkeypatch.setenv(f"HANDOFF_{service.upper()}_PORT", "no port")  # so that it ends, with its own complaint
    ended = subprocess.run([sys.executable, "-m", f"services.{service}"], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 2
    warnings = [line for line in ended.stderr.splitlines() if logging.getLevelName(logging.WARNING) in line]
    assert len(warnings) == 1
    assert "HANDOFF_KAFAK is set, and nothing reads it: did you mean HANDOFF_KAFKA?" in warnings[0]
    assert f"HANDOFF_{service.upper()}_PORT" in ended.stderr
