"""A real Apache Kafka broker (KRaft, broker and controller in one JVM) as a child process of this one.

In goes a data directory, out comes a bootstrap address on loopback. The directory holds everything that the broker
knows (`data/`), its settings (`server.properties`, written at each start), its log (`broker.log`) and its process id
(`broker.pid`, whose lock is held for as long as anything of the broker lives). Data and port are kept over restarts, so
clients simply reconnect. However this process ends, the broker ends with it: see `leash`.
"""

import base64
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from handoff.broker import archive, logfile, ports, server_properties, storage
from handoff.broker.errors import KafkaUnavailable
from handoff.broker.jars import Progress, class_path, silent
from handoff.broker.java import Java, find_java
from handoff.broker.leash import Leash
from handoff.broker.locks import LockedError, exclusive

JVM_OPTIONS = (
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dorg.slf4j.simpleLogger.logFile=System.out",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)

QUICK = "-XX:TieredStopAtLevel=1"
"""Java's first compiler only: what a broker that is not to last saves at its start, one that lasts pays for with each request."""

PREDECESSOR_SECONDS_MAX = 30.0
"""How long a start waits for the broker of a process that was just killed to leave the directory: a clean stop takes up to 8 s."""

PORT_SECONDS_MAX = 1.0
"""The same for the port, which a broker on another directory may be leaving."""

ABANDON_SECONDS_MAX = 5.0
"""How long a broker that failed to start may take to end by itself."""

POLL_SECONDS = 0.025


class EmbeddedKafka:
    """One broker on one data directory; a context manager that starts and stops it.

    `port`: None keeps the directory's port, or takes a free one for a new directory. `properties`: of the broker, on
    top of `server_properties.FIXED`. `java`: as in `find_java`. `jvm_options`: on top of `JVM_OPTIONS`, in place of
    those that use the start-up archive. `lasting`: whether it is to run for long, and may start a little slower for it:
    at 500 facts a second it then works a fifth less. `on_progress` is told about work that takes long, such as fetching the jars.
    `free_port` chooses the ports that nobody named. `cluster_id`: of a new directory, where several brokers are to be one
    cluster; else one of its own. `environment`: all of the broker's, in place of this process's own.

    Whatever keeps the broker from running is a `KafkaUnavailable`.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        properties: Mapping[str, str] | None = None,
        *,
        java: str | None = None,
        jvm_options: Sequence[str] | None = None,
        lasting: bool = False,
        on_progress: Progress = silent,
        free_port: Callable[[], int] = ports.free_port,
        cluster_id: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log_file = self.data_dir / "broker.log"
        self._log_dir = self.data_dir / server_properties.LOG_DIR
        self._pid_file = self.data_dir / "broker.pid"
        self._settings_file = self.data_dir / "server.properties"
        self._port = port
        self._properties = properties or {}
        self._java = java
        self._jvm_options = jvm_options
        self._lasting = lasting
        self._on_progress = on_progress
        self._free_port = free_port
        self._cluster_id = cluster_id
        self._environment = environment
        self._controller_port = 0
        self._leash: Leash | None = None

    @property
    def port(self) -> int:
        """The port on loopback; known from the first start on."""
        if self._port is None:
            raise RuntimeError("the broker has no port before its first start")
        return self._port

    @property
    def bootstrap(self) -> str:
        """The address for clients, as in `bootstrap_servers`."""
        return f"{ports.HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the JVM, of the last one when it has ended."""
        return int(self._pid_file.read_text())

    @property
    def running(self) -> bool:
        """Whether the JVM lives; False also when it ended by itself."""
        return self._leash is not None and self._leash.running

    def ready(self) -> bool:
        """Whether clients can work with it now; answers within half a second."""
        return self.running and ports.broker_answers(self.port)

    def start(self, timeout: float = 60.0) -> Self:
        """Start it and wait until it is ready, at most `timeout` seconds; does nothing when it is running."""
        if not self.running:
            self.kill()  # what may be left of one that ended by itself
            deadline = time.monotonic() + timeout
            while not self._started(deadline):
                pass  # with another port for the controller, until it works or the time is over
        return self

    def _started(self, deadline: float) -> bool:
        """Start it and wait until it is ready; False where somebody took the controller's port between the choice and the use."""
        since = self._launch()
        try:
            self._await_ready(since, deadline)
        except BaseException as error:  # Ctrl-C among them
            self.stop(ABANDON_SECONDS_MAX)
            lost = f"failed to bind to {ports.HOST}:{self._controller_port}:"
            if isinstance(error, KafkaUnavailable) and time.monotonic() < deadline and logfile.says(self.log_file, since, lost):
                return False
            raise
        return True

    def stop(self, timeout: float = 20.0) -> None:
        """End it cleanly; after `timeout` seconds, by force."""
        if self._leash:
            self._leash.stop(timeout)

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        if self._leash:
            self._leash.kill()

    def restart(self, timeout: float = 60.0) -> Self:
        """Stop it if it runs, and start it on the same data and port."""
        self.stop()
        return self.start(timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def _launch(self) -> int:
        """Start the process; returns the length of the log before it."""
        java = find_java(self._java)
        jars = class_path(self._on_progress)
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with (
                exclusive(self._pid_file, PREDECESSOR_SECONDS_MAX) as lock,
                logfile.open_for_append(self.log_file) as log,
            ):
                since = log.tell()
                self._write_settings()
                command = java_command(java, jars, self._jvm_options)
                self._format_if_new([*command, QUICK], log, lock)
                compiling = [] if self._lasting else [QUICK]
                self._leash = Leash(
                    [*command, *compiling, "kafka.Kafka", self._settings_file.name],
                    cwd=self.data_dir,
                    pid_file=self._pid_file,
                    output=log,
                    lock=lock,
                    environment=self._environment,
                )
        except LockedError:
            owner = self._pid_file.read_text().strip()  # empty while the other one is still setting up
            raise KafkaUnavailable(
                f"data directory {self.data_dir} is in use by another broker (process {owner or 'starting'}): "
                "stop that one, or choose another directory with HANDOFF_DATA_DIR"
            ) from None
        except OSError as error:
            raise KafkaUnavailable(
                f"data directory {self.data_dir} cannot be used ({error.strerror or error}): "
                "repair it, or choose another with HANDOFF_DATA_DIR"
            ) from error
        return since

    def _write_settings(self) -> None:
        if self._port is None:
            self._port = server_properties.remembered_port(self._settings_file) or self._free_port()
        ports.await_free(self._port, PORT_SECONDS_MAX)
        self._controller_port = self._free_port()
        text = server_properties.render(self._port, self._controller_port, self._properties)
        self._settings_file.write_text(text, encoding="latin-1")

    def _format_if_new(self, command: list[str], log: BinaryIO, lock: int) -> None:
        if storage.is_formatted(self._log_dir):
            return
        since = log.tell()
        arguments = ["format", "--cluster-id", self._cluster_id or new_cluster_id(), "--config", self._settings_file.name]
        done = subprocess.run(
            [*command, "kafka.tools.StorageTool", *arguments],
            cwd=self.data_dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self._environment,
            pass_fds=(lock,),
            check=False,
        )
        if done.returncode:
            raise KafkaUnavailable(self._failure("could not set up its data directory", since))

    def _await_ready(self, since: int, deadline: float) -> None:
        while not self.ready():
            if not self.running:
                raise KafkaUnavailable(self._failure("ended while it was starting", since))
            if time.monotonic() > deadline:
                raise KafkaUnavailable(self._failure("was not ready in time", since))
            time.sleep(POLL_SECONDS)
        if lost := storage.forgotten(self._log_dir):
            raise KafkaUnavailable(
                f"Kafka's data in {self._log_dir} is damaged: its metadata knows none of the topics that it has "
                f"records of ({', '.join(lost[:3])}{', ...' if lost[3:] else ''}); restore the directory from a copy, "
                "or start anew in another one with HANDOFF_DATA_DIR"
            )

    def _failure(self, what: str, since: int) -> str:
        full = "the disk is full" if storage.lacks_space(self.data_dir) else ""
        told = logfile.first_error(self.log_file, since)  # which says what it was doing, and not always why it could not
        error = ": ".join(filter(None, (full, told))) or "its log names no error"
        return f"Kafka on {self.data_dir} {what}: {error} (log: {self.log_file})"


def java_command(java: Java, jars: str, options: Sequence[str] | None) -> list[str]:
    """The command up to the name of the class to run."""
    if options is None:
        options = archive.use(java, archive.archive_file(java, jars, JVM_OPTIONS))
    return [str(java.executable), *JVM_OPTIONS, *options, "-cp", jars]


def new_cluster_id() -> str:
    """A random one, 16 bytes in URL-safe base64; the first byte is fixed, for a leading "-" would read as an option."""
    return base64.urlsafe_b64encode(b"\x01" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
