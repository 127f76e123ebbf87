"""The sparse indexes: what is in the file, what is in memory, and finding things in both."""

import pytest

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import FakeFileSystem
from tickertape.log.index import OffsetIndex, TimeIndex


@pytest.mark.parametrize("count", [1, 10, 512, 513, 3000])
@pytest.mark.parametrize("flushed", [True, False])
def test_floor_of_every_offset_and_position(count: int, *, flushed: bool) -> None:
    index = OffsetIndex(FakeFileSystem(), "/i", fresh=True)
    for n in range(count):
        index.add(n * 10 + 4, n * 100)
    if flushed:
        assert index.flush()
    assert len(index) == count
    for n in {0, count // 2, count - 1}:
        assert index.position_before(n * 10 + 3) == max(0, (n - 1) * 100)
        assert index.position_before(n * 10 + 4) == n * 100
        assert index.boundary_before(n * 100) == n * 100
        assert index.boundary_before(n * 100 + 99) == n * 100
    assert index.position_before(10**9) == (count - 1) * 100
    assert index.position_before(0) == 0
    assert index.last() == (count * 10 - 6, (count - 1) * 100)


def test_entries_are_kafkas_bytes_and_come_back() -> None:
    fs = FakeFileSystem()
    index = OffsetIndex(fs, "/i", fresh=True)
    index.add(5, 4100)
    index.flush()
    assert fs.read("/i") == bytes.fromhex("0000000500001004")
    times = TimeIndex(fs, "/t", fresh=True)
    times.add_if_newer(0x0123456789, 7)
    times.flush()
    assert fs.read("/t") == bytes.fromhex("000000012345678900000007")
    again = OffsetIndex(fs, "/i", fresh=False)
    again.add(9, 8200)
    assert again.position_before(8) == 4100
    assert again.position_before(9) == 8200


def test_time_index_notes_only_newer_timestamps() -> None:
    times = TimeIndex(FakeFileSystem(), "/t", fresh=True)
    for timestamp, relative in [(-1, 0), (10, 1), (10, 2), (9, 3), (20, 4)]:
        times.add_if_newer(timestamp, relative)
    assert len(times) == 2
    assert times.offset_before(10) == 0
    assert times.offset_before(11) == 1
    assert times.offset_before(20) == 1
    assert times.offset_before(21) == 4


def test_a_file_of_odd_length_is_damage() -> None:
    fs = FakeFileSystem()
    fs.open("/i", create=True).append((b"123456789",))
    with pytest.raises(StorageError, match="9 bytes, want a multiple of 8"):
        OffsetIndex(fs, "/i", fresh=False)
    with pytest.raises(StorageError, match="No such file"):
        OffsetIndex(fs, "/absent", fresh=False)


def test_fresh_drops_what_was_there() -> None:
    fs = FakeFileSystem()
    fs.open("/i", create=True).append((b"12345678",))
    assert len(OffsetIndex(fs, "/i", fresh=True)) == 0


def test_a_failed_flush_keeps_the_entries_and_a_later_one_stores_them_once() -> None:
    for nth in (1, 2, 3):  # create, truncate, append
        fs = FakeFileSystem(seed=nth)
        index = OffsetIndex(fs, "/i", fresh=True)
        index.add(1, 100)
        index.add(2, 200)
        fs.fail_at(nth)
        assert not index.flush()
        assert index.flushed_file() is None
        assert index.position_before(1) == 100
        assert index.flush()
        assert fs.read("/i") == bytes.fromhex("00000001000000640000000200 0000c8")


def test_it_is_full_when_its_bytes_are_used_up() -> None:
    fs = FakeFileSystem()
    fs.open("/i", create=True).truncate((1 << 20) - 16)
    index = OffsetIndex(fs, "/i", fresh=False)
    assert not index.full(1 << 20)
    index.add(1, 1)
    assert index.full(1 << 20)
