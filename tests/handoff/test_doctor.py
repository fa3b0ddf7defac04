"""``handoff doctor`` without a Kafka: this machine, its ports, its files, services that are stuck. Each trouble is caused."""

import os
import platform
import re
import shlex
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from events.bus.database import open_database
from events.bus.kafka.topics import configuration
from events.bus.ledger import Ledger
from events.bus.letters import DeadLetter
from events.record import Record, TopicPartition
from events.topics import ASSIGNMENT, LEAD, LIFECYCLE, LIFECYCLE_INPUTS, ORDER, REQUEST, TOPICS, Topic
from handoff.doctor import machine
from handoff.doctor.cluster import Bounds, broker_version
from handoff.doctor.databases import Databases, Files, Schemas
from handoff.doctor.finding import RECOVER, Outcome
from handoff.doctor.layout import Laid, layout
from handoff.doctor.letters import letters
from handoff.doctor.positions import positions, stores
from handoff.doctor.senders import senders
from handoff.doctor.services import hear
from handoff.doctor.statuses import statuses
from handoff.doctor.stores import Letters, Noted, Stored
from handoff.settings import SERVICES, Settings
from services.forecast.store import Store
from tests.postgres import PostgresServer

from .examined import SECONDS_MAX, checked, only

__all__ = ["checked"]  # a fixture

PAGE = (Path(__file__).parents[2] / RECOVER).read_text(encoding="utf-8")
FILES = Files(Path("/srv/handoff"))
SCHEMAS = Schemas("postgresql://handoff:geheim@db.example:5433/crm")
READ = {"lifecycle": (*LIFECYCLE_INPUTS, LIFECYCLE), "routing": (LIFECYCLE, REQUEST), "forecast": (LIFECYCLE,)}
"""The topics of which each service has positions."""


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HANDOFF_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def told(outcome: Outcome) -> list[tuple[str, str]]:
    return [(found.severity, found.what) for found in outcome.findings]


# --------------------------------------------------------------------------------------- nothing runs


def test_with_nothing_running_it_says_so_and_looks_at_what_is_there(handoff: Callable[..., Any]) -> None:
    ended = handoff("doctor")
    assert (ended.code, ended.err) == (0, "")
    lines = {line.split()[1]: line for line in ended.out.splitlines() if line and line.split()[0] in ("fine", "skipped")}
    assert lines["broker"].startswith("skipped  broker       not running at 127.0.0.1:")
    assert "`handoff up` starts them" in lines["services"]
    for check in ("versions", "settings", "java", "disk", "ports", "rules"):
        assert lines[check].startswith("fine"), ended.out
    assert ended.out.endswith("Nothing is wrong, as far as could be seen.\n")


def test_it_fits_a_terminal_of_80_columns(terminal: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_JAVA", "/no/java")
    lines = terminal(80, "doctor")
    assert max(len(line) for line in lines) <= 80
    java = next(number for number, line in enumerate(lines) if line.startswith("error    java "))
    assert lines[java + 1].startswith("         error: HANDOFF_JAVA=/no/java is not a Java that runs")
    assert lines[java + 3].startswith("         do: install Java 17 or newer")


def test_wrong_usage(handoff: Callable[..., Any]) -> None:
    assert handoff("doctor", "--foo").code == 2
    assert handoff("doctor", "--kafka", "nowhere").code == 2


# ------------------------------------------------------------------------------------------- machine


def test_a_library_that_is_too_old_and_one_that_is_missing() -> None:
    there = {"kafka-python": "2.2.15", "faust-streaming": "0.15.3"}
    required = ["kafka-python<4,>=3.0.12", "faust-streaming==0.15.3", "msgspec>=0.20", 'pywin32; sys_platform == "win32"']
    outcome = machine.versions("3.10.4", ">=3.11", required, there.get)
    assert told(outcome) == [
        ("error", "Python is 3.10.4, and Handoff needs >=3.11"),
        ("error", "kafka-python is 2.2.15, and Handoff needs <4,>=3.0.12"),
        ("error", "msgspec is not installed"),
    ]
    assert not machine.versions(platform.python_version(), ">=3.11", ["msgspec>=0.20"]).findings


def test_a_disk_that_is_nearly_full_and_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    assert told(machine.disk(tmp_path, 100 << 20, writable=True)) == [
        ("error", "only 100 MiB are free: Kafka and the services stop when the disk is full")
    ]
    assert told(machine.disk(tmp_path, 1 << 30, writable=True)) == [("warning", "only 1024 MiB are free")]
    assert told(machine.disk(tmp_path, 1 << 40, writable=False)) == [("error", f"{tmp_path} cannot be written to by this user")]


def test_an_old_broker() -> None:
    assert told(broker_version((2, 8))) == [("error", "the broker speaks the protocol of Kafka 2.8, and Handoff needs 3.0")]
    assert not broker_version((4, 3)).findings


def test_no_java(checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_JAVA", "/no/java")
    severity, what, fix = only(checked("java", well=False))
    assert (severity, what) == ("error", "HANDOFF_JAVA=/no/java is not a Java that runs: give the path of a java executable")
    assert "HANDOFF_JAVA" in fix


@pytest.mark.parametrize(
    ("script", "what"), [("echo 'openjdk version \"11.0.2\"' >&2", "is Java 11"), ("sleep 5", "no answer within 2 s")]
)
def test_an_old_java_and_one_that_hangs(
    checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, what: str
) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\nexec {script}\n" if "sleep" in script else f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    monkeypatch.setenv("HANDOFF_JAVA", str(java))
    assert what in only(checked("java", well=False))[1]


def test_settings_that_are_wrong_and_variables_that_nobody_reads(
    checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDOFF_TIME_ZONE", "Mars/Olympus")
    monkeypatch.setenv("HANDOFF_KAFAK", "broker:9092")
    found = checked("settings", well=False)["findings"]
    assert [(each["severity"], each["where"]) for each in found] == [("error", "HANDOFF_TIME_ZONE"), ("warning", "HANDOFF_KAFAK")]
    assert found[1]["fix"] == "rename it to HANDOFF_KAFKA"


# --------------------------------------------------------------------------------------------- ports


def test_a_port_that_somebody_else_has(checked: Callable[..., Any]) -> None:
    number = int(os.environ["HANDOFF_ROUTING_PORT"])
    with socket.create_server(("127.0.0.1", number)):
        severity, what, fix = only(checked("ports", well=False))
    assert severity == "error"
    assert what.startswith(f"port {number} of routing is used by")
    assert f"process {os.getpid()}" in what
    assert fix == f"stop it (kill {os.getpid()}), or choose another port with HANDOFF_ROUTING_PORT"


def test_a_port_that_this_user_may_not_have(checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_HOST", "192.0.2.1")  # an address that no machine has
    found = checked("ports", well=False)["findings"]
    assert [each["severity"] for each in found] == ["error"] * 3
    assert "Cannot assign requested address" in found[0]["what"]


# ---------------------------------------------------------------------------------------------- Kafka


def test_a_cluster_that_is_named_and_does_not_answer(handoff: Callable[..., Any]) -> None:
    ended = handoff("doctor", "--kafka", "127.0.0.1:1")
    assert ended.code == 1
    assert (
        "error: Kafka does not answer (127.0.0.1:1: Connection refused) | do: start that cluster, or correct HANDOFF_KAFKA"
        in ended.out
    )


def test_a_cluster_that_is_frozen(checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HANDOFF_KAFKA", f"127.0.0.1:{silent.getsockname()[1]}")
        severity, what, _ = only(checked("broker", well=False))
    assert severity == "error"
    assert "timed out" in what


def test_what_is_no_kafka(checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, services: Any) -> None:
    services["forecast"].says("/v1/status", {})
    monkeypatch.setenv("HANDOFF_KAFKA", f"127.0.0.1:{services['forecast'].server_port}")
    _, what, _ = only(checked("broker", well=False))
    assert "Kafka" in what


def test_a_demos_topics_are_no_trouble() -> None:
    found = {topic.name: Laid(topic.partitions(2), configuration(topic, log_time=False)) for topic in TOPICS}
    outcome = layout(found, 2, "127.0.0.1:9092", Files(Path("data")))
    assert not outcome.findings
    assert outcome.said.endswith("on simulated time")


@pytest.mark.parametrize("databases", [FILES, SCHEMAS], ids=["sqlite", "postgres"])
@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_with_another_number_of_partitions_is_deleted_only_where_its_records_are_elsewhere(
    topic: Topic, databases: Databases
) -> None:
    found = {each.name: Laid(each.partitions(2), configuration(each, log_time=True)) for each in TOPICS}
    found[topic.name] = Laid(5, found[topic.name].settings)
    (finding,) = layout(found, 2, "127.0.0.1:9092", databases).findings
    assert finding.what.startswith(f"{topic.name} has 5 partitions, ")
    assert finding.fix.endswith(f'({RECOVER}, "A topic with another number of partitions")')
    if topic.retention is None:
        assert "delete" not in finding.fix
        assert "copied" in finding.fix
        assert "nowhere else" in finding.fix
    if topic.log_time:
        assert f"`{databases.forget('lifecycle', [topic.name])}`" in finding.fix
        assert "send again" in finding.fix


def test_every_section_that_is_named_exists() -> None:
    texts = [path.read_text() for path in (Path(__file__).parents[2] / "handoff" / "doctor").glob("*.py")]
    named = [name for text in texts for name in re.findall(r'^_SECTION\w*: Final = "(.+)"$', text, re.MULTILINE)]
    assert len(named) >= 5
    for name in named:
        assert f"\n## {name}\n" in PAGE


# ----------------------------------------------------------------------------------------- positions


def ways_out(service: str, topics: Sequence[Topic], log: Bounds, identity: str, databases: Databases) -> dict[tuple[str, ...], str]:
    """What is to be done, by the topics that are named in what is wrong, where a service has read them up to 4."""
    places = [TopicPartition(topic.name, 0) for topic in topics]
    stored = Stored(positions={place: Noted(4, "old") for place in places})
    identities = {topic.name: identity for topic in topics}
    outcome = positions({service: stored}, dict.fromkeys(places, log), identities, databases)
    assert {found.severity for found in outcome.findings} == {"error"}
    return {tuple(topic.name for topic in topics if topic.name in found.fix): found.fix for found in outcome.findings}


LOSSES = {"unread": (Bounds(9, 12, None), "old"), "tail": (Bounds(0, 2, None), "old"), "remade": (Bounds(0, 12, None), "new")}


@pytest.mark.parametrize("databases", [FILES, SCHEMAS], ids=["sqlite", "postgres"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("service", SERVICES)
def test_a_position_that_is_lost_costs_no_database(service: str, loss: str, databases: Databases) -> None:
    log, identity = LOSSES[loss]
    found = ways_out(service, READ[service], log, identity, databases)
    assert sorted(name for names in found for name in names) == sorted(topic.name for topic in READ[service])
    for names, fix in found.items():
        assert "away" not in fix
        assert f"`{databases.forget(service, sorted(names))}`" in fix
        for_ever = {topic.name for topic in READ[service] if topic.retention is None}.intersection(names)
        if for_ever:
            assert for_ever == set(names), "what can be sent again is told apart"
            assert f"restore {', '.join(sorted(names))} from a copy" in fix
            assert f"keep {databases.of(service)}" in fix
            assert 'recover.md, "Restore a topic"' in fix
        else:
            assert "have the senders send again" in fix
            assert "restore" not in fix
        assert ("right cluster (HANDOFF_KAFKA)" in fix) == (loss == "remade")


def test_lifecycle_after_retention_needs_one_statement() -> None:
    ((_, fix),) = ways_out("lifecycle", [LEAD, ORDER], *LOSSES["unread"], FILES).items()
    assert fix == (
        "stop lifecycle (all workers of it), run `sqlite3 /srv/handoff/lifecycle.sqlite"
        " \"DELETE FROM position WHERE topic IN ('crm.lead.v1', 'crm.order.v1')\"`, start it, and have the senders send again"
        " what it has not read: it reads from the beginning, and what it took in before changes nothing"
        ' (docs/how-to/recover.md, "A position behind the log\'s start")'
    )


def test_the_statement_does_what_it_says(tmp_path: Path) -> None:
    """The shell takes it for one word, whatever the folder is called, and it touches no other topic."""
    files = Files(tmp_path / "my data's")
    files.folder.mkdir()
    with closing(sqlite3.connect(files.file("lifecycle"))) as database:
        database.execute("CREATE TABLE position (topic TEXT)")
        database.executemany("INSERT INTO position VALUES (?)", [(topic.name,) for topic in READ["lifecycle"]])
        database.commit()
        program, file, statement = shlex.split(files.forget("lifecycle", [LEAD.name, ASSIGNMENT.name]))
        assert (program, Path(file)) == ("sqlite3", files.file("lifecycle"))
        assert database.execute(statement).rowcount == 2
    assert shlex.split(SCHEMAS.forget("routing", [REQUEST.name])) == [
        "psql",
        "$HANDOFF_DATABASE",
        "-c",
        "DELETE FROM routing.position WHERE topic IN ('routing.request.v1')",
    ]


# ------------------------------------------------------------------------------------------- services


def status(name: str, **more: Any) -> dict[str, Any]:
    return {"service": name, "state": "running", "lag": 0, "lag_seconds": 0.0, "position": 7, "dead_letters": 0, **more}


@pytest.fixture
def well(services: Mapping[str, Any]) -> Mapping[str, Any]:
    """Three services that are well."""
    for name, server in services.items():
        server.says("/v1/status", status(name))
        server.says("/readyz", {"ready": True, "checks": []})
    return services


def test_a_view_that_does_not_move(checked: Callable[..., Any], well: Mapping[str, Any]) -> None:
    well["forecast"].says("/v1/status", status("forecast", lag=1234, lag_seconds=31.0))
    severity, what, fix = only(checked("services", well=False))
    assert (severity, what) == ("error", "forecast does not move: 1,234 records are not reflected, the oldest for 31 s")
    assert "logs/forecast.log" in fix


def test_a_view_that_is_behind_and_moves(checked: Callable[..., Any], well: Mapping[str, Any]) -> None:
    lags: Iterator[int] = iter(range(5000, 0, -100))

    def falling() -> tuple[int, Any]:
        lag = next(lags)
        return 200, status("forecast", lag=lag, lag_seconds=90.0, position=10_000 - lag)

    well["forecast"].answers["/v1/status"] = falling
    severity, what, _ = only(checked("services", well=True))
    assert severity == "warning"
    assert what == "forecast is behind: 5,000 records are not reflected, the oldest for 90 s; it moves"


def test_a_lag_that_has_only_begun_is_no_trouble(checked: Callable[..., Any], well: Mapping[str, Any]) -> None:
    well["forecast"].says("/v1/status", status("forecast", lag=5, lag_seconds=2.0))
    assert not checked("services", well=True)["findings"]


def test_a_service_without_its_bus(checked: Callable[..., Any], well: Mapping[str, Any]) -> None:
    well["routing"].says("/v1/status", status("routing", state="retrying"))
    well["routing"].says("/readyz", {"ready": False, "checks": [{"name": "bus", "ok": False, "detail": "no broker"}]}, 503)
    assert only(checked("services", well=False))[1] == "routing is retrying: no broker"


def test_one_service_is_away(checked: Callable[..., Any], well: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_LIFECYCLE_PORT", "1")
    _, what, fix = only(checked("services", well=False))
    assert what == "lifecycle does not answer at http://127.0.0.1:1: nothing listens there"
    assert "HANDOFF_LIFECYCLE_PORT" in fix


def test_services_on_each_others_ports(checked: Callable[..., Any], well: Mapping[str, Any]) -> None:
    well["forecast"].says("/v1/status", status("routing"))
    assert any("answers routing, not forecast" in each["what"] for each in checked("services", well=False)["findings"])


def test_a_service_that_hangs_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        said = hear(Settings(lifecycle_port=silent.getsockname()[1]), "lifecycle")
    assert time.monotonic() - began < SECONDS_MAX
    assert said.why == "no answer within 1.8 s"


def test_a_service_whose_clock_is_behind(checked: Callable[..., Any], well: Mapping[str, Any]) -> None:
    well["routing"].clock = time.time() - 90
    severity, what, fix = only(checked("clock", well=True))
    assert severity == "warning"
    assert re.fullmatch(r"routing's clock is 9\d s behind this machine's", what)
    assert "NTP" in fix
    well["routing"].clock = time.time() + 5000
    assert "83 min ahead of this machine's: facts are refused" in only(checked("clock", well=False))[1]


def test_senders_that_use_another_partitioner(checked: Callable[..., Any], well: Mapping[str, Any]) -> None:
    well["lifecycle"].says("/v1/status", status("lifecycle", moved={"website": 12}))
    severity, what, fix = only(checked("partitioner", well=True))
    assert (severity, what) == ("warning", "website sent 12 records to another partition than the customer's")
    assert "murmur2_random" in fix
    assert senders({}).findings == ()


# --------------------------------------------------------------------------------------------- stores


@pytest.mark.parametrize(
    ("databases", "named", "fix"),
    [
        (
            FILES,
            "{0}'s database /srv/handoff/{0}.sqlite",
            "restore it from a copy, or choose another directory with HANDOFF_DATA_DIR",
        ),
        (SCHEMAS, "{0}'s schema in database 'crm' of PostgreSQL at db.example:5433", "start that server"),
    ],
    ids=["sqlite", "postgres"],
)
@pytest.mark.parametrize("service", SERVICES)
def test_a_database_that_cannot_be_read_is_named_as_what_it_is(service: str, databases: Databases, named: str, fix: str) -> None:
    (finding,) = stores({service: Stored(problem="it is away")}, databases).findings
    assert finding.what == f"{named.format(service)} cannot be read (it is away)"
    assert finding.fix.startswith(fix)
    whole = stores({service: Stored()}, databases).said + finding.what + finding.fix + stores({}, databases).said
    assert "geheim" not in whole
    assert (".sqlite" in whole, "HANDOFF_DATA_DIR" in whole) == ((True, True) if databases == FILES else (False, False))


def test_a_postgresql_that_is_away(
    checked: Callable[..., Any], handoff: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("HANDOFF_DATABASE", "postgresql://handoff:geheim@127.0.0.1:1/crm?connect_timeout=2")
    found = checked("stores", well=False)["findings"]
    assert [each["where"] for each in found] == list(SERVICES)
    for each in found:
        assert each["what"].startswith(f"{each['where']}'s schema in database 'crm' of PostgreSQL at 127.0.0.1:1 cannot be read (")
        assert "HANDOFF_DATABASE" in each["fix"]
    assert not checked("dead letters", well=False)["looked"]
    out = handoff("doctor").out
    assert "geheim" not in out
    assert ".sqlite" not in out
    monkeypatch.setenv("HANDOFF_DATABASE", "postgresql://handoff:ge%zzheim@127.0.0.1:1/crm")  # libpq quotes what it cannot read
    assert "cannot be read (the URL of PostgreSQL has a part that is not known)" in (out := handoff("doctor").out)
    assert "zzheim" not in out


def bury(ledger: Ledger, *errors: str) -> None:
    """Dead letters of these classes, as a service writes them."""
    place = Record(LEAD.name, 0, 0, 0, b"c", b"{", ()).place
    ledger.claim([place])
    for offset, error in enumerate(errors):
        record = Record(LEAD.name, 0, offset, 0, b"c", b"{", ())
        with ledger.transaction([record]) as cursor:
            ledger.bury(cursor, [DeadLetter(record=record, error=error, reason=f"reason {offset}", path="$")])


def test_records_that_cannot_follow_the_status_table() -> None:
    swept = {"shards": 0, "records": 40, "refolded": 38, "failed": 2}
    assert told(statuses(None, {"status_table": {"sweep": swept}}, 0)) == [
        ("error", "2 records cannot follow a version of the status table, and stay as they are")
    ]
    for well in ({"status_table": {"sweep": swept | {"failed": 0}}}, None):
        assert not statuses(None, well, 0).looked


def test_dead_letters_and_a_bug_among_them(checked: Callable[..., Any], data_dir: Path) -> None:
    store = Store(data_dir / "forecast.sqlite")
    bury(Ledger(store.begin, service="forecast", code_version="test"), "Undecodable", "Bug", "Undecodable")
    store.close()
    bug, refused = checked("dead letters", well=False)["findings"]
    assert (bug["severity"], refused["severity"]) == ("error", "warning")
    assert bug["what"] == "forecast could not deal with 1 record (a bug); the last is crm.lead.v1[0] at 1: reason 1"
    assert refused["what"] == "forecast refused 2 records (Undecodable); the last is crm.lead.v1[0] at 2: reason 2"
    assert "`handoff dead-letters list service=forecast`" in refused["fix"]


def test_what_is_to_be_done_about_a_dead_letter_is_what_the_page_says() -> None:
    fixes = {
        name: letters({"forecast": {name: Letters(1, "", "")}}).findings[0].fix
        for name in ("Undecodable", "IdentityConflict", "IncompleteMessage", "")
    }
    rows = {name: row for row in PAGE.splitlines() if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    for text in (fixes["Undecodable"], rows["Undecodable"]):
        assert "with the same id" in text
    for text in (fixes["IdentityConflict"], rows["IdentityConflict"]):
        assert "have the sender send what was meant as a new event with an id of its own, and drop the letter" in text
    for text in (fixes["IncompleteMessage"], rows["IncompleteMessage"]):
        assert "no sender is to blame" in text
        assert "report it with the letter" in text
        assert "replay" in text
    assert f'{RECOVER}, "Dead letters"' in fixes[""]


def test_dead_letters_of_a_service_on_another_machine(checked: Callable[..., Any], well: Mapping[str, Any]) -> None:
    well["routing"].says("/v1/status", status("routing", dead_letters=3))
    assert only(checked("dead letters", well=True))[:2] == ("warning", "routing refused 3 records")
    bugs = {"name": "bugs", "ok": False, "detail": "2 records were buried as bugs: they wait for a fix"}
    well["routing"].says("/readyz", {"ready": False, "checks": [bugs]}, 503)
    assert only(checked("dead letters", well=False))[0] == "error"


def test_a_database_that_is_none(checked: Callable[..., Any], data_dir: Path) -> None:
    (data_dir / "routing.sqlite").write_bytes(b"no database " * 1000)
    severity, what, _ = only(checked("stores", well=False))
    assert severity == "error"
    assert "routing.sqlite cannot be read (file is not a database)" in what


def test_a_store_that_was_made_a_moment_ago(checked: Callable[..., Any], data_dir: Path) -> None:
    sqlite3.connect(data_dir / "routing.sqlite").close()
    assert not checked("stores", well=True)["findings"]


@pytest.mark.postgres
def test_dead_letters_in_postgresql(
    checked: Callable[..., Any], postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    url = postgres.database()
    monkeypatch.setenv("HANDOFF_DATABASE", url)
    assert not checked("dead letters", well=True)["looked"]
    database = open_database(url, data_dir / "unused", schema="routing")
    with database.prepare():
        ledger = Ledger(database.begin, service="routing", code_version="test")
    bury(ledger, "Bug")
    database.close()
    assert only(checked("dead letters", well=False))[1].startswith("routing could not deal with 1 record (a bug)")
    assert (
        checked("stores", well=False)["said"]
        == f"routing in database {url.rpartition('/')[2]!r} of PostgreSQL at 127.0.0.1:{postgres.port}"
    )
    postgres.sql(url, shlex.split(Schemas(url).forget("routing", [LEAD.name]))[-1])
    assert postgres.sql(url, "SELECT count(*) FROM routing.position") == [(0,)]


# ---------------------------------------------------------------------------------------------- rules


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Path]:
    """A directory and rules of one's own, which are right."""
    made = {"directory": tmp_path / "directory.yaml", "rules": tmp_path / "rules.yaml"}
    made["directory"].write_text("reps:\n  - {rep_id: anna}\n")
    made["rules"].write_text("territories:\n  - name: All\n    rep: anna\ndefault: {target: unassigned}\n")
    for name, path in made.items():
        monkeypatch.setenv(f"HANDOFF_{name.upper()}", str(path))
    return made


def test_rules_that_are_wrong_are_told_with_line_and_column(checked: Callable[..., Any], files: Mapping[str, Path]) -> None:
    assert not checked("rules", well=True)["findings"]
    files["rules"].write_text("territories:\n  - name: All\n    rep: ana\ndefault: {target: unasigned}\n")
    found = [each["what"] for each in checked("rules", well=False)["findings"]]
    assert found[0].startswith(f"{files['rules']}:3:10 territories[0].rep: 'ana' is not in directory v1 (did you mean 'anna'?)")
    assert found[1].startswith(f"{files['rules']}:4:19 default.target")


def test_a_directory_that_is_wrong_and_rules_that_are_not_there(checked: Callable[..., Any], files: Mapping[str, Path]) -> None:
    files["directory"].write_text("reps:\n  - {rep_id: anna, time_zone: Europe/Berln}\n")
    files["rules"].unlink()
    found = {each["where"]: each["what"] for each in checked("rules", well=False)["findings"]}
    assert found["HANDOFF_RULES"] == f"{files['rules']}: No such file or directory"
    assert ":2:31 reps[0].time_zone: 'Europe/Berln' is not a time zone" in found[str(files["directory"])]
