"""Records deleted, partitions added, the cluster, log folders, elections, reassignments, ACLs."""

import pytest
from tests.unit.broker.harness import Core, batch, fetched, produced

from tickertape.broker.state.settings import BrokerSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignableTopic,
)
from tickertape.wire.schema.create_acls import AclCreation, CreateAclsRequest, CreateAclsResponse
from tickertape.wire.schema.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from tickertape.wire.schema.delete_acls import (
    DeleteAclsFilter,
    DeleteAclsRequest,
    DeleteAclsResponse,
)
from tickertape.wire.schema.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopic,
)
from tickertape.wire.schema.describe_acls import DescribeAclsRequest, DescribeAclsResponse
from tickertape.wire.schema.describe_cluster import DescribeClusterRequest, DescribeClusterResponse
from tickertape.wire.schema.describe_log_dirs import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
)
from tickertape.wire.schema.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
)
from tickertape.wire.schema.describe_producers import TopicRequest as ProducersOf
from tickertape.wire.schema.describe_topic_partitions import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    RequestCursor,
    TopicRequest,
)
from tickertape.wire.schema.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    TopicPartitions,
)
from tickertape.wire.schema.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)

OLDEST_AND_NEWEST = {
    "records": pytest.mark.parametrize("version", [0, 2]),
    "partitions": pytest.mark.parametrize("version", [0, 3]),
    "dirs": pytest.mark.parametrize("version", [1, 4]),
    "cluster": pytest.mark.parametrize("version", [0, 2]),
    "elect": pytest.mark.parametrize("version", [0, 2]),
    "acls": pytest.mark.parametrize("version", [1, 3]),
}


@pytest.fixture
def core() -> Core:
    core = Core(BrokerSettings(node_id=3, advertised_host="here", advertised_port=77, rack="r"))
    core.create("t", 2)
    return core


# -- DeleteRecords ---------------------------------------------------------------------------


def delete_to(
    core: Core, offset: int, *, topic: str = "t", partition: int = 0, version: int = 2
) -> DeleteRecordsPartitionResult:
    part = DeleteRecordsPartition(partition_index=partition, offset=offset)
    ask = DeleteRecordsRequest(topics=[DeleteRecordsTopic(name=topic, partitions=[part])])
    response = core.ask(ApiKey.DELETE_RECORDS, version, ask, DeleteRecordsResponse)
    (result,) = response.topics[0].partitions
    return result


@OLDEST_AND_NEWEST["records"]
def test_what_is_below_the_offset_is_gone_also_after_a_crash(core: Core, version: int) -> None:
    core.produce("t", batch("a", "b", "c"))
    result = delete_to(core, 2, version=version)
    assert (result.error_code, result.low_watermark) == (ErrorCode.NONE, 2)
    core.crash()
    assert fetched(core.fetch("t", 1)).error == ErrorCode.OFFSET_OUT_OF_RANGE
    assert fetched(core.fetch("t", 2)).log_start_offset == 2


def test_minus_one_deletes_all_that_is_durable(core: Core) -> None:
    core.produce("t", batch("a", "b", "c"))
    assert delete_to(core, -1).low_watermark == 3
    assert produced(core.produce("t", batch("d"))).base_offset == 3


def test_a_fetch_that_waits_below_the_new_start_is_told(core: Core) -> None:
    core.produce("t", batch("a"))
    waiting = core.fetch("t", 0, max_wait_ms=60_000, min_bytes=1 << 20)
    assert not waiting.answered
    delete_to(core, 1)
    core.pass_ms(60_000)
    assert fetched(waiting).error == ErrorCode.OFFSET_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("topic", "partition", "offset", "error"),
    [
        ("t", 0, 4, ErrorCode.OFFSET_OUT_OF_RANGE),
        ("t", 0, -2, ErrorCode.OFFSET_OUT_OF_RANGE),
        ("t", 2, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("nope", 0, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("compacted", 0, 0, ErrorCode.POLICY_VIOLATION),
        ("__consumer_offsets", 0, 0, ErrorCode.INVALID_TOPIC_EXCEPTION),
    ],
)
def test_refused_deletions(
    core: Core, topic: str, partition: int, offset: int, error: ErrorCode
) -> None:
    core.create("compacted", cleanup_policy="compact")
    core.produce("t", batch("a", "b", "c"))
    result = delete_to(core, offset, topic=topic, partition=partition)
    assert (result.error_code, result.low_watermark) == (error, -1)


# -- CreatePartitions ------------------------------------------------------------------------


def grow(
    core: Core, *topics: CreatePartitionsTopic, version: int = 3, validate_only: bool = False
) -> list[ErrorCode]:
    ask = CreatePartitionsRequest(topics=list(topics), validate_only=validate_only)
    response = core.ask(ApiKey.CREATE_PARTITIONS, version, ask, CreatePartitionsResponse)
    for result in response.results:
        assert (result.error_message is None) == (result.error_code == ErrorCode.NONE)
    return [ErrorCode(result.error_code) for result in response.results]


def to(count: int, name: str = "t", on: list[int] | None = None) -> CreatePartitionsTopic:
    placed = None if on is None else [CreatePartitionsAssignment(broker_ids=[id_]) for id_ in on]
    return CreatePartitionsTopic(name=name, count=count, assignments=placed)


@OLDEST_AND_NEWEST["partitions"]
def test_a_topic_grows_and_keeps_its_records_through_a_crash(core: Core, version: int) -> None:
    core.produce("t", batch("a"), partition=1)
    assert grow(core, to(4), version=version) == [ErrorCode.NONE]
    assert produced(core.produce("t", batch("b"), partition=3)).error == ErrorCode.NONE
    core.crash()
    topic = core.broker.topics.get("t")
    assert topic is not None
    assert [partition and partition.log.end_offset for partition in topic.partitions] == [
        0,
        1,
        0,
        1,
    ]


def test_validate_only_adds_nothing(core: Core) -> None:
    assert grow(core, to(9), validate_only=True) == [ErrorCode.NONE]
    assert produced(core.produce("t", batch("a"), partition=2)).error == (
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    )


def test_assignments_name_this_broker(core: Core) -> None:
    assert grow(core, to(3, on=[3])) == [ErrorCode.NONE]
    assert grow(core, to(4, on=[8])) == [ErrorCode.INVALID_REPLICA_ASSIGNMENT]
    assert grow(core, to(5, on=[3])) == [ErrorCode.INVALID_REPLICA_ASSIGNMENT]


def test_refused_growth(core: Core) -> None:
    core.broker.groups.prepare()
    assert grow(core, to(2), to(2, "nope"), to(60, "__consumer_offsets")) == [
        ErrorCode.INVALID_PARTITIONS,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.INVALID_TOPIC_EXCEPTION,
    ]
    assert grow(core, to(1)) == [ErrorCode.INVALID_PARTITIONS]
    assert grow(core, to(10_001)) == [ErrorCode.INVALID_PARTITIONS]
    assert grow(core, to(3), to(4)) == [ErrorCode.INVALID_REQUEST]


def test_a_disk_that_refuses_leaves_the_topic_as_it_was(core: Core) -> None:
    core.fs.fail_at(1)
    assert grow(core, to(3)) == [ErrorCode.KAFKA_STORAGE_ERROR]
    topic = core.broker.topics.get("t")
    assert topic is not None
    assert len(topic.partitions) == 2


# -- DescribeCluster, DescribeLogDirs --------------------------------------------------------


@OLDEST_AND_NEWEST["cluster"]
def test_the_cluster_is_this_broker(core: Core, version: int) -> None:
    ask = DescribeClusterRequest(include_cluster_authorized_operations=True)
    response = core.ask(ApiKey.DESCRIBE_CLUSTER, version, ask, DescribeClusterResponse)
    (node,) = response.brokers
    assert (node.broker_id, node.host, node.port, node.rack) == (3, "here", 77, "r")
    assert (response.cluster_id, response.controller_id) == (core.broker.cluster_id, 3)
    assert response.cluster_authorized_operations == 0b1_1111_1010_0000


def test_controllers_cannot_be_asked_for(core: Core) -> None:
    for kind, error in (
        (2, ErrorCode.MISMATCHED_ENDPOINT_TYPE),
        (9, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE),
    ):
        ask = DescribeClusterRequest(endpoint_type=kind)
        response = core.ask(ApiKey.DESCRIBE_CLUSTER, 2, ask, DescribeClusterResponse)
        assert (response.error_code, response.brokers) == (error, [])


@OLDEST_AND_NEWEST["dirs"]
def test_log_dirs_have_the_bytes_of_each_partition(core: Core, version: int) -> None:
    written = batch("a", "b")
    core.produce("t", written, partition=1)
    core.broker.groups.prepare()  # its partitions are not open: they take no space
    for topics in (None, [DescribableLogDirTopic(topic="t", partitions=[0, 1, 9])]):
        ask = DescribeLogDirsRequest(topics=topics)
        response = core.ask(ApiKey.DESCRIBE_LOG_DIRS, version, ask, DescribeLogDirsResponse)
        (folder,) = response.results
        (topic,) = folder.topics
        assert folder.log_dir == "/data"
        sizes = {part.partition_index: part.partition_size for part in topic.partitions}
        assert (topic.name, sizes) == ("t", {0: 0, 1: len(written)})


# -- ElectLeaders, reassignments -------------------------------------------------------------


@OLDEST_AND_NEWEST["elect"]
def test_no_partition_needs_an_election(core: Core, version: int) -> None:
    wanted = [TopicPartitions(topic="t", partitions=[0, 5])]
    ask = ElectLeadersRequest(topic_partitions=wanted)
    response = core.ask(ApiKey.ELECT_LEADERS, version, ask, ElectLeadersResponse)
    (result,) = response.replica_election_results
    assert [(part.partition_id, part.error_code) for part in result.partition_result] == [
        (0, ErrorCode.ELECTION_NOT_NEEDED),
        (5, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
    ]
    everything = ElectLeadersRequest(topic_partitions=None)
    response = core.ask(ApiKey.ELECT_LEADERS, version, everything, ElectLeadersResponse)
    assert (response.error_code, response.replica_election_results) == (ErrorCode.NONE, [])


def test_an_unknown_kind_of_election_is_refused(core: Core) -> None:
    ask = ElectLeadersRequest(election_type=2, topic_partitions=None)
    response = core.ask(ApiKey.ELECT_LEADERS, 2, ask, ElectLeadersResponse)
    assert response.error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("partition", "replicas", "error"),
    [
        (0, [3], ErrorCode.NONE),
        (0, [3, 4], ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (0, [], ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (0, None, ErrorCode.NO_REASSIGNMENT_IN_PROGRESS),
        (7, [3], ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
    ],
)
def test_partitions_stay_where_they_are(
    core: Core, version: int, partition: int, replicas: list[int] | None, error: ErrorCode
) -> None:
    part = ReassignablePartition(partition_index=partition, replicas=replicas)
    topics = [ReassignableTopic(name="t", partitions=[part])]
    response = core.ask(
        ApiKey.ALTER_PARTITION_REASSIGNMENTS,
        version,
        AlterPartitionReassignmentsRequest(topics=topics),
        AlterPartitionReassignmentsResponse,
    )
    (outcome,) = response.responses[0].partitions
    assert (response.error_code, outcome.error_code) == (ErrorCode.NONE, error)


def test_no_reassignment_is_ever_under_way(core: Core) -> None:
    response = core.ask(
        ApiKey.LIST_PARTITION_REASSIGNMENTS,
        0,
        ListPartitionReassignmentsRequest(topics=None),
        ListPartitionReassignmentsResponse,
    )
    assert (response.error_code, response.error_message, response.topics) == (0, None, [])


# -- ACLs ------------------------------------------------------------------------------------


@OLDEST_AND_NEWEST["acls"]
def test_acls_are_disabled(core: Core, version: int) -> None:
    asked = core.ask(ApiKey.DESCRIBE_ACLS, version, described_acl(), DescribeAclsResponse)
    assert asked.error_code == ErrorCode.SECURITY_DISABLED
    creation = AclCreation(resource_type=2, resource_name="t", operation=3, permission_type=3)
    creations = CreateAclsRequest(creations=[creation, creation])
    created = core.ask(ApiKey.CREATE_ACLS, version, creations, CreateAclsResponse)
    assert [result.error_code for result in created.results] == [ErrorCode.SECURITY_DISABLED] * 2
    one = DeleteAclsFilter(resource_type_filter=1, operation=1, permission_type=1)
    filters = DeleteAclsRequest(filters=[one])
    deleted = core.ask(ApiKey.DELETE_ACLS, version, filters, DeleteAclsResponse)
    assert deleted.filter_results[0].error_code == ErrorCode.SECURITY_DISABLED
    assert deleted.filter_results[0].error_message == "No Authorizer is configured."


def described_acl() -> DescribeAclsRequest:
    return DescribeAclsRequest(resource_type_filter=1, operation=1, permission_type=1)


# -- DescribeTopicPartitions -----------------------------------------------------------------


def page(
    core: Core, *names: str, limit: int = 2000, cursor: RequestCursor | None = None
) -> tuple[list[tuple[str | None, int, list[int]]], tuple[str, int] | None]:
    """Topics as (name, error, partitions), and where to go on."""
    ask = DescribeTopicPartitionsRequest(
        topics=[TopicRequest(name=name) for name in names],
        response_partition_limit=limit,
        cursor=cursor,
    )
    response = core.ask(ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0, ask, DescribeTopicPartitionsResponse)
    following = response.next_cursor
    return [
        (topic.name, topic.error_code, [part.partition_index for part in topic.partitions])
        for topic in response.topics
    ], (following.topic_name, following.partition_index) if following is not None else None


def test_all_topics_in_order_of_name(core: Core) -> None:
    core.create("a")
    assert page(core) == ([("a", 0, [0]), ("t", 0, [0, 1])], None)


def test_pages_go_on_where_the_last_one_stopped(core: Core) -> None:
    core.create("a", 3)
    assert page(core, limit=2) == ([("a", 0, [0, 1])], ("a", 2))
    cursor = RequestCursor(topic_name="a", partition_index=2)
    assert page(core, limit=2, cursor=cursor) == ([("a", 0, [2]), ("t", 0, [0])], ("t", 1))
    cursor = RequestCursor(topic_name="t", partition_index=1)
    assert page(core, limit=1, cursor=cursor) == ([("t", 0, [1])], None)


@pytest.mark.parametrize(("topic", "index"), [("t", -1), ("s", 0)])
def test_a_cursor_to_nowhere_is_refused(core: Core, topic: str, index: int) -> None:
    cursor = RequestCursor(topic_name=topic, partition_index=index)
    assert page(core, "t", cursor=cursor) == ([("t", ErrorCode.INVALID_REQUEST, [])], None)


def test_topics_before_the_cursor_are_not_told_again(core: Core) -> None:
    cursor = RequestCursor(topic_name="t", partition_index=1)
    assert page(core, "nope", "t", cursor=cursor) == ([("t", 0, [1])], None)


def test_a_full_page_ends_between_topics(core: Core) -> None:
    core.create("a", 2)
    assert page(core, limit=2) == ([("a", 0, [0, 1])], ("t", 0))


def test_absent_topics_are_not_created(core: Core) -> None:
    assert page(core, "nope", "a b") == (
        [
            ("a b", ErrorCode.INVALID_TOPIC_EXCEPTION, []),
            ("nope", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, []),
        ],
        None,
    )
    assert core.broker.topics.get("nope") is None


def test_what_may_be_done_is_told_of_absent_topics_too(core: Core) -> None:
    ask = DescribeTopicPartitionsRequest(
        topics=[TopicRequest(name="nope"), TopicRequest(name="t")], response_partition_limit=9
    )
    response = core.ask(ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0, ask, DescribeTopicPartitionsResponse)
    absent, present = response.topics
    assert absent.topic_authorized_operations == present.topic_authorized_operations == 3576


# -- DescribeProducers -----------------------------------------------------------------------


def test_producers_are_described_with_where_they_are(core: Core) -> None:
    numbered = {"producer_id": 5, "producer_epoch": 2, "base_sequence": 0}
    core.produce("t", batch("a", "b", **numbered))
    core.produce("t", batch("plain"))
    ask = DescribeProducersRequest(topics=[ProducersOf(name="t", partition_indexes=[0, 1, 2])])
    response = core.ask(ApiKey.DESCRIBE_PRODUCERS, 0, ask, DescribeProducersResponse)
    first, second, third = response.topics[0].partitions
    (known,) = first.active_producers
    assert (known.producer_id, known.producer_epoch, known.last_sequence) == (5, 2, 1)
    assert (known.last_timestamp, known.current_txn_start_offset) == (1001, -1)
    assert (second.error_code, second.active_producers) == (ErrorCode.NONE, [])
    assert third.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize("nth", range(1, 12))
def test_a_disk_that_fails_anywhere_in_a_growth_leaves_a_topic_that_works(
    core: Core, nth: int
) -> None:
    core.fs.fail_at(nth)
    (error,) = grow(core, to(4))
    core.fs.fail_always(frozenset())
    topic = core.broker.topics.get("t")
    assert topic is not None
    assert len(topic.partitions) == (4 if error == ErrorCode.NONE else 2)
    core.crash()
    topic = core.broker.topics.get("t")
    assert topic is not None
    assert len(topic.partitions) == 4 or error == ErrorCode.KAFKA_STORAGE_ERROR
    for index in range(len(topic.partitions)):
        assert produced(core.produce("t", batch("x"), partition=index)).error == ErrorCode.NONE
