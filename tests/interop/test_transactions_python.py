"""Zombies and forgotten transactions of kafka-python and aiokafka, on either broker."""

import asyncio
import warnings

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError as AsyncKafkaError
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually, unique
from tests.interop.test_transactions import end_of, everything

with warnings.catch_warnings():
    # kafka-python reads its schemas by a deprecated function, here and whenever it needs another
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

pytestmark = pytest.mark.filterwarnings("ignore:read_text is deprecated:DeprecationWarning")


def started(target: Broker, name: str, timeout_ms: int = 60_000) -> KafkaProducer:
    producer = KafkaProducer(
        bootstrap_servers=target.bootstrap,
        transactional_id=name,
        transaction_timeout_ms=timeout_ms,
    )
    producer.init_transactions()
    return producer


def send(producer: KafkaProducer, topic: str, value: bytes) -> None:
    producer.begin_transaction()
    producer.send(topic, value).get(PATIENCE_S)


def test_kafka_python_a_zombie_is_fenced(target: Broker) -> None:
    topic, name = create_topic(target.bootstrap, unique("txn")), unique("tx")
    zombie = started(target, name)
    send(zombie, topic, b"lost")
    successor = started(target, name)
    send(successor, topic, b"kept")
    successor.commit_transaction()
    with pytest.raises(KafkaError):
        zombie.commit_transaction()
    for producer in (zombie, successor):
        producer.close(timeout=5)
    assert everything(target.bootstrap, topic) == ["kept"]


def test_kafka_python_a_late_transaction_is_aborted(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("txn"))
    producer = started(target, unique("tx"), timeout_ms=3_000)
    send(producer, topic, b"late")
    eventually(lambda: end_of(target.bootstrap, topic) == 2, "the broker's own abort marker")
    with pytest.raises(KafkaError):
        producer.commit_transaction()
    producer.close(timeout=5)
    assert everything(target.bootstrap, topic) == []


async def begun(target: Broker, topic: str, name: str, timeout_ms: int) -> AIOKafkaProducer:
    """A started producer with one record in an open transaction."""
    producer = AIOKafkaProducer(
        bootstrap_servers=target.bootstrap,
        transactional_id=name,
        transaction_timeout_ms=timeout_ms,
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, name.encode())
    return producer


def test_aiokafka_a_zombie_is_fenced(target: Broker) -> None:
    topic, name = create_topic(target.bootstrap, unique("txn")), unique("tx")

    async def run() -> None:
        zombie = await begun(target, topic, name, 60_000)
        successor = await begun(target, topic, name, 60_000)
        await successor.commit_transaction()
        with pytest.raises(AsyncKafkaError):
            await zombie.commit_transaction()
        await zombie.stop()
        await successor.stop()

    asyncio.run(run())
    assert everything(target.bootstrap, topic) == [name]


def test_aiokafka_a_late_transaction_is_aborted(target: Broker) -> None:
    topic, name = create_topic(target.bootstrap, unique("txn")), unique("tx")

    async def run() -> None:
        producer = await begun(target, topic, name, 3_000)
        aborted = "the broker's own abort marker"
        await asyncio.to_thread(eventually, lambda: end_of(target.bootstrap, topic) == 2, aborted)
        with pytest.raises(AsyncKafkaError):
            await producer.commit_transaction()
        await producer.stop()

    asyncio.run(run())
    assert everything(target.bootstrap, topic) == []
