"""What the source makes of answers that a real cluster gives only in rare moments."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from confluent_kafka import TopicPartition as Place

from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.runtime.kafka_source import KafkaSource
from tickertape.connect.s3.commit import CommitOutcome

TP = TopicPartition(TopicName("ticks"), PartitionIndex(0))


class ScriptedConsumer:
    """A member from the first ``consume`` on, which commits; ``expelled``: while it does."""

    def __init__(self, *, expelled: bool) -> None:
        self.expelled = expelled
        self.membership = b"generation 1"
        self.committed: list[Place] = []
        self.on_assign: Callable[[Any, list[Place]], None] = lambda *_: None

    def subscribe(self, topics: Sequence[str], **told: Callable[[Any, list[Place]], None]) -> None:
        self.on_assign = told["on_assign"]

    def consume(self, count: int, timeout: float) -> list[object]:
        self.on_assign(self, [Place("ticks", 0)])
        return []

    def assign(self, places: list[Place]) -> None:
        pass

    def consumer_group_metadata(self) -> bytes:
        return self.membership

    def commit(self, *, offsets: list[Place], asynchronous: bool) -> list[Place]:
        assert not asynchronous
        if self.expelled:
            self.membership = b"nobody"
        self.committed += offsets
        return offsets


class ScriptedSource(KafkaSource):
    def __init__(self, consumer: ScriptedConsumer) -> None:
        self.consumer = consumer
        super().__init__({}, ["ticks"], with_timestamps=False, note=lambda _: None)

    def _connect(self) -> Any:  # noqa: ANN401  # in place of librdkafka's consumer
        return self.consumer


class FromZero:
    def assigned(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    def revoked(self, tps: Sequence[TopicPartition]) -> None:
        raise AssertionError("nobody takes anything")


@pytest.mark.parametrize("expelled", [False, True])
def test_a_commit_during_which_we_were_expelled_counts_for_nothing(*, expelled: bool) -> None:
    consumer = ScriptedConsumer(expelled=expelled)
    source = ScriptedSource(consumer)
    source.open(FromZero())
    assert source.poll(1, 1) == []
    wanted = CommitOutcome.FENCED if expelled else CommitOutcome.DONE
    assert source.commit(TP, 3, "") is wanted
    assert [place.offset for place in consumer.committed] == [3]
    if expelled:
        assert source.commit(TP, 4, "") is CommitOutcome.FENCED
        assert len(consumer.committed) == 1
