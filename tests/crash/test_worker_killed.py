"""Real processes: a broker, and workers that are killed or put to sleep at each step of a flush.

The lake is judged from the objects' lines alone: every record carries its own number.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Producer
from tests.crash.bucket import stored_records, value
from tests.interop.harness import PATIENCE_S, Tickertape, create_topic, eventually, unique

from tickertape.objects.directory import DirectoryStore

ROOT = Path(__file__).parents[2]
TAPE = str(Path(sys.executable).parent / "tape")
WORKER = "value.converter=org.apache.kafka.connect.storage.StringConverter\n"
SINK = """\
connector.class=io.confluent.connect.s3.S3SinkConnector
storage.class=io.confluent.connect.s3.storage.S3Storage
format.class=io.confluent.connect.s3.format.json.JsonFormat
s3.compression.type=gzip
retry.backoff.ms=100
flush.idle.ms=1500
consumer.override.session.timeout.ms=1500
consumer.override.heartbeat.interval.ms=300
"""
TIME = """\
partitioner.class=io.confluent.connect.storage.partitioner.TimeBasedPartitioner
partition.duration.ms=1000
locale=KR
timezone=UTC
"""
ROTATIONS = {
    "count, wall-clock directories": TIME + "path.format=HH-mm-ss\nflush.size=5\n",
    "record time": TIME
    + "path.format=HH-mm\nflush.size=1000\nrotate.interval.ms=3000\n"
    + "timestamp.extractor=Record\n",
    "schedule": TIME + "path.format=HH-mm-ss\nflush.size=1000\nrotate.schedule.interval.ms=700\n",
}
RECORDS = 14


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tickertape]:
    broker = Tickertape(tmp_path_factory.mktemp("broker"))
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


class Scene:
    """One topic, one connector, one lake."""

    def __init__(self, broker: Tickertape, folder: Path, rotation: str) -> None:
        self.broker = broker
        self.folder = folder
        self.lake = folder / "lake"
        self.topic = create_topic(broker.bootstrap, unique("ticks"))
        self.worker = folder / "worker.properties"
        self.sink = folder / "sink.properties"
        folder.mkdir()
        self.worker.write_text(WORKER)
        head = f"name={self.topic}\ntopics={self.topic}\nstore.url=file://{self.lake}\n"
        self.sink.write_text(head + SINK + ROTATIONS[rotation])
        self.produced = 0

    def produce(self, count: int = RECORDS) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap})
        for offset in range(self.produced, self.produced + count):
            timestamp = 1_561_680_000_000 + 500 * offset
            producer.produce(self.topic, value(0, offset), timestamp=timestamp)
        assert producer.flush(PATIENCE_S) == 0
        self.produced += count

    def doomed(self, signal_name: str, at: int) -> "subprocess.Popen[str]":
        module = [sys.executable, "-m", "tests.crash.worker_process"]
        arguments = [self.worker, self.sink, self.broker.bootstrap, signal_name, at]
        return subprocess.Popen(
            [*module, *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def die(self, process: "subprocess.Popen[str]") -> None:
        """Go on producing, now and then, until the process is dead."""
        try:
            for _ in range(100):
                try:
                    output, _ = process.communicate(timeout=0.4)
                except subprocess.TimeoutExpired:
                    self.produce(1)
                else:
                    assert process.returncode == -signal.SIGKILL, output
                    return
            raise AssertionError("it never came to its last write")
        finally:
            process.kill()

    def finish(self) -> None:
        """A worker that stores all there is, as a user starts it."""
        done = subprocess.run(
            [TAPE, "worker", "start", str(self.worker), str(self.sink),
             "-b", self.broker.bootstrap, "--once", "-o", "json"],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["_schema"] == "tape.worker/1"

    def stored_at_least(self, count: int) -> bool:
        return len(stored_records(DirectoryStore(self.lake))) >= count

    def all_stored(self) -> bool:
        return self.stored_at_least(self.produced)

    def check(self) -> None:
        want = Counter({(0, offset): 1 for offset in range(self.produced)})
        assert stored_records(DirectoryStore(self.lake)) == want
        verify = [TAPE, "backup", "verify", "-t", self.topic, "--lake", str(self.lake)]
        proof = subprocess.run(
            [*verify, "-b", self.broker.bootstrap],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert proof.returncode == 0, proof.stdout + proof.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("rotation", ROTATIONS)
def test_killed_at_each_step_of_a_flush(broker: Tickertape, tmp_path: Path, rotation: str) -> None:
    for at in range(9):
        scene = Scene(broker, tmp_path / str(at), rotation)
        scene.produce()
        scene.die(scene.doomed("KILL", at))
        scene.produce(3)
        scene.finish()
        scene.check()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_worker_that_slept_through_a_rebalance_harms_nothing(
    broker: Tickertape, tmp_path: Path
) -> None:
    for at in range(9):
        scene = Scene(broker, tmp_path / str(at), "count, wall-clock directories")
        scene.produce()
        zombie = scene.doomed("STOP", at)
        try:
            eventually(partial(is_stopped, zombie.pid), "the worker sleeps")
            scene.finish()  # waits until the group gives the sleeper up
            scene.check()
            scene.produce(7)
            os.kill(zombie.pid, signal.SIGCONT)
            eventually(scene.all_stored, "the sleeper, awake, is a worker again")
            zombie.terminate()
            zombie.wait(PATIENCE_S)
            scene.finish()
        finally:
            zombie.kill()
            zombie.communicate()
        scene.check()


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_broker_is_killed_under_a_running_worker(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    broker = Tickertape(tmp_path / "broker")
    broker.start()
    scene = Scene(broker, tmp_path / "scene", "count, wall-clock directories")
    scene.produce()
    command = [TAPE, "worker", "start", str(scene.worker), str(scene.sink), "-b", broker.bootstrap]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for turn in range(4):
            eventually(partial(scene.stored_at_least, 10 * (turn + 1)), "the worker works")
            broker.kill()
            broker.start()
            scene.produce()
        eventually(scene.all_stored, "the worker goes on", seconds=60)
        worker.terminate()
        output, _ = worker.communicate(timeout=PATIENCE_S)
        assert worker.returncode == 0, output
        scene.finish()
        scene.check()
    finally:
        worker.kill()
        broker.kill()
        worker.communicate()


@pytest.mark.slow
def test_a_static_member_that_was_killed_is_back_before_its_session_times_out(
    broker: Tickertape, tmp_path: Path
) -> None:
    scene = Scene(broker, tmp_path / "scene", "record time")
    patient = scene.sink.read_text().replace("timeout.ms=1500", "timeout.ms=60000")
    scene.sink.write_text(patient + "consumer.override.group.instance.id=box-7\n")
    scene.produce()
    scene.die(scene.doomed("KILL", 2))
    scene.finish()  # within PATIENCE_S, which is less than the session
    scene.check()
