"""A transactional producer in encoded frames, for tests on the harness."""

from dataclasses import dataclass, field

from tests.unit.broker.harness import Core, batch, fetched, produced

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.batch import iter_batches
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.fetch import records_of
from tickertape.wire.records import read_records
from tickertape.wire.schema.add_offsets_to_txn import (
    AddOffsetsToTxnRequest,
    AddOffsetsToTxnResponse,
)
from tickertape.wire.schema.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from tickertape.wire.schema.end_txn import EndTxnRequest, EndTxnResponse
from tickertape.wire.schema.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from tickertape.wire.schema.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestTopic,
    OffsetFetchResponse,
)
from tickertape.wire.schema.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)

FIRST_V2 = 5
"""Of EndTxn: the first version that bumps the epoch."""


@dataclass
class Producer:
    """What a client knows of itself. Every call answers with Kafka's error code."""

    core: Core
    name: str = "tx"
    id: int = -1
    epoch: int = -1
    timeout_ms: int = 60_000
    sequences: dict[tuple[str, int], int] = field(default_factory=dict)

    def init(self, version: int = 4, *, keep: bool = False) -> ErrorCode:
        """``keep``: say who we are (KIP-360)."""
        ask = InitProducerIdRequest(
            transactional_id=self.name,
            transaction_timeout_ms=self.timeout_ms,
            producer_id=self.id if keep else -1,
            producer_epoch=self.epoch if keep else -1,
        )
        out = self.core.ask(ApiKey.INIT_PRODUCER_ID, version, ask, InitProducerIdResponse)
        if out.error_code == 0:
            self.id, self.epoch = out.producer_id, out.producer_epoch
            self.sequences.clear()
        return ErrorCode(out.error_code)

    def begin(self, *topics: str, partition: int = 0, version: int = 3) -> ErrorCode:
        ask = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.name,
            v3_and_below_producer_id=self.id,
            v3_and_below_producer_epoch=self.epoch,
            v3_and_below_topics=[
                AddPartitionsToTxnTopic(name=topic, partitions=[partition]) for topic in topics
            ],
        )
        out = self.core.ask(ApiKey.ADD_PARTITIONS_TO_TXN, version, ask, AddPartitionsToTxnResponse)
        (code, *_) = {
            part.partition_error_code
            for topic in out.results_by_topic_v3_and_below
            for part in topic.results_by_partition
        }
        return ErrorCode(code)

    def send(
        self, topic: str, *values: str, partition: int = 0, version: int = 9,
        transactional: bool = True,
    ) -> ErrorCode:  # fmt: skip
        where = (topic, partition)
        sequence = self.sequences.get(where, 0)
        one = batch(
            *values, producer_id=self.id, producer_epoch=self.epoch, base_sequence=sequence,
            attributes=0x10 if transactional else 0,
        )  # fmt: skip
        name = self.name if transactional else None
        call = self.core.produce(
            topic, one, partition=partition, version=version, transactional_id=name
        )
        if self.core.auto_sync and not call.answered:
            self.core.sync()  # its partition is in the transaction now, and the records are written
        error = ErrorCode(produced(call, version).error)
        if error is ErrorCode.NONE:
            self.sequences[where] = sequence + len(values)
        return error

    def end(self, *, commit: bool, version: int = 3) -> ErrorCode:
        ask = EndTxnRequest(
            transactional_id=self.name,
            producer_id=self.id,
            producer_epoch=self.epoch,
            committed=commit,
        )
        out = self.core.ask(ApiKey.END_TXN, version, ask, EndTxnResponse)
        for _ in range(3):
            self.core.sync()
        if version >= FIRST_V2 and out.error_code == 0:
            self.id, self.epoch = out.producer_id, out.producer_epoch
            self.sequences.clear()
        return ErrorCode(out.error_code)

    def begin_offsets(self, group: str, version: int = 3) -> ErrorCode:
        ask = AddOffsetsToTxnRequest(
            transactional_id=self.name,
            producer_id=self.id,
            producer_epoch=self.epoch,
            group_id=group,
        )
        out = self.core.ask(ApiKey.ADD_OFFSETS_TO_TXN, version, ask, AddOffsetsToTxnResponse)
        return ErrorCode(out.error_code)

    def send_offset(
        self, group: str, topic: str, offset: int, *, version: int = 3, generation: int = -1,
        member: str = "",
    ) -> ErrorCode:  # fmt: skip
        part = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
        ask = TxnOffsetCommitRequest(
            transactional_id=self.name,
            group_id=group,
            producer_id=self.id,
            producer_epoch=self.epoch,
            generation_id=generation,
            member_id=member,
            topics=[TxnOffsetCommitRequestTopic(name=topic, partitions=[part])],
        )
        call = self.core.send(ApiKey.TXN_OFFSET_COMMIT, version, ask.encode(version))
        if not call.answered:
            self.core.sync()
        out = call.read(TxnOffsetCommitResponse, ApiKey.TXN_OFFSET_COMMIT, version)
        return ErrorCode(out.topics[0].partitions[0].error_code)


def committed(core: Core, topic: str, partition: int = 0) -> list[str]:
    """What a read_committed consumer delivers: it skips aborted data as Kafka's clients do."""
    values: list[str] = []
    offset = 0
    while True:
        out = fetched(core.fetch(topic, offset, partition=partition, isolation_level=1))
        chunk = records_of(out)
        waiting = sorted(out.aborted or [], key=lambda entry: entry[1])
        skipping: set[int] = set()
        following = offset
        for at, header in iter_batches(chunk):
            while waiting and waiting[0][1] <= header.last_offset:
                skipping.add(waiting.pop(0)[0])
            following = header.next_offset
            if header.is_control:
                (marker,) = read_records(chunk, at, header, bytes_max=1 << 10)
                if marker.key == b"\0\0\0\0":
                    skipping.discard(header.producer_id)
            elif not (header.is_transactional and header.producer_id in skipping):
                inside = read_records(chunk, at, header, bytes_max=1 << 20)
                values += [(r.value or b"").decode() for r in inside if r.offset >= offset]
        if following == offset:
            return values
        offset = following


def group_offset(core: Core, group: str, topic: str, *, stable: bool = False) -> tuple[int, int]:
    """(error, committed offset)."""
    ask = OffsetFetchRequest(
        group_id=group,
        topics=[OffsetFetchRequestTopic(name=topic, partition_indexes=[0])],
        require_stable=stable,
    )
    out = core.ask(ApiKey.OFFSET_FETCH, 7, ask, OffsetFetchResponse)
    part = out.topics[0].partitions[0]
    return part.error_code, part.committed_offset
