"""Kafka's own DumpLogSegments reads the files that a broker leaves behind, ours like its own.

And `tape broker dump` shows of the same files, of either broker, what DumpLogSegments shows.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from tests.interop.harness import (
    PATIENCE_S,
    ApacheKafka,
    Broker,
    Tickertape,
    create_topic,
    java,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(240), pytest.mark.xdist_group("dump")]

TOPIC = "dumped"
GROUP = "dumped-group"
TRANSACTED = "transacted"
TRANSACTIONAL_ID = "dumped-id"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PER_CODEC = 3000
COMMITTED = 4321


@pytest.fixture(scope="module", params=[Tickertape, ApacheKafka], ids=["tickertape", "apache"])
def left_behind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The data folder of a broker that rolled segments, was killed, then stopped cleanly."""
    broker: Broker = request.param(tmp_path_factory.mktemp("dumped"))
    try:
        broker.start()
        create_topic(broker.bootstrap, TOPIC, config={"segment.bytes": str(1 << 20)})
        fill(broker.bootstrap, CODECS[:3])
        commit(broker.bootstrap)
        broker.kill()
        broker.start()
        fill(broker.bootstrap, CODECS[3:])
        transact(broker.bootstrap)
        convert(broker.bootstrap)
        broker.stop()
        yield broker.data_dir
    finally:
        broker.kill()


def fill(bootstrap: str, codecs: list[str]) -> None:
    for codec in codecs:
        settings = {"enable.idempotence": True, "compression.type": codec, "batch.size": 20_000}
        producer = Producer({"bootstrap.servers": bootstrap} | settings)
        for n in range(PER_CODEC):
            noise = bytes((n * 7919 + k * k) % 251 for k in range(300))
            producer.produce(TOPIC, noise, key=b"%d" % n, headers={"n": b"%d" % n})
            producer.poll(0)
        assert producer.flush(PATIENCE_S) == 0


def commit(bootstrap: str) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP})
    at = TopicPartition(TOPIC, 0, COMMITTED, metadata="a note")
    consumer.commit(offsets=[at], asynchronous=False)
    consumer.close()


def convert(bootstrap: str) -> None:
    """A topic for each codec, whatever the producer sends."""
    for codec in CODECS:
        wanted = "uncompressed" if codec == "none" else codec
        create_topic(bootstrap, f"converted-{codec}", config={"compression.type": wanted})
        for sent in CODECS:
            producer = Producer({"bootstrap.servers": bootstrap, "compression.type": sent})
            for n in range(100):
                producer.produce(f"converted-{codec}", b"value-%d" % n * 100)
            assert producer.flush(PATIENCE_S) == 0


def transact(bootstrap: str) -> None:
    """One transaction is aborted, one committed."""
    create_topic(bootstrap, TRANSACTED)
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": TRANSACTIONAL_ID})
    producer.init_transactions(PATIENCE_S)
    for value in ("aborted", "committed"):
        producer.begin_transaction()
        producer.produce(TRANSACTED, value)
        assert producer.flush(PATIENCE_S) == 0
        if value == "aborted":
            producer.abort_transaction(PATIENCE_S)
        else:
            producer.commit_transaction(PATIENCE_S)


def dump(files: list[Path], *options: str) -> str:
    assert files, "there are files to dump"
    names = ",".join(str(file) for file in files)
    tool = [*java("apache"), "org.apache.kafka.tools.DumpLogSegments", "--files", names]
    done = subprocess.run(
        [*tool, *options], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def files_of(data_dir: Path, suffix: str, *, topic: str = TOPIC) -> list[Path]:
    return sorted(data_dir.glob(f"{topic}-*/*{suffix}"))


def test_every_batch_is_valid_and_every_record_is_there(left_behind: Path) -> None:
    logs = files_of(left_behind, ".log")
    assert len(logs) > 1, "segments were rolled"
    out = dump(logs, "--deep-iteration", "--print-data-log")
    batches = [line for line in out.splitlines() if line.startswith("baseOffset:")]
    assert batches
    assert all("magic: 2" in line and "isvalid: true" in line for line in batches)
    offsets = [int(n) for n in re.findall(r"^\| offset: (\d+)", out, flags=re.MULTILINE)]
    assert offsets == list(range(len(CODECS) * PER_CODEC))
    used = {codec for line in batches for codec in re.findall(r"compresscodec: (\w+)", line)}
    assert used == set(CODECS)
    epochs = [int(n) for n in re.findall(r"partitionLeaderEpoch: (\d+)", out)]
    assert epochs == sorted(epochs)
    assert epochs[-1] > epochs[0], "the kill raised the leader epoch"
    assert "Found" not in out, out[-2000:]


def test_batches_that_the_broker_converted_are_read(left_behind: Path) -> None:
    for codec in CODECS:
        out = dump(files_of(left_behind, ".log", topic=f"converted-{codec}"), "--print-data-log")
        assert set(re.findall(r"compresscodec: (\w+)", out)) == {codec}
        payloads = re.findall(r"payload: (\S+)", out)
        assert payloads == [f"value-{n}" * 100 for n in range(100)] * len(CODECS)
        assert "isvalid: false" not in out


@pytest.mark.parametrize("option", ["--index-sanity-check", "--verify-index-only"])
@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_the_indexes_agree_with_the_log(left_behind: Path, suffix: str, option: str) -> None:
    indexes = files_of(left_behind, suffix)
    assert any(index.stat().st_size > 0 for index in indexes), "an index with entries"
    out = dump(indexes, option)
    complaints = re.findall(r".*(?:[Mm]ismatch|not found|out of order|Found).*", out)
    assert complaints == []
    if option == "--index-sanity-check":
        assert out.count("passed sanity check") == len(indexes)


def test_producer_snapshots_name_the_producers(left_behind: Path) -> None:
    out = dump(files_of(left_behind, ".snapshot"))
    assert len(set(re.findall(r"producerId: (\d+)", out))) == len(CODECS)
    last = re.findall(r"lastSequence: (\d+) lastOffset: (\d+)", out)
    assert (str(PER_CODEC - 1), str(len(CODECS) * PER_CODEC - 1)) in last


def test_the_committed_offset_is_a_record_of_the_offsets_topic(left_behind: Path) -> None:
    logs = files_of(left_behind, ".log", topic="__consumer_offsets")
    out = dump(logs, "--offsets-decoder", "--deep-iteration")
    lines = [line for line in out.splitlines() if GROUP in line and TOPIC in line]
    assert any(f'"offset":{COMMITTED}' in line and "a note" in line for line in lines), out[-2000:]
    assert "isvalid: false" not in out


def test_markers_and_the_transaction_index(left_behind: Path) -> None:
    out = dump(files_of(left_behind, ".log", topic=TRANSACTED), "--deep-iteration")
    assert re.findall(r"endTxnMarker: (\w+)", out) == ["ABORT", "COMMIT"]
    assert "isvalid: false" not in out
    (entry,) = re.findall(
        r"firstOffset: (\d+) lastOffset: (\d+) lastStableOffset: (\d+)",
        dump(files_of(left_behind, ".txnindex", topic=TRANSACTED)),
    )
    assert entry == ("0", "1", "2")


def test_the_transaction_log_is_kafkas(left_behind: Path) -> None:
    logs = files_of(left_behind, ".log", topic="__transaction_state")
    out = dump(logs, "--transaction-log-decoder", "--deep-iteration")
    lines = [line for line in out.splitlines() if TRANSACTIONAL_ID in line]
    assert len(lines) == 7, out[-2000:]  # Empty; twice Ongoing, Prepare and Complete
    assert TRANSACTED in "".join(lines)
    assert "isvalid: false" not in out


def tape_dump(files: list[Path], *options: str) -> list[dict[str, Any]]:
    tape = Path(sys.executable).parent / "tape"
    command: list[str | Path] = [tape, "broker", "dump", *files, "-o", "jsonl", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def fields(line: str) -> dict[str, str]:
    """``name: value`` pairs as Kafka's tool prints them."""
    return dict(re.findall(r"(\w+): (\S+)", line))


BATCH_FIELDS = {
    "baseOffset": "base_offset",
    "lastOffset": "last_offset",
    "count": "count",
    "baseSequence": "base_sequence",
    "lastSequence": "last_sequence",
    "producerId": "producer_id",
    "producerEpoch": "producer_epoch",
    "partitionLeaderEpoch": "partition_leader_epoch",
    "isTransactional": "is_transactional",
    "isControl": "is_control",
    "position": "position",
    "CreateTime": "max_timestamp",
    "size": "size",
    "magic": "magic",
    "compresscodec": "codec",
    "crc": "crc",
    "isvalid": "is_valid",
}


@pytest.mark.parametrize("topic", [TOPIC, TRANSACTED, "__consumer_offsets", "__transaction_state"])
def test_tape_broker_dump_shows_the_same_batches(left_behind: Path, topic: str) -> None:
    logs = [file for file in files_of(left_behind, ".log", topic=topic) if file.stat().st_size]
    theirs = [fields(line) for line in dump(logs).splitlines() if line.startswith("baseOffset:")]
    ours = tape_dump(logs)
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        shown = {
            their: str(one[our]).replace("True", "true").replace("False", "false")
            for their, our in BATCH_FIELDS.items()
        }
        assert shown == {name: other[name] for name in BATCH_FIELDS}


def test_tape_broker_dump_shows_the_same_records(left_behind: Path) -> None:
    (log, *_) = files_of(left_behind, ".log")
    out = dump([log], "--deep-iteration", "--print-data-log")
    theirs = [fields(line) for line in out.splitlines() if line.startswith("| offset:")]
    ours = [record for batch in tape_dump([log], "--deep") for record in batch["records"]]
    assert len(ours) == len(theirs) > 1000
    for one, other in zip(ours, theirs, strict=True):
        assert (str(one["offset"]), str(one["timestamp"])) == (other["offset"], other["CreateTime"])
        assert (str(len(one["key"])), one["key"]) == (other["keySize"], other["key"])
        assert one["headers"] == [["n", {"value": one["key"]}]]


def test_tape_broker_dump_shows_the_same_indexes(left_behind: Path) -> None:
    for suffix, names in (
        (".index", ("offset", "position")),
        (".timeindex", ("timestamp", "offset")),
    ):
        indexes = files_of(left_behind, suffix)
        theirs = [fields(line) for line in dump(indexes).splitlines() if line.startswith(names[0])]
        ours = tape_dump(indexes)
        assert [tuple(str(one[name]) for name in names) for one in ours] == [
            tuple(other[name] for name in names) for other in theirs
        ]
        assert ours


def test_tape_broker_dump_shows_the_same_producers_and_aborted_transactions(
    left_behind: Path,
) -> None:
    snapshots = files_of(left_behind, ".snapshot")
    theirs = [fields(line) for line in dump(snapshots).splitlines() if "producerId:" in line]
    ours = tape_dump(snapshots)
    keys = {
        "producerId": "producer_id",
        "producerEpoch": "producer_epoch",
        "lastSequence": "last_sequence",
        "lastOffset": "last_offset",
    }
    assert ours
    assert [{their: str(one[our]) for their, our in keys.items()} for one in ours] == [
        {name: other[name].rstrip(",") for name in keys} for other in theirs
    ]
    (aborted,) = tape_dump(files_of(left_behind, ".txnindex", topic=TRANSACTED))
    assert (aborted["first_offset"], aborted["last_offset"]) == (0, 1)


def test_tape_broker_dump_decodes_groups_and_transactions(left_behind: Path) -> None:
    logs = [
        file
        for topic in ("__consumer_offsets", "__transaction_state")
        for file in files_of(left_behind, ".log", topic=topic)
        if file.stat().st_size
    ]
    decoded = [
        record["decoded"]
        for batch in tape_dump(logs, "--deep")
        for record in batch.get("records", ())
    ]
    offsets = [
        one["value"]["data"]["offset"]
        for one in decoded
        if one["key"]["data"].get("group") == GROUP and "topic" in one["key"]["data"]
    ]
    assert offsets == [COMMITTED]
    states = [
        one["value"]["data"]["transaction_status_name"]
        for one in decoded
        if one["key"]["data"].get("transactional_id") == TRANSACTIONAL_ID
    ]
    assert states[0] == "EMPTY"
    assert states[-1] == "COMPLETE_COMMIT"


def test_fsck_finds_nothing_where_dump_log_segments_finds_nothing(left_behind: Path) -> None:
    if not (left_behind / "topics.json").exists():
        pytest.skip("Apache Kafka keeps its topics elsewhere")
    tape = Path(sys.executable).parent / "tape"
    command: list[str | Path] = [tape, "broker", "fsck", left_behind, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert (found["problems"], found["remarks"]) == ([], [])
    assert found["records"] > len(CODECS) * PER_CODEC
