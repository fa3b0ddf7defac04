"""The embedded Kafka as the stack keeps it: the first start must succeed, a later one may fail and is tried again."""

from pathlib import Path

from handoff.broker import EmbeddedKafka, KafkaUnavailable
from handoff.broker.logfile import first_error


class KafkaProcess:
    """A broker that its keeper can start again."""

    def __init__(self, broker: EmbeddedKafka) -> None:
        self._broker = broker
        self._failure = ""
        self.name = "Kafka"

    @property
    def log_file(self) -> Path:
        return self._broker.log_file

    @property
    def running(self) -> bool:
        return self._broker.running

    @property
    def code(self) -> int | None:
        return None  # the JVM's exit codes say nothing about settings

    def start(self) -> None:
        """Start it again on the same data and port, and wait until it is ready; a failure is one more death."""
        self._failure = ""
        try:
            self._broker.start()
        except (KafkaUnavailable, OSError) as error:
            self._failure = f"did not start: {error}"

    def end(self) -> str:
        """How it ended."""
        return self._failure or "ended"

    def last_lines(self, count: int) -> list[str]:
        """The last lines of the broker's log; none where the file is gone."""
        try:
            error = first_error(self.log_file, max(0, self.log_file.stat().st_size - (64 << 10)))
            lines = self.log_file.read_text(errors="replace").splitlines()[-count:]
        except OSError:
            return []
        return [f"first error: {error}", *lines] if error else lines
