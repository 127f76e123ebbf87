"""Groups of the consumer protocol (KIP-848) with librdkafka: members come, go and are killed.

On Apache Kafka as well, where the broker is not restarted: what passes there must pass here.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, Producer
from tests.interop.harness import (
    ApacheKafka,
    Broker,
    Tickertape,
    create_topic,
    eventually,
    java,
    unique,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

FAST = {
    "group.consumer.session.timeout.ms": "2000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.heartbeat.interval.ms": "200",
    "group.consumer.min.heartbeat.interval.ms": "100",
}
"""So that who was killed is not waited for long."""
PARTITIONS = 6
SILENT = """
import sys
from confluent_kafka import Consumer
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": sys.argv[3],
                     "group.protocol": "consumer"})
consumer.subscribe([sys.argv[2]])
while True:
    consumer.poll(0.1)
"""
"""A member of its own process, to be killed."""


@pytest.fixture(params=[Tickertape, ApacheKafka], ids=["tickertape", "apache"])
def fast(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    broker = request.param(tmp_path_factory.mktemp("fast"), FAST)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


@contextmanager
def members(broker: Broker, topic: str, group: str, count: int) -> Iterator[list[Consumer]]:
    consumers = [
        Consumer(
            {
                "bootstrap.servers": broker.bootstrap,
                "group.id": group,
                "group.protocol": "consumer",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        for _ in range(count)
    ]
    for consumer in consumers:
        consumer.subscribe([topic])
    try:
        yield consumers
    finally:
        for consumer in consumers:
            consumer.close()


def poll(consumers: Sequence[Consumer], values: list[int]) -> int:
    """Read a little from each; how many values there are."""
    for consumer in consumers:
        messages = consumer.consume(100, timeout=0.05)
        values.extend(int(each.value() or b"") for each in messages if each.error() is None)
    return len(values)


def until_shared(consumers: Sequence[Consumer], values: list[int]) -> None:
    """Poll until every partition has one owner, and each member an equal number of them."""

    def shared() -> bool:
        poll(consumers, values)
        shares = [[each.partition for each in consumer.assignment()] for consumer in consumers]
        owned = sorted(index for share in shares for index in share)
        return owned == list(range(PARTITIONS)) and len({len(share) for share in shares}) == 1

    eventually(shared, f"{len(consumers)} members share {PARTITIONS} partitions")


def fill(broker: Broker, topic: str, values: range) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5})
    for value in values:
        producer.produce(topic, str(value).encode(), partition=value % PARTITIONS)
    assert producer.flush(30) == 0


def test_members_come_and_go_are_killed_and_nothing_is_lost(fast: Broker) -> None:
    topic = create_topic(fast.bootstrap, unique("t"), partitions=PARTITIONS)
    group = unique("g")
    values: list[int] = []
    with members(fast, topic, group, 1) as first:
        until_shared(first, values)
        with members(fast, topic, group, 2) as others:
            until_shared([*first, *others], values)
            fill(fast, topic, range(300))
            eventually(lambda: poll([*first, *others], values) >= 300, "300 values")
            for consumer in [*first, *others]:
                consumer.commit(asynchronous=False)
        until_shared(first, values)
        silent = subprocess.Popen(
            [sys.executable, "-c", SILENT, fast.bootstrap, topic, group], stdout=subprocess.DEVNULL
        )
        try:
            half = PARTITIONS // 2
            eventually(
                lambda: poll(first, values) >= 300 and len(first[0].assignment()) == half,
                "the other process has its half",
            )
        finally:
            silent.kill()
            silent.wait()
        until_shared(first, values)
        fill(fast, topic, range(300, 600))
        eventually(lambda: poll(first, values) >= 600, "600 values")
    assert sorted(values) == list(range(600))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_members_go_on_after_the_broker_was_restarted(own_broker: Tickertape, end: str) -> None:
    topic = create_topic(own_broker.bootstrap, unique("t"), partitions=PARTITIONS)
    values: list[int] = []
    with members(own_broker, topic, unique("g"), 2) as both:
        until_shared(both, values)
        before = [sorted(each.partition for each in one.assignment()) for one in both]
        getattr(own_broker, end)()
        own_broker.start()
        fill(own_broker, topic, range(100))
        eventually(lambda: poll(both, values) >= 100, "100 values")
        assert [sorted(each.partition for each in one.assignment()) for one in both] == before
        for consumer in both:
            consumer.commit(asynchronous=False)
    assert sorted(values) == list(range(100))


def test_kafkas_own_decoder_reads_what_is_stored(own_broker: Tickertape) -> None:
    topic = create_topic(own_broker.bootstrap, unique("t"), partitions=PARTITIONS)
    group = unique("g")
    with members(own_broker, topic, group, 1) as alone:
        until_shared(alone, [])
    own_broker.stop()
    logs = [str(log) for log in own_broker.data_dir.glob("__consumer_offsets-*/*.log")]
    tool = [*java("apache"), "org.apache.kafka.tools.DumpLogSegments", "--offsets-decoder"]
    out = subprocess.run(
        [*tool, "--files", ",".join(logs)], capture_output=True, check=True, text=True, timeout=60
    ).stdout
    lines = [line for line in out.splitlines() if f'"groupId":"{group}"' in line]
    kinds = {kind for kind in "35678" if any(f'"type":"{kind}"' in line for line in lines)}
    assert kinds == set("35678"), out[-3000:]
    assert any('"assignedPartitions":[{' in line for line in lines)
    assert sum("<DELETE>" in line for line in lines) == 3  # the member left: 5, 7 and 8
