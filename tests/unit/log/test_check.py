"""What a log does of its own accord is no damage: the check of its folder finds nothing."""

import pytest
from tests.log_kit import FOLDER, NOW, TOPIC_ID, new_log, open_log, sync

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import FakeFileSystem, Loss
from tickertape.log.check import Expected, PartitionCheck, Problem
from tickertape.log.config import LogConfig
from tickertape.log.transactions import Marker
from tickertape.wire.batch import TRANSACTIONAL_FLAG
from tickertape.wire.records import Record, write_batch

SMALL = LogConfig(segment_bytes=300, index_interval_bytes=100)


def found(fs: FakeFileSystem, *, closed: bool) -> list[Problem]:
    return list(
        PartitionCheck(fs, FOLDER, Expected(topic_id=TOPIC_ID, compacts=False, closed=closed)).run()
    )


def transactional(sequence: int, epoch: int = 0) -> memoryview:
    return memoryview(
        write_batch(
            [Record(0, NOW, None, b"value" * 43)],
            producer_id=7,
            producer_epoch=epoch,
            base_sequence=sequence,
            attributes=TRANSACTIONAL_FLAG,
        )
    )


def test_a_transaction_whose_data_are_deleted_and_whose_marker_is_not() -> None:
    fs, log = new_log(SMALL)
    for number in range(5):
        assert log.append(transactional(number), NOW).error == 0
    assert (
        log.append_marker((7, 0), Marker(committed=True, coordinator_epoch=0), now_ms=NOW).error
        == 0
    )
    first_kept = log.end_offset - 1
    assert log.append(transactional(5), NOW).error == 0
    assert (
        log.append_marker((7, 0), Marker(committed=False, coordinator_epoch=0), now_ms=NOW).error
        == 0
    )
    sync(log)
    assert log.truncate_prefix(first_kept) == 0
    log.close(clean=True)
    assert found(fs, closed=True) == []


def test_a_log_whose_sync_has_failed_is_mended_by_the_next_start() -> None:
    fs, log = new_log(SMALL)
    sync(log)
    assert log.append(transactional(0), NOW).error == 0
    ticket = log.begin_sync()
    assert ticket is not None
    fs.fail_at(1, "Input/output error")
    with pytest.raises(StorageError):
        ticket.run()
    fs.crash(Loss.NOTHING)
    (remark,) = found(fs, closed=False)
    assert (remark.kind, remark.is_remark) == ("sync", True)
    open_log(fs, SMALL)
    assert found(fs, closed=False) == []
