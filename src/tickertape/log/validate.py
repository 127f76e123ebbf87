"""What a produced batch must look like before it may enter a log.

The answers are Kafka's (LogValidator, ProduceRequest.validateRecords). Bodies stay unread, except
where a record could be at fault: on a compacted topic, where each needs a key; where
message.timestamp.before.max.ms is set; and where the header's largest timestamp is too far ahead.
Reading them takes about 2 us per record. The header's largest timestamp is believed (Kafka reads
every record of every batch). Records that are read must also lie one after the other, as all
clients number them (Kafka renumbers those of a compressed batch). A batch of more than 2^20 is not
read: nothing else would be served for seconds. It is too large, which makes clients split it.
"""

import struct
from typing import Final

from tickertape.base.buffers import Buffer
from tickertape.base.crc import crc32c
from tickertape.log.config import FOREVER_MS, LogConfig
from tickertape.log.producer_state import Batch, Refused
from tickertape.log.results import AppendResult
from tickertape.wire.batch import (
    BATCH_HEADER,
    BATCH_OVERHEAD,
    LOG_OVERHEAD,
    NO_TIMESTAMP,
    read_batch_header,
)
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import iter_records

Header = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int]
"""As ``wire.batch.BATCH_HEADER`` unpacks it."""

CRC_FROM: Final = 21
_FRONT: Final = struct.Struct(">qiibI")
_COMPRESSION: Final = 0x07
_LOG_APPEND_TIME: Final = 0x08
_TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20
_COMPRESSION_MAX: Final = 4
_DECODED_BYTES_MAX: Final = 128 << 20
_READ_MAX: Final = 1 << 20  # records
_BLAMED_MAX: Final = 1_000  # records: an answer must stay small, whatever the batch holds
_SHOWN_MAX: Final = 3
_PLAIN: Final = frozenset(range(_COMPRESSION_MAX + 1))


def refused(error: ErrorCode, message: str) -> AppendResult:
    """An answer that says why."""
    return AppendResult(error, -1, -1, -1, False, message)  # noqa: FBT003  # positional for speed


def not_appended(verdict: Batch | Refused, *, stamped: bool) -> AppendResult:
    """The answer to a retry, or to what the producer's state forbids."""
    if isinstance(verdict, Refused):
        return refused(verdict.error, verdict.message)
    return AppendResult(
        ErrorCode.NONE,
        verdict.base_offset,
        verdict.last_offset,
        verdict.timestamp if stamped else -1,
        duplicate=True,
    )


def refuse_bytes(batch: memoryview, config: LogConfig) -> AppendResult | None:
    """None if the bytes are one whole, undamaged batch of magic 2 that fits."""
    size = len(batch)
    if size < BATCH_OVERHEAD:
        return refused(ErrorCode.INVALID_RECORD, f"batch of {size} bytes, want at least 61")
    _, length, _, magic, crc = _FRONT.unpack_from(batch)
    if magic != 2:
        return _refuse_magic(magic)
    if length + LOG_OVERHEAD != size:
        return _refuse_length(length + LOG_OVERHEAD, size)
    refusal = refuse_size(size, config)
    if refusal is not None:
        return refusal
    if crc32c(batch[CRC_FROM:]) != crc:
        return refused(ErrorCode.CORRUPT_MESSAGE, "CRC does not match")
    return None


def _refuse_magic(magic: int) -> AppendResult:
    """Kafka knows the formats 0 and 1 and does not take them; any other number is damage."""
    error = ErrorCode.INVALID_RECORD if magic in {0, 1} else ErrorCode.CORRUPT_MESSAGE
    return refused(error, f"magic {magic}, want 2")


def _refuse_length(claimed: int, size: int) -> AppendResult:
    if claimed < BATCH_OVERHEAD:
        return refused(ErrorCode.CORRUPT_MESSAGE, f"batch says {claimed} bytes, want at least 61")
    if claimed < size:
        return refused(ErrorCode.INVALID_RECORD, "more than one batch, want exactly one")
    return refused(ErrorCode.INVALID_RECORD, f"batch says {claimed} bytes, got only {size}")


def refuse_size(size: int, config: LogConfig) -> AppendResult | None:
    """None if a batch of ``size`` bytes may be stored."""
    if size <= config.max_message_bytes and size <= config.segment_bytes:
        return None
    if size > config.max_message_bytes:
        return refused(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"batch of {size} bytes, max.message.bytes is {config.max_message_bytes}",
        )
    return refused(
        ErrorCode.RECORD_LIST_TOO_LARGE,
        f"batch of {size} bytes, segment.bytes is {config.segment_bytes}",
    )


def refuse_produced(
    batch: memoryview, config: LogConfig, now_ms: int, name: str
) -> AppendResult | None:
    """None if a client's batch may enter the log, as far as the log's state is not concerned.

    ``name`` is the partition's, for messages.
    """
    refusal = refuse_bytes(batch, config)
    if refusal is not None:
        return refusal
    header: Header = BATCH_HEADER.unpack_from(batch)
    refusal = refuse_header(header)
    if refusal is None and (config.compacts or _times_matter(header, config, now_ms)):
        refusal = refuse_records(batch, config, now_ms, name)
    return refusal


def _times_matter(header: Header, config: LogConfig, now_ms: int) -> bool:
    if config.message_timestamp_type == "LogAppendTime":
        return False  # the client's times are about to be replaced
    ahead = header[8] - now_ms
    return (
        config.message_timestamp_before_max_ms < FOREVER_MS
        or ahead > config.message_timestamp_after_max_ms
    )


def refuse_header(header: Header) -> AppendResult | None:
    """None if the fields of a client's batch make sense together."""
    attributes, delta, count = header[5], header[6], header[12]
    if header[0]:
        return refused(ErrorCode.INVALID_RECORD, f"base offset {header[0]}, want 0")
    if delta < 0 or count != delta + 1:
        return refused(ErrorCode.INVALID_RECORD, f"{count} records but last offset delta {delta}")
    if attributes not in _PLAIN:
        refusal = _refuse_attributes(attributes, header[9])
        if refusal is not None:
            return refusal
    if header[9] >= 0 and (header[11] < 0 or header[10] < 0):
        return refused(
            ErrorCode.INVALID_RECORD,
            f"producer {header[9]}: epoch {header[10]}, sequence {header[11]}, want both >= 0",
        )
    return None


def _refuse_attributes(attributes: int, producer_id: int) -> AppendResult | None:
    if attributes & _CONTROL:
        return refused(ErrorCode.INVALID_RECORD, "clients may not write control batches")
    if attributes & _TRANSACTIONAL and producer_id < 0:
        return refused(ErrorCode.INVALID_RECORD, "a transactional batch needs a producer id")
    if attributes & _LOG_APPEND_TIME:
        return refused(ErrorCode.INVALID_TIMESTAMP, "clients may not set LogAppendTime")
    if attributes & _COMPRESSION > _COMPRESSION_MAX:
        return refused(
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
            f"compression {attributes & _COMPRESSION}, want 0 to {_COMPRESSION_MAX}",
        )
    return None


def refuse_records(
    batch: memoryview, config: LogConfig, now_ms: int, name: str
) -> AppendResult | None:
    """None if every record may enter. Names those that may not; a keyless one goes first."""
    times = config.message_timestamp_type != "LogAppendTime"
    earliest = now_ms - config.message_timestamp_before_max_ms
    latest = now_ms + config.message_timestamp_after_max_ms
    keyless = f"Compacted topic cannot accept message without key in topic partition {name}"
    faults: list[tuple[int, str]] = []
    untimely = False
    header = read_batch_header(batch, 0)
    if header.record_count > _READ_MAX:
        message = f"batch of {header.record_count} records, want at most {_READ_MAX} here"
        return refused(ErrorCode.MESSAGE_TOO_LARGE, message)
    newest = NO_TIMESTAMP
    try:
        records = iter_records(batch, 0, header, bytes_max=_DECODED_BYTES_MAX)
        for place, record in enumerate(records):
            if record.offset != place:
                message = f"record {place} of the batch has offset {record.offset}, want {place}"
                return refused(ErrorCode.INVALID_RECORD, message)
            newest = max(newest, record.timestamp)
            if config.compacts and record.key is None:
                _blame(faults, place, keyless)
            elif times and not _in_time(record.timestamp, earliest, latest):
                untimely = True
                message = (
                    f"Timestamp {record.timestamp} of message with offset {record.offset} is out "
                    f"of range. The timestamp should be within [{earliest}, {latest}]"
                )
                _blame(faults, place, message)
    except DecodeError as error:
        return refused(ErrorCode.INVALID_RECORD, str(error))
    if times and newest < header.max_timestamp and header.max_timestamp > latest:
        return refused(
            ErrorCode.INVALID_TIMESTAMP,
            f"the batch claims a timestamp of {header.max_timestamp}, its newest has {newest}",
        )
    return _named(faults, untimely=untimely) if faults else None


def _in_time(timestamp: int, earliest: int, latest: int) -> bool:
    return timestamp == NO_TIMESTAMP or earliest <= timestamp <= latest


def _blame(faults: list[tuple[int, str]], place: int, message: str) -> None:
    if len(faults) < _BLAMED_MAX:
        faults.append((place, message))


def _named(faults: list[tuple[int, str]], *, untimely: bool) -> AppendResult:
    """Kafka's answer (LogValidator.processRecordErrors)."""
    if untimely:
        error = ErrorCode.INVALID_TIMESTAMP
        message = "One or more records have been rejected due to invalid timestamp"
    else:
        error = ErrorCode.INVALID_RECORD
        shown = ", ".join(f"record {place}: {text}" for place, text in faults[:_SHOWN_MAX])
        message = (
            f"One or more records have been rejected due to {len(faults)} record errors in total, "
            f"and only showing the first three errors at most: [{shown}]"
        )
    return refused(error, message)._replace(record_errors=tuple(faults))


def stamped(batch: Buffer, now_ms: int) -> memoryview:
    """A copy with LogAppendTime ``now_ms`` and a new CRC."""
    copy = bytearray(batch)
    header = list(BATCH_HEADER.unpack_from(copy))
    header[5] |= _LOG_APPEND_TIME
    header[8] = now_ms
    BATCH_HEADER.pack_into(copy, 0, *header)
    header[4] = crc32c(memoryview(copy)[CRC_FROM:])
    BATCH_HEADER.pack_into(copy, 0, *header)
    return memoryview(copy)
