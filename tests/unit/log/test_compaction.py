"""What compaction keeps, merges and drops, and what can come between its three steps."""

import re
import struct
from dataclasses import replace

import pytest
from tests.log_kit import FOLDER, NOW, batches, keyed, new_log, open_log, produced, records, sync

from tickertape.base.crc import crc32c
from tickertape.base.errors import MisuseError
from tickertape.base.fake_fs import FakeFileSystem
from tickertape.log.config import LogConfig
from tickertape.log.partition import PartitionLog
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.records import Record, write_batch

CONFIG = LogConfig(
    cleanup_policy=frozenset({"compact"}),
    segment_bytes=400,
    index_interval_bytes=100,
    min_cleanable_dirty_ratio=0.0,
)


def with_updates(
    config: LogConfig = CONFIG, count: int = 20
) -> tuple[FakeFileSystem, PartitionLog]:
    """Keys k0 to k2, again and again, one record per batch."""
    fs, log = new_log(config)
    for n in range(count):
        log.append(keyed((b"k%d" % (n % 3), b"v%d" % n), timestamp=NOW + n), NOW)
        sync(log)
    return fs, log


def logs(fs: FakeFileSystem) -> list[str]:
    return [name for name in fs.list(FOLDER) if name.endswith(".log")]


def test_the_newest_of_each_key_stays_at_its_offset() -> None:
    fs, log = with_updates()
    before = log.size
    log.configure(replace(CONFIG, segment_bytes=2000))
    job = log.compact(NOW)
    assert job is not None
    assert job.records_dropped > 10
    assert log.size < before / 2
    newest = {record.key: (record.offset, record.value) for record in records(log)}
    assert newest == {b"k0": (18, b"v18"), b"k1": (19, b"v19"), b"k2": (17, b"v17")}
    assert log.end_offset == 20
    assert len(logs(fs)) == 2, "the sealed segments were merged"
    assert log.read(0, 1000, below=20, at_least_one=True).size
    for offset in range(21):
        assert log.read(offset, 1000, below=20, at_least_one=True).error == 0


@pytest.mark.parametrize("compression", range(5))
def test_a_batch_is_rewritten_in_its_own_compression(compression: int) -> None:
    _, log = new_log(replace(CONFIG, segment_bytes=250))
    for n in range(8):
        batch = produced(b"a" * 30, b"b", key=b"k%d" % n, compression=compression)
        log.append(batch, NOW)
    sync(log)
    log.compact(NOW)
    kept = [
        (h.compression, h.record_count, [r.offset for r in inside]) for h, inside in batches(log)
    ]
    assert kept[0] == (compression, 1, [1]), "the first of the two has the same key"
    assert [h.last_offset_delta for h, _ in batches(log)] == [1] * 8


def test_nothing_is_planned_without_need() -> None:
    assert (
        with_updates(replace(CONFIG, cleanup_policy=frozenset({"delete"})))[1].plan_compaction(NOW)
        is None
    )
    assert with_updates(count=2)[1].plan_compaction(NOW) is None, "only the active segment"
    _, log = with_updates(replace(CONFIG, min_compaction_lag_ms=60_000))
    assert log.plan_compaction(NOW) is None, "all too young"
    assert log.plan_compaction(NOW + 70_000) is not None
    _, log = with_updates(replace(CONFIG, min_cleanable_dirty_ratio=0.4))
    assert log.compact(NOW) is not None
    log.append(keyed((b"x", b"y" * 300)), NOW)
    log.append(keyed((b"x", b"y" * 300)), NOW)
    sync(log)
    assert log.compact(NOW) is not None
    assert log.compact(NOW) is None, "all is clean"
    log.configure(replace(CONFIG, min_cleanable_dirty_ratio=1.0))
    log.append(keyed((b"x", b"y" * 300)), NOW)
    sync(log)
    assert log.compact(NOW) is None, "too little of it is dirty"


def test_what_is_not_behind_the_recovery_point_is_not_touched() -> None:
    _, log = new_log(CONFIG)
    for n in range(20):
        log.append(keyed((b"k", b"v%d" % n)), NOW)
    assert log.plan_compaction(NOW) is None
    sync(log)
    assert log.plan_compaction(NOW) is not None


def test_tombstones_stay_for_delete_retention_and_then_go() -> None:
    config = replace(CONFIG, delete_retention_ms=1000)
    _, log = new_log(config)
    for n in range(10):
        log.append(keyed((b"k", b"v%d" % n), (b"other%d" % n, b"x")), NOW)
    log.append(keyed((b"k", None)), NOW)
    for n in range(10):
        log.append(keyed((b"more%d" % n, b"x" * 50)), NOW)
    sync(log)
    log.compact(NOW)
    assert [r.value for r in records(log) if r.key == b"k"] == [None]
    for later, left in ((1000, 1), (1001, 0)):
        for n in range(8):
            log.append(keyed((b"even more%d" % n, b"x" * 50)), NOW)
        sync(log)
        assert log.compact(NOW + later) is not None
        assert len([r for r in records(log) if r.key == b"k"]) == left


def test_when_it_was_cleaned_survives_a_restart() -> None:
    fs, log = with_updates()
    log.compact(NOW)
    log.close(clean=True)
    log, _ = open_log(fs, CONFIG, clean=True)
    assert log.plan_compaction(NOW) is None


def test_retries_are_known_after_compaction_even_without_snapshots() -> None:
    fs, log = new_log(CONFIG)
    for n in range(20):
        log.append(produced(b"v%d" % n, key=b"k", producer=(7, 0, n)), NOW)
        sync(log)
    log.compact(NOW)
    log.close(clean=True)
    for name in fs.list(FOLDER):
        if name.endswith((".snapshot", ".window")):
            fs.remove(f"{FOLDER}/{name}")
    log, _ = open_log(fs, CONFIG, clean=True)
    for n in range(15, 20):
        again = log.append(produced(b"v%d" % n, key=b"k", producer=(7, 0, n)), NOW)
        assert (again.duplicate, again.base_offset) == (True, n)


def test_appends_go_on_while_a_job_runs() -> None:
    _, log = with_updates()
    job = log.plan_compaction(NOW)
    assert job is not None
    assert log.plan_compaction(NOW) is None, "one at a time"
    for n in range(20, 40):
        log.append(keyed((b"k%d" % (n % 3), b"v%d" % n)), NOW)
        sync(log)
    job.run()
    assert log.finish_compaction(job) is None
    newest = {record.key: record.value for record in records(log)}
    assert newest == {b"k0": b"v39", b"k1": b"v37", b"k2": b"v38"}
    with pytest.raises(MisuseError, match="not the compaction"):
        log.finish_compaction(job)


def test_a_log_shortened_meanwhile_drops_the_job() -> None:
    fs, log = with_updates()
    job = log.plan_compaction(NOW)
    assert job is not None
    job.run()
    log.truncate_prefix(10)
    before = [(r.offset, r.value) for r in records(log)]
    assert log.finish_compaction(job) == "the log was shortened meanwhile"
    assert [(r.offset, r.value) for r in records(log)] == before
    assert not [name for name in fs.list(FOLDER) if name.endswith(".cleaned")]


def test_a_job_that_the_disk_refuses_changes_nothing() -> None:
    for nth in range(1, 8):
        fs, log = with_updates()
        before = [(r.offset, r.value) for r in records(log)]
        job = log.plan_compaction(NOW)
        assert job is not None
        fs.fail_at(nth)
        job.run()
        assert re.search("No space left|cannot be written", str(log.finish_compaction(job)))
        assert [(r.offset, r.value) for r in records(log)] == before
        assert log.failed is None
        assert not [name for name in fs.list(FOLDER) if name.endswith(".cleaned")]
        assert log.compact(NOW) is not None


def test_half_a_swap_fails_the_log_and_the_next_open_completes_it() -> None:
    fs, log = with_updates()
    job = log.plan_compaction(NOW)
    assert job is not None
    job.run()
    fs.fail_at(6)
    assert "half way" in str(log.finish_compaction(job))
    assert log.failed is not None
    log, _ = open_log(fs, CONFIG)
    newest = {record.key: record.value for record in records(log)}
    assert newest == {b"k0": b"v18", b"k1": b"v19", b"k2": b"v17"}


def test_keys_that_do_not_fit_into_memory_are_cleaned_in_several_jobs() -> None:
    _, log = with_updates(replace(CONFIG, segment_bytes=250, dedupe_buffer_bytes=1), count=30)
    rounds = 0
    while (job := log.plan_compaction(NOW)) is not None:
        job.run()
        assert log.finish_compaction(job) is None
        rounds += 1
        assert rounds < 100
    assert rounds > 2
    newest = {record.key: record.value for record in records(log)}
    assert newest == {b"k0": b"v27", b"k1": b"v28", b"k2": b"v29"}


def test_memory_for_keys_bounds_what_one_job_cleans_also_within_a_segment() -> None:
    config = replace(CONFIG, segment_bytes=10_000)
    _, log = with_updates(config, count=30)
    assert log.roll_if_due(NOW + 10**9), "one sealed segment holds it all"
    log.append(produced(b"last", key=b"other"), NOW)
    sync(log)
    log.configure(replace(config, dedupe_buffer_bytes=400))
    job = log.plan_compaction(NOW)
    assert job is not None
    job.run()
    assert log.finish_compaction(job) is None
    assert 0 < job.until < 30
    newest = {record.key: record.value for record in records(log)}
    assert newest == {b"k0": b"v27", b"k1": b"v28", b"k2": b"v29", b"other": b"last"}


def test_a_log_with_a_record_that_is_too_old_is_cleaned_whatever_its_ratio() -> None:
    config = replace(CONFIG, min_cleanable_dirty_ratio=1.0, max_compaction_lag_ms=5_000)
    _, log = with_updates(config)
    assert log.compact(NOW + 4_000) is not None, "nothing was clean before: the ratio is 1"
    for n in range(20):
        log.append(produced(b"w%d" % n, key=b"k%d" % (n % 3)), NOW)
    sync(log)
    assert log.plan_compaction(NOW + 5_000) is None
    assert log.plan_compaction(NOW + 6_000) is not None


def test_the_active_segment_of_a_compacted_log_ends_before_it_is_overdue() -> None:
    _, log = new_log(replace(CONFIG, segment_ms=10_000, max_compaction_lag_ms=1_000))
    log.append(produced(b"v", key=b"k"), NOW)
    assert not log.roll_if_due(NOW + 1_000)
    assert log.roll_if_due(NOW + 1_001)


def misnumbered(key: bytes, *deltas: int) -> memoryview:
    """A batch with a right CRC whose records claim to lie elsewhere in it."""
    whole = [Record(delta, NOW, key, b"bad") for delta in deltas]
    batch = bytearray(write_batch(whole, last_offset_delta=max(deltas)))
    count = len(deltas)
    struct.pack_into(">i", batch, 23, count - 1)  # last offset delta
    struct.pack_into(">I", batch, 17, crc32c(bytes(batch[21:])))
    return memoryview(batch)


@pytest.mark.parametrize("deltas", [(900,), (0, 900)])
def test_a_record_that_claims_a_later_place_outlives_no_newer_one(deltas: tuple[int, ...]) -> None:
    """Taken while the topic was not compacted, when nobody looks into batches."""
    _, log = new_log(replace(CONFIG, cleanup_policy=frozenset({"delete"})))
    assert log.append(misnumbered(b"k0", *deltas), NOW).error is ErrorCode.NONE
    for n in range(12):
        log.append(keyed((b"k%d" % (n % 2), b"v%d" % n), timestamp=NOW + n), NOW)
        sync(log)
    log.append(keyed((b"k2", b"-" * 320)), NOW)  # a segment of its own: the others are sealed
    sync(log)
    end = log.end_offset
    log.configure(CONFIG)
    assert log.compact(NOW) is not None
    kept = {record.key: record.value for record in records(log)}
    assert kept == {b"k0": b"v10", b"k1": b"v11", b"k2": b"-" * 320}
    assert log.end_offset == end


def test_a_compacted_topic_takes_no_batch_whose_records_claim_other_places() -> None:
    _, log = new_log(CONFIG)
    result = log.append(misnumbered(b"k0", 9), NOW)
    assert result.error is ErrorCode.INVALID_RECORD
    assert result.message == "record 0 of the batch has offset 9, want 0"
