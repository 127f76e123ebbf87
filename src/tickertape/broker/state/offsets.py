"""The offsets log: where in ``__consumer_offsets`` a group lives, appending there, reading it.

Also holds the offsets that are committed and durable. A commit is visible to readers only after
its record is on disk, so no consumer ever resumes from an offset that a crash can take back.
"""

from collections.abc import Callable, Iterator

from tickertape.base.errors import StorageError
from tickertape.base.ports import Clock, Rng
from tickertape.broker.state.durability import Durability
from tickertape.broker.state.internal_log import Stored, replay_log
from tickertape.broker.state.offset_records import Committed, TopicIndex
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.topic_ids import random_topic_id
from tickertape.broker.state.topics import OFFSETS_TOPIC, Topic, TopicRegistry
from tickertape.broker.state.waits import Partition, Waiter
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.records import Record


def partition_for(group_id: str, partitions: int) -> int:
    """Kafka's Utils.abs(groupId.hashCode()) % partitions: Java's hash over UTF-16 code units."""
    hashed = 0
    units = group_id.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(units), 2):
        hashed = (31 * hashed + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    if hashed == 0x80000000:
        return 0  # Integer.MIN_VALUE has no absolute value in Java
    return (0x100000000 - hashed if hashed & 0x80000000 else hashed) % partitions


class OffsetsLog:
    """Appends to and reads ``__consumer_offsets``, which it creates when first needed."""

    def __init__(
        self,
        settings: BrokerSettings,
        topics: TopicRegistry,
        durability: Durability,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._durability = durability
        self._clock = clock
        self._rng = rng

    def ensure_topic(self) -> Topic:
        """The topic; created if there is none. StorageError if it cannot be."""
        topic = self._topics.get(OFFSETS_TOPIC)
        if topic is None:
            topic = self._topics.create(
                OFFSETS_TOPIC,
                random_topic_id(self._rng),
                self._settings.offsets_topic_num_partitions,
                {
                    "cleanup.policy": "compact",
                    "compression.type": "producer",
                    "segment.bytes": str(self._settings.offsets_topic_segment_bytes),
                },
            )
        return topic

    def place_of(self, group_id: str) -> int:
        """The partition in which the group lives. StorageError if there is none."""
        return partition_for(group_id, len(self.ensure_topic().partitions))

    def append(
        self, group_id: str, records: list[Record], waiter: Waiter, *,
        transaction: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Append; slot 0 of ``waiter`` is settled when that is durable or has failed.

        ``transaction``: the producer (id, epoch) in whose transaction this is.
        """
        try:
            partition = self._partition_of(group_id)
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
        if partition.log.durable_offset <= result.last_offset:
            self._durability.waits.add(waiter)
        self._durability.wait(partition, result.last_offset + 1, waiter, 0)

    def deadline_ms(self) -> int:
        """When a commit made now has waited long enough (monotonic)."""
        return self._clock.monotonic_ms() + self._settings.offsets_commit_timeout_ms

    def replay(self) -> Iterator[tuple[int, Stored]]:
        """(partition, batch) of everything in the log, partition by partition, oldest first."""
        topic = self._topics.get(OFFSETS_TOPIC)
        for partition in topic.partitions if topic is not None else ():
            if partition is not None:
                for stored in replay_log(partition.log):
                    yield partition.index, stored

    def _partition_of(self, group_id: str) -> Partition:
        topic = self.ensure_topic()
        index = partition_for(group_id, len(topic.partitions))
        partition = self._topics.partition(OFFSETS_TOPIC, index)
        assert partition is not None
        return partition


class CommittedOffsets:
    """Durable committed offsets of all groups. Pure memory; the offsets log is the truth."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[TopicIndex, Committed]] = {}

    def put(self, group_id: str, where: TopicIndex, committed: Committed) -> None:
        """A commit has become durable."""
        self._groups.setdefault(group_id, {})[where] = committed

    def drop(self, group_id: str, where: TopicIndex) -> None:
        """A tombstone has become durable."""
        offsets = self._groups.get(group_id)
        if offsets is not None:
            offsets.pop(where, None)
            if not offsets:
                del self._groups[group_id]

    def of_group(self, group_id: str) -> dict[TopicIndex, Committed]:
        """The group's offsets; empty if it has none. Not to be changed."""
        return self._groups.get(group_id, {})

    def of_topic(self, topic: str) -> list[tuple[str, TopicIndex]]:
        """(group, partition) of every offset in ``topic``."""
        return [
            (group_id, where)
            for group_id, offsets in self._groups.items()
            for where in offsets
            if where[0] == topic
        ]

    def topics(self) -> set[str]:
        """Topics that somebody has committed offsets in."""
        return {topic for offsets in self._groups.values() for topic, _ in offsets}

    def group_ids(self) -> list[str]:
        """Groups that have offsets."""
        return list(self._groups)


class Commit:
    """A Waiter over one append to the offsets log.

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
