"""The notebook's two files against a broker and an S3 server: what is stored, what is said."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from moto.server import ThreadedMotoServer
from tests.interop.harness import PATIENCE_S, Broker, create_topic, unique

from tickertape.base.fakes import SeededRng
from tickertape.objects.s3 import S3Options, S3Store

TAPE = str(Path(sys.executable).parent / "tape")
WORKER = """\
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
SINK = """\
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


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def bucket(endpoint: str, name: str) -> S3Store:
    options = S3Options(
        endpoint=endpoint,
        region="ap-northeast-2",
        access_key_id="id",
        secret_access_key="key",
    )
    store = S3Store(name, "", options, rng=SeededRng(), sleep=lambda _: None)
    location = {"LocationConstraint": "ap-northeast-2"}
    store._client.create_bucket(Bucket=name, CreateBucketConfiguration=location)
    return store


def start(
    folder: Path, bootstrap: str, endpoint: str, sink: str
) -> "subprocess.CompletedProcess[str]":
    (folder / "connect-s3.properties").write_text(WORKER)
    (folder / "connect-s3-sink.properties").write_text(sink)
    files = ["connect-s3.properties", "connect-s3-sink.properties"]
    return subprocess.run(
        [TAPE, "worker", "start", *files, "-b", bootstrap, "--store-url", endpoint, "--once"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={"PATH": "/usr/bin:/bin", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"},
    )


def test_the_notebooks_files_fill_the_notebooks_bucket(
    tickertape_broker: Broker, endpoint: str, tmp_path: Path
) -> None:
    topic = create_topic(tickertape_broker.bootstrap, unique("mytopic"))
    sink = SINK.replace("topics=mytopic", f"topics={topic}").replace("s3-sink", f"s3-{topic}")
    store = bucket(endpoint, "kafkamytopictest")
    producer = Producer({"bootstrap.servers": tickertape_broker.bootstrap})
    for letter in "abcd":
        producer.produce(topic, letter.encode())
    assert producer.flush(PATIENCE_S) == 0
    done = start(tmp_path, tickertape_broker.bootstrap, endpoint, sink)
    assert done.returncode == 0, done.stderr
    assert f"Files committed to S3. Target commit offset for {topic}-0 is 3" in done.stderr
    keys = [info.key for info in store.list(f"topics/{topic}/")]
    assert [key.rpartition("/")[2] for key in keys] == [
        f"{topic}+0+0000000000.json.gz",
        f"{topic}+0+0000000003.json.gz",
    ]
    lines = b"".join(gzip.decompress(store.get(key) or b"") for key in keys)
    assert lines == b'"a"\n"b"\n"c"\n"d"\n'
    (first, _) = store.list(f"_tickertape/v1/manifest/s3-{topic}/")
    assert json.loads(store.get(first.key) or b"")["objects"][0]["key"] == keys[0]


def test_a_missing_bucket_is_told_before_a_record_is_read(
    tickertape_broker: Broker, endpoint: str, tmp_path: Path
) -> None:
    sink = SINK.replace("kafkamytopictest", "no-such-bucket")
    done = start(tmp_path, tickertape_broker.bootstrap, endpoint, sink)
    assert done.returncode == 1
    assert "create it, or correct s3.bucket.name=no-such-bucket" in done.stderr


def test_a_missing_topic_is_told(tickertape_broker: Broker, endpoint: str, tmp_path: Path) -> None:
    bucket(endpoint, "some-bucket")
    sink = SINK.replace("kafkamytopictest", "some-bucket").replace("mytopic", "nothing-here")
    done = start(tmp_path, tickertape_broker.bootstrap, endpoint, sink)
    assert done.returncode == 1
    assert "topic nothing-here does not exist: nothing to back up" in done.stderr
