"""`tape worker start` as a user runs it, on our broker and on Apache Kafka: stored and proven."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Producer
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually, unique

TAPE = str(Path(sys.executable).parent / "tape")
WORKER = "value.converter=org.apache.kafka.connect.storage.StringConverter\n"
SINK = """\
name={topic}
topics={topic}
connector.class=io.confluent.connect.s3.S3SinkConnector
storage.class=io.confluent.connect.s3.storage.S3Storage
format.class=io.confluent.connect.s3.format.json.JsonFormat
s3.compression.type=gzip
flush.size=40
consumer.override.session.timeout.ms=6000
consumer.override.heartbeat.interval.ms=500
"""


class Scene:
    """A topic with numbered records, and the files of a connector for it."""

    def __init__(self, target: Broker, folder: Path, *, partitions: int, more: str = "") -> None:
        self.target = target
        self.folder = folder
        self.lake = folder / "lake"
        self.topic = create_topic(target.bootstrap, unique("ticks"), partitions=partitions)
        self.partitions = partitions
        self.produced = 0
        (folder / "worker.properties").write_text(WORKER)
        (folder / "sink.properties").write_text(SINK.format(topic=self.topic) + more)

    def produce(self, count: int) -> None:
        producer = Producer({"bootstrap.servers": self.target.bootstrap})
        for number in range(self.produced, self.produced + count):
            partition = number % self.partitions
            producer.produce(self.topic, str(number).encode(), partition=partition)
        assert producer.flush(PATIENCE_S) == 0
        self.produced += count

    def command(self, *more: str) -> list[str]:
        files = ["worker.properties", "sink.properties"]
        store = f"file://{self.lake}"
        return [TAPE, "worker", "start", *files, "-b", self.target.bootstrap, "--store-url", store,
                *more]  # fmt: skip

    def once(self) -> dict[str, object]:
        done = subprocess.run(
            self.command("--once", "-o", "json"),
            cwd=self.folder,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(self.command(), cwd=self.folder, stdout=log, stderr=log)

    def half_stored(self) -> bool:
        """Half of the latest 300 records, that is."""
        return len(self.stored()) >= self.produced - 150

    def stored(self) -> list[int]:
        """Every number in the lake, sorted, as often as it is there."""
        lines: list[str] = []
        for path in (self.lake / "topics").rglob("*.json.gz"):
            lines += gzip.decompress(path.read_bytes()).decode().splitlines()
        return sorted(int(json.loads(line)) for line in lines)

    def verified(self) -> int:
        command = [TAPE, "backup", "verify", "-t", self.topic, "--lake", str(self.lake)]
        done = subprocess.run(
            [*command, "-b", self.target.bootstrap],
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.returncode


def test_stores_all_there_is_and_goes_on_where_it_ended(target: Broker, tmp_path: Path) -> None:
    scene = Scene(target, tmp_path, partitions=3)
    scene.produce(500)
    first = scene.once()
    assert (first["records"], scene.stored()) == (500, list(range(500)))
    assert scene.once()["records"] == 0
    scene.produce(100)
    assert scene.once()["records"] == 100
    assert scene.stored() == list(range(600))
    assert scene.verified() == 0


@pytest.mark.slow
def test_workers_join_and_leave_and_each_record_is_stored_once(
    target: Broker, tmp_path: Path
) -> None:
    scene = Scene(target, tmp_path, partitions=4, more="tasks.max=2\nflush.idle.ms=1000\n")
    workers: list[subprocess.Popen[bytes]] = []
    try:
        for turn in range(5):
            scene.produce(300)
            if turn < 3:
                workers.append(scene.start(f"worker-{turn}"))
            elif turn == 3:
                workers[0].kill()
            else:
                workers[1].terminate()
            eventually(scene.half_stored, "what was produced is being stored")
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(PATIENCE_S)
    scene.once()
    assert scene.stored() == list(range(scene.produced))
    assert scene.verified() == 0


@pytest.mark.real
@pytest.mark.xdist_group("apache")
def test_aborted_transactions_are_left_out_and_their_offsets_are_legal_gaps(
    apache_kafka: Broker, tmp_path: Path
) -> None:
    scene = Scene(apache_kafka, tmp_path, partitions=1)
    transactions = {"bootstrap.servers": apache_kafka.bootstrap, "transactional.id": scene.topic}
    producer = Producer(transactions)
    producer.init_transactions(PATIENCE_S)
    kept: list[int] = []
    for turn in range(4):
        producer.begin_transaction()
        for number in range(turn * 30, turn * 30 + 30):
            producer.produce(scene.topic, str(number).encode(), partition=0)
        if turn % 2:
            producer.abort_transaction(PATIENCE_S)
        else:
            producer.commit_transaction(PATIENCE_S)
            kept += range(turn * 30, turn * 30 + 30)
        scene.once()
    assert scene.stored() == kept
    assert scene.verified() == 0
