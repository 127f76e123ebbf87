"""What the broker benchmarks share: a broker process on core 0, the client on core 1, figures.

The load comes from librdkafka's C functions through ctypes (the library inside the confluent-kafka
wheel), so that the client's Python is not what is measured. Broker CPU-seconds are the stable
figure; wall-clock ones vary by 2x on shared machines.
"""

import argparse
import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka

BROKER_CORE = 0
CLIENT_CORE = 1
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
BULK = {
    "enable.idempotence": "true",
    "linger.ms": "5",
    "batch.size": "1000000",
    "batch.num.messages": "100000",
    "queue.buffering.max.messages": "2000000",
    "queue.buffering.max.kbytes": "32000",
}
"""acks=all, in batches of up to 1 MB. A client that queues 400 MB spends more on the page faults of
its own fresh memory than on sending, and throughput halves: 32 MB are used again and again."""
_FULL_MS = 10  # a third of what is queued, at 1 GB/s: asking more often steals the broker's CPU
_MSG_F_COPY = 0x2
_MSG_F_PARTITION = 0x8  # each message names its own
_BYTECODE = str(Path(tempfile.gettempdir()) / f"tape-bench-bytecode-{os.getuid()}")


@dataclass
class Broker:
    """A running ``tape broker start``."""

    process: subprocess.Popen[bytes]
    bootstrap: str
    data_dir: Path
    ready_ms: float

    @property
    def port(self) -> int:
        return int(self.bootstrap.rpartition(":")[2])

    def cpu_s(self) -> float:
        """User and system CPU-seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def rss_mb(self) -> float:
        """Resident memory now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def pin(core: int) -> None:
    """Bind this process to one core if the machine has several."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[core % len(cores)]})


@contextmanager
def broker(*flags: str, folder: str | None = None) -> Iterator[Broker]:
    """A fresh broker on a fresh data directory, pinned; killed and removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="tape-bench-", dir=folder))
    tape = str(Path(sys.executable).parent / "tape")
    command = [tape, "broker", "start", "--data-dir", str(root), "--port", "0", "-o", "json"]
    environment = dict(os.environ, PYTHONPYCACHEPREFIX=_BYTECODE)  # as after a first start
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, *flags],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: pin(BROKER_CORE),  # noqa: PLW1509  # no threads here yet
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        ready_ms = (time.perf_counter() - began) * 1000
        yield Broker(process, ready["bootstrap"], root, ready_ms)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(root)


def parser(description: str | None, **numbers: int) -> argparse.ArgumentParser:
    """``--name N`` for each number, ``--folder`` and ``--fsync``."""
    made = argparse.ArgumentParser(description=description)
    for name, default in numbers.items():
        made.add_argument(f"--{name}", type=int, default=default)
    made.add_argument("--folder", help="where the data directory is made (default: /tmp)")
    made.add_argument("--fsync", choices=["always", "interval", "never"], default="always")
    return made


def arguments(description: str | None, **numbers: int) -> argparse.Namespace:
    """What ``parser`` finds; prints the machine."""
    given = parser(description, **numbers).parse_args()
    print(f"{Path(sys.argv[0]).stem}: {machine()}, fsync {given.fsync}")
    return given


def machine() -> str:
    """CPU, cores, Python, librdkafka, commit."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"librdkafka {confluent_kafka.libversion()[0]}, commit {commit.stdout.strip()}"
    )


class _Message(ctypes.Structure):
    _fields_ = [  # type: ignore[mutable-override]  # as ctypes wants it
        ("err", ctypes.c_int),
        ("rkt", ctypes.c_void_p),
        ("partition", ctypes.c_int32),
        ("payload", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("key", ctypes.c_void_p),
        ("key_len", ctypes.c_size_t),
        ("offset", ctypes.c_int64),
        ("private", ctypes.c_void_p),
    ]


class RawProducer:
    """librdkafka's producer without Python per message."""

    def __init__(self, topic: str, settings: dict[str, str]) -> None:
        self._lib = _librdkafka()
        error = ctypes.create_string_buffer(512)
        conf = self._lib.rd_kafka_conf_new()
        for name, value in settings.items():
            outcome = self._lib.rd_kafka_conf_set(
                conf, name.encode(), value.encode(), error, len(error)
            )
            assert outcome == 0, error.value
        self._handle = self._lib.rd_kafka_new(0, conf, error, len(error))
        assert self._handle, error.value
        self._topic = self._lib.rd_kafka_topic_new(self._handle, topic.encode(), None)

    def send(self, payload: bytes, count: int, partition: int = 0, batch: int = 10_000) -> None:
        """Queue ``count`` copies of ``payload``; waits while librdkafka's queue is full."""
        self._queue(payload, count, batch, partition)

    def spread(self, payload: bytes, count: int, partitions: int, batch: int = 10_000) -> None:
        """The same, one record to each partition in turn."""
        self._queue(payload, count, batch, None, partitions)

    def _queue(
        self, payload: bytes, count: int, batch: int, partition: int | None, partitions: int = 1
    ) -> None:
        flags = _MSG_F_COPY | (_MSG_F_PARTITION if partition is None else 0)
        messages = (_Message * batch)()
        address = ctypes.cast(ctypes.c_char_p(payload), ctypes.c_void_p).value
        for index, message in enumerate(messages):
            message.payload, message.len = address, len(payload)
            message.partition = index % partitions
        sent = 0
        while sent < count:
            size = min(batch, count - sent)
            queued = self._lib.rd_kafka_produce_batch(
                self._topic, partition or 0, flags, messages, size
            )
            sent += queued
            self._lib.rd_kafka_poll(self._handle, 0 if queued == size else _FULL_MS)

    def flush(self, timeout_ms: int = 120_000) -> None:
        """Wait for every acknowledgement."""
        assert self._lib.rd_kafka_flush(self._handle, timeout_ms) == 0

    def close(self) -> None:
        """End it."""
        self._lib.rd_kafka_topic_destroy(self._topic)
        self._lib.rd_kafka_destroy(self._handle)


def _librdkafka() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    lib = ctypes.CDLL(str(next(folder.glob("librdkafka*.so*"))))
    pointer, text, integer = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    lib.rd_kafka_conf_new.restype = pointer
    lib.rd_kafka_conf_set.argtypes = [pointer, text, text, text, ctypes.c_size_t]
    lib.rd_kafka_new.restype = pointer
    lib.rd_kafka_new.argtypes = [integer, pointer, text, ctypes.c_size_t]
    lib.rd_kafka_topic_new.restype = pointer
    lib.rd_kafka_topic_new.argtypes = [pointer, text, pointer]
    lib.rd_kafka_topic_destroy.argtypes = [pointer]
    lib.rd_kafka_destroy.argtypes = [pointer]
    lib.rd_kafka_produce_batch.argtypes = [pointer, ctypes.c_int32, integer, pointer, integer]
    lib.rd_kafka_poll.argtypes = [pointer, integer]
    lib.rd_kafka_flush.argtypes = [pointer, integer]
    return lib
