"""Transactional producers of librdkafka, kafka-python and aiokafka, on either broker or on ours."""

import asyncio
import warnings
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

with warnings.catch_warnings():
    # kafka-python reads its schemas by a deprecated function, here and whenever it needs another
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaProducer
from tests.interop.harness import (
    PATIENCE_S,
    Broker,
    Tickertape,
    create_topic,
    eventually,
    unique,
)

pytestmark = pytest.mark.filterwarnings("ignore:read_text is deprecated:DeprecationWarning")


def transactional(bootstrap: str, name: str, **settings: object) -> Producer:
    defaults: dict[str, object] = {
        "bootstrap.servers": bootstrap,
        "transactional.id": name,
        "transaction.timeout.ms": 30_000,
        "linger.ms": 5,
    }
    return Producer(defaults | {key.replace("_", "."): value for key, value in settings.items()})


def started(bootstrap: str, name: str, **settings: object) -> Producer:
    producer = transactional(bootstrap, name, **settings)
    producer.init_transactions(PATIENCE_S)
    return producer


def consumer_of(bootstrap: str, group: str, isolation: str = "read_committed") -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "fetch.wait.max.ms": 50,
            "enable.partition.eof": True,
        }
    )


def everything(bootstrap: str, topic: str, isolation: str = "read_committed") -> list[str]:
    """All values of partition 0 up to where the broker says that it ends."""
    consumer = consumer_of(bootstrap, unique("reader"), isolation)
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[str] = []

    def ended() -> bool:
        for message in consumer.consume(500, timeout=0.2):
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return True
            assert error is None, error
            values.append((message.value() or b"").decode())
        return False

    eventually(ended, f"the end of {topic}")
    consumer.close()
    return values


def send(producer: Producer, topic: str, values: Sequence[str]) -> None:
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(PATIENCE_S) == 0


def test_commit_and_abort(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("txn"))
    producer = started(target.bootstrap, unique("tx"))
    for number in range(6):
        producer.begin_transaction()
        send(producer, topic, [f"{number}-{n}" for n in range(100)])
        if number % 2:
            producer.abort_transaction(PATIENCE_S)
        else:
            producer.commit_transaction(PATIENCE_S)
    expected = [f"{number}-{n}" for number in (0, 2, 4) for n in range(100)]
    assert everything(target.bootstrap, topic) == expected
    assert len(everything(target.bootstrap, topic, "read_uncommitted")) == 600


def test_a_zombie_is_fenced_and_its_records_are_never_seen(target: Broker) -> None:
    topic, name = create_topic(target.bootstrap, unique("txn")), unique("tx")
    zombie = started(target.bootstrap, name)
    zombie.begin_transaction()
    send(zombie, topic, ["lost"])
    successor = started(target.bootstrap, name)
    successor.begin_transaction()
    send(successor, topic, ["kept"])
    successor.commit_transaction(PATIENCE_S)
    with pytest.raises(KafkaException) as caught:
        zombie.commit_transaction(PATIENCE_S)
    assert caught.value.args[0].fatal()
    assert everything(target.bootstrap, topic) == ["kept"]


def test_a_late_transaction_is_aborted(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("txn"))
    producer = started(target.bootstrap, unique("late"), transaction_timeout_ms=3_000)
    producer.begin_transaction()
    send(producer, topic, ["late"])
    eventually(lambda: end_of(target.bootstrap, topic) == 2, "the broker's own abort marker")
    with pytest.raises(KafkaException):
        producer.commit_transaction(PATIENCE_S)
    assert everything(target.bootstrap, topic) == []


def end_of(bootstrap: str, topic: str) -> int:
    consumer = consumer_of(bootstrap, unique("reader"))
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE_S)[1]
    finally:
        consumer.close()


def test_consume_process_produce(target: Broker) -> None:
    source = create_topic(target.bootstrap, unique("source"))
    sink = create_topic(target.bootstrap, unique("sink"))
    group = unique("group")
    feeder = started(target.bootstrap, unique("feeder"))
    feeder.begin_transaction()
    send(feeder, source, [str(n) for n in range(50)])
    feeder.commit_transaction(PATIENCE_S)
    for attempt in range(5):
        consumer = consumer_of(target.bootstrap, group)
        consumer.subscribe([source])
        producer = started(target.bootstrap, f"{group}-tx")
        batch = eventually(lambda c=consumer: values_of(c), "ten records")[:10]  # type: ignore[misc]
        producer.begin_transaction()
        for value, _ in batch:
            producer.produce(sink, f"{value} done")
        producer.send_offsets_to_transaction(
            [TopicPartition(source, 0, batch[-1][1] + 1)],
            consumer.consumer_group_metadata(),
            PATIENCE_S,
        )
        if attempt % 2:
            producer.abort_transaction(PATIENCE_S)
        else:
            producer.commit_transaction(PATIENCE_S)
        consumer.close()
    assert everything(target.bootstrap, sink) == [f"{n} done" for n in range(30)]


def values_of(consumer: Consumer) -> list[tuple[str, int]]:
    found = []
    for message in consumer.consume(10, timeout=1.0):
        if message.error() is None:
            offset = message.offset()
            assert offset is not None
            found.append(((message.value() or b"").decode(), offset))
    return found if len(found) == 10 else []


def test_kafka_python(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("txn"))
    producer = KafkaProducer(bootstrap_servers=target.bootstrap, transactional_id=unique("tx"))
    producer.init_transactions()
    for number in range(4):
        producer.begin_transaction()
        sent = [producer.send(topic, f"{number}-{n}".encode()) for n in range(20)]
        assert [one.get(PATIENCE_S).offset for one in sent]
        if number % 2:
            producer.abort_transaction()
        else:
            producer.commit_transaction()
    producer.close()
    expected = [f"{number}-{n}" for number in (0, 2) for n in range(20)]
    assert everything(target.bootstrap, topic) == expected


def test_aiokafka(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("txn"))

    async def run() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=target.bootstrap, transactional_id=unique("tx")
        )
        await producer.start()
        for number in range(4):
            await producer.begin_transaction()
            for n in range(20):
                await producer.send(topic, f"{number}-{n}".encode())
            if number % 2:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()
        await producer.stop()

    asyncio.run(run())
    expected = [f"{number}-{n}" for number in (0, 2) for n in range(20)]
    assert everything(target.bootstrap, topic) == expected


@pytest.mark.slow
def test_a_broker_killed_in_the_middle_finishes_what_was_decided(own_broker: Tickertape) -> None:
    topic = create_topic(own_broker.bootstrap, unique("txn"))
    producer = started(own_broker.bootstrap, "killed")
    committed: list[str] = []
    for number in range(6):
        values = [f"{number}-{n}" for n in range(20)]
        producer.begin_transaction()
        send(producer, topic, values)
        if number % 3 == 0:
            own_broker.kill()
            own_broker.start()
        if number % 3 == 1:
            producer.abort_transaction(PATIENCE_S)
        else:
            producer.commit_transaction(PATIENCE_S)
            committed += values
        if number % 3 == 2:
            own_broker.kill()  # the markers may not be on disk yet
            own_broker.start()
    assert everything(own_broker.bootstrap, topic) == committed
