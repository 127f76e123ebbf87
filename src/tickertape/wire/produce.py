"""Produce (API 0), v3 to v13, by hand: the hottest decoder there is.

Topics are named until v12, and known by their id from v13 on (KIP-516). Records come out as views
into the frame, never copied, valid only while the frame is. Tagged fields of the response (v10:
current leader, node endpoints) are not sent: one node's leader never moves.

Source: ProduceRequest.json, ProduceResponse.json of Apache Kafka; KIP-467 for the error message.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final, TypeAlias
from uuid import UUID

from tickertape.base.buffers import Buffer
from tickertape.wire.primitives import (
    BAD_BYTES,
    DecodeError,
    read_compact_count,
    read_compact_nullable_string,
    read_compact_string,
    read_count,
    read_nullable_string,
    read_string,
    read_uuid,
    read_uvarint,
    short,
    skip_tags,
    write_compact_nullable_string,
    write_compact_string,
    write_nullable_string,
    write_string,
    write_uvarint,
)

FLEXIBLE_FROM: Final = 9
IDS_FROM: Final = 13
_ERRORS_FROM: Final = 8
_LOG_START_FROM: Final = 5

_ACKS_TIMEOUT: Final = Struct(">hi")
_I32: Final = Struct(">i")
_INDEX_LENGTH: Final = Struct(">ii")
_PRODUCED_V3: Final = Struct(">ihqq")
_PRODUCED_V5: Final = Struct(">ihqqq")
_NO_RECORD_ERRORS_COMPACT: Final = b"\x01"

TopicKey: TypeAlias = str | UUID
"""A topic's name, or its id where the version knows topics by id."""


@dataclass(slots=True)
class PartitionProduce:
    """What to append to one partition; ``records`` is a view into the frame, or None for null."""

    index: int
    records: memoryview | None


@dataclass(slots=True)
class ProduceRequest:
    """Acks -1 waits for durability, 1 for the write, 0 for nothing, not even an answer."""

    transactional_id: str | None
    acks: int
    timeout_ms: int
    topics: list[tuple[TopicKey, list[PartitionProduce]]]


@dataclass(slots=True)
class PartitionProduced:
    """What became of it; -1 where there is nothing to tell."""

    index: int
    error: int
    base_offset: int = -1
    log_append_time_ms: int = -1
    log_start_offset: int = -1
    error_message: str | None = None
    record_errors: tuple[tuple[int, str | None], ...] = ()
    """Places in the batch of the records to blame, with a message each; from v8 on."""


@dataclass(slots=True)
class ProduceResponse:
    """What a client reads."""

    throttle_ms: int
    topics: list[tuple[TopicKey, list[PartitionProduced]]]


_Requested: TypeAlias = list[tuple[TopicKey, list[PartitionProduce]]]
_Produced: TypeAlias = list[tuple[TopicKey, list[PartitionProduced]]]


# Request -----------------------------------------------------------------------------------------


def read_produce_request(buf: memoryview, at: int, version: int) -> ProduceRequest:
    """The request that begins at ``at``. DecodeError if it is damaged.

    Leftover bytes are ignored, as Kafka does: real clients send them (librdkafka, in Metadata).
    """
    try:
        if version >= FLEXIBLE_FROM:
            transactional_id, at = read_compact_nullable_string(buf, at)
            acks, timeout_ms = _ACKS_TIMEOUT.unpack_from(buf, at)
            topics, at = _read_topics_compact(buf, at + 6, version)
            skip_tags(buf, at)
        else:
            transactional_id, at = read_nullable_string(buf, at)
            acks, timeout_ms = _ACKS_TIMEOUT.unpack_from(buf, at)
            topics, _ = _read_topics(buf, at + 6)
    except BAD_BYTES as error:
        raise short(buf, at, error) from None
    return ProduceRequest(transactional_id, acks, timeout_ms, topics)


def _records(buf: memoryview, at: int, length: int) -> memoryview:
    end = at + length
    if length < 0 or end > len(buf):
        raise DecodeError(f"records at byte {at} want {length} bytes, got {len(buf) - at}")
    return buf[at:end]


def _read_topics_compact(buf: memoryview, at: int, version: int) -> tuple[_Requested, int]:
    by_id = version >= IDS_FROM
    topic_count, at = read_compact_count(buf, at)
    topics: _Requested = []
    for _ in range(topic_count):
        key, at = read_uuid(buf, at) if by_id else read_compact_string(buf, at)
        count, at = read_compact_count(buf, at)
        partitions = []
        for _ in range(count):
            (index,) = _I32.unpack_from(buf, at)
            size, at = read_uvarint(buf, at + 4)
            records = _records(buf, at, size - 1) if size else None
            at += size - 1 if size else 0
            partitions.append(PartitionProduce(index, records))
            at = skip_tags(buf, at) if buf[at] else at + 1
        topics.append((key, partitions))
        at = skip_tags(buf, at) if buf[at] else at + 1
    return topics, at


def _read_topics(buf: memoryview, at: int) -> tuple[_Requested, int]:
    topic_count, at = read_count(buf, at)
    topics: _Requested = []
    for _ in range(topic_count):
        name, at = read_string(buf, at)
        count, at = read_count(buf, at)
        partitions = []
        for _ in range(count):
            index, length = _INDEX_LENGTH.unpack_from(buf, at)
            at += 8
            if length == -1:
                records = None
            else:
                records = _records(buf, at, length)
                at += length
            partitions.append(PartitionProduce(index, records))
        topics.append((name, partitions))
    return topics, at


def write_produce_request(version: int, request: ProduceRequest) -> bytes:
    """The request's bytes; the records are copied."""
    out = bytearray()
    if version < FLEXIBLE_FROM:
        write_nullable_string(out, request.transactional_id)
        out += _ACKS_TIMEOUT.pack(request.acks, request.timeout_ms)
        _write_topics(out, request.topics)
    else:
        write_compact_nullable_string(out, request.transactional_id)
        out += _ACKS_TIMEOUT.pack(request.acks, request.timeout_ms)
        _write_topics_compact(out, request.topics)
        out.append(0)
    return bytes(out)


def _write_topics(out: bytearray, topics: _Requested) -> None:
    out += _I32.pack(len(topics))
    for key, partitions in topics:
        write_string(out, _name(key))
        out += _I32.pack(len(partitions))
        for one in partitions:
            if one.records is None:
                out += _INDEX_LENGTH.pack(one.index, -1)
            else:
                out += _INDEX_LENGTH.pack(one.index, len(one.records))
                out += one.records


def _write_topics_compact(out: bytearray, topics: _Requested) -> None:
    write_uvarint(out, len(topics) + 1)
    for key, partitions in topics:
        _write_key(out, key)
        write_uvarint(out, len(partitions) + 1)
        for one in partitions:
            out += _I32.pack(one.index)
            if one.records is None:
                out.append(0)
            else:
                write_uvarint(out, len(one.records) + 1)
                out += one.records
            out.append(0)
        out.append(0)


def _write_key(out: bytearray, key: TopicKey) -> None:
    if isinstance(key, str):
        write_compact_string(out, key)
    else:
        out += key.bytes


def _name(key: TopicKey) -> str:
    assert isinstance(key, str), f"topic {key} by id, in a version that has names"
    return key


# Response ----------------------------------------------------------------------------------------


def write_produce_response(version: int, topics: _Produced, throttle_ms: int = 0) -> bytes:
    """The response's bytes. Fields that the version lacks are left out."""
    out = bytearray()
    if version >= FLEXIBLE_FROM:
        _write_produced_compact(out, topics)
        out += _I32.pack(throttle_ms)
        out.append(0)
    else:
        _write_produced(out, topics, version)
        out += _I32.pack(throttle_ms)
    return bytes(out)


def _write_produced_compact(out: bytearray, topics: _Produced) -> None:
    write_uvarint(out, len(topics) + 1)
    for key, partitions in topics:
        _write_key(out, key)
        write_uvarint(out, len(partitions) + 1)
        for one in partitions:
            out += _PRODUCED_V5.pack(
                one.index, one.error, one.base_offset, one.log_append_time_ms, one.log_start_offset
            )
            if one.record_errors:
                _write_record_errors_compact(out, one.record_errors)
            else:
                out += _NO_RECORD_ERRORS_COMPACT
            write_compact_nullable_string(out, one.error_message)
            out.append(0)
        out.append(0)


def _write_produced(out: bytearray, topics: _Produced, version: int) -> None:
    out += _I32.pack(len(topics))
    for key, partitions in topics:
        write_string(out, _name(key))
        out += _I32.pack(len(partitions))
        for one in partitions:
            out += _PRODUCED_V3.pack(one.index, one.error, one.base_offset, one.log_append_time_ms)
            if version >= _LOG_START_FROM:
                out += one.log_start_offset.to_bytes(8, "big", signed=True)
            if version >= _ERRORS_FROM:
                out += _I32.pack(len(one.record_errors))
                for place, message in one.record_errors:
                    out += _I32.pack(place)
                    write_nullable_string(out, message)
                write_nullable_string(out, one.error_message)


def _write_record_errors_compact(
    out: bytearray, errors: tuple[tuple[int, str | None], ...]
) -> None:
    write_uvarint(out, len(errors) + 1)
    for place, message in errors:
        out += _I32.pack(place)
        write_compact_nullable_string(out, message)
        out.append(0)


def read_produce_response(buf: Buffer, at: int, version: int) -> ProduceResponse:
    """The response that begins at ``at``. DecodeError if it is damaged."""
    try:
        if version >= FLEXIBLE_FROM:
            topics, at = _read_produced_compact(buf, at, version)
            (throttle_ms,) = _I32.unpack_from(buf, at)
            at = skip_tags(buf, at + 4)
        else:
            topics, at = _read_produced(buf, at, version)
            (throttle_ms,) = _I32.unpack_from(buf, at)
            at += 4
    except BAD_BYTES as error:
        raise short(buf, at, error) from None
    if at != len(buf):
        raise DecodeError(f"produce response ends at byte {at}, got {len(buf)} bytes")
    return ProduceResponse(throttle_ms, topics)


def _read_produced_compact(buf: Buffer, at: int, version: int) -> tuple[_Produced, int]:
    by_id = version >= IDS_FROM
    topic_count, at = read_compact_count(buf, at)
    topics: _Produced = []
    for _ in range(topic_count):
        key, at = read_uuid(buf, at) if by_id else read_compact_string(buf, at)
        count, at = read_compact_count(buf, at)
        partitions = []
        for _ in range(count):
            one = PartitionProduced(*_PRODUCED_V5.unpack_from(buf, at))
            count_of_errors, at = read_compact_count(buf, at + _PRODUCED_V5.size)
            errors = []
            for _ in range(count_of_errors):
                (place,) = _I32.unpack_from(buf, at)
                message, at = read_compact_nullable_string(buf, at + 4)
                at = skip_tags(buf, at)
                errors.append((place, message))
            one.record_errors = tuple(errors)
            one.error_message, at = read_compact_nullable_string(buf, at)
            at = skip_tags(buf, at)
            partitions.append(one)
        topics.append((key, partitions))
        at = skip_tags(buf, at)
    return topics, at


def _read_produced(buf: Buffer, at: int, version: int) -> tuple[_Produced, int]:
    form = _PRODUCED_V5 if version >= _LOG_START_FROM else _PRODUCED_V3
    topic_count, at = read_count(buf, at)
    topics: _Produced = []
    for _ in range(topic_count):
        name, at = read_string(buf, at)
        count, at = read_count(buf, at)
        partitions = []
        for _ in range(count):
            one = PartitionProduced(*form.unpack_from(buf, at))
            at += form.size
            if version >= _ERRORS_FROM:
                at = _read_errors(buf, at, one)
            partitions.append(one)
        topics.append((name, partitions))
    return topics, at


def _read_errors(buf: Buffer, at: int, one: PartitionProduced) -> int:
    count, at = read_count(buf, at)
    errors = []
    for _ in range(count):
        (place,) = _I32.unpack_from(buf, at)
        message, at = read_nullable_string(buf, at + 4)
        errors.append((place, message))
    one.record_errors = tuple(errors)
    one.error_message, at = read_nullable_string(buf, at)
    return at
