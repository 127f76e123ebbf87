"""Produce and fetch throughput at 100 B, 1 KB and 100 KB: one partition, one client, acks=all.

The same volume first, to another topic, so that Kafka's compiler has seen the code. Fetch reads
what was just written, from the page cache, with a consumer that only counts.
"""

from confluent_kafka import Consumer, TopicPartition
from tests.interop.harness import create_topic

from benchmarks._lib import BULK, RawProducer
from benchmarks.kafka_comparison.client import Cost, in_client, records_in
from benchmarks.kafka_comparison.rows import Group, Measured, Row, Scale
from benchmarks.kafka_comparison.systems import Running, settle

SIZES = {100: "100 B", 1_000: "1 KB", 100_000: "100 KB"}
_SHARE_OF_SMALL = 0.4  # of the volume: records of 100 B are slow to count


def produce(bootstrap: str, pid: int, topic: str, size: int, count: int) -> Measured:
    """From the first record queued to the last one acknowledged."""
    producer = RawProducer(topic, {"bootstrap.servers": bootstrap, **BULK})
    batch = max(100, min(10_000, 10_000_000 // size))
    producer.send(bytes(size), 1)
    producer.flush()  # connected, and in possession of a producer id
    with Cost(pid) as cost:
        producer.send(bytes(size), count - 1, batch=batch)
        producer.flush()
    producer.close()
    arrived = records_in(bootstrap, topic, 1)
    assert arrived == count, f"{topic}: sent {count}, the broker has {arrived}"
    return _per_megabyte("produce", size, (count - 1) * size / 1e6, cost)


def fetch(bootstrap: str, pid: int, topic: str, size: int, count: int) -> Measured:
    """From the first record received to the last."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "compare",
            "fetch.queue.backoff.ms": 2,
            "queued.min.messages": 1_000_000,
            "queued.max.messages.kbytes": 512_000,
            "fetch.message.max.bytes": 10_000_000,
            "fetch.max.bytes": 50_000_000,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    received = 0
    while not received:
        received = len(consumer.consume(1, 1.0))
    with Cost(pid) as cost:
        while received < count:
            received += len(consumer.consume(min(10_000, count - received), 1.0))
    consumer.close()
    assert received == count, (received, count)
    return _per_megabyte("fetch", size, count * size / 1e6, cost)


def _per_megabyte(what: str, size: int, megabytes: float, cost: Cost) -> Measured:
    return {
        f"{what}-{size}": megabytes / cost.wall_s,
        f"{what}-{size}-broker-cpu": cost.broker_cpu_s / megabytes * 1000,
        f"{what}-{size}-client-cpu": cost.client_cpu_s / megabytes * 1000,
    }


def measure(broker: Running, scale: Scale) -> Measured:
    """All sizes, first written, then read."""
    found: Measured = {}
    for size in SIZES:
        megabytes = scale.megabytes * (_SHARE_OF_SMALL if size == min(SIZES) else 1)
        count = max(10, int(megabytes * 1_000_000) // size)
        for topic in (f"warm-{size}", f"bytes-{size}"):
            create_topic(broker.bootstrap, topic)
            settle()
            found |= in_client(produce, broker.bootstrap, broker.pid, topic, size, count)
            found |= in_client(fetch, broker.bootstrap, broker.pid, topic, size, count)
    return found


def _rows() -> list[Row]:
    rows = []
    for what in ("produce", "fetch"):
        for size, label in SIZES.items():
            rows.append(Row(f"{what}-{size}", f"{what} {label}", "MB/s"))
    for who in ("broker", "client"):
        for what in ("produce", "fetch"):
            for size, label in SIZES.items():
                rows.append(
                    Row(
                        f"{what}-{size}-{who}-cpu",
                        f"{who}'s CPU, {what} {label}",
                        "ms per MB",
                        more_is_better=False,
                        compared=who == "broker",
                    )
                )
    return rows


GROUP = Group("throughput", _rows(), measure)
