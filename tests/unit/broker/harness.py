"""A broker core in memory, talked to in encoded frames, as the shell would."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import FakeFileSystem, Loss
from tickertape.base.fakes import FakeClock, OneWorker, SeededRng
from tickertape.broker.api.dispatch import handle
from tickertape.broker.state.broker import Broker, StartReport
from tickertape.broker.state.session import Session
from tickertape.broker.state.settings import BrokerSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.batch import iter_batches
from tickertape.wire.fetch import (
    FetchedPartition,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    read_fetch_response,
    records_of,
    write_fetch_request,
)
from tickertape.wire.frame import RequestHeader, read_response_header, write_request_header
from tickertape.wire.message import Message
from tickertape.wire.parts import Part, part_bytes
from tickertape.wire.produce import (
    PartitionProduce,
    PartitionProduced,
    ProduceRequest,
    read_produce_response,
    write_produce_request,
)
from tickertape.wire.records import Record, read_records, write_batch
from tickertape.wire.schema.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)

M = TypeVar("M", bound=Message)

DATA_DIR = "/data"


class FakeCall:
    """Collects what happens to one request; more than one outcome is an error."""

    def __init__(self) -> None:
        self.peer = "127.0.0.1"
        self.client_id: str | None = "tester"
        self.connection_id = 1
        self.session = Session()
        self.throttle_ms = 0
        self.on_gone: Callable[[], None] | None = None
        self.gone = False
        self.hung_up: str | None = None
        self.outcomes: list[tuple[str, Any]] = []
        self.errors: list[int] = []

    def _outcome(self, kind: str, what: object) -> None:
        assert not self.outcomes, f"{kind} after {self.outcomes}"
        self.outcomes.append((kind, what))

    def answer(self, parts: list[Part]) -> None:
        self._outcome("answer", b"".join(part_bytes(part) for part in parts))

    def no_answer(self) -> None:
        self._outcome("no answer", None)

    def count(self, error: int) -> None:
        self.errors.append(error)

    def close(self, reason: str) -> None:
        self._outcome("close", reason)

    def hang_up(self, reason: str) -> None:
        assert self.answered, "nothing said before hanging up"
        self.hung_up = reason

    def alive(self) -> bool:
        return not self.gone

    @property
    def answered(self) -> bool:
        return bool(self.outcomes)

    @property
    def frame(self) -> bytes:
        assert self.outcomes, "not answered yet"
        kind, what = self.outcomes[0]
        assert kind == "answer", self.outcomes
        assert isinstance(what, bytes)
        return what

    def read(self, message: type[M], key: ApiKey, version: int) -> M:
        """The answer, which must be exactly one message."""
        _, at = read_response_header(self.frame, key, version)
        value, end = message.decode(self.frame, at, version)
        assert end == len(self.frame)
        return value


@dataclass
class Core:
    """A started broker on a fake disk; ``crash`` and ``restart`` bring up a new one on it."""

    settings: BrokerSettings = field(default_factory=BrokerSettings)
    fs: FakeFileSystem = field(default_factory=FakeFileSystem)
    clock: FakeClock = field(default_factory=FakeClock)
    rng: SeededRng = field(default_factory=SeededRng)
    report: StartReport = field(init=False)
    broker: Broker = field(init=False)
    auto_sync: bool = True

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.broker = Broker(
            fs=self.fs,
            clock=self.clock,
            rng=self.rng,
            workers=OneWorker(),
            settings=self.settings,
            data_dir=DATA_DIR,
        )
        self.report = self.broker.start()

    def restart(self) -> None:
        """An orderly stop and a new start."""
        self.sync()
        assert self.broker.stop()
        self.start()

    def crash(self, loss: Loss = Loss.ALL) -> None:
        """Power off, and a new start on what the disk kept."""
        self.fs.crash(loss)
        self.start()

    def sync(self) -> None:
        """One group commit, as the shell does it."""
        logs = self.broker.dirty()
        for log in logs:
            ticket = log.begin_sync()
            if ticket is None:
                continue
            try:
                ticket.run()
            except StorageError as error:
                log.finish_sync(ticket, ok=False, reason=str(error))
            else:
                log.finish_sync(ticket, ok=True)
        self.broker.synced(logs)

    def pass_ms(self, ms: int) -> None:
        """Let time pass, ticking when the broker wants it."""
        end = self.clock.monotonic_ms() + ms
        while (left := end - self.clock.monotonic_ms()) > 0:
            self.clock.advance(min(left, self.broker.tick()))
        self.broker.tick()

    # -- requests ----------------------------------------------------------------------------

    def send(self, key: int, version: int, body: bytes) -> FakeCall:
        """Hand over a frame; the answer may come later."""
        header = write_request_header(RequestHeader(key, version, 7, "tester"))
        call = FakeCall()
        frame = bytearray(header + body)
        with memoryview(frame) as view:
            handle(self.broker, view, call)
        frame[:] = b"\xee" * len(frame)  # the shell reuses its buffer: nobody may look again
        if self.auto_sync:
            self.sync()
        return call

    def ask(self, key: ApiKey, version: int, request: Message, response: type[M]) -> M:
        """Send and read the answer, which must come at once."""
        call = self.send(key, version, request.encode(version))
        return call.read(response, key, version)

    def create(self, name: str, partitions: int = 1, **configs: str) -> None:
        """Create a topic; configs with _ for the dots."""
        topic = CreatableTopic(
            name=name,
            num_partitions=partitions,
            replication_factor=1,
            configs=[
                CreatableTopicConfig(name=key.replace("_", "."), value=value)
                for key, value in configs.items()
            ],
        )
        response = self.ask(
            ApiKey.CREATE_TOPICS, 7, CreateTopicsRequest(topics=[topic]), CreateTopicsResponse
        )
        assert response.topics[0].error_code == 0, response

    def produce(
        self,
        topic: str,
        batch: bytes | None,
        *,
        partition: int = 0,
        acks: int = -1,
        version: int = 9,
        timeout_ms: int = 30_000,
        transactional_id: str | None = None,
    ) -> FakeCall:
        view = None if batch is None else memoryview(batch)
        ask = ProduceRequest(
            transactional_id, acks, timeout_ms, [(topic, [PartitionProduce(partition, view)])]
        )
        return self.send(ApiKey.PRODUCE, version, write_produce_request(version, ask))

    def fetch(
        self,
        topic: str,
        offset: int,
        *,
        partition: int = 0,
        version: int = 11,
        max_wait_ms: int = 0,
        min_bytes: int = 1,
        **more: Any,  # noqa: ANN401  # fields of the request or of its partition
    ) -> FakeCall:
        wanted = FetchPartition(index=partition, fetch_offset=offset)
        for name in list(more):
            if hasattr(wanted, name):
                wanted = replace(wanted, **{name: more.pop(name)})
        ask = FetchRequest(
            max_wait_ms=max_wait_ms, min_bytes=min_bytes, topics=[(topic, [wanted])], **more
        )
        return self.send(ApiKey.FETCH, version, write_fetch_request(version, ask))


def records(*values: str, offset: int = 0, timestamp: int = 1_000) -> list[Record]:
    """Keyed records."""
    return [
        Record(offset + n, timestamp + n, f"k{n}".encode(), value.encode(), ())
        for n, value in enumerate(values)
    ]


def batch(*values: str, **more: int) -> bytes:
    """One batch of keyed records."""
    return write_batch(records(*values), **more)


def produced(call: FakeCall, version: int = 9) -> PartitionProduced:
    """The one partition of a produce answer."""
    frame = call.frame
    _, at = read_response_header(frame, ApiKey.PRODUCE, version)
    response = read_produce_response(frame, at, version)
    ((_, (out,)),) = response.topics
    return out


def fetched(call: FakeCall, version: int = 11) -> FetchedPartition:
    """The one partition of a fetch answer."""
    ((_, (out,)),) = fetch_answer(call, version).topics
    return out


def fetch_answer(call: FakeCall, version: int = 11) -> FetchResponse:
    """A whole fetch answer."""
    frame = call.frame
    _, at = read_response_header(frame, ApiKey.FETCH, version)
    return read_fetch_response(frame, at, version)


def values_of(out: FetchedPartition) -> list[str]:
    """The records' values, in order."""
    chunk = records_of(out)
    return [
        (record.value or b"").decode()
        for at, header in iter_batches(chunk)
        for record in read_records(chunk, at, header, bytes_max=1 << 20)
    ]
