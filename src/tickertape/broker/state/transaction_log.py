"""The transaction log: where in ``__transaction_state`` an id lives, appending there, reading it.

Also appends the markers that end a transaction, wherever it has written.
"""

from collections.abc import Callable, Iterator

from tickertape.base.errors import StorageError
from tickertape.base.ports import Clock, Rng
from tickertape.broker.state.durability import Durability
from tickertape.broker.state.internal_log import replay_log
from tickertape.broker.state.offsets import Commit, partition_for
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.topic_ids import random_topic_id
from tickertape.broker.state.topics import TRANSACTIONS_TOPIC, Topic, TopicRegistry
from tickertape.broker.state.transaction import State, TopicIndex, Transaction
from tickertape.broker.state.transaction_records import read_transactions, transaction_record
from tickertape.broker.state.waits import Partition, Waiter
from tickertape.wire.error_codes import ErrorCode


class TransactionLog:
    """Appends to and reads ``__transaction_state``, which it creates when first needed."""

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
        topic = self._topics.get(TRANSACTIONS_TOPIC)
        if topic is None:
            topic = self._topics.create(
                TRANSACTIONS_TOPIC,
                random_topic_id(self._rng),
                self._settings.transaction_state_log_num_partitions,
                {
                    "cleanup.policy": "compact",
                    "compression.type": "producer",
                    "segment.bytes": str(self._settings.transaction_state_log_segment_bytes),
                },
            )
        return topic

    def store(
        self,
        transaction: Transaction,
        settled: Callable[[ErrorCode], None],
        done: Callable[[ErrorCode], None],
    ) -> None:
        """Append its record. ``settled``: it is durable, or failed; ``done``: perhaps sooner."""
        deadline_ms = self._clock.monotonic_ms() + self._settings.offsets_commit_timeout_ms
        waiter = Commit(self._durability, deadline_ms, settled, done)
        try:
            partition = self._partition_of(transaction.transactional_id)
        except StorageError as error:
            waiter.settle(0, ErrorCode.KAFKA_STORAGE_ERROR, str(error))
            return
        record = transaction_record(transaction)
        result = partition.log.append_internal([record], self._clock.now_ms())
        if result.error is not ErrorCode.NONE:
            waiter.settle(0, result.error, result.message)
            partition.settle()
            return
        self._durability.appended(partition)
        if partition.log.durable_offset <= result.last_offset:
            self._durability.waits.add(waiter)
        self._durability.wait(partition, result.last_offset + 1, waiter, 0)

    def mark(self, transaction: Transaction, where: TopicIndex, waiter: Waiter, slot: int) -> None:
        """Append its marker there; ``slot`` of ``waiter`` is settled when that is durable.

        The coordinator epoch in it is the leader epoch of the id's own partition.
        """
        try:
            epoch = self._partition_of(transaction.transactional_id).log.leader_epoch
            partition = self._topics.partition(*where)
        except StorageError as error:
            waiter.settle(slot, ErrorCode.KAFKA_STORAGE_ERROR, str(error))
            return
        if partition is None:
            waiter.settle(slot, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, None)
            return
        result = partition.log.append_marker(
            (transaction.producer_id, transaction.epoch),
            committed=transaction.state is State.PREPARE_COMMIT,
            coordinator_epoch=epoch,
            now_ms=self._clock.now_ms(),
        )
        if result.error is not ErrorCode.NONE:
            waiter.settle(slot, result.error, result.message)
            return
        self._durability.appended(partition)
        self._durability.wait(partition, result.last_offset + 1, waiter, slot)

    def replay(self) -> Iterator[tuple[str, Transaction | None]]:
        """Everything that the log says, partition by partition, oldest first."""
        topic = self._topics.get(TRANSACTIONS_TOPIC)
        for partition in topic.partitions if topic is not None else ():
            if partition is not None:
                for stored in replay_log(partition.log):
                    yield from read_transactions(stored.records)

    def _partition_of(self, transactional_id: str) -> Partition:
        topic = self.ensure_topic()
        index = partition_for(transactional_id, len(topic.partitions))
        partition = self._topics.partition(TRANSACTIONS_TOPIC, index)
        assert partition is not None
        return partition
