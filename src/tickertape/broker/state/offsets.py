"""The offsets log, and the committed offsets that are durable.

A commit is visible to readers only after its record is on disk, so no consumer ever resumes from
an offset that a crash can take back.
"""

from tickertape.base.ports import Clock, Rng
from tickertape.broker.state.durability import Durability
from tickertape.broker.state.internal_log import InternalLog, InternalTopic
from tickertape.broker.state.offset_records import Committed, TopicIndex
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.topics import OFFSETS_TOPIC, TopicRegistry


class OffsetsLog(InternalLog):
    """``__consumer_offsets``; its key is the group id."""

    def __init__(
        self,
        settings: BrokerSettings,
        topics: TopicRegistry,
        durability: Durability,
        clock: Clock,
        rng: Rng,
    ) -> None:
        topic = InternalTopic(
            name=OFFSETS_TOPIC,
            partitions=settings.offsets_topic_num_partitions,
            segment_bytes=settings.offsets_topic_segment_bytes,
            timeout_ms=settings.offsets_commit_timeout_ms,
        )
        super().__init__(topic, topics, durability, clock, rng)


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

    def of_topic(self, topic: str) -> list[tuple[str, TopicIndex, Committed]]:
        """Every offset in ``topic``, with its group and partition."""
        return [
            (group_id, where, committed)
            for group_id, offsets in self._groups.items()
            for where, committed in offsets.items()
            if where[0] == topic
        ]

    def topics(self) -> set[str]:
        """Topics that somebody has committed offsets in."""
        return {topic for offsets in self._groups.values() for topic, _ in offsets}

    def group_ids(self) -> list[str]:
        """Groups that have offsets."""
        return list(self._groups)
