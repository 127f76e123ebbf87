"""How fast one worker on one core turns a topic into gzip objects in a local directory.

75-byte JSON values, StringConverter, JsonFormat, large flushes; broker and worker are processes of
their own, the worker is pinned to one core and librdkafka's threads with it. Prints records/s and
CPU-seconds per million records, the stabler of the two.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Producer

from benchmarks._lib import CLIENT_CORE, arguments, broker, pin

WORKER = "value.converter=org.apache.kafka.connect.storage.StringConverter\n"
SINK = """\
name={name}
connector.class=io.confluent.connect.s3.S3SinkConnector
topics=ticks
s3.compression.type=gzip
flush.size={flush_size}
storage.class=io.confluent.connect.s3.storage.S3Storage
format.class=io.confluent.connect.s3.format.json.JsonFormat
partitioner.class={partitioner}
{more}
"""
DEFAULT = "io.confluent.connect.storage.partitioner.DefaultPartitioner"
TIME_BASED = "io.confluent.connect.storage.partitioner.TimeBasedPartitioner"
RECORD_TIME = """\
path.format=YYYY-MM-dd
partition.duration.ms=3600000
locale=en
timezone=UTC
timestamp.extractor=Record
"""


def values(count: int, seed: int) -> list[bytes]:
    """JSON ticks of exactly 75 bytes."""
    rng = random.Random(seed)
    found = []
    for index in range(count):
        tick = {
            "s": "BTCUSDT",
            "p": f"{60_000 + 100 * rng.random():.2f}",
            "q": f"{rng.random():.3f}",
            "t": 1_723_161_254_000 + index,
            "m": index & 1,
        }
        found.append(json.dumps(tick).encode())
    assert {len(value) for value in found} == {75}
    return found


def produce(bootstrap: str, count: int, partitions: int, seed: int) -> None:
    """``count`` records, round robin in runs of 1000."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    sample = values(100_000, seed)
    for index in range(count):
        while True:
            try:
                producer.produce(
                    "ticks", sample[index % len(sample)], partition=index // 1000 % partitions
                )
                break
            except BufferError:
                producer.poll(0.05)
        if index % 10_000 == 0:
            producer.poll(0)
    assert producer.flush(60) == 0


def measure(folder: Path, bootstrap: str, count: int, scenario: dict[str, str]) -> None:
    """One run of ``tape worker start --once`` on a core of its own."""
    (folder / "worker.properties").write_text(WORKER)
    (folder / "sink.properties").write_text(SINK.format(**scenario))
    lake = folder / f"lake-{scenario['name']}"
    command = [str(Path(sys.executable).parent / "tape"), "worker", "start", "worker.properties"]
    more = ["sink.properties", "-b", bootstrap, "--store-url", f"file://{lake}", "--once"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [*command, *more, "-o", "json"],
        cwd=folder,
        capture_output=True,
        preexec_fn=lambda: pin(CLIENT_CORE),  # no threads here yet
        check=False,
    )
    wall_s = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr.decode()
    summary = json.loads(done.stdout)
    assert summary["records"] == count, summary
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{scenario['name']:<24}{count / wall_s:>10,.0f} records/s"
        f"  {count / cpu_s:>10,.0f} records per CPU-second"
        f"  {cpu_s / count * 1e6:.2f} CPU-s per million"
        f"  {summary['objects']} objects, {summary['bytes'] / 1e6:,.1f} MB"
    )


def main() -> None:
    """One line per scenario; starting the worker is part of its time."""
    given = arguments(__doc__, records=3_000_000, partitions=1, seed=1)
    flags = ["--fsync", given.fsync, "--override", f"num.partitions={given.partitions}"]
    with (
        tempfile.TemporaryDirectory(prefix="tape-bench-", dir=given.folder) as path,
        broker(*flags, folder=given.folder) as running,
    ):
        produce(running.bootstrap, given.records, given.partitions, given.seed)
        for name, scenario in SCENARIOS.items():
            measure(Path(path), running.bootstrap, given.records, {"name": name, **scenario})


SCENARIOS = {
    "flush.size=500000": {"flush_size": "500000", "partitioner": DEFAULT, "more": ""},
    "flush.size=10000": {"flush_size": "10000", "partitioner": DEFAULT, "more": ""},
    "record-time-directories": {
        "flush_size": "500000",
        "partitioner": TIME_BASED,
        "more": RECORD_TIME,
    },
}

if __name__ == "__main__":
    main()
