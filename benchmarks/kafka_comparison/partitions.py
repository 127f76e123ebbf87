"""One producer, acks=all, records of 1 KB, to 1, 16 and 200 partitions in turn: all are active.

Two thirds of the volume: with 200 partitions a synced broker has 200 files to sync at a time.
"""

from tests.interop.harness import create_topic

from benchmarks._lib import BULK, RawProducer
from benchmarks.kafka_comparison.client import Cost, in_client, records_in
from benchmarks.kafka_comparison.rows import Group, Measured, Row, Scale
from benchmarks.kafka_comparison.systems import Running, settle

_COUNTS = (1, 16, 200)
_SIZE = 1000


def spread(bootstrap: str, pid: int, topic: str, partitions: int, count: int) -> float:
    """MB/s over all partitions."""
    producer = RawProducer(topic, {"bootstrap.servers": bootstrap, **BULK})
    producer.spread(bytes(_SIZE), partitions, partitions)
    producer.flush()
    with Cost(pid) as cost:
        producer.spread(bytes(_SIZE), count - partitions, partitions)
        producer.flush()
    producer.close()
    arrived = records_in(bootstrap, topic, partitions)
    assert arrived == count, f"{topic}: sent {count}, the broker has {arrived}"
    return (count - partitions) * _SIZE / 1e6 / cost.wall_s


def measure(broker: Running, scale: Scale) -> Measured:
    """Each number of partitions in a topic of its own, after a run that warms up."""
    found: Measured = {}
    count = scale.megabytes * 1_000_000 // _SIZE * 2 // 3
    for partitions in (1, *_COUNTS):
        topic = f"spread-{partitions}" if found else "warm"
        create_topic(broker.bootstrap, topic, partitions=partitions)
        settle()
        rate = in_client(spread, broker.bootstrap, broker.pid, topic, partitions, count)
        found[topic] = rate
    return found


GROUP = Group(
    "partitions",
    [Row(f"spread-{n}", f"produce 1 KB to {n} partition{'s' * (n > 1)}", "MB/s") for n in _COUNTS],
    measure,
)
