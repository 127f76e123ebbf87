"""The broker as a process: what was acknowledged survives kill -9, a full disk, and any stop."""

import json
import random
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer
from tests.interop.harness import Tickertape, create_topic, eventually, unique

TAPE = str(Path(sys.executable).parent / "tape")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Tickertape]:
    server = Tickertape(tmp_path)
    server.start()
    yield server
    server.kill()


class Sender:
    """An idempotent producer that knows what was acknowledged."""

    def __init__(self, bootstrap: str, topic: str, **settings: object) -> None:
        self.acknowledged: dict[int, bytes] = {}
        self.refused: list[str] = []
        self._topic = topic
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0, **settings}
        )

    def send(self, values: list[bytes]) -> None:
        for value in values:
            self._producer.produce(self._topic, value, on_delivery=self._delivered)
            self._producer.poll(0)

    def has(self, count: int) -> bool:
        """Whether ``count`` records have been acknowledged by now."""
        self._producer.poll(0)
        return len(self.acknowledged) >= count

    def flush(self, seconds: float = 30) -> int:
        return self._producer.flush(seconds)

    def _delivered(self, error: object, message: Message) -> None:
        if error is not None:
            self.refused.append(str(error))
            return
        offset, value = message.offset(), message.value()
        assert offset is not None
        assert value is not None
        self.acknowledged[offset] = value


def read_all(bootstrap: str, topic: str) -> dict[int, bytes]:
    """Every record of partition 0 by its offset."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": unique("reader"),
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    consumer.subscribe([topic])
    found: dict[int, bytes] = {}

    def at_the_end() -> bool:
        for message in consumer.consume(10_000, 0.5):
            error = message.error()
            if error is not None:
                assert error.name() == "_PARTITION_EOF", error
                return True
            offset, value = message.offset(), message.value()
            assert offset is not None
            assert value is not None
            found[offset] = value
        return False

    try:
        eventually(at_the_end, f"the end of {topic}")
    finally:
        consumer.close()
    return found


def tape(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TAPE, *arguments], capture_output=True, text=True, timeout=40, check=False
    )


def values(count: int, start: int = 0) -> list[bytes]:
    return [b"record %d" % number for number in range(start, start + count)]


@pytest.mark.slow
def test_every_acknowledged_record_survives_kill_9_once(broker: Tickertape) -> None:
    topic = create_topic(broker.bootstrap, unique("killed"))
    sender = Sender(broker.bootstrap, topic)
    sent = 0
    for _ in range(3):
        sender.send(values(5000, sent))
        sent += 5000
        eventually(partial(sender.has, sent - 4000), "some acknowledgements")
        broker.kill()
        sender.send(values(100, sent))
        sent += 100
        broker.start()
    assert sender.flush() == 0
    assert sender.refused == []
    found = read_all(broker.bootstrap, topic)
    assert found == sender.acknowledged
    assert sorted(found.values()) == sorted(values(sent))


def test_a_clean_stop_needs_no_recovery_and_keeps_everything(broker: Tickertape) -> None:
    topic = create_topic(broker.bootstrap, unique("stopped"))
    sender = Sender(broker.bootstrap, topic)
    sender.send(values(1000))
    assert sender.flush() == 0
    broker.stop()
    assert broker.process is not None
    assert broker.process.returncode == 0
    assert (broker.data_dir / ".kafka_cleanshutdown").exists()
    assert not (broker.data_dir / "broker.json").exists()
    broker.start()
    assert "recovered" not in broker.log.read_text()
    assert read_all(broker.bootstrap, topic) == dict(enumerate(values(1000)))


def test_a_second_broker_on_the_same_folder_is_refused(broker: Tickertape) -> None:
    second = tape("broker", "start", "--data-dir", str(broker.data_dir), "--port", "0")
    assert second.returncode == 1
    assert second.stdout == ""
    assert f"in use by process {broker.pid} (serving {broker.bootstrap})" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_that_is_taken_is_named(broker: Tickertape, tmp_path: Path) -> None:
    port = str(broker.port)
    second = tape("broker", "start", "--data-dir", str(tmp_path / "other"), "--port", port)
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in second.stderr
    assert "Traceback" not in second.stderr


def test_detach_status_stop(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path / "data"))
    assert tape("broker", "status", *where).returncode == 1
    started = tape("broker", "start", *where, "--port", "0", "--detach", "-o", "json")
    assert started.returncode == 0, started.stderr
    ready = json.loads(started.stdout)
    try:
        asked = json.loads(tape("broker", "status", *where, "-o", "json").stdout)
        assert asked["_schema"] == ready["_schema"] == "tape.broker/1"
        assert asked["state"] == "running"
        for field in ("bootstrap", "pid", "cluster_id", "data_dir"):
            assert asked[field] == ready[field]
    finally:
        assert tape("broker", "stop", *where).returncode == 0
    assert tape("broker", "status", *where).returncode == 1
    assert tape("broker", "stop", *where).returncode == 1


def test_the_only_broker_is_found_without_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    script = Path(__file__).parents[2] / "bin" / "kafka-server-stop.sh"
    folders = [tmp_path / "first", tmp_path / "second"]
    try:
        for folder in folders:
            properties = tmp_path / f"{folder.name}.properties"
            properties.write_text(f"log.dirs={folder}\nlisteners=PLAINTEXT://127.0.0.1:0\n")
            started = tape("broker", "start", str(properties), "--detach")
            assert started.returncode == 0, started.stderr
        both = tape("broker", "stop")
        assert both.returncode == 1
        assert "tape: 2 brokers run, want one of" in both.stderr
        assert all(f"--data-dir {folder}  (process " in both.stderr for folder in folders)
        assert tape("broker", "stop", "--data-dir", str(folders[0])).returncode == 0
        asked = json.loads(tape("broker", "status", "-o", "json").stdout)
        assert (asked["state"], asked["data_dir"]) == ("running", str(folders[1]))
        assert subprocess.run([str(script)], check=False, timeout=40).returncode == 0
    finally:
        for folder in folders:
            tape("broker", "stop", "--data-dir", str(folder))
    nobody = tape("broker", "stop")
    assert nobody.returncode == 1
    assert "no broker runs in" in nobody.stderr
    assert list((tmp_path / "state" / "tickertape" / "brokers").iterdir()) == []


def test_what_a_detached_broker_complains_of_is_shown(tmp_path: Path) -> None:
    bad = tmp_path / "server.properties"
    bad.write_text(f"node.id=7\nlog.dirs={tmp_path}/data\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=3\n")
    started = tape("broker", "start", str(bad), "--port", "0", "--detach")
    assert started.returncode == 1
    assert "belongs to node 3" in started.stderr


def test_an_override_that_nobody_knows_is_a_usage_error(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path / "data"), "--port", "0", "--detach")
    started = tape("broker", "start", *where, "--override", "num.partitons=3")
    assert started.returncode == 2
    assert "num.partitons: unknown property, did you mean num.partitions?" in started.stderr
    assert not (tmp_path / "data").exists()


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    for how in ((), ("--detach",)):
        started = tape("broker", "start", "--data-dir", str(tmp_path / "data"), "--port", "0", *how)
        assert started.returncode == 1
        assert started.stderr == f"tape: data directory {tmp_path}/data is no folder\n"


def test_a_detached_broker_warns_on_the_terminal_and_shows_who_may_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("server.properties").write_text(
        "num.partitons=3\nauthorizer.class.name="
        "org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
    )
    started = tape(
        *("broker", "start", "server.properties"),
        *("--data-dir", "data", "--port", "0", "--fsync", "never", "--detach"),
    )
    assert started.returncode == 0, started.stderr
    try:
        assert "WARNING: server.properties:1: num.partitons: unknown property" in started.stderr
        assert "WARNING: fsync never: a power cut" in started.stderr
        shown = dict(line.split(None, 1) for line in started.stdout.splitlines())
        assert shown["listeners"] == f"PLAINTEXT {shown['bootstrap']}"
        assert shown["data_dir"] == str(tmp_path / "data")
        assert "metrics" not in shown
        asked = tape("broker", "status", "--data-dir", "data").stdout
        shown = dict(line.split(None, 1) for line in asked.splitlines())
        assert (shown["topics"], shown["partitions"]) == ("-", "-"), "who asks may not see them"
    finally:
        assert tape("broker", "stop", "--data-dir", "data").returncode == 0


def test_a_full_disk_refuses_loses_nothing_and_the_broker_lives(broker: Tickertape) -> None:
    """A file size limit is what a full disk looks like to one process: writes fail half-way."""
    full = create_topic(broker.bootstrap, unique("full"))
    sender = Sender(broker.bootstrap, full, **{"message.timeout.ms": 1500})
    sender.send(values(1000))
    assert sender.flush() == 0
    before = dict(sender.acknowledged)
    largest = max(path.stat().st_size for path in broker.data_dir.rglob("*.log"))
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (largest + 3000, largest + 3000))
    sender.send([bytes([65 + number % 26]) * 500 for number in range(100)])
    sender.flush()
    assert sender.refused, "the limit has not been reached"
    assert broker.alive()
    assert read_all(broker.bootstrap, full).items() >= before.items()
    assert "takes no more records" in broker.log.read_text()
    broker.kill()
    broker.start()
    found = read_all(broker.bootstrap, full)
    assert found.items() >= sender.acknowledged.items()
    again = Sender(broker.bootstrap, full)
    again.send(values(10))
    assert again.flush() == 0
    assert read_all(broker.bootstrap, full).items() >= again.acknowledged.items()


def test_a_lack_of_descriptors_is_a_line_and_passes(broker: Tickertape) -> None:
    topic = create_topic(broker.bootstrap, unique("crash"))
    used = max(int(path.name) for path in Path(f"/proc/{broker.pid}/fd").iterdir())
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (3, hard))
    with socket.create_connection(("127.0.0.1", broker.port)):
        eventually(lambda: "cannot accept" in broker.log.read_text(), "a line about it")
    resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (used + 100, hard))
    sender = Sender(broker.bootstrap, topic)
    sender.send(values(3))
    assert sender.flush() == 0
    assert len(sender.acknowledged) == 3
    told = broker.log.read_text()
    assert told.count("cannot accept connections, trying again: Too many open files") == 1
    assert "Traceback" not in told


def test_random_bytes_harm_nobody_else(broker: Tickertape) -> None:
    rng = random.Random(20261122)
    for _ in range(200):
        noise = rng.randbytes(rng.randrange(1, 200))
        if rng.random() < 0.7:  # a plausible frame and API, so that decoders see it too
            api, version = rng.randrange(30), rng.randrange(14)
            body = api.to_bytes(2, "big") + version.to_bytes(2, "big") + noise
            noise = len(body).to_bytes(4, "big") + body
        with socket.create_connection(("127.0.0.1", broker.port)) as peer:
            peer.sendall(noise)
            if rng.random() < 0.5:
                peer.settimeout(0.02)
                try:
                    peer.recv(100)
                except (TimeoutError, ConnectionError):
                    continue
    topic = create_topic(broker.bootstrap, unique("sane"))
    sender = Sender(broker.bootstrap, topic)
    sender.send(values(10))
    assert sender.flush() == 0
    log = broker.log.read_text()
    assert "a request failed" not in log, log  # every complaint is a PeerError, none a bug


def test_a_second_signal_ends_the_process_and_the_data_are_there(broker: Tickertape) -> None:
    topic = create_topic(broker.bootstrap, unique("forced"))
    sender = Sender(broker.bootstrap, topic)
    sender.send(values(100))
    assert sender.flush() == 0
    assert broker.process is not None
    broker.process.send_signal(signal.SIGSTOP)
    broker.process.send_signal(signal.SIGTERM)
    broker.process.send_signal(signal.SIGCONT)
    broker.stop()
    assert not broker.alive()
    broker.start()
    assert read_all(broker.bootstrap, topic) == sender.acknowledged


def test_bad_properties_name_file_line_key_and_want(tmp_path: Path) -> None:
    bad = tmp_path / "server.properties"
    bad.write_text("# a comment\nnum.partitions=many\nlog.retention.hours=1\nport=99999\n")
    done = tape("broker", "start", str(bad), "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 1
    assert f"{bad}:2: num.partitions: got 'many', want a whole number from 1" in done.stderr
    assert f"{bad}:4: port: got '99999', want a whole number from 0 to 65535" in done.stderr
    assert not (tmp_path / "data").exists()
