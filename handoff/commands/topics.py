"""``handoff topics``: the table of topics, and ``handoff topics create``."""

from typing import Final

import typer

from events.bus.kafka import create_topics
from events.topics import TOPICS, Topic
from handoff.console import say, say_json, table
from handoff.errors import CommandError
from handoff.options import Json, KafkaAddress, Partitions, Replication
from handoff.settings import load

DAY_MS: Final = 24 * 3600 * 1000

app = typer.Typer(help="The topics: who writes them, and how they are laid out.", invoke_without_command=True)


@app.callback()
def topics(context: typer.Context, partitions: Partitions = None, as_json: Json = False) -> int:
    """List the topics: who writes them, and how they are laid out."""
    if context.invoked_subcommand is None:
        settings = load(partitions=partitions)
        if as_json:
            say_json([_facts(topic, settings.partitions) for topic in TOPICS])
        else:
            rows = [(topic.name, topic.writer, topic.partitions(settings.partitions), _kept(topic)) for topic in TOPICS]
            table(("topic", "writer", "partitions", "kept"), rows, right=("partitions",))
    return 0


@app.command()
def create(
    kafka: KafkaAddress = None, partitions: Partitions = None, replication: Replication = None, as_json: Json = False
) -> int:
    """Create the topics that are missing; those that exist are left as they are."""
    settings = load(kafka=kafka, partitions=partitions, replication=replication)
    try:
        made = create_topics(settings.bootstrap, settings.partitions, replication=settings.replication)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if as_json:
        say_json({"created": made})
    else:
        for name in made:
            say(name)
        say(f"{len(made)} topics were created, {len(TOPICS) - len(made)} were there")
    return 0


def _facts(topic: Topic, shards: int) -> dict[str, object]:
    return {
        "name": topic.name,
        "writer": topic.writer,
        "purpose": topic.purpose,
        "partitions": topic.partitions(shards),
        "retention_ms": topic.retention,
        "types": list(topic.types),
    }


def _kept(topic: Topic) -> str:
    return "for ever" if topic.retention is None else f"{topic.retention // DAY_MS} days"
