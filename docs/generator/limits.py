"""The page of limits: how much of everything there may be, and what happens beyond. The figures are the code's own."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, NamedTuple

from docs.generator.markdown import table
from events.values import NANOSECONDS

DAY_SECONDS: Final = 24 * 3600
_UNITS: Final = ((DAY_SECONDS, "days"), (3600, "hours"), (60, "minutes"))


class Limit(NamedTuple):
    """``constant``: where the figure stands, ``module:NAME`` (several are told one after the other). ``shown``: its unit."""

    what: str
    constant: str
    shown: Callable[[float], str]
    beyond: str


def count(number: float) -> str:
    """A number of things."""
    return f"{number:,}"


def size(number: float) -> str:
    """A number of bytes."""
    for unit, name in ((1024**2, "MiB"), (1024, "KiB")):
        if number >= unit:
            return f"{number / unit:g} {name}"
    return f"{number:,} bytes"


def characters(number: float) -> str:
    """The length of a text."""
    return f"{number:,} characters"


def seconds(number: float) -> str:
    """A time in seconds."""
    unit, name = next(((unit, name) for unit, name in _UNITS if number >= 2 * unit and number % unit == 0), (1, "s"))
    return f"{number / unit:g} {name}"


def nanoseconds(number: float) -> str:
    """A time in nanoseconds."""
    return seconds(number / NANOSECONDS)


_LETTER: Final = "a dead letter `Undecodable`"
_BROKEN: Final = "the file is not taken over, and the line is named"
_422: Final = "422, which says so"

LIMITS: Final[Mapping[str, tuple[Limit, ...]]] = {
    "Events": (
        Limit("value of a fact from outside", "events.topics:VALUE_BYTES_MAX", size, f"{_LETTER}; over HTTP {_422}"),
        Limit("record on an input topic", "events.topics:INPUT_BYTES_MAX", size, "the broker refuses it"),
        Limit(
            "record on a topic that Handoff writes", "events.topics:RECORD_BYTES_MAX", size, "cannot come about: see records, below"
        ),
        Limit("`ce_id` and `ce_source`", "events.envelope:NAME_MAX", characters, _LETTER),
        Limit("id that Handoff derives", "events.values:DERIVED_ID_MAX", characters, _LETTER),
        Limit("how far a fact may be dated ahead of its record", "events.codec:SKEW", nanoseconds, _LETTER),
        Limit(
            "things that are wrong with an event, told",
            "events.diagnosis:REFUSALS_MAX",
            count,
            "the others are told when these are mended",
        ),
        Limit("ignored fields of an event, told", "events.diagnosis:IGNORED_MAX", count, "the others are not told"),
        Limit("quotation of a validator in a reason", "events.envelope:REASON_MAX", characters, "it is cut"),
        Limit("reason of a `Bug`", "events.bus.letters.office:REASON_MAX", characters, "it is cut"),
    ),
    "Records": (
        Limit("facts of a record", "services.lifecycle.domain.limits:FACTS_MAX", count, "a dead letter `LimitExceeded`"),
        Limit("documents of a deal", "services.lifecycle.domain.limits:DOCUMENTS_MAX", count, "a dead letter `LimitExceeded`"),
        Limit(
            "attributes of a record, as JSON",
            "services.lifecycle.domain.limits:ATTRIBUTES_BYTES_MAX",
            size,
            "a dead letter `LimitExceeded`",
        ),
        Limit(
            "part of a message on `crm.lifecycle.v1`",
            "services.lifecycle.domain.parts:PART_BYTES_MAX",
            size,
            "another part; a single state may be longer",
        ),
    ),
    "HTTP": (
        Limit("connections at a time", "events.web.server:CONNECTIONS_MAX", count, "503 at once"),
        Limit("request line and headers", "events.web.server:HEAD_BYTES_MAX", size, "400"),
        Limit(
            "time for them, for a body that was answered before its end, and without reading any of an answer",
            "events.web.server:STALL_SECONDS_MAX",
            seconds,
            "the connection is ended, after twice that at most",
        ),
        Limit("silence after an answer", "events.web.server:IDLE_SECONDS_MAX", seconds, "the connection is closed"),
        Limit("answers on their way when a service ends", "events.web.server:GRACE_SECONDS_MAX", seconds, "they are cut off"),
        Limit("body of a request", "events.web.bodies:BODY_BYTES_MAX", size, "413; what still comes is thrown away"),
        Limit("time for it", "events.web.bodies:BODY_SECONDS_MAX", seconds, "408"),
        Limit("events of one request", "services.lifecycle.http_events:EVENTS_MAX", count, "413"),
        Limit("wrong parameters told", "events.web.parameters:ERRORS_MAX", count, "the others are told when these are mended"),
        Limit("name of a wrong parameter", "events.web.parameters:NAME_MAX", characters, "it is cut"),
        Limit("cursor (`next`)", "events.web.cursors:CURSOR_CHARACTERS_MAX", characters, _422),
        Limit("values of one criterion", "services.lifecycle.criteria:VALUES_MAX", count, _422),
        Limit("values of one criterion of dead letters", "events.web.letter_questions:VALUES_MAX", count, _422),
        Limit(
            "numbers of dead letters in a filter; replayed or dropped by one call",
            "events.bus.letters.keeping:ACTS_AT_ONCE_MAX",
            count,
            f"{_422}; `next` goes on",
        ),
        Limit(
            "time for one replay, dry or not",
            "events.bus.letters.office:REHEARSAL_SECONDS_MAX",
            seconds,
            "it ends early; `next` goes on",
        ),
        Limit("page of dead letters, or of groups", "events.web.letter_questions:PAGE_MAX", count, _422),
        Limit("page of customers", "services.lifecycle.listing:LIMIT_MAX", count, _422),
        Limit("page of a timeline", "services.lifecycle.records:LIMIT_MAX", count, _422),
        Limit("page of deals", "services.forecast.questions:LIMIT_MAX", count, _422),
        Limit("answers of forecast that are kept", "services.forecast.figures:QUESTIONS_MAX", count, "the oldest is let go of"),
        Limit("sums that they are made of, in all", "services.forecast.figures:SEGMENTS_MAX", count, "the oldest is let go of"),
        Limit("page of mass changes", "services.lifecycle.mass.api:BATCHES_MAX", count, _422),
        Limit("page of records of a mass change", "services.lifecycle.mass.api:LIMIT_MAX", count, _422),
        Limit(
            "traces of one source and id that are followed",
            "services.lifecycle.trace:FOUND_MAX",
            count,
            "`more` is true: name the customer",
        ),
        Limit(
            "statuses of a variant that are named", "services.lifecycle.domain.mining:NAMED_MAX", count, "it is cut, and says so"
        ),
    ),
    "Rebuilds": (
        Limit("name of who asks for one", "events.web.rebuilds:ACTOR_MAX", characters, _422),
        Limit("value that differs, told", "events.bus.rebuild.comparison:TEXT_MAX", characters, "it is cut"),
    ),
    "Work that waits": (
        Limit(
            "messages that wait to be written for senders over HTTP",
            "services.lifecycle.publishing:MESSAGES_MAX",
            count,
            "503 with `Retry-After`",
        ),
        Limit("bytes of them", "services.lifecycle.publishing:BYTES_MAX", size, "503 with `Retry-After`"),
        Limit(
            "questions that wait for a process map", "services.lifecycle.process.maps:WAITING_MAX", count, "503 with `Retry-After`"
        ),
        Limit(
            "connections to PostgreSQL of one process", "events.bus.database.connections:CONNECTIONS_MAX", count, "waits, then 503"
        ),
        Limit(
            "wait for one of them, for a lock, within a transaction",
            "events.bus.database.connections:WAIT_SECONDS_MAX",
            seconds,
            "503, or tried again by the loop",
        ),
        Limit(
            "connections to an SQLite file of one process", "events.bus.database.sqlite:CONNECTIONS_MAX", count, "waits, then 503"
        ),
        Limit(
            "wait for one of those, or for another writer",
            "events.bus.database.sqlite:LOCK_SECONDS_MAX",
            seconds,
            "503, or tried again by the loop",
        ),
        Limit("records of one mass change", "services.lifecycle.mass.api:RECORDS_MAX", count, _422),
        Limit("how long a preview can be applied", "services.lifecycle.mass.api:KEPT_MAX", nanoseconds, "it is cleared away"),
    ),
    "Transactions and turns": (
        Limit("records of a poll", "events.bus.loop:RECORDS_MAX", count, "the next poll takes them"),
        Limit("the same in routing", "services.routing.feed:RECORDS_MAX", count, "the next turn takes them"),
        Limit("records that routing has read and not taken in", "services.routing.floor:UNDONE_MAX", count, "it reads no further"),
        Limit(
            "stored events read for one transaction of lifecycle",
            "services.lifecycle.portions:EVENTS_MAX",
            count,
            "a poll becomes several transactions",
        ),
        Limit("tries of a record before it is a `Bug`", "events.bus.loop:ATTEMPTS_MAX", count, "a dead letter `Bug`"),
        Limit(
            "keys in a row whose records are bugs", "events.bus.loop:BUGGY_KEYS_MAX", count, "the service stands still, and says so"
        ),
        Limit("entries of a stream that are relayed at a time", "events.bus.relay:ENTRIES_MAX", count, "the next turn takes them"),
        Limit("bytes of these", "events.bus.relay:CHUNK_BYTES_MAX", size, "the next turn takes them; one entry may be longer"),
        Limit(
            "dead letters, or replays, of a stream read at a time",
            "events.bus.ledger:LETTERS_MAX",
            count,
            "the next turn takes them",
        ),
        Limit("bytes of what Kafka has not acknowledged yet", "events.bus.relay:BYTES_MAX", size, "nothing more is read and sent"),
        Limit("time of a turn of the relay", "events.bus.relay:TURN_SECONDS_MAX", seconds, "the next turn goes on"),
        Limit("silence of a producer", "events.bus.flights:ANSWER_SECONDS_MAX", seconds, "another producer is made"),
        Limit("silence of Kafka while a topic is read", "events.bus.kafka.bus:READ_SECONDS_MAX", seconds, "it counts as away"),
        Limit(
            "recycled leads that come back in one transaction", "services.lifecycle.wakes:DUE_MAX", count, "the next one takes them"
        ),
        Limit(
            "records told of in the log that cannot follow a version",
            "services.lifecycle.sweep:TOLD_MAX",
            count,
            "the others are counted",
        ),
        Limit(
            "records told in the log that cannot be said anew after a restore",
            "services.lifecycle.catching_up:TOLD_MAX",
            count,
            "they are counted; the next start tries all again",
        ),
    ),
    "Memory": (
        Limit(
            "commands that are remembered",
            "services.lifecycle.plain_commands:REMEMBERED_MAX",
            count,
            "the oldest is looked up in the store",
        ),
        Limit("customers that the desk keeps", "services.routing.desk:CUSTOMERS_MAX", count, "the oldest is looked up in the log"),
        Limit("process maps that are kept", "services.lifecycle.process.maps:KEPT_MAX", count, "the oldest is counted anew"),
        Limit(
            "applied mass changes whose figures are kept",
            "services.lifecycle.mass.answers:FIGURES_KEPT_MAX",
            count,
            "they are counted anew",
        ),
        Limit(
            "sources counted by name in metrics", "services.lifecycle.metrics:SOURCES_MAX", count, "the others are one: `(others)`"
        ),
        Limit("characters of a name that a dead letter is found by", "events.bus.letters.tables:TEXT_MAX", characters, "it is cut"),
        Limit("what reasons of one kind have in common", "events.bus.letters.tables:PATTERN_MAX", characters, "it is cut"),
    ),
    "Files": (
        Limit("YAML file", "events.files.yaml_tree:FILE_BYTES_MAX", size, _BROKEN),
        Limit("levels in it", "events.files.yaml_tree:DEPTH_MAX", count, _BROKEN),
        Limit("problems of a file, told", "events.files.yaml_tree:PROBLEMS_MAX", count, "how many more there are is told"),
        Limit("of these with what was probably meant", "events.files.reading:HINTS_MAX", count, "the others are told without"),
        Limit("quotation of a value", "events.files.yaml_tree:SHOWN_CHARACTERS_MAX", characters, "it is cut"),
        Limit("text in a file", "events.files.reading:TEXT_MAX", characters, _BROKEN),
        Limit("whole number in a file, either way", "events.files.reading:NUMBER_MAX", count, _BROKEN),
        Limit("digits of one", "events.files.reading:DIGITS_MAX", count, _BROKEN),
        Limit("reps of a directory", "services.routing.directory:REPS_MAX", count, _BROKEN),
        Limit("members of a pool", "services.routing.rules:MEMBERS_MAX", count, _BROKEN),
        Limit("weight of a member", "services.routing.rules:WEIGHT_MAX", count, _BROKEN),
        Limit("trace of a decision by these rules", "services.routing.rules:TRACE_BYTES_MAX", size, _BROKEN),
        Limit("value in a trace", "services.routing.domain.match:SHOWN_CHARACTERS_MAX", characters, "it is cut"),
        Limit("entries of a list in a trace", "services.routing.domain.match:SHOWN_ENTRIES_MAX", count, "the others are left out"),
        Limit("statuses of a table", "services.lifecycle.domain.process:STATUSES_MAX", count, _BROKEN),
        Limit("name of a status", "services.lifecycle.domain.table:NAME_MAX", characters, _BROKEN),
        Limit("comment, definition", "services.lifecycle.domain.table:PROSE_MAX", characters, _BROKEN),
        Limit("entries of a status' list", "services.lifecycle.domain.table:ITEMS_MAX", count, _BROKEN),
        Limit("one of them", "services.lifecycle.domain.table:ITEM_MAX", characters, _BROKEN),
        Limit("duration in a table", "services.lifecycle.domain.table:DURATION_MAX", nanoseconds, _BROKEN),
    ),
    "Imports": (
        Limit("bytes without a tag in an event log", "handoff.importing.xes:TAG_BYTES_MAX", size, "nothing is read from there on"),
        Limit("levels of tags", "handoff.importing.xes:DEPTH_MAX", count, "nothing is read from there on"),
        Limit("events of a trace", "handoff.importing.xes:EVENTS_MAX", count, "the trace is rejected"),
        Limit(
            "value that is wanted of an event", "handoff.importing.xes:VALUE_CHARACTERS_MAX", characters, "the trace is rejected"
        ),
        Limit(
            "how long Kafka may be away",
            "handoff.importing.publish:AWAY_SECONDS_MAX",
            seconds,
            "the import is given up; it can be repeated",
        ),
    ),
}
"""By what they are about."""

ELSEWHERE: Final = frozenset(
    {
        "events.bus.letters.office:ACT_MAX",  # a stand-in for a number
        "events.bus.sizes:BYTES_MAX",  # the sizes of topics again
        "events.values:INSTANT_MAX",  # told in words
        "events.web.letter_questions:NUMBER_MAX",  # what a database counts to
        "services.lifecycle.catching_up:ENTRIES_UNSURE_MAX",  # how much a claim looks at
        "services.lifecycle.customers:_ASKED_MAX",  # parameters of one statement
        "services.routing.store:_ASKED_MAX",
        "services.lifecycle.store:_QUERY_VALUES_MAX",
        "services.lifecycle.store:_VERSION_MAX",
        "events.bus.relay:PAUSE_SECONDS_MAX",  # pauses, not limits
        "services.lifecycle.mass.runner:PAUSE_SECONDS_MAX",
        "services.lifecycle.process.layout:ARROW_MAX",  # a width
        "services.lifecycle.publication:SEND_SECONDS_MAX",  # how long one acknowledgement may take
        "services.routing.publication:SEND_SECONDS_MAX",
        "services.routing.inbound:ACKNOWLEDGED_SECONDS_MAX",
        "services.forecast.rebuilding:LEFT_MAX",  # steps of a rebuild, which tell its pace
        "services.forecast.rebuilding:LAST_MAX",
        "events.bus.rebuild.builder:REST_SECONDS_MAX",
        "services.routing.transport:EXIT_SECONDS_MAX",
    }
)
"""Constants of events and services whose names end like a limit's, and that nobody can come up against."""


def value(constant: str) -> float:
    """What the code says."""
    module, name = constant.split(":")
    found: float = getattr(import_module(module), name)
    return found


def page() -> str:
    """The page."""
    sections = [
        f"## {about}\n\n"
        + table(
            ("what", "at most", "beyond it"),
            [(limit.what[:1].upper() + limit.what[1:], limit.shown(value(limit.constant)), limit.beyond) for limit in limits],
        )
        for about, limits in LIMITS.items()
    ]
    return "\n".join([_INTRODUCTION, *sections])


_INTRODUCTION: Final = """# Limits

Everything has an end: what comes from outside, what waits, what is kept in memory, and how long anything is waited for. The figures
are constants of the code, each with its reason beside it; those that an installation may want otherwise are
[settings](settings.md): `HANDOFF_CACHE_RECORDS` and `HANDOFF_CACHE_FACTS` (records in memory), `HANDOFF_DEAD_LETTER_DAYS` (how long dead
letters are kept that were dealt with), `HANDOFF_WATCHDOG_SECONDS` (after how long without progress a process ends). Instants lie between
1677-09-21 and 2262-04-11, in nanoseconds. How long each field of an event may be is told with its type in [events](events.md), how long
topics keep records there too, and which values a parameter takes in [HTTP](http.md).

`make fuzz` sends whatever bytes there are against those of events, files, bodies and parameters; those of connections have tests of their own.
"""
