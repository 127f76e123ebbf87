"""Identifiers in Kafka's own words, as distinct types."""

from typing import NamedTuple, NewType

TopicName = NewType("TopicName", str)
GroupId = NewType("GroupId", str)
MemberId = NewType("MemberId", str)
PartitionIndex = NewType("PartitionIndex", int)
Offset = NewType("Offset", int)
LeaderEpoch = NewType("LeaderEpoch", int)
ProducerId = NewType("ProducerId", int)


class TopicPartition(NamedTuple):
    """One partition of one topic; sorts by topic, then partition."""

    topic: TopicName
    partition: PartitionIndex

    def __str__(self) -> str:
        """Kafka's own spelling, which is also the folder name in the data directory."""
        return f"{self.topic}-{self.partition}"
