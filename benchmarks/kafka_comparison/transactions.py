"""Transactions per second, one producer, one after the other, of 1, 100 and 1,000 records of 100 B.

A transaction counts when its commit has been answered. As long a time first, uncounted.
"""

import time

from confluent_kafka import Producer
from tests.interop.harness import create_topic

from benchmarks.kafka_comparison.client import in_client
from benchmarks.kafka_comparison.rows import Group, Measured, Row, Scale
from benchmarks.kafka_comparison.systems import Running, settle

_SIZES = (1, 100, 1000)
_PAYLOAD = bytes(100)


def commit_for(bootstrap: str, topic: str, records: int, seconds: float) -> float:
    """Transactions per second."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": topic,
            "linger.ms": 0 if records == 1 else 5,
        }
    )
    producer.init_transactions(30)
    rate = 0.0
    for _ in range(2):
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            producer.begin_transaction()
            for _ in range(records):
                producer.produce(topic, _PAYLOAD)
            producer.commit_transaction(30)
            done += 1
        rate = done / (time.perf_counter() - began)
    return rate


def measure(broker: Running, scale: Scale) -> Measured:
    """Each size with a producer and a topic of its own."""
    found: Measured = {}
    for records in _SIZES:
        topic = f"txn-{records}"
        create_topic(broker.bootstrap, topic)
        settle()
        found[topic] = in_client(commit_for, broker.bootstrap, topic, records, scale.seconds)
    return found


GROUP = Group(
    "transactions",
    [Row(f"txn-{n}", f"transactions of {n:,} record{'s' * (n > 1)}", "commits/s") for n in _SIZES],
    measure,
)
