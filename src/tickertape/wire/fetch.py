"""Fetch (API 1), v4 to v18, by hand: the response is a list of parts, and records are never copied.

Header bytes and file slices alternate; whoever sends them may use sendfile. Fetch sessions
(KIP-227) are fields here and policy elsewhere. Topics are known by their id from v13 on (KIP-516).
What followers say of themselves (v15 to v18, in tags) is passed over.

Source: FetchRequest.json, FetchResponse.json of Apache Kafka; KIP-392 (rack), KIP-595 (divergence).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, TypeAlias
from uuid import UUID

from tickertape.base.buffers import Buffer
from tickertape.wire.parts import Part, part_bytes
from tickertape.wire.primitives import (
    BAD_BYTES,
    DecodeError,
    check_tag,
    read_compact_count,
    read_compact_nullable_bytes,
    read_compact_nullable_count,
    read_compact_string,
    read_count,
    read_nullable_bytes,
    read_nullable_count,
    read_string,
    read_tag,
    read_uuid,
    read_uvarint,
    short,
    skip_tags,
    write_compact_count,
    write_compact_string,
    write_count,
    write_string,
    write_uvarint,
)

FLEXIBLE_FROM: Final = 12
_SESSIONS_FROM: Final = 7
_LOG_START_FROM: Final = 5
_EPOCH_FROM: Final = 9
_RACK_FROM: Final = 11
IDS_FROM: Final = 13
_NO_REPLICA_FROM: Final = 15

_I32: Final = Struct(">i")
_HEAD_V4: Final = Struct(">iiiib")
_HEAD_V7: Final = Struct(">iiiibii")
_HEAD_V15: Final = Struct(">iiibii")
_PARTITION_V4: Final = Struct(">iqi")
_PARTITION_V5: Final = Struct(">iqqi")
_PARTITION_V9: Final = Struct(">iiqqi")
_PARTITION_V12: Final = Struct(">iiqiqi")
_ANSWER_V4: Final = Struct(">i")
_ANSWER_V7: Final = Struct(">ihi")
_FETCHED_V4: Final = Struct(">ihqq")
_FETCHED_V5: Final = Struct(">ihqqq")
_ABORTED: Final = Struct(">qq")
_DIVERGING: Final = Struct(">iq")
_NO_PREFERRED_REPLICA: Final = b"\xff\xff\xff\xff"
_DIVERGING_TAG: Final = 0

TopicKey: TypeAlias = str | UUID
"""A topic's name, or its id where the version knows topics by id."""


@dataclass(slots=True)
class FetchPartition:
    """What to read of one partition; epochs are -1 where the client does not know."""

    index: int
    current_leader_epoch: int = -1
    fetch_offset: int = 0
    last_fetched_epoch: int = -1
    log_start_offset: int = -1
    partition_max_bytes: int = 1 << 20


@dataclass(slots=True)
class FetchRequest:
    """Isolation level 0 reads uncommitted, 1 committed; session epoch -1 means no session."""

    replica_id: int = -1
    max_wait_ms: int = 500
    min_bytes: int = 1
    max_bytes: int = 0x7FFFFFFF
    isolation_level: int = 0
    session_id: int = 0
    session_epoch: int = -1
    topics: list[tuple[TopicKey, list[FetchPartition]]] = field(default_factory=list)
    forgotten: list[tuple[TopicKey, list[int]]] = field(default_factory=list)
    rack_id: str = ""


@dataclass(slots=True)
class FetchedPartition:
    """What was read. ``aborted`` is (producer id, first offset), None for read_uncommitted.

    ``records_size`` is the sum of the parts' sizes. ``diverging`` is (epoch, end offset) where the
    client's log parted from ours (sent from v12 on).
    """

    index: int
    error: int = 0
    high_watermark: int = -1
    last_stable_offset: int = -1
    log_start_offset: int = -1
    aborted: list[tuple[int, int]] | None = None
    records: Sequence[Part] = ()
    records_size: int = 0
    diverging: tuple[int, int] | None = None


@dataclass(slots=True)
class FetchResponse:
    """What a client reads; each partition's records are one bytes, or none."""

    throttle_ms: int = 0
    error: int = 0
    session_id: int = 0
    topics: list[tuple[TopicKey, list[FetchedPartition]]] = field(default_factory=list)


_Wanted: TypeAlias = list[tuple[TopicKey, list[FetchPartition]]]
_Fetched: TypeAlias = list[tuple[TopicKey, list[FetchedPartition]]]


# Request -----------------------------------------------------------------------------------------


def read_fetch_request(buf: Buffer, at: int, version: int) -> FetchRequest:
    """The request that begins at ``at``. DecodeError if it is damaged."""
    try:
        return _read_request(buf, at, version)
    except BAD_BYTES as error:
        raise short(buf, at, error) from None


def _read_request(buf: Buffer, at: int, version: int) -> FetchRequest:
    flexible = version >= FLEXIBLE_FROM
    if version >= _NO_REPLICA_FROM:
        head = _HEAD_V15
        request = FetchRequest(-1, *head.unpack_from(buf, at))
    else:
        head = _HEAD_V7 if version >= _SESSIONS_FROM else _HEAD_V4
        request = FetchRequest(*head.unpack_from(buf, at))
    request.topics, at = _read_wanted(buf, at + head.size, version)
    if version >= _SESSIONS_FROM:
        request.forgotten, at = _read_forgotten(buf, at, version)
    if version >= _RACK_FROM:
        request.rack_id, at = (read_compact_string if flexible else read_string)(buf, at)
    if flexible:
        skip_tags(buf, at)
    return request


def _key_reader(version: int) -> Callable[[Buffer, int], tuple[TopicKey, int]]:
    if version >= IDS_FROM:
        return read_uuid
    return read_compact_string if version >= FLEXIBLE_FROM else read_string


def _write_key(out: bytearray, key: TopicKey, version: int) -> None:
    if version >= IDS_FROM:
        assert isinstance(key, UUID), f"topic {key!r} by name, in a version that has ids"
        out += key.bytes
    else:
        assert isinstance(key, str), f"topic {key} by id, in a version that has names"
        (write_compact_string if version >= FLEXIBLE_FROM else write_string)(out, key)


def _read_wanted(buf: Buffer, at: int, version: int) -> tuple[_Wanted, int]:
    flexible = version >= FLEXIBLE_FROM
    read_key = _key_reader(version)
    count_of = read_compact_count if flexible else read_count
    read = _read_partition_v12 if flexible else _read_partition
    topic_count, at = count_of(buf, at)
    topics: _Wanted = []
    for _ in range(topic_count):
        key, at = read_key(buf, at)
        count, at = count_of(buf, at)
        partitions = []
        for _ in range(count):
            one, at = read(buf, at, version)
            partitions.append(one)
        topics.append((key, partitions))
        if flexible:
            at = skip_tags(buf, at)
    return topics, at


def _read_partition_v12(buf: Buffer, at: int, version: int) -> tuple[FetchPartition, int]:
    assert version >= FLEXIBLE_FROM
    one = FetchPartition(*_PARTITION_V12.unpack_from(buf, at))
    return one, skip_tags(buf, at + _PARTITION_V12.size)


def _read_partition(buf: Buffer, at: int, version: int) -> tuple[FetchPartition, int]:
    epoch = log_start = -1
    if version >= _EPOCH_FROM:
        index, epoch, offset, log_start, max_bytes = _PARTITION_V9.unpack_from(buf, at)
        at += _PARTITION_V9.size
    elif version >= _LOG_START_FROM:
        index, offset, log_start, max_bytes = _PARTITION_V5.unpack_from(buf, at)
        at += _PARTITION_V5.size
    else:
        index, offset, max_bytes = _PARTITION_V4.unpack_from(buf, at)
        at += _PARTITION_V4.size
    return FetchPartition(index, epoch, offset, -1, log_start, max_bytes), at


def _read_forgotten(
    buf: Buffer, at: int, version: int
) -> tuple[list[tuple[TopicKey, list[int]]], int]:
    flexible = version >= FLEXIBLE_FROM
    read_key = _key_reader(version)
    count_of = read_compact_count if flexible else read_count
    topic_count, at = count_of(buf, at)
    forgotten = []
    for _ in range(topic_count):
        key, at = read_key(buf, at)
        count, at = count_of(buf, at)
        indexes = [_I32.unpack_from(buf, at + 4 * i)[0] for i in range(count)]
        at += 4 * count
        if flexible:
            at = skip_tags(buf, at)
        forgotten.append((key, indexes))
    return forgotten, at


def write_fetch_request(version: int, request: FetchRequest) -> bytes:
    """The request's bytes. Fields that the version lacks are left out."""
    flexible = version >= FLEXIBLE_FROM
    out = bytearray(
        _HEAD_V4.pack(
            request.replica_id,
            request.max_wait_ms,
            request.min_bytes,
            request.max_bytes,
            request.isolation_level,
        )
    )
    if version >= _NO_REPLICA_FROM:
        del out[: _I32.size]
    if version >= _SESSIONS_FROM:
        out += _I32.pack(request.session_id)
        out += _I32.pack(request.session_epoch)
    _write_wanted(out, request.topics, version)
    if version >= _SESSIONS_FROM:
        _write_forgotten(out, request.forgotten, version)
    if version >= _RACK_FROM:
        (write_compact_string if flexible else write_string)(out, request.rack_id)
    if flexible:
        out.append(0)
    return bytes(out)


def _write_wanted(out: bytearray, topics: _Wanted, version: int) -> None:
    flexible = version >= FLEXIBLE_FROM
    (write_compact_count if flexible else write_count)(out, topics)
    for key, partitions in topics:
        _write_key(out, key, version)
        (write_compact_count if flexible else write_count)(out, partitions)
        for one in partitions:
            _write_partition(out, one, version)
        if flexible:
            out.append(0)


def _write_partition(out: bytearray, one: FetchPartition, version: int) -> None:
    index, offset, max_bytes = one.index, one.fetch_offset, one.partition_max_bytes
    epoch, log_start = one.current_leader_epoch, one.log_start_offset
    if version >= FLEXIBLE_FROM:
        last_epoch = one.last_fetched_epoch
        out += _PARTITION_V12.pack(index, epoch, offset, last_epoch, log_start, max_bytes)
        out.append(0)
    elif version >= _EPOCH_FROM:
        out += _PARTITION_V9.pack(index, epoch, offset, log_start, max_bytes)
    elif version >= _LOG_START_FROM:
        out += _PARTITION_V5.pack(index, offset, log_start, max_bytes)
    else:
        out += _PARTITION_V4.pack(index, offset, max_bytes)


def _write_forgotten(
    out: bytearray, forgotten: list[tuple[TopicKey, list[int]]], version: int
) -> None:
    flexible = version >= FLEXIBLE_FROM
    (write_compact_count if flexible else write_count)(out, forgotten)
    for key, indexes in forgotten:
        _write_key(out, key, version)
        (write_compact_count if flexible else write_count)(out, indexes)
        for index in indexes:
            out += _I32.pack(index)
        if flexible:
            out.append(0)


# Response ----------------------------------------------------------------------------------------


def write_fetch_response(
    version: int, topics: _Fetched, *, throttle_ms: int = 0, error: int = 0, session_id: int = 0
) -> list[Part]:
    """The response as parts in order: our bytes, then records, then our bytes, and so on."""
    flexible = version >= FLEXIBLE_FROM
    parts: list[Part] = []
    out = bytearray()
    if version >= _SESSIONS_FROM:
        out += _ANSWER_V7.pack(throttle_ms, error, session_id)
    else:
        out += _ANSWER_V4.pack(throttle_ms)
    (write_compact_count if flexible else write_count)(out, topics)
    for key, partitions in topics:
        _write_key(out, key, version)
        (write_compact_count if flexible else write_count)(out, partitions)
        for one in partitions:
            _write_fetched(out, one, version)
            if one.records_size:
                parts.append(bytes(out))
                parts += one.records
                out = bytearray()
            if flexible:
                _write_fetched_tags(out, one)
        if flexible:
            out.append(0)
    if flexible:
        out.append(0)
    if out:
        parts.append(bytes(out))
    return parts


def _write_fetched(out: bytearray, one: FetchedPartition, version: int) -> None:
    """Everything of a partition up to its records' length."""
    flexible = version >= FLEXIBLE_FROM
    error, watermark, stable = one.error, one.high_watermark, one.last_stable_offset
    if version >= _LOG_START_FROM:
        out += _FETCHED_V5.pack(one.index, error, watermark, stable, one.log_start_offset)
    else:
        out += _FETCHED_V4.pack(one.index, error, watermark, stable)
    aborted = one.aborted
    if flexible:
        write_uvarint(out, 0 if aborted is None else len(aborted) + 1)
    else:
        out += _I32.pack(-1 if aborted is None else len(aborted))
    for producer_id, first_offset in aborted or ():
        out += _ABORTED.pack(producer_id, first_offset)
        if flexible:
            out.append(0)
    if version >= _RACK_FROM:
        out += _NO_PREFERRED_REPLICA
    if flexible:
        write_uvarint(out, one.records_size + 1)
    else:
        out += _I32.pack(one.records_size)


def _write_fetched_tags(out: bytearray, one: FetchedPartition) -> None:
    if one.diverging is None:
        out.append(0)
    else:
        out += bytes((1, _DIVERGING_TAG, _DIVERGING.size + 1))
        out += _DIVERGING.pack(*one.diverging)
        out.append(0)


def read_fetch_response(buf: Buffer, at: int, version: int) -> FetchResponse:
    """The response that begins at ``at``. DecodeError if damaged. Records are copied."""
    try:
        response, at = _read_response(buf, at, version)
    except BAD_BYTES as error:
        raise short(buf, at, error) from None
    if at != len(buf):
        raise DecodeError(f"fetch response ends at byte {at}, got {len(buf)} bytes")
    return response


def _read_response(buf: Buffer, at: int, version: int) -> tuple[FetchResponse, int]:
    flexible = version >= FLEXIBLE_FROM
    read_key = _key_reader(version)
    count_of = read_compact_count if flexible else read_count
    head = _ANSWER_V7 if version >= _SESSIONS_FROM else _ANSWER_V4
    response = FetchResponse(*head.unpack_from(buf, at))
    topic_count, at = count_of(buf, at + head.size)
    for _ in range(topic_count):
        key, at = read_key(buf, at)
        count, at = count_of(buf, at)
        partitions = []
        for _ in range(count):
            one, at = _read_fetched(buf, at, version)
            partitions.append(one)
        response.topics.append((key, partitions))
        if flexible:
            at = skip_tags(buf, at)
    if flexible:
        at = skip_tags(buf, at)
    return response, at


def _read_fetched(buf: Buffer, at: int, version: int) -> tuple[FetchedPartition, int]:
    flexible = version >= FLEXIBLE_FROM
    form = _FETCHED_V5 if version >= _LOG_START_FROM else _FETCHED_V4
    one = FetchedPartition(*form.unpack_from(buf, at))
    read_size = read_compact_nullable_count if flexible else read_nullable_count
    count, at = read_size(buf, at + form.size)
    if count >= 0:
        one.aborted = []
        for _ in range(count):
            producer_id, first_offset = _ABORTED.unpack_from(buf, at)
            one.aborted.append((producer_id, first_offset))
            at += _ABORTED.size
            if flexible:
                at = skip_tags(buf, at)
    if version >= _RACK_FROM:
        at += 4
    records, at = (read_compact_nullable_bytes if flexible else read_nullable_bytes)(buf, at)
    if records:
        one.records, one.records_size = [records], len(records)
    if flexible:
        one.diverging, at = _read_fetched_tags(buf, at)
    return one, at


def _read_fetched_tags(buf: Buffer, at: int) -> tuple[tuple[int, int] | None, int]:
    diverging = None
    count, at = read_uvarint(buf, at)
    for _ in range(count):
        tag, at, end = read_tag(buf, at)
        if tag == _DIVERGING_TAG:
            epoch, end_offset = _DIVERGING.unpack_from(buf, at)
            diverging = (epoch, end_offset)
            check_tag(tag, skip_tags(buf, at + _DIVERGING.size), end)
        at = end
    return diverging, at


def records_of(one: FetchedPartition) -> bytes:
    """The partition's records as one bytes, read from files where they are slices."""
    return b"".join(map(part_bytes, one.records))
