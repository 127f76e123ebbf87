"""Epochs, checkpoints, partition.metadata, meta.properties, the clean mark, cleaning times."""

from uuid import UUID

import pytest

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import FakeFileSystem
from tickertape.log.checkpoint import (
    read_offset,
    read_topic_id,
    uuid_text,
    write_offset,
    write_topic_id,
)
from tickertape.log.compaction import CleaningTimes, read_cleaning_times, write_cleaning_times
from tickertape.log.data_dir import (
    MetaProperties,
    mark_clean,
    read_meta_properties,
    take_clean_mark,
    write_meta_properties,
)
from tickertape.log.leader_epochs import (
    EpochStart,
    LeaderEpochs,
    read_leader_epochs,
    write_leader_epochs,
)
from tickertape.log.names import offset_name, offset_of, offsets_of

ID = UUID("00112233-4455-6677-8899-aabbccddeeff")


def epochs(*pairs: tuple[int, int]) -> LeaderEpochs:
    return LeaderEpochs([EpochStart(*pair) for pair in pairs])


def test_end_of_an_epoch_is_the_start_of_the_next() -> None:
    known = epochs((0, 0), (2, 10), (5, 30))
    assert known.end_of(0, 99) == (0, 10)
    assert known.end_of(1, 99) == (0, 10)
    assert known.end_of(2, 99) == (2, 30)
    assert known.end_of(4, 99) == (2, 30)
    assert known.end_of(5, 99) == (5, 99)
    assert known.end_of(6, 99) == (-1, -1)
    assert known.end_of(-1, 99) == (-1, -1)
    assert epochs((3, 7)).end_of(1, 99) == (1, 7), "older than all that is known"
    assert LeaderEpochs().end_of(0, 0) == (-1, -1)


def test_a_new_epoch_replaces_one_that_never_had_a_record() -> None:
    known = epochs((0, 0), (1, 10))
    assert known.assign(2, 10)
    assert known.entries == [EpochStart(0, 0), EpochStart(2, 10)]
    assert not known.assign(2, 12)
    assert not known.assign(1, 12)


def test_epochs_are_cut_at_both_ends() -> None:
    known = epochs((0, 0), (1, 10), (2, 20))
    known.truncate_end(20)
    assert known.latest == 1
    assert known.truncate_start(5)
    assert known.entries == [EpochStart(0, 5), EpochStart(1, 10)]
    assert known.truncate_start(15)
    assert known.entries == [EpochStart(1, 15)]
    assert not known.truncate_start(15)
    assert not known.truncate_start(3)


def test_epochs_in_kafkas_text() -> None:
    text = write_leader_epochs(epochs((0, 0), (3, 1200)))
    assert text == b"0\n2\n0 0\n3 1200\n"
    again = read_leader_epochs(text)
    assert again is not None
    assert again.entries == [EpochStart(0, 0), EpochStart(3, 1200)]
    empty = read_leader_epochs(b"0\n0\n")
    assert empty is not None
    assert empty.latest == -1


@pytest.mark.parametrize(
    "text",
    [b"", b"0", b"1\n0\n", b"0\n2\n0 0\n", b"0\n1\n0\n", b"0\n1\nx y\n", b"0\n2\n1 0\n1 5\n",
     b"0\n2\n0 5\n1 5\n", b"\xff\n0\n", b"0\n1\n0 0 0\n"],
)  # fmt: skip
def test_damaged_epochs_read_as_none(text: bytes) -> None:
    assert read_leader_epochs(text) is None


def test_offset_checkpoint_in_kafkas_text() -> None:
    text = write_offset("my-ticks-12", 345)
    assert text == b"0\n1\nmy-ticks 12 345\n"
    assert read_offset(text) == 345


@pytest.mark.parametrize(
    "text",
    [b"", b"0\n1\n", b"1\n1\nt 0 5\n", b"0\n2\nt 0 5\n", b"0\n1\nt 0 -5\n", b"0\n1\nt 0 x\n"],
)
def test_damaged_offset_checkpoint_reads_as_none(text: bytes) -> None:
    assert read_offset(text) is None


def test_partition_metadata_has_kafkas_uuid() -> None:
    assert uuid_text(ID) == "ABEiM0RVZneImaq7zN3u_w"
    text = write_topic_id(ID)
    assert text == b"version: 0\ntopic_id: ABEiM0RVZneImaq7zN3u_w"
    assert read_topic_id(text) == ID
    assert read_topic_id(text + b"\n") == ID
    for damaged in (b"", b"version: 1\ntopic_id: x", b"version: 0\ntopic_id: short", text[:-1]):
        assert read_topic_id(damaged) is None


def test_names() -> None:
    assert offset_name(42, ".log") == "00000000000000000042.log"
    assert offset_of("00000000000000000042.log", ".log") == 42
    for other in ("42.log", "00000000000000000042.index", "0000000000000000004x.log", ".log"):
        assert offset_of(other, ".log") is None
    listed = [offset_name(7, ".log"), offset_name(3, ".log"), offset_name(9, ".log.deleted"), "x"]
    assert offsets_of(listed, ".log") == [3, 7]


def test_meta_properties_come_back_and_name_what_is_wrong() -> None:
    fs = FakeFileSystem()
    assert read_meta_properties(fs, "/") is None
    meta = MetaProperties(cluster_id="ABEiM0RVZneImaq7zN3u_w", node_id=1)
    write_meta_properties(fs, "", meta)
    assert read_meta_properties(fs, "") == meta
    fs.write_atomic("/meta.properties", b"#comment\nversion=1\nnode.id=2\n")
    with pytest.raises(StorageError, match=r"cluster\.id"):
        read_meta_properties(fs, "")
    fs.write_atomic("/meta.properties", b"version=0\nbroker.id=2\n")
    with pytest.raises(StorageError, match="version 0, want 1"):
        read_meta_properties(fs, "")


def test_the_clean_mark_is_taken_once_and_durably() -> None:
    fs = FakeFileSystem()
    assert not take_clean_mark(fs, "")
    mark_clean(fs, "")
    assert fs.read("/.kafka_cleanshutdown") == b'{"version":0,"brokerEpoch":-1}'
    fs.crash()
    assert take_clean_mark(fs, "")
    fs.crash()
    assert not take_clean_mark(fs, "")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"garbage", b'{"version":1}'])
def test_a_damaged_clean_mark_is_none(content: bytes) -> None:
    fs = FakeFileSystem()
    fs.write_atomic("/.kafka_cleanshutdown", content)
    assert not take_clean_mark(fs, "")
    assert fs.list("/") == []


def test_cleaning_times_say_when_a_tombstone_may_go() -> None:
    times = CleaningTimes()
    assert times.clean_until == 0
    times.cleaned(100, now_ms=1000, delete_retention_ms=50)
    times.cleaned(200, now_ms=1020, delete_retention_ms=50)
    assert times.clean_until == 200
    assert times.tombstones_until(1050, 50) == 0
    assert times.tombstones_until(1051, 50) == 100
    assert times.tombstones_until(1071, 50) == 200
    times.cleaned(300, now_ms=1080, delete_retention_ms=50)
    assert [entry.offset for entry in times.entries] == [200, 300]
    again = read_cleaning_times(write_cleaning_times(times))
    assert again == times
    assert read_cleaning_times(b"0\n2\n1 1\n") is None
    assert read_cleaning_times(b"nonsense") is None


def test_cleaning_times_stay_few_and_never_let_a_tombstone_go_early() -> None:
    times = CleaningTimes()
    for n in range(1, 1000):
        times.cleaned(n * 10, now_ms=n, delete_retention_ms=10_000)
    assert len(times.entries) <= 65
    for entry in times.entries:
        assert entry.at_ms == entry.offset // 10
    assert times.clean_until == 9990
