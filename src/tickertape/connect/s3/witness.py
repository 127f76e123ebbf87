"""The topic as a witness of its own backup, on two consumers that join no group."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tickertape.base.ports import Clock
from tickertape.connect.s3.compare import Comparison, Readers, compare_partition
from tickertape.connect.s3.inventory import Holding
from tickertape.connect.s3.runs import Run
from tickertape.connect.topic_reader import TopicError, TopicReader

_ANSWER_S = 10.0


class TopicWitness:
    """Implements verify.Witness; a context manager. TopicError when the cluster does not answer."""

    def __init__(
        self, bootstrap: str, topic: str, *, clock: Clock, kafka: Mapping[str, str] | None = None
    ) -> None:
        self._topic = topic
        self._kafka = {**(kafka or {}), "bootstrap.servers": bootstrap}
        self._open = ExitStack()
        levels = ("read_uncommitted", "read_committed")
        readers = [
            self._open.enter_context(
                TopicReader(bootstrap, clock=clock, isolation=level, kafka=kafka)
            )
            for level in levels
        ]
        self._readers = Readers(*readers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def partitions(self) -> int:
        """How many the topic has; 0 if there is no such topic."""
        return self._readers.uncommitted.partitions(self._topic)

    def identity(self) -> str:
        """The topic's id as manifests spell it."""
        return self._readers.uncommitted.topic_id(self._topic)

    def compare(
        self, partition: int, holdings: Sequence[Holding], gaps: Sequence[Run]
    ) -> Comparison:
        """See compare_partition."""
        return compare_partition(self._readers, self._topic, partition, holdings, gaps)

    def bounds(self, partition: int) -> tuple[int, int]:
        """Log start offset and high watermark."""
        return self._readers.uncommitted.bounds(self._topic, partition)

    def expected_end(self, partition: int, connectors: Sequence[str]) -> int | None:
        """The highest offset committed by a connector's own group, ``connect-<name>``."""
        ends: list[int] = []
        for connector in connectors:
            group = {"group.id": f"connect-{connector}", "log_level": 0}
            consumer = Consumer({**self._kafka, **group, "enable.auto.commit": False})
            try:
                place = TopicPartition(self._topic, partition)
                (found,) = consumer.committed([place], timeout=_ANSWER_S)
            except KafkaException as caught:
                raise TopicError(f"group connect-{connector}: {caught.args[0].str()}") from caught
            finally:
                consumer.close()
            if found.offset >= 0:
                ends.append(found.offset)
        return max(ends, default=None)
