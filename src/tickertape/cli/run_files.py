"""The data directory of ``tape run``: what is where, the lock, the properties files it leaves.

``broker/`` records and server.properties, ``lake/`` objects, ``logs/``, ``dead-letter/``,
``ticks/`` synthetic days, ``worker.properties`` and ``s3-sink.properties``, which ``tape worker
start`` (or Kafka Connect, but for ``store.url``) takes as they are.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tickertape.base.errors import MisuseError, StorageError
from tickertape.config.properties import last_wins, read_properties
from tickertape.connect.feed.synthetic import DEFAULT_ROWS, synthetic_day

_BROKER: Final = """\
# Written by `tape run` for its embedded broker.
num.partitions={partitions}
offsets.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
"""
_WORKER: Final = """\
# Written by `tape run`. Usage: tape worker start worker.properties s3-sink.properties
bootstrap.servers={bootstrap}
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.converters.ByteArrayConverter
"""
# Each line of an object is a row's JSON as it is; objects are filed by the rows' own day.
# A static member takes its predecessor's place at once, instead of waiting for its time-out.
_SINK: Final = """\
# Written by `tape run`. Lines of the objects are the records' bytes; one directory per day.
name={name}
connector.class=io.confluent.connect.s3.S3SinkConnector
tasks.max=1
topics={topic}
store.url={lake}
s3.compression.type=gzip
flush.size=25000
storage.class=io.confluent.connect.s3.storage.S3Storage
format.class=io.confluent.connect.s3.format.bytearray.ByteArrayFormat
format.bytearray.extension=.json
partitioner.class=io.confluent.connect.storage.partitioner.TimeBasedPartitioner
partition.duration.ms=86400000
path.format=YYYY-MM-dd
locale=en
timezone=UTC
timestamp.extractor=Record
consumer.override.group.instance.id={name}
consumer.override.session.timeout.ms=10000
"""


class RunFolder:
    """The data directory, created if absent."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"data directory {self.root}: {error.strerror}") from error
        self.broker_data = self.root / "broker"
        self.broker_file = self.root / "server.properties"
        self.broker_log = self.root / "logs" / "broker.log"
        self.worker_log = self.root / "logs" / "worker.log"
        self.worker_file = self.root / "worker.properties"
        self.sink_file = self.root / "s3-sink.properties"

    @property
    def default_lake(self) -> str:
        """Where objects go unless told otherwise."""
        return (self.root / "lake").as_uri()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One job per directory. The kernel releases the lock of a job that was killed."""
        with (self.root / "run.lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise MisuseError(f"another `tape run` is at work in {self.root}") from error
            yield

    def write_broker_file(self, partitions: int) -> None:
        """Settings of the embedded broker."""
        self.broker_file.write_text(_BROKER.format(partitions=partitions))

    def write_worker_files(self, *, bootstrap: str, topic: str, lake: str, name: str) -> None:
        """The two files of the sink."""
        self.worker_file.write_text(_WORKER.format(bootstrap=bootstrap))
        self.sink_file.write_text(_SINK.format(name=name, topic=topic, lake=_escaped(lake)))

    def dead_letters(self, ticks: Path) -> Path:
        """Where the bad rows of a file go."""
        folder = self.root / "dead-letter"
        folder.mkdir(exist_ok=True)
        return folder / f"{ticks.name}.jsonl"

    def last_lake(self, topic: str) -> str | None:
        """Where the last run here stored the topic, if it was that topic."""
        if not self.sink_file.exists():
            return None
        entries = last_wins(read_properties(self.sink_file.read_bytes(), str(self.sink_file)))
        same = "topics" in entries and entries["topics"].value == topic
        return entries["store.url"].value if same and "store.url" in entries else None

    def synthetic_ticks(self, seed: int, count: int | None, say: Callable[[str], None]) -> Path:
        """A synthetic day of enough rows; made once, then reused."""
        rows = max(count or 0, DEFAULT_ROWS)
        path = self.root / "ticks" / f"synthetic-seed{seed}-{rows}.csv"
        if not path.exists():
            say(f"making a synthetic day of {rows:,} rows: {path}")
            path.parent.mkdir(exist_ok=True)
            unfinished = path.with_suffix(".tmp")
            with unfinished.open("w", encoding="ascii") as file:
                file.writelines(synthetic_day(seed, rows))
            unfinished.replace(path)
        return path


def _escaped(text: str) -> str:
    """A value as .properties files spell it: they are ISO-8859-1."""
    units = text.replace("\\", "\\\\").encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)


def readable(ticks: Path) -> Path:
    """The file, if it can be read. MisuseError if not."""
    if ticks.is_dir():
        raise MisuseError(f"--ticks {ticks}: is a folder, want a CSV or CSV.gz file")
    if not ticks.is_file():
        raise MisuseError(f"--ticks {ticks}: there is no such file")
    if not os.access(ticks, os.R_OK):
        raise MisuseError(f"--ticks {ticks}: may not be read")
    return ticks
