"""``handoff send``: publish one event, once it is known to be right."""

import sys
import time as clock
import uuid
from typing import Annotated, Final

import typer

from events.bus.kafka import KafkaBus
from handoff.console import complain, say, say_json
from handoff.draft import draft
from handoff.options import Json, KafkaAddress
from handoff.settings import load

SEND_SECONDS_MAX: Final = 10.0

Type = Annotated[str, typer.Argument(metavar="TYPE", help="The event's type, such as crm.lead.created.v1.", show_default=False)]
DataText = Annotated[
    str, typer.Argument(metavar="JSON", help="The event's data; - reads it from standard input.", show_default=False)
]
EventId = Annotated[str | None, typer.Option("--id", help="The event's id; the same again is the same event. Random without it.")]
Time = Annotated[str | None, typer.Option(help="When it happened (RFC 3339 with offset); now without it.", show_default=False)]
Source = Annotated[str, typer.Option(help="The system that says so (CloudEvents source).")]


def send(
    type_: Type,
    data: DataText,
    event_id: EventId = None,
    time: Time = None,
    source: Source = "handoff/cli",
    kafka: KafkaAddress = None,
    as_json: Json = False,
) -> int:
    """Publish one event, as a CloudEvent in binary mode. Everything that is wrong with it is said before, and nothing published."""
    settings = load(kafka=kafka)
    text = sys.stdin.read() if data == "-" else data
    event = draft(type_, text, source=source, id=event_id or str(uuid.uuid4()), time=time, now=clock.time_ns())
    for note in event.notes:
        complain(note)
    bus = KafkaBus(settings.bootstrap, client_id="handoff-send")
    try:
        producer = bus.producer()
        try:
            producer.send([event.message]).wait(SEND_SECONDS_MAX)
        finally:
            producer.close()
    finally:
        bus.close()
    headers = {name: value.decode() for name, value in event.message.headers}
    written = {
        "topic": event.message.topic,
        "customer_id": event.customer_id,
        **{name: headers[f"ce_{name}"] for name in ("type", "source", "id", "time")},
    }
    if as_json:
        say_json(written)
    else:
        say(f"{type_} of {event.customer_id} is on {event.message.topic}, id {written['id']}")
    return 0
