"""The Source on confluent-kafka (librdkafka): a consumer group member that fences itself.

Membership (group, generation, member id) is remembered at each assignment and compared before each
commit, so that a worker which slept through a rebalance cannot commit for its old partitions.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
)
from confluent_kafka import TopicPartition as Place

from tickertape.base.errors import MisuseError
from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.runtime.source import Arrival, Assignee, Committed
from tickertape.connect.s3.chunk import Chunk
from tickertape.connect.s3.commit import CommitOutcome, GroupError
from tickertape.connect.topic_reader import described_topic_id

_ANSWER_S: Final = 10.0  # how long one question to the cluster may take
_ID_S: Final = 3.0  # for a topic's id, which is worth having and not worth waiting for
_FENCED: Final = frozenset({
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._FENCED,  # noqa: SLF001  # confluent-kafka's public name of a local error code
    KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001  # as above
})  # fmt: skip
_HOPELESS: Final = frozenset({
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.INVALID_COMMIT_OFFSET_SIZE,
    KafkaError.INVALID_GROUP_ID,
    KafkaError._AUTHENTICATION,  # noqa: SLF001  # as above
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001  # as above
    KafkaError._FATAL,  # noqa: SLF001  # as above
})  # fmt: skip
_SILENCE: Final = frozenset({
    KafkaError._TRANSPORT,  # noqa: SLF001  # as above
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  # as above
    KafkaError._TIMED_OUT,  # noqa: SLF001  # as above
})  # fmt: skip


class KafkaSource:
    """One member of one group. Used from one thread, but for ``commit``."""

    def __init__(
        self,
        config: Mapping[str, str | int | bool],
        topics: Sequence[str],
        *,
        with_timestamps: bool,
        note: Callable[[str], None],
    ) -> None:
        self._topics = list(topics)
        self._with_timestamps = with_timestamps
        self._stamped: set[TopicPartition] = set()
        self._note = note
        self._assignee: Assignee | None = None
        self._membership = b""
        self._starts: list[Place] = []
        self._rebalanced = False
        self._missing: set[str] = set()
        self._troubles: set[int] = set()  # codes told since records last came
        self._config = {**config, "error_cb": self._on_error}
        self._consumer = self._connect()

    def _connect(self) -> Consumer:
        while True:
            try:
                return Consumer(self._config)
            except KafkaException as error:
                text = error.args[0].str()
                unknown = text.partition("No such configuration property: ")[2].strip('"')
                if unknown not in self._config:
                    raise MisuseError(f"consumer properties: {text}") from error
                del self._config[unknown]
                self._note(f"consumer property {unknown} is not known to librdkafka: no effect")

    def _on_error(self, error: KafkaError) -> None:
        if error.code() not in self._troubles:
            self._troubles.add(error.code())
            self._note(f"Kafka client: {error.str()}")

    def open(self, assignee: Assignee) -> None:
        """Subscribe; partitions come with the first polls."""
        self._assignee = assignee
        self._consumer.subscribe(
            self._topics,
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    def _on_assign(self, consumer: Consumer, places: list[Place]) -> None:
        assert self._assignee is not None
        self._rebalanced = True
        self._membership = consumer.consumer_group_metadata()
        starts = self._assignee.assigned([_tp(place) for place in places])
        self._starts = [Place(tp.topic, tp.partition, start) for tp, start in starts.items()]
        consumer.assign(self._starts)

    def _on_revoke(self, consumer: Consumer, places: list[Place]) -> None:
        assert self._assignee is not None
        self._rebalanced = True
        self._membership = b""
        self._starts = []
        self._stamped.clear()
        self._assignee.revoked([_tp(place) for place in places])
        consumer.unassign()

    def poll(self, records_max: int, timeout_ms: int) -> Sequence[Arrival]:
        """Records grouped by partition, in order. GroupError when the cluster refuses us."""
        self._rebalanced = False
        messages = self._ask(lambda: self._consumer.consume(records_max, timeout_ms / 1000))
        if self._rebalanced:
            # What is in the list may have been read before the partitions changed hands and back:
            # after a gap that would look like compaction. Read it again.
            if messages and self._starts:
                self._consumer.assign(self._starts)
            return []
        if messages:
            self._troubles.clear()
        if any(map(Message.error, messages)):
            return self._mixed(messages)
        return self._records(messages)

    def _records(self, messages: Sequence[Message]) -> list[Arrival]:
        if len(self._topics) == 1 and not self._topics[0].startswith("^"):
            topic = TopicName(self._topics[0])
            runs = groupby(messages, Message.partition)
            return [self._arrival(topic, number, list(run)) for number, run in runs]
        places = groupby(messages, lambda message: (message.topic(), message.partition()))
        return [self._arrival(topic, number, list(run)) for (topic, number), run in places]

    def _arrival(self, topic: Any, number: Any, run: list[Message]) -> Arrival:  # noqa: ANN401  # confluent's accessors are typed Optional
        first, last = run[0].offset(), run[-1].offset()
        assert first is not None
        assert last is not None
        dense = last - first + 1 == len(run)
        offsets = range(first, last + 1) if dense else [int(m.offset() or 0) for m in run]
        values: list[bytes | None] = list(map(Message.value, run))
        tp = TopicPartition(TopicName(topic), PartitionIndex(number))
        stamped = self._with_timestamps or tp in self._stamped
        stamps = [message.timestamp()[1] for message in run] if stamped else ()
        return Arrival(tp, Chunk(offsets, values, stamps))

    def _mixed(self, messages: Sequence[Message]) -> list[Arrival]:
        arrivals: list[Arrival] = []
        for failed, run in groupby(messages, lambda message: message.error() is not None):
            if not failed:
                arrivals += self._records(list(run))
                continue
            arrivals += [end for message in run if (end := self._event(message))]
        return arrivals

    def _event(self, message: Message) -> Arrival | None:
        error = message.error()
        assert error is not None
        topic = message.topic() or ""
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # confluent-kafka's public name
            tp = TopicPartition(TopicName(topic), PartitionIndex(message.partition() or 0))
            return Arrival(tp, end=message.offset())
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001  # as above
            raise GroupError(
                f"{topic}-{message.partition()}: the next offset is no longer in the topic:"
                " retention overtook the backup. Start again to see what was lost and to go on"
                f" after it ({error.str()})",
                retriable=False,
            )
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            if topic not in self._missing:
                self._missing.add(topic)
                self._note(f"topic {topic} does not exist yet: waiting for it")
            return None
        if error.code() == KafkaError._MAX_POLL_EXCEEDED:  # noqa: SLF001  # as above
            self._note(f"{error.str()}: the group gave our partitions away; joining again")
            return None
        explained = _explained(error)
        if not explained.retriable:
            raise explained
        self._note(str(explained))  # librdkafka goes on trying
        return None

    def commit(self, tp: TopicPartition, offset: int, metadata: str) -> CommitOutcome:
        """Synchronous OffsetCommit; see Group.commit."""
        if not self._is_member():
            return CommitOutcome.FENCED
        place = Place(tp.topic, tp.partition, offset, metadata=metadata)
        try:
            (done,) = self._consumer.commit(offsets=[place], asynchronous=False)
        except KafkaException as caught:
            error = caught.args[0]
        else:
            if done.error is None:
                # librdkafka keeps a commit back while there is no coordinator. Had we been expelled
                # meanwhile, it went out without a generation, which a group without members takes.
                return CommitOutcome.DONE if self._is_member() else CommitOutcome.FENCED
            error = done.error
        if error.code() in _FENCED:
            return CommitOutcome.FENCED
        if error.code() == KafkaError.OFFSET_METADATA_TOO_LARGE:
            return CommitOutcome.TOO_LONG
        raise _explained(error)

    def _is_member(self) -> bool:
        """Whether we are in the group as we were at the assignment."""
        membership = self._membership
        return bool(membership) and self._consumer.consumer_group_metadata() == membership

    def keep_timestamps(self, tp: TopicPartition) -> None:
        """For a flush that was begun under other settings."""
        self._stamped.add(tp)

    def pause(self, tp: TopicPartition) -> None:
        """Stop fetching; what librdkafka holds of it is dropped."""
        self._consumer.pause([Place(tp.topic, tp.partition)])

    def resume(self, tp: TopicPartition) -> None:
        """Fetch on after the last record returned."""
        self._consumer.resume([Place(tp.topic, tp.partition)])

    def committed(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        """Offsets and metadata of the group, asked now."""
        places = [Place(tp.topic, tp.partition) for tp in tps]
        found = self._ask(lambda: self._consumer.committed(places, timeout=_ANSWER_S))
        for place in found:
            if place.error is not None:
                raise _explained(place.error)
        return {
            _tp(place): Committed(
                None if place.offset == OFFSET_INVALID else place.offset, place.metadata or ""
            )
            for place in found
        }

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """Log start offset and high watermark, asked now."""
        place = Place(tp.topic, tp.partition)
        found = self._ask(lambda: self._consumer.get_watermark_offsets(place, timeout=_ANSWER_S))
        if found is None:
            raise GroupError(f"{tp}: no answer for its offsets", retriable=True)
        low, high = found
        return low, high

    def topic_id(self, topic: str) -> str:
        """As the cluster describes the topic; "" before Kafka 3.1 and where we may not describe."""
        return described_topic_id(_client_part(self._config), topic, _ID_S)

    def topics_missing(self, timeout_ms: int) -> list[str]:
        """Which of the subscribed topics (patterns aside) the cluster does not have."""
        try:
            known = self._consumer.list_topics(timeout=timeout_ms / 1000).topics
        except KafkaException as caught:
            if caught.args[0].code() not in _SILENCE:
                raise _explained(caught.args[0]) from caught
            bootstrap = self._config["bootstrap.servers"]
            raise GroupError(f"no broker answers at {bootstrap}", retriable=True) from caught
        return [topic for topic in self._topics if topic not in known and topic[0] != "^"]

    def close(self) -> None:
        """Leave the group at once, without a commit."""
        self._consumer.close()

    def _ask(self, question: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever the question gives
        try:
            return question()
        except KafkaException as caught:
            raise _explained(caught.args[0]) from caught


def _tp(place: Place) -> TopicPartition:
    return TopicPartition(TopicName(place.topic), PartitionIndex(place.partition))


def _explained(error: KafkaError) -> GroupError:
    hopeless = error.code() in _HOPELESS or error.fatal()
    return GroupError(f"Kafka: {error.name()}: {error.str()}", retriable=not hopeless)


_CLIENT_NAMES: Final = (
    "log_level",
    "bootstrap.",
    "client.",
    "security.",
    "ssl.",
    "sasl.",
    "socket.",
    "broker.",
)


def _client_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """What an admin client understands of a consumer's configuration."""
    return {name: value for name, value in config.items() if name.startswith(_CLIENT_NAMES)}
