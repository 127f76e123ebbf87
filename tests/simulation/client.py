"""What every client of the simulation does: connect, ask in encoded frames, wait, give up.

A request that gets no answer in time costs the connection, as it does in Kafka's clients: only so
can the next answer be told from a late one. Whether to ask again is for each client to decide.
"""

from typing import Final, TypeVar
from uuid import UUID

from tests.simulation.model import Model, Where
from tests.simulation.network import Line
from tests.simulation.server import Server
from tests.simulation.verdict import demand
from tests.simulation.world import Promise, World

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import RequestHeader, read_response_header, write_request_header
from tickertape.wire.message import Message
from tickertape.wire.produce import (
    PartitionProduce,
    PartitionProduced,
    ProduceRequest,
    read_produce_response,
    write_produce_request,
)
from tickertape.wire.schema.describe_topic_partitions import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    TopicRequest,
)

M = TypeVar("M", bound=Message)
NONE: Final = ErrorCode.NONE
PRODUCE_VERSION: Final = 9
PRODUCE_BY_ID: Final = 13
TIMEOUT_MS: Final = 4_000
RETRIABLE: Final = frozenset(
    {
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.REQUEST_TIMED_OUT,
        ErrorCode.NOT_ENOUGH_REPLICAS,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_SERVER_ERROR,
    }
)


class Client:
    """One process with one connection at a time. Subclasses have ``run``."""

    lingers = False
    """Whether requests that it gave up may still arrive. Not where Kafka's protocol itself does
    not stand it: a late EndTxn of transactions v1 ends the next transaction."""

    def __init__(self, name: str, world: World, server: Server, model: Model) -> None:
        self.name = name
        self.world = world
        self.rng = world.rng
        self.server = server
        self.model = model
        self.stopping = False
        self._line: Line | None = None
        self._correlation = 0
        self._names: dict[UUID, str] = {}

    async def run(self) -> None:
        raise NotImplementedError

    def say(self, what: str) -> None:
        self.world.say(self.name, what)

    def hang_up(self) -> None:
        if self._line is not None:
            self._line.cut()
            self._line = None

    @property
    def is_connected(self) -> bool:
        return self._line is not None and self._line.is_open

    async def pause(self, most_ms: int) -> None:
        await self.world.sleep(1 + self.world.soon_ms(most_ms))

    # -- asking

    def send(self, key: ApiKey, version: int, body: bytes) -> Promise[bytes | None]:
        """The frame of the answer; None if the connection was lost or the answer was late."""
        if not self.is_connected:
            self._line = self.server.network.connect(lingers=self.lingers)
        line = self._line
        assert line is not None
        self._correlation += 1
        header = RequestHeader(int(key), version, self._correlation, self.name)
        promise = line.ask(write_request_header(header) + body)

        def late() -> None:
            if not promise.kept:
                line.cut()

        self.world.after(TIMEOUT_MS, late)
        return promise

    async def ask(self, key: ApiKey, version: int, request: Message, response: type[M]) -> M | None:
        """The answer, or None if there is none."""
        frame = await self.send(key, version, request.encode(version))
        if frame is None:
            return None
        _, at = read_response_header(frame, key, version)
        answer, end = response.decode(frame, at, version)
        demand(end == len(frame), f"{key.name} v{version}: {len(frame) - end} bytes too many")
        return answer

    async def insist(self, key: ApiKey, version: int, request: Message, response: type[M]) -> M:
        """Ask until there is an answer."""
        while True:
            answer = await self.ask(key, version, request, response)
            if answer is not None:
                return answer
            await self.pause(300)

    async def topic_id(self, name: str) -> UUID | None:
        """The id of the topic that has that name now; None if there is none, or no answer."""
        ask = DescribeTopicPartitionsRequest(topics=[TopicRequest(name=name)])
        got = await self.ask(
            ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0, ask, DescribeTopicPartitionsResponse
        )
        if got is None or got.topics[0].error_code:
            return None
        topic_id = got.topics[0].topic_id
        self._names[topic_id] = name
        return topic_id

    # -- produce

    def send_batches(
        self, batches: dict[Where, bytes], transactional_id: str | None = None,
        version: int = PRODUCE_VERSION, topic_id: UUID | None = None,
    ) -> Promise[bytes | None]:  # fmt: skip
        topics: dict[str | UUID, list[PartitionProduce]] = {}
        for (topic, index), batch in batches.items():
            topics.setdefault(topic_id or topic, []).append(
                PartitionProduce(index, memoryview(batch))
            )
        ask = ProduceRequest(transactional_id, -1, 3_000, list(topics.items()))
        return self.send(ApiKey.PRODUCE, version, write_produce_request(version, ask))

    def produced(
        self, frame: bytes, version: int = PRODUCE_VERSION
    ) -> dict[Where, PartitionProduced]:
        _, at = read_response_header(frame, ApiKey.PRODUCE, version)
        response = read_produce_response(frame, at, version)
        return {
            (topic if isinstance(topic, str) else self._names[topic], out.index): out
            for topic, outs in response.topics
            for out in outs
        }
