"""Kafka's own DumpLogSegments reads the files that a broker leaves behind, ours like its own."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

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
