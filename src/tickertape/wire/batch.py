"""The record batch of Kafka 0.11 and later (magic 2): its 61-byte header and its CRC.

The broker looks no deeper than this: records stay opaque bytes on the produce and fetch paths. The
CRC covers everything from the attributes on, so base offset, length and leader epoch may be patched
in place (``patched_prefix``) without touching it.

Source: org.apache.kafka.common.record.DefaultRecordBatch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from tickertape.base.buffers import Buffer
from tickertape.base.crc import crc32c
from tickertape.wire.primitives import DecodeError

BATCH_HEADER: Final = Struct(">qiibIhiqqqhii")
BATCH_OVERHEAD: Final = 61
LOG_OVERHEAD: Final = 12
CRC_COVERS_FROM: Final = 21
MAGIC: Final = 2
assert BATCH_HEADER.size == BATCH_OVERHEAD

COMPRESSION_MASK: Final = 0x07
LOG_APPEND_TIME_FLAG: Final = 0x08
TRANSACTIONAL_FLAG: Final = 0x10
CONTROL_FLAG: Final = 0x20
DELETE_HORIZON_FLAG: Final = 0x40
COMPRESSION_MAX: Final = 4

NO_PRODUCER_ID: Final = -1
NO_SEQUENCE: Final = -1
NO_TIMESTAMP: Final = -1
_SEQUENCES: Final = 1 << 31

_PREFIX: Final = Struct(">qii")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchHeader:
    """The header's fields under Kafka's names. Offsets, sequences: see the properties."""

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch, its offset and length included."""
        return LOG_OVERHEAD + self.batch_length

    @property
    def last_offset(self) -> int:
        """Offset of the last record that the batch was made with (compaction keeps it)."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """Base offset of the batch that follows."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record, wrapping from 2^31 - 1 to 0; -1 if there are none."""
        if self.base_sequence < 0:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) % _SEQUENCES

    @property
    def compression(self) -> int:
        """0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."""
        return self.attributes & COMPRESSION_MASK

    @property
    def is_log_append_time(self) -> bool:
        """Whether the broker's clock, not the client's, set the timestamps."""
        return self.attributes & LOG_APPEND_TIME_FLAG != 0

    @property
    def is_transactional(self) -> bool:
        """Whether the batch belongs to a transaction."""
        return self.attributes & TRANSACTIONAL_FLAG != 0

    @property
    def is_control(self) -> bool:
        """Whether the one record inside is a commit or abort marker."""
        return self.attributes & CONTROL_FLAG != 0

    @property
    def has_delete_horizon(self) -> bool:
        """Whether ``base_timestamp`` is when compaction may drop tombstones (KIP-534)."""
        return self.attributes & DELETE_HORIZON_FLAG != 0

    @property
    def has_producer_id(self) -> bool:
        """Whether an idempotent or transactional producer wrote it."""
        return self.producer_id != NO_PRODUCER_ID


def read_batch_header(buf: Buffer, at: int) -> BatchHeader:
    """The header of the batch that begins at ``at``; the body need not be there.

    DecodeError if fewer than 61 bytes are left, the magic is not 2, or the lengths are absurd.
    """
    if at < 0 or len(buf) - at < BATCH_OVERHEAD:
        raise DecodeError(f"batch header at byte {at} wants 61 bytes, got {max(len(buf) - at, 0)}")
    header = _header(BATCH_HEADER.unpack_from(buf, at))
    if header.magic != MAGIC:
        raise DecodeError(f"batch at byte {at} has magic {header.magic}, want {MAGIC}")
    if header.batch_length < BATCH_OVERHEAD - LOG_OVERHEAD:
        raise DecodeError(f"batch at byte {at} has length {header.batch_length}, want 49 or more")
    if header.last_offset_delta < 0 or header.record_count < 0:
        raise DecodeError(
            f"batch at byte {at} has {header.record_count} records over an offset delta of "
            f"{header.last_offset_delta}"
        )
    return header


def _header(fields: tuple[int, ...]) -> BatchHeader:
    return BatchHeader(
        base_offset=fields[0],
        batch_length=fields[1],
        partition_leader_epoch=fields[2],
        magic=fields[3],
        crc=fields[4],
        attributes=fields[5],
        last_offset_delta=fields[6],
        base_timestamp=fields[7],
        max_timestamp=fields[8],
        producer_id=fields[9],
        producer_epoch=fields[10],
        base_sequence=fields[11],
        record_count=fields[12],
    )


def write_batch_header(header: BatchHeader) -> bytes:
    """The 61 bytes of a header, its CRC as given."""
    return BATCH_HEADER.pack(
        header.base_offset,
        header.batch_length,
        header.partition_leader_epoch,
        header.magic,
        header.crc,
        header.attributes,
        header.last_offset_delta,
        header.base_timestamp,
        header.max_timestamp,
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
        header.record_count,
    )


def crc_ok(buf: Buffer, at: int, header: BatchHeader) -> bool:
    """Whether the whole batch is there and its bytes have the CRC that the header names."""
    end = at + header.size
    if end > len(buf):
        return False
    return crc32c(memoryview(buf)[at + CRC_COVERS_FROM : end]) == header.crc


def iter_batches(buf: Buffer) -> Iterator[tuple[int, BatchHeader]]:
    """Each batch's position and header. DecodeError on garbage or on a batch cut short."""
    at = 0
    while at < len(buf):
        header = read_batch_header(buf, at)
        end = at + header.size
        if end > len(buf):
            raise DecodeError(f"batch at byte {at} wants {header.size} bytes, got {len(buf) - at}")
        yield at, header
        at = end


def patched_prefix(base_offset: int, batch_length: int, leader_epoch: int) -> bytes:
    """The first 16 bytes of a batch (offset, length, leader epoch), which the CRC leaves out."""
    return _PREFIX.pack(base_offset, batch_length, leader_epoch)
