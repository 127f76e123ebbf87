"""The user's brokers: entered, found while they hold their directory, and forgotten."""

from pathlib import Path

import pytest

from tickertape.base.errors import StorageError
from tickertape.broker.server.data_lock import DataLock
from tickertape.cli import roster


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def entries() -> int:
    return len(list(roster.roster_folder().iterdir()))


def test_a_relative_directory_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert roster.all_running() == {}
    with DataLock("data"):
        roster.enter("data")
        monkeypatch.chdir("/")
        assert list(roster.all_running()) == [str(tmp_path / "data")]


def test_a_killed_broker_is_not_found_and_a_deleted_directory_is_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with DataLock(str(folder)):
        roster.enter(str(folder))
    assert roster.all_running() == {}
    assert entries() == 1
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert roster.all_running() == {}
    assert entries() == 0


def test_who_was_refused_does_not_take_the_note_of_the_one_that_runs(tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    with DataLock(folder):
        roster.enter(folder)
        roster.leave(folder)
        assert list(roster.all_running()) == [folder]
    roster.leave(folder)
    assert entries() == 0


def test_a_folder_that_cannot_be_written_is_named(state: Path) -> None:
    state.write_text("a file")
    with pytest.raises(StorageError, match=str(state)):
        roster.enter("/data")
