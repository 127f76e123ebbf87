"""Topics, partitions, configs and the cluster: what an admin client may ask, and must not."""

from typing import Any, Final
from uuid import UUID

from tests.interop.transcripts.player import Player, Scenario

from tickertape.wire.schema import alter_configs, incremental_alter_configs
from tickertape.wire.schema.alter_configs import AlterConfigsRequest
from tickertape.wire.schema.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from tickertape.wire.schema.api_versions import ApiVersionsRequest
from tickertape.wire.schema.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from tickertape.wire.schema.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from tickertape.wire.schema.delete_topics import DeleteTopicsRequest, DeleteTopicState
from tickertape.wire.schema.describe_cluster import DescribeClusterRequest
from tickertape.wire.schema.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from tickertape.wire.schema.elect_leaders import ElectLeadersRequest, TopicPartitions
from tickertape.wire.schema.incremental_alter_configs import IncrementalAlterConfigsRequest
from tickertape.wire.schema.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
)

TOPIC, BROKER, LOGGER = 2, 4, 8
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
NOBODY: Final = UUID(int=0x1234)


def creatable(name: str, **other: Any) -> CreatableTopic:  # noqa: ANN401  # what is to be wrong
    given = other.get("assignments", {})
    return CreatableTopic(
        name=name,
        num_partitions=other.get("partitions", -1 if given else 1),
        replication_factor=other.get("replicas", -1 if given else 1),
        assignments=[
            CreatableReplicaAssignment(partition_index=index, broker_ids=brokers)
            for index, brokers in given.items()
        ],
        configs=[
            CreatableTopicConfig(name=key, value=value)
            for key, value in other.get("configs", {}).items()
        ],
    )


def create_topics(play: Player) -> None:
    there = play.topic("there")
    for version in (2, 4, 5, 7):
        for note, name, other in (
            ("a topic that is there", there, {}),
            ("an empty name", "", {}),
            ("a dot", ".", {}),
            ("a slash", "a/b", {}),
            ("a long name", "x" * 250, {}),
            ("no partitions", "t0", {"partitions": 0}),
            ("partitions below zero", "t1", {"partitions": -3}),
            ("no replicas", "t2", {"replicas": 0}),
            ("two replicas", "t3", {"replicas": 2}),
            ("an unknown config", "t4", {"configs": {"no.such": "1"}}),
            ("a config that is no number", "t5", {"configs": {"segment.ms": "soon"}}),
            ("a config out of range", "t6", {"configs": {"segment.ms": "0"}}),
            ("a config of null", play.name(f"t7.v{version}"), {"configs": {"segment.ms": None}}),
            ("an unknown policy", "t8", {"configs": {"cleanup.policy": "keep"}}),
            ("both kinds of placement", "t9", {"assignments": {0: [1]}, "partitions": 2}),
            ("an unknown broker", "t10", {"assignments": {0: [9]}}),
            ("the same broker twice", "t11", {"assignments": {0: [1, 1]}}),
            ("a gap in the partitions", "t12", {"assignments": {1: [1]}}),
            ("a partition without brokers", "t13", {"assignments": {0: []}}),
        ):
            request = CreateTopicsRequest(topics=[creatable(name, **other)], timeout_ms=30_000)
            play.ask(note, request, version)
        fresh = [play.name(f"fresh-{n}.v{version}") for n in range(3)]
        dry = CreateTopicsRequest(
            topics=[creatable(fresh[0])], timeout_ms=30_000, validate_only=True
        )
        play.ask("only validated", dry, version)
        twice = [creatable(fresh[0]), creatable(fresh[0])]
        play.ask("twice", CreateTopicsRequest(topics=twice, timeout_ms=30_000), version)
        placed = creatable(fresh[1], assignments={0: [1], 1: [1]})
        play.ask("placed", CreateTopicsRequest(topics=[placed], timeout_ms=30_000), version)
        mixed = [creatable(fresh[2]), creatable(there), creatable("a b")]
        play.ask("good and bad", CreateTopicsRequest(topics=mixed, timeout_ms=30_000), version)
        play.ask("nothing", CreateTopicsRequest(topics=[], timeout_ms=30_000), version)


def create_partitions(play: Player) -> None:
    play.group("partitions")  # so that the offsets topic is there
    for version in range(4):
        topic = play.topic(f"grown.v{version}", partitions=2)
        for note, name, count, assignments in (
            ("fewer", topic, 1, None),
            ("as many", topic, 2, None),
            ("none", topic, 0, None),
            ("below zero", topic, -1, None),
            ("an unknown topic", play.name("absent"), 3, None),
            ("an empty name", "", 3, None),
            ("too few places", topic, 4, [[1]]),
            ("an unknown broker", topic, 3, [[9]]),
            ("no broker", topic, 3, [[]]),
            ("too many replicas", topic, 3, [[1, 1]]),
            ("placed", topic, 3, [[1]]),
            ("more", topic, 5, None),
        ):
            placed = (
                None
                if assignments is None
                else [CreatePartitionsAssignment(broker_ids=one) for one in assignments]
            )
            one = CreatePartitionsTopic(name=name, count=count, assignments=placed)
            request = CreatePartitionsRequest(topics=[one], timeout_ms=30_000)
            play.ask(note, request, version)
        more = CreatePartitionsTopic(name=topic, count=7, assignments=None)
        dry = CreatePartitionsRequest(topics=[more], timeout_ms=30_000, validate_only=True)
        play.ask("only validated", dry, version)
        play.ask("twice", CreatePartitionsRequest(topics=[more, more], timeout_ms=30_000), version)


def delete_topics(play: Player) -> None:
    for version in range(1, 7):
        topic = play.topic(f"gone.v{version}")
        for note, names in (
            ("an unknown topic", [play.name("absent")]),
            ("an empty name", [""]),
            ("good and bad", [topic, play.name("absent")]),
            ("again", [topic]),
            ("nothing", []),
        ):
            states = [DeleteTopicState(name=name) for name in names]
            request = DeleteTopicsRequest(topics=states, topic_names=names, timeout_ms=30_000)
            play.ask(note, request, version)
    topic = play.topic("gone-twice")
    twice = [DeleteTopicState(name=topic), DeleteTopicState(name=topic)]
    play.ask("twice", DeleteTopicsRequest(topics=twice, timeout_ms=30_000), 6)
    unknown = [DeleteTopicState(name=None, topic_id=NOBODY)]
    play.ask("an unknown id", DeleteTopicsRequest(topics=unknown, timeout_ms=30_000), 6)
    both = [DeleteTopicState(name=topic, topic_id=NOBODY)]
    play.ask("a name and an id", DeleteTopicsRequest(topics=both, timeout_ms=30_000), 6)
    neither = [DeleteTopicState(name=None)]
    play.ask("neither", DeleteTopicsRequest(topics=neither, timeout_ms=30_000), 6)


CHANGES: Final = (
    ("a number", "segment.ms", "1000"),
    ("no number", "segment.ms", "soon"),
    ("out of range", "segment.ms", "0"),
    ("an empty value", "segment.ms", ""),
    ("null", "segment.ms", None),
    ("an unknown name", "no.such", "1"),
    ("an empty name", "", "1"),
    ("a list", "cleanup.policy", "compact,delete"),
    ("a list with a stranger", "cleanup.policy", "compact,keep"),
    ("a flag", "preallocate", "maybe"),
    ("a choice", "message.timestamp.type", "Never"),
    ("a ratio", "min.cleanable.dirty.ratio", "1.5"),
)


def incremental_alter(play: Player) -> None:
    topic = play.topic("altered")

    def alter(note: str, configs: list[tuple[str, int, str | None]], **other: Any) -> None:  # noqa: ANN401  # what is to be wrong
        entries = [
            incremental_alter_configs.AlterableConfig(name=name, config_operation=how, value=value)
            for name, how, value in configs
        ]
        resource = incremental_alter_configs.AlterConfigsResource(
            resource_type=other.get("kind", TOPIC),
            resource_name=other.get("name", topic),
            configs=entries,
        )
        for version in (0, 1):
            request = IncrementalAlterConfigsRequest(
                resources=[resource] * other.get("times", 1),
                validate_only=other.get("dry", False),
            )
            play.ask(note, request, version)

    for note, name, value in CHANGES:
        alter(f"set {note}", [(name, SET, value)])
        alter(f"only validated, {note}", [(name, SET, value)], dry=True)
        told(play, f"set {note}", topic)
    alter("append to a number", [("segment.ms", APPEND, "1")])
    alter("subtract from a number", [("segment.ms", SUBTRACT, "1")])
    alter("append", [("cleanup.policy", APPEND, "compact")])
    alter("append again", [("cleanup.policy", APPEND, "compact")])
    alter("subtract", [("cleanup.policy", SUBTRACT, "delete")])
    alter("subtract what is not", [("cleanup.policy", SUBTRACT, "delete")])
    alter("an unknown operation", [("segment.ms", 9, "1")])
    alter("one name twice", [("segment.ms", SET, "10"), ("segment.ms", DELETE, None)])
    alter("one resource twice", [("segment.ms", SET, "10")], times=2)
    alter("good and bad", [("segment.ms", SET, "55"), ("no.such", SET, "1")])
    alter("delete", [("segment.ms", DELETE, None)])
    alter("delete what is not set", [("segment.ms", DELETE, None)])
    alter("delete an unknown name", [("no.such", DELETE, None)])
    alter("nothing", [])
    alter("an unknown topic", [("segment.ms", SET, "10")], name=play.name("absent"))
    alter("an empty name of a topic", [("segment.ms", SET, "10")], name="")
    alter("an unknown broker", [("log.retention.ms", SET, "10")], kind=BROKER, name="77")
    alter("a broker that is no number", [("log.retention.ms", SET, "1")], kind=BROKER, name="x")
    alter("an unknown type", [("segment.ms", SET, "10")], kind=99)
    alter("the unknown type", [("segment.ms", SET, "10")], kind=0)
    told(play, "in the end", topic)


def told(play: Player, note: str, topic: str) -> None:
    """What DescribeConfigs says of the configs that these scenarios change."""
    keys = ["segment.ms", "cleanup.policy", "retention.ms"]
    resource = DescribeConfigsResource(
        resource_type=TOPIC, resource_name=topic, configuration_keys=keys
    )
    play.ask(f"{note}, told", DescribeConfigsRequest(resources=[resource]), 4)


def alter(play: Player) -> None:
    """AlterConfigs: whatever is not named goes back to its default."""
    topic = play.topic("replaced", segment_ms="777", retention_ms="5000")
    for version in range(3):
        for note, name, value in CHANGES:
            entry = alter_configs.AlterableConfig(name=name, value=value)
            resource = alter_configs.AlterConfigsResource(
                resource_type=TOPIC, resource_name=topic, configs=[entry]
            )
            play.ask(note, AlterConfigsRequest(resources=[resource]), version)
        told(play, "in the end", topic)
        for note, kind, name in (
            ("an unknown topic", TOPIC, play.name("absent")),
            ("an unknown type", 99, topic),
            ("an unknown broker", BROKER, "77"),
        ):
            entry = alter_configs.AlterableConfig(name="segment.ms", value="10")
            resource = alter_configs.AlterConfigsResource(
                resource_type=kind, resource_name=name, configs=[entry]
            )
            play.ask(note, AlterConfigsRequest(resources=[resource]), version)


def describe_configs(play: Player) -> None:
    topic = play.topic("described", segment_ms="777")
    for version in range(1, 5):
        for note, kind, name, keys in (
            ("some", TOPIC, topic, ["segment.ms", "cleanup.policy", "retention.ms"]),
            ("unknown keys", TOPIC, topic, ["no.such"]),
            ("no keys", TOPIC, topic, []),
            ("an unknown topic", TOPIC, play.name("absent"), None),
            ("an invalid topic", TOPIC, "a/b", None),
            ("an unknown broker", BROKER, "77", None),
            ("a broker that is no number", BROKER, "x", None),
            ("an unknown type", 99, topic, None),
        ):
            resource = DescribeConfigsResource(
                resource_type=kind, resource_name=name, configuration_keys=keys
            )
            play.ask(note, DescribeConfigsRequest(resources=[resource]), version)
        request = DescribeConfigsRequest(
            resources=[DescribeConfigsResource(resource_type=TOPIC, resource_name=topic)],
            include_synonyms=False,
        )
        request.resources[0].configuration_keys = None
        play.ask("all of a topic", request, version)


def leaders_and_places(play: Player) -> None:
    topic, absent = play.topic("placed", partitions=2), play.name("absent")
    for version in range(3):
        for note, kind, where in (
            ("preferred", 0, [(topic, [0, 1])]),
            ("an unknown partition", 0, [(topic, [7])]),
            ("an unknown topic", 0, [(absent, [0])]),
            ("nothing", 0, []),
            ("unclean", 1, [(topic, [0])]),
            ("an unknown kind", 5, [(topic, [0])]),
        ):
            if kind and version == 0:
                continue
            chosen = [TopicPartitions(topic=name, partitions=parts) for name, parts in where]
            request = ElectLeadersRequest(
                election_type=kind, topic_partitions=chosen, timeout_ms=30_000
            )
            play.ask(f"elect {note}", request, version)
    for note, name, index, replicas in (
        ("where it is", topic, 0, [1]),
        ("an unknown broker", topic, 0, [9]),
        ("one broker twice", topic, 0, [1, 1]),
        ("below zero", topic, 0, [-1]),
        ("nowhere", topic, 0, []),
        ("a cancellation of nothing", topic, 0, None),
        ("an unknown partition", topic, 7, [1]),
        ("an unknown topic", absent, 0, [1]),
    ):
        part = ReassignablePartition(partition_index=index, replicas=replicas)
        one = ReassignableTopic(name=name, partitions=[part])
        move = AlterPartitionReassignmentsRequest(topics=[one], timeout_ms=30_000)
        play.ask(f"move to {note}", move, 0)
    wanted = [ListPartitionReassignmentsTopics(name=topic, partition_indexes=[0, 9])]
    for note, topics in (("some", wanted), ("all", None)):
        listed = ListPartitionReassignmentsRequest(topics=topics, timeout_ms=30_000)
        play.ask(f"moves of {note}", listed, 0)


def the_cluster(play: Player) -> None:
    for version in range(3):
        for note, kind in (("brokers", 1), ("controllers", 2), ("an unknown kind", 7)):
            if kind > 1 and version == 0:
                continue
            play.ask(note, DescribeClusterRequest(endpoint_type=kind), version)
    for note, name, number in (
        ("no software", "", ""),
        ("odd software", "a b", "1"),
        ("odd version", "script", "-1-"),
    ):
        request = ApiVersionsRequest(client_software_name=name, client_software_version=number)
        play.code(note, request, 4, via=note)


SCENARIOS: Final[dict[str, Scenario]] = {
    "create_topics": create_topics,
    "create_partitions": create_partitions,
    "delete_topics": delete_topics,
    "incremental_alter": incremental_alter,
    "alter": alter,
    "describe_configs": describe_configs,
    "leaders_and_places": leaders_and_places,
    "the_cluster": the_cluster,
}
