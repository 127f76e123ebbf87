"""Plays a scenario of bare requests to one broker and writes down what matters of the answers.

A transcript is a list of steps: which request it was, and the fields of the answer as path ->
text. What a broker is free to choose (member ids, producer ids, topic ids) is written as the
how-manieth of its kind, so that who is who can still be compared; where it listens, how long it
throttles and how it words a message is left out. Order is kept only where the protocol means it.
"""

import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, is_dataclass
from dataclasses import fields as dataclass_fields
from enum import IntEnum
from importlib import import_module
from typing import Any, Final, TypeVar
from uuid import UUID

from tests.interop import raw
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually

from tickertape.broker.api.table import SERVED
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.batch import iter_batches
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    read_fetch_response,
    records_of,
    write_fetch_request,
)
from tickertape.wire.frame import RequestHeader, read_response_header, write_request_header
from tickertape.wire.message import Fields, Message
from tickertape.wire.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    read_metadata_response,
    write_metadata_request,
)
from tickertape.wire.produce import (
    PartitionProduce,
    ProduceRequest,
    ProduceResponse,
    read_produce_response,
    write_produce_request,
)
from tickertape.wire.schema.find_coordinator import FindCoordinatorRequest

LEFT_OUT: Final = {
    "throttle_time_ms",
    "throttle_ms",
    "error_message",
    "host",
    "port",
    "client_host",
    "cluster_id",
    "records_size",
    "documentation",
}
CHOSEN: Final = {
    "producer_id": "producer",
    "member_id": "member",
    "leader": "member",
    "topic_id": "topic",
    "session_id": "session",
}
"""Fields whose values a broker chooses; 0, -1, "" and the zero UUID stand for none and are kept."""
KEYS: Final = (
    "name", "topic", "topic_name", "resource_name", "group_id", "transactional_id", "key",
    "partition_index", "index", "partition", "node_id", "api_key", "member_id",
)  # fmt: skip
"""A list whose elements have one of these is compared by it, not by its order."""
NONE: Final = (0, -1, "", UUID(int=0), None)  # the zero first: it is a producer's id like any other
WAIT: Final = frozenset(
    {
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.LEADER_NOT_AVAILABLE,
    }
)
CLOSED: Final = "connection closed"

M = TypeVar("M")
Request = Message | MetadataRequest | ProduceRequest | FetchRequest
Batches = raw.Batch | bytes | Sequence[raw.Batch | bytes]


@dataclass
class Step:
    """One exchange: what was asked, and the answer as path -> text."""

    api: str
    version: int
    note: str
    answer: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.api} {self.note}"


class Player:
    """One scenario on one broker. Names are the same on every broker, so they need no care."""

    def __init__(self, broker: Broker, run: str) -> None:
        self.broker = broker
        self.run = run
        self._suffix = re.compile(rf"(\.v\d+)?-{run}")
        self.steps: list[Step] = []
        self._connections: dict[str, raw.Connection] = {}
        self._ids: dict[str, dict[object, str]] = {}
        self._correlation = 0

    def close(self) -> None:
        for connection in self._connections.values():
            connection.sock.close()

    def name(self, stem: str) -> str:
        return f"{stem}-{self.run}"

    def topic(self, stem: str, *, partitions: int = 1, **config: str) -> str:
        """A new topic whose partitions can be written; underscores in a config are dots."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        name = self.name(stem)
        create_topic(self.broker.bootstrap, name, partitions=partitions, config=settings)
        raw.await_leader(self.broker, name)
        return name

    def group(self, stem: str) -> str:
        """The name of a group whose coordinator answers."""
        with raw.connected(self.broker) as connection:
            raw.await_coordinator(connection, self.name(stem))
        return self.name(stem)

    def topic_id(self, name: str) -> UUID:
        """The id of a topic; which one it is among the others is written down with it."""
        request = MetadataRequest([MetadataRequestTopic(name)], allow_auto_topic_creation=False)
        answer = self._exchange(ApiKey.METADATA, 12, request, "ids")
        found = answer.topics[0].topic_id
        assert isinstance(found, UUID)
        self._text("topic_id", found)
        return found

    def transactional(self, stem: str) -> str:
        """A transactional id whose coordinator can be asked."""
        name = self.name(stem)
        request = FindCoordinatorRequest(key=name, key_type=1)

        def found() -> bool:
            answer = self._exchange(ApiKey.FIND_COORDINATOR, 1, request, "coordinator")
            return bool(answer.error_code == 0)

        eventually(found, f"the coordinator of {name}")
        return name

    # -- asking --------------------------------------------------------------------------------

    def ask(
        self,
        note: str,
        request: Request,
        version: int | None = None,
        *,
        via: str = "a",
        waits: Iterable[ErrorCode] = (),
    ) -> Any:  # noqa: ANN401  # the response of whatever was asked
        """The answer, written down; asked again while it says one of ``waits`` or WAIT."""
        key, number = _key_of(request), _newest(request, version)
        patient = WAIT | set(waits)

        def settled() -> list[Any] | None:
            answer = self._exchange(key, number, request, via)
            return None if _errors(answer) & patient else [answer]

        (answer,) = eventually(settled, f"an answer to {note}")
        return self._written(key, number, note, answer)

    def send(self, request: Request, version: int | None = None, *, via: str) -> None:
        """Ask without waiting; ``receive`` on the same connection has the answer."""
        key, number = _key_of(request), _newest(request, version)
        self._connection(via).send(self._frame(key, number, request))

    def receive(self, note: str, request: Request, version: int | None = None, *, via: str) -> Any:  # noqa: ANN401  # the response of whatever was asked
        key, number = _key_of(request), _newest(request, version)
        return self._written(key, number, note, self._read(key, number, request, via))

    def produce(  # what a Produce has
        self,
        note: str,
        topic: str | UUID,
        batches: Batches,
        *,
        version: int = 11,
        acks: int = -1,
        txn: str | None = None,
        partition: int = 0,
        via: str = "a",
    ) -> Any:  # noqa: ANN401  # a ProduceResponse
        request = _produce(topic, batches, acks, txn, partition)
        return self.ask(note, request, version, via=via)

    def silently(
        self, note: str, topic: str | UUID, batches: Batches, version: int = 11, partition: int = 0
    ) -> None:
        """Produce with acks=0; writes down whether the connection can still be used."""
        request = _produce(topic, batches, 0, None, partition)
        self._connection(note).send(self._frame(ApiKey.PRODUCE, version, request))
        asked = MetadataRequest([])  # what is answered next, unless the Produce is
        answer = self._exchange(ApiKey.METADATA, 4, asked, note)
        told = CLOSED if answer == CLOSED else "silence"
        self.steps.append(Step("Produce", version, note, {"answer": told}))

    def fetch(
        self, note: str, topic: str | UUID, offset: int, version: int = 11, **more: int
    ) -> Any:  # noqa: ANN401  # a FetchResponse
        """Fetch of partition 0; ``more`` are fields of the request or of its partition."""
        parts = {name: more.pop(name) for name in list(more) if name in _PARTITION_FIELDS}
        partition = FetchPartition(parts.pop("index", 0), fetch_offset=offset, **parts)
        limits = {"max_wait_ms": 0} | more
        request = FetchRequest(topics=[(topic, [partition])], **limits)  # type: ignore[arg-type]
        return self.ask(note, request, version)

    def exactly(self, note: str, frame: bytes, *, via: str = "raw") -> None:
        """Any bytes; writes down only whether the broker answers or closes the connection."""
        connection = self._connection(via)
        connection.send(frame)
        connection.sock.settimeout(PATIENCE_S)
        try:
            answered = connection.sock.recv(1 << 16)
        except ConnectionResetError:
            answered = b""
        self._drop(via)
        told = "answered" if answered else CLOSED
        self.steps.append(Step("raw", 0, note, {"answer": told}))

    def code(self, note: str, request: Request, version: int, *, via: str) -> None:
        """Ask on a connection of its own and write down the error code alone."""
        answer = self._exchange(_key_of(request), version, request, via)
        code = CLOSED if answer == CLOSED else ErrorCode(answer.error_code).name
        self.steps.append(Step(_camel(_key_of(request)), version, note, {"error_code": code}))

    # -- the wire ------------------------------------------------------------------------------

    def _connection(self, via: str) -> raw.Connection:
        if via not in self._connections:
            sock = socket.create_connection(("127.0.0.1", self.broker.port), PATIENCE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[via] = raw.Connection(sock)
        return self._connections[via]

    def _drop(self, via: str) -> None:
        self._connections.pop(via).sock.close()

    def _frame(self, key: ApiKey, version: int, request: Request) -> bytes:
        self._correlation += 1
        header = write_request_header(RequestHeader(int(key), version, self._correlation, "script"))
        return raw.blob(header + _encode(request, version))

    def _exchange(self, key: ApiKey, version: int, request: Request, via: str) -> Any:  # noqa: ANN401  # a response
        try:
            self._connection(via).send(self._frame(key, version, request))
            return self._read(key, version, request, via)
        except (ConnectionError, AssertionError) as error:
            if isinstance(error, AssertionError) and "closed after" not in str(error):
                raise
            self._drop(via)
            return CLOSED

    def _read(self, key: ApiKey, version: int, request: Request, via: str) -> Any:  # noqa: ANN401  # a response
        correlation, reader = self._connection(via).read()
        assert correlation == self._correlation or via != "a", (correlation, self._correlation)
        body = raw.i32(correlation) + reader.body[reader.at :]
        _, at = read_response_header(body, key, version)
        return _decode(request, body, at, version)

    # -- writing down --------------------------------------------------------------------------

    def _written(self, key: ApiKey, version: int, note: str, answer: M) -> M:
        step = Step(_camel(key), version, note)
        if key is ApiKey.LIST_GROUPS:  # other scripts have groups, too
            mine = [one for one in answer.groups if one.group_id.endswith(self.run)]  # type: ignore[attr-defined]  # a response
            answer.groups = mine  # type: ignore[attr-defined]  # the same
        if answer == CLOSED:
            step.answer["answer"] = CLOSED
        else:
            fields: dict[str, str] = {}
            self._flatten("", answer, fields)
            step.answer = {self._plain(name): self._plain(text) for name, text in fields.items()}
        self.steps.append(step)
        return answer

    def _plain(self, text: str) -> str:
        """Without what makes names unique."""
        return self._suffix.sub("", text)

    def _flatten(self, path: str, value: object, out: dict[str, str]) -> None:
        for name, item in _items(value):
            if name in LEFT_OUT:
                continue
            where = f"{path}.{name}" if path else name
            if name == "records":
                out[where] = " ".join(self._batches(value))
            elif isinstance(item, list | tuple):
                self._list(where, item, out)
            elif _items(item):
                self._flatten(where, item, out)
            else:
                out[where] = self._text(name, item)

    def _list(self, path: str, items: Sequence[object], out: dict[str, str]) -> None:
        out[f"{path}.size"] = str(len(items))
        for n, item in enumerate(items):
            key = _key(item)
            name = str(n) if key is None else self._text(*key).strip("'")
            where = f"{path}[{name}]"
            if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], list):
                topic = item[0] if isinstance(item[0], str) else self._text("topic_id", item[0])
                self._list(f"{path}[{topic}]", item[1], out)
            elif isinstance(item, tuple) and isinstance(item[1], str):  # record and message
                out[where] = f"record {item[0]}"
            elif isinstance(item, tuple):  # an aborted transaction: (producer id, first offset)
                out[where] = f"{self._text('producer_id', item[0])} from {item[1]}"
            elif _items(item):
                self._flatten(where, item, out)
            else:
                out[where] = self._text(path, item)

    def _text(self, name: str, value: object) -> str:
        if _is_error(name) and isinstance(value, int):
            return ErrorCode(value).name
        kind = CHOSEN.get(name)
        if kind is None or value in NONE[kind == "producer" :]:
            return repr(value) if not isinstance(value, IntEnum) else value.name
        known = self._ids.setdefault(kind, {})
        return known.setdefault(value, f"{kind} {len(known) + 1}")

    def _batches(self, fetched: Any) -> Iterable[str]:  # noqa: ANN401  # a FetchedPartition
        for _, header in iter_batches(records_of(fetched)):
            producer = self._text("producer_id", header.producer_id)
            yield (
                f"[{header.base_offset}-{header.last_offset} {producer}"
                f" epoch {header.producer_epoch} from {header.base_sequence}"
                f" flags {header.attributes:#x} leader epoch {header.partition_leader_epoch}]"
            )


_PARTITION_FIELDS: Final = {one.name for one in dataclass_fields(FetchPartition)}


def _produce(
    topic: str | UUID, batches: Batches, acks: int, txn: str | None, partition: int
) -> ProduceRequest:
    many = [batches] if isinstance(batches, raw.Batch | bytes) else batches
    records = b"".join(b if isinstance(b, bytes) else b.encoded() for b in many)
    one = PartitionProduce(partition, memoryview(records))
    return ProduceRequest(txn, acks, 30_000, [(topic, [one])])


def _camel(key: ApiKey) -> str:
    return "".join(part.capitalize() for part in key.name.split("_"))


def _key_of(request: Request) -> ApiKey:
    if isinstance(request, ProduceRequest):
        return ApiKey.PRODUCE
    if isinstance(request, FetchRequest):
        return ApiKey.FETCH
    if isinstance(request, MetadataRequest):
        return ApiKey.METADATA
    return ApiKey[type(request).__module__.rpartition(".")[2].upper()]


def _newest(request: Request, version: int | None) -> int:
    return SERVED[_key_of(request)][1] if version is None else version


def _encode(request: Request, version: int) -> bytes:
    if isinstance(request, ProduceRequest):
        return write_produce_request(version, request)
    if isinstance(request, FetchRequest):
        return write_fetch_request(version, request)
    if isinstance(request, MetadataRequest):
        return write_metadata_request(version, request)
    return request.encode(version)


def _decode(request: Request, body: bytes, at: int, version: int) -> Any:  # noqa: ANN401  # a response
    if isinstance(request, ProduceRequest):
        return read_produce_response(body, at, version)
    if isinstance(request, FetchRequest):
        return read_fetch_response(body, at, version)
    if isinstance(request, MetadataRequest):
        return read_metadata_response(body, at, version)
    module = import_module(type(request).__module__)
    response = getattr(module, type(request).__name__.removesuffix("Request") + "Response")
    value, end = response.decode(body, at, version)
    assert end == len(body), f"{len(body) - end} bytes after the {response.__name__}"
    return value


def _items(value: object) -> list[tuple[str, Any]]:
    if isinstance(value, Fields):
        return [(name, getattr(value, name)) for name in value.__slots__]
    if is_dataclass(value) and not isinstance(value, type):
        return [(one.name, getattr(value, one.name)) for one in dataclass_fields(value)]
    return []


def _key(item: object) -> tuple[str, object] | None:
    """What tells an element from its neighbours: a field's name and value."""
    found = [(name, value) for name, value in _items(item) if name in KEYS]
    by_id = getattr(item, "topic_id", None) and found and found[0][1] == ""
    return ("topic_id", item.topic_id) if by_id else next(iter(found), None)  # type: ignore[attr-defined]  # it has one


def _is_error(name: str) -> bool:
    return name == "error" or name.endswith("error_code")


def _errors(answer: object) -> set[ErrorCode]:
    """Every error code anywhere in an answer."""
    if isinstance(answer, list | tuple):
        return {code for one in answer for code in _errors(one)}
    found = set()
    for name, value in _items(answer):
        if _is_error(name):
            found.add(ErrorCode(value))
        else:
            found |= _errors(value)
    return found


Scenario = Callable[[Player], None]
Response = ProduceResponse | FetchResponse
