"""``handoff up``: the whole stack in the foreground, until Ctrl-C."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from handoff.console import Narrator, out, say
from handoff.options import DataDir, ForecastPort, Host, Kafka, KafkaPort, LifecyclePort, Partitions, RoutingPort
from handoff.settings import load
from handoff.stack import Stack


def up(
    data_dir: DataDir = None,
    kafka: Kafka = None,
    kafka_port: KafkaPort = None,
    lifecycle_port: LifecyclePort = None,
    routing_port: RoutingPort = None,
    forecast_port: ForecastPort = None,
    partitions: Partitions = None,
    host: Host = None,
) -> int:
    """Start Kafka, the topics and the three services; keep them running until Ctrl-C.

    Everything is kept in the data directory and is there again at the next start.
    """
    settings = load(
        data_dir=data_dir,
        kafka=kafka,
        kafka_port=kafka_port,
        lifecycle_port=lifecycle_port,
        routing_port=routing_port,
        forecast_port=forecast_port,
        partitions=partitions,
        host=host,
    )
    with ending_by_interrupt(), Narrator(out()) as narrator:
        try:
            with Stack(settings, narrator) as stack:
                narrator.rest()
                introduce(stack)
                stack.run()
        except KeyboardInterrupt:
            narrator.rest()
            say("Everything is stopped; what was taken in is kept.")
    return 0


def introduce(stack: Stack) -> None:
    """Say where everything is."""
    say()
    say(f"Handoff is ready; its data is in {stack.data_dir}", style="bold")
    say(f"  {'Kafka':<10} {stack.bootstrap}")
    for program in stack.programs:
        say(f"  {program.name:<10} {program.url}")
    say(f"  {'logs':<10} {stack.data_dir / 'logs'}")
    say("Ctrl-C stops it.", style="dim")


@contextmanager
def ending_by_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP act as Ctrl-C does: once. While everything is being stopped, more of them change nothing.

    A hangup that is ignored already (``nohup``) stays so.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
