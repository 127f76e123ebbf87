"""Produce (key 0), versions 3 to 13. Advertised from 0 (KAFKA-18659), as Kafka 4 does.

Behaviour. One batch of magic 2 per partition; each partition succeeds or fails alone. acks=-1
answers when the records are on disk, acks=1 when they are written, acks=0 never (on an error the
connection is closed). A retry of one of an idempotent producer's last five batches is answered
with the offset it got first, and not before that is durable. An unknown topic is not created
here: producers create topics through Metadata. When timeoutMs passes before the disk has
answered: REQUEST_TIMED_OUT, and the records may be there. A failed log: KAFKA_STORAGE_ERROR with
its reason, also to those who wait.

A transactional batch is appended only if its transaction is open, of this epoch, and holds the
partition; this is looked up in the same turn. Else INVALID_TXN_STATE (from version 11
TRANSACTION_ABORTABLE), INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING, or, while the last
transaction is being completed, NOT_ENOUGH_REPLICAS: again, please.

Versions. 0 to 2 (message sets of magic 0 and 1) close the connection: they are advertised only
because librdkafka before 2.11.1 decides by the lowest version whether it may compress at all. 3
adds the transactional id, 7 zstd (KIP-110), 8 error messages (KIP-467), 9 is flexible (KIP-482),
10 the current leader in tags (KIP-951; never needed on one node), 11 TRANSACTION_ABORTABLE, 12
implicit AddPartitions (KIP-890): the partitions of a transactional request become part of the
transaction on the way, durably before a record is written. A request that must wait for that, or
for the end of the last transaction, waits a second at most: CONCURRENT_TRANSACTIONS. A producer of
which the partition knows nothing must begin with sequence 0. 13 has topics by id (KIP-516): an id
that is not known is UNKNOWN_TOPIC_ID.

recordErrors (KIP-467, from version 8) name the records that have no key on a compacted topic
(INVALID_RECORD) or a timestamp out of range (INVALID_TIMESTAMP).

Deviations. At most 1,000 record errors are named. The largest timestamp that the batch's header
claims is believed, so the records are looked at only where it, or the topic's configs, ask for it;
and there a batch of more than 2^20 records is MESSAGE_TOO_LARGE.
"""

from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from tickertape.base.errors import PeerError, StorageError
from tickertape.broker.api.outcome import Request
from tickertape.broker.api.rights import denied_topics, may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.quotas import PRODUCER
from tickertape.broker.state.topics import INTERNAL_TOPICS
from tickertape.broker.state.transaction import TopicIndex
from tickertape.broker.state.waits import Partition
from tickertape.log.results import AppendResult
from tickertape.wire.batch import BATCH_OVERHEAD, MAGIC
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import RequestHeader, response_prefix
from tickertape.wire.produce import (
    PartitionProduce,
    PartitionProduced,
    ProduceRequest,
    TopicKey,
    read_produce_request,
    write_produce_response,
)

_NONE: Final = ErrorCode.NONE
_UNTOLD: Final = (
    ErrorCode.CORRUPT_MESSAGE,
    ErrorCode.KAFKA_STORAGE_ERROR,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.RECORD_LIST_TOO_LARGE,
)
"""Refusals that do not say where the log starts (Kafka: ReplicaManager.appendRecordsToLocalLog)."""
_FIRST_SERVED: Final = 3
_FIRST_ZSTD: Final = 7
_ZSTD: Final = 4
_MAGIC_AT: Final = 16
_ATTRIBUTES_LOW_AT: Final = 22
_COMPRESSION_BITS: Final = 0x07
_TRANSACTIONAL_BIT: Final = 0x10
_FIRST_ABORTABLE: Final = 11
_FIRST_IMPLICIT: Final = 12
_OWNER: Final = Struct(">qhi")  # producer id, epoch, first sequence
_OWNER_AT: Final = 43

Produced: TypeAlias = list[tuple[TopicKey, list[PartitionProduced]]]
Denied: TypeAlias = dict[str, ErrorCode]
"""By topic, why the client may not write to it."""
_NOTHING_DENIED: Final[Denied] = {}
Unsure: TypeAlias = list[tuple[Partition, int, PartitionProduced]]
"""Written, perhaps not durable: partition, the offset after the batch, its place in Produced."""


class Writer(NamedTuple):
    """What a request says of its batches, and what its transaction says of it."""

    version: int
    transactional_id: str | None
    outside: ErrorCode


def produce(broker: Broker, request: Request, call: Call) -> None:
    """Append, then answer now or once it is durable."""
    header = request.header
    version = header.api_version
    if version < _FIRST_SERVED:
        raise PeerError(f"produce version {version} is not served, want {_FIRST_SERVED} or later")
    ask = read_produce_request(request.frame, request.at, version)
    if broker.quotas.is_active:
        who = call.session.principal
        spent = len(request.frame)
        call.throttle_ms = broker.quotas.charge(PRODUCER, who, header.client_id, spent)
    denied = _NOTHING_DENIED if broker.authorizer is None else _denied(broker, call, ask)
    transactional_id = ask.transactional_id
    if version < _FIRST_IMPLICIT or transactional_id is None:
        _produce(broker, header, call, ask, (_NONE, denied))
        return
    owner, partitions = _transactional(broker, ask, denied)
    if owner is None or broker.transactions.admits(transactional_id, owner, partitions):
        _produce(broker, header, call, ask, (_NONE, denied))
        return
    kept = read_produce_request(memoryview(bytes(request.frame)), request.at, version)
    broker.transactions.admit(
        transactional_id,
        owner,
        partitions,
        lambda error: _produce(broker, header, call, kept, (error, denied)),
    )


def _denied(broker: Broker, call: Call, ask: ProduceRequest) -> Denied:
    """The topics that the client may not write to; all of them, if not under that id."""
    names = [name for key, _ in ask.topics if (name := broker.topics.name_of(key)) is not None]
    if any(_is_transactional(part.records) for _, parts in ask.topics for part in parts):
        kind, user = Resource.TRANSACTIONAL_ID, ask.transactional_id
        if user is None or not may(broker, call, Operation.WRITE, kind, user):
            return dict.fromkeys(names, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    denied = denied_topics(broker, call, Operation.WRITE, names)
    return dict.fromkeys(denied, ErrorCode.TOPIC_AUTHORIZATION_FAILED)


def _is_transactional(batch: memoryview | None) -> bool:
    return (
        batch is not None
        and len(batch) > _ATTRIBUTES_LOW_AT
        and batch[_ATTRIBUTES_LOW_AT] & _TRANSACTIONAL_BIT != 0
    )


def _produce(
    broker: Broker, header: RequestHeader, call: Call, ask: ProduceRequest,
    refusals: tuple[ErrorCode, Denied],
) -> None:  # fmt: skip
    """``refusals``: why the partitions are not in the transaction; topics that are forbidden."""
    outside, denied = refusals
    acks = ask.acks
    refusal = _refusal(broker, acks)
    produced: Produced = []
    unsure: Unsure = []
    now_ms = broker.clock.now_ms()
    writer = Writer(header.api_version, ask.transactional_id, outside)
    for key, parts in ask.topics:
        outs: list[PartitionProduced] = []
        produced.append((key, outs))
        topic = broker.topics.name_of(key)
        for part in parts:
            out = PartitionProduced(part.index, _NONE)
            outs.append(out)
            if refusal is not None:
                out.error, out.error_message = refusal
                continue
            if topic is None:
                out.error = ErrorCode.UNKNOWN_TOPIC_ID
                continue
            if topic in denied:
                out.error = denied[topic]
                continue
            written = _append(broker, topic, part, out, now_ms, writer)
            if written is not None:
                unsure.append((*written, out))
    if acks == -1:
        unsure = [entry for entry in unsure if entry[0].log.durable_offset < entry[1]]
        if unsure:
            WaitingProduce(broker, header, call, produced, unsure).start(ask.timeout_ms)
            return
    elif acks == 0:
        _finish_silently(call, produced)
        return
    _answer(call, header, produced)


def _transactional(
    broker: Broker, ask: ProduceRequest, denied: Denied
) -> tuple[tuple[int, int] | None, list[TopicIndex]]:
    """Whose transactional batches these are, if there are any, and the partitions they are for."""
    owner = None
    partitions = []
    for key, parts in ask.topics:
        topic = broker.topics.name_of(key)
        for part in parts:
            batch = part.records
            if topic is None or batch is None or len(batch) < BATCH_OVERHEAD:
                continue
            if topic in denied:
                continue
            if batch[_ATTRIBUTES_LOW_AT] & _TRANSACTIONAL_BIT and broker.topics.has(
                topic, part.index
            ):
                producer_id, epoch, _ = _OWNER.unpack_from(batch, _OWNER_AT)
                owner = owner or (producer_id, epoch)
                partitions.append((topic, part.index))
    return owner, partitions


class WaitingProduce:
    """A Waiter: some of its records are not on disk yet. A slot is an entry of ``unsure``."""

    __slots__ = ("_broker", "_call", "_header", "_left", "_produced", "_unsure", "deadline_ms")

    def __init__(
        self, broker: Broker, header: RequestHeader, call: Call, produced: Produced,
        unsure: Unsure,
    ) -> None:  # fmt: skip
        self.deadline_ms = 0
        self._broker = broker
        self._header = header
        self._call = call
        self._produced = produced
        self._unsure = unsure
        self._left = len(unsure)  # 0 once answered

    def start(self, timeout_ms: int) -> None:
        """Wait until every partition is durable, but no longer than the client does."""
        self.deadline_ms = self._broker.clock.monotonic_ms() + max(timeout_ms, 0)
        durability = self._broker.durability
        durability.waits.add(self)
        for slot, (partition, until, _) in enumerate(self._unsure):
            durability.wait(partition, until, self, slot)

    def settle(self, slot: int, error: ErrorCode, message: str | None) -> None:
        """One partition is done."""
        if not self._left:
            return  # it took too long, and has been answered
        self._left -= 1
        if error is not _NONE:
            _refuse(self._unsure[slot][2], error, message)
        if not self._left:
            self._broker.durability.waits.remove(self)
            _answer(self._call, self._header, self._produced)

    def expire(self) -> None:
        """The client's timeout has passed: its records are written, and maybe durable."""
        self._left = 0
        for partition, until, out in self._unsure:
            if out.error == _NONE and partition.log.durable_offset < until:
                _refuse(out, ErrorCode.REQUEST_TIMED_OUT, "the disk has not confirmed the write")
        _answer(self._call, self._header, self._produced)


def _refusal(broker: Broker, acks: int) -> tuple[ErrorCode, str] | None:
    """A reason to refuse all partitions alike."""
    if acks not in {-1, 0, 1}:
        return ErrorCode.INVALID_REQUIRED_ACKS, f"acks {acks}; want -1, 0 or 1"
    waits_max = broker.settings.produce_waits_max
    if len(broker.durability.waits) >= waits_max:
        return (
            ErrorCode.NOT_ENOUGH_REPLICAS,  # retriable, and promises that nothing was appended
            f"{waits_max} requests wait for the disk already",
        )
    return None


def _append(
    broker: Broker, topic: str, part: PartitionProduce, out: PartitionProduced,
    now_ms: int, writer: Writer,
) -> tuple[Partition, int] | None:  # fmt: skip
    """Append one partition's batch; (partition, offset after it) if that worked, else ``out``."""
    try:
        partition = broker.topics.partition(topic, part.index)
    except StorageError as error:
        _refuse(out, ErrorCode.KAFKA_STORAGE_ERROR, str(error))
        return None
    records = part.records
    if partition is None:
        _refuse(out, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, None)
        return None
    if records is None or topic in INTERNAL_TOPICS:
        _refuse(out, *_not_writable(topic))
        return None
    refusal = _batch_refusal(records, writer.version) or _transaction_refusal(
        broker, partition, records, writer
    )
    log = partition.log
    if refusal is not None:
        _refuse(out, *refusal)
        if refusal[0] is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER:
            out.log_start_offset = log.log_start_offset
        return None
    result = log.append(records, now_ms)
    if result.error is not _NONE:
        _refused_by_log(broker, partition, records, result, out)
        return None
    if not result.duplicate:
        partition.records_in += result.last_offset - result.base_offset + 1
        partition.bytes_in += len(records)
        broker.durability.appended(partition)
    out.base_offset = result.base_offset
    out.log_append_time_ms = result.log_append_time_ms
    out.log_start_offset = log.log_start_offset
    return partition, result.last_offset + 1


def _refused_by_log(
    broker: Broker, partition: Partition, records: memoryview, result: AppendResult,
    out: PartitionProduced,
) -> None:  # fmt: skip
    if result.error is ErrorCode.KAFKA_STORAGE_ERROR:
        broker.storage_refused(partition, str(result.message))
    if partition.waiting:
        partition.settle()  # if the log has failed, nobody waits for it in vain
    _refuse(out, result.error, result.message)
    out.record_errors = result.record_errors
    if result.error not in _UNTOLD and _is_one_batch(records):
        out.log_start_offset = partition.log.log_start_offset


def _is_one_batch(records: memoryview) -> bool:
    """What is not so never gets as far as the log in Kafka."""
    length = int.from_bytes(records[8:12], "big")
    return len(records) == length + 12 and records[_MAGIC_AT] == MAGIC


def _not_writable(topic: str) -> tuple[ErrorCode, str]:
    if topic in INTERNAL_TOPICS:
        return ErrorCode.INVALID_TOPIC_EXCEPTION, f"{topic} is the broker's own"
    return ErrorCode.INVALID_RECORD, "got no records, want one record batch"


def _batch_refusal(records: memoryview, version: int) -> tuple[ErrorCode, str] | None:
    """What the log does not know about a batch: who may write it, and in which version."""
    if len(records) <= _ATTRIBUTES_LOW_AT:
        return ErrorCode.INVALID_RECORD, f"got {len(records)} bytes, want one record batch"
    attributes = records[_ATTRIBUTES_LOW_AT]
    if records[_MAGIC_AT] != MAGIC:
        return None  # the log says so; there are no attributes
    if version < _FIRST_ZSTD and attributes & _COMPRESSION_BITS == _ZSTD:
        return ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce version 7 or later"
    return None


def _transaction_refusal(
    broker: Broker, partition: Partition, records: memoryview, writer: Writer
) -> tuple[ErrorCode, str] | None:
    """None if it is not transactional, or of an open transaction that holds the partition."""
    if records[_MAGIC_AT] != MAGIC or not records[_ATTRIBUTES_LOW_AT] & _TRANSACTIONAL_BIT:
        return None
    version, transactional_id, error = writer
    if len(records) < BATCH_OVERHEAD:
        return ErrorCode.CORRUPT_MESSAGE, f"batch of {len(records)} bytes, want at least 61"
    if transactional_id is None:
        return (
            ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            "transactional records, but the request has no transactional id",
        )
    producer_id, epoch, sequence = _OWNER.unpack_from(records, _OWNER_AT)
    if error is _NONE:
        where = (partition.topic, partition.index)
        error = broker.transactions.may_write(transactional_id, (producer_id, epoch), where)
    if error is not _NONE:
        error = _as_known(error, version)
        return error, f"{transactional_id!r} may not write here now: {error.name}"
    if version >= _FIRST_IMPLICIT and sequence and producer_id not in partition.log.producers.by_id:
        return (
            ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
            f"producer {producer_id} is not known here: sequence {sequence}, want 0",
        )
    return None


def _as_known(error: ErrorCode, version: int) -> ErrorCode:
    """The error that a client of this version acts on."""
    if error is ErrorCode.INVALID_TXN_STATE and version >= _FIRST_ABORTABLE:
        return ErrorCode.TRANSACTION_ABORTABLE
    if error is ErrorCode.NOT_ENOUGH_REPLICAS and version >= _FIRST_IMPLICIT:
        return ErrorCode.CONCURRENT_TRANSACTIONS
    return error


def _refuse(out: PartitionProduced, error: ErrorCode, message: str | None) -> None:
    out.error = error
    out.error_message = message
    out.base_offset = -1
    out.log_append_time_ms = -1


def _answer(call: Call, header: RequestHeader, produced: Produced) -> None:
    version = header.api_version
    prefix = response_prefix(header.api_key, version, header.correlation_id)
    for _, outs in produced:
        for out in outs:
            if out.error:
                call.count(out.error)
    call.answer([prefix + write_produce_response(version, produced, call.throttle_ms)])


def _finish_silently(call: Call, produced: Produced) -> None:
    """acks=0: the only way to tell a client of an error is to hang up, as Kafka does."""
    for topic, outs in produced:
        for out in outs:
            if out.error:
                error = ErrorCode(out.error).name
                call.close(f"produce with acks=0 to {topic}-{out.index}: {error}")
                return
    call.no_answer()
