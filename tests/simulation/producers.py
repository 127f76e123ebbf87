"""Idempotent producers: up to five requests in flight, the same batch again until it is answered.

As in Kafka's clients, a batch keeps its sequence for ever; whatever happens to the oldest one, all
that were in flight after it are sent again in order. Where no topic is deleted, a producer must
always get through without a new id. Some know topics by id: what they sent to one that is
deleted never reaches the next of that name.
"""

from collections import deque
from dataclasses import dataclass
from uuid import UUID

from tests.simulation.client import NONE, PRODUCE_BY_ID, PRODUCE_VERSION, RETRIABLE, Client
from tests.simulation.model import Sent, Topic, Txn, Where
from tests.simulation.verdict import ViolationError
from tests.simulation.world import Promise

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.produce import PartitionProduced
from tickertape.wire.records import Record, write_batch
from tickertape.wire.schema.init_producer_id import InitProducerIdRequest, InitProducerIdResponse

IN_FLIGHT = 5
TRANSACTIONAL = 0x10
NAME = "name"  # the header that says which record of the model it is
KEYS = 4  # few, so that there is something to compact


@dataclass(eq=False)
class Batch:
    """Some records for one partition, with the sequence that they keep."""

    where: Where
    records: list[Sent]
    content: bytes
    answer: Promise[bytes | None] | None = None


class Writer(Client):
    """Makes batches and knows the next sequences; what all producers share."""

    owner = (-1, -1)

    def __init__(self, *args: object, topics: list[Topic]) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # a Client's own
        self.topics = topics
        self.sequences: dict[Where, int] = {}
        self.numbers = 0
        self.topic_ids: dict[str, UUID] = {}  # where topics are known by id

    def pick(self) -> Where:
        topic = self.rng.choice(self.topics)
        return topic.name, self.rng.randrange(topic.partitions)

    def new_batch(self, where: Where, txn: Txn | None = None) -> Batch:
        first = self.sequences.get(where, 0)
        records = [self._new_record(where, first + n, txn) for n in range(self.rng.randint(1, 3))]
        self.sequences[where] = first + len(records)
        stored = [
            Record(n, one.at_ms, one.key.encode(), _value(one), ((NAME, one.value.encode()),))
            for n, one in enumerate(records)
        ]
        producer_id, epoch = self.owner
        content = write_batch(
            stored,
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=first,
            attributes=TRANSACTIONAL if txn is not None else 0,
        )
        return Batch(where, records, content)

    def _new_record(self, where: Where, order: int, txn: Txn | None) -> Sent:
        self.numbers += 1
        value = f"{self.name}.{self.owner[1]}.{self.numbers}"
        compacted = self.model.topics[where[0]].kind == "compacted"
        sent = Sent(
            value=value,
            key=f"k{self.rng.randrange(KEYS)}",
            where=where,
            producer=self.name,
            owner=self.owner,
            order=order,
            sent=self.world.step,
            life=self.server.unclean_starts,
            at_ms=self.world.clock.now_ms(),
            txn=txn,
            topic_id=self.topic_ids.get(where[0]),
            tombstone=compacted and self.world.chance(0.1),
        )
        self.model.sent[value] = sent
        return sent

    def note_acks(self, batch: Batch, out: PartitionProduced) -> None:
        for n, sent in enumerate(batch.records):
            self.model.acked(sent, out.base_offset + n, self.server.unclean_starts)


def _value(sent: Sent) -> bytes | None:
    return None if sent.tombstone else b"x" * 20


class IdempotentProducer(Writer):
    """See the module."""

    lingers = True

    def __init__(self, *args: object, topics: list[Topic], by_id: bool) -> None:
        super().__init__(*args, topics=topics)
        self.by_id = by_id
        self.produce_version = PRODUCE_BY_ID if by_id else PRODUCE_VERSION

    async def run(self) -> None:
        while not self.stopping:
            ask = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
            got = await self.insist(ApiKey.INIT_PRODUCER_ID, 4, ask, InitProducerIdResponse)
            if got.error_code:
                await self.pause(500)
                continue
            self.owner = (got.producer_id, got.producer_epoch)
            self.model.given_out(f"{self.name} {self.numbers}", *self.owner, transactional=False)
            self.sequences.clear()
            if not self.by_id or await self._look_up():
                await self._live()

    async def _look_up(self) -> bool:
        """Whether all its topics exist, with the ids that they have now."""
        for topic in self.topics:
            topic_id = await self.topic_id(topic.name)
            if topic_id is None:
                await self.pause(500)
                return False
            self.topic_ids[topic.name] = topic_id
        return True

    def _send(self, batch: Batch) -> Promise[bytes | None]:
        return self.send_batches(
            {batch.where: batch.content},
            version=self.produce_version,
            topic_id=batch.records[0].topic_id,
        )

    async def _live(self) -> None:
        """Until it stops, or gives up its id and what is in flight."""
        flying: deque[Batch] = deque()
        lives = self.rng.randint(20, 200)  # batches; then it starts afresh
        while flying or not self.stopping:
            while lives and self._may_send(flying):
                batch = self.new_batch(self.pick())
                flying.append(batch)
                lives -= 1
                batch.answer = self._send(batch)
            if flying:
                if not await self._settle_oldest(flying):
                    self.model.count("ids given up")
                    return
            elif not lives:
                return
            if self.world.chance(0.3):
                await self.pause(300)

    def _may_send(self, flying: deque[Batch]) -> bool:
        """Nothing new goes out on a new connection before what was lost with the old one."""
        if self.stopping or len(flying) >= IN_FLIGHT or (flying and not self.is_connected):
            return False
        return self.world.chance(0.7)

    def _send_again(self, flying: deque[Batch]) -> None:
        for n, batch in enumerate(flying):
            for sent in batch.records:
                sent.sent_again = True
            if n and not self.is_connected:
                batch.answer = Promise()
                batch.answer.keep(None)
            else:
                batch.answer = self._send(batch)

    async def _settle_oldest(self, flying: deque[Batch]) -> bool:
        """False if this producer id has come to its end."""
        error = await self._outcome(flying[0])
        if error is NONE:
            flying.popleft()
            return True
        volatile = self.model.topics[flying[0].where[0]].kind == "volatile"
        if error is not None and error not in RETRIABLE and volatile:
            return False
        if error is not None and error not in RETRIABLE:
            raise ViolationError(f"{self.name}: {flying[0].records[0]} was refused: {error.name}")
        for batch in list(flying)[1:]:
            if await self._outcome(batch) is NONE:
                flying.remove(batch)
        if volatile and self.stopping:
            return False
        self.model.count("retries")
        await self.pause(500)
        self._send_again(flying)
        return True

    async def _outcome(self, batch: Batch) -> ErrorCode | None:
        assert batch.answer is not None
        frame = await batch.answer
        if frame is None:
            return None
        out = self.produced(frame, self.produce_version)[batch.where]
        if not out.error:
            self.note_acks(batch, out)
        else:
            self.say(f"{batch.records[0].value}: {ErrorCode(out.error).name}")
        return ErrorCode(out.error)
