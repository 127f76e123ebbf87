"""One partition from polled records to finished objects: plan, encoder and gzip together. Pure.

The runtime feeds chunks and the time, and gets flushes: an intent to commit, objects to put, a
manifest to put. Dropping an assembler loses nothing: its records are read again from the last
commit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tickertape.base.errors import TapeError
from tickertape.base.ids import TopicPartition
from tickertape.connect.s3.intent import Intent
from tickertape.connect.s3.manifest import Manifest, Runs
from tickertape.connect.s3.settings import SinkSettings


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records of one partition as parallel sequences, offsets rising.

    ``timestamps`` (ms, -1 for none) may be empty unless settings.needs_timestamps.
    """

    offsets: Sequence[int]
    values: Sequence[bytes | None]
    timestamps: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltObject:
    """One object ready to be put create-only."""

    key: str
    data: bytes = field(repr=False)
    offsets: Runs
    records: int
    sha256: str
    content_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """Offsets ``start..end`` (inclusive) of a partition, complete. ``objects`` may be empty."""

    tp: TopicPartition
    start: int
    end: int
    reason: str
    intent: Intent
    objects: tuple[BuiltObject, ...]
    skipped: Runs

    def manifest(self) -> Manifest:
        """What this flush leaves in the bucket, as its manifest says it."""
        raise NotImplementedError


class RecordError(TapeError):
    """A record cannot be archived as configured; the task must stop here, as Connect's does.

    ``flushes`` were completed by the records before it in the same chunk: do them, then stop.
    """

    def __init__(self, tp: TopicPartition, offset: int, reason: str) -> None:
        super().__init__(f"topic {tp.topic} partition {tp.partition} offset {offset}: {reason}")
        self.tp = tp
        self.offset = offset
        self.flushes: list[Flush] = []


class PartitionAssembler:
    """Buffers one partition's records, encoded and compressed, until the rotation rules cut."""

    def __init__(
        self,
        settings: SinkSettings,
        tp: TopicPartition,
        *,
        position: int | None,
        topic_id: str = "",
    ) -> None:
        """``position``: the committed offset; None starts at the first record that comes."""
        raise NotImplementedError

    def add(self, chunk: Chunk, now_ms: int) -> list[Flush]:
        """Take records; return the flushes they complete, in order. RecordError: see there."""
        raise NotImplementedError

    def tick(self, now_ms: int) -> list[Flush]:
        """The flush that is due by the clock alone (scheduled rotation, idle tail), if any."""
        raise NotImplementedError

    def seal(self) -> list[Flush]:
        """Flush whatever is buffered now; safe at any time (stop, memory pressure, flush-now)."""
        raise NotImplementedError

    @property
    def due_ms(self) -> int | None:
        """The wall-clock time at which ``tick`` next has something to do; None: never."""
        raise NotImplementedError

    @property
    def buffered_records(self) -> int:
        """Records read but not yet part of a flush."""
        raise NotImplementedError

    @property
    def buffered_bytes(self) -> int:
        """Bytes of memory that the open files hold."""
        raise NotImplementedError


def rebuild(
    tp: TopicPartition, intent: Intent, chunks: Iterable[Chunk], *, topic_id: str = ""
) -> Flush:
    """The very flush that an intent announced, from the topic's records ``start..end``.

    Chunks may run past ``end``. StorageError if the records lead to other files than the intent
    names (retention or compaction removed some, or the topic was recreated).
    """
    raise NotImplementedError
