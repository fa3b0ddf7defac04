"""Of the inputs: none is lost, each that can be read counts once, each that cannot is one dead letter (I1, I8).

Which input is malformed is known from the load, not from the code that reads it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from events.bus.letters.tables import REPLAY
from events.codec import Fact, content, decode
from events.record import Record
from events.topics import ASSIGNMENT, LIFECYCLE_INPUTS, MOVED, TICK_TYPE
from tests.faults.evidence import Evidence, Identity, Place, content_of, original_of, place_of
from tests.lifecycle.reference_facts import in_order

SENT_TO = [topic.name for topic in LIFECYCLE_INPUTS if topic not in (MOVED, ASSIGNMENT)]


def facts_of(evidence: Evidence) -> dict[str, list[Fact]]:
    """The facts of every customer: the inputs that are not malformed, what routing decided, and the ticks."""
    spoiled = malformed(evidence)
    facts: dict[str, list[Fact]] = defaultdict(list)
    for topic in (*SENT_TO, ASSIGNMENT.name, MOVED.name):
        for record, fact in evidence.facts(topic):
            if place_of(record) not in spoiled and (topic != MOVED.name or fact.type == TICK_TYPE):
                facts[fact.customer_id].append(fact)
    return dict(facts)


def malformed(evidence: Evidence) -> dict[Place, Record]:
    """The records that the load has spoiled, and the replays of them, by where they lie."""
    spoiled = {content_of(item.message) for item in evidence.sent if item.malformed}
    return {place_of(r): r for topic in SENT_TO for r in evidence.logs[topic] if original_of(r) in spoiled}


def check_inputs(evidence: Evidence) -> Iterator[str]:
    """What was acknowledged lies in the log; what lies there and is a fact was taken in once, and nothing else was."""
    written = Counter(content_of(record) for topic in SENT_TO for record in evidence.logs[topic])
    for message, times in Counter(content_of(item.message) for item in evidence.sent).items():
        if written[message] < times:
            yield f"inputs: {message[0]} {message[2]!r} was acknowledged {times} times and lies there {written[message]} times"
    spoiled = malformed(evidence)
    for topic in SENT_TO:
        for record in evidence.logs[topic]:
            readable = isinstance(decode(record), Fact)
            if not readable and place_of(record) not in spoiled:
                yield f"inputs: {place_of(record)} cannot be read, though it was sent well-formed"
    given: dict[Identity, set[bytes]] = defaultdict(set)
    for fact in (fact for facts in facts_of(evidence).values() for fact in facts):
        given[fact.customer_id, fact.source, fact.id].add(content(fact))
    for identity in sorted(given.keys() - {accepted.identity for accepted in evidence.accepted}):
        yield f"inputs: {identity} was lost"
    for accepted, times in sorted(Counter(evidence.accepted).items()):
        identity = accepted.identity
        if accepted.content not in given.get(identity, ()):
            yield f"inputs: {identity} was taken in, and nobody sent it"
        if times > 1:
            yield f"inputs: {identity} was taken in {times} times"


def conflicts(evidence: Evidence) -> dict[Identity, list[Fact]]:
    """The facts of those identities that came with different contents."""
    known: dict[Identity, list[Fact]] = defaultdict(list)
    for customer, facts in facts_of(evidence).items():
        for fact in facts:
            known[customer, fact.source, fact.id].append(fact)
    return {identity: facts for identity, facts in known.items() if len({content(fact) for fact in facts}) > 1}


# -------------------------------------------------------------------------------------- dead letters


def check_letters(evidence: Evidence) -> Iterator[str]:
    """Each malformed input is one dead letter of lifecycle, nothing else is one, and the topics say the same."""
    for service, places in evidence.letters.items():
        for place, times in Counter(places).items():
            if times > 1:
                yield f"letters: {service} buried {place} {times} times"
        wanted, allowed = (_spoiled(evidence), _refused(evidence)) if service == "lifecycle" else ([], {})
        yield from _compared(service, set(places), wanted, allowed)
        yield from _published(service, set(places), evidence)


def _spoiled(evidence: Evidence) -> list[set[Place]]:
    """Where each malformed input lies. A replay may lie at several places, since the relay publishes at least once."""
    places: dict[object, set[Place]] = {}
    for place, record in malformed(evidence).items():
        places.setdefault(content_of(record) if REPLAY in dict(record.headers) else place, set()).add(place)
    return list(places.values())


def _refused(evidence: Evidence) -> Mapping[Identity, set[Place]]:
    """Where the contents lie that are not the fact: the one with the smaller digest is (FOLD.md 2)."""
    places: dict[Identity, set[Place]] = {}
    contested = conflicts(evidence)
    standing = {identity: content(in_order(facts)[0]) for identity, facts in contested.items()}
    for topic in (*SENT_TO, MOVED.name):
        for record, fact in evidence.facts(topic):
            identity = (fact.customer_id, fact.source, fact.id)
            if identity in standing and content(fact) != standing[identity]:
                places.setdefault(identity, set()).add(place_of(record))
    return places


def _compared(service: str, buried: set[Place], wanted: list[set[Place]], allowed: Mapping[Identity, set[Place]]) -> Iterator[str]:
    for places in wanted:
        if not places & buried:
            yield f"letters: {min(places)} is malformed, and no dead letter of {service}"
        if len(places & buried) > 1:
            yield f"letters: one replay is {len(places & buried)} dead letters of {service}: {sorted(places & buried)}"
    for place in sorted(buried - {place for places in (*wanted, *allowed.values()) for place in places}):
        yield f"letters: {place} is a dead letter of {service}, and nothing was wrong with it"
    for identity, places in sorted(allowed.items()):
        if not places & buried:
            yield f"letters: of two contents of {identity} the one that is not the fact is no dead letter of {service}"


def _published(service: str, buried: set[Place], evidence: Evidence) -> Iterator[str]:
    topic = f"{service}.dead-letter.v1"
    originals = {place_of(r): r for name, records in evidence.logs.items() for r in records if name != topic}
    spoiled = malformed(evidence)
    lost = evidence.lost.letters.get(service, ())
    said: dict[Place, Record] = {}
    for record in evidence.logs[topic]:
        place = _origin(record)
        anew = place in lost
        if _letter(said.setdefault(place, record), anew=anew) != _letter(record, anew=anew):
            yield f"letters: {topic} says two things about {place}"
        original = originals.get(place)
        if original is None:
            yield f"letters: {topic} is about {place}, where no record lies"
        elif place in spoiled and (original.key, original.value) != (record.key, record.value):
            yield f"letters: {topic} has other bytes than {place}"
    for place in sorted((buried - said.keys()) | (said.keys() - buried).difference(lost)):
        yield f"letters: {place} is {'not ' if place in buried else ''}on {topic}, against {service}'s database"


def _letter(record: Record, *, anew: bool) -> object:
    """What a dead letter says, to the byte.

    ``anew``: it may be of two databases, the first of which was lost. Then its number is that of another row, and the reason tells
    what was allowed when it was written, such as the statuses of the tables that there were.
    """
    *said, headers = content_of(record)
    return said, [each for each in headers if not anew or each[0] not in ("dl_number", "dl_reason")]


def _origin(record: Record) -> Place:
    headers: Mapping[str, bytes] = dict(record.headers)
    return headers["dl_topic"].decode(), int(headers["dl_partition"]), int(headers["dl_offset"])


def first_occurrences(records: Sequence[Record], name: str) -> Iterator[str | Record]:
    """The records of a topic without their repeats (by ``ce_id``), in order; a finding for each repeat that is not the same."""
    seen: dict[bytes, Record] = {}
    for record in records:
        said = dict(record.headers)["ce_id"]
        before = seen.setdefault(said, record)
        if before is record:
            yield record
        elif (content_of(before), before.timestamp) != (content_of(record), record.timestamp):
            yield f"{name}: {said.decode()} was published again, and is not the same"
