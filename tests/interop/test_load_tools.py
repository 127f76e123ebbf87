"""Apache Kafka's tools that make load and check it: verifiable, performance, latency, console."""

import json
import subprocess

import pytest
from tests.interop.harness import CONSUMER_PROTOCOL, PATIENCE_S, Broker, create_topic, java, unique

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

TOOLS = "org.apache.kafka.tools."


def run(tool: str, *arguments: object, given: str = "") -> str:
    """What the tool printed; AssertionError with its complaints if it failed."""
    done = subprocess.run(
        [*java("apache"), f"{TOOLS}{tool}", *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def documents(printed: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def named(found: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [each for each in found if each["name"] == name]


@pytest.mark.parametrize("protocol", ["classic", *CONSUMER_PROTOCOL])
def test_what_the_verifiable_producer_sent_the_verifiable_consumer_gets(
    target: Broker, protocol: str
) -> None:
    topic = create_topic(target.bootstrap, unique("verifiable"), partitions=2)
    common = ["--bootstrap-server", target.bootstrap, "--topic", topic]
    sent = documents(run("VerifiableProducer", *common, "--max-messages", 500, "--acks", -1))
    assert len(named(sent, "producer_send_success")) == 500
    (summary,) = named(sent, "tool_data")
    assert (summary["sent"], summary["acked"]) == (500, 500)
    member = ["--group-id", unique("verifiable"), "--max-messages", 500]
    group = ["--group-protocol", protocol, "--reset-policy", "earliest"]
    read = documents(run("VerifiableConsumer", *common, *member, *group))
    assert sum(int(str(each["count"])) for each in named(read, "records_consumed")) == 500
    assert all(each["success"] for each in named(read, "offsets_committed"))
    assert named(read, "partitions_assigned")[-1]["partitions"]


def test_the_performance_tools(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("perf"))
    load = ["--topic", topic, "--num-records", 2000, "--record-size", 100, "--throughput", -1]
    server = ["--bootstrap-server", target.bootstrap]
    plain = run("ProducerPerformance", *server, *load)
    assert "2000 records sent" in plain
    transactional = [*load, "--transactional-id", unique("perf"), "--transaction-duration-ms", 50]
    assert "2000 records sent" in run("ProducerPerformance", *server, *transactional)
    read = ["--topic", topic, "--num-records", 2000, "--timeout", 30_000]
    printed = run("ConsumerPerformance", *server, *read).strip().splitlines()
    heads, cells = ([cell.strip() for cell in line.split(",")] for line in printed[-2:])
    row = dict(zip(heads, cells, strict=True))
    assert int(row["data.consumed.in.nMsg"]) >= 2000


def test_the_latency_from_end_to_end(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("latency"))
    load = ["--topic", topic, "--num-records", 50, "--producer-acks", "all", "--record-size", 100]
    printed = run("EndToEndLatency", "--bootstrap-server", target.bootstrap, *load)
    assert "Percentiles" in printed


def test_the_console_tools(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("console"))
    server = ["--bootstrap-server", target.bootstrap, "--topic", topic]
    keyed = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]
    run("ConsoleProducer", *server, *keyed, given="a:1\nb:2\nc:3\n")
    shown = ["--from-beginning", "--max-messages", 3, "--isolation-level", "read_committed"]
    with_keys = ["--formatter-property", "print.key=true"]
    read = run("consumer.ConsoleConsumer", *server, *shown, *with_keys)
    assert read.splitlines() == ["a\t1", "b\t2", "c\t3"]


def test_the_list_of_groups_of_all_kinds(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("groups"))
    server = ["--bootstrap-server", target.bootstrap]
    run("ConsoleProducer", *server, "--topic", topic, given="1\n")
    group = unique("group")
    shown = ["--from-beginning", "--max-messages", 1, "--group", group]
    run("consumer.ConsoleConsumer", *server, "--topic", topic, *shown)
    listed = [line.split() for line in run("GroupsCommand", *server, "--list").splitlines()]
    assert listed[0] == ["GROUP", "TYPE", "PROTOCOL"]
    assert [group, "Classic", "consumer"] in listed
