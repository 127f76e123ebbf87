"""A librdkafka consumer (confluent-kafka, counting only) that reads a topic from its beginning.

Goal: at least 500 MB/s of 1 KB messages. Reads come from the page cache.
"""

import time

from confluent_kafka import Consumer, TopicPartition

from benchmarks._lib import BULK, CLIENT_CORE, Broker, RawProducer, arguments, broker, pin


def fill(server: Broker, topic: str, size: int, count: int) -> None:
    """``count`` messages of ``size`` bytes."""
    producer = RawProducer(
        topic,
        {"bootstrap.servers": server.bootstrap, **BULK},
    )
    producer.send(bytes(size), count)
    producer.flush()
    producer.close()


def measure(server: Broker, topic: str, size: int, count: int) -> None:
    """From the first message to the last."""
    consumer = Consumer(
        {
            "bootstrap.servers": server.bootstrap,
            "group.id": "bench",
            "fetch.queue.backoff.ms": 2,
            "queued.min.messages": 1_000_000,
            "queued.max.messages.kbytes": 512_000,
            "fetch.message.max.bytes": 10_000_000,
            "fetch.max.bytes": 50_000_000,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    cpu_s, began, received = server.cpu_s(), time.perf_counter(), 0
    while received < count:
        received += len(consumer.consume(10_000, 1.0))
    wall_s, cpu_s = time.perf_counter() - began, server.cpu_s() - cpu_s
    consumer.close()
    megabytes = size * count / 1e6
    print(
        f"  {size:>5} B x {count:,}: {count / wall_s:>9,.0f} msg/s {megabytes / wall_s:6.0f} MB/s"
        f"  broker {cpu_s / megabytes * 1000:.2f} CPU-ms per MB"
        f" ({cpu_s / wall_s * 100:.0f} % of its core)"
    )


def main() -> None:
    """100 B and 1 KB."""
    given = arguments(__doc__, megabytes=1000, rounds=3)
    pin(CLIENT_CORE)
    with broker("--fsync", given.fsync, folder=given.folder) as server:
        for size in (100, 1000):
            topic, count = f"bytes-{size}", given.megabytes * 1_000_000 // size
            fill(server, topic, size, count)
            for _ in range(given.rounds):
                measure(server, topic, size, count)


if __name__ == "__main__":
    main()
