"""kafka-python: produce, consume, groups and the admin calls, on either broker."""

import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import pytest

with warnings.catch_warnings():
    # kafka-python reads its schemas by a deprecated function, here and whenever it needs another
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError
    from kafka.structs import OffsetAndMetadata
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually, unique

pytestmark = pytest.mark.filterwarnings("ignore:read_text is deprecated:DeprecationWarning")


def produce(bootstrap: str, topic: str, values: Sequence[bytes], **settings: object) -> list[Any]:
    producer = KafkaProducer(bootstrap_servers=bootstrap, **settings)
    try:
        sent = [producer.send(topic, value=value) for value in values]
        return [future.get(timeout=PATIENCE_S) for future in sent]
    finally:
        producer.close(timeout=PATIENCE_S)


def consumer_of(bootstrap: str, **settings: object) -> KafkaConsumer:
    defaults = {
        "bootstrap_servers": bootstrap,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "heartbeat_interval_ms": 200,
        "session_timeout_ms": 10_000,
        "fetch_max_wait_ms": 50,
    }
    return KafkaConsumer(**(defaults | settings))


def read_all(bootstrap: str, topic: str, count: int) -> list[Any]:
    consumer = consumer_of(bootstrap)
    consumer.assign([TopicPartition(topic, 0)])
    records: list[Any] = []

    def enough() -> bool:
        for batch in consumer.poll(timeout_ms=100).values():
            records.extend(batch)
        return len(records) >= count

    eventually(enough, f"{count} records of {topic}")
    consumer.close()
    assert len(records) == count
    return records


@pytest.mark.parametrize("idempotence", ["plain", "idempotent"])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_what_is_sent_is_read_in_order(
    target: Broker, compression: str | None, idempotence: str
) -> None:
    topic = create_topic(target.bootstrap, unique("kp-round"))
    sent = [b"%06d" % n * 20 for n in range(1000)]
    how = {"enable_idempotence": idempotence == "idempotent", "linger_ms": 5}
    reports = produce(target.bootstrap, topic, sent, compression_type=compression, **how)
    assert [report.offset for report in reports] == list(range(1000))
    assert [record.value for record in read_all(target.bootstrap, topic, 1000)] == sent


def test_keys_headers_timestamps_and_nulls_come_back(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("kp-fields"))
    producer = KafkaProducer(bootstrap_servers=target.bootstrap)
    headers = [("trace", b"\x00\xff"), ("trace", b"")]
    producer.send(topic, key=b"k", value=None, headers=headers, timestamp_ms=1_500_000_000_123)
    producer.send(topic, value=b"v")
    producer.flush(timeout=PATIENCE_S)
    producer.close()
    first, second = read_all(target.bootstrap, topic, 2)
    assert (first.key, first.value, first.timestamp) == (b"k", None, 1_500_000_000_123)
    assert [tuple(header) for header in first.headers] == headers
    assert (second.key, second.value) == (None, b"v")


def test_offsets_by_time_beginning_and_end(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("kp-times"))
    producer = KafkaProducer(bootstrap_servers=target.bootstrap)
    for n in range(20):
        producer.send(topic, value=b"v", timestamp_ms=1_600_000_000_000 + 10 * n)
        producer.flush(timeout=PATIENCE_S)
    producer.close()
    consumer = consumer_of(target.bootstrap)
    part = TopicPartition(topic, 0)
    found = consumer.offsets_for_times({part: 1_600_000_000_031})[part]
    assert (found.offset, found.timestamp) == (4, 1_600_000_000_040)
    assert consumer.offsets_for_times({part: 1_700_000_000_000}) == {part: None}
    assert consumer.beginning_offsets([part]) == {part: 0}
    assert consumer.end_offsets([part]) == {part: 20}
    consumer.close()


def test_a_message_above_the_topic_limit_is_refused(target: Broker) -> None:
    config = {"max.message.bytes": "20000"}
    topic = create_topic(target.bootstrap, unique("kp-large"), config=config)
    with pytest.raises(MessageSizeTooLargeError):
        produce(target.bootstrap, topic, [b"x" * 30_000], enable_idempotence=False)
    produce(target.bootstrap, topic, [b"fits"])
    assert [record.value for record in read_all(target.bootstrap, topic, 1)] == [b"fits"]


def test_a_topic_is_created_by_the_first_produce(target: Broker) -> None:
    topic = unique("kp-auto")
    produce(target.bootstrap, topic, [b"first"])
    assert [record.value for record in read_all(target.bootstrap, topic, 1)] == [b"first"]


def test_topics_are_created_described_and_deleted(target: Broker) -> None:
    admin = KafkaAdminClient(bootstrap_servers=target.bootstrap)
    topic = unique("kp-admin")
    new = {topic: {"num_partitions": 2, "replication_factor": 1}}
    admin.create_topics(new, wait_for_metadata=True)
    (described,) = admin.describe_topics([topic])
    assert len(described["partitions"]) == 2
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics(new)
    admin.delete_topics([topic])
    eventually(lambda: topic not in admin.list_topics(), "the topic is gone")
    admin.close()


class Member:
    """A group member that polls in a thread of its own.

    Driven by turns in one thread, kafka-python 3.0 now and then abandons a join that outlasts a
    short poll and never asks again, on Apache Kafka as well.
    """

    def __init__(self, bootstrap: str, topic: str, group: str, **settings: object) -> None:
        self.consumer = consumer_of(bootstrap, group_id=group, **settings)
        self.consumer.subscribe([topic])
        self.values: list[bytes] = []
        self.partitions = 0
        self._done = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._polling = self._pool.submit(self._poll)

    def _poll(self) -> None:
        while not self._done.is_set():
            try:
                polled = self.consumer.poll(timeout_ms=300)
            except KafkaError as error:
                if not error.retriable:
                    raise
            else:
                self.values += [record.value for batch in polled.values() for record in batch]
            self.partitions = len(self.consumer.assignment())
        self.consumer.commit()
        self.consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Commit, leave, and raise what went wrong in the thread."""
        self._done.set()
        self._polling.result(PATIENCE_S)
        self._pool.shutdown()


def await_shares(members: Sequence[Member], partitions: int) -> None:
    fair = partitions // len(members)
    eventually(
        lambda: all(member.partitions == fair for member in members),
        f"{len(members)} members own {fair} of {partitions} partitions each",
    )


def await_values(members: Sequence[Member], values: range) -> None:
    eventually(
        lambda: sum(len(member.values) for member in members) >= len(values),
        f"{len(values)} messages among {len(members)} members",
    )
    assert sorted(int(value) for member in members for value in member.values) == list(values)


@pytest.mark.parametrize("static", ["dynamic", "static"])
def test_two_members_share_a_topic_and_a_third_goes_on_from_the_commit(
    target: Broker, static: str
) -> None:
    topic = create_topic(target.bootstrap, unique("kp-group"), partitions=4)
    group = unique("kp")

    def member(name: str) -> Member:
        how = {"group_instance_id": name} if static == "static" else {}
        return Member(target.bootstrap, topic, group, **how)

    with member("first") as first:
        await_shares([first], 4)
        with member("second") as second:
            await_shares([first, second], 4)
            produce(target.bootstrap, topic, [b"%d" % n for n in range(200)])
            await_values([first, second], range(200))
    produce(target.bootstrap, topic, [b"%d" % n for n in range(200, 300)])
    with member("first") as first, member("second") as second:
        await_values([first, second], range(200, 300))


def test_committed_metadata_comes_back(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("kp-meta"))
    part = TopicPartition(topic, 0)
    consumer = consumer_of(target.bootstrap, group_id=unique("kp"))
    consumer.assign([part])
    consumer.commit({part: OffsetAndMetadata(3, "note", -1)})
    found = consumer.committed(part, metadata=True)
    assert (found.offset, found.metadata) == (3, "note")
    consumer.close()
