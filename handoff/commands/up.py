"""``handoff up``: the whole stack in the foreground, until Ctrl-C."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from events.environment import unknown
from handoff.console import Narrator, complain, out
from handoff.demo.folder import refuse_demo
from handoff.options import DataDir, ForecastPort, Host, Kafka, KafkaPort, LifecyclePort, Partitions, RoutingPort
from handoff.settings import load
from handoff.stack import Stack
from handoff.voice import Voice


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
    for strange in unknown(os.environ):
        complain(f"warning: {strange}")
    refuse_demo(settings.data_dir)
    with ending_by_interrupt() as heed, Narrator(out()) as narrator:
        voice = Voice(narrator)
        try:
            with Stack(settings, voice, heed=heed) as stack:
                voice.rest()
                introduce(stack, voice)
                stack.run()
        except KeyboardInterrupt:
            voice.rest()
            voice.say("Everything is stopped; what was taken in is kept.")
    return 0


def introduce(stack: Stack, voice: Voice) -> None:
    """Say where everything is."""
    voice.say()
    voice.say(f"Handoff is ready; its data is in {stack.data_dir}", style="bold")
    voice.say(f"  {'Kafka':<10} {stack.bootstrap}")
    for program in stack.programs:
        voice.say(f"  {program.name:<10} {program.url}")
    voice.say(f"  {'logs':<10} {stack.data_dir / 'logs'}")
    voice.say("Ctrl-C stops it.", style="dim")


@contextmanager
def ending_by_interrupt() -> Iterator[Callable[[], None]]:
    """SIGTERM and SIGHUP act as Ctrl-C does: once. While everything is being stopped, more of them change nothing.

    A hangup that is ignored already (``nohup``) stays so. What it gives is to be called again and again by what goes on until it
    is interrupted, and raises ``KeyboardInterrupt`` again where the first one came to nothing: Python drops what is
    raised in the midst of a finaliser or a callback of the garbage collector.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    asked = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    def heed() -> None:
        if asked:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield heed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
