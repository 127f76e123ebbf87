"""Dispatch, ApiVersions, Metadata, topics made and deleted, look-ups, producer ids."""

import uuid

import pytest
from tests.unit.broker.harness import Core, batch, fetched, produced, records

from tickertape.base.errors import PeerError
from tickertape.broker.api.table import HANDLERS, SERVED
from tickertape.broker.state.settings import BrokerSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import read_response_header
from tickertape.wire.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
    read_metadata_response,
    write_metadata_request,
)
from tickertape.wire.records import write_batch
from tickertape.wire.schema.api_versions import ApiVersionsRequest, ApiVersionsResponse
from tickertape.wire.schema.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from tickertape.wire.schema.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from tickertape.wire.schema.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from tickertape.wire.schema.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from tickertape.wire.schema.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)


@pytest.fixture
def core() -> Core:
    return Core(BrokerSettings(advertised_host="example", advertised_port=1234))


# -- ApiVersions and dispatch ----------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 3, 4])
def test_api_versions_lists_the_table(core: Core, version: int) -> None:
    ask = ApiVersionsRequest(client_software_name="test-1", client_software_version="1.0")
    response = core.ask(ApiKey.API_VERSIONS, version, ask, ApiVersionsResponse)
    assert response.error_code == 0
    listed = {key.api_key: (key.min_version, key.max_version) for key in response.api_keys}
    assert listed == {int(key): versions for key, versions in SERVED.items()}
    assert listed[ApiKey.PRODUCE] == (0, 13)


def test_unknown_api_versions_version_is_answered_in_version_0(core: Core) -> None:
    call = core.send(ApiKey.API_VERSIONS, 9, b"\x01\x01\x00")
    response = call.read(ApiVersionsResponse, ApiKey.API_VERSIONS, 0)
    assert response.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert [(k.api_key, k.min_version, k.max_version) for k in response.api_keys] == [(18, 0, 4)]


@pytest.mark.parametrize("name", ["", "-x", "a b", "x-"])
def test_client_software_must_look_like_a_name(core: Core, name: str) -> None:
    ask = ApiVersionsRequest(client_software_name=name, client_software_version="1.0")
    response = core.ask(ApiKey.API_VERSIONS, 3, ask, ApiVersionsResponse)
    assert response.error_code == ErrorCode.INVALID_REQUEST
    assert response.api_keys == []


@pytest.mark.parametrize(
    ("key", "version"),
    [(ApiKey.FETCH, 3), (ApiKey.FETCH, 13), (ApiKey.METADATA, -1), (ApiKey.SASL_HANDSHAKE, 0)],
)
def test_what_is_not_served_closes_the_connection(core: Core, key: int, version: int) -> None:
    with pytest.raises(PeerError):
        core.send(key, version, b"")


@pytest.mark.parametrize("key", [-1, 999])
def test_unknown_key_closes_the_connection(core: Core, key: int) -> None:
    with pytest.raises(PeerError, match=str(key)):
        core.send(key, 0, b"")


@pytest.mark.parametrize("key", sorted(HANDLERS))
def test_cut_body_closes_the_connection(core: Core, key: int) -> None:
    route = HANDLERS[key]
    for version in range(route.first, route.last + 1):
        if key in {ApiKey.API_VERSIONS, ApiKey.LIST_GROUPS} and version < 3:
            continue  # an empty body is a whole request
        with pytest.raises(PeerError):
            core.send(key, version, b"")


# -- Metadata --------------------------------------------------------------------------------


def ask_metadata(core: Core, version: int, ask: MetadataRequest) -> MetadataResponse:
    """Send and read the answer, which must be exactly one response."""
    frame = core.send(ApiKey.METADATA, version, write_metadata_request(version, ask)).frame
    _, at = read_response_header(frame, ApiKey.METADATA, version)
    return read_metadata_response(frame, at, version)


def metadata(
    core: Core, *names: str, version: int = 12, **more: bool
) -> tuple[MetadataResponse, dict[str, MetadataResponseTopic]]:
    ask = MetadataRequest(topics=[MetadataRequestTopic(name=name) for name in names], **more)
    response = ask_metadata(core, version, ask)
    return response, {topic.name or "": topic for topic in response.topics}


@pytest.mark.parametrize("version", range(13))
def test_metadata_creates_the_topic_and_names_this_broker(version: int) -> None:
    core = Core(BrokerSettings(num_partitions=3, advertised_host="example", advertised_port=1234))
    response, topics = metadata(core, "t", version=version)
    (broker,) = response.brokers
    assert (broker.node_id, broker.host, broker.port) == (1, "example", 1234)
    assert topics["t"].error_code == 0
    assert [p.partition_index for p in topics["t"].partitions] == [0, 1, 2]
    assert all(p.leader_id == 1 and p.isr_nodes == (1,) for p in topics["t"].partitions)
    if version >= 2:
        assert response.cluster_id == core.broker.cluster_id != ""
    if version >= 10:
        topic = core.broker.topics.get("t")
        assert topic is not None
        assert topics["t"].topic_id == topic.topic_id


def test_metadata_creates_nothing_when_told_not_to(core: Core) -> None:
    _, topics = metadata(core, "t", allow_auto_topic_creation=False)
    assert topics["t"].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    strict = Core(BrokerSettings(auto_create_topics_enable=False))
    _, topics = metadata(strict, "t")
    assert topics["t"].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert len(core.broker.topics) == len(strict.broker.topics) == 0


@pytest.mark.parametrize("name", ["", ".", "a/b", "x" * 250, "ä"])
def test_metadata_refuses_bad_names(core: Core, name: str) -> None:
    _, topics = metadata(core, name)
    assert topics[name].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION


def test_all_topics_by_null_and_in_version_0_by_an_empty_list(core: Core) -> None:
    core.create("a")
    core.create("b")
    null = ask_metadata(core, 12, MetadataRequest(topics=None))
    assert [topic.name for topic in null.topics] == ["a", "b"]
    assert len(metadata(core, version=0)[0].topics) == 2
    assert metadata(core, version=1)[0].topics == []


def test_metadata_by_id(core: Core) -> None:
    core.create("a")
    topic = core.broker.topics.get("a")
    assert topic is not None
    wanted = [
        MetadataRequestTopic(name=None, topic_id=topic.topic_id),
        MetadataRequestTopic(name=None, topic_id=uuid.UUID(int=5)),
    ]
    response = ask_metadata(core, 12, MetadataRequest(topics=wanted))
    assert response.topics[0].name == "a"
    assert response.topics[1].error_code == ErrorCode.UNKNOWN_TOPIC_ID


def test_authorised_operations_only_when_asked(core: Core) -> None:
    response, topics = metadata(core, "t", version=8)
    assert response.cluster_authorized_operations == -(2**31)
    assert topics["t"].topic_authorized_operations == -(2**31)
    asked, topics = metadata(
        core,
        "t",
        version=8,
        include_cluster_authorized_operations=True,
        include_topic_authorized_operations=True,
    )
    assert asked.cluster_authorized_operations & (1 << 5)
    assert topics["t"].topic_authorized_operations & (1 << 3)


def test_topic_that_the_disk_refuses(core: Core) -> None:
    core.fs.fail_at(1)
    _, topics = metadata(core, "t")
    assert topics["t"].error_code == ErrorCode.KAFKA_STORAGE_ERROR
    assert any("No space left" in line for line in core.broker.take_notices())
    assert metadata(core, "t")[1]["t"].error_code == 0


# -- CreateTopics ----------------------------------------------------------------------------


def create(
    core: Core, *topics: CreatableTopic, version: int = 7, validate_only: bool = False
) -> list[CreatableTopicResult]:
    ask = CreateTopicsRequest(topics=list(topics), validate_only=validate_only)
    return core.ask(ApiKey.CREATE_TOPICS, version, ask, CreateTopicsResponse).topics


def new(name: str = "t", partitions: int = 1, replicas: int = 1, **configs: str) -> CreatableTopic:
    return CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=replicas,
        configs=[
            CreatableTopicConfig(name=key.replace("_", "."), value=value)
            for key, value in configs.items()
        ],
    )


def placed(*brokers: list[int]) -> CreatableTopic:
    topic = new(partitions=-1, replicas=-1)
    topic.assignments = [
        CreatableReplicaAssignment(partition_index=index, broker_ids=ids)
        for index, ids in enumerate(brokers)
    ]
    return topic


@pytest.mark.parametrize("version", [2, 4, 5, 7])
def test_created_topic_is_durable(core: Core, version: int) -> None:
    (result,) = create(core, new("t", 3, retention_ms="5000"), version=version)
    assert result.error_code == 0
    core.crash()
    topic = core.broker.topics.get("t")
    assert topic is not None
    assert len(topic.partitions) == 3
    assert topic.configs == {"retention.ms": "5000"}
    partition = core.broker.topics.partition("t", 2)
    assert partition is not None
    assert partition.log.config.retention_ms == 5000


def test_answer_has_id_partitions_and_configs(core: Core) -> None:
    (result,) = create(core, new("t", -1, -1, cleanup_policy="compact"))
    topic = core.broker.topics.get("t")
    assert topic is not None
    assert (result.topic_id, result.num_partitions) == (topic.topic_id, 1)
    assert result.replication_factor == 1
    sources = {config.name: (config.value, config.config_source) for config in result.configs or []}
    assert sources["cleanup.policy"] == ("compact", 1)
    assert sources["retention.ms"] == ("604800000", 5)


@pytest.mark.parametrize(
    ("topic", "error"),
    [
        (new("."), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (new("__consumer_offsets"), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (new("taken"), ErrorCode.TOPIC_ALREADY_EXISTS),
        (new("ta_ken.x"), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (new(partitions=0), ErrorCode.INVALID_PARTITIONS),
        (new(partitions=-2), ErrorCode.INVALID_PARTITIONS),
        (new(partitions=10_001), ErrorCode.INVALID_PARTITIONS),
        (new(replicas=0), ErrorCode.INVALID_REPLICATION_FACTOR),
        (new(replicas=3), ErrorCode.INVALID_REPLICATION_FACTOR),
        (new(no_such="1"), ErrorCode.INVALID_CONFIG),
        (new(retention_ms="x"), ErrorCode.INVALID_CONFIG),
        (new(retention_ms="-2"), ErrorCode.INVALID_CONFIG),
        (new(cleanup_policy="burn"), ErrorCode.INVALID_CONFIG),
        (new(compression_type="brotli"), ErrorCode.INVALID_CONFIG),
        (new(compression_gzip_level="0"), ErrorCode.INVALID_CONFIG),
        (placed([2]), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (placed([1], [1, 2]), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
    ],
)
def test_refused_topics(core: Core, topic: CreatableTopic, error: ErrorCode) -> None:
    core.create("taken")
    core.create("ta.ken.x")
    before = len(core.broker.topics)
    (result,) = create(core, topic)
    assert ErrorCode(result.error_code) is error
    assert result.error_message
    assert len(core.broker.topics) == before


def test_assignments(core: Core) -> None:
    (result,) = create(core, placed([1], [1]))
    assert (result.error_code, result.num_partitions) == (0, 2)
    both = placed([1])
    both.name, both.num_partitions = "u", 1
    assert create(core, both)[0].error_code == ErrorCode.INVALID_REQUEST


def test_validate_only_makes_nothing(core: Core) -> None:
    (result,) = create(core, new("t", 2), validate_only=True)
    assert (result.error_code, result.num_partitions) == (0, 2)
    assert core.broker.topics.get("t") is None


def test_topic_named_twice_is_refused_once(core: Core) -> None:
    results = create(core, new("t"), new("u"), new("t"))
    assert {r.name: r.error_code for r in results} == {"t": ErrorCode.INVALID_REQUEST, "u": 0}


def test_disk_that_refuses_leaves_no_topic_behind(core: Core) -> None:
    for nth in range(1, 40):
        core.fs.fail_at(nth)
        (result,) = create(core, new("t", 2))
        if result.error_code == 0:
            break
        assert result.error_code == ErrorCode.KAFKA_STORAGE_ERROR
        assert core.broker.topics.get("t") is None
    else:
        pytest.fail("creation never succeeded")
    assert nth > 5
    core.produce("t", batch("x"))  # meets the fault that creation no longer met
    assert produced(core.produce("t", batch("a"), partition=1)).error == 0
    core.crash()
    assert [topic.name for topic in core.broker.topics] == ["t"]


# -- DeleteTopics ----------------------------------------------------------------------------


def delete(core: Core, *states: DeleteTopicState, version: int = 6) -> list[DeletableTopicResult]:
    names = [state.name or "" for state in states]
    ask = DeleteTopicsRequest(topics=list(states), topic_names=names)
    return core.ask(ApiKey.DELETE_TOPICS, version, ask, DeleteTopicsResponse).responses


@pytest.mark.parametrize("version", [1, 4, 6])
def test_deleted_topic_is_gone_and_can_be_made_anew(core: Core, version: int) -> None:
    core.create("t")
    core.produce("t", batch("old"))
    (result,) = delete(core, DeleteTopicState(name="t"), version=version)
    assert result.error_code == 0
    assert produced(core.produce("t", batch("a"))).error == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    core.crash()
    assert core.broker.topics.get("t") is None
    core.create("t")
    assert fetched(core.fetch("t", 0)).high_watermark == 0


def test_delete_by_id_and_what_cannot_be_deleted(core: Core) -> None:
    core.create("t")
    core.broker.groups.prepare()
    topic = core.broker.topics.get("t")
    assert topic is not None
    results = delete(
        core,
        DeleteTopicState(name="nowhere"),
        DeleteTopicState(name=None, topic_id=uuid.UUID(int=9)),
        DeleteTopicState(name="__consumer_offsets"),
        DeleteTopicState(name="t", topic_id=topic.topic_id),
        DeleteTopicState(name=None, topic_id=topic.topic_id),
    )
    assert [ErrorCode(result.error_code).name for result in results] == [
        "UNKNOWN_TOPIC_OR_PARTITION",
        "UNKNOWN_TOPIC_ID",
        "INVALID_TOPIC_EXCEPTION",
        "INVALID_REQUEST",
        "NONE",
    ]
    assert results[-1].name == "t"


def test_delete_that_the_disk_refuses_keeps_the_topic(core: Core) -> None:
    core.create("t")
    core.fs.fail_at(1)
    (result,) = delete(core, DeleteTopicState(name="t"))
    assert result.error_code == ErrorCode.KAFKA_STORAGE_ERROR
    assert produced(core.produce("t", batch("a"))).error == 0


def test_space_of_deleted_topics_is_given_back(core: Core) -> None:
    core.create("t", 2)
    delete(core, DeleteTopicState(name="t"))
    assert sum(name.endswith("-delete") for name in core.fs.list("/data")) == 2
    core.pass_ms(core.settings.log_retention_check_interval_ms)
    assert not any(name.startswith("t-") for name in core.fs.list("/data"))


# -- ListOffsets and OffsetForLeaderEpoch -------------------------------------------------------


def list_offset(
    core: Core, timestamp: int, version: int = 10, **more: int
) -> ListOffsetsPartitionResponse:
    part = ListOffsetsPartition(partition_index=0, timestamp=timestamp, **more)
    ask = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name="t", partitions=[part])])
    response = core.ask(ApiKey.LIST_OFFSETS, version, ask, ListOffsetsResponse)
    return response.topics[0].partitions[0]


@pytest.mark.parametrize(
    ("timestamp", "offset", "found"),
    [
        (-1, 4, -1),
        (-2, 0, -1),
        (-3, 3, 2_001),
        (-4, 0, -1),
        (-5, -1, -1),
        (0, 0, 1_000),
        (1_001, 1, 1_001),
        (1_500, 2, 2_000),
        (3_000, -1, -1),
    ],
)
def test_offsets_by_time(core: Core, timestamp: int, offset: int, found: int) -> None:
    core.create("t")
    core.produce("t", write_batch(records("a", "b", timestamp=1_000)))
    core.produce("t", write_batch(records("c", "d", timestamp=2_000)))
    out = list_offset(core, timestamp)
    assert (out.error_code, out.offset, out.timestamp) == (0, offset, found)


@pytest.mark.parametrize("version", [1, 4, 6, 7])
def test_latest_is_the_durable_end(core: Core, version: int) -> None:
    core.create("t")
    core.produce("t", batch("a"))
    core.auto_sync = False
    core.produce("t", batch("b"), acks=1)
    assert list_offset(core, -1, version).offset == 1


@pytest.mark.parametrize(("timestamp", "since"), [(-3, 7), (-4, 8), (-5, 9), (-6, 11)])
def test_special_timestamps_need_their_version(core: Core, timestamp: int, since: int) -> None:
    core.create("t")
    out = list_offset(core, timestamp, since - 1)
    assert out.error_code == ErrorCode.UNSUPPORTED_VERSION


def test_list_offsets_errors(core: Core) -> None:
    assert list_offset(core, -1).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    core.create("t")
    core.produce("t", batch("a"))
    core.crash()
    out = list_offset(core, -1, current_leader_epoch=0)
    assert out.error_code == ErrorCode.FENCED_LEADER_EPOCH
    out = list_offset(core, -1, current_leader_epoch=9)
    assert out.error_code == ErrorCode.UNKNOWN_LEADER_EPOCH
    assert list_offset(core, -1, current_leader_epoch=1).leader_epoch == 1


def test_offsets_come_with_the_epoch_of_their_records(core: Core) -> None:
    core.create("t")
    core.produce("t", write_batch(records("a", timestamp=1_000)))
    core.crash()
    core.produce("t", write_batch(records("b", timestamp=2_000)))
    found = {when: list_offset(core, when) for when in (-1, -2, -3, 500, 1_500, 3_000)}
    epochs = {when: (out.offset, out.leader_epoch) for when, out in found.items()}
    assert epochs == {
        -1: (2, 1), -2: (0, 0), -3: (1, 1), 500: (0, 0), 1_500: (1, 1), 3_000: (-1, -1)
    }  # fmt: skip


def test_partition_asked_twice_is_refused(core: Core) -> None:
    core.create("t")
    part = ListOffsetsPartition(partition_index=0, timestamp=-1)
    ask = ListOffsetsRequest(
        replica_id=-1, topics=[ListOffsetsTopic(name="t", partitions=[part, part])]
    )
    response = core.ask(ApiKey.LIST_OFFSETS, 7, ask, ListOffsetsResponse)
    errors = [out.error_code for out in response.topics[0].partitions]
    assert errors == [ErrorCode.INVALID_REQUEST] * 2


def epoch_end(core: Core, epoch: int, version: int = 4, current: int = -1) -> EpochEndOffset:
    part = OffsetForLeaderPartition(partition=0, current_leader_epoch=current, leader_epoch=epoch)
    ask = OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic="t", partitions=[part])])
    key = ApiKey.OFFSET_FOR_LEADER_EPOCH
    response = core.ask(key, version, ask, OffsetForLeaderEpochResponse)
    return response.topics[0].partitions[0]


@pytest.mark.parametrize("version", [2, 3, 4])
def test_where_an_epoch_ends(core: Core, version: int) -> None:
    core.create("t")
    core.produce("t", batch("a", "b"))
    core.crash()
    core.produce("t", batch("c"))
    old = epoch_end(core, 0, version)
    assert (old.leader_epoch, old.end_offset) == (0, 2)
    now = epoch_end(core, 1, version)
    assert (now.leader_epoch, now.end_offset) == (1, 3)
    future = epoch_end(core, 7, version)
    assert (future.leader_epoch, future.end_offset) == (-1, -1)


def test_epoch_errors(core: Core) -> None:
    assert epoch_end(core, 0).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    core.create("t")
    assert epoch_end(core, 0, current=3).error_code == ErrorCode.UNKNOWN_LEADER_EPOCH


# -- InitProducerId --------------------------------------------------------------------------


def init(
    core: Core, version: int = 5, transactional_id: str | None = None
) -> InitProducerIdResponse:
    ask = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=1_000)
    return core.ask(ApiKey.INIT_PRODUCER_ID, version, ask, InitProducerIdResponse)


@pytest.mark.parametrize("version", range(6))
def test_producer_ids_are_never_given_twice(core: Core, version: int) -> None:
    first = init(core, version)
    assert (first.error_code, first.producer_epoch) == (0, 0)
    second = init(core, version)
    core.crash()
    third = init(core, version)
    ids = [first.producer_id, second.producer_id, third.producer_id]
    assert ids == sorted(set(ids))


def test_producer_id_is_not_given_out_when_it_cannot_be_recorded(core: Core) -> None:
    core.fs.fail_at(1)
    assert init(core).error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert init(core).error_code == 0


def test_response_header_of_api_versions_never_has_tags(core: Core) -> None:
    ask = ApiVersionsRequest(client_software_name="t", client_software_version="1")
    frame = core.send(ApiKey.API_VERSIONS, 4, ask.encode(4)).frame
    assert read_response_header(frame, ApiKey.API_VERSIONS, 4) == (7, 4)


@pytest.mark.parametrize(
    ("version", "error"), [(2, ErrorCode.INVALID_REQUEST), (6, ErrorCode.TOPIC_DELETION_DISABLED)]
)
def test_deletion_can_be_disabled(version: int, error: ErrorCode) -> None:
    core = Core(BrokerSettings(delete_topic_enable=False))
    core.create("t")
    (result,) = delete(core, DeleteTopicState(name="t"), version=version)
    assert (result.name, ErrorCode(result.error_code)) == ("t", error)
    assert core.broker.topics.get("t") is not None
