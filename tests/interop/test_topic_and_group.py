"""``tape topic``, ``tape group`` and the scripts of Kafka's names, on either broker."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually, unique

BIN = Path(__file__).parents[2] / "bin"
TAPE = Path(sys.executable).parent / "tape"
NOON_MS = 1_700_000_000_000


def run(command: list[object], broker: Broker) -> "subprocess.CompletedProcess[str]":
    path = f"{TAPE.parent}:{os.environ['PATH']}"
    return subprocess.run(
        [*map(str, command), "--bootstrap-server", broker.bootstrap],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, "PATH": path},
    )


def tape(broker: Broker, *arguments: object) -> str:
    done = run([TAPE, *arguments], broker)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def document(broker: Broker, *arguments: object) -> dict[str, Any]:
    done = run([TAPE, *arguments, "-o", "json"], broker)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def script(broker: Broker, name: str, *arguments: object) -> str:
    done = run([BIN / f"{name}.sh", *arguments], broker)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fill(broker: Broker, topic: str, count: int) -> None:
    """Records of one second each in partition 0."""
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for n in range(count):
        producer.produce(topic, b"%d" % n, partition=0, timestamp=NOON_MS + 1000 * n)
    assert producer.flush(PATIENCE_S) == 0


def committed(broker: Broker, topic: str, offset: int) -> str:
    """A group without members that has committed this offset."""
    group = unique("group")
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()
    return group


# -- tape topic ------------------------------------------------------------------------------


def test_a_topic_from_creation_to_deletion(target: Broker) -> None:
    topic = unique("cli")
    create = ["topic", "create", "-t", topic, "--partitions", 2, "--config", "retention.ms=60000"]
    assert document(target, *create) == {
        "_schema": "tape.topic.create/1", "topic": topic, "created": True,
    }  # fmt: skip
    again = run([TAPE, *create], target)
    assert (again.returncode, again.stdout) == (1, "")
    assert "already exists" in again.stderr
    assert document(target, *create, "--if-not-exists")["created"] is False
    listed = document(target, "topic", "list")
    assert listed["_schema"] == "tape.topic.list/1"
    assert {"name": topic, "partitions": 2, "internal": False} in listed["topics"]

    tape(
        target, "topic", "alter", "-t", topic, "--partitions", 3,
        "--config", "segment.ms=1234", "--delete-config", "retention.ms",
        "--append-config", "cleanup.policy=compact",
    )  # fmt: skip

    def altered() -> bool:
        (found,) = document(target, "topic", "describe", "-t", topic)["topics"]
        wanted = {"segment.ms": "1234", "cleanup.policy": "delete,compact"}
        return found["configs"] == wanted and len(found["partitions"]) == 3

    eventually(altered, "the altered topic")
    assert topic in tape(target, "topic", "describe", "-t", topic).splitlines()[1]
    assert (
        tape(target, "topic", "delete", "-t", topic)
        == f"TOPIC{' ' * (len(topic) - 5)} OUTCOME\n{topic} deleted\n"
    )
    gone = document(target, "topic", "delete", "-t", topic, "--if-exists")
    assert gone["topics"] == [{"topic": topic, "outcome": "absent"}]
    other = create_topic(target.bootstrap, unique("cli"))
    done = run([TAPE, "topic", "delete", "-t", topic, "-t", other, "-o", "json"], target)
    assert done.returncode == 1
    assert done.stderr.startswith(f"tape: topic {topic}: ")
    assert json.loads(done.stdout)["topics"] == [
        {"topic": topic, "outcome": "failed"},
        {"topic": other, "outcome": "deleted"},
    ]


def test_a_topic_of_which_only_the_name_is_given(target: Broker) -> None:
    topic = unique("cli")
    assert document(target, "topic", "create", "-t", topic)["created"] is True
    assert {"name": topic, "partitions": 1, "internal": False} in (
        document(target, "topic", "list")["topics"]
    )
    nope = run([TAPE, "topic", "describe", "-t", "nope"], target)
    assert (nope.returncode, nope.stdout) == (1, "")
    assert nope.stderr.startswith("tape: topic nope: ")
    assert run([TAPE, "topic", "alter", "-t", topic], target).returncode == 2


def test_offsets_of_a_topic(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("cli"), partitions=2)
    fill(target, topic, 10)
    found = document(target, "topic", "offsets", "-t", topic)["partitions"]
    assert found == [
        {"partition": 0, "earliest": 0, "latest": 10},
        {"partition": 1, "earliest": 0, "latest": 0},
    ]
    found = document(target, "topic", "offsets", "-t", topic, "--time", NOON_MS + 2500)
    assert [each["offset"] for each in found["partitions"]] == [3, -1]


# -- tape group ------------------------------------------------------------------------------


def test_a_group_is_described_reset_and_deleted(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("cli"))
    fill(target, topic, 10)
    group = committed(target, topic, 7)
    listed = document(target, "group", "list")["groups"]
    assert {"group": group, "state": "Empty"} in listed
    (row,) = document(target, "group", "describe", "-g", group)["offsets"]
    assert (row["topic"], row["current_offset"], row["log_end_offset"], row["lag"]) == (
        topic, 7, 10, 3,
    )  # fmt: skip
    document(target, "group", "delete", "-g", group)
    assert run([TAPE, "group", "delete", "-g", group], target).returncode == 1


@pytest.mark.parametrize("view", ["--offsets", "--members", "--state"])
def test_a_group_that_nobody_knows(target: Broker, view: str) -> None:
    done = run([TAPE, "group", "describe", "-g", "nobody", view], target)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "tape: Consumer group 'nobody' does not exist.\n"


def test_what_cannot_be_reset(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("cli"))
    move = [TAPE, "group", "reset-offsets", "-g", unique("group"), "-t", topic]
    for flags, code, complaint in (
        ([], 2, "want one of --to-earliest"),
        (["--to-earliest", "--to-latest"], 2, "want one of --to-earliest"),
        (["--to-earliest", "--all-topics"], 2, "want --topic or --all-topics"),
        (["--to-earliest", "--execute", "--dry-run"], 2, "want one of the two"),
        (["--shift-by", "1"], 1, f"no committed offset of {topic}-0"),
    ):
        done = run([*move, *flags], target)
        assert (done.returncode, done.stdout) == (code, "")
        assert complaint in done.stderr


def test_a_group_that_nobody_knows_can_be_given_offsets(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("cli"))
    fill(target, topic, 10)
    group = unique("group")
    document(
        target, "group", "reset-offsets", "-g", group, "-t", topic, "--to-offset", 4, "--execute"
    )
    (row,) = document(target, "group", "describe", "-g", group)["offsets"]
    assert (row["current_offset"], row["lag"]) == (4, 6)


@pytest.mark.parametrize(
    ("scenario", "offset"),
    [
        (["--to-earliest"], 0),
        (["--to-latest"], 10),
        (["--to-current"], 7),
        (["--to-offset", 4], 4),
        (["--to-offset", 99], 10),
        (["--shift-by", -3], 4),
        (["--shift-by", -30], 0),
        (["--to-datetime", "2023-11-14T22:13:22.500Z"], 3),
        (["--to-datetime", "2023-11-15T07:13:22.500+09:00"], 3),
        (["--by-duration", "P1D"], 10),
    ],
)
def test_where_a_reset_leads(target: Broker, scenario: list[object], offset: int) -> None:
    topic = create_topic(target.bootstrap, unique("cli"))
    fill(target, topic, 10)
    group = committed(target, topic, 7)
    move = ["group", "reset-offsets", "-g", group, "--topic", topic, *scenario]
    plan = document(target, *move)
    assert plan["partitions"] == [{"topic": topic, "partition": 0, "new_offset": offset}]
    assert plan["executed"] is False
    (row,) = document(target, "group", "describe", "-g", group)["offsets"]
    assert row["current_offset"] == 7
    assert document(target, *move, "--execute")["executed"] is True
    (row,) = document(target, "group", "describe", "-g", group)["offsets"]
    assert row["current_offset"] == offset


def test_a_group_with_members_is_not_moved_and_shows_them(target: Broker) -> None:
    topic, group = create_topic(target.bootstrap, unique("cli")), unique("group")
    consumer = Consumer(
        {"bootstrap.servers": target.bootstrap, "group.id": group, "client.id": "reader"}
    )
    consumer.subscribe([topic])
    eventually(lambda: consumer.poll(0.05) or consumer.assignment(), "an assignment")
    (member,) = document(target, "group", "describe", "-g", group, "--members")["members"]
    assert (member["client_id"], member["partitions"]) == ("reader", 1)
    (state,) = document(target, "group", "describe", "-g", group, "--state")["state"]
    assert (state["state"], state["members"]) == ("Stable", 1)
    move = ["group", "reset-offsets", "-g", group, "-t", topic, "--to-earliest", "--execute"]
    done = run([TAPE, *move], target)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is inactive, but the current state is Stable" in done.stderr
    consumer.close()


# -- Kafka's names ---------------------------------------------------------------------------


def test_the_lines_of_kafka_topics(target: Broker) -> None:
    topic = unique("script")
    create = ["--create", "--topic", topic, "--partitions", 2, "--replication-factor", 1]
    configured = [*create, "--config", "segment.ms=1234"]
    assert script(target, "kafka-topics", *configured) == f"Created topic {topic}.\n"
    assert script(target, "kafka-topics", *create, "--if-not-exists") == ""
    assert topic in script(target, "kafka-topics", "--list").splitlines()
    lines = script(target, "kafka-topics", "--describe", "--topic", topic).splitlines()
    head = lines[0].split("\t")
    assert head[0] == f"Topic: {topic}"
    assert head[1].startswith("TopicId: ")
    assert head[2:4] == ["PartitionCount: 2", "ReplicationFactor: 1"]
    assert "segment.ms=1234" in head[4]
    assert lines[1] == f"\tTopic: {topic}\tPartition: 0\tLeader: 1\tReplicas: 1\tIsr: 1"
    assert script(target, "kafka-topics", "--alter", "--topic", topic, "--partitions", 3) == ""
    assert script(target, "kafka-topics", "--delete", "--topic", topic) == ""
    done = run([BIN / "kafka-topics.sh", "--list", "--delete"], target)
    assert done.returncode == 2


def test_the_lines_of_kafka_consumer_groups(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("script"))
    fill(target, topic, 10)
    group = committed(target, topic, 7)
    assert group in script(target, "kafka-consumer-groups", "--list").splitlines()
    shown = script(target, "kafka-consumer-groups", "--describe", "--group", group)
    assert [line.split() for line in shown.splitlines()] == [
        [],
        [
            "GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG",
            "CONSUMER-ID", "HOST", "CLIENT-ID",
        ],
        [group, topic, "0", "7", "10", "3", "-", "-", "-"],
    ]  # fmt: skip
    move = ["--reset-offsets", "--group", group, "--topic", f"{topic}:0", "--shift-by", "-2"]
    shown = script(target, "kafka-consumer-groups", *move, "--execute")
    assert [line.split() for line in shown.splitlines()] == [
        [],
        ["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"],
        [group, topic, "0", "5"],
    ]
    assert script(target, "kafka-consumer-groups", "--delete", "--group", group) == (
        f"Deletion of requested consumer groups ('{group}') was successful.\n"
    )


def test_the_lines_of_kafka_configs(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("script"))
    entity = ["--entity-type", "topics", "--entity-name", topic]
    added = ["--add-config", "cleanup.policy=[delete,compact],segment.ms=1234"]
    assert script(target, "kafka-configs", "--alter", *entity, *added) == (
        f"Completed updating config for topic {topic}.\n"
    )
    shown = eventually(
        lambda: (
            lines
            if len(lines := script(target, "kafka-configs", "--describe", *entity).splitlines()) > 1
            else None
        ),
        "the altered configs",
    )
    assert shown[0] == f"Dynamic configs for topic {topic} are:"
    assert shown[1].startswith("  cleanup.policy=delete,compact sensitive=false synonyms={DYNAMIC_")
    assert shown[2].startswith("  segment.ms=1234 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:")
    every = script(target, "kafka-configs", "--describe", "--all", "--topic", topic).splitlines()
    assert len(every) > 25
    broker = script(target, "kafka-configs", "--describe", "--all", "--broker", "1")
    assert "\n  num.partitions=1 sensitive=false" in broker


def test_the_examples_of_the_docs_work(target: Broker, tmp_path: Path) -> None:
    """Every command line of docs/admin.md, in order, with names of our own."""
    text = (BIN.parent / "docs" / "admin.md").read_text()
    topic, group = unique("ticks"), unique("readers")
    examples = [line.partition("#")[0] for line in text.splitlines() if line.startswith("tape ")]
    assert len(examples) > 10
    deletion = next(line for line in examples if line.startswith("tape topic delete"))
    examples.remove(deletion)
    for line in [*examples, deletion]:
        arguments = [{"ticks": topic, "readers": group}.get(word, word) for word in line.split()]
        arguments = [word.replace("ticks:", f"{topic}:") for word in arguments]
        arguments = [word.replace("s3://bucket", str(tmp_path)) for word in arguments]
        if "group" in arguments and "describe" in arguments:
            fill(target, topic, 1)
            consumer = Consumer({"bootstrap.servers": target.bootstrap, "group.id": group})
            places = [TopicPartition(topic, index, 0) for index in (0, 1)]
            consumer.commit(offsets=places, asynchronous=False)
            consumer.close()
        if "txn" in arguments and "describe" in arguments:
            for feeder in arguments[3:5]:
                begun = Producer(
                    {"bootstrap.servers": target.bootstrap, "transactional.id": feeder}
                )
                begun.init_transactions(PATIENCE_S)
        done = run([TAPE, *arguments[1:]], target)
        if "abort" in arguments:
            assert "no transaction" in done.stderr, (line, done.stderr)
        else:
            assert done.returncode == 0, (line, done.stderr)
