"""Every durable file of a partition, byte for byte, as docs/formats.md describes it.

``snapshot-1.hex`` and the segment were read by Kafka 4.1's DumpLogSegments without complaint.
"""

from pathlib import Path

import pytest
from tests.log_kit import FOLDER, NOW, new_log, open_log, produced, sync, values

from tickertape.base.fake_fs import FakeFileSystem
from tickertape.log.config import LogConfig
from tickertape.log.producer_snapshot import (
    read_snapshot,
    read_window,
    write_snapshot,
    write_window,
)
from tickertape.log.producer_state import Batch, ProducerStates
from tickertape.log.transactions import Aborted, read_index, write_index, write_marker

HERE = Path(__file__).parent
CONFIG = LogConfig(segment_bytes=400, index_interval_bytes=100)


def golden(name: str) -> bytes:
    return bytes.fromhex((HERE / name).read_text())


def producers() -> ProducerStates:
    states = ProducerStates()
    for n in range(6):
        batch = Batch(n * 10, n * 10 + 9, 100 + n * 10, 9, 1_700_000_000_000 + n)
        states.record(4000, 3, batch, 1_700_000_500_000 + n)
    states.record(4001, 0, Batch(0x7FFFFFFE, 1, 163, 3, -1), 1_700_000_600_000)
    states.fence(4002, 7, -1, 1_700_000_700_000)
    return states


def test_snapshot_version_1() -> None:
    assert write_snapshot(producers()) == golden("snapshot-1.hex")
    states = read_snapshot(golden("snapshot-1.hex"), now_ms=NOW)
    assert states is not None
    assert [p.epoch for p in states.by_id.values()] == [3, 0, 7]


def test_window_version_1() -> None:
    assert write_window(producers(), 164) == golden("window-1.hex")
    states = read_window(golden("window-1.hex"), 164)
    assert states is not None
    assert {i: p.batches for i, p in states.by_id.items()} == {
        i: p.batches for i, p in producers().by_id.items()
    }


def test_txnindex_version_0() -> None:
    entries = [Aborted(4000, 2, 4, 3), Aborted(4001, 3, 9, 10)]
    assert write_index(entries) == golden("txnindex-0.hex")
    assert read_index(golden("txnindex-0.hex")) == entries


def test_the_marker_of_a_commit() -> None:
    marker = write_marker(4000, 3, coordinator_epoch=5, committed=True, now_ms=NOW)
    assert marker == golden("marker-commit.hex")


def closed_log() -> FakeFileSystem:
    fs, log = new_log(CONFIG)
    for n in range(8):
        batch = produced(b"value %d" % n, None, key=b"k%d" % n, producer=(9, 1, n * 2))
        assert log.append(batch, NOW).error == 0
        sync(log)
    assert log.truncate_prefix(3) == 0
    log.close(clean=True)
    return fs


@pytest.mark.parametrize("path", sorted(HERE.glob("partition/*.hex")), ids=lambda path: path.stem)
def test_the_files_of_a_partition(path: Path) -> None:
    assert closed_log().read(f"{FOLDER}/{path.stem}") == bytes.fromhex(path.read_text())


def test_no_file_is_without_a_golden_one_and_the_golden_ones_open() -> None:
    stored = {path.stem: path for path in HERE.glob("partition/*.hex")}
    assert sorted(stored) == closed_log().list(FOLDER)
    fs = FakeFileSystem()
    fs.make_dir(FOLDER)
    for name, path in stored.items():
        fs.write_atomic(f"{FOLDER}/{name}", bytes.fromhex(path.read_text()))
    log, report = open_log(fs, CONFIG, clean=True)
    assert (report.clean, report.remarks, report.indexes_rebuilt) == (True, (), ())
    assert (report.log_start_offset, report.end_offset) == (3, 16)
    assert values(log)[14] == b"value 7"
    assert log.append(produced(b"value 4", None, key=b"k4", producer=(9, 1, 8)), NOW).duplicate
