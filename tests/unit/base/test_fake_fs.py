"""The faults that the fake disk can have."""

import pytest

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import SECTOR, FakeFileSystem, Loss, PowerCut


def durable_file(fs: FakeFileSystem, content: bytes) -> None:
    fs.make_dir("/d")
    fs.sync_dir("/")
    fs.write_atomic("/d/a", content)


def test_a_crash_loses_unsynced_bytes() -> None:
    fs = FakeFileSystem()
    durable_file(fs, b"kept")
    fs.open("/d/a").append((b" lost",))
    assert fs.read("/d/a") == b"kept lost"
    fs.crash(Loss.ALL)
    assert fs.read("/d/a") == b"kept"


def test_what_the_death_of_a_process_leaves_is_still_not_durable() -> None:
    fs = FakeFileSystem()
    durable_file(fs, b"kept")
    fs.open("/d/a").append((b", seen",))
    fs.crash(Loss.NOTHING)
    assert fs.read("/d/a") == b"kept, seen"
    fs.crash(Loss.ALL)
    assert fs.read("/d/a") == b"kept"


def test_a_torn_crash_keeps_prefixes_and_every_length_turns_up() -> None:
    seen = set()
    for seed in range(200):
        fs = FakeFileSystem()
        durable_file(fs, b"")
        file = fs.open("/d/a")
        file.append((b"ab",))
        file.append((b"cd",))
        fs.crash(Loss.TORN, seed)
        seen.add(fs.read("/d/a"))
    assert {b"", b"a", b"ab", b"abc", b"abcd"} <= seen
    assert {b"\0\0", b"ab\0\0"} <= seen, "length without bytes"


def test_names_need_a_folder_sync() -> None:
    fs = FakeFileSystem()
    durable_file(fs, b"1")
    file = fs.open("/d/b", create=True)
    file.append((b"2",))
    file.sync()
    fs.rename("/d/a", "/d/c")
    fs.crash(Loss.ALL)
    assert fs.list("/d") == ["a"]

    file = fs.open("/d/b", create=True)
    file.append((b"2",))
    file.sync()
    fs.remove("/d/a")
    fs.sync_dir("/d")
    fs.crash(Loss.ALL)
    assert fs.list("/d") == ["b"]
    assert fs.read("/d/b") == b"2"


def test_after_a_failed_sync_bytes_never_become_durable() -> None:
    fs = FakeFileSystem()
    durable_file(fs, b"kept")
    file = fs.open("/d/a")
    file.append((b" lost",))
    fs.fail_at(1)
    with pytest.raises(StorageError, match="No space left"):
        file.sync()
    file.sync()
    fs.crash(Loss.ALL)
    assert fs.read("/d/a") == b"kept"


def test_what_is_written_after_a_failed_sync_leaves_a_hole_before_it() -> None:
    fs = FakeFileSystem()
    durable_file(fs, b"kept")
    file = fs.open("/d/a")
    file.append((b"lost",))
    fs.fail_at(1)
    with pytest.raises(StorageError):
        file.sync()
    file.append((b"more",))
    file.sync()
    file.pwrite(4, b"LO")
    file.sync()
    assert fs.read("/d/a") == b"keptLOstmore"
    fs.crash(Loss.ALL)
    assert fs.read("/d/a") == b"keptLO\0\0more"


def test_a_failed_append_leaves_a_prefix() -> None:
    lengths = set()
    for seed in range(60):
        fs = FakeFileSystem(seed)
        file = fs.open("/a", create=True)
        fs.fail_at(1)
        with pytest.raises(StorageError, match="append /a"):
            file.append((b"xy", b"z"))
        lengths.add(file.size())
    assert lengths == {0, 1, 2, 3}


def test_after_a_power_cut_nothing_works_until_the_crash() -> None:
    fs = FakeFileSystem()
    file = fs.open("/a", create=True)
    fs.cut_at(2)
    file.append((b"1",))
    with pytest.raises(PowerCut):
        file.append((b"2",))
    with pytest.raises(PowerCut):
        fs.read("/a")
    fs.crash(Loss.NOTHING)
    assert fs.read("/a") == b"12", "a write that never returned may be there all the same"
    with pytest.raises(StorageError, match="closed"):
        file.append((b"3",))


def test_a_sync_that_is_cut_has_not_happened() -> None:
    fs = FakeFileSystem()
    durable_file(fs, b"")
    file = fs.open("/d/a")
    file.append((b"1",))
    fs.cut_at(1)
    with pytest.raises(PowerCut):
        file.sync()
    fs.crash(Loss.ALL)
    assert fs.read("/d/a") == b""


def test_write_atomic_cut_anywhere_leaves_old_or_new() -> None:
    for loss in Loss:
        for nth in range(1, 20):
            fs = FakeFileSystem()
            durable_file(fs, b"old")
            fs.cut_at(nth)
            try:
                fs.write_atomic("/d/a", b"newer")
            except PowerCut:
                fs.crash(loss, nth)
                assert fs.read("/d/a") in {b"old", b"newer"}
            else:
                assert nth > 5, "every step was cut"
                break


def test_a_kind_of_call_can_fail_always_and_calls_are_traced() -> None:
    fs = FakeFileSystem()
    file = fs.open("/a", create=True)
    fs.fail_always(frozenset({"pread"}))
    with pytest.raises(StorageError, match="Input/output"):
        file.pread(0, 1)
    fs.fail_always(frozenset())
    assert file.pread(0, 1) == b""
    assert fs.trace == [("create", "/a"), ("pread", "/a"), ("pread", "/a")]
    assert fs.mutations == 1


def test_a_scattered_crash_keeps_any_sectors() -> None:
    found = set()
    for seed in range(60):
        fs = FakeFileSystem()
        file = fs.open("/a", create=True)
        file.append((b"0" * 3 * SECTOR,))
        file.sync()
        fs.sync_dir("/")
        for at in range(3):
            file.pwrite(at * SECTOR, b"1" * SECTOR)
        fs.crash(Loss.SCATTERED, seed)
        content = fs.read("/a") or b""
        assert len(content) == 3 * SECTOR
        sectors = [content[at * SECTOR : (at + 1) * SECTOR] for at in range(3)]
        assert all(sector in {b"0" * SECTOR, b"1" * SECTOR} for sector in sectors)
        found.add(tuple(chr(sector[0]) for sector in sectors))
    assert len(found) == 8


def test_a_scattered_crash_forgets_what_was_cut_before_it_brings_what_came_after() -> None:
    for seed in range(40):
        fs = FakeFileSystem()
        file = fs.open("/a", create=True)
        file.append((b"old" * SECTOR,))
        file.sync()
        fs.sync_dir("/")
        file.truncate(0)
        file.append((b"new" * SECTOR,))
        file.sync()
        file.append((b"x" * SECTOR,))
        fs.crash(Loss.SCATTERED, seed)
        content = fs.read("/a") or b""
        assert content.startswith(b"new" * SECTOR)
        assert set(content[3 * SECTOR :]) <= set(b"x\0")
