"""Texts: the YAML files of operations, versions on reference topics, times, periods, cursors, criteria, settings, imports."""
# ruff: noqa: E501 - a file in one line

import base64
import os
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, date
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from pydantic import ValidationError

from events.bus.database.setting import checked
from events.bus.kafka.clients import addresses
from events.bus.versions import Versions
from events.business_time import begin_of, end_of
from events.environment import unknown
from events.files.yaml_tree import FileError
from events.record import Message
from events.reference import Directory
from events.topics import DIRECTORY, RULES, STATUS_TABLE
from events.values import INSTANT_MAX, INSTANT_MIN, format_instant, parse_instant, parse_instant_or_date
from handoff.criteria import read_criteria
from handoff.errors import CommandError
from handoff.importing.bpic12 import Applications
from handoff.importing.maven import read_export
from handoff.settings import Settings as StackSettings
from services.forecast import questions
from services.forecast.directory import Directories
from services.forecast.periods import parse_period
from services.forecast.settings import Settings as ForecastSettings
from services.lifecycle import listing, timeline
from services.lifecycle.domain.process import SalesProcess
from services.lifecycle.mass import api as mass
from services.lifecycle.settings import Settings as LifecycleSettings
from services.lifecycle.statuses import read_statuses
from services.routing.directory import read_directory
from services.routing.domain.rule_set import RuleSet
from services.routing.rules import read_rules
from services.routing.settings import Settings as RoutingSettings
from tests.fuzz.target import Target, always

ROOT: Final = Path(__file__).parents[3]
NOW: Final = 1_772_446_501_250_000_000
REPS: Final = ("anna", "ben", "carol", "dana")
ERROR_CHARACTERS_MAX: Final = 100_000
"""How long all that is wrong with a file may be, in a terminal or a log."""


def _told(error: Exception) -> None:
    text = str(error)
    text.encode()
    assert text, "no reason is given"
    assert len(text) <= ERROR_CHARACTERS_MAX, f"{len(text):,} characters of trouble"


# ------------------------------------------------------------------------------------------------ YAML


def _file(read: Callable[[bytes], Any], type_: Any) -> Callable[[bytes], None]:
    """What is read is content that the topic carries; what is not is told with its place."""

    def run(data: bytes) -> None:
        try:
            found = read(data)
        except FileError as error:
            _told(error)
            return
        content = getattr(found, "content", found)
        msgspec.json.decode(msgspec.json.encode(content), type=type_)

    return run


YAML: Final[dict[str, Callable[[bytes], None]]] = {
    "status-table.yaml": _file(read_statuses, SalesProcess),
    "rules.yaml": _file(lambda data: read_rules(data, REPS, 1), RuleSet),
    "directory.yaml": _file(read_directory, Directory),
}
_DEFAULTS: Final = ("services/lifecycle/defaults/status-table.yaml", "services/routing/defaults/rules.yaml")
_ODD: Final = (
    b"a: &a [*a]",
    b"&x {y: *x}",
    b"a: &a [1,1]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]",
    b"!!python/object/apply:os.system [id]",
    b"<<: {a: 1}\n",
    b"? [a]\n: 1\n",
    b"a: 1\na: 2\n",
    b"\xef\xbb\xbfreps: []\n",
    "reps: [{rep_id: 12, name: 0x1F, team: 1e999, region: .nan, active: 2026-02-30}]".encode("utf-16"),
    b"reps: [{rep_id: anna, active: " + b"9" * 5000 + b"}]",
    b"territories: []\ndefault: {rep: anna}\neffective_from: 9999-99-99\n",
    b"\x00", b"---\n...\n---\n", b"%YAML 1.1\n---\na: yes", b'"\\ud800": "\\uDFFF"', b"\t", b"[" * 40, b"{" * 40, b"a: |2\n   x\n",
)  # fmt: skip
_YAML_WORDS: Final = (
    *(b"!!float", b"!!binary", b"!!int", b"!!set", b"<<: ", b"&a", b"*a", b"? ", b": ", b"- ", b"|\n", b">-\n", b"---\n", b"...\n"),
    *(b"{", b"}", b"[", b"]", b".inf", b".NaN", b"0o17", b"0x1F", b"1_000", b"2026-03-01", b"~", b"null", b"yes", b"\xef\xbb\xbf"),
    *(b"effective_from", b"territories:", b"pools:", b"default:", b"when:", b"any:", b"not:", b"all:", b"prefix:", b"exists:"),
    *(
        b"statuses:",
        b"triggers:",
        b"stage:",
        b"probability:",
        b"target_duration: 3d",
        b"definition:",
        b"reps:",
        b"rep_id:",
        b"weight:",
    ),
    *(b"expected_amount: {gte: 50000 EUR}", b"attributes.vip", b"keep_owner", b"\\ud800", b"9" * 30),
)


def _yaml_corpus() -> Iterable[bytes]:
    yield from ((ROOT / path).read_bytes() for path in _DEFAULTS)
    yield (ROOT / "services/routing/defaults/directory.yaml").read_bytes()
    yield b"pools:\n  p: [anna, {rep: ben, weight: 2}]\nterritories:\n  - name: A\n    when: {country: [DE]}\n    pool: p\ndefault: {rep: carol}\n"
    yield from _ODD


def yaml(data: bytes) -> None:
    """Any bytes as each of the files."""
    for run in YAML.values():
        run(data)


# --------------------------------------------------------------------------------- reference topics


class _OneRecord:
    """A bus on which one record lies."""

    def __init__(self, message: Message) -> None:
        from tests.fuzz.targets.records import _record

        self._record = _record(message)

    def read(self, topic: str, offset: int) -> list[Any]:
        return [self._record] if offset == 0 else []


def reference(data: bytes) -> None:
    """Any bytes as a version of each kind of reference data: known, or complained of."""
    for topic, content in ((RULES, RuleSet), (STATUS_TABLE, SalesProcess), (DIRECTORY, Directory)):
        bus: Any = _OneRecord(Message(topic.name, None, data))
        versions = Versions(bus, topic.name, content)
        versions.refresh()
        assert (versions.newest is None) == (versions.complaint is not None)
        _told(ValueError(versions.complaint or "-"))
    bus = _OneRecord(Message(DIRECTORY.name, None, data))
    known = Directories(lambda offset: bus.read("", offset), lambda: 1)
    known.refresh()
    known.at(NOW).name("anna")


def _versions() -> Iterable[bytes]:
    for path, read in zip((*_DEFAULTS, "services/routing/defaults/directory.yaml"), YAML, strict=True):
        readers: dict[str, Any] = {"status-table.yaml": read_statuses, "directory.yaml": read_directory}
        readers["rules.yaml"] = lambda content: read_rules(content, REPS, 1)
        try:
            content = readers[read]((ROOT / path).read_bytes())
        except FileError:
            continue
        said = msgspec.json.encode(getattr(content, "content", content)).decode()
        yield f'{{"version": 1, "effective_from": "2026-01-01T00:00:00Z", "author": "ops", "content": {said}}}'.encode()
    yield b'{"version": 1, "effective_from": "2026-01-01T00:00:00Z", "author": "a", "content": {"reps": [{"rep_id": "anna"}]}}'


# ------------------------------------------------------------------------------------- times, places


_ZONES: Final = (UTC, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/St_Johns"), ZoneInfo("Africa/Monrovia"))


def times(data: bytes) -> None:
    """A text as a time, a day, a period, a cursor, a place: understood within its range, or ``ValueError`` with a reason."""
    text = data.decode("utf-8", "replace")
    for place_of in (questions.place_of, listing.place_of, timeline.place_of, mass.place_of):
        for cursor in (text, base64.urlsafe_b64encode(data).decode()):
            _or_value_error(place_of, cursor)
    _or_value_error(checked, text)
    _or_value_error(addresses, text)
    period = _or_value_error(parse_period, text)
    assert period is None or period.first <= period.last
    when = _or_value_error(parse_instant_or_date, text)
    if isinstance(when, int):
        assert parse_instant(format_instant(when)) == when
    if isinstance(when, int | date):
        for zone in _ZONES:
            assert INSTANT_MIN <= begin_of(text, zone) <= INSTANT_MAX
            assert INSTANT_MIN <= end_of(text, zone) < INSTANT_MAX
            assert begin_of(text, zone) <= end_of(text, zone) or when == INSTANT_MAX


def _or_value_error(read: Callable[[str], Any], text: str) -> Any:
    try:
        found = read(text)
    except ValueError as error:
        _told(error)
        return None
    msgspec.json.encode(found)  # a half of a character is no text
    return found


_TIMES: Final = (
    *(b"2026-03-01", b"2026-03-01T09:30:00Z", b"2026-03-01T09:30:00.123456789+14:00", b"1677-09-21T00:12:43.145224192Z"),
    *(b"2262-04-11T23:47:16.854775807Z", b"2262-04-11", b"1677-09-22", b"2016-12-31T23:59:60Z", b"0000-01-01", b"2017-Q2", b"9999"),
    *(b'["a", "b"]', b'["since", 1, "a"]', b'["customer_id", null, "\\ud800"]', b'[1, "a"]', b"[" * 3000, b'["\\u0000", "b"]'),
    *(b"sqlite", b"postgresql://u:p@h:5432/d?sslmode=require", b"host:9092,[::1]:9092", b"2026-03-01T09:30:00-23:59", b"1e999"),
)
_TIME_WORDS: Final = (
    b"T",
    b"Z",
    b"+14:00",
    b"-23:59",
    b"1677-09-21",
    b"2262-04-11",
    b"\xd9\xa3",
    b"Q",
    b"null",
    b'"\\udfff"',
    b"[[",
)


# --------------------------------------------------------------------------- settings and the command line


_SETTINGS: Final = (LifecycleSettings, RoutingSettings, ForecastSettings, StackSettings)


def settings(data: bytes) -> None:
    """Lines ``NAME=value`` as the environment, and as criteria of a command: taken, or refused with the name."""
    lines = [line for line in data.decode("utf-8", "surrogateescape").replace("\0", "").split("\n")[:50] if "=" in line]
    given = dict(line.split("=", 1) for line in lines)
    for each in unknown(given):
        _told(ValueError(str(each).encode(errors="replace").decode()))
    try:
        read_criteria(lines)
    except CommandError as error:
        _told(ValueError(str(error).encode(errors="replace").decode()))
    before = dict(os.environ)
    os.environ.clear()
    try:
        os.environ.update({f"HANDOFF_{name.upper()[:60]}": value for name, value in given.items()})
        for kind in _SETTINGS:
            try:
                read = kind()
            except ValidationError as error:
                _told(error)
            else:
                repr(read)
                getattr(read, "zone", None)
    finally:
        os.environ.clear()
        os.environ.update(before)


_ENVIRONMENT: Final = (
    b"TIME_ZONE=Europe/Berlin\nPORT=1\nLIFECYCLE_PORT=8081\nPARTITIONS=12\nDATABASE=postgresql://u@h/d",
    b"TIME_ZONE=../../etc/passwd\nCURRENCY=EUR\nMINIMUM_PROBABILITY=101\nTICKS=maybe\nWATCHDOG_SECONDS=nan",
    b"TIME_ZONE=\nKAFKA=h:1,h:99999\nCACHE_RECORDS=1e9\nDEAD_LETTER_DAYS=" + b"9" * 5000,
    b"status=New\ncountry=DE\nstatus=Old\ntext==\n=x\nunowned=1\nunowned=2",
    b"TIME_ZONE=" + b"a/" * 200 + b"\nWATCHDOG_SECONDS=inf\nDIRECTORY_SECONDS=1e-999\nHOST=::1\nDATA_DIR=" + b"x" * 5000,
)


# ------------------------------------------------------------------------------------------- imports


def maven(data: bytes) -> None:
    """Three CSV files, a line ``---`` between them: facts and rejected rows, or one error that names the file."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        parts = (*data.split(b"\n---\n"), b"", b"")[:3]
        for name, part in zip(("sales_pipeline.csv", "products.csv", "sales_teams.csv"), parts, strict=True):
            Path(folder, name).write_bytes(part)
        try:
            export = read_export(Path(folder), NOW)
        except CommandError as error:
            _told(error)
            return
        msgspec.json.encode(export.directory)
        for each in export.rejected:
            each.reason.encode()


_MAVEN: Final = b"""opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value
1,Ann,GTXPro,Acme,Won,2017-01-01,2017-03-01,1054
2,Ann,GTXPro,,Engaging,2017-01-01,,
3,Bob,GTXPro,"A, B",Lost,2017-01-01,2017-02-01,0
---
product,series,sales_price
GTX Pro,GTX,4821
---
sales_agent,manager,regional_office
Ann,Dustin,Central
"""


def xes(data: bytes) -> None:
    """An event log, plain or gzipped."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if Path("/dev/shm").is_dir() else None, suffix=".xes") as file:
        Path(file.name).write_bytes(data)
        rejected: list[Any] = []
        try:
            list(Applications(Path(file.name), NOW, rejected.append).messages())
        except CommandError as error:
            _told(error)


_XES: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
<trace><string key="concept:name" value="173688"/><string key="AMOUNT_REQ" value="20000"/>
<event><string key="concept:name" value="A_SUBMITTED"/><string key="lifecycle:transition" value="COMPLETE"/>
<date key="time:timestamp" value="2011-10-01T00:38:44.546+02:00"/></event>
<event><string key="org:resource" value="10862"/><string key="concept:name" value="O_SENT"/><string key="lifecycle:transition"
 value="COMPLETE"/><date key="time:timestamp" value="2011-10-01T11:45:11.554+02:00"/></event></trace></log>"""
_XES_WORDS: Final = (
    *(b"<!DOCTYPE a [<!ENTITY x 'y'>]>", b"&x;", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"encoding='utf-16'", b"encoding='x'"),
    *(b"A_ACCEPTED", b"O_CREATED", b"O_CANCELLED", b"O_ACCEPTED", b"W_Nabellen offertes", b"START", b"A_ACTIVATED", b"<trace>"),
    *(b"</trace>", b"<event>", b"</event>", b"\x1f\x8b\x08", b"time:timestamp", b"concept:name", b"9999-12-31T23:59:59Z"),
)


TARGETS: Final = (
    Target("yaml", always(yaml), _yaml_corpus, _YAML_WORDS, cpu_seconds_max=15),
    Target("reference", always(reference), _versions, (b'"effective_from"', b'"content"', b"null", b"\\ud800", b"1e400", b"[[[[")),
    Target("times", always(times), lambda: _TIMES, _TIME_WORDS),
    Target(
        "settings", always(settings), lambda: _ENVIRONMENT, tuple(name.encode() for name in ("TIME_ZONE=", "KAFKA=", "DATABASE="))
    ),
    Target("maven", always(maven), lambda: [_MAVEN], (b"\n---\n", b'"', b"Won", b"2017-12-31", b"1e999", b"NaN", b"\xef\xbb\xbf")),
    Target("xes", always(xes), lambda: [_XES], _XES_WORDS),
)
