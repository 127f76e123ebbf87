"""One suite for the disk and its fake."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import FakeFileSystem
from tickertape.base.ports import FileSystem
from tickertape.base.world import OsFileSystem


@pytest.fixture(params=["fake", "real"])
def fs(request: pytest.FixtureRequest) -> FileSystem:
    return FakeFileSystem() if request.param == "fake" else OsFileSystem()


@pytest.fixture
def at(tmp_path: Path, fs: FileSystem) -> Callable[[str], str]:
    fs.make_dir(str(tmp_path))
    return lambda name: f"{tmp_path}/{name}"


Place = Callable[[str], str]


def test_a_file_that_is_absent_opens_only_to_create_it(fs: FileSystem, at: Place) -> None:
    with pytest.raises(StorageError, match="No such file"):
        fs.open(at("a"))
    fs.open(at("a"), create=True).close()
    assert fs.open(at("a")).size() == 0
    assert fs.list(at("")) == ["a"]


def test_append_gathers_parts_at_the_end(fs: FileSystem, at: Place) -> None:
    file = fs.open(at("a"), create=True)
    file.append((b"ab", memoryview(b"cd"), bytearray(b"e")))
    file.append((b"fg",))
    assert file.size() == 7
    assert file.pread(0, 100) == b"abcdefg"
    assert file.pread(2, 3) == b"cde"
    assert file.pread(7, 3) == b""
    assert fs.open(at("a")).size() == 7
    assert fs.read(at("a")) == b"abcdefg"


def test_append_takes_more_parts_than_one_system_call(fs: FileSystem, at: Place) -> None:
    file = fs.open(at("a"), create=True)
    file.append([b"x%04d" % n for n in range(3000)])
    assert file.size() == 15_000
    assert file.pread(14_995, 5) == b"x2999"


def test_pwrite_overwrites_and_extends(fs: FileSystem, at: Place) -> None:
    file = fs.open(at("a"), create=True)
    file.append((b"abc",))
    file.pwrite(1, b"XYZ")
    assert file.pread(0, 10) == b"aXYZ"
    assert file.size() == 4
    file.pwrite(6, b"!")
    assert file.pread(0, 10) == b"aXYZ\0\0!"


def test_truncate_cuts_and_extends_and_append_goes_on_there(fs: FileSystem, at: Place) -> None:
    file = fs.open(at("a"), create=True)
    file.append((b"abcdef",))
    file.truncate(2)
    file.append((b"Z",))
    assert file.pread(0, 10) == b"abZ"
    file.truncate(5)
    assert file.pread(0, 10) == b"abZ\0\0"
    file.sync()
    assert file.size() == 5


def test_a_closed_file_refuses_and_closes_again(fs: FileSystem, at: Place) -> None:
    file = fs.open(at("a"), create=True)
    file.close()
    file.close()
    with pytest.raises(StorageError):
        file.append((b"x",))
    with pytest.raises(StorageError):
        file.pread(0, 1)
    with pytest.raises(StorageError):
        file.sync()


def test_write_atomic_replaces_and_leaves_nothing_beside(fs: FileSystem, at: Place) -> None:
    fs.write_atomic(at("a"), b"old, and longer")
    fs.write_atomic(at("a"), b"new")
    assert fs.read(at("a")) == b"new"
    assert fs.list(at("")) == ["a"]


def test_read_and_list_and_remove_of_what_is_absent(fs: FileSystem, at: Place) -> None:
    assert fs.read(at("nothing")) is None
    assert fs.list(at("nothing")) == []
    fs.remove(at("nothing"))


def test_remove_takes_a_file_or_a_whole_folder(fs: FileSystem, at: Place) -> None:
    fs.make_dir(at("f/g"))
    fs.write_atomic(at("f/g/a"), b"1")
    fs.write_atomic(at("f/b"), b"2")
    fs.remove(at("f/b"))
    assert fs.list(at("f")) == ["g"]
    fs.remove(at("f"))
    assert fs.list(at("")) == []


def test_rename_moves_files_over_others_and_folders(fs: FileSystem, at: Place) -> None:
    fs.write_atomic(at("a"), b"a")
    fs.write_atomic(at("b"), b"b")
    fs.rename(at("a"), at("b"))
    assert fs.read(at("b")) == b"a"
    assert fs.list(at("")) == ["b"]
    fs.make_dir(at("f"))
    fs.write_atomic(at("f/x"), b"x")
    fs.rename(at("f"), at("g"))
    assert fs.read(at("g/x")) == b"x"
    with pytest.raises(StorageError, match="No such file"):
        fs.rename(at("f"), at("h"))


def test_make_dir_makes_parents_and_again(fs: FileSystem, at: Place) -> None:
    fs.make_dir(at("x/y/z"))
    fs.make_dir(at("x/y/z"))
    assert fs.list(at("x/y")) == ["z"]
    fs.sync_dir(at("x/y"))
    with pytest.raises(StorageError, match="No such file"):
        fs.sync_dir(at("x/none"))


def test_an_open_file_outlives_its_removal(fs: FileSystem, at: Place) -> None:
    file = fs.open(at("a"), create=True)
    file.append((b"still here",))
    fs.remove(at("a"))
    assert file.pread(0, 5) == b"still"
    file.sync()
    assert fs.read(at("a")) is None


def test_the_descriptor_of_a_dropped_file_is_released(tmp_path: Path) -> None:
    file = OsFileSystem().open(str(tmp_path / "a"), create=True)
    descriptor = file.fileno()
    assert descriptor is not None
    os.fstat(descriptor)
    del file
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
