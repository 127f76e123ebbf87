"""The records inside a batch, for those who need them: offsets topic, compaction, verification.

The produce and fetch paths never come here. Timestamps are ms since 1970; a batch stamped by the
broker gives every record the batch's time.

Source: org.apache.kafka.common.record.DefaultRecord, DefaultRecordBatch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tickertape.base.buffers import Buffer
from tickertape.base.crc import crc32c
from tickertape.base.errors import MisuseError
from tickertape.wire.batch import (
    BATCH_HEADER,
    BATCH_OVERHEAD,
    COMPRESSION_MASK,
    CRC_COVERS_FROM,
    LOG_OVERHEAD,
    MAGIC,
    NO_TIMESTAMP,
    BatchHeader,
)
from tickertape.wire.compression import compress, decompress
from tickertape.wire.primitives import (
    BAD_BYTES,
    DecodeError,
    read_varint,
    read_varlong,
    short,
    write_varint,
    write_varlong,
)

_DELTA_MAX: Final = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class Record:
    """One record with its place in the log; None is Kafka's null (a tombstone's value)."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


# Reading -----------------------------------------------------------------------------------------


def read_records(buf: Buffer, at: int, header: BatchHeader, *, bytes_max: int) -> list[Record]:
    """All that ``iter_records`` yields, or its DecodeError."""
    return list(iter_records(buf, at, header, bytes_max=bytes_max))


def iter_records(buf: Buffer, at: int, header: BatchHeader, *, bytes_max: int) -> Iterator[Record]:
    """Each record of the batch at ``at``; ``bytes_max`` bounds what decompression may yield.

    A record in memory is many times its size in the batch, so those who do not keep them all take
    them one at a time: a hostile batch of 1 MB holds millions.

    DecodeError if the batch is cut short, its content is damaged or too large, or the records are
    not exactly as many as the header says. The CRC is the caller's to check.
    """
    end = at + header.size
    if end > len(buf):
        raise DecodeError(f"batch at byte {at} wants {header.size} bytes, got {len(buf) - at}")
    body = memoryview(buf)[at + BATCH_OVERHEAD : end]
    content = bytes(decompress(header.compression, body, bytes_max=bytes_max))
    if header.record_count > len(content):
        raise DecodeError(f"{header.record_count} records claimed in {len(content)} bytes")
    try:
        yield from _read_all(content, header)
    except BAD_BYTES as error:
        raise short(content, 0, error) from None


def _read_all(content: bytes, header: BatchHeader) -> Iterator[Record]:
    fixed_time = header.max_timestamp if header.is_log_append_time else None
    base_offset, base_time = header.base_offset, header.base_timestamp
    position = 0
    for _ in range(header.record_count):
        size, at = read_varint(content, position)
        end = at + size
        if size < 0 or end > len(content):
            raise DecodeError(f"record wants {size} bytes, got {len(content) - at}")
        time_delta, at = read_varlong(content, at + 1)
        offset_delta, at = read_varint(content, at)
        key, at = _read_blob(content, at)
        value, at = _read_blob(content, at)
        headers, at = _read_headers(content, at)
        if at != end:
            raise DecodeError(f"record ends at byte {at}, its size says {end}")
        timestamp = base_time + time_delta if fixed_time is None else fixed_time
        yield Record(base_offset + offset_delta, timestamp, key, value, headers)
        position = end
    if position != len(content):
        raise DecodeError(f"{len(content) - position} bytes after the last record of the batch")


def _read_blob(content: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = read_varint(content, at)
    if size == -1:
        return None, at
    end = at + size
    if size < 0 or end > len(content):
        raise DecodeError(f"bytes in a record want {size} bytes, got {len(content) - at}")
    return content[at:end], end


def _read_headers(content: bytes, at: int) -> tuple[tuple[tuple[str, bytes | None], ...], int]:
    count, at = read_varint(content, at)
    if count == 0:
        return (), at
    if not 0 < count <= len(content) - at:
        raise DecodeError(f"{count} record headers claimed, got {len(content) - at} bytes")
    headers = []
    for _ in range(count):
        name, at = _read_blob(content, at)
        if name is None:
            raise DecodeError(f"record header before byte {at} has a null name")
        value, at = _read_blob(content, at)
        headers.append((name.decode(), value))
    return tuple(headers), at


# Writing -----------------------------------------------------------------------------------------


def write_batch(  # noqa: PLR0913  # as many as a batch header has fields
    records: Sequence[Record],
    *,
    base_offset: int = 0,
    compression: int = 0,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    leader_epoch: int = -1,
    attributes: int = 0,
    max_timestamp: int | None = None,
    last_offset_delta: int | None = None,
) -> bytes:
    """One whole batch, CRC included.

    A record's delta is its offset less ``base_offset``. ``attributes`` are flags (transactional,
    control, log-append time); the compression is added to them. Compaction keeps the batch's last
    offset although the record is gone: ``last_offset_delta``; with it, ``records`` may be empty.
    MisuseError if offsets do not ascend from ``base_offset`` or do not fit.
    """
    if last_offset_delta is None:
        if not records:
            raise MisuseError("got a batch of no records, want one at least")
        last_offset_delta = records[-1].offset - base_offset
    base_timestamp = records[0].timestamp if records else NO_TIMESTAMP
    if max_timestamp is None:
        max_timestamp = max((record.timestamp for record in records), default=NO_TIMESTAMP)
    content = _write_all(records, base_offset, base_timestamp, last_offset_delta)
    body = compress(compression, content)
    fields = [
        base_offset,
        BATCH_OVERHEAD - LOG_OVERHEAD + len(body),
        leader_epoch,
        MAGIC,
        0,
        (attributes & ~COMPRESSION_MASK) | compression,
        last_offset_delta,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        len(records),
    ]
    head = BATCH_HEADER.pack(*fields)
    fields[4] = crc32c(body, crc32c(head[CRC_COVERS_FROM:]))
    return BATCH_HEADER.pack(*fields) + body


def _write_all(
    records: Sequence[Record], base_offset: int, base_timestamp: int, last_offset_delta: int
) -> bytearray:
    out = bytearray()
    before = -1
    for record in records:
        delta = record.offset - base_offset
        if not before < delta <= min(last_offset_delta, _DELTA_MAX):
            raise MisuseError(
                f"record offset {record.offset} does not ascend between {base_offset} and "
                f"{base_offset + last_offset_delta}"
            )
        before = delta
        body = _write_record(record, delta, record.timestamp - base_timestamp)
        write_varint(out, len(body))
        out += body
    return out


def _write_record(record: Record, offset_delta: int, time_delta: int) -> bytearray:
    body = bytearray(1)  # a record's own attributes: none are defined
    write_varlong(body, time_delta)
    write_varint(body, offset_delta)
    _write_blob(body, record.key)
    _write_blob(body, record.value)
    write_varint(body, len(record.headers))
    for name, value in record.headers:
        _write_blob(body, name.encode())
        _write_blob(body, value)
    return body


def _write_blob(out: bytearray, data: bytes | None) -> None:
    if data is None:
        out.append(1)  # zigzag of -1
    else:
        write_varint(out, len(data))
        out += data
