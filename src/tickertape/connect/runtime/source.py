"""The port to a topic: one member of a consumer group, as the task needs it.

KafkaSource is the real one. Everything is called from the task's one thread, except ``commit``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tickertape.base.ids import TopicPartition
from tickertape.connect.s3.chunk import Chunk
from tickertape.connect.s3.commit import Group


@dataclass(frozen=True, slots=True)
class Committed:
    """What the group holds for a partition: the next offset, or None, and the commit's metadata."""

    offset: int | None
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something came of a partition: records, or (``end``) the news that we have read them all.

    ``end`` is the offset after the last one that can be read now, control records included.
    """

    tp: TopicPartition
    chunk: Chunk | None = None
    end: int | None = None


class Assignee(Protocol):
    """Who is told of rebalances, from within ``poll``."""

    def assigned(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take these partitions; say from which offset to read each."""
        ...

    def revoked(self, tps: Sequence[TopicPartition]) -> None:
        """Forget these partitions: they are no longer ours."""
        ...


class Source(Group, Protocol):
    """A consumer group member that reads records in order, partition by partition."""

    def open(self, assignee: Assignee) -> None:
        """Join the group."""
        ...

    def poll(self, records_max: int, timeout_ms: int) -> Sequence[Arrival]:
        """What came until there were ``records_max`` records or the time was up.

        Rebalances are told to the assignee in here; nothing is returned that was read before one.
        """
        ...

    def keep_timestamps(self, tp: TopicPartition) -> None:
        """Bring a partition's timestamps along, as long as it is ours. Called in ``assigned``."""
        ...

    def pause(self, tp: TopicPartition) -> None:
        """Read no more of a partition for now."""
        ...

    def resume(self, tp: TopicPartition) -> None:
        """Read on."""
        ...

    def committed(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        """What the group holds for these partitions now. GroupError."""
        ...

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """First offset that is still there, and the high watermark. GroupError."""
        ...

    def topic_id(self, topic: str) -> str:
        """Kafka's id of the topic as it is spelled in manifests, or "" where brokers give none."""
        ...

    def close(self) -> None:
        """Leave the group."""
        ...
