"""The data directory: one job at a time, files that the worker understands, ids by content."""

from pathlib import Path

import pytest

from tickertape.base.errors import MisuseError
from tickertape.cli.run_files import RunFolder, readable, source_id
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
    path = folder.synthetic_ticks(7, 10)
    before = path.stat()
    assert folder.synthetic_ticks(7, None) == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert folder.synthetic_ticks(8, None) != path


def test_a_source_is_its_bytes_and_its_columns_not_its_name(tmp_path: Path) -> None:
    one, two = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_bytes(b"x\n1\n")
    two.write_bytes(b"x\n1\n")
    columns = ("x", "", "x:ms")
    assert source_id(one, columns) == source_id(two, columns)
    assert source_id(one, columns) != source_id(one, ("", "a", "x:ms"))
    two.write_bytes(b"x\n2\n")
    assert source_id(one, columns) != source_id(two, columns)
    assert len(source_id(one, columns)) == 16


def test_the_id_of_a_source_never_changes(tmp_path: Path) -> None:
    """It is in the headers of records: a new spelling would send everything again."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"recv_ns,symbol\n1,A\n")
    assert source_id(path, ("symbol", "", "recv_ns:ns")) == b"b59d71afc52620b3"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"nowhere\.csv: there is no such file"):
        readable(tmp_path / "nowhere.csv")
