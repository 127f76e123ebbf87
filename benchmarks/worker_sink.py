"""How fast one worker on one core turns a topic into gzip objects in a local directory.

75-byte JSON values, StringConverter, JsonFormat, large flushes; broker and worker are processes of
their own, the worker is pinned to one core and librdkafka's threads with it. Prints records/s and
CPU-seconds per million records, the stabler of the two.
"""

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Producer

TAPE = [sys.executable, "-c", "from tickertape.cli.main import main; main()"]
WORKER = "value.converter=org.apache.kafka.connect.storage.StringConverter\n"
SINK = """\
name=bench
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


def measure(folder: Path, bootstrap: str, count: int, more: dict[str, str]) -> None:
    """One run of ``tape worker start --once`` on a core of its own."""
    (folder / "worker.properties").write_text(WORKER)
    (folder / "sink.properties").write_text(SINK.format(**more))
    core = max(os.sched_getaffinity(0))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [*TAPE, "worker", "start", "worker.properties", "sink.properties", "-b", bootstrap,
         "--store-url", f"file://{folder}/lake-{more['name']}", "--once", "-o", "json"],
        cwd=folder,
        capture_output=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        check=False,
    )  # fmt: skip
    wall_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr.decode()
    summary = json.loads(done.stdout)
    assert summary["records"] == count, summary
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{more['name']:<34} {count / wall_s:>10,.0f} records/s"
        f"  {cpu_s / count * 1e6:6.2f} CPU-s per million records"
        f"  {summary['objects']} objects, {summary['bytes'] / 1e6:,.1f} MB"
    )


def main() -> None:
    """Print machine, commit, seed and one line per scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"commit {commit.stdout.strip()}, seed {given.seed}, {given.records:,} records")
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        start = [*TAPE, "broker", "start", "--data-dir", str(folder / "data"), "--port", "0"]
        overrides = ["--override", f"num.partitions={given.partitions}"]
        ready = subprocess.run(
            [*start, *overrides, "--detach", "-o", "json"], stdout=subprocess.PIPE, check=True
        )
        try:
            bootstrap = json.loads(ready.stdout)["bootstrap"]
            produce(bootstrap, given.records, given.partitions, given.seed)
            for name, size, partitioner, more in SCENARIOS:
                text = {"name": name, "flush_size": size, "partitioner": partitioner, "more": more}
                measure(folder, bootstrap, given.records, text)
        finally:
            stop = [*TAPE, "broker", "stop", "--data-dir", str(folder / "data")]
            subprocess.run(stop, stdout=subprocess.PIPE, check=True)


SCENARIOS = [
    ("by-count-500000", "500000", DEFAULT, "consumer.override.group.id=bench-1"),
    ("by-count-10000", "10000", DEFAULT, "consumer.override.group.id=bench-2"),
    (
        "by-record-time-500000",
        "500000",
        TIME_BASED,
        RECORD_TIME + "consumer.override.group.id=bench-3",
    ),
]

if __name__ == "__main__":
    main()
