"""The transaction log, and the markers that end a transaction, wherever it has written."""

from collections.abc import Callable, Iterator

from tickertape.base.errors import StorageError
from tickertape.base.ports import Clock, Rng
from tickertape.broker.state.durability import Durability
from tickertape.broker.state.internal_log import Commit, InternalLog, InternalTopic
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.topics import TRANSACTIONS_TOPIC, TopicRegistry
from tickertape.broker.state.transaction import V2, Owner, State, TopicIndex, Transaction
from tickertape.broker.state.transaction_records import read_transactions, transaction_record
from tickertape.broker.state.waits import Waiter
from tickertape.log.transactions import Marker
from tickertape.wire.error_codes import ErrorCode


class TransactionLog(InternalLog):
    """``__transaction_state``; its key is the transactional id."""

    def __init__(
        self,
        settings: BrokerSettings,
        topics: TopicRegistry,
        durability: Durability,
        clock: Clock,
        rng: Rng,
    ) -> None:
        topic = InternalTopic(
            name=TRANSACTIONS_TOPIC,
            partitions=settings.transaction_state_log_num_partitions,
            segment_bytes=settings.transaction_state_log_segment_bytes,
            timeout_ms=settings.offsets_commit_timeout_ms,
        )
        super().__init__(topic, topics, durability, clock, rng)

    def store(
        self,
        transaction: Transaction,
        settled: Callable[[ErrorCode], None],
        done: Callable[[ErrorCode], None],
    ) -> None:
        """Append its record. ``settled``: it is durable, or failed; ``done``: perhaps sooner."""
        waiter = Commit(self._durability, self.deadline_ms(), settled, done)
        self.append(transaction.transactional_id, [transaction_record(transaction)], waiter)

    def mark(self, transaction: Transaction, where: TopicIndex, waiter: Waiter, slot: int) -> None:
        """Append its marker there; ``slot`` of ``waiter`` is settled when that is durable.

        The coordinator epoch in it is the leader epoch of the id's own partition.
        """
        try:
            epoch = self.partition_of(transaction.transactional_id).log.leader_epoch
        except StorageError as error:
            waiter.settle(slot, ErrorCode.KAFKA_STORAGE_ERROR, str(error))
            return
        marker = Marker(transaction.state is State.PREPARE_COMMIT, epoch)
        owner = (transaction.producer_id, transaction.epoch)
        bumped = transaction.client_version >= V2 and transaction.last_epoch < transaction.epoch
        self.append_marker(owner, marker, where, waiter, slot, bumped=bumped)

    def append_marker(
        self, owner: Owner, marker: Marker, where: TopicIndex, waiter: Waiter, slot: int, *,
        bumped: bool,
    ) -> None:  # fmt: skip
        """Append any marker; ``bumped``: of v2, its epoch is that after the transaction's."""
        try:
            partition = self._topics.partition(*where)
        except StorageError as error:
            waiter.settle(slot, ErrorCode.KAFKA_STORAGE_ERROR, str(error))
            return
        if partition is None:
            waiter.settle(slot, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, None)
            return
        result = partition.log.append_marker(
            owner, marker, now_ms=self._clock.now_ms(), bumped=bumped
        )
        if result.error is not ErrorCode.NONE:
            waiter.settle(slot, result.error, result.message)
            return
        self._durability.appended(partition)
        self._durability.wait(partition, result.last_offset + 1, waiter, slot)

    def watch(self, waiter: Waiter) -> None:
        """Let its deadline count, though it waits for no record."""
        self._durability.waits.add(waiter)

    def forget(self, waiter: Waiter) -> None:
        """It has its answer."""
        self._durability.waits.remove(waiter)

    def transactions(self) -> Iterator[tuple[str, Transaction | None]]:
        """Everything that the log says, partition by partition, oldest first."""
        for _, stored in self.replay():
            yield from read_transactions(stored.records)
