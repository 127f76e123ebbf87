"""Reads ranges of a topic by offset, on confluent-kafka, without joining a group or committing.

Used to find where a feed stopped and to compare a backup with its topic. One thread.
"""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from tickertape.base.errors import TapeError
from tickertape.base.ports import Clock

_ANSWER_S: Final = 10.0  # how long one question to the cluster may take
_PATIENCE_MS: Final = 60_000  # without any record, end of partition or error
_BATCH: Final = 10_000
_TUNING: Final[dict[str, str | int | bool]] = {
    # librdkafka waits a second when its queue is full, and half a second at the end of a log.
    "fetch.queue.backoff.ms": 2,
    "fetch.wait.max.ms": 50,
    "queued.max.messages.kbytes": 65_536,
    "reconnect.backoff.max.ms": 500,
    "log_level": 0,  # what fails is raised
}


def described_topic_id(kafka: Mapping[str, Any], topic: str, timeout_s: float) -> str:
    """A topic's id in Kafka's own spelling; "" before Kafka 3.1 and where we may not describe."""
    admin = AdminClient({"log_level": 0, **kafka})
    try:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_s)
        found = described[topic].result().topic_id
    except KafkaException:
        return ""
    # librdkafka spells it in plain base64, Kafka and its tools in the URL-safe alphabet.
    return "" if found is None else str(found).replace("+", "-").replace("/", "_")


class TopicError(TapeError):
    """The cluster could not be asked: not reachable, not allowed, or it never answered."""


class TopicReader:
    """One consumer; a context manager. ``kafka`` holds more librdkafka properties (security)."""

    def __init__(
        self,
        bootstrap: str,
        *,
        clock: Clock,
        isolation: str = "read_uncommitted",
        kafka: Mapping[str, str] | None = None,
    ) -> None:
        self._clock = clock
        self._kafka = {**(kafka or {}), "bootstrap.servers": bootstrap}
        self._consumer = Consumer(
            {
                **_TUNING,
                **self._kafka,
                "group.id": "tickertape-reader",  # required by librdkafka, never joined
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": isolation,
                "error_cb": _ignore,  # an unreachable cluster shows as a time-out of the question
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 if there is no such topic."""
        try:
            found = self._consumer.list_topics(topic, timeout=_ANSWER_S).topics.get(topic)
        except KafkaException as caught:
            raise _explained(f"topic {topic}", caught) from caught
        if found is None or found.error is not None:
            return 0
        return len(found.partitions)

    def topic_id(self, topic: str) -> str:
        """The topic's id as manifests spell it; "" where brokers give none."""
        return described_topic_id(self._kafka, topic, _ANSWER_S)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Log start offset and high watermark, asked now."""
        try:
            place = TopicPartition(topic, partition)
            found = self._consumer.get_watermark_offsets(place, timeout=_ANSWER_S)
        except KafkaException as caught:
            raise _explained(f"{topic}-{partition}", caught) from caught
        if found is None:
            raise TopicError(f"{topic}-{partition}: no answer for its offsets")
        return found

    def read(self, topic: str, partition: int, first: int, end: int) -> Iterator[list[Message]]:
        """Every record with ``first <= offset < end``, in lists. Ends early at the log's end."""
        if first >= end:
            return
        self._consumer.assign([TopicPartition(topic, partition, first)])
        position = first
        deadline_ms = self._clock.monotonic_ms() + _PATIENCE_MS
        while position < end:
            found = self._consumer.consume(min(_BATCH, end - position), timeout=0.1)
            if found:
                deadline_ms = self._clock.monotonic_ms() + _PATIENCE_MS
            elif self._clock.monotonic_ms() > deadline_ms:
                raise TopicError(f"{topic}-{partition}: no record after offset {position - 1}")
            records: list[Message] = []
            for message in found:
                offset = message.offset()
                if message.error() is not None:
                    position = max(position, _event(message, end))
                elif offset is not None and offset < end:
                    records.append(message)
                    position = offset + 1
                else:
                    position = end
            if records:
                yield records
        self._consumer.unassign()


def _event(message: Message, end: int) -> int:
    """The position after an event that is no record: the end of the log ends the range."""
    error = message.error()
    assert error is not None
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # confluent-kafka's public name
        return end
    raise TopicError(f"{message.topic()}-{message.partition()}: {error.str()}")


def _explained(what: str, caught: KafkaException) -> TopicError:
    error: Any = caught.args[0]
    return TopicError(f"{what}: {error.str()}")


def _ignore(_error: KafkaError) -> None:
    """Nothing to do: see where it is passed."""
