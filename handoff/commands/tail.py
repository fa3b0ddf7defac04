"""``handoff tail``: what comes onto the topics, as it comes."""

import json
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Annotated, Final

import typer

from events.bus import Bus
from events.bus.kafka import KafkaBus
from events.record import Record, TopicPartition
from events.topics import TOPICS
from handoff.console import out
from handoff.errors import CommandError
from handoff.options import Json, KafkaAddress
from handoff.settings import load
from handoff.summary import as_object, line

POLL_SECONDS: Final = 0.5
RECORDS_MAX: Final = 500
DEAD_LETTERS: Final = ".dead-letter.v1"
"""How the names of the topics end that carry dead letters."""

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="TOPIC", help="Topics, or how their names begin; all without.", show_default=False),
]
FromBeginning = Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest record that is kept.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="End after so many records.", show_default=False)]


def tail(
    names: Names = None,
    from_beginning: FromBeginning = False,
    limit: Limit = None,
    kafka: KafkaAddress = None,
    as_json: Json = False,
) -> int:
    """Follow topics live, a line for each record, until Ctrl-C."""
    topics = chosen(names or [])
    console = out()
    bus = KafkaBus(load(kafka=kafka).bootstrap, client_id="handoff-tail")
    try:
        with suppress(KeyboardInterrupt):
            for number, record in enumerate(follow(bus, topics, from_beginning=from_beginning), start=1):
                text = json.dumps(as_object(record), ensure_ascii=False) if as_json else line(record)
                if console.is_terminal and not as_json:
                    whole = record.topic.endswith(DEAD_LETTERS)  # what is wrong stands at the end
                    console.print(text, overflow="fold" if whole else "ellipsis", no_wrap=not whole, markup=False)
                else:
                    print(text, flush=True)
                if number == limit:
                    break
    finally:
        bus.close()
    return 0


def chosen(names: Collection[str]) -> list[str]:
    """The topics that are meant. Raises ``CommandError`` for a name that none begins with."""
    known = [topic.name for topic in TOPICS]
    found: dict[str, None] = {}
    for name in names:
        matching = [topic for topic in known if topic == name] or [topic for topic in known if topic.startswith(name)]
        if not matching:
            meant = get_close_matches(name, known, n=1)
            hint = f": did you mean {meant[0]}?" if meant else " (see `handoff topics`)"
            raise CommandError(f"there is no topic {name!r}{hint}")
        found |= dict.fromkeys(matching)
    return list(found) or known


def follow(bus: Bus, topics: list[str], *, from_beginning: bool) -> Iterator[Record]:
    """The records of the topics from now, or from the beginning, without end."""

    def start(places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return bus.begin_offsets(places) if from_beginning else bus.end_offsets(places)

    group = f"handoff-tail-{uuid.uuid4()}"
    consumer = bus.consumer(group, topics, start, lambda places: None)
    try:
        while True:
            yield from consumer.poll(POLL_SECONDS, RECORDS_MAX)
    finally:
        consumer.close()
