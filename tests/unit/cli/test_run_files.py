"""The data directory: one job at a time, files that the worker understands, ids by content."""

from pathlib import Path

import pytest

from tickertape.base.errors import MisuseError
from tickertape.cli.run_files import RunFolder, readable
from tickertape.config.properties import read_properties
from tickertape.connect.s3.load import load_settings


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "d")


def test_the_sinks_files_mean_what_a_run_needs(folder: RunFolder) -> None:
    lake = "s3://bucket/day?endpoint=http://127.0.0.1:9000&region=eu-west-1"
    folder.write_worker_files(bootstrap="h:1", topic="ticks", lake=lake, name="s3-sink-ticks")
    files = (folder.worker_file, folder.sink_file)
    settings = load_settings(*(read_properties(path.read_bytes(), str(path)) for path in files))
    assert (settings.bootstrap_servers, settings.topics) == ("h:1", ("ticks",))
    assert (settings.store_url, settings.group_id) == (lake, "connect-s3-sink-ticks")
    layout = settings.layout
    assert layout.replayable, "directories follow from the rows, not from the clock"
    assert (layout.format, layout.suffix) == ("bytes", ".json.gz")
    assert (layout.partitioner, layout.path_format) == ("time", "YYYY-MM-dd")


@pytest.mark.parametrize("lake", ["file:///시세/lake", "file:///a\\b", "file:///ticks\U0001f4c8"])
def test_the_sink_goes_where_the_run_looks(folder: RunFolder, lake: str) -> None:
    folder.write_worker_files(bootstrap="h:1", topic="ticks", lake=lake, name="s3-sink-ticks")
    files = (folder.worker_file, folder.sink_file)
    settings = load_settings(*(read_properties(path.read_bytes(), str(path)) for path in files))
    assert settings.store_url == lake


def test_one_job_at_a_time(folder: RunFolder) -> None:
    with folder.lock(), pytest.raises(MisuseError, match="another `tape run`"), folder.lock():
        pass
    with folder.lock():
        pass


def test_a_synthetic_day_is_made_once(folder: RunFolder) -> None:
    told: list[str] = []
    path = folder.synthetic_ticks(7, 10, told.append)
    before = path.stat()
    assert folder.synthetic_ticks(7, None, told.append) == path
    assert told == [f"making a synthetic day of 250,000 rows: {path}"]
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert folder.synthetic_ticks(8, None, told.append) != path


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"nowhere\.csv: there is no such file"):
        readable(tmp_path / "nowhere.csv")


def test_a_folder_is_no_tick_file(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="is a folder"):
        readable(tmp_path)


def test_the_last_lake_is_that_of_the_same_topic(folder: RunFolder) -> None:
    assert folder.last_lake("ticks") is None
    lake = "file:///시세/lake"
    folder.write_worker_files(bootstrap="h:1", topic="ticks", lake=lake, name="s3-sink-ticks")
    assert (folder.last_lake("ticks"), folder.last_lake("other")) == (lake, None)
