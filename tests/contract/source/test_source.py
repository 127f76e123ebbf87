"""What a Source promises: the fake of the crash tests and librdkafka on a real broker alike."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from confluent_kafka import Producer
from tests.crash.fake_topic import FakeCluster, FakeSource
from tests.interop.harness import PATIENCE_S, Tickertape, create_topic, unique

from tickertape.base.errors import StorageError
from tickertape.base.fakes import FakeClock
from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.runtime.consumer_config import consumer_config, subscription
from tickertape.connect.runtime.kafka_source import KafkaSource
from tickertape.connect.runtime.source import Committed, Source
from tickertape.connect.s3.commit import CommitOutcome
from tickertape.connect.s3.settings import SinkSettings


class Place(ABC):
    """A topic of two partitions, and members of one group that reads it."""

    topic: str

    @abstractmethod
    def produce(self, partition: int, *values: bytes | None) -> None: ...

    @abstractmethod
    def source(self, *, with_timestamps: bool = True) -> Source: ...

    def tp(self, partition: int) -> TopicPartition:
        return TopicPartition(TopicName(self.topic), PartitionIndex(partition))


class FakePlace(Place):
    topic = "ticks"

    def __init__(self) -> None:
        self.cluster = FakeCluster(FakeClock(), partitions=2)

    def produce(self, partition: int, *values: bytes | None) -> None:
        for value in values:
            self.cluster.produce(value, partition, timestamp=1_000 + self.cluster.end(partition))

    def source(self, *, with_timestamps: bool = True) -> Source:
        return FakeSource(self.cluster, with_timestamps=with_timestamps)


class KafkaPlace(Place):
    def __init__(self, broker: Tickertape) -> None:
        self.broker = broker
        self.topic = create_topic(broker.bootstrap, unique("ticks"), partitions=2)
        self.produced = [0, 0]

    def produce(self, partition: int, *values: bytes | None) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap})
        for value in values:
            timestamp = 1_000 + self.produced[partition]
            producer.produce(self.topic, value, partition=partition, timestamp=timestamp)
            self.produced[partition] += 1
        assert producer.flush(PATIENCE_S) == 0

    def source(self, *, with_timestamps: bool = True) -> Source:
        consumer = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "200"}
        settings = SinkSettings(
            name=self.topic,
            topics=(self.topic,),
            flush_size=1,
            bootstrap_servers=self.broker.bootstrap,
            consumer=consumer,
        )
        config = consumer_config(settings, 0).librdkafka
        return KafkaSource(
            config, [self.topic], with_timestamps=with_timestamps, note=lambda _: None
        )


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tickertape]:
    broker = Tickertape(tmp_path_factory.mktemp("broker"))
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


@pytest.fixture(params=["fake", "kafka"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "fake":
        return FakePlace()
    return KafkaPlace(request.getfixturevalue("broker"))


class Reader:
    """A member, what it was told and what it read."""

    def __init__(self, place: Place, *, with_timestamps: bool = True) -> None:
        self.source = place.source(with_timestamps=with_timestamps)
        self.starts: Mapping[TopicPartition, int] = {}
        self.refusal: StorageError | None = None
        self.mine: set[TopicPartition] = set()
        self.told: set[str] = set()  # topics that were ever ours
        self.revoked_times = 0
        self.read: dict[TopicPartition, list[tuple[int, int, bytes | None]]] = {}
        self.ends: dict[TopicPartition, int] = {}
        self.source.open(self)

    def assigned(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        if self.refusal is not None:
            raise self.refusal
        self.mine = set(tps)
        self.told |= {tp.topic for tp in tps}
        return {tp: self.starts.get(tp, 0) for tp in tps}

    def revoked(self, tps: Sequence[TopicPartition]) -> None:
        self.mine -= set(tps)
        self.revoked_times += 1

    def poll(self, records_max: int = 100) -> None:
        for arrival in self.source.poll(records_max, 100):
            assert arrival.tp in self.mine
            if arrival.end is not None:
                self.ends[arrival.tp] = arrival.end
            if arrival.chunk is not None:
                chunk = arrival.chunk
                rows = zip(chunk.offsets, chunk.timestamps, chunk.values, strict=True)
                self.read.setdefault(arrival.tp, []).extend(rows)

    def until(self, reached: Callable[[], bool]) -> None:
        for _ in range(int(PATIENCE_S * 10)):
            if reached():
                return
            self.poll()
        raise AssertionError(f"never: read {self.read}, ends {self.ends}, mine {self.mine}")


@pytest.fixture
def reader(place: Place) -> Iterator[Reader]:
    reader = Reader(place)
    yield reader
    reader.source.close()


def test_records_come_in_order_with_all_they_have(place: Place, reader: Reader) -> None:
    place.produce(0, b"a", None, b"c")
    place.produce(1, b"x")
    first, second = place.tp(0), place.tp(1)
    reader.until(lambda: len(reader.read.get(first, ())) == 3 and second in reader.read)
    assert reader.read == {
        first: [(0, 1000, b"a"), (1, 1001, None), (2, 1002, b"c")],
        second: [(0, 1000, b"x")],
    }


def test_the_end_is_told_after_the_last_record_and_again_after_more(
    place: Place, reader: Reader
) -> None:
    place.produce(0, b"a", b"b")
    tp = place.tp(0)
    reader.until(lambda: reader.ends.get(tp) == 2)
    assert len(reader.read[tp]) == 2
    place.produce(0, b"c")
    reader.until(lambda: reader.ends.get(tp) == 3)
    assert len(reader.read[tp]) == 3


def test_reading_begins_where_the_assignee_says(place: Place, reader: Reader) -> None:
    place.produce(0, b"a", b"b", b"c")
    tp = place.tp(0)
    reader.starts = {tp: 2}
    reader.until(lambda: tp in reader.read)
    assert [row[0] for row in reader.read[tp]] == [2]


def test_timestamps_can_be_kept_of_one_partition(place: Place) -> None:
    place.produce(0, b"a", b"b")
    place.produce(1, b"x")
    stamps: dict[TopicPartition, Sequence[int]] = {}

    class OfOne(Reader):
        def assigned(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
            self.source.keep_timestamps(place.tp(0))
            return super().assigned(tps)

        def poll(self, records_max: int = 100) -> None:
            for arrival in self.source.poll(records_max, 100):
                if arrival.chunk is not None:
                    known = stamps.get(arrival.tp, ())
                    stamps[arrival.tp] = [*known, *arrival.chunk.timestamps]

    reader = OfOne(place, with_timestamps=False)
    reader.until(lambda: len(stamps) == 2 and len(stamps[place.tp(0)]) == 2)
    assert stamps == {place.tp(0): [1000, 1001], place.tp(1): []}
    reader.source.close()


def test_an_assignee_that_cannot_begin_ends_the_poll(place: Place, reader: Reader) -> None:
    reader.refusal = StorageError("a damaged manifest")
    with pytest.raises(StorageError, match="a damaged manifest"):
        reader.until(lambda: False)


def test_commits_keep_offset_and_metadata(place: Place, reader: Reader) -> None:
    tp, other = place.tp(0), place.tp(1)
    reader.until(lambda: tp in reader.mine)
    assert reader.source.committed([tp, other]) == {tp: Committed(None), other: Committed(None)}
    metadata = '{"v":1,"end":7,"paths":{"2019-06-28":[3]}}'
    assert reader.source.commit(tp, 3, metadata) is CommitOutcome.DONE
    assert reader.source.committed([tp]) == {tp: Committed(3, metadata)}
    assert reader.source.commit(tp, 8, "") is CommitOutcome.DONE
    assert reader.source.committed([tp, other]) == {tp: Committed(8), other: Committed(None)}


def test_metadata_that_the_broker_refuses_is_an_outcome(place: Place, reader: Reader) -> None:
    tp = place.tp(0)
    reader.until(lambda: tp in reader.mine)
    long = "x" * 4095  # confluent-kafka sends one byte more than this
    assert reader.source.commit(tp, 0, long) is CommitOutcome.DONE
    assert reader.source.commit(tp, 0, "x" * 4097) is CommitOutcome.TOO_LONG
    assert reader.source.committed([tp]) == {tp: Committed(0, long)}


def test_without_an_assignment_nothing_can_be_committed(place: Place) -> None:
    reader = Reader(place)
    assert reader.source.commit(place.tp(0), 3, "") is CommitOutcome.FENCED
    reader.source.close()


def test_who_lost_a_partition_to_another_member_is_fenced(place: Place, reader: Reader) -> None:
    reader.until(lambda: len(reader.mine) == 2)
    other = Reader(place)

    def both_have_one() -> bool:
        other.poll()
        return len(reader.mine) == len(other.mine) == 1

    reader.until(both_have_one)
    assert reader.revoked_times == 1
    (kept,), (lost,) = reader.mine, other.mine
    assert reader.source.commit(kept, 1, "") is CommitOutcome.DONE
    assert other.source.commit(lost, 2, "") is CommitOutcome.DONE
    other.source.close()
    assert other.mine in (set(), {lost})
    reader.until(lambda: len(reader.mine) == 2)
    assert reader.source.committed([kept, lost]) == {kept: Committed(1), lost: Committed(2)}


def test_a_paused_partition_brings_nothing_until_it_is_resumed(
    place: Place, reader: Reader
) -> None:
    first, second = place.tp(0), place.tp(1)
    place.produce(0, b"a")
    reader.until(lambda: first in reader.read)
    reader.source.pause(first)
    place.produce(0, b"b")
    place.produce(1, b"x")
    reader.until(lambda: second in reader.read)
    reader.poll()
    assert len(reader.read[first]) == 1
    reader.source.resume(first)
    reader.until(lambda: len(reader.read[first]) == 2)


def test_pausing_amid_records_that_were_fetched_ahead_loses_none(
    place: Place, reader: Reader
) -> None:
    tp = place.tp(0)
    place.produce(0, *(b"%d" % number for number in range(3_000)))
    for _ in range(20):
        reader.poll(records_max=70)
        if tp in reader.mine:
            reader.source.pause(tp)
            reader.source.resume(tp)
    reader.until(lambda: len(reader.read.get(tp, ())) >= 3_000)
    assert [row[0] for row in reader.read[tp]] == list(range(3_000))


def test_a_pattern_is_of_whole_names_and_leaves_internal_topics_out(broker: Tickertape) -> None:
    stem = unique("pattern")
    a, b, _ = (create_topic(broker.bootstrap, stem + end) for end in ("-a", "-b", "-a-not"))
    settings = SinkSettings(
        name=stem,
        topics=(),
        topics_regex=f"{a}|__.*|{b}",
        flush_size=1,
        bootstrap_servers=broker.bootstrap,
    )
    config = consumer_config(settings, 0).librdkafka

    class ByPattern(KafkaPlace):
        def source(self, *, with_timestamps: bool = True) -> Source:
            topics = subscription(settings)
            return KafkaSource(config, topics, with_timestamps=False, note=lambda _: None)

    reader = Reader(ByPattern(broker))
    tp = TopicPartition(TopicName(a), PartitionIndex(0))
    reader.until(lambda: bool(reader.mine))
    assert reader.source.commit(tp, 0, "") is CommitOutcome.DONE  # now there are internal topics
    reader.source.close()
    again = Reader(ByPattern(broker))
    again.until(lambda: bool(again.mine))
    again.source.close()
    assert again.told == {a, b}


def test_bounds_are_log_start_and_high_watermark(place: Place, reader: Reader) -> None:
    place.produce(1, b"a", b"b")
    assert reader.source.bounds(place.tp(0)) == (0, 0)
    assert reader.source.bounds(place.tp(1)) == (0, 2)


def test_a_topic_keeps_its_id(place: Place, reader: Reader) -> None:
    found = reader.source.topic_id(place.topic)
    assert len(found) == 22
    assert reader.source.topic_id(place.topic) == found
    assert not set(found) & set("+/=")
