"""The last reader: when all is quiet, it reads everything, twice over, by the protocol."""

from dataclasses import dataclass, field
from uuid import UUID

from tests.simulation.consumers import EARLIEST, LATEST, Read, Reader, delivered
from tests.simulation.model import Where
from tests.simulation.verdict import demand

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.batch import BatchHeader, iter_batches
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.fetch import FetchedPartition, records_of
from tickertape.wire.schema.consumer_group_describe import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
)
from tickertape.wire.schema.describe_groups import DescribeGroupsRequest, DescribeGroupsResponse
from tickertape.wire.schema.list_groups import ListGroupsRequest, ListGroupsResponse
from tickertape.wire.schema.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
)
from tickertape.wire.schema.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestTopic,
    OffsetFetchResponse,
)
from tickertape.wire.schema.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)


@dataclass(slots=True)
class Copy:
    """All that one partition holds."""

    where: Where
    start: int = 0
    end: int = 0
    stable: int = 0
    bytes: int = 0
    batches: list[BatchHeader] = field(default_factory=list)
    everything: list[Read] = field(default_factory=list)
    committed: list[Read] = field(default_factory=list)
    epoch_ends: dict[int, int] = field(default_factory=dict)  # leader epoch -> its end offset

    def same_as(self, other: "Copy", deletable_below: int) -> bool:
        """Nothing was lost, changed or added; a deletion that has failed may happen yet."""
        if self.start != other.start and not self.start < other.start <= deletable_below:
            return False
        mine = [read for read in self.everything if read.offset >= other.start]
        return (self.end, self.stable) == (other.end, other.stable) and [
            (read.offset, read.value) for read in mine
        ] == [(read.offset, read.value) for read in other.everything]


class Auditor(Reader):
    """See the module; ``run`` fills ``copies``, ``offsets`` and ``members``."""

    def __init__(self, *args: object, groups: list[str]) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # a Client's own
        self.groups = groups
        self.copies: dict[Where, Copy] = {}
        self.offsets: dict[tuple[str, Where], int] = {}
        self.members: dict[str, int] = {}
        self.topic_ids: dict[str, UUID | None] = {}
        self.undecided: list[str] = []  # transactions
        self.busy: list[str] = []  # groups that are listed and not empty

    async def run(self) -> None:
        for topic in self.model.topics.values():
            self.topic_ids[topic.name] = await self.topic_id(topic.name)
            for index in range(topic.partitions):
                where = (topic.name, index)
                self.copies[where] = await self._copy(where)
        for group in self.groups:
            await self._describe(group)
            for topic in self.model.topics.values():
                await self._offsets(group, topic.name, topic.partitions)

        await self._list()

    async def _list(self) -> None:
        wanted = ListTransactionsRequest(state_filters=["Ongoing", "PrepareCommit", "PrepareAbort"])
        txns = await self.insist(ApiKey.LIST_TRANSACTIONS, 1, wanted, ListTransactionsResponse)
        self.undecided = [txn.transactional_id for txn in txns.transaction_states]
        groups = await self.insist(ApiKey.LIST_GROUPS, 5, ListGroupsRequest(), ListGroupsResponse)
        self.busy = [one.group_id for one in groups.groups if one.group_state != "Empty"]

    async def _copy(self, where: Where) -> Copy:
        copy = Copy(where)
        copy.start = await self.offset_of(where, EARLIEST)
        copy.end = await self.offset_of(where, LATEST)
        copy.stable = await self.offset_of(where, LATEST, committed=True)
        copy.everything = await self._read(copy, committed=False)
        copy.committed = await self._read(copy, committed=True)
        for epoch in sorted({batch.partition_leader_epoch for batch in copy.batches}):
            copy.epoch_ends[epoch] = await self._epoch_end(where, epoch)
        return copy

    async def _read(self, copy: Copy, *, committed: bool) -> list[Read]:
        where, offset = copy.where, copy.start
        found: list[Read] = []
        while True:
            out = await self._fetched(where, offset, committed=committed)
            reads, following = delivered(out, offset)
            if not committed:
                headers = [header for _, header in iter_batches(records_of(out))]
                copy.batches += headers
                copy.bytes += sum(header.size for header in headers)
            if self.model.topics[where[0]].kind != "volatile":
                self.tell(where, out, reads)
            found += reads
            if following == offset:
                until = copy.stable if committed else copy.end
                demand(
                    offset >= until or not copy.batches, f"{where}: stuck at {offset} of {until}"
                )
                return found
            offset = following

    async def _fetched(self, where: Where, offset: int, *, committed: bool) -> FetchedPartition:
        for _ in range(100):
            out = await self.fetch(where, offset, committed=committed)
            if out is not None:
                demand(not out.error, f"{where} at {offset}: {ErrorCode(out.error).name}")
                return out
        raise AssertionError("a quiet network loses every request")

    async def _epoch_end(self, where: Where, epoch: int) -> int:
        part = OffsetForLeaderPartition(partition=where[1], leader_epoch=epoch)
        ask = OffsetForLeaderEpochRequest(
            topics=[OffsetForLeaderTopic(topic=where[0], partitions=[part])]
        )
        got = await self.insist(
            ApiKey.OFFSET_FOR_LEADER_EPOCH, 3, ask, OffsetForLeaderEpochResponse
        )
        out = got.topics[0].partitions[0]
        demand(out.leader_epoch == epoch, f"{where}: epoch {epoch} is told as {out.leader_epoch}")
        return out.end_offset

    async def _describe(self, group: str) -> None:
        ask = DescribeGroupsRequest(groups=[group])
        got = await self.insist(ApiKey.DESCRIBE_GROUPS, 4, ask, DescribeGroupsResponse)
        self.members[group] = len(got.groups[0].members)
        also = await self.insist(
            ApiKey.CONSUMER_GROUP_DESCRIBE,
            0,
            ConsumerGroupDescribeRequest(group_ids=[group]),
            ConsumerGroupDescribeResponse,
        )
        self.members[group] += len(also.groups[0].members)

    async def _offsets(self, group: str, topic: str, partitions: int) -> None:
        asked = self.world.step
        wanted = OffsetFetchRequestTopic(name=topic, partition_indexes=list(range(partitions)))
        ask = OffsetFetchRequest(group_id=group, topics=[wanted], require_stable=True)
        got = await self.insist(ApiKey.OFFSET_FETCH, 7, ask, OffsetFetchResponse)
        for part in got.topics[0].partitions:
            where = (topic, part.partition_index)
            error = ErrorCode(part.error_code)
            demand(error is ErrorCode.NONE, f"{group} at {where}: {error.name}")
            self.offsets[group, where] = part.committed_offset
            transactional = any(a.txn for a in self.model.commits.get((group, where), []))
            if not transactional:
                self.model.committed(group, where, part.committed_offset, asked)
