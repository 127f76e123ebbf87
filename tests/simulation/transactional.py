"""Transactional producers of both protocols (KIP-98 and KIP-360; KIP-890), and their zombies.

A process takes over its transactional id, runs transactions, and may stop anywhere: for good, or
long enough that its successor has begun when it goes on. A commit that got no answer is asked for
again until there is one. A producer that is fenced is done; its successor starts a new process. In
the second protocol each end of a transaction brings a new epoch, so that requests may even arrive
late. There INVALID_TXN_STATE for a commit means, as in Kafka, that the coordinator was faster.
"""

from typing import Final

from tests.simulation.client import NONE, PRODUCE_VERSION, RETRIABLE
from tests.simulation.model import Attempt, Txn, Where
from tests.simulation.producers import Batch, Writer
from tests.simulation.verdict import ViolationError, demand

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
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
from tickertape.wire.schema.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)

FENCED: Final = frozenset({ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH})
NAPS_MS: Final = (2_000, 6_000, 15_000)
CARELESS: Final = 0.04  # how often it writes where it has not said that it would


class FencedError(Exception):
    """Another process owns the transactional id."""


class AbortableError(Exception):
    """This transaction cannot be committed any more."""


class TransactionalProducer(Writer):
    """One process; ``offsets``: the group and partition of which it commits offsets."""

    timeout_ms = 5_000
    offsets: tuple[str, Where] | None = None
    base_offset = 0  # of its offsets: a successor's are higher
    naps = 0.03
    transactions = 0
    produce_version = PRODUCE_VERSION
    commit_version = 3
    end_version = 3

    @property
    def transactional_id(self) -> str:
        return self.name.partition("@")[0]

    async def run(self) -> None:
        try:
            await self._own()
            while not self.stopping:
                await self._transaction()
                if self.world.chance(0.5):
                    await self.pause(400)
        except FencedError:
            self.model.count("fenced")
            self.say("is fenced")

    # -- the steps

    async def _own(self, *, keep: bool = False) -> None:
        ask = InitProducerIdRequest(
            transactional_id=self.transactional_id,
            transaction_timeout_ms=self.timeout_ms,
            producer_id=self.owner[0] if keep else -1,
            producer_epoch=self.owner[1] if keep else -1,
        )
        while True:
            got = await self.insist(ApiKey.INIT_PRODUCER_ID, 4, ask, InitProducerIdResponse)
            error = ErrorCode(got.error_code)
            if error is NONE:
                break
            self._fail_if_fenced(error)
            demand(error in RETRIABLE, f"{self.name}: InitProducerId: {error.name}")
            await self.pause(300)
        self.owner = (got.producer_id, got.producer_epoch)
        self.say(f"owns {self.owner}")
        self.sequences.clear()
        self.model.given_out(self.transactional_id, *self.owner, transactional=True)

    async def _transaction(self) -> None:
        self.transactions += 1
        txn = Txn(self.name, self.owner[1], self.transactions)
        self.model.txns.append(txn)
        try:
            for where in sorted({self.pick() for _ in range(self.rng.randint(1, 3))}):
                await self._add(where)
                await self._nap()
                for _ in range(self.rng.randint(1, 3)):
                    await self._write(self.new_batch(where, txn), txn)
            if self.world.chance(CARELESS):
                await self._write(self.new_batch(self.pick(), txn), txn)
            if self.offsets is not None and self.world.chance(0.7):
                await self._write_offset(txn)
            await self._nap()
            await self._end(txn, commit=self.world.chance(0.7))
        except AbortableError:
            self.model.count("abortable")
            await self._give_up(txn)

    async def _give_up(self, txn: Txn) -> None:
        """Begin afresh, with a new epoch: the coordinator aborts what was open."""
        del txn
        await self._own(keep=True)

    async def _nap(self) -> None:
        if not self.stopping and self.world.chance(self.naps):
            self.say("sleeps")
            await self.world.sleep(self.rng.choice(NAPS_MS))
            self.say("wakes")

    async def _add(self, where: Where) -> None:
        ask = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.transactional_id,
            v3_and_below_producer_id=self.owner[0],
            v3_and_below_producer_epoch=self.owner[1],
            v3_and_below_topics=[AddPartitionsToTxnTopic(name=where[0], partitions=[where[1]])],
        )
        while True:
            got = await self.insist(
                ApiKey.ADD_PARTITIONS_TO_TXN, 3, ask, AddPartitionsToTxnResponse
            )
            (topic,) = got.results_by_topic_v3_and_below
            (part,) = topic.results_by_partition
            if not await self._again("AddPartitions", ErrorCode(part.partition_error_code)):
                return

    async def _write(self, batch: Batch, txn: Txn) -> None:
        txn.written = True
        while True:
            frame = await self.send_batches(
                {batch.where: batch.content}, self.transactional_id, self.produce_version
            )
            if frame is None:
                await self.pause(300)
                continue
            out = self.produced(frame, self.produce_version)[batch.where]
            error = ErrorCode(out.error)
            if error is NONE:
                self.note_acks(batch, out)
            if not await self._again("Produce", error):
                return

    async def _write_offset(self, txn: Txn) -> None:
        assert self.offsets is not None
        group, where = self.offsets
        await self._add_group(group)
        offset = self.base_offset + self.transactions
        part = TxnOffsetCommitRequestPartition(partition_index=where[1], committed_offset=offset)
        commit = TxnOffsetCommitRequest(
            transactional_id=self.transactional_id,
            group_id=group,
            producer_id=self.owner[0],
            producer_epoch=self.owner[1],
            topics=[TxnOffsetCommitRequestTopic(name=where[0], partitions=[part])],
        )
        attempt = Attempt(offset, self.world.step, txn=txn)
        self.model.commits.setdefault((group, where), []).append(attempt)
        txn.group_offset = (group, where, offset)
        while True:
            out = await self.insist(
                ApiKey.TXN_OFFSET_COMMIT, self.commit_version, commit, TxnOffsetCommitResponse
            )
            error = ErrorCode(out.topics[0].partitions[0].error_code)
            if not await self._again("TxnOffsetCommit", error):
                return

    async def _add_group(self, group: str) -> None:
        add = AddOffsetsToTxnRequest(
            transactional_id=self.transactional_id,
            producer_id=self.owner[0],
            producer_epoch=self.owner[1],
            group_id=group,
        )
        while True:
            got = await self.insist(ApiKey.ADD_OFFSETS_TO_TXN, 3, add, AddOffsetsToTxnResponse)
            if not await self._again("AddOffsets", ErrorCode(got.error_code)):
                return

    async def _end(self, txn: Txn, *, commit: bool) -> None:
        txn.asked = "commit" if commit else "abort"
        ask = EndTxnRequest(
            transactional_id=self.transactional_id,
            producer_id=self.owner[0],
            producer_epoch=self.owner[1],
            committed=commit,
        )
        while True:
            got = await self.insist(ApiKey.END_TXN, self.end_version, ask, EndTxnResponse)
            error = ErrorCode(got.error_code)
            if error is ErrorCode.INVALID_TXN_STATE and commit and self.end_version >= 5:
                txn.asked = "abort"  # by the coordinator: it took too long
                raise FencedError
            if not await self._again("EndTxn", error):
                break
        self._go_on(got)
        txn.answered = True
        self.model.count("commits" if commit else "aborts")
        self.say(f"{txn} answered: {txn.asked}")

    def _go_on(self, ended: EndTxnResponse) -> None:
        """In the first protocol the epoch stays."""

    # -- answers

    async def _again(self, what: str, error: ErrorCode) -> bool:
        """Whether to ask once more; FencedError and AbortableError if there is no point in it."""
        if error is NONE:
            return False
        self.say(f"{what}: {error.name}")
        self._fail_if_fenced(error)
        if error not in RETRIABLE:
            if what == "EndTxn":
                raise ViolationError(f"{self.name}: EndTxn was answered {error.name}")
            raise AbortableError
        await self.pause(300)
        return True

    def _fail_if_fenced(self, error: ErrorCode) -> None:
        if error in FENCED:
            raise FencedError


class SecondProtocol(TransactionalProducer):
    """Transactions v2: nothing is added beforehand, and each transaction has its own epoch."""

    lingers = True
    produce_version = 12
    commit_version = 5
    end_version = 5

    async def _add(self, where: Where) -> None:
        """The first batch does it."""

    async def _add_group(self, group: str) -> None:
        """The commit of the offset does it."""

    async def _give_up(self, txn: Txn) -> None:
        await self._end(txn, commit=False)

    def _go_on(self, ended: EndTxnResponse) -> None:
        self.owner = (ended.producer_id, ended.producer_epoch)
        self.sequences.clear()
        self.model.given_out(self.transactional_id, *self.owner, transactional=True)
