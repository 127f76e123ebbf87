"""One record at a time: until it is acknowledged (acks=all), and until a consumer has it.

Closed loops, as Kafka's own EndToEndLatency does it: the next record is sent when the last one has
arrived. Records of 100 B, linger.ms 0. The first half warms up and is not counted.
"""

import time

from confluent_kafka import Consumer, Producer, TopicPartition
from tests.interop.harness import create_topic

from benchmarks.kafka_comparison.client import in_client
from benchmarks.kafka_comparison.rows import Group, Measured, Row, Scale, quantile
from benchmarks.kafka_comparison.systems import Running, settle

_PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
_PAYLOAD = bytes(100)


def acknowledged(bootstrap: str, topic: str, records: int) -> Measured:
    """Produce and wait."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0})
    took = []
    for _ in range(records):
        began = time.perf_counter()
        producer.produce(topic, _PAYLOAD)
        assert producer.flush(30) == 0
        took.append(time.perf_counter() - began)
    return _percentiles("ack", took)


def end_to_end(bootstrap: str, topic: str, records: int) -> Measured:
    """Produce, and wait until the consumer has it."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0})
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "compare"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    took = []
    for _ in range(records):
        began = time.perf_counter()
        producer.produce(topic, _PAYLOAD)
        message = consumer.poll(30)
        assert message is not None, "no record in 30 s"
        assert message.error() is None, message.error()
        took.append(time.perf_counter() - began)
        producer.poll(0)
    assert producer.flush(30) == 0
    consumer.close()
    return _percentiles("e2e", took)


def _percentiles(name: str, took: list[float]) -> Measured:
    counted = sorted(took[len(took) // 2 :])
    return {
        f"{name}-{label}": quantile(counted, share) * 1000 for label, share in _PERCENTILES.items()
    }


def measure(broker: Running, scale: Scale) -> Measured:
    """Both loops."""
    found: Measured = {}
    for function in (acknowledged, end_to_end):
        create_topic(broker.bootstrap, function.__name__)
        settle()
        found |= in_client(function, broker.bootstrap, function.__name__, scale.records)
    return found


GROUP = Group(
    "latency",
    [
        Row(f"{name}-{label}", f"{what}, {label}", "ms", more_is_better=False)
        for name, what in (("ack", "record acknowledged"), ("e2e", "end to end"))
        for label in _PERCENTILES
    ],
    measure,
)
