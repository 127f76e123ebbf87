"""aiokafka, which speaks only the old, non-flexible versions: on either broker."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError, TopicAlreadyExistsError
from aiokafka.structs import OffsetAndMetadata
from tests.interop.harness import PATIENCE_S, Broker, create_topic, unique


async def produce(
    bootstrap: str, topic: str, values: Sequence[bytes], **settings: object
) -> list[Any]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **settings)
    await producer.start()
    try:
        sent = [await producer.send(topic, value=value) for value in values]
        return [await future for future in sent]
    finally:
        await producer.stop()


async def consumer_of(bootstrap: str, *topics: str, **settings: object) -> AIOKafkaConsumer:
    defaults = {
        "bootstrap_servers": bootstrap,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "heartbeat_interval_ms": 200,
        "fetch_max_wait_ms": 50,
    }
    consumer = AIOKafkaConsumer(*topics, **(defaults | settings))
    await consumer.start()
    return consumer


async def read_all(bootstrap: str, topic: str, count: int) -> list[Any]:
    consumer = await consumer_of(bootstrap)
    consumer.assign([TopicPartition(topic, 0)])
    records: list[Any] = []
    try:
        while len(records) < count:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
    finally:
        await consumer.stop()
    assert len(records) == count
    return records


@pytest.mark.parametrize("idempotence", ["plain", "idempotent"])
@pytest.mark.parametrize("compression", [None, "gzip", "snappy", "lz4", "zstd"])
def test_what_is_sent_is_read_in_order(
    target: Broker, compression: str | None, idempotence: str
) -> None:
    topic = create_topic(target.bootstrap, unique("aio-round"))
    sent = [b"%06d" % n * 20 for n in range(1000)]

    async def scenario() -> None:
        how = {"enable_idempotence": idempotence == "idempotent", "acks": "all", "linger_ms": 5}
        how["compression_type"] = compression
        reports = await produce(target.bootstrap, topic, sent, **how)
        assert [report.offset for report in reports] == list(range(1000))
        assert [record.value for record in await read_all(target.bootstrap, topic, 1000)] == sent

    asyncio.run(scenario())


def test_keys_headers_timestamps_and_nulls_come_back(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("aio-fields"))

    async def scenario() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=target.bootstrap)
        await producer.start()
        headers = [("trace", b"\x00\xff"), ("trace", b"")]
        how = {"headers": headers, "timestamp_ms": 1_500_000_000_123}
        await producer.send_and_wait(topic, key=b"k", value=None, **how)
        await producer.send_and_wait(topic, value=b"v")
        await producer.stop()
        first, second = await read_all(target.bootstrap, topic, 2)
        assert (first.key, first.value, first.timestamp) == (b"k", None, 1_500_000_000_123)
        assert list(first.headers) == headers
        assert (second.key, second.value) == (None, b"v")

    asyncio.run(scenario())


def test_offsets_by_time_beginning_and_end(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("aio-times"))

    async def scenario() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=target.bootstrap)
        await producer.start()
        for n in range(20):
            await producer.send_and_wait(topic, b"v", timestamp_ms=1_600_000_000_000 + 10 * n)
        await producer.stop()
        consumer = await consumer_of(target.bootstrap)
        part = TopicPartition(topic, 0)
        found = (await consumer.offsets_for_times({part: 1_600_000_000_031}))[part]
        assert (found.offset, found.timestamp) == (4, 1_600_000_000_040)
        assert await consumer.beginning_offsets([part]) == {part: 0}
        assert await consumer.end_offsets([part]) == {part: 20}
        await consumer.stop()

    asyncio.run(scenario())


def test_a_message_above_the_topic_limit_is_refused(target: Broker) -> None:
    config = {"max.message.bytes": "20000"}
    topic = create_topic(target.bootstrap, unique("aio-large"), config=config)

    async def scenario() -> None:
        with pytest.raises(MessageSizeTooLargeError):
            await produce(target.bootstrap, topic, [b"x" * 30_000])
        await produce(target.bootstrap, topic, [b"fits"])
        assert [r.value for r in await read_all(target.bootstrap, topic, 1)] == [b"fits"]

    asyncio.run(scenario())


def test_topics_are_created_by_produce_and_by_the_admin_client(target: Broker) -> None:
    async def scenario() -> None:
        auto, made = unique("aio-auto"), unique("aio-admin")
        await produce(target.bootstrap, auto, [b"first"])
        admin = AIOKafkaAdminClient(bootstrap_servers=target.bootstrap)
        await admin.start()
        new = [NewTopic(name=made, num_partitions=2, replication_factor=1)]
        (created,) = (await admin.create_topics(new)).topic_errors
        assert tuple(created)[:2] == (made, 0)
        (again,) = (await admin.create_topics(new)).topic_errors
        assert tuple(again)[:2] == (made, TopicAlreadyExistsError.errno)
        assert {auto, made} <= set(await admin.list_topics())
        (deleted,) = (await admin.delete_topics([made])).topic_error_codes
        assert tuple(deleted)[:2] == (made, 0)
        async with asyncio.timeout(PATIENCE_S):
            while made in await admin.list_topics():
                pass
        await admin.close()

    asyncio.run(scenario())


async def drain(members: Sequence[Any], count: int) -> list[int]:
    values: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(values) < count:
            for member in members:
                for batch in (await member.getmany(timeout_ms=50)).values():
                    values += [int(record.value) for record in batch]
    return sorted(values)


async def shared(members: Sequence[Any], partitions: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while any(len(one.assignment()) != partitions // len(members) for one in members):
            for member in members:
                await member.getmany(timeout_ms=50)


@pytest.mark.parametrize("static", ["dynamic", "static"])
def test_two_members_share_a_topic_and_the_next_go_on_from_the_commit(
    target: Broker, static: str
) -> None:
    topic = create_topic(target.bootstrap, unique("aio-group"), partitions=4)
    group = unique("aio")

    async def member(name: str) -> AIOKafkaConsumer:
        how = {"group_instance_id": name} if static == "static" else {}
        return await consumer_of(target.bootstrap, topic, group_id=group, **how)

    async def scenario() -> None:
        members = [await member("first"), await member("second")]
        await shared(members, 4)
        await produce(target.bootstrap, topic, [b"%d" % n for n in range(200)])
        assert await drain(members, 200) == list(range(200))
        for one in members:
            await one.commit()
            await one.stop()
        await produce(target.bootstrap, topic, [b"%d" % n for n in range(200, 300)])
        again = [await member("first"), await member("second")]
        assert await drain(again, 100) == list(range(200, 300))
        for one in again:
            await one.stop()

    asyncio.run(scenario())


def test_committed_metadata_comes_back(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("aio-meta"))

    async def scenario() -> None:
        part = TopicPartition(topic, 0)
        consumer = await consumer_of(target.bootstrap, group_id=unique("aio"))
        consumer.assign([part])
        await consumer.commit({part: OffsetAndMetadata(3, "note")})
        assert await consumer.committed(part) == 3
        await consumer.stop()

    asyncio.run(scenario())
