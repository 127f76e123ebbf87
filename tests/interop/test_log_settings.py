"""What topic settings do to produced batches, on ours and on Apache Kafka, byte by byte."""

import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from tests.interop import raw
from tests.interop.harness import PATIENCE_S, Broker, create_topic, unique
from tests.interop.raw import PRODUCE, Batch, connected

INVALID_TIMESTAMP = 32
INVALID_RECORD = 87
CODECS = {"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def refused(target: Broker, topic: str, batch: Batch) -> tuple[int, list[tuple[int, str]], str]:
    """Error, record errors and message of a Produce 8 for one partition."""
    body = raw.produce_body(topic, batch.encoded())
    with connected(target) as connection:
        reader = connection.ask(PRODUCE, 8, body)
    assert (reader.i32(), reader.string(), reader.i32(), reader.i32()) == (1, topic, 1, 0)
    error = reader.i16()
    for _ in range(3):
        reader.i64()
    errors = [(reader.i32(), reader.string() or "") for _ in range(reader.i32())]
    return error, errors, reader.string() or ""


def made(target: Broker, **config: str) -> str:
    settings = {key.replace("_", "."): value for key, value in config.items()}
    name = create_topic(target.bootstrap, unique("settings"), config=settings)
    raw.await_leader(target, name)
    return name


def test_records_without_a_key_are_named_on_a_compacted_topic(target: Broker) -> None:
    topic = made(target, cleanup_policy="compact")
    error, errors, message = refused(target, topic, Batch(values=[b"a", b"b"], key=None))
    text = f"Compacted topic cannot accept message without key in topic partition {topic}-0"
    assert (error, errors) == (INVALID_RECORD, [(0, text), (1, text)])
    assert message.startswith("One or more records have been rejected due to 2 record errors")


def test_records_from_the_future_and_the_past_are_named(target: Broker) -> None:
    topic = made(target, message_timestamp_before_max_ms="60000")
    now = time.time_ns() // 1_000_000
    for timestamp in (now + 2 * 3_600_000, now - 120_000):
        error, errors, message = refused(
            target, topic, Batch(values=[b"a", b"b"], timestamp=timestamp)
        )
        assert error == INVALID_TIMESTAMP
        assert [place for place, _ in errors] == [0, 1]
        for offset, (_, text) in enumerate(errors):
            assert text.startswith(
                f"Timestamp {timestamp} of message with offset {offset} is out of range. "
                "The timestamp should be within ["
            )
        assert message == "One or more records have been rejected due to invalid timestamp"


@pytest.mark.parametrize("acks", [1, -1])
def test_one_node_is_enough_whatever_min_insync_replicas_says(target: Broker, acks: int) -> None:
    topic = made(target, min_insync_replicas="2")
    with connected(target) as connection:
        assert raw.produce(connection, topic, Batch(), acks=acks) == raw.Produced(0, 0)


@pytest.mark.parametrize("codec", CODECS)
def test_batches_are_stored_in_the_topics_codec_and_read_back(target: Broker, codec: str) -> None:
    topic = made(target, compression_type=codec)
    values = [b"value-%d" % n * 10 for n in range(100)]
    for sent in ("none", "gzip", "zstd"):
        producer = Producer({
            "bootstrap.servers": target.bootstrap, "enable.idempotence": True,
            "compression.type": sent, "linger.ms": 50,
        })  # fmt: skip
        for value in values:
            producer.produce(topic, value)
        assert producer.flush(PATIENCE_S) == 0
    with connected(target) as connection:
        records = raw.fetch(connection, topic, 0, max_bytes=1 << 20).records
    assert records[22] & 7 == CODECS[codec]
    consumer = Consumer({"bootstrap.servers": target.bootstrap, "group.id": "none"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = consumer.consume(len(values) * 3, PATIENCE_S)
    consumer.close()
    assert [message.value() for message in found] == values * 3
