"""Apache Kafka's own command-line tools, 4.3, on either broker: what they print, how they end."""

import json
import subprocess
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually, java, unique

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

TOPICS = "org.apache.kafka.tools.TopicCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
CONFIGS = "kafka.admin.ConfigCommand"
RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand"
OFFSETS = "org.apache.kafka.tools.GetOffsetShell"
DIRS = "org.apache.kafka.tools.LogDirsCommand"
ELECT = "org.apache.kafka.tools.LeaderElectionCommand"
MOVES = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
ACLS = "org.apache.kafka.tools.AclCommand"
TRANSACTIONS = "org.apache.kafka.tools.TransactionsCommand"
FEATURES = "org.apache.kafka.tools.FeatureCommand"
CLUSTER = "org.apache.kafka.tools.ClusterTool"
VERSIONS = "org.apache.kafka.tools.BrokerApiVersionsCommand"


def run(tool: str, target: Broker, *arguments: object) -> "subprocess.CompletedProcess[str]":
    server = ["--bootstrap-server", target.bootstrap]
    given = [*map(str, arguments)]
    command = [*given, *server] if tool == CLUSTER else [*server, *given]
    return subprocess.run(
        [*java("apache"), tool, *command],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        check=False,
    )


def lines(tool: str, target: Broker, *arguments: object) -> list[str]:
    done = run(tool, target, *arguments)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    return [line for line in done.stdout.splitlines() if line.strip()]


def words(tool: str, target: Broker, *arguments: object) -> list[list[str]]:
    return [line.split() for line in lines(tool, target, *arguments)]


def fill(target: Broker, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": target.bootstrap})
    for n in range(count):
        producer.produce(topic, b"%d" % n, partition=0)
    assert producer.flush(PATIENCE_S) == 0


def committed(target: Broker, topic: str, offset: int) -> str:
    group = unique("group")
    consumer = Consumer({"bootstrap.servers": target.bootstrap, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()
    return group


def test_topics(target: Broker) -> None:
    topic = unique("tool")
    create = ["--create", "--topic", topic, "--partitions", 2, "--config", "segment.ms=1234"]
    assert lines(TOPICS, target, *create) == [f"Created topic {topic}."]
    assert topic in lines(TOPICS, target, "--list")
    shown = lines(TOPICS, target, "--describe", "--topic", topic)
    assert "PartitionCount: 2\tReplicationFactor: 1" in shown[0]
    assert "segment.ms=1234" in shown[0]
    wanted = f"\tTopic: {topic}\tPartition: 1\tLeader: 1\tReplicas: 1\tIsr: 1"
    assert shown[2].startswith(wanted)
    assert lines(TOPICS, target, "--alter", "--topic", topic, "--partitions", 3) == []
    eventually(
        lambda: len(lines(TOPICS, target, "--describe", "--topic", topic)) == 4, "3 partitions"
    )
    fewer = run(TOPICS, target, "--alter", "--topic", topic, "--partitions", 2)
    assert fewer.returncode == 1
    assert "would not be an increase" in fewer.stdout + fewer.stderr
    assert lines(TOPICS, target, "--delete", "--topic", topic) == []
    eventually(lambda: topic not in lines(TOPICS, target, "--list"), "the topic is gone")


def test_configs(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("tool"))
    entity = ["--entity-type", "topics", "--entity-name", topic]
    added = ["--add-config", "cleanup.policy=[delete,compact],retention.ms=60000"]
    assert lines(CONFIGS, target, "--alter", *entity, *added) == [
        f"Completed updating config for topic {topic}."
    ]
    shown = eventually(
        lambda: (found := lines(CONFIGS, target, "--describe", *entity))[1:] and found,
        "the altered configs",
    )
    assert isinstance(shown, list)
    assert shown[0] == f"Dynamic configs for topic {topic} are:"
    assert {line.split()[0] for line in shown[1:]} == {
        "cleanup.policy=delete,compact",
        "retention.ms=60000",
    }
    every = lines(CONFIGS, target, "--describe", "--all", *entity)
    assert len(every) == 34
    lines(CONFIGS, target, "--alter", *entity, "--delete-config", "retention.ms")
    broker = ["--entity-type", "brokers", "--entity-name", "1"]
    every = lines(CONFIGS, target, "--describe", "--all", *broker)
    assert any(line.split()[0] == "offsets.topic.num.partitions=4" for line in every)
    refused = run(CONFIGS, target, "--alter", *entity, "--add-config", "segment.ms=soon")
    assert refused.returncode == 1
    assert "InvalidConfigurationException" in refused.stderr + refused.stdout


def test_consumer_groups(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("tool"), partitions=2)
    fill(target, topic, 10)
    group = committed(target, topic, 7)
    assert group in lines(GROUPS, target, "--list")
    shown = words(GROUPS, target, "--describe", "--group", group)
    row = dict(zip(shown[0], shown[1], strict=False))
    assert (row["GROUP"], row["TOPIC"], row["CURRENT-OFFSET"], row["LAG"]) == (
        group, topic, "7", "3",
    )  # fmt: skip
    state = words(GROUPS, target, "--describe", "--group", group, "--state")
    assert "Empty" in state[1]
    move = ["--reset-offsets", "--group", group, "--topic", f"{topic}:0", "--shift-by", "-2"]
    moved = words(GROUPS, target, *move, "--execute")
    assert moved[-1] == [group, topic, "0", "5"]
    one = ["--delete-offsets", "--group", group, "--topic", f"{topic}:0"]
    assert [topic, "0", "Successful"] in words(GROUPS, target, *one)
    (outcome,) = lines(GROUPS, target, "--delete", "--group", group)
    assert outcome == f"Deletion of requested consumer groups ('{group}') was successful."
    again = run(GROUPS, target, "--delete", "--group", group)
    assert "GroupIdNotFoundException" in again.stdout + again.stderr


def test_a_group_with_members_is_described_and_kept(target: Broker) -> None:
    topic, group = create_topic(target.bootstrap, unique("tool")), unique("group")
    settings = {"group.id": group, "client.id": "reader", "session.timeout.ms": 120_000}
    consumer = Consumer({"bootstrap.servers": target.bootstrap, **settings})
    consumer.subscribe([topic])
    eventually(lambda: consumer.poll(0.05) or consumer.assignment(), "an assignment")
    members = words(GROUPS, target, "--describe", "--group", group, "--members")
    assert (members[1][0], members[1][-2:]) == (group, ["reader", "1"])
    kept = run(GROUPS, target, "--delete", "--group", group)
    assert "GroupNotEmptyException" in kept.stdout + kept.stderr
    consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    one = ["--delete-offsets", "--group", group, "--topic", topic]
    kept = run(GROUPS, target, *one)
    assert "GroupSubscribedToTopicException" in kept.stdout + kept.stderr
    consumer.close()


def test_records_and_offsets(target: Broker, tmp_path: Path) -> None:
    topic = create_topic(target.bootstrap, unique("tool"))
    fill(target, topic, 10)
    wanted = tmp_path / "records.json"
    where = {"topic": topic, "partition": 0, "offset": 4}
    wanted.write_text(json.dumps({"version": 1, "partitions": [where]}))
    shown = lines(RECORDS, target, "--offset-json-file", wanted)
    assert shown[-1].split() == ["partition:", f"{topic}-0", "low_watermark:", "4"]
    assert lines(OFFSETS, target, "--topic", topic, "--time", "earliest") == [f"{topic}:0:4"]
    assert lines(OFFSETS, target, "--topic", topic) == [f"{topic}:0:10"]


def test_the_tools_that_find_nothing_to_do(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("tool"))
    shown = lines(DIRS, target, "--describe", "--topic-list", topic)
    assert f'"partition":"{topic}-0"' in shown[-1]
    election = ["--election-type", "PREFERRED", "--topic", topic, "--partition", 0]
    assert "already elected" in " ".join(lines(ELECT, target, *election)).lower()
    assert lines(MOVES, target, "--list") == ["No partition reassignments found."]
    refused = run(ACLS, target, "--list")
    assert "SecurityDisabledException" in refused.stdout + refused.stderr


def test_the_producers_of_a_partition(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("tool"))
    producer = Producer({"bootstrap.servers": target.bootstrap, "enable.idempotence": True})
    for n in range(3):
        producer.produce(topic, b"%d" % n, partition=0)
        assert producer.flush(PATIENCE_S) == 0
    where = ["describe-producers", "--topic", topic, "--partition", 0]
    heads, row = words(TRANSACTIONS, target, *where)
    assert heads[:4] == ["ProducerId", "ProducerEpoch", "LatestCoordinatorEpoch", "LastSequence"]
    assert (row[1], row[3], row[-1]) == ("0", "2", "None")


def opened(target: Broker, topic: str) -> tuple[Producer, str]:
    """A producer with an open transaction of two records, and its transactional id."""
    name = unique("tx")
    producer = Producer({"bootstrap.servers": target.bootstrap, "transactional.id": name})
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    for n in range(2):
        producer.produce(topic, b"%d" % n, partition=0)
    assert producer.flush(PATIENCE_S) == 0
    return producer, name


def row(found: list[list[str]]) -> dict[str, str]:
    heads, cells = found
    return dict(zip(heads, cells, strict=False))


def test_an_open_transaction(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("tool"))
    producer, name = opened(target, topic)
    shown = row(words(TRANSACTIONS, target, "describe", "--transactional-id", name))
    assert (shown["TransactionState"], shown["TopicPartitions"]) == ("Ongoing", f"{topic}-0")
    assert [name, "1", shown["ProducerId"], "Ongoing"] in words(TRANSACTIONS, target, "list")
    where = ["--topic", topic, "--partition", 0]
    of_topic = row(words(TRANSACTIONS, target, "describe-producers", *where))
    assert (of_topic["ProducerId"], of_topic["CurrentTransactionStartOffset"]) == (
        shown["ProducerId"], "0",
    )  # fmt: skip
    hanging = ["find-hanging", "--broker-id", 1, "--max-transaction-timeout", 15]
    assert len(lines(TRANSACTIONS, target, *hanging)) == 1  # the heads
    assert lines(TRANSACTIONS, target, "abort", *where, "--start-offset", 0) == []
    of_topic = row(words(TRANSACTIONS, target, "describe-producers", *where))
    assert of_topic["CurrentTransactionStartOffset"] == "None"
    producer.abort_transaction(PATIENCE_S)
    shown = row(words(TRANSACTIONS, target, "describe", "--transactional-id", name))
    assert shown["TransactionState"] == "CompleteAbort"
    refused = run(TRANSACTIONS, target, "describe", "--transactional-id", unique("nobody"))
    assert refused.returncode == 1
    assert "the ID could not be found" in refused.stderr


def test_features(target: Broker) -> None:
    name = "transaction.version"
    (shown,) = [each for each in words(FEATURES, target, "describe") if name in each]
    assert shown[:8] == [
        "Feature:", name, "SupportedMinVersion:", "0", "SupportedMaxVersion:", "2",
        "FinalizedVersionLevel:", "2",
    ]  # fmt: skip
    down = lines(FEATURES, target, "downgrade", "--feature", f"{name}=1")
    assert down == [f"{name} was downgraded to 1."]
    refused = run(FEATURES, target, "upgrade", "--feature", f"{name}=9")
    assert refused.returncode == 1
    assert f"Could not upgrade {name} to 9." in refused.stdout
    up = lines(FEATURES, target, "upgrade", "--feature", f"{name}=2")
    assert up == [f"{name} was upgraded to 2."]


def test_the_cluster_and_its_apis(target: Broker) -> None:
    (shown,) = lines(CLUSTER, target, "cluster-id")
    assert shown.startswith("Cluster ID: ")
    apis = "\n".join(lines(VERSIONS, target))
    assert "DeleteGroups(42): 0 to 2 [usable: 2]" in apis
    assert "DescribeCluster(60): 0 to 2 [usable: 2]" in apis
