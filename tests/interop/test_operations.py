"""Metrics, health and logs of a broker process under real traffic."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from prometheus_client.parser import text_string_to_metric_families
from tests.interop.harness import PATIENCE_S, Tickertape, create_topic, eventually

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Tickertape]:
    broker = Tickertape(tmp_path, {"tape.metrics.port": "0", "tape.log.format": "json"})
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


def url(broker: Tickertape) -> str:
    found = json.loads((broker.folder / "stdout").read_text())["metrics"]
    assert isinstance(found, str)
    return found


def scrape(broker: Tickertape) -> Samples:
    with urllib.request.urlopen(url(broker), timeout=PATIENCE_S) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_the_counts_that_clients_made(watched: Tickertape) -> None:
    topic = create_topic(watched.bootstrap, "ticks", partitions=2)
    producer = Producer({"bootstrap.servers": watched.bootstrap, "linger.ms": 5})
    for number in range(1_000):
        producer.produce(topic, b"%d" % number, partition=number % 2)
    assert producer.flush(PATIENCE_S) == 0
    consumer = Consumer(
        {
            "bootstrap.servers": watched.bootstrap,
            "group.id": "readers",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    read = 0
    while read < 600:
        message = consumer.poll(PATIENCE_S)
        assert message is not None
        assert message.error() is None
        read += 1
    consumer.commit(asynchronous=False)
    found = scrape(watched)
    label = (("topic", topic),)
    assert found["kafka_server_brokertopicmetrics_messagesin_total", label] == 1_000
    assert found["kafka_server_brokertopicmetrics_messagesin_total", ()] == 1_000
    stored = sum(
        (watched.data_dir / f"{topic}-{n}").glob("*.log").__next__().stat().st_size for n in (0, 1)
    )
    assert found["kafka_server_brokertopicmetrics_bytesin_total", label] == stored
    assert found["kafka_server_brokertopicmetrics_bytesout_total", label] == stored
    ends = [
        found["kafka_topic_partition_current_offset", (("partition", str(n)), ("topic", topic))]
        for n in (0, 1)
    ]
    assert ends == [500, 500]
    assert (
        found["kafka_consumergroup_lag_sum", (("consumergroup", "readers"), ("topic", topic))]
        == 400
    )
    assert found["kafka_consumergroup_members", (("consumergroup", "readers"),)] == 1
    assert (
        found["tape_consumergroup_state", (("consumergroup", "readers"), ("state", "Stable"))] == 1
    )
    assert found["kafka_network_requestmetrics_requests_total", (("request", "OffsetCommit"),)] == 1
    produced = found["kafka_network_requestmetrics_requests_total", (("request", "Produce"),)]
    assert produced == found["tape_request_duration_seconds_count", (("request", "Produce"),)] > 0
    assert found["kafka_server_socket_server_metrics_connection_count", ()] >= 2
    assert found["tape_group_commit_requests_total", ()] >= produced
    consumer.close()

    def nobody() -> bool:
        return scrape(watched)["kafka_consumergroup_members", (("consumergroup", "readers"),)] == 0

    assert eventually(nobody, "the group without members")


def test_every_line_of_the_log_is_an_object_from_the_first_to_the_last(
    watched: Tickertape,
) -> None:
    with urllib.request.urlopen(
        url(watched).replace("metrics", "ready"), timeout=PATIENCE_S
    ) as answer:
        assert json.load(answer)["status"] == "ready"
    watched.stop()
    lines = [json.loads(line) for line in watched.log.read_text().splitlines()]
    assert all({"ts", "level", "logger", "message"} <= line.keys() for line in lines)
    messages = [line["message"] for line in lines]
    assert any(message.startswith("ready on 127.0.0.1:") for message in messages)
    assert messages[-1] == "stopped"


def fsck(broker: Tickertape, *options: str) -> "subprocess.CompletedProcess[str]":
    tape = Path(sys.executable).parent / "tape"
    return subprocess.run(
        [tape, "broker", "fsck", broker.data_dir, *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_fsck_refuses_a_running_broker_and_repairs_a_torn_tail(own_broker: Tickertape) -> None:
    topic = create_topic(own_broker.bootstrap, "ticks")
    producer = Producer({"bootstrap.servers": own_broker.bootstrap})
    for value in ("kept", "torn"):
        producer.produce(topic, value)
        assert producer.flush(PATIENCE_S) == 0
    refused = fsck(own_broker)
    assert refused.returncode == 1
    assert f"in use by process {own_broker.pid}" in refused.stderr
    own_broker.kill()
    assert fsck(own_broker).returncode == 0, "a kill is no damage"
    (log,) = (own_broker.data_dir / f"{topic}-0").glob("*.log")
    log.write_bytes(log.read_bytes()[:-3])
    before = log.read_bytes()
    found = fsck(own_broker, "-o", "json")
    assert found.returncode == 3
    (problem,) = json.loads(found.stdout)["problems"]
    assert (problem["kind"], problem["path"]) == ("torn", str(log))
    assert log.read_bytes() == before, "checking changes nothing"
    repaired = fsck(own_broker, "--repair")
    assert repaired.returncode == 0, repaired.stdout
    assert f"recovered {topic}-0: ends at offset 1; cut " in repaired.stdout
    own_broker.start()
    read = Consumer(
        {
            "bootstrap.servers": own_broker.bootstrap,
            "group.id": "g",
            "auto.offset.reset": "earliest",
        }
    )
    read.subscribe([topic])
    message = read.poll(PATIENCE_S)
    assert message is not None
    assert message.value() == b"kept"
    read.close()
