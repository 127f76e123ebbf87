"""``tape worker start`` before it reaches a broker: files, flags, stores; and the screen."""

import json
from pathlib import Path

import pytest

from tickertape.base.fakes import FakeClock
from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.cli.main import run
from tickertape.cli.worker import Screen
from tickertape.connect.runtime.events import Limits
from tickertape.connect.s3.assemble import PartitionAssembler
from tickertape.connect.s3.chunk import Chunk
from tickertape.connect.s3.settings import SinkSettings

WORKER = "value.converter=org.apache.kafka.connect.storage.StringConverter\n"
SINK = """\
name=s3-sink
connector.class=io.confluent.connect.s3.S3SinkConnector
topics=mytopic
flush.size=3
storage.class=io.confluent.connect.s3.storage.S3Storage
format.class=io.confluent.connect.s3.format.json.JsonFormat
"""
NOBODY = ["-b", "127.0.0.1:1", "--once"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "worker.properties").write_text(WORKER)
    (tmp_path / "sink.properties").write_text(SINK)
    return tmp_path


def start(*more: str) -> int:
    return run(["worker", "start", "worker.properties", "sink.properties", *more])


def test_a_missing_file_is_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "sink.properties").unlink()
    assert start() == 1
    assert capsys.readouterr().err == "tape: sink.properties: No such file or directory\n"


def test_no_bucket_and_no_folder_is_refused_before_anything_is_contacted(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start() == 1
    assert "s3.bucket.name: got nothing, want a bucket" in capsys.readouterr().err


def test_a_bad_property_is_named_with_file_and_line(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "sink.properties").write_text(SINK.replace("flush.size=3", "flush.size=many"))
    assert start("--store-url", "file:///tmp/lake") == 1
    assert "sink.properties:4: flush.size: got 'many'" in capsys.readouterr().err


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_connector_may_be_json(
    files: Path, capsys: pytest.CaptureFixture[str], *, wrapped: bool
) -> None:
    config = dict(line.split("=") for line in SINK.splitlines())
    document = {"name": config.pop("name"), "config": config} if wrapped else config
    (files / "sink.json").write_text(json.dumps(document))
    assert run(["worker", "start", "worker.properties", "sink.json"]) == 1
    assert capsys.readouterr().err.startswith("tape: sink.json: s3.bucket.name: got nothing")


@pytest.mark.parametrize("text", ["", "[]", '{"flush.size": 3}', "flush.size=3"])
def test_other_json_is_refused(files: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (files / "sink.json").write_text(text)
    assert run(["worker", "start", "worker.properties", "sink.json"]) == 1
    assert "tape: sink.json: " in capsys.readouterr().err


def test_it_says_what_it_will_do_before_it_does_it(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickertape.connect.runtime.worker._ASK_MS", 200)
    assert start(*NOBODY, "--store-url", f"file://{files}/lake", "-o", "table") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"s3-sink: mytopic -> file://{files}/lake   (group connect-s3-sink)\n")
    assert "exactly once  yes" in error
    assert error.splitlines()[-1] == "tape: no broker answers at 127.0.0.1:1"


def test_a_store_that_does_not_answer_is_told(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    monkeypatch.setattr("tickertape.cli.worker.Limits", lambda: Limits(retry_ms_max=1))
    (files / "sink.properties").write_text(
        SINK + "s3.bucket.name=b\nstore.url=http://127.0.0.1:1\ns3.part.retries=0\n"
        "retry.backoff.ms=10\n"
    )
    assert start(*NOBODY) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("tape: s3://b?endpoint=http://127.0.0.1:1&region=us-west-2: head bucket")
    assert "check store.url and that the store runs; given up after " in last


def test_a_url_leaves_the_region_to_itself(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    monkeypatch.setattr("tickertape.cli.worker.Limits", lambda: Limits(retry_ms_max=1))
    more = "s3.part.retries=0\nretry.backoff.ms=10\n"
    (files / "sink.properties").write_text(SINK + more)
    assert start(*NOBODY, "--store-url", "s3://b/lake?endpoint=http://127.0.0.1:1") == 1
    shown = capsys.readouterr().err
    where = "s3://b/lake?endpoint=http://127.0.0.1:1&region=eu-west-1"
    assert shown.startswith(f"s3-sink: mytopic -> {where} ")
    assert "check endpoint= in the URL" in shown.splitlines()[-1]


def test_a_misspelled_key_is_named_beside_the_one_that_is_missing(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "sink.properties").write_text(SINK.replace("flush.size=3", "flush.sise=3"))
    assert start("--store-url", "file:///tmp/lake") == 1
    told = capsys.readouterr().err
    assert "flush.size: got nothing" in told
    misspelled = (
        "sink.properties:4: flush.sise: unknown property, ignored, did you mean flush.size?"
    )
    assert misspelled in told


def test_flushes_in_quick_succession_are_counted_not_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = FakeClock()
    screen = Screen(clock)
    tp = TopicPartition(TopicName("mytopic"), PartitionIndex(0))
    settings = SinkSettings(name="s3-sink", topics=("mytopic",), flush_size=3)
    assembler = PartitionAssembler(settings, tp, position=0)
    flushes = assembler.add(Chunk(range(15), [b"a"] * 15), now_ms=0)
    for flush in flushes[:4]:
        screen.flushed(flush)
    clock.advance(100)
    screen.flushed(flushes[4])
    screen.finish()
    line = "Files committed to S3. Target commit offset for mytopic-0 is"
    assert capsys.readouterr().err.splitlines() == [
        f"{line} 3",
        f"{line} 15 (3 more since the last line)",
        "worker ended: 5 flushes, 5 objects, 15 records, 60 bytes",
    ]
    assert screen.summary() == {
        "_schema": "tape.worker/1",
        "flushes": 5,
        "objects": 5,
        "records": 15,
        "bytes": 60,
        "committed": {"mytopic": {"0": 15}},
    }


def test_a_note_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(FakeClock())
    for text in ["broker down", "broker down", "up", "broker down"]:
        screen.noted(text)
    assert capsys.readouterr().err.splitlines() == ["broker down", "up", "broker down"]


def test_what_it_says_may_be_json(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(FakeClock(), as_json=True)
    screen.say('s3-sink: "ticks" -> file:///lake')
    screen.finish()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == [
        's3-sink: "ticks" -> file:///lake',
        "worker ended: 0 flushes, 0 objects, 0 records, 0 bytes",
    ]
    assert {line["logger"] for line in lines} == {"tickertape.worker"}
