"""An older database beside a newer log: noticed when a shard is claimed, and made good where an operator has said that it is meant.

What lifecycle has published of a shard must be in its database. The position row of the shard's partition of ``crm.lifecycle.v1``
says up to where that is sure; what lies after it is looked at when the shard is claimed, before anything new is numbered. Where
a version lies there that the database does not have, the worker stops: consumers pass over numbers that they have seen,
so that all that is new of that customer would be lost on them without a word.

Where the database was declared to be restored (``handoff restore``, ``handoff restored``), it catches up instead. A survey notes of
every customer that was published since what consumers have heard (:mod:`services.lifecycle.domain.restated`), and where the
inputs end. Up to there facts of these customers are taken in again, quietly, under numbers above those that were given. Then each
is said once, as a whole. One whose facts do not come again stays noted, so that its numbers go on whenever it is heard of again;
one that cannot be said, because the code has a bug or what is stored is broken, stays noted too: the next start tries again.
Where what was published since is not what the database has still to send, that is not sent (:mod:`services.lifecycle.parting`), and
what consumers have heard is told by all that was ever published of the customer.

A database that is empty cannot catch up where the inputs have lost their beginning: the few facts that are left of a customer would
be told as all that ever was. It stops there, unless an operator has said that this is meant, too.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from events.bus import Bus, PositionLost
from events.bus.claims import starts
from events.codec import Fact, decode
from events.published import Published
from events.record import Record as KafkaRecord
from events.record import TopicPartition
from events.topics import LIFECYCLE, LIFECYCLE_INPUTS
from services.lifecycle import restorations
from services.lifecycle.cache import Cache
from services.lifecycle.customers import Line
from services.lifecycle.domain.record import Record
from services.lifecycle.domain.refold import brought_up
from services.lifecycle.domain.restated import Heard, heard_of, more, quiet, raised, restated, revising
from services.lifecycle.domain.summary import summary_of
from services.lifecycle.isolating import isolated
from services.lifecycle.outbound import name_of
from services.lifecycle.parting import Parting, Said
from services.lifecycle.store import Store
from services.lifecycle.tables import StatusTables
from services.lifecycle.work import Work

log = logging.getLogger("lifecycle")

Write = Callable[[Sequence[KafkaRecord], Work], None]
Versions = dict[str, int]

ENTRIES_UNSURE_MAX: Final = 5_000
"""After so many acknowledged entries it is noted up to where the log is sure: what a claim has to look at stays as small."""
RECORDS_A_STEP: Final = 100
"""How many records are said anew in one transaction."""
TOLD_MAX: Final = 10
"""So many records that cannot be said anew are logged."""


def published_of(shard: int) -> TopicPartition:
    """Where what is published of a shard lies."""
    return TopicPartition(LIFECYCLE.name, shard)


def stream_of(shard: int) -> str:
    """The outgoing stream of a shard's events."""
    return f"lifecycle[{shard}]"


class CatchingUp:
    """What one worker knows of it. Belongs to the loop's thread."""

    def __init__(self, store: Store, bus: Bus, tables: StatusTables) -> None:
        self._store = store
        self._bus = bus
        self._tables = tables
        self.heard: Final[dict[str, Heard]] = {}
        """The customers of owned shards of whom consumers have heard more than this database knows."""
        self._shards: dict[int, set[str]] = {}
        """Of each owned shard, the customers that wait to be said anew."""
        self._ends: dict[int, Mapping[TopicPartition, int]] = {}
        """Of each restored shard, where its inputs ended when it was surveyed."""
        self._unanswered: set[int] = set()
        """The shards of which records were said anew, for all that is known: the commit was not answered."""
        self._sure: dict[TopicPartition, int] = {}
        self._unsure = 0
        self._left = 0
        self.looked = 0
        """How many published records were looked at: it grows while a claim takes long."""

    # ---------------------------------------------------------------------------------------- ownership

    def claim(self, sure: Mapping[TopicPartition, int]) -> None:
        """These shards are this worker's now; ``sure``: the position of what is published of each. Raises ``PositionLost``."""
        if not sure:
            return
        begins = starts(sure, self._bus.begin_offsets(sure), self._bus.end_offsets(sure))
        shards = [place.partition for place in sure]
        with self._store.database.read() as cursor:
            declared, heard = restorations.of(cursor, shards)
        self.release(shards)
        for shard in shards:
            self._shards[shard] = set()
        for customer, (shard, known) in heard.items():
            self.heard[customer] = known
            self._shards[shard].add(customer)
        self._sure.update(begins)
        for shard, ends in declared.items():
            self._ends[shard] = self._survey(shard, begins[published_of(shard)]) if ends is None else ends
        self._look({place: begin for place, begin in begins.items() if declared.get(place.partition, ()) is not None})

    def release(self, shards: Iterable[int]) -> None:
        """Another worker may own these shards from now on."""
        for shard in shards:
            for customer in [name for name in self.heard if self._store.home(name) == shard]:
                del self.heard[customer]
            self._shards.pop(shard, None)
            self._ends.pop(shard, None)
            self._sure.pop(published_of(shard), None)
            self._unanswered.discard(shard)

    def _look(self, begins: Mapping[TopicPartition, int]) -> None:
        """Look at what is published after what is sure. Raises ``PositionLost`` where the database does not have it."""
        reached: dict[TopicPartition, int] = {}
        for piece in self._bus.scan(begins):
            self.looked += len(piece)
            for place in {record.place for record in piece}:
                records = [record for record in piece if record.place == place]
                self._compare(place.partition, records)
                reached[place] = records[-1].offset + 1
        self._note(reached)

    def _compare(self, shard: int, records: Sequence[KafkaRecord]) -> None:
        said = _said(records)
        known = self._store.sizes(shard, {customer for _, customer, _ in said})
        for record, customer, version in said:
            has = known.get(customer, 0)
            if version > max(has, self.heard.get(customer, Heard()).version):
                raise PositionLost(
                    f"{record.topic}[{shard}] at {record.offset} has version {version} of {customer!r}, and lifecycle's database"
                    f" has {has or 'nothing of it'}: it is older than what was published from it (a backup, a new one, or another"
                    " directory), and consumers would pass over what is new. If it is the right one, and there is no newer backup,"
                    " run `handoff restored lifecycle` and start again: it then catches up"
                )

    # ------------------------------------------------------------------------------------- what is sure

    def acknowledged(self, entries: int) -> None:
        """The log has so many entries more."""
        self._unsure += entries

    def note(self) -> None:
        """Note now and then up to where what is published is sure to be in the database: all that is there was committed before."""
        if self._unsure < ENTRIES_UNSURE_MAX:
            return
        ends = self._bus.end_offsets(self._sure)
        self._note({place: end for place, end in ends.items() if end > self._sure[place]})
        self._unsure = 0

    def _note(self, reached: Mapping[TopicPartition, int]) -> None:
        if reached:
            with self._store.ledger.transaction(reached=reached):
                pass
            self._sure.update(reached)

    # ------------------------------------------------------------------------------------------- survey

    def _survey(self, shard: int, begin: int) -> Mapping[TopicPartition, int]:
        """Note what consumers have heard that the database does not know, and where the inputs end now; one transaction."""
        place = published_of(shard)
        inputs = [TopicPartition(topic.name, shard) for topic in LIFECYCLE_INPUTS]
        begins, ends = self._bus.begin_offsets(inputs), self._bus.end_offsets(inputs)
        known = {name: heard.version for name, heard in self.heard.items()}
        heard = {name: self.heard[name] for name in self._shards[shard]}
        parting = Parting(self._store, shard, self._store.ledger.relay_positions([stream_of(shard)])[stream_of(shard)])
        noted = frozenset(heard)  # of them the database has sent all that it may
        end = begin
        for piece in self._bus.scan({place: begin}):
            self.looked += len(piece)
            end = piece[-1].offset + 1
            parting.look([each for each in _said(piece) if each[1] not in noted])
            self._hear(shard, [message for record in piece if (message := _message(record)) is not None], known, heard)
        if heard:
            with self._store.database.read() as cursor:
                restorations.check_past(cursor, shard, begins, len(heard))
        parted = self._hear_all(place, parting)
        heard.update(parted)
        withheld = parting.withheld(parted)
        with self._store.ledger.transaction(reached={place: end}) as cursor:
            restorations.surveyed(cursor, shard, ends, heard, withheld)
        self.heard.update(heard)
        self._shards[shard] = set(heard)
        self._sure[place] = end
        log.warning("shard %d was restored: %d customers were published since, and will be said anew", shard, len(heard))
        if withheld:
            told = "shard %d: %d messages of %d of them are not sent: something else was published meanwhile"
            log.warning(told, shard, len(withheld), len(parted))
        return ends

    def _hear(self, shard: int, messages: Sequence[Published], known: Versions, heard: dict[str, Heard]) -> None:
        """Add what some messages say that is new, to what was heard of their customers."""
        asked = {message.customer_id for message in messages} - known.keys()
        known.update(dict.fromkeys(asked, 0) | self._store.sizes(shard, asked))
        new = [message for message in messages if message.version > known[message.customer_id]]
        missing = {message.customer_id for message in new} - heard.keys()
        heard.update(dict.fromkeys(missing, Heard()))
        for some in self._store.portions(shard, missing):
            records = self._store.load(shard, some, self._tables.policy)
            heard.update({name: heard_of(record) for name, record in records.items()})
        for message in new:
            heard[message.customer_id] = more(heard[message.customer_id], message)

    def _hear_all(self, place: TopicPartition, parting: Parting) -> dict[str, Heard]:
        """What consumers have heard of the customers whose record went two ways: by all that was ever published of them."""
        heard = dict.fromkeys(parting.customers(), Heard())
        for piece in self._bus.scan(self._bus.begin_offsets([place])) if heard else ():
            self.looked += len(piece)
            said = [each for each in _said(piece) if each[1] in heard]
            parting.look(said)
            for record, customer, _ in said:
                if (message := _message(record)) is not None:
                    heard[customer] = more(heard[customer], message)
        for some in self._store.portions(place.partition, heard):
            records = self._store.load(place.partition, some, self._tables.policy)
            heard.update({name: revising(heard[name], record) for name, record in records.items()})
        return heard

    # --------------------------------------------------------------------------------------- said anew

    def touched(self, customers: Collection[str]) -> None:
        """Facts of these customers were taken in: those that were taken in quietly wait to be said anew."""
        for customer in customers & self.heard.keys():
            self._shards[self._store.home(customer)].add(customer)

    def look_again(self) -> None:
        """Where a commit was not answered, the database knows who was said anew with it, and must not be once more.

        To be called before anything else is folded: whose facts come now is told of them as of anybody else's.
        """
        if not self._unanswered:
            return
        with self._store.database.read() as cursor:
            _, waiting = restorations.of(cursor, sorted(self._unanswered))
        for customer in self.heard.keys() - waiting.keys():
            shard = self._store.home(customer)
            if shard in self._unanswered:
                del self.heard[customer]
                self._shards[shard].discard(customer)
        self._unanswered.clear()

    def pending(self) -> int:
        """How many customers wait to be said anew."""
        return sum(map(len, self._shards.values()))

    def step(self, positions: Mapping[TopicPartition, int], cache: Cache, write: Write) -> bool:
        """Say some records anew, of a shard that has caught up; whether there was anything to do.

        One transaction, or as many as it takes to find out which records cannot be said.
        """
        self.look_again()
        for shard, waiting in self._shards.items():
            ends = self._ends.get(shard)
            if (waiting or ends is not None) and all(positions.get(place, 0) >= end for place, end in (ends or {}).items()):
                isolated(sorted(waiting)[:RECORDS_A_STEP], partial(self._say, shard, cache, write), self._leave)
                if not self._shards[shard] and ends is not None:
                    self._arrive(shard, write)
                return True
        return False

    def _leave(self, customer: str, error: Exception) -> None:
        """A record cannot be said anew."""
        self._shards[self._store.home(customer)].discard(customer)
        self._left += 1
        if self._left <= TOLD_MAX:
            log.exception("the record of %r cannot be said anew, and consumers keep what they have heard", customer, exc_info=error)

    def _arrive(self, shard: int, write: Write) -> None:
        """A shard has caught up."""
        work = Work.none()
        work.followed[shard] = None
        work.caught_up.add(shard)
        write((), work)
        del self._ends[shard]
        left = sum(self._store.home(name) == shard for name in self.heard)
        log.log(
            logging.WARNING if self._left else logging.INFO,
            "shard %d has caught up; %d customers that were published are not said anew (%d of all shards for an error)",
            *(shard, left, self._left),
        )

    def _say(self, shard: int, cache: Cache, write: Write, customers: Sequence[str]) -> None:
        work, said = Work.none(), dict[str, Record]()
        work.followed[shard] = None
        customers = next(self._store.portions(shard, customers), ())
        records = self._store.load(shard, [name for name in customers if name not in cache], self._tables.policy)
        records |= {name: cache[name][1] for name in customers if name in cache}
        for name, record in records.items():
            said[name] = self._anew(shard, record, self.heard[name], work)
        work.restated.update(said)
        if said:
            self._unanswered.add(shard)
            write((), work)
            self._unanswered.discard(shard)
        self._shards[shard] -= set(customers)
        cache.update({name: (shard, record) for name, record in said.items() if name in cache})
        for name in said:
            del self.heard[name]

    def _anew(self, shard: int, record: Record, heard: Heard, work: Work) -> Record:
        before = raised(record, heard)
        followed = quiet(before, brought_up(before, self._tables.policy))
        work.changed(shard, before, followed)
        told = restated(followed.record, heard)
        work.changed(shard, followed.record, told)
        work.lines.append(Line(record.customer_id, shard, told.record.version, summary_of(told.record.fold)))
        return told.record


def _said(records: Iterable[KafkaRecord]) -> list[Said]:
    """The records of ours, each with the customer and the version that it says."""
    return [(record, *name) for record in records if (name := name_of(record)) is not None]


def _message(record: KafkaRecord) -> Published | None:
    """What a record of ours says."""
    if name_of(record) is None:
        return None
    fact = decode(record)
    return fact.data if isinstance(fact, Fact) and isinstance(fact.data, Published) else None
