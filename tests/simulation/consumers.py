"""Consumers that follow partitions from the beginning, and tell the model all that they see.

A read_committed one drops what Kafka's clients drop: records of the aborted transactions that the
answer names. Positions follow what was read; out of range means that the beginning has moved.
"""

from dataclasses import dataclass
from uuid import UUID

from tests.simulation.client import Client
from tests.simulation.model import Topic, Where
from tests.simulation.verdict import ViolationError, demand

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.batch import BatchHeader, crc_ok, iter_batches
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.fetch import (
    FetchedPartition,
    FetchPartition,
    FetchRequest,
    read_fetch_response,
    records_of,
    write_fetch_request,
)
from tickertape.wire.frame import read_response_header
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record, read_records
from tickertape.wire.schema.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)

FETCH_VERSION = 12
FETCH_BY_ID = 17
EARLIEST, LATEST = -2, -1
_ABORT = b"\0\0\0\0"


@dataclass(slots=True)
class Read:
    """A record as a consumer has it; ``value`` is its name in the model."""

    record: Record
    header: BatchHeader

    @property
    def offset(self) -> int:
        return self.record.offset

    @property
    def value(self) -> str:
        ((_, name),) = self.record.headers
        return (name or b"").decode()


def delivered(out: FetchedPartition, offset: int) -> tuple[list[Read], int]:
    """The records from ``offset`` on that a client hands to its user, and where to go on."""
    try:
        return _delivered(out, offset)
    except DecodeError as error:
        raise ViolationError(f"records that nobody can read: {error}") from error


def _delivered(out: FetchedPartition, offset: int) -> tuple[list[Read], int]:
    chunk = records_of(out)
    waiting = sorted(out.aborted or [], key=lambda entry: entry[1])
    skipping: set[int] = set()
    reads: list[Read] = []
    following = offset
    for at, header in iter_batches(chunk):
        demand(crc_ok(chunk, at, header), f"batch at offset {header.base_offset} is damaged")
        demand(header.base_offset >= following or following == offset, "batches out of order")
        while waiting and waiting[0][1] <= header.last_offset:
            skipping.add(waiting.pop(0)[0])
        following = header.next_offset
        records = read_records(chunk, at, header, bytes_max=1 << 20)
        if header.is_control:
            if records and records[0].key == _ABORT:
                skipping.discard(header.producer_id)
        elif not (header.is_transactional and header.producer_id in skipping):
            reads += [Read(record, header) for record in records if record.offset >= offset]
    return reads, following


class Reader(Client):
    """Fetches and asks for offsets; what consumers, group members and the audit share."""

    lingers = True
    known = (0, 0, 0)

    async def fetch(
        self, where: Where, offset: int, *, committed: bool, wait_ms: int = 0,
        topic_id: UUID | None = None,
    ) -> FetchedPartition | None:  # fmt: skip
        self.known = self.model.known(where)
        part = FetchPartition(index=where[1], fetch_offset=offset, partition_max_bytes=2_000)
        ask = FetchRequest(
            max_wait_ms=wait_ms,
            isolation_level=int(committed),
            topics=[(topic_id or where[0], [part])],
        )
        version = FETCH_VERSION if topic_id is None else FETCH_BY_ID
        frame = await self.send(ApiKey.FETCH, version, write_fetch_request(version, ask))
        if frame is None:
            return None
        _, at = read_response_header(frame, ApiKey.FETCH, version)
        ((_, (out,)),) = read_fetch_response(frame, at, version).topics
        return out

    async def offset_of(self, where: Where, moment: int, *, committed: bool = False) -> int:
        """ListOffsets, until it answers; -1 if there is no such partition."""
        ask = ListOffsetsRequest(
            replica_id=-1,
            isolation_level=int(committed),
            topics=[
                ListOffsetsTopic(
                    name=where[0],
                    partitions=[ListOffsetsPartition(partition_index=where[1], timestamp=moment)],
                )
            ],
        )
        got = await self.insist(ApiKey.LIST_OFFSETS, 7, ask, ListOffsetsResponse)
        return got.topics[0].partitions[0].offset

    def tell(self, where: Where, out: FetchedPartition, reads: list[Read]) -> None:
        """What the model may know of the answer to the last fetch, of a topic that stays."""
        now = (out.high_watermark, out.last_stable_offset, out.log_start_offset)
        self.model.told(where, self.known, now)
        for read in reads:
            epoch = read.header.partition_leader_epoch
            self.model.read(where, read.offset, read.value, epoch)
            demand(read.offset < out.high_watermark, f"{where}: read above the high watermark")


class Consumer(Reader):
    """See the module; its topics are never deleted."""

    def __init__(self, *args: object, topics: list[Topic], committed: bool) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # a Client's own
        self.committed = committed
        self.positions = {(t.name, n): 0 for t in topics for n in range(t.partitions)}

    async def run(self) -> None:
        while not self.stopping:
            where = self.rng.choice(list(self.positions))
            wait_ms = self.rng.choice((0, 0, 500))
            out = await self.fetch(
                where, self.positions[where], committed=self.committed, wait_ms=wait_ms
            )
            if out is None:
                await self.pause(400)
            elif out.error == ErrorCode.OFFSET_OUT_OF_RANGE:
                self.positions[where] = await self.offset_of(where, EARLIEST)
            elif out.error:
                self.say(f"{where}: {ErrorCode(out.error).name}")
                await self.pause(400)
            else:
                self._take(where, out)
                if self.world.chance(0.3):
                    await self.pause(300)

    def _take(self, where: Where, out: FetchedPartition) -> None:
        reads, self.positions[where] = delivered(out, self.positions[where])
        self.tell(where, out, reads)
        if self.committed:
            for read in reads:
                demand(read.offset < out.last_stable_offset, f"{where}: read above the LSO")
                self.model.visible(read.value)


class Follower(Reader):
    """Reads a topic that comes and goes by the id of each, from its beginning to its deletion."""

    def __init__(self, *args: object, topic: Topic) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # a Client's own
        self.topic = topic
        self.gone: set[UUID] = set()

    async def run(self) -> None:
        while not self.stopping:
            topic_id = await self.topic_id(self.topic.name)
            if topic_id is not None:
                demand(topic_id not in self.gone, f"topic {topic_id} was gone and is back")
                await self._follow(topic_id)
            await self.pause(400)

    async def _follow(self, topic_id: UUID) -> None:
        where, position = (self.topic.name, 0), 0
        while not self.stopping:
            wait_ms = self.rng.choice((0, 0, 500))
            out = await self.fetch(
                where, position, committed=False, wait_ms=wait_ms, topic_id=topic_id
            )
            if out is not None and out.error == ErrorCode.UNKNOWN_TOPIC_ID:
                self.say(f"{topic_id} is gone")
                self.gone.add(topic_id)
                return
            if out is None or out.error:
                await self.pause(400)
                continue
            reads, position = delivered(out, position)
            for read in reads:
                self.model.read_by_id(topic_id, 0, read.offset, read.value)
            await self.pause(200)
