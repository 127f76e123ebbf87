"""A Kafka client of bare sockets and bytes, so that a test can say exactly what is on the wire.

Only the old, non-flexible encodings, written by hand: it shares no code with the broker or with any
client library, so a mistake cannot be made twice the same way.
"""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from crc32c import crc32c
from tests.interop.harness import PATIENCE_S, Broker, eventually

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP = 8, 9, 10, 11
HEARTBEAT, LEAVE_GROUP, SYNC_GROUP, API_VERSIONS = 12, 13, 14, 18
INIT_PRODUCER_ID, OFFSET_FOR_LEADER_EPOCH = 22, 23


def i8(value: int) -> bytes:
    return struct.pack(">b", value)


def i16(value: int) -> bytes:
    return struct.pack(">h", value)


def i32(value: int) -> bytes:
    return struct.pack(">i", value)


def i64(value: int) -> bytes:
    return struct.pack(">q", value)


def string(value: str | None) -> bytes:
    return i16(-1) if value is None else i16(len(value.encode())) + value.encode()


def blob(value: bytes | None) -> bytes:
    return i32(-1) if value is None else i32(len(value)) + value


def array(items: Sequence[bytes]) -> bytes:
    return i32(len(items)) + b"".join(items)


class Reader:
    """Takes values off the front of a response."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def take(self, count: int) -> bytes:
        piece = self.body[self.at : self.at + count]
        assert len(piece) == count, f"{count} bytes wanted at {self.at} of {len(self.body)}"
        self.at += count
        return piece

    def _int(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big", signed=True)

    def i8(self) -> int:
        return self._int(1)

    def i16(self) -> int:
        return self._int(2)

    def i32(self) -> int:
        return self._int(4)

    def i64(self) -> int:
        return self._int(8)

    def string(self) -> str | None:
        length = self.i16()
        return None if length < 0 else self.take(length).decode()

    def blob(self) -> bytes | None:
        length = self.i32()
        return None if length < 0 else self.take(length)

    def end(self) -> None:
        assert self.at == len(self.body), f"{len(self.body) - self.at} bytes too many"


def request(api: int, version: int, body: bytes, correlation_id: int = 7) -> bytes:
    """A whole frame with header v1."""
    header = i16(api) + i16(version) + i32(correlation_id) + string("raw")
    return blob(header + body)


class Connection:
    """One socket to a broker."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.correlation_id = 100

    def send(self, frame: bytes) -> None:
        self.sock.sendall(frame)

    def read(self) -> tuple[int, Reader]:
        """The next response: its correlation id and its body."""
        reader = Reader(self._exactly(int.from_bytes(self._exactly(4), "big")))
        return reader.i32(), reader

    def ask(self, api: int, version: int, body: bytes) -> Reader:
        self.correlation_id += 1
        self.send(request(api, version, body, self.correlation_id))
        answered, reader = self.read()
        assert answered == self.correlation_id
        return reader

    def closed_by_peer(self) -> bool:
        """Wait for the end of the stream; AssertionError if a response comes instead."""
        try:
            rest = self.sock.recv(1)
        except ConnectionResetError:
            return True
        assert rest == b"", "the broker answered"
        return True

    def _exactly(self, count: int) -> bytes:
        pieces = b""
        while len(pieces) < count:
            piece = self.sock.recv(count - len(pieces))
            assert piece, f"closed after {len(pieces)} of {count} bytes"
            pieces += piece
        return pieces


@contextmanager
def connected(broker: Broker) -> Iterator[Connection]:
    with socket.create_connection(("127.0.0.1", broker.port), PATIENCE_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Connection(sock)


# -- record batches --------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    zigzag = (value << 1) ^ (value >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def record(delta: int, value: bytes, key: bytes | None) -> bytes:
    keyed = varint(-1) if key is None else varint(len(key)) + key
    body = i8(0) + varint(0) + varint(delta) + keyed + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A record batch of format v2, with every header field open to abuse."""

    values: Sequence[bytes] = (b"v",)
    key: bytes | None = b"k"
    base_offset: int = 0
    magic: int = 2
    attributes: int = 0
    timestamp: int = 1_600_000_000_000
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1
    crc_flip: int = 0
    count: int | None = None

    def encoded(self) -> bytes:
        records = [record(n, value, self.key) for n, value in enumerate(self.values)]
        count = len(records) if self.count is None else self.count
        covered = (
            i16(self.attributes)
            + i32(len(records) - 1)
            + i64(self.timestamp) * 2
            + i64(self.producer_id)
            + i16(self.producer_epoch)
            + i32(self.base_sequence)
            + i32(count)
            + b"".join(records)
        )
        crc = struct.pack(">I", crc32c(covered) ^ self.crc_flip)
        after_length = i32(-1) + i8(self.magic) + crc + covered
        return i64(self.base_offset) + i32(len(after_length)) + after_length


# -- the calls that the tests make -----------------------------------------------------------------


@dataclass(frozen=True)
class Produced:
    error: int
    base_offset: int


def produce_body(topic: str, records: bytes | None, *, acks: int = -1, partition: int = 0) -> bytes:
    """The body of Produce v3 to v8."""
    parts = array([i32(partition) + blob(records)])
    return string(None) + i16(acks) + i32(30_000) + array([string(topic) + parts])


def produce(
    connection: Connection, topic: str, *batches: Batch, acks: int = -1, partition: int = 0
) -> Produced:
    records = b"".join(batch.encoded() for batch in batches)
    body = produce_body(topic, records, acks=acks, partition=partition)
    return read_produced(connection.ask(PRODUCE, 7, body), topic, partition)


def read_produced(reader: Reader, topic: str, partition: int = 0) -> Produced:
    """The response of Produce v5 to v7 for one partition."""
    assert (reader.i32(), reader.string(), reader.i32()) == (1, topic, 1)
    assert reader.i32() == partition
    produced = Produced(reader.i16(), reader.i64())
    reader.i64()  # log append time
    reader.i64()  # log start offset
    reader.i32()  # throttle time
    reader.end()
    return produced


@dataclass(frozen=True)
class Fetched:
    error: int
    high_watermark: int
    records: bytes


def fetch_body(
    topic: str,
    offset: int,
    *,
    max_bytes: int = 1 << 20,
    wait_ms: int = 0,
    min_bytes: int = 1,
    leader_epoch: int = -1,
) -> bytes:
    """The body of Fetch v9 for partition 0, without a session."""
    partition = i32(0) + i32(leader_epoch) + i64(offset) + i64(-1) + i32(max_bytes)
    limits = i32(-1) + i32(wait_ms) + i32(min_bytes) + i32(1 << 26) + i8(0)
    return limits + i32(0) + i32(-1) + array([string(topic) + array([partition])]) + array([])


def read_fetched(reader: Reader, topic: str) -> Fetched:
    """The response of Fetch v9 for one partition."""
    reader.i32()  # throttle time
    assert (reader.i16(), reader.i32()) == (0, 0), "no error, no session"
    assert (reader.i32(), reader.string(), reader.i32(), reader.i32()) == (1, topic, 1, 0)
    error, high_watermark = reader.i16(), reader.i64()
    reader.i64()  # last stable offset
    reader.i64()  # log start offset
    assert reader.i32() <= 0, "no aborted transactions"
    fetched = Fetched(error, high_watermark, reader.blob() or b"")
    reader.end()
    return fetched


def fetch(
    connection: Connection,
    topic: str,
    offset: int,
    *,
    max_bytes: int = 1 << 20,
    leader_epoch: int = -1,
) -> Fetched:
    body = fetch_body(topic, offset, max_bytes=max_bytes, leader_epoch=leader_epoch)
    return read_fetched(connection.ask(FETCH, 9, body), topic)


def end_offset(connection: Connection, topic: str, timestamp: int = -1) -> int:
    """ListOffsets v1: the offset for a timestamp; -1 is the end, -2 the start."""
    body = i32(-1) + array([string(topic) + array([i32(0) + i64(timestamp)])])
    reader = connection.ask(LIST_OFFSETS, 1, body)
    assert (reader.i32(), reader.string(), reader.i32()) == (1, topic, 1)
    assert (reader.i32(), reader.i16()) == (0, 0)
    reader.i64()  # the timestamp found
    offset = reader.i64()
    reader.end()
    return offset


def new_producer_id(connection: Connection) -> tuple[int, int]:
    """InitProducerId v0 without a transactional id: producer id and epoch."""

    def granted() -> tuple[int, int] | None:
        reader = connection.ask(INIT_PRODUCER_ID, 0, string(None) + i32(60_000))
        reader.i32()  # throttle time
        error, producer = reader.i16(), (reader.i64(), reader.i16())
        return None if error else producer

    return eventually(granted, "a producer id")


def end_offset_settles(broker: Broker, topic: str, *, want: int = 1) -> int:
    """The end offset once it has reached `want`, asked on a connection of its own."""
    with connected(broker) as connection:

        def reached() -> int | None:
            end = end_offset(connection, topic)
            return end if end >= want else None

        return eventually(reached, f"{want} records in {topic}")


def await_leader(broker: Broker, topic: str) -> None:
    """Return when partition 0 can be read: Apache Kafka answers a creation somewhat early."""
    body = i32(-1) + array([string(topic) + array([i32(0) + i64(-2)])])

    def led() -> bool:
        reader = connection.ask(LIST_OFFSETS, 1, body)
        assert (reader.i32(), reader.string(), reader.i32(), reader.i32()) == (1, topic, 1, 0)
        return reader.i16() == 0

    with connected(broker) as connection:
        eventually(led, f"a leader of {topic}")


def await_coordinator(connection: Connection, group: str) -> None:
    """FindCoordinator v0 until the offsets topic is there and its coordinator has loaded."""

    def ready() -> bool:
        found = connection.ask(FIND_COORDINATOR, 0, string(group))
        if found.i16() != 0:
            return False
        # a heartbeat would be answered with success while the group is being loaded
        left = connection.ask(LEAVE_GROUP, 0, string(group) + string("probe"))
        return left.i16() == 25  # UNKNOWN_MEMBER_ID, said by one who has loaded its groups

    eventually(ready, f"the coordinator of {group}")
