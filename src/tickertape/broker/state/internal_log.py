"""A compacted topic of the broker's own: where in it a key lives, appending there, reading it.

Such a topic is created when it is first needed. What is appended counts once it is durable.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from tickertape.base.errors import StorageError
from tickertape.base.ports import Clock, Rng
from tickertape.broker.state.durability import Durability
from tickertape.broker.state.topic_ids import random_topic_id
from tickertape.broker.state.topics import Topic, TopicRegistry
from tickertape.broker.state.waits import Partition, Waiter
from tickertape.log.partition import PartitionLog
from tickertape.log.transactions import Marker, read_marker
from tickertape.wire.batch import BatchHeader, iter_batches
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.parts import FileSlice
from tickertape.wire.records import Record, read_records

_READ_BYTES: Final = 4 << 20
_RECORDS_BYTES_MAX: Final = 256 << 20


def partition_for(group_id: str, partitions: int) -> int:
    """Kafka's Utils.abs(groupId.hashCode()) % partitions: Java's hash over UTF-16 code units."""
    hashed = 0
    units = group_id.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(units), 2):
        hashed = (31 * hashed + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    if hashed == 0x80000000:
        return 0  # Integer.MIN_VALUE has no absolute value in Java
    return (0x100000000 - hashed if hashed & 0x80000000 else hashed) % partitions


class Stored(NamedTuple):
    """One batch: its records, or what it decides about a transaction."""

    header: BatchHeader
    records: list[Record]
    marker: Marker | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalTopic:
    """What is fixed about a topic of the broker's own."""

    name: str
    partitions: int
    segment_bytes: int
    timeout_ms: int  # how long anyone waits for an append to become durable


class InternalLog:
    """Appends to and reads such a topic."""

    def __init__(
        self,
        topic: InternalTopic,
        topics: TopicRegistry,
        durability: Durability,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self._topic = topic
        self._topics = topics
        self._durability = durability
        self._clock = clock
        self._rng = rng

    def ensure_topic(self) -> Topic:
        """The topic; created if there is none. StorageError if it cannot be."""
        topic = self._topics.get(self._topic.name)
        if topic is None:
            topic = self._topics.create(
                self._topic.name,
                random_topic_id(self._rng),
                self._topic.partitions,
                {
                    "cleanup.policy": "compact",
                    "compression.type": "producer",
                    "segment.bytes": str(self._topic.segment_bytes),
                },
            )
        return topic

    def place_of(self, key: str) -> int:
        """The partition in which the key lives. StorageError if there is none."""
        return partition_for(key, len(self.ensure_topic().partitions))

    def append(
        self, key: str, records: list[Record], waiter: Waiter, *,
        transaction: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Append; slot 0 of ``waiter`` is settled when that is durable or has failed.

        ``transaction``: the producer (id, epoch) in whose transaction this is.
        """
        try:
            partition = self.partition_of(key)
        except StorageError as error:
            waiter.settle(0, ErrorCode.KAFKA_STORAGE_ERROR, str(error))
            return
        result = partition.log.append_internal(
            records, self._clock.now_ms(), transaction=transaction
        )
        if result.error is not ErrorCode.NONE:
            waiter.settle(0, result.error, result.message)
            partition.settle()
            return
        self._durability.appended(partition)
        self._wait(partition, result.last_offset + 1, waiter)

    def follow(self, key: str, waiter: Waiter) -> None:
        """Slot 0 of ``waiter`` is settled when all is durable that was appended beside the key."""
        try:
            partition = self.partition_of(key)
        except StorageError as error:
            waiter.settle(0, ErrorCode.KAFKA_STORAGE_ERROR, str(error))
            return
        self._wait(partition, partition.log.end_offset, waiter)

    def _wait(self, partition: Partition, until: int, waiter: Waiter) -> None:
        if partition.log.durable_offset < until:
            self._durability.waits.add(waiter)
        self._durability.wait(partition, until, waiter, 0)

    def deadline_ms(self) -> int:
        """When an append made now has waited long enough (monotonic)."""
        return self._clock.monotonic_ms() + self._topic.timeout_ms

    def replay(self) -> Iterator[tuple[int, Stored]]:
        """(partition, batch) of everything in the log, partition by partition, oldest first."""
        topic = self._topics.get(self._topic.name)
        for partition in topic.partitions if topic is not None else ():
            if partition is not None:
                for stored in replay_log(partition.log):
                    yield partition.index, stored

    def partition_of(self, key: str) -> Partition:
        """The partition in which the key lives, opened. StorageError if it cannot be."""
        partition = self._topics.partition(self._topic.name, self.place_of(key))
        assert partition is not None
        return partition


class Commit:
    """A Waiter over one append to a topic of the broker's own.

    ``settled`` runs when the records are durable or never will be, even after the deadline.
    ``done`` runs once, after that, or at the deadline with REQUEST_TIMED_OUT.
    """

    __slots__ = ("_done", "_settled", "_waits", "deadline_ms")

    def __init__(
        self,
        durability: Durability,
        deadline_ms: int,
        settled: Callable[[ErrorCode], None],
        done: Callable[[ErrorCode], None],
    ) -> None:
        self.deadline_ms = deadline_ms
        self._waits = durability.waits
        self._settled = settled
        self._done: Callable[[ErrorCode], None] | None = done

    def settle(self, slot: int, error: ErrorCode, message: str | None) -> None:
        """The records are durable, or never will be."""
        self._waits.remove(self)
        self._settled(error)
        self._finish(error)

    def expire(self) -> None:
        """Nobody waits longer; the records may still become durable."""
        self._finish(ErrorCode.REQUEST_TIMED_OUT)

    def _finish(self, error: ErrorCode) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(error)


def replay_log(log: PartitionLog) -> Iterator[Stored]:
    """Every batch, oldest first."""
    at, end = log.log_start_offset, log.end_offset
    while at < end:
        result = log.read(at, _READ_BYTES, below=end, at_least_one=True)
        following = at
        for part in result.parts:
            chunk = part.file.pread(part.at, part.length) if isinstance(part, FileSlice) else part
            for position, header in iter_batches(chunk):
                if header.next_offset > at:
                    yield _stored(chunk, position, header)
                following = max(following, header.next_offset)
        if following == at:  # nothing left below the end: compaction emptied the rest
            return
        at = following


def _stored(chunk: bytes, position: int, header: BatchHeader) -> Stored:
    if header.is_control:
        return Stored(header, [], read_marker(chunk, position, header))
    records = read_records(chunk, position, header, bytes_max=_RECORDS_BYTES_MAX)
    return Stored(header, records, None)
