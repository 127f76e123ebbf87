"""One librdkafka producer, idempotent, acks=all, into one partition.

Goal with fsync on: at least 500,000 messages/s of 100 B and 150 MB/s of 1 KB on one broker core.
"""

import time

from benchmarks._lib import BULK, CLIENT_CORE, Broker, RawProducer, arguments, broker, pin


def measure(server: Broker, size: int, count: int, partitions: int) -> None:
    """Send ``count`` messages of ``size`` bytes and wait for the last acknowledgement."""
    producer = RawProducer(
        f"bytes-{size}",
        {"bootstrap.servers": server.bootstrap, **BULK},
    )
    producer.send(bytes(size), 1000)
    producer.flush()
    cpu_s, began = server.cpu_s(), time.perf_counter()
    for partition in range(partitions):
        producer.send(bytes(size), count // partitions, partition)
    producer.flush()
    wall_s, cpu_s = time.perf_counter() - began, server.cpu_s() - cpu_s
    producer.close()
    megabytes = size * count / 1e6
    print(
        f"  {size:>5} B x {count:,}: {count / wall_s:>9,.0f} msg/s {megabytes / wall_s:6.0f} MB/s"
        f"  broker {cpu_s / megabytes * 1000:.2f} CPU-ms per MB"
        f" ({cpu_s / wall_s * 100:.0f} % of its core)"
    )


def main() -> None:
    """100 B, then 1 KB."""
    given = arguments(__doc__, megabytes=500, partitions=1, rounds=3)
    pin(CLIENT_CORE)
    override = f"num.partitions={given.partitions}"
    with broker("--fsync", given.fsync, "--override", override, folder=given.folder) as server:
        for size in (100, 1000):
            for _ in range(given.rounds):
                measure(server, size, given.megabytes * 1_000_000 // size, given.partitions)


if __name__ == "__main__":
    main()
