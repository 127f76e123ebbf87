"""librdkafka (confluent-kafka): produce, consume, groups and the admin calls, on either broker."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually, unique


def produce(
    bootstrap: str, records: Sequence[Mapping[str, Any]], **settings: object
) -> list[Message]:
    """Send all, wait for every acknowledgement, return the reports in order of delivery."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5} | settings)
    delivered: list[Message] = []

    def report(error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        delivered.append(message)

    for record in records:
        producer.produce(on_delivery=report, **record)
    assert producer.flush(PATIENCE_S) == 0
    return delivered


def consumer_of(bootstrap: str, **settings: object) -> Consumer:
    defaults = {
        "bootstrap.servers": bootstrap,
        "group.id": unique("group"),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 10_000,
        "heartbeat.interval.ms": 200,
        "fetch.wait.max.ms": 50,
    }
    return Consumer(defaults | {key.replace("_", "."): value for key, value in settings.items()})


def poll_values(consumer: Consumer) -> list[bytes | None]:
    values: list[bytes | None] = []
    for message in consumer.consume(500, timeout=0.1):
        error = message.error()
        if error is None:
            values.append(message.value())
        else:
            assert error.retriable() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART, error
    return values


def read_all(bootstrap: str, topic: str, count: int, **settings: object) -> list[Message]:
    """The first `count` messages of partition 0, in order."""
    consumer = consumer_of(bootstrap, **settings)
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages: list[Message] = []

    def enough() -> bool:
        messages.extend(consumer.consume(500, timeout=0.1))
        assert all(message.error() is None for message in messages)
        return len(messages) >= count

    eventually(enough, f"{count} messages of {topic}")
    consumer.close()
    assert len(messages) == count
    return messages


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("idempotence", ["false", "true"], ids=["plain", "idempotent"])
def test_what_is_sent_is_read_in_order(target: Broker, compression: str, idempotence: str) -> None:
    topic = create_topic(target.bootstrap, unique("round"))
    sent = [b"%06d" % n * 20 for n in range(2000)]
    settings = {"compression.type": compression, "enable.idempotence": idempotence, "acks": "all"}
    reports = produce(
        target.bootstrap, [{"topic": topic, "value": value} for value in sent], **settings
    )
    assert [report.offset() for report in reports] == list(range(2000))
    messages = read_all(target.bootstrap, topic, 2000, check_crcs=True)
    assert [message.value() for message in messages] == sent
    assert [message.offset() for message in messages] == list(range(2000))


def test_keys_headers_timestamps_and_nulls_come_back(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("fields"))
    headers = [("trace", b"\x00\xff"), ("twice", b"1"), ("twice", b"2"), ("none", None)]
    produce(
        target.bootstrap,
        [
            {"topic": topic, "key": b"k", "value": None, "timestamp": 1_500_000_000_123},
            {"topic": topic, "value": b"", "headers": headers, "timestamp": 1_500_000_000_124},
        ],
    )
    first, second = read_all(target.bootstrap, topic, 2)
    assert (first.key(), first.value(), first.headers()) == (b"k", None, None)
    assert first.timestamp()[1] == 1_500_000_000_123
    assert (second.key(), second.value()) == (None, b"")
    assert second.headers() == headers


def test_log_append_time_replaces_the_timestamp(target: Broker) -> None:
    config = {"message.timestamp.type": "LogAppendTime"}
    topic = create_topic(target.bootstrap, unique("appendtime"), config=config)
    produce(target.bootstrap, [{"topic": topic, "value": b"v", "timestamp": 1_500_000_000_000}])
    (message,) = read_all(target.bootstrap, topic, 1)
    kind, stamp = message.timestamp()
    assert kind == 2, "TIMESTAMP_LOG_APPEND_TIME"
    assert stamp > 1_600_000_000_000


def test_offsets_for_times_finds_the_first_record_not_older(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("times"))
    for batch in range(5):
        stamps = [1_600_000_000_000 + batch * 100 + n for n in range(10)]
        produce(target.bootstrap, [{"topic": topic, "value": b"v", "timestamp": t} for t in stamps])
    consumer = consumer_of(target.bootstrap)

    def offset_at(timestamp_ms: int) -> int:
        asked = [TopicPartition(topic, 0, timestamp_ms)]
        (found,) = consumer.offsets_for_times(asked, timeout=PATIENCE_S)
        assert found.error is None
        return found.offset

    base = 1_600_000_000_000
    assert offset_at(base - 50) == 0
    assert offset_at(base + 7) == 7
    assert offset_at(base + 50) == 10, "between two batches: the first of the next"
    assert offset_at(base + 409) == 49
    assert offset_at(base + 410) == -1, "nothing so young: the end"
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE_S) == (0, 50)
    consumer.close()


def test_a_fetch_from_the_middle_of_a_batch_starts_at_that_offset(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("middle"))
    produce(target.bootstrap, [{"topic": topic, "value": b"%d" % n} for n in range(100)])
    consumer = consumer_of(target.bootstrap)
    consumer.assign([TopicPartition(topic, 0, 42)])
    message = eventually(lambda: consumer.poll(0.2), "a message")
    assert (message.offset(), message.value()) == (42, b"42")
    consumer.close()


def test_a_message_above_the_topic_limit_is_refused_and_the_rest_is_kept(target: Broker) -> None:
    config = {"max.message.bytes": "20000"}
    topic = create_topic(target.bootstrap, unique("large"), config=config)
    codes: list[int] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        codes.append(0 if error is None else error.code())

    producer = Producer({"bootstrap.servers": target.bootstrap, "linger.ms": 0})
    for size in (19_000, 30_000, 100):
        producer.produce(topic, b"x" * size, on_delivery=report)
        assert producer.flush(PATIENCE_S) == 0
    assert codes == [0, KafkaError.MSG_SIZE_TOO_LARGE, 0]
    assert [len(m.value() or b"") for m in read_all(target.bootstrap, topic, 2)] == [19_000, 100]


def test_a_message_near_the_default_limit_passes(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("million"))
    value = bytes(range(256)) * 3900
    produce(target.bootstrap, [{"topic": topic, "value": value}] * 3)
    messages = read_all(target.bootstrap, topic, 3, fetch_message_max_bytes=1000)
    assert [message.value() for message in messages] == [value] * 3, "one batch, however large"


def test_a_topic_is_created_by_the_first_produce(target: Broker) -> None:
    topic = unique("auto")
    produce(target.bootstrap, [{"topic": topic, "value": b"first"}])
    assert [message.value() for message in read_all(target.bootstrap, topic, 1)] == [b"first"]


def test_topics_are_created_described_and_deleted(target: Broker) -> None:
    admin = AdminClient({"bootstrap.servers": target.bootstrap, "log_level": 0})
    config = {"retention.ms": "3600000"}
    topic = create_topic(target.bootstrap, unique("admin"), partitions=3, config=config)

    def partitions() -> int:
        return len(admin.list_topics(timeout=PATIENCE_S).topics[topic].partitions)

    assert eventually(partitions, "the topic in the metadata") == 3
    with pytest.raises(KafkaException) as refused:
        create_topic(target.bootstrap, topic)
    assert refused.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    for deleted in admin.delete_topics([topic], operation_timeout=PATIENCE_S).values():
        deleted.result(PATIENCE_S)
    eventually(lambda: topic not in admin.list_topics(timeout=PATIENCE_S).topics, "topic is gone")


@pytest.mark.parametrize(
    ("name", "partitions", "replicas", "config", "code"),
    [
        ("bad/name", 1, 1, {}, KafkaError.TOPIC_EXCEPTION),
        (None, 0, 1, {}, KafkaError.INVALID_PARTITIONS),
        (None, 1, 3, {}, KafkaError.INVALID_REPLICATION_FACTOR),
        (None, 1, 1, {"retention.ms": "soon"}, KafkaError.INVALID_CONFIG),
        (None, 1, 1, {"no.such.config": "1"}, KafkaError.INVALID_CONFIG),
    ],
)
def test_a_topic_that_cannot_be_is_refused(
    target: Broker,
    name: str | None,
    partitions: int,
    replicas: int,
    config: dict[str, str],
    code: int,
) -> None:
    topic = NewTopic(
        name or unique("bad"),
        num_partitions=partitions,
        replication_factor=replicas,
        config=config,
    )
    admin = AdminClient({"bootstrap.servers": target.bootstrap, "log_level": 0})
    (created,) = admin.create_topics([topic]).values()
    with pytest.raises(KafkaException) as refused:
        created.result(PATIENCE_S)
    assert refused.value.args[0].code() == code


class Member:
    """A group member whose polls are driven by the test, so that two can live in one thread."""

    def __init__(self, bootstrap: str, topic: str, group: str, **settings: object) -> None:
        self.consumer = consumer_of(bootstrap, group_id=group, **settings)
        self.values: list[bytes | None] = []
        self.rebalances = 0
        self.consumer.subscribe([topic], on_assign=self._assigned)

    def _assigned(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self.rebalances += 1

    def poll(self) -> None:
        self.values += poll_values(self.consumer)

    @property
    def partitions(self) -> set[int]:
        return {assigned.partition for assigned in self.consumer.assignment()}


def poll_until_shared(members: Sequence[Member], partitions: int) -> None:
    """Poll all members until they own every partition and each has its fair part."""
    fair = partitions // len(members)

    def shared() -> bool:
        for member in members:
            member.poll()
        return all(len(member.partitions) == fair for member in members)

    eventually(shared, f"{len(members)} members own {fair} of {partitions} partitions each")


def fill(bootstrap: str, topic: str, partitions: int, values: range) -> None:
    produce(
        bootstrap,
        [{"topic": topic, "value": b"%d" % n, "partition": n % partitions} for n in values],
    )


def drain(members: Sequence[Member], count: int) -> None:
    def enough() -> bool:
        for member in members:
            member.poll()
        return sum(len(member.values) for member in members) >= count

    eventually(enough, f"{count} messages among {len(members)} members")


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_two_members_share_a_topic_and_a_third_goes_on_from_the_commit(
    target: Broker, strategy: str
) -> None:
    topic = create_topic(target.bootstrap, unique("group"), partitions=4)
    group = unique("g")
    how = {"partition_assignment_strategy": strategy}
    first = Member(target.bootstrap, topic, group, **how)
    poll_until_shared([first], 4)
    second = Member(target.bootstrap, topic, group, **how)
    poll_until_shared([first, second], 4)
    fill(target.bootstrap, topic, 4, range(400))
    drain([first, second], 400)
    assert sorted(int(v or b"") for v in first.values + second.values) == list(range(400))
    for member in (first, second):
        member.consumer.commit(asynchronous=False)
        member.consumer.close()
    fill(target.bootstrap, topic, 4, range(400, 500))
    third = Member(target.bootstrap, topic, group, **how)
    drain([third], 100)
    assert sorted(int(v or b"") for v in third.values) == list(range(400, 500))
    third.consumer.close()


def test_a_member_that_leaves_hands_over_its_partitions(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("leave"), partitions=2)
    group = unique("g")
    members = [Member(target.bootstrap, topic, group) for _ in range(2)]
    poll_until_shared(members, 2)
    members[0].consumer.close()
    poll_until_shared(members[1:], 2)
    members[1].consumer.close()


def test_a_static_member_that_comes_back_does_not_disturb_the_group(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("static"), partitions=2)
    group = unique("g")
    stays = Member(target.bootstrap, topic, group, group_instance_id="stays")
    leaves = Member(target.bootstrap, topic, group, group_instance_id="leaves")
    poll_until_shared([stays, leaves], 2)
    had, rebalances = leaves.partitions, stays.rebalances
    leaves.consumer.close()  # a static member does not leave the group by closing
    back = Member(target.bootstrap, topic, group, group_instance_id="leaves")
    poll_until_shared([stays, back], 2)
    assert back.partitions == had
    assert stays.rebalances == rebalances
    for member in (stays, back):
        member.consumer.close()


def test_committed_offsets_and_metadata_come_back(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("meta"), partitions=2)
    group = unique("g")
    consumer = consumer_of(target.bootstrap, group_id=group)
    sent = [TopicPartition(topic, 0, 7, metadata='{"v":1,"é":"ü"}')]
    consumer.commit(offsets=sent, asynchronous=False)
    asked = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    found = consumer.committed(asked, timeout=PATIENCE_S)
    assert [(entry.offset, entry.metadata) for entry in found] == [
        (7, '{"v":1,"é":"ü"}'),
        (-1001, None),
    ]
    consumer.close()


def test_an_idle_consumer_is_woken_by_the_next_record(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("wake"))
    consumer = consumer_of(target.bootstrap, fetch_wait_max_ms=30_000, socket_timeout_ms=60_000)
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert consumer.poll(1.0) is None, "nothing there yet: the fetch waits"
    produce(target.bootstrap, [{"topic": topic, "value": b"now"}])
    message = consumer.poll(25.0)
    assert message is not None, "woken by the record, not by the 30 s"
    assert message.value() == b"now"
    consumer.close()
