"""The contract of a bus, on the memory twin and on a real Kafka: what passes on both is what services may rely on."""

from collections.abc import Callable, Collection, Mapping
from contextlib import closing

import pytest

from events.bus import BusError, PositionLost
from events.bus.layout import LOOK_SECONDS, Layout
from events.bus.partitioner import crc32, murmur2
from events.record import Message, Record, TopicPartition
from tests.contract.bench import SMALL, Bench, Reading

Eventually = Callable[..., None]
Unique = Callable[[str], str]


def numbered(topic: str, count: int, *, keys: int = 5, start: int = 0) -> list[Message]:
    return [Message(topic, f"customer-{n % keys}".encode(), str(n).encode()) for n in range(start, start + count)]


def values(records: Collection[Record]) -> list[int]:
    return [int(record.value or b"") for record in records]


def places(topic: str, partitions: int) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(partitions)]


def remade(bench: Bench, topic: str, eventually: Eventually) -> None:
    """Delete a topic of one partition, and make it again."""
    bench.delete(topic)

    def gone() -> bool:
        try:
            bench.bus.partitions(topic)
        except LookupError:
            return True
        return False

    eventually(gone)
    bench.create(topic, 1)


# ------------------------------------------------------------------------------------------- reading and writing


def test_what_is_written_is_read_as_it_was(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    topic = bench.topic(3)
    message = Message(topic, b"k", b"v", (("a", b"1"), ("a", b"2"), ("b", b"")), partition=2, timestamp=1_500_000_000_123)
    bench.producer().send([message, Message(topic, b"k", None, partition=2)]).wait(10)
    reader = reading([topic])
    eventually(lambda: len(reader.records) == 2, doing=reader.poll)
    first, second = reader.records
    assert first == Record(topic, 2, 0, 1_500_000_000_123, b"k", b"v", (("a", b"1"), ("a", b"2"), ("b", b"")))
    assert (second.offset, second.value, second.headers) == (1, None, ())
    assert second.timestamp > 1_500_000_000_123  # the time of writing, where the message has none


def test_records_of_a_key_come_in_order_and_lie_at_home(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    topic = bench.topic(3)
    producer = bench.producer()
    deliveries = [producer.send(numbered(topic, 100, start=start)) for start in range(0, 500, 100)]
    for delivery in deliveries:
        delivery.wait(10)
        assert delivery.done()
    reader = reading([topic])
    eventually(lambda: len(reader.records) >= 500, doing=lambda: reader.poll(records=37))
    assert sorted(values(reader.records)) == list(range(500))
    for key in {record.key for record in reader.records}:
        own = [record for record in reader.records if record.key == key]
        assert values(own) == sorted(values(own))
        assert {record.partition for record in own} == {murmur2(key or b"", 3)}


def test_a_poll_gives_no_more_than_asked_for(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    topic = bench.topic(2)
    bench.producer().send(numbered(topic, 50)).wait(10)
    reader = reading([topic])
    sizes = []

    def poll() -> None:
        before = len(reader.records)
        reader.poll(records=7)
        sizes.append(len(reader.records) - before)

    eventually(lambda: len(reader.records) == 50, doing=poll)
    assert max(sizes) <= 7


def test_a_customer_written_by_two_partitioners_lies_in_two_partitions(
    bench: Bench, reading: Reading, eventually: Eventually
) -> None:
    topic = bench.topic(12)
    key = b"customer-7"
    home, elsewhere = murmur2(key, 12), crc32(key, 12)
    assert home != elsewhere
    bench.producer().send([Message(topic, key, b"0")]).wait(10)
    bench.produce_elsewhere([Message(topic, key, b"1")])
    reader = reading([topic])
    eventually(lambda: len(reader.records) == 2, doing=reader.poll)
    assert {record.partition: record.value for record in reader.records} == {home: b"0", elsewhere: b"1"}


def test_a_message_without_a_key_goes_somewhere(bench: Bench) -> None:
    topic = bench.topic(3)
    bench.producer().send([Message(topic, None, b"x")]).wait(10)
    assert sum(bench.bus.end_offsets(places(topic, 3)).values()) == 1


def test_a_message_that_is_too_large_is_refused_and_harms_nobody(bench: Bench) -> None:
    topic = bench.topic()
    producer = bench.producer()
    with pytest.raises(ValueError, match=rf"{topic} with key b'big'"):
        producer.send([Message(topic, b"big", bytes(2 << 20))])
    producer.send([Message(topic, b"k", b"after"), Message(topic, b"k", bytes(2_000_000))]).wait(10)
    assert [record.value for record in bench.bus.read(topic)] == [b"after", bytes(2_000_000)]


def test_a_producer_that_failed_takes_nothing_more_and_a_new_one_does(bench: Bench) -> None:
    topic = bench.topic(fragile=True)
    producer = bench.producer()
    producer.send([Message(topic, b"k", b"0")]).wait(10)
    failing = producer.send([Message(topic, b"k", bytes(SMALL + 1))])
    with pytest.raises(BusError):
        failing.wait(10)
    assert failing.done()
    with pytest.raises(BusError):
        producer.send([Message(topic, b"k", b"1")])
    producer.close()
    rebuilt = bench.producer()
    rebuilt.send([Message(topic, b"k", b"2")]).wait(10)
    assert [record.value for record in bench.bus.read(topic)] == [b"0", b"2"]
    rebuilt.close()


def test_sending_nothing_is_delivered_at_once(bench: Bench) -> None:
    delivery = bench.producer().send([])
    assert delivery.done()
    delivery.wait(0)


# ------------------------------------------------------------------------------------------------------ positions


def test_reading_begins_at_the_claimed_positions(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    topic = bench.topic(2)
    one, two = places(topic, 2)
    for place in (one, two):
        bench.producer().send([Message(topic, b"k", str(n).encode(), partition=place.partition) for n in range(10)]).wait(10)
    reader = reading([topic], positions={one: 7, two: 10})
    eventually(lambda: reader.consumer.positions() == {one: 10, two: 10}, doing=reader.poll)
    assert values(reader.records) == [7, 8, 9]


def test_what_was_read_and_not_kept_is_read_again_by_the_next(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    topic = bench.topic()
    bench.producer().send(numbered(topic, 10)).wait(10)
    first = reading([topic], group="again-" + topic)
    eventually(lambda: len(first.records) == 10, doing=first.poll)
    first.consumer.close()
    second = reading([topic], group="again-" + topic, positions={TopicPartition(topic, 0): 4})
    eventually(lambda: len(second.records) == 6, doing=second.poll)
    assert values(second.records) == [4, 5, 6, 7, 8, 9]


def test_a_position_before_the_begin_of_the_log_is_lost(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    place = TopicPartition(bench.topic(), 0)
    bench.producer().send(numbered(place.topic, 10)).wait(10)
    bench.truncate(place, 6)
    assert bench.bus.begin_offsets([place]) == {place: 6}
    reader = reading([place.topic], positions={place: 5})
    with pytest.raises(PositionLost, match=r"was read up to 5, but begins at 6 now: 1 offsets .*recover.md says"):
        eventually(lambda: False, doing=reader.poll)


def test_a_position_after_the_end_of_the_log_is_lost(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    place = TopicPartition(bench.topic(), 0)
    bench.producer().send(numbered(place.topic, 10)).wait(10)
    reader = reading([place.topic], positions={place: 11})
    with pytest.raises(PositionLost, match=r"was read up to 11, but ends at 10"):
        eventually(lambda: False, doing=reader.poll)


def test_a_log_that_loses_its_begin_while_it_is_read_is_a_lost_position(
    bench: Bench, reading: Reading, eventually: Eventually
) -> None:
    one, two = places(bench.topic(2), 2)
    value = bytes(1_000_000)  # so large that a fetch cannot hold them all
    for place in (one, two):
        for _ in range(12):
            bench.producer().send([Message(place.topic, b"k", value, partition=place.partition)]).wait(10)
    reader = reading([one.topic])
    eventually(lambda: reader.positions.get(one) and reader.positions.get(two), doing=lambda: reader.poll(1))
    for place in (one, two):
        bench.truncate(place, 12)

    with pytest.raises(PositionLost, match="but begins at 12 now"):
        eventually(lambda: False, doing=lambda: reader.poll(1))


def test_a_log_that_lost_its_begin_before_anything_was_read_is_a_lost_position(
    bench: Bench, reading: Reading, eventually: Eventually
) -> None:
    place = TopicPartition(bench.topic(), 0)
    bench.producer().send(numbered(place.topic, 10)).wait(10)
    bench.truncate(place, 6)
    reader = reading([place.topic])
    with pytest.raises(PositionLost, match=r"was read up to 0, but begins at 6 now: 6 offsets .*recover.md says"):
        eventually(lambda: False, doing=reader.poll)
    reader = reading([place.topic], positions=dict(bench.bus.begin_offsets([place])))
    eventually(lambda: reader.consumer.positions() == {place: 10}, doing=reader.poll)
    assert values(reader.records) == [6, 7, 8, 9]


def test_a_claim_that_fails_is_raised_by_poll_and_made_again(bench: Bench, eventually: Eventually, unique: Unique) -> None:
    topic = bench.topic()
    bench.producer().send(numbered(topic, 3)).wait(10)
    answers = iter([OSError("the disk is gone"), BusError("not now"), {TopicPartition(topic, 0): 1}])

    def assigned(_: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    consumer = bench.bus.consumer(unique("group"), [topic], assigned, lambda _: None)
    for expected in (OSError, BusError):
        with pytest.raises(expected):
            eventually(lambda: False, doing=lambda: consumer.poll(0.05, 10))
        assert consumer.positions() == {}
    found: list[Record] = []
    eventually(lambda: len(found) == 2, doing=lambda: found.extend(consumer.poll(0.05, 10)))
    assert values(found) == [1, 2]
    consumer.close()


# --------------------------------------------------------------------------------------------------- transactions


def test_an_aborted_transaction_is_never_seen_and_passed_over(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    place = TopicPartition(bench.topic(), 0)
    bench.transaction(numbered(place.topic, 2), outcome="commit")
    bench.transaction(numbered(place.topic, 3, start=10), outcome="abort")
    end = bench.bus.end_offsets([place])[place]
    assert end == 2 + 1 + 3 + 1  # each transaction ends with a marker
    reader = reading([place.topic])
    eventually(lambda: reader.consumer.positions() == {place: end}, doing=reader.poll)
    assert values(reader.records) == [0, 1]
    bench.producer().send(numbered(place.topic, 1, start=20)).wait(10)
    eventually(lambda: len(reader.records) == 3, doing=reader.poll)
    assert (reader.records[-1].value, reader.records[-1].offset) == (b"20", end)
    assert values(bench.bus.read(place.topic)) == [0, 1, 20]


def test_an_open_transaction_holds_back_what_follows(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    place = TopicPartition(bench.topic(), 0)
    producer = bench.producer()
    producer.send(numbered(place.topic, 1)).wait(10)
    bench.transaction(numbered(place.topic, 2, start=1), outcome="open")
    producer.send(numbered(place.topic, 1, start=9)).wait(10)
    assert bench.bus.end_offsets([place]) == {place: 1}
    reader = reading([place.topic])
    eventually(lambda: reader.consumer.positions() == {place: 1}, doing=reader.poll)
    reader.poll()
    assert values(reader.records) == [0]


# --------------------------------------------------------------------------------------------------------- groups


def test_members_share_partition_numbers_equally_over_all_topics(
    bench: Bench, reading: Reading, eventually: Eventually, unique: Unique
) -> None:
    topics, group = [bench.topic(5), bench.topic(5), bench.topic(5)], unique("group")
    everything = {topic: set(range(5)) for topic in topics}
    first = reading(topics, group)
    eventually(lambda: first.numbers == everything, doing=first.poll)

    second = reading(topics, group)

    def both() -> None:
        first.poll()
        second.poll()

    eventually(lambda: len(first.held) + len(second.held) == 15 and first.held and second.held, doing=both)
    assert first.held.isdisjoint(second.held)
    for reader in (first, second):
        assert len(reader.numbers) == 3
        assert len({frozenset(numbers) for numbers in reader.numbers.values()}) == 1
    assert [told[0] for told in first.told] == ["assigned", "revoked", "assigned"]

    first.consumer.close()
    assert first.held == set()
    eventually(lambda: second.numbers == everything, doing=second.poll)


def test_no_record_is_lost_or_reordered_when_members_come_and_go(
    bench: Bench, reading: Reading, eventually: Eventually, unique: Unique
) -> None:
    topic, group = bench.topic(4), unique("group")
    positions: dict[TopicPartition, int] = {}
    producer = bench.producer()
    sent = [0]

    def send() -> None:
        producer.send(numbered(topic, 20, keys=20, start=sent[0])).wait(10)
        sent[0] += 20

    send()
    first = reading([topic], group, positions)
    eventually(lambda: first.records, doing=lambda: first.poll(10))
    second = reading([topic], group, positions)

    def both() -> None:
        send()
        first.poll(10)
        second.poll(10)

    eventually(lambda: second.records, doing=both)
    first.consumer.close()
    send()
    eventually(lambda: len(first.records) + len(second.records) >= sent[0], doing=lambda: second.poll(100))
    records = [*first.records, *second.records]
    assert sorted(values(records)) == list(range(sent[0]))
    for key in {record.key for record in records}:
        own = values([record for record in records if record.key == key])
        assert own == sorted(own)


def test_groups_do_not_know_each_other(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    topic = bench.topic(2)
    bench.producer().send(numbered(topic, 20)).wait(10)
    for reader in (reading([topic]), reading([topic])):
        eventually(lambda reader=reader: len(reader.records) == 20, doing=reader.poll)


def test_a_static_member_gets_its_partitions_back_and_nobody_else_notices(
    bench: Bench, reading: Reading, eventually: Eventually, unique: Unique
) -> None:
    topic, group = bench.topic(4), unique("group")
    one, two = reading([topic], group, instance="one"), reading([topic], group, instance="two")

    def both() -> None:
        one.poll()
        two.poll()

    eventually(lambda: len(one.held) == len(two.held) == 2, doing=both)
    held, told = set(one.held), list(two.told)
    one.consumer.close()
    again = reading([topic], group, instance="one")
    bench.producer().send([Message(topic, b"k", b"1", partition=place.partition) for place in held]).wait(10)

    def after() -> None:
        again.poll()
        two.poll()

    eventually(lambda: len(again.records) == 2, doing=after)
    assert again.held == held
    assert two.told == told


def test_one_too_many_stands_by_and_takes_over(bench: Bench, reading: Reading, eventually: Eventually, unique: Unique) -> None:
    topic, group = bench.topic(1), unique("group")
    members = [reading([topic], group), reading([topic], group)]

    def both() -> None:
        for member in members:
            member.poll()

    shared = [("assigned", 0), ("assigned", 1)]
    eventually(lambda: sorted(told for member in members for told in member.told[-1:]) == shared, doing=both)
    active, waiting = sorted(members, key=lambda member: -len(member.held))
    active.consumer.close()
    eventually(lambda: waiting.held == {TopicPartition(topic, 0)}, doing=waiting.poll)


def test_a_stand_by_whose_claim_of_nothing_fails_is_asked_again(bench: Bench, eventually: Eventually, unique: Unique) -> None:
    """Claiming nothing asks the database too: it may not answer, and the stand-by must not wait for ever then."""
    topic, group = bench.topic(1), unique("group")
    claims: list[Collection[TopicPartition]] = []

    def answers(places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    def fails_once(places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        claims.append(places)
        if len(claims) == 1:
            raise BusError("not now")
        return answers(places)

    active = bench.bus.consumer(group, [topic], answers, lambda _: None, "a")
    eventually(active.positions, doing=lambda: active.poll(0.02, 10))
    waiting = bench.bus.consumer(group, [topic], fails_once, lambda _: None, "b")

    def both() -> None:
        active.poll(0.02, 10)
        waiting.poll(0.02, 10)

    with pytest.raises(BusError):
        eventually(lambda: False, doing=both)
    eventually(lambda: len(claims) == 2, doing=both)
    assert [*map(list, claims)] == [[], []]
    active.close()
    waiting.close()


# --------------------------------------------------------------------------------------------- topics as such


def test_a_topic_of_one_partition_is_read_as_a_whole(bench: Bench) -> None:
    topic = bench.topic()
    assert bench.bus.read(topic) == []
    bench.producer().send(numbered(topic, 1_200)).wait(10)
    assert values(bench.bus.read(topic)) == list(range(1_200))
    assert values(bench.bus.read(topic, 1_198)) == [1_198, 1_199]
    assert bench.bus.read(topic, 1_200) == []
    bench.truncate(TopicPartition(topic, 0), 1_199)
    assert values(bench.bus.read(topic)) == [1_199]


def test_only_a_topic_of_one_partition_is_read_as_a_whole(bench: Bench) -> None:
    topic = bench.topic(2)
    with pytest.raises(ValueError, match=f"{topic} has 2 partitions"):
        bench.bus.read(topic)


def test_begin_and_end_of_logs(bench: Bench) -> None:
    topic = bench.topic(2)
    empty, full = places(topic, 2)
    bench.producer().send([Message(topic, b"k", b"v", partition=1)] * 5).wait(10)
    bench.truncate(full, 2)
    assert bench.bus.end_offsets([empty, full]) == {empty: 0, full: 5}
    assert bench.bus.begin_offsets([empty, full]) == {empty: 0, full: 2}
    assert bench.bus.partitions(topic) == 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda bus, topic: bus.partitions(topic),
        lambda bus, topic: bus.identity(topic),
        lambda bus, topic: bus.read(topic),
        lambda bus, topic: bus.consumer("group", [topic], lambda _: {}, lambda _: None),
    ],
    ids=["partitions", "identity", "read", "consumer"],
)
def test_a_missing_topic_is_named_with_the_way_out(bench: Bench, ask: Callable[..., object]) -> None:
    with pytest.raises(LookupError, match=r"topic no-such-topic does not exist.*`handoff topics create`"):
        ask(bench.bus, "no-such-topic")


def test_a_producer_names_a_missing_topic_and_goes_on(bench: Bench) -> None:
    topic, producer = bench.topic(), bench.producer()
    with pytest.raises(LookupError, match=r"topic no-such-topic does not exist.*`handoff topics create`"):
        producer.send([Message("no-such-topic", b"k", b"v")])
    producer.send([Message(topic, b"k", b"v")]).wait(10)


def test_a_topic_that_is_made_again_is_another(bench: Bench, eventually: Eventually) -> None:
    topic = bench.topic()
    before = bench.bus.identity(topic)
    assert bench.bus.identity(topic) == before
    remade(bench, topic, eventually)
    after = bench.bus.identity(topic)
    assert after != before
    assert after.split("/")[0] == before.split("/")[0]


# ------------------------------------------------------------------------------------------------- layout, scans


def test_a_topic_that_grows_is_told_from_one_that_is_as_it_was(bench: Bench, eventually: Eventually) -> None:
    one, two = bench.topic(2), bench.topic()
    passed = [0.0]
    layout = Layout(bench.bus, {one: 2, two: 1}, lambda: passed[0])
    layout.check(places(one, 2))
    bench.grow(one, 4)
    layout.look(dict)  # it has looked just now
    passed[0] += LOOK_SECONDS
    with pytest.raises(PositionLost, match=rf"{one} has 4 partitions, and must have 2 \(HANDOFF_PARTITIONS.*make it anew"):
        eventually(lambda: False, doing=lambda: layout.look(dict))


def test_a_topic_that_is_made_again_while_it_is_read_is_noticed(bench: Bench, eventually: Eventually) -> None:
    place = TopicPartition(bench.topic(), 0)
    bench.producer().send(numbered(place.topic, 10)).wait(10)
    passed = [0.0]
    layout = Layout(bench.bus, {}, lambda: passed[0])
    layout.check([place])
    remade(bench, place.topic, eventually)
    layout.look(lambda: {place: 10})  # it has looked just now
    passed[0] += LOOK_SECONDS
    with pytest.raises(PositionLost, match=f"{place.topic} was .* when it was claimed, and is .* now: .* was made again while it"):
        layout.look(lambda: {place: 10})


def test_a_log_that_does_not_reach_to_its_position_any_more_is_noticed(bench: Bench) -> None:
    place = TopicPartition(bench.topic(), 0)
    bench.producer().send(numbered(place.topic, 10)).wait(10)
    passed = [0.0]
    layout = Layout(bench.bus, {}, lambda: passed[0])
    layout.check([place])
    passed[0] += LOOK_SECONDS
    layout.look(lambda: {place: 10})
    layout.look(lambda: {place: 11})  # it has looked just now
    passed[0] += LOOK_SECONDS
    with pytest.raises(PositionLost, match=r"was read up to 11, but ends at 10"):
        layout.look(lambda: {place: 11})
    bench.truncate(place, 6)
    with pytest.raises(PositionLost, match=r"was read up to 5, but begins at 6 now"):
        layout.look(lambda: {place: 5})


# ------------------------------------------------------------------------------------------------------- readers


def test_a_reader_passes_over_what_nobody_sees(bench: Bench) -> None:
    topic = bench.topic()
    place = TopicPartition(topic, 0)
    bench.producer().send(numbered(topic, 5)).wait(10)
    bench.transaction([Message(topic, b"k", b"5"), Message(topic, b"k", b"6")], outcome="commit")
    bench.transaction([Message(topic, b"k", b"never")] * 3, outcome="abort")
    with closing(bench.bus.reader()) as reader:
        first, following = reader.read(place, 3, 3)
        assert (values(first), following) == ([3, 4, 5], 6)
        found = list(first)
        while following < bench.bus.end_offsets([place])[place]:
            records, following = reader.read(place, following, 100)
            found += records
        assert values(found) == [3, 4, 5, 6]
        assert reader.read(place, following, 100) == ([], following)


def test_a_reader_is_told_where_the_log_does_not_reach(bench: Bench) -> None:
    place = TopicPartition(bench.topic(), 0)
    bench.producer().send(numbered(place.topic, 10)).wait(10)
    bench.truncate(place, 6)
    with closing(bench.bus.reader()) as reader:
        with pytest.raises(PositionLost, match=r"was read up to 5, but begins at 6 now"):
            reader.read(place, 5, 10)
        with pytest.raises(PositionLost, match=r"was read up to 11, but ends at 10"):
            reader.read(place, 11, 10)
        assert values(reader.read(place, 8, 10)[0]) == [8, 9]


def test_a_reader_is_given_what_a_topic_has_grown_by(bench: Bench, reading: Reading, eventually: Eventually) -> None:
    topic = bench.topic(2)
    bench.producer().send(numbered(topic, 10)).wait(10)
    first = reading([topic])
    eventually(lambda: len(first.records) == 10, doing=first.poll)
    first.consumer.close()
    bench.grow(topic, 4)
    eventually(lambda: bench.bus.partitions(topic) == 4)
    second = reading([topic])
    eventually(lambda: len(second.consumer.positions()) == 4, doing=second.poll)


def test_a_scan_has_every_record_of_some_logs_from_an_offset_on(bench: Bench) -> None:
    topic = bench.topic(3)
    for number in range(3):
        bench.producer().send([Message(topic, None, b"%d" % n, partition=number) for n in range(20)]).wait(10)
    bench.transaction([Message(topic, None, b"never", partition=0)], outcome="abort")
    bench.truncate(TopicPartition(topic, 2), 15)
    begins = {TopicPartition(topic, 0): 18, TopicPartition(topic, 1): 20, TopicPartition(topic, 2): 3}
    found = [record for piece in bench.bus.scan(begins) for record in piece]
    by_place = {place: values([record for record in found if record.place == place]) for place in begins}
    assert by_place == dict(zip(begins, ([18, 19], [], [15, 16, 17, 18, 19]), strict=True))
    assert list(bench.bus.scan({})) == []
