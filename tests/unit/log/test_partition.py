"""PartitionLog: what it accepts, what it answers, and what it does when the disk fails."""

import struct
from dataclasses import replace

import pytest
from crc32c import crc32c
from tests.log_kit import (
    FOLDER,
    NOW,
    batches,
    keyed,
    new_log,
    open_log,
    produced,
    records,
    sync,
    values,
)

from tickertape.base.errors import MisuseError, StorageError
from tickertape.base.fake_fs import FakeFileSystem, Loss
from tickertape.log.config import LogConfig
from tickertape.log.partition import PartitionLog
from tickertape.wire.batch import read_batch_header
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.parts import part_bytes
from tickertape.wire.records import Record, write_batch

SMALL = LogConfig(segment_bytes=300, index_interval_bytes=100)


def with_field(
    batch: memoryview, at: int, form: str, value: int, *, sign: bool = True
) -> memoryview:
    """The batch with one header field replaced, and the CRC made right unless told not to."""
    changed = bytearray(batch)
    struct.pack_into(form, changed, at, value)
    if sign:
        struct.pack_into(">I", changed, 17, crc32c(changed[21:]))
    return memoryview(changed)


def fill(log: PartitionLog, count: int) -> None:
    for n in range(count):
        assert log.append(produced(b"value-%d" % n, timestamp=NOW + n), NOW).error == 0


# -- what is accepted


def test_offsets_and_epoch_are_patched_into_the_batch() -> None:
    _, log = new_log()
    first = log.append(produced(b"a", b"b"), NOW)
    second = log.append(produced(b"c"), NOW)
    assert (first.base_offset, first.last_offset) == (0, 1)
    assert (second.base_offset, second.last_offset) == (2, 2)
    assert second.log_append_time_ms == -1
    assert values(log) == {0: b"a", 1: b"b", 2: b"c"}
    assert [header.partition_leader_epoch for header, _ in batches(log)] == [0, 0]


GOOD = produced(b"a", b"b")


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        (memoryview(b""), ErrorCode.INVALID_RECORD),
        (GOOD[:60], ErrorCode.INVALID_RECORD),
        (with_field(GOOD, 0, ">q", 7), ErrorCode.INVALID_RECORD),
        (GOOD[:-1], ErrorCode.INVALID_RECORD),
        (memoryview(bytes(GOOD) + b"\0"), ErrorCode.INVALID_RECORD),
        (memoryview(bytes(GOOD) * 2), ErrorCode.INVALID_RECORD),
        (with_field(GOOD, 16, ">b", 1), ErrorCode.INVALID_RECORD),
        (with_field(GOOD, 16, ">b", 3), ErrorCode.CORRUPT_MESSAGE),
        (with_field(GOOD, 8, ">i", -5), ErrorCode.CORRUPT_MESSAGE),
        (with_field(GOOD, 8, ">i", 0x7FFFFFFF), ErrorCode.INVALID_RECORD),
        (with_field(GOOD, 61, ">b", 0x55, sign=False), ErrorCode.CORRUPT_MESSAGE),
        (with_field(GOOD, 23, ">i", 5), ErrorCode.INVALID_RECORD),
        (with_field(GOOD, 23, ">i", -1), ErrorCode.INVALID_RECORD),
        (with_field(GOOD, 57, ">i", 3), ErrorCode.INVALID_RECORD),
        (with_field(GOOD, 21, ">h", 0x20), ErrorCode.INVALID_RECORD),
        (with_field(GOOD, 21, ">h", 0x10), ErrorCode.INVALID_RECORD),
        (with_field(GOOD, 21, ">h", 0x08), ErrorCode.INVALID_TIMESTAMP),
        (with_field(GOOD, 21, ">h", 0x05), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE),
        (with_field(GOOD, 43, ">q", 7), ErrorCode.INVALID_RECORD),
        (produced(b"x" * 2000), ErrorCode.MESSAGE_TOO_LARGE),
        (produced(b"x" * 700), ErrorCode.RECORD_LIST_TOO_LARGE),
    ],
)
def test_bad_batches_are_refused_with_kafkas_error(batch: memoryview, error: ErrorCode) -> None:
    _, log = new_log(LogConfig(max_message_bytes=1000, segment_bytes=500))
    result = log.append(batch, NOW)
    assert result.error is error, result
    assert result.message
    assert log.end_offset == 0


def test_timestamps_too_far_from_now_are_refused() -> None:
    config = LogConfig(message_timestamp_before_max_ms=100, message_timestamp_after_max_ms=50)
    _, log = new_log(config)
    assert log.append(produced(b"x", timestamp=NOW + 51), NOW).error is ErrorCode.INVALID_TIMESTAMP
    assert log.append(produced(b"x", timestamp=NOW - 101), NOW).error is ErrorCode.INVALID_TIMESTAMP
    assert log.append(produced(b"x", timestamp=NOW + 50), NOW).error is ErrorCode.NONE
    assert log.append(produced(b"x", timestamp=NOW - 100), NOW).error is ErrorCode.NONE


def test_times_that_the_broker_replaces_may_be_any() -> None:
    _, log = new_log(LogConfig(message_timestamp_type="LogAppendTime"))
    assert log.append(produced(b"x", timestamp=NOW + 10**9), NOW).error is ErrorCode.NONE
    assert [record.timestamp for record in records(log)] == [NOW]


def test_log_append_time_is_stamped_and_signed_again() -> None:
    _, log = new_log(LogConfig(message_timestamp_type="LogAppendTime"))
    batch = produced(b"x", b"y", producer=(4, 0, 0), timestamp=1)
    before = bytes(batch)
    result = log.append(batch, NOW)
    assert result.log_append_time_ms == NOW
    assert bytes(batch) == before, "the client's bytes are not ours"
    assert [record.timestamp for record in records(log)] == [NOW, NOW]
    again = log.append(batch, NOW + 5)
    assert (again.duplicate, again.log_append_time_ms) == (True, NOW)


def test_a_compacted_topic_wants_keys() -> None:
    _, log = new_log(LogConfig(cleanup_policy=frozenset({"compact"})))
    refused = log.append(produced(b"no key"), NOW)
    assert refused.error is ErrorCode.INVALID_RECORD
    assert "key" in str(refused.message)
    assert log.append(keyed((b"k", None)), NOW).error is ErrorCode.NONE


def test_duplicates_and_gaps_of_a_producer() -> None:
    _, log = new_log()
    batch = produced(b"a", b"b", producer=(7, 0, 0))
    assert log.append(batch, NOW).base_offset == 0
    log.append(produced(b"other"), NOW)
    again = log.append(batch, NOW)
    assert (again.error, again.base_offset, again.last_offset) == (ErrorCode.NONE, 0, 1)
    assert again.duplicate
    gap = log.append(produced(b"x", producer=(7, 0, 5)), NOW)
    assert gap.error is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.end_offset == 3


def test_the_brokers_own_records_get_offsets_of_their_own() -> None:
    _, log = new_log()
    log.append(produced(b"a"), NOW)
    result = log.append_internal([Record(99, NOW, b"k", b"1"), Record(7, NOW, b"k", None)], NOW)
    assert (result.base_offset, result.last_offset) == (1, 2)
    assert [(r.offset, r.key, r.value) for r in records(log)[1:]] == [
        (1, b"k", b"1"),
        (2, b"k", None),
    ]


# -- reading


def test_reads_are_whole_batches_of_one_segment_within_the_limit() -> None:
    _, log = new_log(SMALL)
    fill(log, 30)
    size = len(produced(b"value-0"))
    for offset in range(30):
        for limit in (0, 1, size, 2 * size + 5, 10_000):
            result = log.read(offset, limit, below=30, at_least_one=True)
            assert result.error is ErrorCode.NONE
            stored = b"".join(map(part_bytes, result.parts))
            assert len(stored) == result.size
            assert read_batch_header(stored, 0).base_offset == offset
            assert size <= result.size <= max(limit, size + 1)
            bare = log.read(offset, limit, below=30, at_least_one=False)
            assert bare.size == (0 if limit < result.size else result.size)


def test_a_read_starts_with_the_batch_that_holds_the_offset() -> None:
    _, log = new_log()
    log.append(produced(b"a", b"b", b"c"), NOW)
    result = log.read(2, 1000, below=3, at_least_one=True)
    assert read_batch_header(part_bytes(result.parts[0]), 0).base_offset == 0


def test_reads_stop_below_the_given_offset() -> None:
    _, log = new_log(SMALL)
    fill(log, 12)
    for below in range(13):
        seen = []
        offset = 0
        while (result := log.read(offset, 150, below=below, at_least_one=True)).size:
            offset = read_batch_header(part_bytes(result.parts[0]), 0).next_offset
            seen.append(offset - 1)
        assert seen == list(range(below))


def test_offsets_outside_the_log_are_out_of_range_and_the_end_is_empty() -> None:
    _, log = new_log()
    fill(log, 3)
    assert log.read(4, 100, below=9, at_least_one=True).error is ErrorCode.OFFSET_OUT_OF_RANGE
    assert log.read(-1, 100, below=9, at_least_one=True).error is ErrorCode.OFFSET_OUT_OF_RANGE
    at_end = log.read(3, 100, below=3, at_least_one=True)
    assert (at_end.error, at_end.size, at_end.parts) == (ErrorCode.NONE, 0, [])


def test_damage_found_by_a_read_is_a_storage_error() -> None:
    fs, log = new_log()
    fill(log, 3)
    fs.open(f"{FOLDER}/00000000000000000000.log").pwrite(16, b"\x09")
    result = log.read(1, 100, below=3, at_least_one=True)
    assert result.error is ErrorCode.KAFKA_STORAGE_ERROR
    assert "magic 9" in str(result.message)


# -- rolling


def segments(fs: FakeFileSystem) -> list[int]:
    return [int(name[:20]) for name in fs.list(FOLDER) if name.endswith(".log")]


def test_segments_roll_by_bytes() -> None:
    fs, log = new_log(SMALL)
    fill(log, 9)
    size = len(produced(b"value-0"))
    per_segment = 300 // size
    assert segments(fs) == list(range(0, 9, per_segment))
    assert len(values(log)) == 9


def test_segments_roll_by_record_time() -> None:
    fs, log = new_log(LogConfig(segment_ms=1000))
    for offset_ms in (0, 1000, 1001, 2001, 2002):
        log.append(produced(b"x", timestamp=NOW + offset_ms), NOW)
    assert segments(fs) == [0, 2, 4]


def test_records_without_a_time_roll_by_wall_time() -> None:
    fs, log = new_log(LogConfig(segment_ms=1000))
    for later in (0, 1000, 1001):
        log.append(produced(b"x", timestamp=-1), NOW + later)
    assert segments(fs) == [0, 2]


def test_an_idle_segment_rolls_when_due() -> None:
    fs, log = new_log(LogConfig(segment_ms=1000))
    assert not log.roll_if_due(NOW + 10**9), "an empty segment never does"
    log.append(produced(b"x", timestamp=5), NOW)
    assert not log.roll_if_due(NOW + 1000)
    assert log.roll_if_due(NOW + 1001)
    assert segments(fs) == [0, 1]
    sync(log)
    assert fs.read(f"{FOLDER}/recovery-point-offset-checkpoint") == b"0\n1\nticks 0 1\n"


# -- look-up


def test_offsets_for_timestamps() -> None:
    _, log = new_log(SMALL)
    for n in range(20):
        log.append(produced(b"a", b"b", b"c", timestamp=NOW + n * 10), NOW)
    sync(log)
    for n in range(20):
        assert log.offset_for_timestamp(NOW + n * 10) == (n * 3, NOW + n * 10)
        assert log.offset_for_timestamp(NOW + n * 10 + 1) == (n * 3 + 1, NOW + n * 10 + 1)
    assert log.offset_for_timestamp(0) == (0, NOW)
    assert log.offset_for_timestamp(NOW + 193) is None
    assert log.max_timestamp() == (59, NOW + 192)


def test_timestamps_out_of_order_and_not_durable() -> None:
    _, log = new_log(SMALL)
    assert log.max_timestamp() == (-1, -1)
    for timestamp in (50, 10, 90, 20, 90, 30):
        log.append(produced(b"x" * 20, timestamp=timestamp), NOW)
    assert log.offset_for_timestamp(0) is None, "nothing is durable yet"
    sync(log)
    log.append(produced(b"x", timestamp=1000), NOW)
    assert log.offset_for_timestamp(60) == (2, 90)
    assert log.offset_for_timestamp(95) is None
    assert log.max_timestamp() == (2, 90)
    assert log.truncate_prefix(3) is ErrorCode.NONE
    assert log.offset_for_timestamp(0) == (3, 20)
    assert log.max_timestamp() == (4, 90)


def test_a_timestamp_inside_an_unreadable_batch_is_answered_from_its_header() -> None:
    _, log = new_log()
    nonsense = bytearray(write_batch([Record(0, NOW, None, b"abc")]))
    nonsense[61:] = b"\xff" * (len(nonsense) - 61)
    log.append(with_field(memoryview(nonsense), 35, ">q", NOW), NOW)
    sync(log)
    assert log.offset_for_timestamp(5) == (0, NOW)


# -- durability


def test_durable_offset_follows_the_ticket_not_later_appends() -> None:
    _, log = new_log(SMALL)
    fill(log, 2)
    ticket = log.begin_sync()
    assert ticket is not None
    fill(log, 5)
    with pytest.raises(MisuseError, match="one at a time"):
        log.begin_sync()
    ticket.run()
    assert log.durable_offset == 0
    log.finish_sync(ticket, ok=True)
    assert log.durable_offset == 2
    with pytest.raises(MisuseError, match="not the ticket"):
        log.finish_sync(ticket, ok=True)
    sync(log)
    assert log.durable_offset == 7
    assert not log.is_dirty
    assert log.begin_sync() is None


def test_the_second_batch_of_a_producer_is_not_its_first_when_that_could_not_be_written() -> None:
    fs, log = new_log()
    fs.fail_at(1)
    assert (
        log.append(produced(b"0", producer=(7, 0, 0)), NOW).error is ErrorCode.KAFKA_STORAGE_ERROR
    )
    second = log.append(produced(b"1", producer=(7, 0, 1)), NOW)
    assert second.error is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.append(produced(b"0", producer=(7, 0, 0)), NOW).base_offset == 0
    assert log.append(produced(b"1", producer=(7, 0, 1)), NOW).base_offset == 1


def test_after_a_failed_sync_nothing_more_is_acknowledged_and_old_reads_go_on() -> None:
    fs, log = new_log()
    fill(log, 2)
    sync(log)
    fill(log, 1)
    ticket = log.begin_sync()
    assert ticket is not None
    fs.fail_at(1, "Input/output error")
    with pytest.raises(StorageError):
        ticket.run()
    log.finish_sync(ticket, ok=False, reason="Input/output error")
    assert log.failed == f"{FOLDER}: Input/output error"
    result = log.append(produced(b"x"), NOW)
    assert result.error is ErrorCode.KAFKA_STORAGE_ERROR
    assert "Input/output error" in str(result.message)
    assert log.durable_offset == 2
    assert log.begin_sync() is None
    assert log.read(0, 1000, below=9, at_least_one=True).size
    assert log.read(2, 1000, below=9, at_least_one=True).size == 0, "what is not durable"
    assert log.truncate_prefix(1) is ErrorCode.KAFKA_STORAGE_ERROR
    with pytest.raises(StorageError, match="Input/output"):
        log.close(clean=True)
    fs.crash(Loss.ALL)
    assert len(values(open_log(fs)[0])) == 2


@pytest.mark.parametrize("seed", range(8))
def test_a_full_disk_refuses_the_batch_and_the_log_goes_on(seed: int) -> None:
    fs = FakeFileSystem(seed)
    log = open_log(fs)[0]
    first = produced(b"first", producer=(7, 0, 0))
    log.append(first, NOW)
    fs.fail_at(1)
    second = produced(b"second", producer=(7, 0, 1))
    refused = log.append(second, NOW)
    assert refused.error is ErrorCode.KAFKA_STORAGE_ERROR
    assert "No space left" in str(refused.message)
    assert log.failed is None
    assert log.append(second, NOW).base_offset == 1, "the producer's state was not moved"
    assert values(log) == {0: b"first", 1: b"second"}


def test_a_write_that_cannot_be_cut_away_fails_the_log() -> None:
    fs, log = new_log()
    fill(log, 1)
    sync(log)
    fs.fail_at(1)
    fs.fail_at(2, "Input/output error")
    assert log.append(produced(b"x"), NOW).error is ErrorCode.KAFKA_STORAGE_ERROR
    assert "Input/output error" in str(log.failed)
    assert log.append(produced(b"x"), NOW).error is ErrorCode.KAFKA_STORAGE_ERROR
    fs.crash(Loss.NOTHING)
    assert values(open_log(fs)[0]) == {0: b"value-0"}


def test_a_failed_roll_changes_nothing() -> None:
    fs, log = new_log(SMALL)
    fill(log, 3)
    before = fs.list(FOLDER)
    fs.fail_at(1)
    assert log.append(produced(b"x"), NOW).error is ErrorCode.KAFKA_STORAGE_ERROR
    assert fs.list(FOLDER) == before
    assert log.append(produced(b"x"), NOW).base_offset == 3


def test_checkpoints_that_cannot_be_written_lose_nothing_and_are_tried_again() -> None:
    fs, log = new_log(SMALL)
    sync(log)
    fill(log, 4)
    fs.fail_always(frozenset({"rename"}))
    sync(log)
    assert log.durable_offset == 4
    assert log.failed is None
    assert not log.is_dirty, "not tried again before there is more to sync"
    fs.crash(Loss.ALL)
    log = open_log(fs, SMALL)[0]
    assert len(values(log)) == 4
    fill(log, 4)
    fs.fail_always(frozenset({"rename"}))
    sync(log)
    fs.fail_always(frozenset())
    fill(log, 1)
    sync(log)
    assert any(name.endswith(".window") for name in fs.list(FOLDER))


def test_nobody_syncs_but_it_counts_as_durable() -> None:
    _, log = new_log()
    fill(log, 3)
    log.assume_durable()
    assert log.durable_offset == 3


# -- deleting


def test_retention_by_bytes_keeps_whole_segments() -> None:
    fs, log = new_log(SMALL)
    fill(log, 12)
    assert log.apply_retention(NOW) == []
    log.configure(replace(SMALL, retention_bytes=500))
    assert log.apply_retention(NOW) == [], "nothing that is not durable"
    sync(log)
    removed = log.apply_retention(NOW)
    assert removed
    assert log.size >= 500
    assert log.log_start_offset == segments(fs)[0] > 0
    assert log.read(0, 10, below=12, at_least_one=True).error is ErrorCode.OFFSET_OUT_OF_RANGE
    assert sorted(values(log)) == list(range(log.log_start_offset, 12))


def test_retention_by_time_takes_the_active_segment_too() -> None:
    fs, log = new_log(replace(SMALL, retention_ms=1000))
    fill(log, 7)
    sync(log)
    assert log.apply_retention(NOW + 1000) == []
    log.apply_retention(NOW + 1005)
    assert log.log_start_offset == segments(fs)[0] == 4
    log.apply_retention(NOW + 1007)
    assert log.log_start_offset == log.end_offset == 7
    assert segments(fs) == [7]
    assert log.append(produced(b"x"), NOW).base_offset == 7


def test_compact_only_logs_are_not_shortened() -> None:
    _, log = new_log(LogConfig(cleanup_policy=frozenset({"compact"}), retention_ms=1))
    log.append(keyed((b"k", b"v")), NOW)
    sync(log)
    assert log.apply_retention(NOW + 10**9) == []


def test_delete_records() -> None:
    fs, log = new_log(SMALL)
    fill(log, 9)
    sync(log)
    fill(log, 1)
    assert log.truncate_prefix(10) is ErrorCode.OFFSET_OUT_OF_RANGE, "not durable"
    assert log.truncate_prefix(4) is ErrorCode.NONE
    assert log.log_start_offset == 4
    assert log.truncate_prefix(2) is ErrorCode.NONE
    assert log.log_start_offset == 4, "never back"
    assert log.truncate_prefix(-1) is ErrorCode.NONE
    assert log.log_start_offset == 9
    sync(log)
    fs.crash(Loss.ALL)
    log, report = open_log(fs, SMALL)
    assert (report.log_start_offset, report.end_offset) == (9, 10)


def test_segments_stay_while_a_sync_writes_what_they_say_of_producers() -> None:
    fs, log = new_log(SMALL)
    fill(log, 9)
    sync(log)
    fill(log, 4)
    ticket = log.begin_sync()
    assert ticket is not None
    assert ticket.writes
    before = segments(fs)
    assert log.truncate_prefix(8) is ErrorCode.NONE
    assert (log.log_start_offset, segments(fs)) == (8, before)
    assert log.read(3, 10, below=9, at_least_one=True).error is ErrorCode.OFFSET_OUT_OF_RANGE
    ticket.run()
    log.finish_sync(ticket, ok=True)
    assert log.apply_retention(NOW)
    assert segments(fs)[0] == 8


def test_a_retention_that_the_disk_refuses_says_so() -> None:
    fs, log = new_log(replace(SMALL, retention_bytes=0))
    fill(log, 9)
    sync(log)
    fs.fail_at(1)
    (said,) = log.apply_retention(NOW)
    assert said.startswith("retention stopped: ")
    assert log.log_start_offset == 0


def test_a_reader_of_a_deleted_segment_reads_on() -> None:
    _, log = new_log(SMALL)
    fill(log, 9)
    sync(log)
    held = log.read(0, 1000, below=9, at_least_one=True)
    log.truncate_prefix(8)
    assert len(part_bytes(held.parts[0])) == held.size


def test_jitter_ends_a_segment_earlier_but_not_at_once() -> None:
    _, log = new_log(LogConfig(segment_ms=1_000, segment_jitter_ms=900))
    log.append(produced(b"x"), NOW)
    due = [ms for ms in range(1_002) if log.roll_if_due(NOW + ms)]
    assert len(due) == 1
    assert 100 < due[0] < 1_000


def test_a_full_index_ends_a_segment() -> None:
    _, log = new_log(LogConfig(segment_index_bytes=40, index_interval_bytes=0))
    for n in range(10):
        log.append(produced(b"x" * 10, timestamp=NOW + n), NOW)
    sync(log)
    assert len(log._segments) > 2
    assert len(records(log)) == 10
