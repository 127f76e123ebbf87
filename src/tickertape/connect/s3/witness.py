"""The topic as a witness of its own backup, on two consumers that join no group."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tickertape.base.ports import Clock
from tickertape.connect.s3.compare import Comparison, Readers, compare_partition
from tickertape.connect.s3.inventory import Holding
from tickertape.connect.s3.runs import Run
from tickertape.connect.topic_reader import TopicError, TopicReader

_ANSWER_S: Final = 10.0
_ATTEMPTS: Final = 40
_WAIT_S: Final = 0.25
_PASSING: Final = {  # a group that is being found, or is moving
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}


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
        self._committed: dict[str, dict[int, int]] = {}

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

    def first_record(self, partition: int, first: int, end: int) -> int:
        """The first offset from ``first`` on with a committed record; ``end`` if there is none."""
        for records in self._readers.committed.read(self._topic, partition, first, end):
            return records[0].offset() or 0
        return end

    def expected_end(self, partition: int, connectors: Sequence[str]) -> int | None:
        """The highest offset committed by a connector's own group, ``connect-<name>``."""
        for connector in connectors:
            if connector not in self._committed:
                self._committed[connector] = self._ask_group(f"connect-{connector}")
        found = (self._committed[connector].get(partition) for connector in connectors)
        return max((offset for offset in found if offset is not None), default=None)

    def _ask_group(self, group: str) -> dict[int, int]:
        """Committed offsets of every partition of the topic that has one."""
        settings = {"group.id": group, "enable.auto.commit": False, "log_level": 0}
        places = [TopicPartition(self._topic, number) for number in range(self.partitions())]
        consumer = Consumer({**self._kafka, **settings})
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    answers = consumer.committed(places, timeout=_ANSWER_S)
                    return {place.partition: place.offset for place in answers if place.offset >= 0}
                except KafkaException as caught:
                    error = caught.args[0]
                    if error.code() not in _PASSING or attempt == _ATTEMPTS - 1:
                        raise TopicError(f"group {group}: {error.str()}") from caught
                    consumer.poll(_WAIT_S)  # subscribed to nothing: this only waits
        finally:
            consumer.close()
        raise AssertionError("the last attempt returns or raises")
