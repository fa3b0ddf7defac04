"""Lifecycle as its own process on a real Kafka: backed up under load, put back when it is older, refused, and made good.

The commands for PostgreSQL are those of docs/how-to/recover.md, run as they stand there.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from events.bus.kafka import KafkaBus
from events.record import Message
from handoff.broker import EmbeddedKafka
from tests.lifecycle.test_postgres_process import SHARDS, Process, check, heard, story
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.long, pytest.mark.kafka, pytest.mark.timeout(400), pytest.mark.partitions(SHARDS)]
PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "recover.md"
CUSTOMERS: Final = 60
Eventually = Callable[..., None]


@pytest.fixture
def started(tmp_path: Path, broker: EmbeddedKafka) -> Iterator[Callable[[str], Process]]:
    made: list[Process] = []

    def make(database: str) -> Process:
        made.append(Process(tmp_path, broker.bootstrap, database))
        return made[-1]

    yield make
    for each in made:
        if each.running is not None:
            each.kill()


def commands(marker: str) -> str:
    """The block of the page that has a word."""
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL) if marker in block]
    return str(block)


def run(process: Process, command: list[str], *, folder: Path, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = dict(process.environment)
    found = [str(Path(sys.executable).parent), *([str(path)] if path is not None else []), environment.get("PATH", os.defpath)]
    environment["PATH"] = os.pathsep.join(found)
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def end(process: Process) -> None:
    assert process.running is not None
    process.running.send_signal(signal.SIGTERM)
    assert process.running.wait(timeout=60) == 0


def told_again(
    process: Process,
    bootstrap: str,
    eventually: Eventually,
    *,
    back_up: Callable[[], None],
    put_back: Callable[[], None],
    declare: Callable[[], None],
    file: Path | str = "",
) -> None:
    """Facts, a backup while they come, more facts; the backup put back, refused, declared: in the end all is right."""
    database = process.environment["HANDOFF_DATABASE"]
    bus = KafkaBus(bootstrap, client_id="test")
    with closing(bus), closing(bus.producer()) as producer:
        sent: list[Message] = story(0, CUSTOMERS)
        first = producer.send(sent)
        process.start()
        eventually(lambda: process.position() > 0, seconds=90)
        back_up()
        first.wait(30)
        sent += story(CUSTOMERS // 2, CUSTOMERS)  # half of them have come before: nothing changes by it
        producer.send(sent[len(sent) // 2 :]).wait(30)
        eventually(lambda: process.status().get("lag") == 0 and process.position() >= len(sent), seconds=120)
        end(process)
        before = heard(bus)
        put_back()
        assert process.start().wait(timeout=90) == 2
        assert "lifecycle's database has" in process.log.read_text()
        assert "run `handoff restored lifecycle` and start again" in process.log.read_text()
        assert len(heard(bus).facts) == len(before.facts), "nothing was numbered"
        declare()
        process.start()
        eventually(lambda: process.status().get("lag") == 0 and process.position() >= len(sent), seconds=120)
        end(process)
        check(database, heard(bus), sent, file)
        assert "will be said anew" in process.log.read_text()


def test_on_sqlite(tmp_path: Path, broker: EmbeddedKafka, started: Callable[[str], Process], eventually: Eventually) -> None:
    process = started("sqlite")
    file = tmp_path / "data" / "lifecycle.sqlite"

    def handoff(*arguments: str) -> None:
        done = run(process, [sys.executable, "-m", "handoff", *arguments], folder=Path.cwd())
        assert done.returncode == 0, done.stderr

    def by_hand() -> None:
        for suffix in ("", "-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(tmp_path / "backup" / "lifecycle.sqlite", file)

    told_again(
        process,
        broker.bootstrap,
        eventually,
        back_up=lambda: handoff("backup", str(tmp_path / "backup")),
        put_back=by_hand,
        declare=lambda: handoff("restore", str(tmp_path / "backup"), "--replace"),
        file=file,
    )


@pytest.mark.postgres
def test_on_postgresql_by_the_commands_of_the_page(
    tmp_path: Path, broker: EmbeddedKafka, started: Callable[[str], Process], eventually: Eventually
) -> None:
    with PostgresServer() as server:
        process = started(server.database())

        def shell(script: str) -> None:
            done = run(process, ["bash", "-euc", script], folder=tmp_path, path=server.programs)
            assert done.returncode == 0, done.stderr

        *put_back, declare = commands("pg_restore").strip().splitlines()
        assert declare == "handoff restored lifecycle"
        told_again(
            process,
            broker.bootstrap,
            eventually,
            back_up=lambda: shell(commands("pg_dump")),
            put_back=lambda: shell("\n".join(put_back)),
            declare=lambda: shell(declare),
        )
