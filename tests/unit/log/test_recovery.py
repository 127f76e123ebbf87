"""Opening a log: what is trusted, what is checked, what is cut and what is said about it."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from tests.log_kit import (
    FOLDER,
    NOW,
    TOPIC_ID,
    batches,
    new_disk,
    new_log,
    open_log,
    produced,
    sync,
    values,
)

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import FakeFileSystem, Loss
from tickertape.base.world import OsFileSystem
from tickertape.log.config import LogConfig
from tickertape.log.partition import PartitionLog
from tickertape.log.producer_snapshot import (
    read_snapshot,
    read_window,
    write_snapshot,
    write_window,
)
from tickertape.log.producer_state import Batch, ProducerStates

SMALL = LogConfig(segment_bytes=300, index_interval_bytes=100)
LOG_0 = f"{FOLDER}/00000000000000000000.log"


def filled(count: int, config: LogConfig = SMALL) -> tuple[FakeFileSystem, PartitionLog]:
    fs, log = new_log(config)
    for n in range(count):
        assert log.append(produced(b"v%d" % n, producer=(7, 0, n)), NOW).error == 0
    sync(log)
    return fs, log


def names(fs: FakeFileSystem, suffix: str) -> list[int]:
    return [int(name[:20]) for name in fs.list(FOLDER) if name.endswith(suffix)]


def test_a_new_log_is_empty_and_of_epoch_0() -> None:
    _, report = open_log(new_disk())
    assert (report.clean, report.end_offset, report.leader_epoch) == (True, 0, 0)
    assert report.cut_reason == ""


def test_after_a_clean_close_nothing_is_scanned() -> None:
    fs, log = filled(20)
    log.close(clean=True)
    log, report = open_log(fs, SMALL, clean=True)
    assert (report.clean, report.bytes_scanned, report.end_offset) == (True, 0, 20)
    assert (report.leader_epoch, report.producers) == (0, 1)
    assert len(values(log)) == 20
    assert log.append(produced(b"v15", producer=(7, 0, 15)), NOW).base_offset == 15
    assert log.append(produced(b"v20", producer=(7, 0, 20)), NOW).base_offset == 20


def test_a_recovered_log_that_nobody_wrote_to_closes_with_its_indexes() -> None:
    fs, log = filled(3)
    fs.crash(Loss.ALL)
    log, _ = open_log(fs, SMALL, clean=False)
    sync(log)
    log.close(clean=True)
    _, report = open_log(fs, SMALL, clean=True)
    assert (report.clean, report.remarks, report.indexes_rebuilt) == (True, (), ())


def test_a_reopened_log_takes_one_descriptor_per_segment(tmp_path: Path) -> None:
    fs, folder = OsFileSystem(), f"{tmp_path}/ticks-0"
    opened = partial(PartitionLog.open, fs, folder, SMALL, now_ms=NOW, topic_id=TOPIC_ID)
    log, _ = opened(clean=False)
    for n in range(20):
        log.append(produced(b"%d" % n), NOW)
    sync(log)
    log.close(clean=True)
    log, _ = opened(clean=True)
    links = [str(fd.resolve()) for fd in Path("/proc/self/fd").iterdir()]
    mine = [Path(link).suffix for link in links if link.startswith(str(tmp_path.resolve()))]
    assert len(mine) > 2
    assert set(mine) == {".log"}
    log.close(clean=True)


def test_after_a_crash_only_what_follows_the_recovery_point_is_scanned() -> None:
    fs, log = filled(20)
    fs.crash()
    report = open_log(fs, SMALL)[1]
    assert not report.clean
    assert 0 < report.bytes_scanned < log.size / 2
    assert (report.end_offset, report.leader_epoch) == (20, 1)


def test_each_unclean_start_begins_an_epoch_and_appends_carry_it() -> None:
    fs, log = filled(1)
    for epoch in (1, 2, 3):
        fs.crash()
        log, report = open_log(fs, SMALL)
        assert report.leader_epoch == log.leader_epoch == epoch
    log.append(produced(b"x"), NOW)
    sync(log)
    assert [h.partition_leader_epoch for h, _ in batches(log)] == [0, 3]
    assert log.end_offset_for_epoch(0) == (0, 1)
    assert log.end_offset_for_epoch(2) == (0, 1)
    assert log.end_offset_for_epoch(3) == (3, 2)
    assert log.end_offset_for_epoch(4) == (-1, -1)


@pytest.mark.parametrize("recovery_fails_too", [False, True])
def test_what_could_not_be_synced_and_is_recovered_survives_a_power_cut(
    recovery_fails_too: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    fs, log = filled(2)
    log.append(produced(b"x", producer=(7, 0, 2)), NOW)
    ticket = log.begin_sync()
    assert ticket is not None
    fs.fail_at(1, "Input/output error")
    with pytest.raises(StorageError):
        ticket.run()
    fs.crash(Loss.NOTHING)  # the process alone: what it wrote can still be read
    if recovery_fails_too:
        fs.fail_always(frozenset({"sync"}))
        with pytest.raises(StorageError):
            open_log(fs, SMALL)
        fs.crash(Loss.NOTHING)
    log, report = open_log(fs, SMALL)
    assert (report.clean, report.end_offset) == (False, 3)
    log.append(produced(b"y", producer=(7, 0, 3)), NOW)
    sync(log)
    fs.crash(Loss.ALL)
    assert list(values(open_log(fs, SMALL)[0]).values()) == [
        b"v0",
        b"v1",
        b"x",
        b"y",
    ]
    assert "sync-failed" not in fs.list(FOLDER)


def test_a_failed_sync_that_a_full_disk_lets_nobody_note_is_noted_at_the_close() -> None:
    fs, log = filled(2)
    log.append(produced(b"x"), NOW)
    ticket = log.begin_sync()
    assert ticket is not None
    fs.fail_always(frozenset({"sync", "create"}))
    with pytest.raises(StorageError) as failure:
        ticket.run()
    log.finish_sync(ticket, ok=False, reason=str(failure.value))
    fs.fail_always(frozenset())
    with pytest.raises(StorageError):
        log.close(clean=True)
    fs.crash(Loss.NOTHING)
    assert open_log(fs, SMALL)[1].end_offset == 3
    fs.crash(Loss.ALL)
    assert len(values(open_log(fs, SMALL)[0])) == 3


def test_a_sync_that_fails_in_the_close_is_noted() -> None:
    fs, log = filled(2)
    log.append(produced(b"x"), NOW)
    fs.fail_always(frozenset({"sync"}))
    with pytest.raises(StorageError):
        log.close(clean=True)
    fs.fail_always(frozenset())
    fs.crash(Loss.NOTHING)
    assert open_log(fs, SMALL)[1].end_offset == 3
    fs.crash(Loss.ALL)
    assert len(values(open_log(fs, SMALL)[0])) == 3


@pytest.mark.parametrize("cut", [1, 9, 30, 69])
def test_a_torn_tail_is_cut_and_reported(cut: int) -> None:
    fs, log = filled(3, LogConfig())
    whole = log.size
    fs.open(LOG_0).truncate(whole - cut)
    fs.crash()
    fs.open(LOG_0).truncate(whole - cut)
    log, report = open_log(fs)
    assert (report.end_offset, report.bytes_cut) == (2, whole // 3 - cut)
    assert "00000000000000000000.log at" in report.cut_reason
    assert values(log) == {0: b"v0", 1: b"v1"}


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (0, "offset"),
        (8, "bytes of a batch"),
        (16, "magic"),
        (17, "CRC"),
        (40, "CRC"),
        (23, "delta"),
    ],
)
def test_a_bad_batch_and_all_after_it_are_cut(at: int, why: str) -> None:
    fs, log = filled(5, LogConfig())
    size = log.size // 5
    fs.open(LOG_0).pwrite(size * 2 + at, b"\xff" if at != 8 else b"\x7f")
    log, report = open_log(fs)
    assert report.end_offset == 2
    assert report.bytes_cut == 3 * size
    assert why in report.cut_reason


def test_zeros_at_the_end_are_cut() -> None:
    fs, log = filled(2, LogConfig())
    size = log.size
    fs.open(LOG_0).truncate(size + 4096)
    _, report = open_log(fs)
    assert (report.end_offset, report.bytes_cut) == (2, 4096)


def test_segments_after_a_cut_go_too() -> None:
    fs, _ = filled(20)
    fs.remove(f"{FOLDER}/recovery-point-offset-checkpoint")
    bases = names(fs, ".log")
    fs.open(f"{FOLDER}/{bases[2]:020d}.log").pwrite(20, b"\xff")
    log, report = open_log(fs, SMALL)
    assert report.end_offset == bases[2]
    assert len(report.segments_removed) == len(bases) - 3
    assert names(fs, ".log") == bases[:3]
    assert len(values(log)) == bases[2]


def test_a_segment_that_does_not_follow_the_one_before_goes() -> None:
    fs, _ = filled(20)
    fs.remove(f"{FOLDER}/recovery-point-offset-checkpoint")
    bases = names(fs, ".log")
    fs.remove(f"{FOLDER}/{bases[2]:020d}.log")
    _, report = open_log(fs, SMALL)
    assert report.end_offset == bases[2]
    assert "does not begin at offset" in report.cut_reason


def test_missing_or_damaged_indexes_are_rebuilt_alike() -> None:
    fs, log = filled(20)
    log.close(clean=True)
    before = {name: fs.read(f"{FOLDER}/{name}") for name in fs.list(FOLDER) if "index" in name}
    for name in before:
        if "00004" in name:
            fs.remove(f"{FOLDER}/{name}")
        else:
            fs.open(f"{FOLDER}/{name}").append((b"odd",))
    log, report = open_log(fs, SMALL, clean=True)
    assert len(report.indexes_rebuilt) == len(names(fs, ".log"))
    while max(names(fs, ".log")) == max(int(name[:20]) for name in before):
        log.append(produced(b"x"), NOW)
    log.close(clean=True)
    last = f"{max(int(name[:20]) for name in before):020d}"
    assert len(before) > 6
    for name, content in before.items():
        if not name.startswith(last):
            assert fs.read(f"{FOLDER}/{name}") == content


def test_a_log_that_is_not_as_clean_as_marked_is_recovered() -> None:
    fs, log = filled(3, LogConfig())
    log.close(clean=True)
    fs.open(LOG_0).append((b"garbage",))
    _, report = open_log(fs, clean=True)
    assert not report.clean
    assert (report.end_offset, report.bytes_cut) == (3, 7)
    assert any("not as clean as marked" in remark for remark in report.remarks)


def test_recovery_without_the_window_knows_the_last_batch_from_kafkas_snapshot() -> None:
    fs, log = filled(20)
    log.close(clean=True)
    for offset in names(fs, ".window"):
        fs.remove(f"{FOLDER}/{offset:020d}.window")
    log, report = open_log(fs, SMALL, clean=True)
    assert report.remarks
    assert log.append(produced(b"v19", producer=(7, 0, 19)), NOW).duplicate
    assert not log.append(produced(b"v18", producer=(7, 0, 18)), NOW).duplicate


@pytest.mark.parametrize("damage", [b"", b"\1", b"short", b"\0" * 80])
def test_damaged_snapshots_are_passed_over_and_the_log_is_replayed(damage: bytes) -> None:
    fs, log = filled(20)
    log.close(clean=True)
    for suffix in (".window", ".snapshot"):
        for offset in names(fs, suffix):
            fs.write_atomic(f"{FOLDER}/{offset:020d}{suffix}", damage)
    log, _ = open_log(fs, SMALL, clean=True)
    for n in range(15, 20):
        assert log.append(produced(b"v%d" % n, producer=(7, 0, n)), NOW).duplicate


def test_a_deleted_batch_is_still_known_after_crash_deletion_and_restart() -> None:
    fs, log = new_log(SMALL)
    for n in range(6):
        log.append(produced(b"v%d" % n, producer=(7, 0, n)), NOW)
    fs.crash(Loss.NOTHING)
    log, _ = open_log(fs, SMALL)
    assert log.truncate_prefix(6) == 0
    log.close(clean=True)
    log, report = open_log(fs, SMALL, clean=True)
    assert (report.clean, report.log_start_offset) == (True, 6)
    for n in range(1, 6):
        assert log.append(produced(b"v%d" % n, producer=(7, 0, n)), NOW).base_offset == n
    assert log.end_offset == 6


def test_snapshots_that_no_segment_needs_are_removed() -> None:
    fs, log = filled(20)
    for _ in range(4):
        log.append(produced(b"x"), NOW)
        log.close(clean=True)
        log, _ = open_log(fs, SMALL, clean=True)
    useful = {*names(fs, ".log"), log.end_offset}
    assert set(names(fs, ".snapshot")) <= useful
    assert set(names(fs, ".window")) <= useful


def test_silent_producers_are_forgotten_at_start() -> None:
    config = LogConfig(producer_id_expiration_ms=1000)
    fs, log = filled(3, config)
    log.close(clean=True)
    _, report = open_log(fs, config, clean=True, now_ms=NOW + 999)
    assert report.producers == 1
    _, report = open_log(fs, config, clean=True, now_ms=NOW + 1000)
    assert report.producers == 0


def test_leftovers_of_writes_and_deletions_are_removed() -> None:
    fs, _ = filled(3)
    for name in ("x.tmp", f"{9:020d}.log.deleted", f"{0:020d}.log.cleaned", f"{0:020d}.index.swap"):
        fs.open(f"{FOLDER}/{name}", create=True)
    log, _ = open_log(fs, SMALL)
    assert not [n for n in fs.list(FOLDER) if n.endswith((".tmp", ".deleted", ".cleaned", ".swap"))]
    assert len(values(log)) == 3


def test_damaged_checkpoints_are_ignored_and_named() -> None:
    fs, _ = filled(20)
    for name in ("recovery-point-offset-checkpoint", "leader-epoch-checkpoint"):
        fs.write_atomic(f"{FOLDER}/{name}", b"nonsense")
    log, report = open_log(fs, SMALL)
    assert sorted(remark.split()[0] for remark in report.remarks) == [
        "leader-epoch-checkpoint",
        "recovery-point-offset-checkpoint",
    ]
    assert (report.bytes_scanned, report.leader_epoch) == (log.size, 1)


def test_a_log_that_was_once_compacted_keeps_what_follows_its_gaps() -> None:
    """Also where its recovery point is lost and it is not compacted any more."""
    config = replace(SMALL, cleanup_policy=frozenset({"compact"}), min_cleanable_dirty_ratio=0.0)
    fs, log = new_log(config)
    for n in range(12):
        assert log.append(produced(b"v%d" % n, key=b"the same"), NOW).error == 0
        sync(log)
    assert log.compact(NOW) is not None
    sync(log)
    before = values(log)
    assert 0 not in before
    fs.write_atomic(f"{FOLDER}/recovery-point-offset-checkpoint", b"nonsense")
    log, report = open_log(fs, SMALL)
    assert (report.end_offset, report.bytes_cut) == (12, 0)
    assert values(log) == before


def test_what_was_lost_before_the_first_sync_is_not_taken_for_compacted_away() -> None:
    """Else a producer's batch is gone, the next one is there, and it can never send it again."""
    fs, log = new_log(replace(SMALL, cleanup_policy=frozenset({"compact"})))
    for n in range(12):
        assert log.append(produced(b"v%d" % n, key=b"k%d" % n, producer=(7, 0, n)), NOW).error == 0
    first, second, *_ = names(fs, ".log")
    assert first == 0
    file = fs.open(LOG_0)
    file.truncate(0)  # its bytes have not reached the disk, those of the next segments have
    file.close()
    log, report = open_log(fs, log.config)
    assert report.cut_reason == f"segment {second} does not begin at offset 0"
    assert (values(log), report.end_offset) == ({}, 0)
    assert log.append(produced(b"v0", key=b"k0", producer=(7, 0, 0)), NOW).base_offset == 0


def test_a_log_start_beyond_what_is_left_starts_anew_there() -> None:
    fs, _ = filled(3)
    fs.write_atomic(f"{FOLDER}/log-start-offset-checkpoint", b"0\n1\nticks 0 50\n")
    log, report = open_log(fs, SMALL)
    assert (report.log_start_offset, report.end_offset) == (50, 50)
    assert log.append(produced(b"x"), NOW).base_offset == 50


def test_a_folder_of_another_topic_is_refused() -> None:
    fs, log = filled(1)
    log.close(clean=True)
    with pytest.raises(StorageError, match="is of topic id"):
        PartitionLog.open(fs, FOLDER, SMALL, now_ms=NOW, topic_id=UUID(int=1), clean=True)


def test_snapshots_carry_producers_there_and_back() -> None:
    states = ProducerStates()
    for n in range(5):
        states.record(1, 2, Batch(n * 2, n * 2 + 1, 10 + n * 2, 1, NOW + n), NOW)
    states.record(2, 0, Batch(0x7FFFFFFF, 3, 30, 4, -1), NOW)
    states.fence(3, 9, -1, NOW)
    window = read_window(write_window(states, 40), 40)
    assert window is not None
    assert {i: (p.epoch, p.batches, p.seen_ms) for i, p in window.by_id.items()} == {
        i: (p.epoch, p.batches, p.seen_ms) for i, p in states.by_id.items()
    }
    assert read_window(write_window(states, 40), 41) is None
    snapshot = read_snapshot(write_snapshot(states), NOW)
    assert snapshot is not None
    assert [p.batches for p in snapshot.by_id.values()] == [
        [Batch(8, 9, 18, 1, NOW + 4)], [Batch(0x7FFFFFFF, 3, 30, 4, -1)], [],
    ]  # fmt: skip


def test_any_flipped_or_missing_byte_of_a_snapshot_is_noticed() -> None:
    states = ProducerStates()
    states.record(1, 2, Batch(0, 1, 1, 1, NOW), NOW)
    window, snapshot = write_window(states, 2), write_snapshot(states)
    for at in range(len(window)):
        assert read_window(window[:at], 2) is None
        assert read_window(window[:at] + bytes([window[at] ^ 1]) + window[at + 1 :], 2) is None
    for at in range(len(snapshot)):
        assert read_snapshot(snapshot[:at], NOW) is None
        flipped = snapshot[:at] + bytes([snapshot[at] ^ 1]) + snapshot[at + 1 :]
        assert read_snapshot(flipped, NOW) is None
