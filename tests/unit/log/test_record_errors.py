"""Which records of a batch are to blame, in Kafka's words (LogValidator)."""

import struct

from tests.log_kit import NOW, new_log

from tickertape.base.crc import crc32c
from tickertape.log.config import LogConfig
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.records import Record, write_batch

HOUR = 3_600_000


def batch(*records: tuple[bytes | None, int]) -> memoryview:
    """One batch of records given as (key, timestamp)."""
    every = [Record(n, at, key, b"v") for n, (key, at) in enumerate(records)]
    return memoryview(write_batch(every))


def test_records_out_of_time_are_named() -> None:
    _, log = new_log(
        LogConfig(message_timestamp_before_max_ms=100, message_timestamp_after_max_ms=50)
    )
    result = log.append(
        batch((None, NOW), (None, NOW + 51), (None, NOW - 101), (None, NOW - 100)), NOW
    )
    span = f"[{NOW - 100}, {NOW + 50}]"
    said = "is out of range. The timestamp should be within"
    assert result.error is ErrorCode.INVALID_TIMESTAMP
    assert result.message == "One or more records have been rejected due to invalid timestamp"
    assert result.record_errors == (
        (1, f"Timestamp {NOW + 51} of message with offset 1 {said} {span}"),
        (2, f"Timestamp {NOW - 101} of message with offset 2 {said} {span}"),
    )
    assert log.end_offset == 0


def test_a_record_without_a_timestamp_is_always_in_time() -> None:
    _, log = new_log(LogConfig(message_timestamp_before_max_ms=100))
    assert log.append(batch((None, -1), (None, NOW)), NOW).error is ErrorCode.NONE


def test_the_default_limit_names_the_record_from_the_future() -> None:
    _, log = new_log()
    result = log.append(batch((None, NOW), (None, NOW + HOUR + 1)), NOW)
    assert result.error is ErrorCode.INVALID_TIMESTAMP
    assert [place for place, _ in result.record_errors] == [1]


def test_with_append_time_no_time_is_wrong() -> None:
    _, log = new_log(
        LogConfig(message_timestamp_type="LogAppendTime", message_timestamp_before_max_ms=1)
    )
    assert log.append(batch((None, 5), (None, NOW + 2 * HOUR)), NOW).error is ErrorCode.NONE


def test_keyless_records_of_a_compacted_topic_are_named() -> None:
    _, log = new_log(LogConfig(cleanup_policy=frozenset({"compact"})))
    result = log.append(batch((b"k", NOW), (None, NOW), (None, NOW)), NOW)
    text = "Compacted topic cannot accept message without key in topic partition ticks-0"
    assert result.error is ErrorCode.INVALID_RECORD
    assert result.record_errors == ((1, text), (2, text))
    assert (result.message or "").startswith(
        "One or more records have been rejected due to 2 record errors in total, and only showing"
    )


def test_a_wrong_time_outweighs_a_missing_key() -> None:
    _, log = new_log(LogConfig(cleanup_policy=frozenset({"compact"})))
    result = log.append(batch((None, NOW), (b"k", NOW + 2 * HOUR)), NOW)
    assert result.error is ErrorCode.INVALID_TIMESTAMP
    assert [place for place, _ in result.record_errors] == [0, 1]


def test_the_number_of_records_that_are_named_is_bounded() -> None:
    _, log = new_log(LogConfig(cleanup_policy=frozenset({"compact"})))
    result = log.append(batch(*[(None, NOW)] * 1500), NOW)
    assert len(result.record_errors) == 1000


def test_a_batch_with_more_records_than_can_be_read_in_time_is_to_be_split() -> None:
    """The header's word is enough: a batch that holds fewer is refused in any case."""
    _, log = new_log(LogConfig(cleanup_policy=frozenset({"compact"})))
    many = bytearray(batch((b"k", NOW)))
    count = (1 << 20) + 1
    struct.pack_into(">i", many, 23, count - 1)  # last offset delta
    struct.pack_into(">i", many, 57, count)
    struct.pack_into(">I", many, 17, crc32c(bytes(many[21:])))
    result = log.append(memoryview(many), NOW)
    assert result.error is ErrorCode.MESSAGE_TOO_LARGE
    assert result.message == "batch of 1048577 records, want at most 1048576 here"
