"""What is fuzzed: each target takes any bytes and must come back, soon, with nothing broken.

A target swallows the errors that its callers are told to expect and lets every other one through.
The same functions run under atheris (``python -m tests.fuzz``), which is led by coverage, and under
hypothesis (test_targets.py), which needs nothing but Python. ``seeds`` are well-formed inputs.
"""

import importlib
import pkgutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz import doors
from tests.log_kit import FOLDER, NOW, batches, new_disk, open_log, produced, sync

from tickertape.base.crc import crc32c
from tickertape.base.errors import MisuseError, PeerError, StorageError
from tickertape.broker.server.configure import configure
from tickertape.broker.server.frames import FrameBuffer
from tickertape.broker.state.offset_records import read_changes
from tickertape.broker.state.stored_records import explain
from tickertape.broker.state.topics import OFFSETS_TOPIC, TRANSACTIONS_TOPIC
from tickertape.broker.state.transaction_records import read_transactions
from tickertape.config.jaas import login
from tickertape.config.properties import read_properties
from tickertape.log.checkpoint import read_offset, read_topic_id
from tickertape.log.leader_epochs import read_leader_epochs
from tickertape.log.producer_snapshot import read_snapshot, read_window
from tickertape.log.transactions import read_index
from tickertape.wire import compression, fetch, metadata, produce, schema
from tickertape.wire.batch import CRC_COVERS_FROM, iter_batches
from tickertape.wire.frame import is_flexible, read_request_header
from tickertape.wire.message import Message
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record, iter_records, write_batch

GOLDEN: Final = Path(__file__).parents[1] / "golden"
_UNPACKED_MAX: Final = 1 << 16


class Target(NamedTuple):
    """``runs``: how many inputs the suite tries."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    runs: int = 20_000


# The wire ----------------------------------------------------------------------------------------


def message_classes() -> list[type[Message]]:
    """Every generated message, in a fixed order."""
    found: dict[str, type[Message]] = {}
    for module in pkgutil.iter_modules(schema.__path__):
        names = vars(importlib.import_module(f"{schema.__name__}.{module.name}"))
        found |= {
            name: value
            for name, value in names.items()
            if isinstance(value, type) and issubclass(value, Message) and value is not Message
        }
    return [found[name] for name in sorted(found)]


MESSAGES: Final = message_classes()


def message(data: bytes) -> None:
    """Byte 0 chooses the class, byte 1 the version: what decodes, encodes and decodes the same."""
    if len(data) < 2:
        return
    kind = MESSAGES[data[0] % len(MESSAGES)]
    first, last = kind.VERSIONS
    version = first + data[1] % (last - first + 1)
    try:
        value, end = kind.decode(memoryview(data), 2, version)
    except DecodeError:
        return
    assert 2 <= end <= len(data)
    again, _ = kind.decode(value.encode(version), 0, version)
    # Not ==: a NaN is not equal to itself.
    assert repr(again) == repr(value)


def message_seeds() -> list[bytes]:
    seeds = []
    for index, kind in enumerate(MESSAGES):
        first, last = kind.VERSIONS
        for version in {first, last}:
            body = kind().encode(version)
            seeds.append(bytes([index, version - first]) + body)
    return seeds


def hot(data: bytes) -> None:
    """The hand-written codecs; byte 0 chooses one, byte 1 the version."""
    if len(data) < 2:
        return
    name = sorted(_HOT)[data[0] % len(_HOT)]
    read, first, last = _HOT[name]
    try:
        read(memoryview(data), 2, first + data[1] % (last - first + 1))
    except DecodeError:
        return


_HOT: Final[dict[str, tuple[Callable[[memoryview, int, int], object], int, int]]] = {
    "produce_request": (produce.read_produce_request, 3, 13),
    "produce_response": (produce.read_produce_response, 3, 13),
    "fetch_request": (fetch.read_fetch_request, 4, 18),
    "fetch_response": (fetch.read_fetch_response, 4, 18),
    "metadata_request": (metadata.read_metadata_request, 0, 12),
    "metadata_response": (metadata.read_metadata_response, 0, 12),
}


def hot_seeds() -> list[bytes]:
    seeds = []
    for path in sorted((GOLDEN / "frames").glob("*.hex")):
        *_, api, version, _ = path.name.split(".")
        name = f"{api}_request"
        if name in _HOT:
            frame = bytes.fromhex(path.read_text())
            _, at = read_request_header(frame)
            chosen = bytes([sorted(_HOT).index(name), int(version[1:]) - _HOT[name][1]])
            seeds.append(chosen + frame[at:])
    return seeds


def header(data: bytes) -> None:
    """A request header: its end is within the frame."""
    try:
        found, at = read_request_header(data)
    except PeerError:
        return
    assert 8 < at <= len(data)
    assert is_flexible(found.api_key, found.api_version) in {True, False}


def frames(data: bytes) -> None:
    """Any stream in any pieces: the frames of the whole, and no memory for what is only announced.

    Byte 0 is the size of the pieces.
    """
    if not data:
        return
    step, stream, bytes_max = data[0] + 1, data[1:], 4096
    buffer, found = FrameBuffer(bytes_max), []
    try:
        for at in range(0, len(stream), step):
            piece = stream[at : at + step]
            buffer.free()[: len(piece)] = piece
            buffer.filled(len(piece))
            while (frame := buffer.next_frame()) is not None:
                found.append(bytes(frame))
    except PeerError:
        refused = True
    else:
        refused = False
    assert buffer.capacity <= max(4 * len(data), 2 * bytes_max)
    expected, at = [], 0
    while len(stream) - at >= 4:
        size = int.from_bytes(stream[at : at + 4], "big", signed=True)
        if not 0 <= size <= bytes_max:
            assert refused
            break
        if len(stream) - at - 4 < size:
            break
        expected.append(stream[at + 4 : at + 4 + size])
        at += 4 + size
    assert found == expected


def frames_seeds() -> list[bytes]:
    return [b"\x03" + b"\0\0\0\x02ab" * 3, b"\xff" + b"\0\0\x10\0" + bytes(4096), b"\0GET / HTTP"]


# Records -----------------------------------------------------------------------------------------


def with_crc(batch: bytes) -> bytes:
    """The same bytes with the checksum that they should have: else nothing gets past it."""
    if len(batch) < CRC_COVERS_FROM:
        return batch
    crc = crc32c(memoryview(batch)[CRC_COVERS_FROM:])
    return batch[: CRC_COVERS_FROM - 4] + crc.to_bytes(4, "big") + batch[CRC_COVERS_FROM:]


def batch(data: bytes) -> None:
    """Batches and their records, however compressed; what they unpack to is bounded."""
    try:
        for at, head in iter_batches(data):
            for count, _ in enumerate(iter_records(data, at, head, bytes_max=_UNPACKED_MAX)):
                assert count < _UNPACKED_MAX
    except DecodeError:
        return


def batch_seeds() -> list[bytes]:
    golden = sorted((GOLDEN / "batches").glob("*.hex"))
    return [
        *(bytes.fromhex(path.read_text()) for path in golden),
        *(bytes(produced(b"a" * 5_000, None, b"", compression=codec)) for codec in range(5)),
        write_batch([Record(0, 1, None, b"v", (("h", b"x"), ("i", None)))]),
    ]


def unpack(data: bytes) -> None:
    """Byte 0 is the codec: a bound that is not passed, or DecodeError."""
    if not data:
        return
    codec = 1 + data[0] % 4
    try:
        out = compression.decompress(codec, memoryview(data)[1:], bytes_max=_UNPACKED_MAX)
    except DecodeError:
        return
    assert len(out) <= _UNPACKED_MAX


def unpack_seeds() -> list[bytes]:
    texts = (b"", b"abc" * 100, bytes(_UNPACKED_MAX), bytes(100 * _UNPACKED_MAX))
    return [
        bytes([codec - 1]) + compression.compress(codec, text)
        for codec in range(1, 5)
        for text in texts
    ]


# Files -------------------------------------------------------------------------------------------


def recovery(data: bytes) -> None:
    """Any bytes instead of one of a log's files: it opens, says what is there, and takes more.

    Byte 0 chooses the file and byte 1 how much of the good one is kept before them. A log that
    cannot be opened says StorageError.
    """
    if len(data) < 2:
        return
    fs = new_disk()
    log, _ = open_log(fs)
    for number in range(3):
        log.append(produced(b"v", b"w", producer=(7, 0, 2 * number)), NOW)
    sync(log)
    log.close(clean=False)
    names = sorted(fs.list(FOLDER))
    path = f"{FOLDER}/{names[data[0] % len(names)]}"
    good = fs.read(path) or b""
    fs.write_atomic(path, good[: len(good) * data[1] // 255] + data[2:])
    try:
        log, _ = open_log(fs)
    except StorageError:
        return
    before = log.end_offset
    assert log.log_start_offset <= before
    kept = batches(log)
    result = log.append(produced(b"x"), NOW)
    assert not result.error, result
    sync(log)
    assert len(batches(log)) == len(kept) + 1
    log.close(clean=False)
    again, _ = open_log(fs)
    assert again.end_offset == before + 1


def recovery_seeds() -> list[bytes]:
    whole = batch_seeds()
    texts = [path.read_text() for path in sorted((GOLDEN / "log" / "partition").glob("*.hex"))]
    return [
        bytes([file, kept]) + body
        for file in range(6)
        for kept in (0, 100, 255)
        for body in (b"", whole[0], *(bytes.fromhex(text) for text in texts[:3]))
    ]


def stored(data: bytes) -> None:
    """The small files and the records of the broker's own topics: a value, None or DecodeError."""
    for read in (read_offset, read_topic_id, read_leader_epochs, read_index):
        read(data)
    read_snapshot(data, 1_000)
    read_window(data, 8)
    cut = data[0] if data else 0
    record = Record(0, 0, data[1 : 1 + cut], data[1 + cut :] or None)
    for changes in (read_changes, read_transactions):
        with suppress(DecodeError):
            list(changes([record]))
    for topic in (OFFSETS_TOPIC, TRANSACTIONS_TOPIC):
        with suppress(DecodeError):
            explain(topic, record)


def stored_seeds() -> list[bytes]:
    files = [*(GOLDEN / "log").glob("*.hex"), *(GOLDEN / "log" / "partition").glob("*.hex")]
    return [bytes.fromhex(path.read_text()) for path in sorted(files)] + doors.stored_records()


def properties(data: bytes) -> None:
    """A server.properties: settings, or MisuseError; a JAAS line: a login, or ValueError."""
    with suppress(MisuseError):
        configure(read_properties(data, "server.properties"), "server.properties", "/data")
    with suppress(ValueError):
        login(data.decode("latin-1"))


def properties_seeds() -> list[bytes]:
    return [
        b"log.dirs=/x\nnum.partitions=3\nlisteners=PLAINTEXT://:9092,SASL_PLAINTEXT://:9093\n",
        b"log.retention.hours=1\\\n 2\n! c\nport\\ x: 9\\u0041\nsuper.users=User:a;User:b\n",
        b'org.apache.kafka.common.security.plain.PlainLoginModule required user_a="b\\"" ;',
        b"sasl.enabled.mechanisms=PLAIN\nlistener.name.x.plain.sasl.jaas.config=a required;\n",
    ]


TARGETS: Final[dict[str, Target]] = {
    "message": Target(message, message_seeds, 60_000),
    "hot": Target(hot, hot_seeds, 40_000),
    "header": Target(header, doors.frame_seeds),
    "frames": Target(frames, frames_seeds),
    "batch": Target(batch, batch_seeds),
    "unpack": Target(unpack, unpack_seeds),
    "produce": Target(lambda data: doors.produce(with_crc(data)), batch_seeds, 1_500),
    "requests": Target(doors.requests, doors.request_seeds, 1_500),
    "sasl": Target(doors.sasl, doors.sasl_seeds, 2_000),
    "recovery": Target(recovery, recovery_seeds, 2_000),
    "stored": Target(stored, stored_seeds),
    "properties": Target(properties, properties_seeds, 3_000),
}
