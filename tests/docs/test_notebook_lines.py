"""The notebook's own lines, steps 6 to 14: broker, console producer and consumer, S3 sink.

The command lines are typed as they stand there. Changed are the port (any free one), the data
directory, and the bucket's place: ``store.url`` names a folder instead of Amazon.
"""

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.harness import PATIENCE_S, eventually

BIN = Path(__file__).parents[2] / "bin"

SERVER_PROPERTIES = """\
############################# Log Retention Policy #############################
log.retention.hours=24
log.roll.hours=24
"""
CONNECT_S3 = """\
# Kafka broker IP addresses to connect to
bootstrap.servers=localhost:9092

# Path to directory containing the connector jar and dependencies
plugin.path=/home/ubuntu/kafka_2.12-2.2.0/plugins

# Converters to use to convert keys and values
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter

# The internal converters Kafka Connect uses for storing offset and configuration data
internal.key.converter=org.apache.kafka.connect.json.JsonConverter
internal.value.converter=org.apache.kafka.connect.json.JsonConverter
internal.key.converter.schemas.enable=false
internal.value.converter.schemas.enable=false
offset.storage.file.filename=/tmp/connect.offsets
"""
CONNECT_S3_SINK = """\
name=s3-sink
connector.class=io.confluent.connect.s3.S3SinkConnector
tasks.max=1
topics=mytopic
s3.region=ap-northeast-2
s3.bucket.name=kafkamytopictest
s3.compression.type=gzip
s3.part.size=5242880
flush.size=3
storage.class=io.confluent.connect.s3.storage.S3Storage
format.class=io.confluent.connect.s3.format.json.JsonFormat
schema.generator.class=io.confluent.connect.storage.hive.schema.DefaultSchemaGenerator
partitioner.class=io.confluent.connect.storage.partitioner.TimeBasedPartitioner
partition.duration.ms=3600000
path.format=YYYY-MM-dd
locale=KR
timezone=UTC
schema.compatibility=NONE
"""


@dataclass
class Kafka:
    """The notebook's folder ``kafka_2.12-2.2.0``: a config folder, and bin/ of this checkout."""

    folder: Path
    port: int

    def lines(self, text: str) -> str:
        """A command line of the notebook, with this broker's port."""
        return text.replace("localhost:9092", f"localhost:{self.port}")

    def start(self, line: str) -> subprocess.Popen[bytes]:
        """Type a line in the config folder, do not wait for its end."""
        return subprocess.Popen(
            f"exec {self.lines(line)}" if "&&" not in line else self.lines(line),
            shell=True,
            cwd=self.folder / "config",
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def type(self, line: str, answer: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Type a line and what it asks for, wait for its end."""
        process = self.start(line)
        out, err = process.communicate(answer, timeout=PATIENCE_S)
        return subprocess.CompletedProcess(line, process.returncode, out, err)


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[Kafka]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "config").mkdir()
    (tmp_path / "bin").symlink_to(BIN)
    place = f"listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={tmp_path}/kafka-logs\n"
    (tmp_path / "config" / "server.properties").write_text(SERVER_PROPERTIES + place)
    machine = Kafka(tmp_path, port)
    started = machine.type("../bin/kafka-server-start.sh -daemon server.properties")
    assert started.returncode == 0, started.stderr.decode()
    yield machine
    machine.type("../bin/kafka-server-stop.sh server.properties")


def produce(kafka: Kafka, answer: bytes) -> None:
    line = "sh bin/kafka-console-producer.sh --broker-list localhost:9092 --topic mytopic"
    done = kafka.type(f"cd .. && {line}", answer)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_step_8_no_zookeeper_is_needed(tmp_path: Path) -> None:
    for script in ("zookeeper-server-start.sh", "zookeeper-server-stop.sh"):
        done = subprocess.run(
            [BIN / script, "-daemon", "zookeeper.properties"],
            capture_output=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0
        assert b"keeps its own metadata" in done.stderr


def test_steps_9_to_14(kafka: Kafka, tmp_path: Path) -> None:
    produce(kafka, b"a\nb\nc\nd\n")

    consumer = kafka.start(
        "cd .. && exec sh bin/kafka-console-consumer.sh"
        " --bootstrap-server localhost:9092 --topic mytopic --from-beginning"
    )
    assert consumer.stdout is not None
    assert b"".join(consumer.stdout.readline() for _ in "abcd") == b"a\nb\nc\nd\n"
    consumer.send_signal(signal.SIGINT)
    rest, told = consumer.communicate(timeout=PATIENCE_S)
    assert (rest, told) == (b"", b"Processed a total of 4 messages\n")

    config = tmp_path / "config"
    (config / "connect-s3.properties").write_text(kafka.lines(CONNECT_S3))
    lake = tmp_path / "lake"
    (config / "connect-s3-sink.properties").write_text(
        CONNECT_S3_SINK + f"store.url={lake.as_uri()}\n"
    )
    connect = kafka.start(
        "../bin/connect-standalone.sh connect-s3.properties connect-s3-sink.properties"
    )
    try:
        first = eventually(
            lambda: list(lake.rglob("mytopic+0+0000000000.json.gz")), "the first object"
        )
        produce(kafka, b"e\nf\n")
        second = eventually(
            lambda: list(lake.rglob("mytopic+0+0000000003.json.gz")), "the second object"
        )
    finally:
        connect.send_signal(signal.SIGTERM)
        _, log = connect.communicate(timeout=PATIENCE_S)
    assert gzip.decompress(first[0].read_bytes()) == b'"a"\n"b"\n"c"\n'
    assert gzip.decompress(second[0].read_bytes()) == b'"d"\n"e"\n"f"\n'
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", first[0].parent.name)
    assert first[0].parents[1] == lake / "kafkamytopictest" / "topics" / "mytopic"
    assert b"Files committed to S3. Target commit offset for mytopic-0 is 3\n" in log


def test_every_script_says_what_it_needs(tmp_path: Path) -> None:
    """Without a .venv beside it and without tape on the PATH a script explains itself."""
    (tmp_path / "bin").mkdir()
    for script in BIN.glob("*.sh"):
        (tmp_path / "bin" / script.name).write_bytes(script.read_bytes())
    done = subprocess.run(
        ["/bin/sh", tmp_path / "bin" / "kafka-console-producer.sh"],
        capture_output=True,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 1
    assert b"make run" in done.stderr
