"""Produce, versions 0 to 2: advertised and refused, as Kafka 4 does.

Kafka dropped these versions but must go on advertising them: librdkafka before 2.11.1 decides by
the lowest advertised Produce version whether it may compress at all (KAFKA-18659). A client that
really uses one gets UNSUPPORTED_VERSION for every partition; with acks=0 its connection is
closed.
"""

from typing import Final

from tickertape.broker.api.outcome import Request
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import response_prefix
from tickertape.wire.primitives import (
    read_count,
    read_i16,
    read_i32,
    read_nullable_bytes,
    read_string,
    write_count,
    write_i16,
    write_i32,
    write_i64,
    write_string,
)

_FIRST_THROTTLE: Final = 1
_FIRST_APPEND_TIME: Final = 2


def refuse_old_produce(request: Request, call: Call) -> None:
    """Say UNSUPPORTED_VERSION in the version that was asked."""
    acks, topics = _read(request.frame, request.at)
    header = request.header
    if acks == 0:
        call.close(f"produce version {header.api_version} with acks=0 is not supported")
        return
    prefix = response_prefix(header.api_key, header.api_version, header.correlation_id)
    call.answer([prefix + _write(header.api_version, topics)])


def _read(frame: memoryview, at: int) -> tuple[int, list[tuple[str, list[int]]]]:
    """(acks, partitions by topic)."""
    acks, at = read_i16(frame, at)
    _timeout_ms, at = read_i32(frame, at)
    topics: list[tuple[str, list[int]]] = []
    topic_count, at = read_count(frame, at)
    for _ in range(topic_count):
        name, at = read_string(frame, at)
        partition_count, at = read_count(frame, at)
        partitions: list[int] = []
        for _ in range(partition_count):
            index, at = read_i32(frame, at)
            _records, at = read_nullable_bytes(frame, at)
            partitions.append(index)
        topics.append((name, partitions))
    return acks, topics


def _write(version: int, topics: list[tuple[str, list[int]]]) -> bytes:
    out = bytearray()
    write_count(out, topics)
    for name, partitions in topics:
        write_string(out, name)
        write_count(out, partitions)
        for index in partitions:
            write_i32(out, index)
            write_i16(out, ErrorCode.UNSUPPORTED_VERSION)
            write_i64(out, -1)
            if version >= _FIRST_APPEND_TIME:
                write_i64(out, -1)
    if version >= _FIRST_THROTTLE:
        write_i32(out, 0)
    return bytes(out)
