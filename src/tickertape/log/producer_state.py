"""What one partition knows of its idempotent producers (Kafka: ProducerStateManager).

The rules, in this order (ProducerAppendInfo, KIP-98, KIP-360):
1. same epoch and exactly the first and last sequence of one of the last five batches: a
   duplicate, answered with the offset it got the first time;
2. an older epoch than the newest seen: INVALID_PRODUCER_EPOCH;
3. a newer epoch: the first sequence must be 0, and the older epoch's batches are forgotten;
4. a producer not known here (never seen, or expired): any sequence is accepted;
5. otherwise the first sequence must follow the last one, and 0 follows 2147483647.

``check`` changes nothing; ``record`` is called once the batch is in the log.
"""

from typing import Final, NamedTuple

from tickertape.log.transactions import Marker, Transactions
from tickertape.wire.error_codes import ErrorCode

BATCHES_KEPT: Final = 5
_TRANSACTIONAL: Final = 0x10
_I32_MAX: Final = 0x7FFFFFFF


class Batch(NamedTuple):
    """One batch of a producer. ``timestamp`` is its largest, in ms."""

    first_sequence: int
    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int

    @property
    def base_offset(self) -> int:
        """The offset of its first record."""
        return self.last_offset - self.offset_delta


class Refused(NamedTuple):
    """Why a batch may not be appended."""

    error: ErrorCode
    message: str


class Producer:
    """State of one producer id. ``batches`` are oldest first, at most ``BATCHES_KEPT``.

    ``last_timestamp`` is the newest batch's own (Kafka stores that one); ``seen_ms`` is the wall
    clock when it was appended, and decides about expiry: record timestamps may be years old.
    """

    __slots__ = (
        "batches",
        "coordinator_epoch",
        "epoch",
        "first_offset_of_transaction",
        "last_timestamp",
        "seen_ms",
    )

    def __init__(self, epoch: int, seen_ms: int) -> None:
        """A producer of which no batch is known."""
        self.epoch = epoch
        self.batches: list[Batch] = []
        self.last_timestamp = -1
        self.seen_ms = seen_ms
        self.coordinator_epoch = -1
        self.first_offset_of_transaction = -1


class ProducerStates:
    """All producers of one partition, by id."""

    __slots__ = ("by_id", "transactions")

    def __init__(self) -> None:
        """Nobody yet."""
        self.by_id: dict[int, Producer] = {}
        self.transactions = Transactions()

    def check(
        self, producer_id: int, epoch: int, first_sequence: int, delta: int
    ) -> Batch | Refused | None:
        """None: append it. Batch: a duplicate of this one. Refused: the answer."""
        producer = self.by_id.get(producer_id)
        if producer is None:
            return None
        wanted = 0
        if epoch == producer.epoch:
            last_sequence = (first_sequence + delta) & _I32_MAX
            for batch in producer.batches:
                if batch[0] == first_sequence and batch[1] == last_sequence:
                    return batch
            if producer.batches:
                wanted = (producer.batches[-1][1] + 1) & _I32_MAX
        elif epoch < producer.epoch:
            return _too_old(producer_id, epoch, producer)
        if first_sequence == wanted:
            return None
        return Refused(
            ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
            f"producer {producer_id}, epoch {epoch}: sequence {first_sequence}, want {wanted}",
        )

    def judge(self, header: tuple[int, ...]) -> Batch | Refused | None:
        """``check`` for a batch header as it is unpacked; also whether it must be transactional."""
        producer_id, epoch, sequence = header[9:12]
        if sequence < 0:
            return self.check_unnumbered(producer_id, epoch)
        verdict = self.check(producer_id, epoch, sequence, header[6])
        if verdict is not None or header[5] & _TRANSACTIONAL:
            return verdict
        if producer_id not in self.transactions.open:
            return None
        message = f"producer {producer_id} has a transaction open here, want transactional records"
        return Refused(ErrorCode.INVALID_TXN_STATE, message)

    def check_unnumbered(self, producer_id: int, epoch: int) -> Refused | None:
        """The same for a batch without sequence numbers: a marker, or the broker's own records."""
        producer = self.by_id.get(producer_id)
        if producer is not None and epoch < producer.epoch:
            return _too_old(producer_id, epoch, producer)
        return None

    def check_marker(
        self, producer_id: int, epoch: int, coordinator_epoch: int, *, bumped: bool
    ) -> Refused | None:
        """The same for a marker.

        ``bumped``: a late one of the transaction before does not end the one that is open, whose
        epoch it has. Where none is open it is a repetition, and harmless (KAFKA-19999).
        """
        producer = self.by_id.get(producer_id)
        if producer is None:
            return None
        is_open = producer.first_offset_of_transaction >= 0
        if epoch < producer.epoch or (bumped and is_open and epoch == producer.epoch):
            return _too_old(producer_id, epoch, producer)
        if 0 <= coordinator_epoch < producer.coordinator_epoch:
            return Refused(
                ErrorCode.TRANSACTION_COORDINATOR_FENCED,
                f"coordinator epoch {coordinator_epoch}, want {producer.coordinator_epoch}",
            )
        return None

    def record(
        self, producer_id: int, epoch: int, batch: Batch, now_ms: int, *,
        transactional: bool = False,
    ) -> None:  # fmt: skip
        """The batch is in the log. Without sequence numbers (-1) no retry will ask for it."""
        producer = self.by_id.get(producer_id)
        if producer is None:
            producer = self.by_id[producer_id] = Producer(epoch, now_ms)
        elif producer.epoch != epoch:
            producer.epoch = epoch
            producer.batches.clear()
        batches = producer.batches
        if batch[0] >= 0:
            batches.append(batch)
            if len(batches) > BATCHES_KEPT:
                del batches[0]
        if transactional and producer.first_offset_of_transaction < 0:
            producer.first_offset_of_transaction = batch.base_offset
            self.transactions.begin(producer_id, batch.base_offset)
        producer.last_timestamp = batch[4]
        producer.seen_ms = now_ms

    def expect(self, producer_id: int, epoch: int, now_ms: int) -> None:
        """Its first batch could not be written: the second, in flight already, is not the first."""
        if producer_id not in self.by_id:
            self.by_id[producer_id] = Producer(epoch, now_ms)

    def fence(self, producer_id: int, epoch: int, timestamp: int, now_ms: int) -> None:
        """A control batch of this epoch is in the log: older epochs may not write any more."""
        producer = self.by_id.get(producer_id)
        if producer is None:
            producer = self.by_id[producer_id] = Producer(epoch, now_ms)
        elif producer.epoch != epoch:
            producer.epoch = epoch
            producer.batches.clear()
        producer.last_timestamp = timestamp
        producer.seen_ms = now_ms

    def end_transaction(
        self,
        owner: tuple[int, int],
        marker_offset: int,
        marker: Marker,
        timestamp: int,
        now_ms: int,
    ) -> None:
        """A marker is in the log."""
        producer_id, epoch = owner
        self.fence(producer_id, epoch, timestamp, now_ms)
        producer = self.by_id[producer_id]
        producer.coordinator_epoch = max(producer.coordinator_epoch, marker.coordinator_epoch)
        producer.first_offset_of_transaction = -1
        self.transactions.end(producer_id, marker_offset, committed=marker.committed)

    def resume_transactions(self) -> None:
        """The producers come from a file: those that it says are in a transaction, are."""
        for producer_id, producer in self.by_id.items():
            if producer.first_offset_of_transaction >= 0:
                self.transactions.begin(producer_id, producer.first_offset_of_transaction)

    def expire(self, now_ms: int, expiration_ms: int) -> list[int]:
        """Forget producers that were silent for ``expiration_ms``; returns their ids."""
        gone = [
            producer_id
            for producer_id, producer in self.by_id.items()
            if now_ms - producer.seen_ms >= expiration_ms
            and producer.first_offset_of_transaction < 0
        ]
        for producer_id in gone:
            del self.by_id[producer_id]
        return gone


def _too_old(producer_id: int, epoch: int, producer: Producer) -> Refused:
    return Refused(
        ErrorCode.INVALID_PRODUCER_EPOCH,
        f"producer {producer_id}: epoch {epoch}, want at least {producer.epoch}",
    )
