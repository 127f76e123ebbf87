"""A small blocking client of the Kafka protocol: one question, one answer, to any broker.

For the few admin calls that librdkafka lacks. Versions are chosen by what each broker serves. A
connection is opened when first needed and kept until ``close``; nothing is retried: a command that
failed is run again. Errors: PeerError, one line with what was asked of whom.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Final, Protocol, Self, TypeVar

from tickertape.base.errors import PeerError
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import RequestHeader, read_response_header, write_request_header
from tickertape.wire.message import Message
from tickertape.wire.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    read_metadata_response,
    write_metadata_request,
)
from tickertape.wire.schema.api_versions import ApiVersionsRequest, ApiVersionsResponse

FRAME_BYTES_MAX: Final = 256 << 20
_SIZE: Final = struct.Struct(">i")
_METADATA: Final = (4, 9)
_CLIENT_ID: Final = "tape"

Answer = TypeVar("Answer", bound=Message)
Address = tuple[str, int]


class KafkaError(PeerError):
    """The cluster refused; ``code`` says why."""

    def __init__(self, what: str, code: int, message: str | None = None) -> None:
        self.code = ErrorCode(code) if code in set(ErrorCode) else ErrorCode.UNKNOWN_SERVER_ERROR
        super().__init__(f"{what}: {self.code.name}{f': {message}' if message else ''}")


class Stream(Protocol):
    """A connected socket, as far as it is used. Its calls raise OSError."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""
        ...

    def recv(self, size: int, /) -> bytes:
        """At least one byte, or b"" at the end."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


Connect = Callable[[Address], Stream]


class Broker:
    """One connection."""

    def __init__(self, address: Address, stream: Stream) -> None:
        """``stream`` is connected to ``address``."""
        self.address = address
        self._stream = stream
        self._number = 0
        self._served: dict[int, tuple[int, int]] | None = None

    def close(self) -> None:
        """Hang up."""
        self._stream.close()

    def ask(
        self, key: ApiKey, request: Message, answer: type[Answer], *,
        at_most: int | None = None, at_least: int = 0,
    ) -> Answer:  # fmt: skip
        """Encode in the newest version that both sides know."""
        newest = request.VERSIONS[1] if at_most is None else at_most
        version = self.version(key, max(at_least, request.VERSIONS[0]), newest)
        frame, at = self.exchange(key, version, request.encode(version))
        return answer.decode(frame, at, version)[0]

    def version(self, key: ApiKey, first: int, last: int) -> int:
        """The newest version from ``first`` to ``last`` that the broker serves, too."""
        if self._served is None:
            frame, at = self.exchange(ApiKey.API_VERSIONS, 0, ApiVersionsRequest().encode(0))
            found = ApiVersionsResponse.decode(frame, at, 0)[0].api_keys
            self._served = {each.api_key: (each.min_version, each.max_version) for each in found}
        lowest, highest = self._served.get(key, (0, -1))
        version = min(last, highest)
        if version < max(first, lowest):
            host, port = self.address
            raise PeerError(
                f"{host}:{port} serves {key.name} {lowest} to {highest}, want {first} to {last}"
                if highest >= 0
                else f"{host}:{port} does not serve {key.name}"
            )
        return version

    def exchange(self, key: ApiKey, version: int, body: bytes) -> tuple[bytes, int]:
        """Send a request; its response frame, and where the message begins in it."""
        self._number += 1
        header = RequestHeader(key, version, self._number, _CLIENT_ID)
        request = write_request_header(header) + body
        try:
            self._stream.sendall(_SIZE.pack(len(request)) + request)
            (size,) = _SIZE.unpack(self._read(_SIZE.size))
            if not 0 <= size <= FRAME_BYTES_MAX:
                raise PeerError(f"got a frame of {size} bytes, want 0 to {FRAME_BYTES_MAX}")
            frame = self._read(size)
        except (OSError, PeerError) as error:
            host, port = self.address
            raise PeerError(f"{host}:{port}: {key.name}: {error}") from error
        number, at = read_response_header(frame, key, version)
        if number != self._number:
            raise PeerError(f"got the answer to request {number}, want {self._number}")
        return frame, at

    def _read(self, size: int) -> bytes:
        read = bytearray()
        while len(read) < size:
            piece = self._stream.recv(min(size - len(read), 1 << 16))
            if not piece:
                raise PeerError("the connection was closed")
            read += piece
        return bytes(read)


class Brokers:
    """All brokers of a cluster; a context manager, which closes the connections."""

    def __init__(
        self, bootstrap: str, connect: Connect, greet: Callable[[Broker], None] | None = None
    ) -> None:
        """``bootstrap``: host:port, several with commas. ``greet`` begins each connection."""
        self._bootstrap = bootstrap
        self._connect = connect
        self._greet = greet
        self._open: dict[Address, Broker] = {}
        self._nodes: dict[int, Address] = {}

    def __enter__(self) -> Self:
        """Nothing is connected yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        for broker in self._open.values():
            broker.close()

    def any(self) -> Broker:
        """The first that answers."""
        for address in self._open:
            return self._open[address]
        causes = []
        for address in addresses(self._bootstrap):
            try:
                return self._at(address)
            except OSError as error:
                causes.append(str(error))
        raise PeerError(f"no broker answers at {self._bootstrap}: {'; '.join(causes)}")

    def node(self, node_id: int) -> Broker:
        """The broker of that id. PeerError if there is none, or it does not answer."""
        if node_id not in self._nodes:
            self.metadata([])
        address = self._nodes.get(node_id)
        if address is None:
            raise PeerError(f"the cluster has no broker {node_id} now")
        try:
            return self._at(address)
        except OSError as error:
            host, port = address
            raise PeerError(
                f"broker {node_id} does not answer at {host}:{port}: {error}"
            ) from error

    def node_ids(self) -> list[int]:
        """Of all brokers that are up."""
        self.metadata([])
        return sorted(self._nodes)

    def metadata(self, topics: Iterable[str] | None) -> MetadataResponse:
        """Of these topics, or of all (None)."""
        broker = self.any()
        version = broker.version(ApiKey.METADATA, *_METADATA)
        wanted = None if topics is None else [MetadataRequestTopic(name) for name in topics]
        request = MetadataRequest(wanted, allow_auto_topic_creation=False)
        body = write_metadata_request(version, request)
        frame, at = broker.exchange(ApiKey.METADATA, version, body)
        found = read_metadata_response(frame, at, version)
        self._nodes = {each.node_id: (each.host, each.port) for each in found.brokers}
        return found

    def _at(self, address: Address) -> Broker:
        broker = self._open.get(address)
        if broker is None:
            broker = self._open[address] = Broker(address, self._connect(address))
            if self._greet is not None:
                self._greet(broker)
        return broker


def addresses(bootstrap: str) -> list[Address]:
    """``host:port,[::1]:port``. PeerError if it is none."""
    found = []
    for part in bootstrap.split(","):
        host, colon, port = part.strip().rpartition(":")
        if not colon or not port.isdecimal() or not host:
            raise PeerError(f"{part!r}: want host:port")
        found.append((host.strip("[]"), int(port)))
    return found
