"""The directory store beyond the contract: who wins, what a killed writer leaves."""

import os
import threading
from pathlib import Path

import pytest

from tickertape.base.errors import MisuseError
from tickertape.objects.directory import DirectoryStore
from tickertape.objects.store import ObjectStoreError, PutOutcome


def test_of_many_writers_exactly_one_wins(tmp_path: Path) -> None:
    outcomes: list[tuple[PutOutcome, bytes]] = []
    barrier = threading.Barrier(8)

    def write(data: bytes) -> None:
        store = DirectoryStore(tmp_path)
        barrier.wait()
        outcomes.append((store.put("topics/t/a", data), data))

    threads = [threading.Thread(target=write, args=(b"%d" % n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [data for outcome, data in outcomes if outcome is PutOutcome.CREATED]
    assert len(winners) == 1
    assert DirectoryStore(tmp_path).get("topics/t/a") == winners[0]


def test_a_killed_writer_leaves_nothing_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore(tmp_path)
    pid = os.fork()
    if pid == 0:  # the child dies after the write and before the link
        monkeypatch.setattr(os, "fsync", lambda _: os._exit(9))
        store.put("a", b"half")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    store.put("b", b"whole")
    unfinished = list((tmp_path / ".tickertape-unfinished").iterdir())
    assert [info.key for info in store.list("")] == ["b"]
    assert store.get("a") is None
    store.check()
    assert len(unfinished) <= 1
    assert list((tmp_path / ".tickertape-unfinished").iterdir()) == []


def test_check_spares_the_file_of_a_living_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def slow_fsync(_: int) -> None:
        writing.set()
        go_on.wait(10)

    store = DirectoryStore(tmp_path)
    store.put("warm", b"")  # folders are durable: the next fsync is that of the file
    DirectoryStore(tmp_path).check()
    outcome: list[PutOutcome] = []
    writer = threading.Thread(target=lambda: outcome.append(store.put("a", b"x")))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", slow_fsync)
        writer.start()
        assert writing.wait(10)
    DirectoryStore(tmp_path).check()
    go_on.set()
    writer.join()
    assert outcome == [PutOutcome.CREATED]
    assert store.get("a") == b"x"


def test_a_power_cut_leaves_the_new_store_where_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    fsync = os.fsync

    def noting(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noting)
    root = tmp_path / "new" / "data" / "lake"
    store = DirectoryStore(root)
    store.check()
    folders = [root, *root.parents[:3]]  # up to the one that was there
    assert {folder.stat().st_ino for folder in folders} <= synced


def test_folders_removed_under_us_are_made_again(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("topics/t/a", b"1")
    (tmp_path / "topics/t/a").unlink()
    (tmp_path / "topics/t").rmdir()
    assert store.put("topics/t/b", b"2") is PutOutcome.CREATED
    assert store.get("topics/t/b") == b"2"


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("topics/t", b"a file")
    with pytest.raises(ObjectStoreError, match="topics/t") as caught:
        store.put("topics/t/a", b"1")
    assert not caught.value.retriable


def test_a_folder_that_no_retry_will_make_is_told_at_once() -> None:
    with pytest.raises(ObjectStoreError, match="create folder /proc/nope") as caught:
        DirectoryStore(Path("/proc/nope")).check()
    assert not caught.value.retriable


def test_refuses_names_no_file_system_holds(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    with pytest.raises(MisuseError, match="255"):
        store.put("topics/" + "x" * 256, b"1")
    with pytest.raises(MisuseError, match="reserved"):
        store.put(".tickertape-unfinished/a", b"1")
