"""``handoff backup``, ``restore`` and ``restored``: on files of real services, also while they are written to."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from events.bus import PositionLost
from events.bus.database import open_database
from events.facts import LeadCreated, LeadUpdated
from handoff.backups import restoring
from handoff.backups.making import make
from handoff.backups.manifest import FILE
from handoff.backups.restoring import restore
from handoff.errors import CommandError
from handoff.settings import SERVICES
from handoff.stack.folder import OWNER, claim
from services.forecast.store import Store as ForecastStore
from services.lifecycle.store import Store
from services.routing.store import Store as RoutingStore
from tests.lifecycle.harness import SHARDS, Lifecycle
from tests.postgres import PASSWORD, PostgresServer

Run = Callable[..., Any]


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("HANDOFF_DATA_DIR", str(folder))
    monkeypatch.setenv("HANDOFF_PARTITIONS", str(SHARDS))
    return folder


@pytest.fixture
def lifecycle(data_dir: Path) -> Iterator[Lifecycle]:
    """Lifecycle with ten customers, and empty files of the two others."""
    RoutingStore(data_dir / "routing.sqlite", code_version="test").close()
    ForecastStore(data_dir / "forecast.sqlite").close()
    running = Lifecycle(data_dir / "lifecycle.sqlite")
    for number in range(10):
        running.publish("crm.lead.created.v1", LeadCreated(customer_id=f"c{number}"), "2026-03-01T09:00:00Z")
    running.settle()
    yield running
    stop(running)


def stop(lifecycle: Lifecycle) -> None:
    for store in lifecycle.stores:
        store.close()
    lifecycle.stores.clear()


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(sql).fetchall()


def facts(file: Path) -> int:
    return sum(rows(file, f"SELECT count(*) FROM shard_{n:03d}_events WHERE topic = 'fact'")[0][0] for n in range(SHARDS))


def test_a_backup_says_what_is_in_it(handoff: Run, lifecycle: Lifecycle, tmp_path: Path) -> None:
    ended = handoff("backup", str(tmp_path / "copies" / "monday"))
    assert (ended.code, ended.err) == (0, "")
    told = [line.split()[0] for line in ended.out.splitlines() if line.endswith("rows, checked")]
    assert told == ["lifecycle", "routing", "forecast"]
    said = json.loads((tmp_path / "copies" / "monday" / FILE).read_text())
    assert said["format"] == 1
    copy = said["stores"]["lifecycle"]
    read = {f"{each['topic']}[{each['partition']}]": each["next"] for each in copy["positions"]}
    assert sum(following for log, following in read.items() if log.startswith("crm.lead.v1")) == 10
    assert copy["rows"]["customer"] == 10
    assert sorted(path.name for path in (tmp_path / "copies" / "monday").iterdir()) == [
        "forecast.sqlite",
        "lifecycle.sqlite",
        FILE,
        "routing.sqlite",
    ]
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["monday"], "nothing is left beside it"


def test_a_backup_while_the_service_writes_is_of_one_moment(handoff: Run, lifecycle: Lifecycle, tmp_path: Path) -> None:
    stopping = threading.Event()
    written = threading.Event()

    def work() -> None:
        number = 0
        while not stopping.is_set():
            for _ in range(20):
                number += 1
                data = LeadUpdated(customer_id=f"c{number % 10}", company=f"company {number}")
                lifecycle.publish("crm.lead.updated.v1", data, "2026-03-01T10:00:00Z")
            lifecycle.loop.turn()
            written.set()

    writer = threading.Thread(target=work)
    writer.start()
    written.wait(30)
    try:
        for number in range(3):
            folder = tmp_path / f"copy-{number}"
            assert handoff("backup", str(folder)).code == 0
            (read,) = rows(folder / "lifecycle.sqlite", "SELECT sum(next) FROM position WHERE topic = 'crm.lead.v1'")
            assert facts(folder / "lifecycle.sqlite") == read[0], "what is read and what came of it are of one transaction"
    finally:
        stopping.set()
        writer.join()


def test_a_restored_file_catches_up_by_itself(handoff: Run, lifecycle: Lifecycle, data_dir: Path, tmp_path: Path) -> None:
    assert handoff("backup", str(tmp_path / "copy")).code == 0
    lifecycle.publish("crm.lead.updated.v1", LeadUpdated(customer_id="c1", company="New"), "2026-03-01T10:00:00Z")
    lifecycle.settle()
    seen = {fact.customer_id: fact.data.version for fact in lifecycle.published()}
    refused = handoff("restore", str(tmp_path / "copy"), "--replace")
    assert refused.code == 2
    assert "lifecycle.sqlite is in use (database is locked): stop the services first" in refused.err
    stop(lifecycle)
    refused = handoff("restore", str(tmp_path / "copy"))
    assert refused.code == 2
    assert "would be replaced: say so with --replace" in refused.err
    done = handoff("restore", str(tmp_path / "copy"), "--replace", "--json")
    assert done.code == 0, done.err
    kept = {Path(file).name for file in json.loads(done.out)["kept"]}
    assert kept == {"lifecycle.sqlite", "routing.sqlite", "forecast.sqlite"}
    lifecycle.crash()
    lifecycle.settle()
    assert {fact.customer_id for fact in lifecycle.published() if fact.data.version > seen[fact.customer_id]} == {"c1"}
    assert lifecycle.store.load(lifecycle.store.home("c1"), ["c1"], lifecycle.policy)["c1"].fold.state.profile.company == "New"  # type: ignore[union-attr]


def test_a_file_that_was_copied_by_hand_is_declared(handoff: Run, lifecycle: Lifecycle, data_dir: Path, tmp_path: Path) -> None:
    assert handoff("backup", str(tmp_path / "copy")).code == 0
    lifecycle.publish("crm.lead.updated.v1", LeadUpdated(customer_id="c1", company="New"), "2026-03-01T10:00:00Z")
    lifecycle.settle()
    assert "is in use" in handoff("restored", "lifecycle").err
    stop(lifecycle)
    shutil.copyfile(tmp_path / "copy" / "lifecycle.sqlite", data_dir / "lifecycle.sqlite")
    lifecycle.crash()
    with pytest.raises(PositionLost, match="run `handoff restored lifecycle`"):
        lifecycle.loop.turn()
    stop(lifecycle)
    done = handoff("restored", "lifecycle")
    assert done.code == 0
    assert f"{data_dir / 'lifecycle.sqlite'}, {SHARDS} shards" in done.out
    lifecycle.crash()
    lifecycle.settle()
    for other in ("routing", "forecast"):
        ended = handoff("restored", other)
        assert (ended.code, "needs nothing" in ended.err) == (2, True)
    assert "'desk' is no service" in handoff("restored", "desk").err


def test_a_database_of_another_number_of_shards_or_of_none_is_not_declared(
    handoff: Run, lifecycle: Lifecycle, data_dir: Path, tmp_path: Path
) -> None:
    file = data_dir / "lifecycle.sqlite"
    stop(lifecycle)
    tables = rows(file, "SELECT name FROM sqlite_master")
    for partitions in (SHARDS - 1, SHARDS + 1):
        ended = handoff("restored", "lifecycle", "--partitions", str(partitions))
        assert (ended.code, ended.out) == (2, "")
        assert f"{file} has {SHARDS} shards, and HANDOFF_PARTITIONS is {partitions}: set it to what it was" in ended.err
    assert rows(file, "SELECT name FROM sqlite_master") == tables
    assert rows(file, "SELECT * FROM restored") == []
    other = tmp_path / "other"
    other.mkdir()
    nothing = f"there is no database of lifecycle in {other / 'lifecycle.sqlite'}: set HANDOFF_DATABASE and HANDOFF_DATA_DIR"
    for empty_file in (False, True):
        if empty_file:
            (other / "lifecycle.sqlite").touch()
        ended = handoff("restored", "lifecycle", "--data-dir", str(other), "--without-the-past")
        assert (ended.code, ended.out) == (2, "")
        assert nothing in ended.err
    assert "there is no database" in handoff("restored", "lifecycle", "--data-dir", str(tmp_path / "nowhere")).err


def test_what_an_empty_database_takes_back_is_said_before(handoff: Run, data_dir: Path) -> None:
    assert "are taken back from them" in " ".join(handoff("restored", "--help").out.replace("│", " ").split())
    Store(data_dir / "lifecycle.sqlite", SHARDS, code_version="test").close()
    done = handoff("restored", "lifecycle")
    assert f"{data_dir / 'lifecycle.sqlite'}, {SHARDS} shards: nothing is stored there" in done.out
    assert "Where the beginning of an input is gone, it stops instead" in done.out
    assert rows(data_dir / "lifecycle.sqlite", "SELECT count(*) FROM restored_empty") == [(SHARDS,)]
    done = handoff("restored", "lifecycle", "--without-the-past")
    assert "statuses, deals and hand-offs that consumers know by facts that are gone are taken back from them" in done.out
    assert rows(data_dir / "lifecycle.sqlite", "SELECT count(*) FROM restored_empty") == [(0,)]
    said = json.loads(handoff("restored", "lifecycle", "--without-the-past", "--json").out)
    assert said == {
        "service": "lifecycle",
        "database": str(data_dir / "lifecycle.sqlite"),
        "shards": SHARDS,
        "empty": True,
        "without_the_past": True,
    }


def test_the_backup_of_an_empty_database_is_an_empty_one(handoff: Run, data_dir: Path, tmp_path: Path) -> None:
    Store(data_dir / "lifecycle.sqlite", SHARDS, code_version="test").close()
    assert handoff("backup", str(tmp_path / "copy")).code == 0
    assert handoff("restore", str(tmp_path / "copy"), "--replace").code == 0
    assert rows(data_dir / "lifecycle.sqlite", "SELECT count(*) FROM restored_empty") == [(SHARDS,)]


@pytest.mark.postgres
def test_on_postgresql_the_database_is_named_without_its_password(
    handoff: Run, data_dir: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.database()
    monkeypatch.setenv("HANDOFF_DATABASE", url)
    ended = handoff("restored", "lifecycle")
    assert (ended.code, "there is no database of lifecycle in postgresql://" in ended.err) == (2, True)
    store = Store(open_database(url, "", schema="lifecycle"), SHARDS, code_version="test")
    store.close()
    done = handoff("restored", "lifecycle")
    assert (done.code, url.rpartition("/")[2] in done.out) == (0, True), done.err
    assert PASSWORD not in ended.err + done.out
    assert "has 4 shards" in handoff("restored", "lifecycle", "--partitions", "12").err
    postgres.drop(url)


def test_one_service_alone_is_restored(handoff: Run, lifecycle: Lifecycle, data_dir: Path, tmp_path: Path) -> None:
    assert handoff("backup", str(tmp_path / "copy")).code == 0
    (data_dir / "routing.sqlite").write_bytes(b"this was a database")
    done = handoff("restore", str(tmp_path / "copy"), "--only", "routing", "--replace")  # while lifecycle works
    assert done.code == 0, done.err
    assert rows(data_dir / "routing.sqlite", "SELECT count(*) FROM desk_events") == [(0,)]
    assert "--only" in handoff("restore", "--help").out
    assert handoff("restore", str(tmp_path / "copy"), "--only", "desk").code == 2


def test_restores_of_the_same_second_keep_what_each_replaced(lifecycle: Lifecycle, data_dir: Path, tmp_path: Path) -> None:
    stop(lifecycle)
    copy = tmp_path / "copy"
    found = make(data_dir, copy, "2026-03-01T09:00:00Z", lambda _: None)
    kept = [restore(copy, found, data_dir, [service], SHARDS, aside="replaced") for service in SERVICES]
    names = ("replaced", "replaced.2", "replaced.3")
    assert kept == [[data_dir / name / f"{service}.sqlite"] for name, service in zip(names, SERVICES, strict=True)]


def test_of_two_restores_at_once_one_is_refused_and_the_other_one_is_whole(
    lifecycle: Lifecycle, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the second one comes while the first one has just copied what it is about to rename."""
    stop(lifecycle)
    copy = tmp_path / "copy"
    found = make(data_dir, copy, "2026-03-01T09:00:00Z", lambda _: None)
    copyfile, refused = shutil.copyfile, list[str]()

    def second(source: Path, target: Path) -> None:
        copyfile(source, target)
        with pytest.raises(CommandError) as error:
            restore(copy, found, data_dir, [], SHARDS, aside="second")
        refused.append(str(error.value))

    monkeypatch.setattr(shutil, "copyfile", second)
    restore(copy, found, data_dir, [], SHARDS, aside="first")
    assert set(refused) == {
        f"data directory {data_dir} is in use by another `handoff up` or `handoff restore` (process {os.getpid()}):"
        " stop that one, or choose another directory with HANDOFF_DATA_DIR"
    }
    assert rows(data_dir / "lifecycle.sqlite", "SELECT count(*) FROM customer") == [(10,)]
    assert {path.name for path in data_dir.iterdir()} == {OWNER, "first", *(f"{name}.sqlite" for name in SERVICES)}


def test_nothing_is_restored_under_a_stack_that_runs(handoff: Run, lifecycle: Lifecycle, data_dir: Path, tmp_path: Path) -> None:
    assert handoff("backup", str(tmp_path / "copy")).code == 0
    stop(lifecycle)
    with claim(data_dir):  # as `handoff up` has it, also before a service has opened its file
        ended = handoff("restore", str(tmp_path / "copy"), "--replace")
    assert (ended.code, "is in use by another `handoff up`" in ended.err) == (2, True)
    assert not list(data_dir.glob("replaced*"))


def test_a_copy_that_is_taken_away_before_it_is_finished_is_never_put_back(
    lifecycle: Lifecycle, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes it: no empty file comes into its place, nor one that lacks what was copied."""
    stop(lifecycle)
    copy = tmp_path / "copy"
    found = make(data_dir, copy, "2026-03-01T09:00:00Z", lambda _: None)
    monkeypatch.setattr(shutil, "copyfile", lambda source, target: None)
    with pytest.raises(CommandError, match="nothing was changed"):
        restore(copy, found, data_dir, ["lifecycle"], SHARDS, aside="replaced")
    monkeypatch.setattr(shutil, "copyfile", lambda source, target: target.touch())
    for service, why in (("lifecycle", "no such table"), ("routing", r"routing\.sqlite\.restoring is not what was copied")):
        with pytest.raises(CommandError, match=f"{why}.*nothing was changed"):
            restore(copy, found, data_dir, [service], SHARDS, aside="replaced")
    assert rows(data_dir / "lifecycle.sqlite", "SELECT count(*) FROM customer") == [(10,)]


def test_a_restored_file_is_whose_the_replaced_one_was(
    lifecycle: Lifecycle, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(lifecycle)
    copy, given = tmp_path / "copy", list[tuple[str, int, int]]()
    found = make(data_dir, copy, "2026-03-01T09:00:00Z", lambda _: None)
    (data_dir / "routing.sqlite").chmod(0o640)
    (data_dir / "forecast.sqlite").unlink()
    stood = {name: os.stat(data_dir / name) for name in ("lifecycle.sqlite", "routing.sqlite", "")}

    def chown(path: Path, user: int, group: int) -> None:
        given.append((path.name, user, group))
        raise PermissionError("Operation not permitted")  # as it is for anybody but root

    monkeypatch.setattr(os, "chown", chown)
    restore(copy, found, data_dir, [], SHARDS, aside="replaced")
    assert (data_dir / "routing.sqlite").stat().st_mode == stood["routing.sqlite"].st_mode
    likes = {OWNER: "", "lifecycle.sqlite.restoring": "lifecycle.sqlite", "routing.sqlite.restoring": "routing.sqlite"}
    likes["forecast.sqlite.restoring"] = ""
    assert given == [(name, stood[like].st_uid, stood[like].st_gid) for name, like in likes.items()]


def test_a_restore_is_on_the_disk_when_it_says_so(
    lifecycle: Lifecycle, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(lifecycle)
    copy, flushed = tmp_path / "copy", list[Path]()
    found = make(data_dir, copy, "2026-03-01T09:00:00Z", lambda _: None)
    monkeypatch.setattr(restoring, "flush", flushed.append)
    restore(copy, found, data_dir, [], SHARDS, aside="replaced")
    assert flushed[-2:] == [data_dir / "replaced", data_dir], "after the last file has its name"


def test_a_restore_that_fails_leaves_nothing_behind(lifecycle: Lifecycle, data_dir: Path, tmp_path: Path) -> None:
    stop(lifecycle)
    copy = tmp_path / "copy"
    found = make(data_dir, copy, "2026-03-01T09:00:00Z", lambda _: None)
    (before,) = rows(data_dir / "lifecycle.sqlite", "SELECT count(*) FROM customer")
    with pytest.raises(CommandError, match=r"the backup was not put back .*nothing was changed"):
        restore(copy, found, data_dir, [], SHARDS, aside="no/such/place")
    assert {path.name for path in data_dir.iterdir()} == {OWNER, *(f"{name}.sqlite" for name in SERVICES)}
    assert rows(data_dir / "lifecycle.sqlite", "SELECT count(*) FROM customer") == [before]


def test_a_restore_that_fails_halfway_says_how_far_it_is(
    lifecycle: Lifecycle, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(lifecycle)
    copy = tmp_path / "copy"
    found = make(data_dir, copy, "2026-03-01T09:00:00Z", lambda _: None)
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.name == "routing.sqlite.restoring":
            raise OSError("Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(CommandError, match=r"for lifecycle only .*replaced; try again"):
        restore(copy, found, data_dir, [], SHARDS, aside="replaced")
    assert {path.name for path in data_dir.iterdir()} == {OWNER, "lifecycle.sqlite", "forecast.sqlite", "replaced"}
    assert {path.name for path in (data_dir / "replaced").iterdir()} == {"lifecycle.sqlite", "routing.sqlite"}
    monkeypatch.undo()
    restore(copy, found, data_dir, [], SHARDS, aside="replaced")
    assert rows(data_dir / "lifecycle.sqlite", "SELECT count(*) FROM customer") == [(10,)]


def test_a_log_that_was_left_behind_is_not_taken_for_the_restored_file_s(
    lifecycle: Lifecycle, data_dir: Path, tmp_path: Path
) -> None:
    copy, killed = tmp_path / "copy", tmp_path / "killed"
    found = make(data_dir, copy, "2026-03-01T09:00:00Z", lambda _: None)
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="later"), "2026-03-01T09:00:00Z")
    lifecycle.settle()
    shutil.copytree(data_dir, killed)  # as kill -9 leaves it
    assert (killed / "lifecycle.sqlite-wal").stat().st_size
    (killed / "lifecycle.sqlite").rename(tmp_path / "broken.sqlite")  # by hand
    with pytest.raises(CommandError, match=r"lifecycle\.sqlite-wal.* would be replaced"):
        restore(copy, found, killed, ["lifecycle"], SHARDS, aside=None)
    moved = restore(copy, found, killed, ["lifecycle"], SHARDS, aside="replaced")
    assert killed / "replaced" / "lifecycle.sqlite-wal" in moved
    assert rows(killed / "lifecycle.sqlite", "SELECT count(*) FROM customer") == [(10,)]
    assert len(rows(killed / "lifecycle.sqlite", "SELECT * FROM restored")) == SHARDS


def test_what_is_no_backup_is_refused_before_anything_is_touched(
    handoff: Run, lifecycle: Lifecycle, data_dir: Path, tmp_path: Path
) -> None:
    good = tmp_path / "good"
    assert handoff("backup", str(good)).code == 0
    stop(lifecycle)
    before = {path.name: path.read_bytes() for path in data_dir.iterdir() if path.is_file()}

    def spoilt(how: Callable[[Path], object]) -> str:
        folder = tmp_path / "spoilt"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(good, folder)
        how(folder)
        ended = handoff("restore", str(folder), "--replace")
        assert ended.code == 2
        return str(ended.err)

    def says(folder: Path, **changes: Any) -> None:
        said = json.loads((folder / FILE).read_text())
        (folder / FILE).write_text(json.dumps({**said, **changes}))

    def swap(folder: Path) -> None:
        (folder / "routing.sqlite").rename(folder / "x")
        (folder / "forecast.sqlite").rename(folder / "routing.sqlite")
        (folder / "x").rename(folder / "forecast.sqlite")

    def cut(folder: Path) -> None:
        with (folder / "lifecycle.sqlite").open("r+b") as file:
            file.truncate(8192)

    def flip(folder: Path) -> None:
        with (folder / "lifecycle.sqlite").open("r+b") as file:
            file.seek(5000)
            file.write(b"\xff\xfe")

    assert "is no backup: it has no manifest.json" in spoilt(lambda folder: (folder / FILE).unlink())
    assert "manifest.json is damaged" in spoilt(lambda folder: (folder / FILE).write_text('{"format": 1, "handoff'))
    assert "manifest.json is damaged" in spoilt(lambda folder: (folder / FILE).write_text("[]"))
    assert "made by Handoff 0.1.0, which is newer" in spoilt(lambda folder: says(folder, format=2))
    assert "made by Handoff 99.0, which is newer" in spoilt(lambda folder: says(folder, handoff="99.0"))
    assert "routing.sqlite is missing: the backup is not whole" in spoilt(lambda folder: (folder / "routing.sqlite").unlink())
    assert "lifecycle.sqlite is damaged" in spoilt(cut)
    assert "lifecycle.sqlite is damaged" in spoilt(flip)
    assert "routing.sqlite is damaged: it is not the file that the manifest tells of" in spoilt(swap)
    assert {path.name: path.read_bytes() for path in data_dir.iterdir() if path.is_file()} == before
    nowhere = handoff("restore", str(tmp_path / "nowhere"))
    assert (nowhere.code, "is no backup" in nowhere.err) == (2, True)


def test_a_backup_of_another_number_of_shards_is_refused(
    handoff: Run, lifecycle: Lifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert handoff("backup", str(tmp_path / "copy")).code == 0
    stop(lifecycle)
    monkeypatch.setenv("HANDOFF_PARTITIONS", "12")
    ended = handoff("restore", str(tmp_path / "copy"), "--replace")
    assert (ended.code, "has 4 shards, and HANDOFF_PARTITIONS is 12" in ended.err) == (2, True)


def test_of_nothing_there_is_no_backup_and_none_replaces_another(handoff: Run, lifecycle: Lifecycle, tmp_path: Path) -> None:
    ended = handoff("backup", str(tmp_path / "copy"), "--data-dir", str(tmp_path / "empty"))
    assert (ended.code, "there is nothing to back up in" in ended.err) == (2, True)
    assert not (tmp_path / "copy").exists()
    assert handoff("backup", str(tmp_path / "copy")).code == 0
    ended = handoff("backup", str(tmp_path / "copy"))
    assert (ended.code, "exists: name a folder that does not" in ended.err) == (2, True)
    (tmp_path / "file").touch()
    ended = handoff("backup", str(tmp_path / "file" / "copy"))
    assert (ended.code, "cannot be written to" in ended.err) == (2, True)


def test_two_backups_at_once_are_two_whole_ones_or_one(lifecycle: Lifecycle, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "handoff", "backup"]
    running = [
        subprocess.Popen([*command, str(tmp_path / name)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for name in ("one", "two", "same", "same")
    ]
    errors = [each.communicate(timeout=60)[1] for each in running]
    codes = [each.returncode for each in running]
    assert codes[:2] == [0, 0], errors
    assert sorted(codes[2:]) == [0, 2], errors
    assert {path.name for path in tmp_path.iterdir()} == {"data", "one", "two", "same"}


def test_a_full_disk_leaves_nothing_that_looks_like_a_backup(lifecycle: Lifecycle, tmp_path: Path) -> None:
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))"
    )
    program = f"import sys; sys.argv = ['handoff', 'backup', sys.argv[1]]; {limit}; from handoff.cli import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "copy")], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 2, ended.stderr
    assert "the backup was not made (" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_killed_backup_leaves_nothing_that_looks_like_one(
    handoff: Run, lifecycle: Lifecycle, data_dir: Path, tmp_path: Path, eventually: Run
) -> None:
    with closing(sqlite3.connect(data_dir / "lifecycle.sqlite")) as database:  # so much that it takes a while
        database.execute("CREATE TABLE ballast (content BLOB)")
        database.executemany("INSERT INTO ballast VALUES (?)", [(os.urandom(1 << 20),) for _ in range(60)])
        database.commit()
    running = subprocess.Popen([sys.executable, "-m", "handoff", "backup", str(tmp_path / "copy")], stdout=subprocess.DEVNULL)
    eventually(lambda: list(tmp_path.glob(".copy.*")), seconds=30)
    running.send_signal(signal.SIGKILL)
    running.wait()
    if (tmp_path / "copy").exists():  # it was done before it was killed
        assert (tmp_path / "copy" / FILE).exists()
        return
    (left,) = tmp_path.glob(".copy.*")
    ended = handoff("restore", str(left))
    assert ended.code == 2
    assert handoff("backup", str(tmp_path / "copy")).code == 0


def test_postgresql_has_programs_of_its_own(handoff: Run, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_DATABASE", "postgresql://u:p@127.0.0.1:1/d")
    for arguments, program in ((("backup", "x"), "pg_dump"), (("restore", "x"), "pg_restore")):
        ended = handoff(*arguments)
        assert (ended.code, program in ended.err) == (2, True)
