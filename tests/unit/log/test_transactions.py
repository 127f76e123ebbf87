"""Transactions in one partition: last stable offset, aborted ones, markers, and all that again
after a clean close, a crash, a damaged index and a compaction."""

import pytest
from tests.log_kit import FOLDER, NOW, batches, new_log, open_log, sync, values

from tickertape.base.fake_fs import FakeFileSystem, Loss
from tickertape.log.config import LogConfig
from tickertape.log.partition import PartitionLog
from tickertape.log.transactions import Aborted, Marker, read_index, write_index
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.records import Record, write_batch

CONFIG = LogConfig(segment_bytes=400, index_interval_bytes=100)
COMPACTED = LogConfig(segment_bytes=400, cleanup_policy=frozenset({"compact"}))


def write(
    log: PartitionLog, producer: int, sequence: int, *, epoch: int = 0, key: bytes = b"k",
    transactional: bool = True,
) -> ErrorCode:  # fmt: skip
    record = Record(0, NOW, key, b"%d-%d" % (producer, sequence))
    batch = write_batch(
        [record], producer_id=producer, producer_epoch=epoch, base_sequence=sequence,
        attributes=0x10 if transactional else 0,
    )  # fmt: skip
    return log.append(memoryview(batch), NOW).error


def end(
    log: PartitionLog, producer: int, *, committed: bool, epoch: int = 0, coordinator: int = 0,
    bumped: bool = False,
) -> ErrorCode:  # fmt: skip
    marker = Marker(committed, coordinator)
    return log.append_marker((producer, epoch), marker, now_ms=NOW, bumped=bumped).error


def aborted(log: PartitionLog, start: int = 0, max_bytes: int = 1 << 20) -> list[Aborted]:
    below = log.last_stable_offset
    found = log.read(start, max_bytes, below=below, at_least_one=True)
    return log.aborted_in(start, found, below=below)


def test_the_last_stable_offset_waits_for_open_ones_and_for_durable_markers() -> None:
    _, log = new_log()
    assert write(log, 1, 0) == write(log, 2, 0) == write(log, 1, 1) == 0
    sync(log)
    assert (log.last_stable_offset, log.durable_offset) == (0, 3)
    assert end(log, 1, committed=True) == 0
    assert log.last_stable_offset == 0  # a crash could take the marker back
    sync(log)
    assert log.last_stable_offset == 1  # producer 2's
    assert end(log, 2, committed=False) == 0
    sync(log)
    assert log.last_stable_offset == log.end_offset == 5


def test_a_reader_is_told_of_the_aborted_transactions_of_its_range_only() -> None:
    _, log = new_log()
    for number in range(4):
        write(log, 1, number * 2)
        write(log, 2, number)
        write(log, 1, number * 2 + 1)
        end(log, 1, committed=number % 2 == 0)
    end(log, 2, committed=True)
    sync(log)
    assert aborted(log) == [Aborted(1, 4, 7, 1), Aborted(1, 12, 15, 1)]
    assert [entry.first_offset for entry in aborted(log, 8)] == [12]
    assert [entry.first_offset for entry in aborted(log, 0, max_bytes=400)] == [4]
    assert aborted(log, 0, max_bytes=100) == []


def test_a_marker_is_a_control_batch_in_kafkas_format() -> None:
    _, log = new_log()
    write(log, 7, 0, epoch=3)
    end(log, 7, committed=True, epoch=3, coordinator=5)
    sync(log)
    _, (header, (record,)) = batches(log)
    assert (header.attributes, header.producer_id, header.producer_epoch) == (0x30, 7, 3)
    assert header.base_sequence == -1
    assert (record.key, record.value) == (b"\0\0\0\1", b"\0\0\0\0\0\5")


def test_markers_fence() -> None:
    _, log = new_log()
    assert write(log, 1, 0) == 0
    assert end(log, 1, committed=False, epoch=1, coordinator=4) == 0
    assert write(log, 1, 1) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert end(log, 1, committed=True) is ErrorCode.INVALID_PRODUCER_EPOCH
    fenced = end(log, 1, committed=True, epoch=1, coordinator=3)
    assert fenced is ErrorCode.TRANSACTION_COORDINATOR_FENCED
    assert write(log, 1, 1, epoch=1) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert write(log, 1, 0, epoch=1) == 0


def test_sequences_go_on_after_a_commit_and_plain_records_must_wait_for_it() -> None:
    _, log = new_log()
    assert write(log, 1, 0) == 0
    assert write(log, 1, 1, transactional=False) is ErrorCode.INVALID_TXN_STATE
    assert end(log, 1, committed=True) == 0
    assert write(log, 1, 1, transactional=False) == 0


def test_a_marker_without_a_transaction_decides_nothing() -> None:
    _, log = new_log()
    assert end(log, 1, committed=False) == 0
    sync(log)
    assert aborted(log) == []
    assert log.last_stable_offset == 1


def busy_log() -> tuple[FakeFileSystem, PartitionLog]:
    """Several segments, with producer 9's transaction open from offset 2 on."""
    fs, log = new_log(CONFIG)
    for number in range(6):
        write(log, 1, number)
        if number == 1:
            write(log, 9, 0)
        end(log, 1, committed=number % 2 == 0)
        sync(log)
    write(log, 9, 1)
    sync(log)
    return fs, log


def facts(log: PartitionLog) -> tuple[int, int, list[Aborted]]:
    held = log.last_stable_offset
    end(log, 9, committed=True)
    sync(log)
    everything = [entry for at in range(log.end_offset) for entry in aborted(log, at, 1)]
    return held, log.end_offset, sorted(set(everything))


EXPECTED = (3, 15, [Aborted(1, 2, 4, 3), Aborted(1, 7, 8, 3), Aborted(1, 11, 12, 3)])


def test_facts_of_a_log_that_was_never_closed() -> None:
    _, log = busy_log()
    assert facts(log) == EXPECTED


def test_everything_is_known_again_after_a_clean_close() -> None:
    fs, log = busy_log()
    log.close(clean=True)
    assert [name for name in fs.list(FOLDER) if name.endswith(".txnindex")]
    again, report = open_log(fs, CONFIG, clean=True)
    assert (report.clean, report.remarks) == (True, ())
    assert facts(again) == EXPECTED


@pytest.mark.parametrize("loss", list(Loss))
def test_everything_is_known_again_after_a_crash(loss: Loss) -> None:
    fs, _ = busy_log()
    fs.crash(loss)
    open_log(fs, CONFIG)
    fs.crash(loss)
    again, _ = open_log(fs, CONFIG)
    assert facts(again) == EXPECTED


def test_a_damaged_index_is_replaced_by_reading_the_log() -> None:
    fs, log = busy_log()
    log.close(clean=True)
    (first, *_) = [name for name in fs.list(FOLDER) if name.endswith(".txnindex")]
    fs.write_atomic(f"{FOLDER}/{first}", b"nonsense")
    again, report = open_log(fs, CONFIG, clean=True)
    assert "damaged" in report.remarks[0]
    assert facts(again) == EXPECTED


def test_retention_takes_the_index_with_its_segment() -> None:
    fs, log = busy_log()
    end(log, 9, committed=True)
    sync(log)
    assert log.truncate_prefix(-1) == 0
    log.close(clean=True)
    kept = {int(name[:20]) for name in fs.list(FOLDER) if name.endswith(".txnindex")}
    assert kept <= {int(name[:20]) for name in fs.list(FOLDER) if name.endswith(".log")}
    assert not [at for at in kept if at < log.log_start_offset - 5]


def test_an_index_that_is_not_whole_or_not_in_order_is_not_used() -> None:
    entries = [Aborted(1, 2, 4, 3), Aborted(5, 3, 9, 10)]
    stored = write_index(entries)
    assert read_index(stored) == entries
    assert read_index(stored[:-1]) is None
    assert read_index(stored[34:] + stored[:34]) is None
    assert read_index(b"\0\1" + stored[2:]) is None


def compacting_log() -> tuple[FakeFileSystem, PartitionLog]:
    fs, log = new_log(COMPACTED)
    for number in range(12):
        write(log, 1, number, key=b"k%d" % (number % 3))
        end(log, 1, committed=number % 4 != 3)
        sync(log)
    return fs, log


def everywhere(log: PartitionLog) -> list[int]:
    return sorted({entry[1] for at in range(log.end_offset) for entry in aborted(log, at, 1)})


def test_compaction_drops_aborted_records_and_never_a_committed_one() -> None:
    fs, log = compacting_log()
    assert log.compact(NOW) is not None
    sync(log)
    known = values(log)
    aborted_values = {b"1-3", b"1-7"}
    below = 18
    assert not aborted_values & {value for offset, value in known.items() if offset < below}
    assert everywhere(log) == [6, 14, 22]
    log.close(clean=True)
    again, report = open_log(fs, COMPACTED, clean=True)
    assert report.remarks == ()
    assert everywhere(again) == [6, 14, 22]
    assert values(again) == known


def test_compaction_stops_at_an_open_transaction() -> None:
    _, log = new_log(COMPACTED)
    write(log, 9, 0, key=b"k0")
    for number in range(12):
        write(log, 1, number, key=b"k0")
        end(log, 1, committed=True)
        sync(log)
    assert log.compact(NOW) is None
    end(log, 9, committed=True)
    sync(log)
    assert log.compact(NOW) is not None


def test_old_commit_markers_go_and_those_of_aborts_stay() -> None:
    day = 86_400_000
    fs, log = new_log(COMPACTED)
    for number in range(20):
        write(log, number, 0, key=b"same")
        end(log, number, committed=number % 2 == 0)
        sync(log)
    assert log.compact(NOW) is not None
    log._producers.by_id.clear()  # as if they had expired long ago
    for number in range(100, 130):
        write(log, number, 0, key=b"same")
        end(log, number, committed=True)
        sync(log)
    assert log.compact(NOW + 2 * day) is not None
    sync(log)
    markers = [header.producer_id for header, kept in batches(log) if header.is_control and kept]
    assert set(range(1, 16, 2)) <= set(markers)
    assert not {0, 4, 6, 8, 10, 14, 16} & set(markers)  # 2 and 12: data at the end of a segment
    log.close(clean=True)
    again, _ = open_log(fs, COMPACTED, clean=False)
    assert again.last_stable_offset == again.end_offset


def test_a_marker_of_v2_ends_no_transaction_of_its_own_epoch() -> None:
    """KAFKA-19999: it is the repeated one of the transaction before; where none is open it fits."""
    _, log = new_log()
    late = ErrorCode.INVALID_PRODUCER_EPOCH
    assert write(log, 1, 0) is ErrorCode.NONE
    assert end(log, 1, committed=True, epoch=0, bumped=True) is late
    assert end(log, 1, committed=True, epoch=1, bumped=True) is ErrorCode.NONE
    assert end(log, 1, committed=True, epoch=1, bumped=True) is ErrorCode.NONE
    assert write(log, 1, 0, epoch=1) is ErrorCode.NONE
    assert end(log, 1, committed=True, epoch=1, bumped=True) is late
    assert end(log, 1, committed=True, epoch=1) is ErrorCode.NONE  # of v1 it may be
