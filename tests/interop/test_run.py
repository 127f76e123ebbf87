"""``tape run`` as a process, on its own broker and on a cluster that is there already."""

import gzip
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.interop.harness import PATIENCE_S, Broker, eventually, unique

from tickertape.broker.server.data_lock import running
from tickertape.connect.feed.synthetic import synthetic_day

TAPE = Path(sys.executable).parent / "tape"
TICK_FILES = Path(__file__).parents[2].parent / "shared" / "data"


@dataclass
class Ended:
    """What a command left: exit code, the document on stdout, the lines on stderr."""

    code: int
    document: dict[str, Any]
    told: str


def tape(*arguments: object) -> Ended:
    done = subprocess.run(
        [TAPE, *map(str, arguments), "-o", "json"],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    told = done.stderr.decode()
    return Ended(done.returncode, json.loads(done.stdout) if done.stdout else {}, told)


def day(path: Path, rows: int, *, spoil: bool = False) -> Path:
    lines = list(synthetic_day(3, rows))
    if spoil:
        lines[5] = "1767571200000000000,TAPE000\n"
        lines[9] = lines[9].replace(",", "\xff,", 1)
        lines[11] = lines[11].replace("17675", "soon", 1)
    path.write_bytes("".join(lines).encode("latin-1"))
    return path


def ledger(rows: int) -> dict[str, int]:
    zero = dict.fromkeys(("NegAckCount", "NotReceived", "ReceivedNoAck", "MsgsWithDups"), 0)
    names = ("SendCount", "AckCount", "PosAckCount", "Received")
    return zero | dict.fromkeys(names, rows)


def objects(lake: Path) -> list[Path]:
    return sorted((lake / "topics").rglob("*.json.gz"))


def test_a_file_goes_in_and_a_proven_backup_comes_out(tmp_path: Path) -> None:
    ticks = day(tmp_path / "day.csv", 2_000)
    ended = tape("run", "--ticks", ticks, "--data-dir", tmp_path / "d", "-t", "krx")
    assert ended.code == 0, ended.told
    document = ended.document
    assert (document["_schema"], document["topic"]) == ("tape.run/1", "krx")
    assert document["ledger"] == ledger(2_000)
    assert document["verified"] is True
    lake = tmp_path / "d" / "lake"
    assert document["lake"] == lake.as_uri()
    stored = objects(lake)
    assert document["objects"] == len(stored)
    assert document["bytes"] == sum(path.stat().st_size for path in stored)
    assert all(path.parent == lake / "topics" / "krx" / "2026-01-05" for path in stored)
    contents = (gzip.decompress(path.read_bytes()) for path in stored)
    lines = sorted(line for content in contents for line in content.splitlines(keepends=True))
    header, *rows = ticks.read_text().splitlines()
    names = header.split(",")
    pairs = (zip(names, row.split(","), strict=True) for row in rows)
    compact = (json.dumps(dict(pair), separators=(",", ":")).encode() + b"\n" for pair in pairs)
    assert lines == sorted(compact), "every row is a line, field by field as in the file"
    assert running(str(tmp_path / "d" / "broker")) is None


def test_the_same_command_again_sends_nothing_twice(tmp_path: Path) -> None:
    job = ("run", "--ticks", day(tmp_path / "day.csv", 2_000), "--data-dir", tmp_path / "d")
    first, again = tape(*job, "-n", 1_500), tape(*job)
    assert (first.code, first.document["ledger"]) == (0, ledger(1_500)), first.told
    assert (again.code, again.document["ledger"]) == (0, ledger(2_000)), again.told
    assert (first.document["resumed"], again.document["resumed"]) == (0, 1_500)


def test_a_file_that_grew_goes_on(tmp_path: Path) -> None:
    job = ("run", "--ticks", tmp_path / "day.csv", "--data-dir", tmp_path / "d")
    whole = list(synthetic_day(3, 1_200))
    (tmp_path / "day.csv").write_text("".join(whole[:801]))
    assert tape(*job).document["ledger"] == ledger(800)
    (tmp_path / "day.csv").write_text("".join(whole))
    grown = tape(*job)
    assert (grown.code, grown.document["ledger"]) == (0, ledger(1_200)), grown.told
    assert grown.document["resumed"] == 800


def test_a_topic_with_other_rows_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    job = ("run", "--data-dir", tmp_path / "d")
    first = day(tmp_path / "day.csv", 800)
    assert tape(*job, "--ticks", first).code == 0
    before = objects(tmp_path / "d" / "lake")
    (tmp_path / "other.csv").write_text("".join(synthetic_day(4, 300)))
    for flags in (["--ticks", tmp_path / "other.csv"], ["--ticks", first, "--key-column", "side"]):
        refused = tape(*job, *flags)
        assert refused.code == 2
        assert "holds 800 records that are not rows of this file" in refused.told
        assert "choose another topic with -t" in refused.told
    first.write_text(first.read_text().replace("TAPE003", "TAPE999"))
    changed = tape(*job, "--ticks", first)
    assert (changed.code, "earlier version of this file" in changed.told) == (2, True)
    assert objects(tmp_path / "d" / "lake") == before
    mixed = tape(*job, "--ticks", tmp_path / "other.csv", "--append")
    assert (mixed.code, mixed.document["ledger"]) == (0, ledger(300)), mixed.told


def test_another_lake_than_the_one_that_has_the_backup_is_refused(tmp_path: Path) -> None:
    job = ("run", "--ticks", day(tmp_path / "day.csv", 500), "--data-dir", tmp_path / "d")
    assert tape(*job).code == 0
    refused = tape(*job, "--lake", tmp_path / "other")
    assert refused.code == 2
    home = (tmp_path / "d" / "lake").as_uri()
    assert f"was backed up to {home} (group connect-s3-sink-ticks)" in refused.told
    assert tape(*job).code == 0
    shutil.rmtree(tmp_path / "d" / "lake" / "_tickertape")
    assert "was backed up already" in tape(*job).told


def test_too_many_bad_rows_fail_the_run(tmp_path: Path) -> None:
    ticks = day(tmp_path / "day.csv", 300, spoil=True)
    job = ("run", "--ticks", ticks, "--data-dir", tmp_path / "d")
    failed = tape(*job, "--max-bad-rows", 2)
    assert (failed.code, "more than 2 bad rows" in failed.told) == (3, True)
    assert tape(*job, "--max-bad-rows", 3).code == 0


def test_bad_rows_are_quoted_and_kept_and_the_run_goes_on(tmp_path: Path) -> None:
    ticks = day(tmp_path / "day.csv", 300, spoil=True)
    ended = tape("run", "--ticks", ticks, "--data-dir", tmp_path / "d")
    assert (ended.code, ended.document["ledger"]) == (0, ledger(297)), ended.told
    assert ended.document["bad_rows"] == 3
    assert "bad row, line 6: 2 fields, want 7: '1767571200000000000,TAPE000'" in ended.told
    letters = Path(ended.document["dead_letters"])
    assert letters == tmp_path / "d" / "dead-letter" / "day.csv.jsonl"
    assert [json.loads(line)["line"] for line in letters.read_bytes().splitlines()] == [6, 10, 12]


def test_a_backup_that_was_spoiled_is_not_verified(tmp_path: Path) -> None:
    job = ("run", "--ticks", day(tmp_path / "day.csv", 500), "--data-dir", tmp_path / "d")
    assert tape(*job).code == 0
    lost = objects(tmp_path / "d" / "lake")[0]
    rows = len(gzip.decompress(lost.read_bytes()).splitlines())
    lost.unlink()
    ended = tape(*job)
    assert (ended.code, ended.document["verified"]) == (3, False)
    assert ended.document["ledger"] == ledger(500) | {
        "Received": 500 - rows,
        "NotReceived": rows,
    }
    assert any(finding.startswith("missing:") for finding in ended.document["findings"])
    checked = tape("backup", "verify", "-t", "ticks", "--lake", tmp_path / "d" / "lake")
    assert checked.code == 3
    missing = checked.document["missing"]
    assert sum(item["to"] - item["from"] + 1 for item in missing) == rows


def test_ctrl_c_ends_it_in_order_and_the_next_run_goes_on(tmp_path: Path) -> None:
    ticks = day(tmp_path / "day.csv", 4_000)
    flags = ["--ticks", ticks, "--data-dir", tmp_path / "d", "-o", "json"]
    slow = [str(word) for word in (TAPE, "run", *flags, "--speed", "1000x")]
    process = subprocess.Popen(slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    logs = tmp_path / "d" / "broker"
    eventually(
        lambda: sum(log.stat().st_size for log in logs.glob("ticks-*/*.log")) > 2_000, "some rows"
    )
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (130, b"")
    assert b"run the same command again to resume" in told
    assert running(str(logs)) is None
    ended = tape("run", "--ticks", ticks, "--data-dir", tmp_path / "d")
    assert (ended.code, ended.document["ledger"]) == (0, ledger(4_000)), ended.told
    assert 0 < ended.document["resumed"] < 4_000


def test_a_cluster_that_is_there_is_used(target: Broker, tmp_path: Path) -> None:
    topic = unique("run")
    ended = tape(
        "run",
        *("--ticks", day(tmp_path / "day.csv", 1_000), "--data-dir", tmp_path / "d"),
        *("--topic", topic, "--bootstrap-server", target.bootstrap, "--lake", tmp_path / "lake"),
    )
    assert (ended.code, ended.document["ledger"]) == (0, ledger(1_000)), ended.told
    assert not (tmp_path / "d" / "broker").exists()
    checked = tape(
        "backup", "verify", "-t", topic, "-b", target.bootstrap, "--lake", tmp_path / "lake"
    )
    assert (checked.code, checked.document["verified"]) == (0, True), checked.told
    compared = sum(partition["compared"] for partition in checked.document["partitions"])
    assert compared == checked.document["objects"] == ended.document["objects"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ticks", "/nowhere.csv"], "there is no such file"),
        pytest.param(["--bootstrap-server", "127.0.0.1:1"], "127.0.0.1:1", marks=pytest.mark.slow),
        (["--key-column", "isin"], "--key-column 'isin': want one of recv_ns, symbol"),
        (["--lake", "ftp://x"], "store url"),
    ],
)
def test_what_cannot_work_is_said_in_a_line(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    ticks = day(tmp_path / "day.csv", 50)
    ended = tape("run", "--ticks", ticks, "--data-dir", tmp_path / "d", *arguments)
    assert ended.code == 1
    assert says in ended.told
    assert "Traceback" not in ended.told


def test_a_file_without_a_good_row_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("recv_ns,symbol\nx,y,z\n")
    ended = tape("run", "--ticks", tmp_path / "empty.csv", "--data-dir", tmp_path / "d")
    assert ended.code == 1
    assert "holds no good row (1 bad ones)" in ended.told


def test_two_jobs_do_not_share_a_data_directory(tmp_path: Path) -> None:
    ticks = day(tmp_path / "day.csv", 2_000)
    command = [TAPE, "run", "--ticks", ticks, "--data-dir", tmp_path / "d", "--speed", "1000x"]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: running(str(tmp_path / "d" / "broker")), "the first job works")
        ended = tape("run", "--ticks", ticks, "--data-dir", tmp_path / "d")
        assert (ended.code, ended.document) == (1, {})
        assert "another `tape run` is at work" in ended.told
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.mark.slow
@pytest.mark.skipif(not TICK_FILES.is_dir(), reason="the folder of real tick files is absent")
@pytest.mark.parametrize(
    ("file", "rows"),
    [
        ("trades_binance_20240808_09.csv.gz", 69_808),
        ("quotes_binance_usdm_btcusdt_20240808.csv.gz", 66_089),
        ("quotes_fxcm_eurusd_20140508.csv.gz", 167_466),
    ],
)
def test_real_ticks(tmp_path: Path, file: str, rows: int) -> None:
    ended = tape("run", "--ticks", TICK_FILES / file, "--data-dir", tmp_path)
    assert (ended.code, ended.document["ledger"]) == (0, ledger(rows)), ended.told
