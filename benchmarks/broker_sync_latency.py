"""A confluent-kafka producer that waits for each record: produce, flush, linger 0, acks=all.

Goal with fsync on: p50 below 1 ms. Also prints what one fdatasync costs here, the floor of it.
"""

import os
import statistics
import tempfile
import time

from confluent_kafka import Producer

from benchmarks._lib import CLIENT_CORE, arguments, broker, pin


def fdatasync_ms(folder: str | None, count: int = 300) -> float:
    """The median of append 200 B and fdatasync."""
    took = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(count):
            os.write(file.fileno(), bytes(200))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def main() -> None:
    """One record at a time."""
    given = arguments(__doc__, records=5000)
    pin(CLIENT_CORE)
    with broker("--fsync", given.fsync, folder=given.folder) as server:
        producer = Producer({"bootstrap.servers": server.bootstrap, "linger.ms": 0, "log_level": 0})
        took = []
        cpu_s = 0.0
        for number in range(given.records + 100):
            if number == 100:
                cpu_s = server.cpu_s()
            began = time.perf_counter()
            producer.produce("sync", bytes(100))
            assert producer.flush(30) == 0
            took.append(time.perf_counter() - began)
        cpu_s = server.cpu_s() - cpu_s
    took = sorted(took[100:])
    print(
        f"  {given.records / sum(took):,.0f}/s  p50 {took[len(took) // 2] * 1000:.2f} ms"
        f"  p99 {took[len(took) * 99 // 100] * 1000:.2f} ms"
        f"  broker {cpu_s / given.records * 1e6:.0f} CPU-us per record"
        f"  (fdatasync alone: p50 {fdatasync_ms(given.folder):.2f} ms)"
    )


if __name__ == "__main__":
    main()
