"""What the transcripts of tests/interop found, answered as Apache Kafka 4.3 answers it."""

import pytest
from tests.unit.broker.harness import Core, batch, fetched, produced

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    read_metadata_response,
    write_metadata_request,
)
from tickertape.wire.schema.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from tickertape.wire.schema.delete_topics import (
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from tickertape.wire.schema.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResponse,
)
from tickertape.wire.schema.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    TopicPartitions,
)
from tickertape.wire.schema.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from tickertape.wire.schema.offset_delete import OffsetDeleteRequest, OffsetDeleteResponse
from tickertape.wire.schema.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)


@pytest.fixture
def core() -> Core:
    core = Core()
    core.create("t")
    return core


def test_a_fetch_out_of_range_is_told_nothing_of_the_log(core: Core) -> None:
    core.produce("t", batch("a"))
    core.sync()
    answer = fetched(core.fetch("t", 5))
    assert answer.error == ErrorCode.OFFSET_OUT_OF_RANGE
    assert (answer.high_watermark, answer.last_stable_offset, answer.log_start_offset) == (
        -1, -1, -1,
    )  # fmt: skip
    assert answer.aborted is None


def test_what_is_not_there_has_no_aborted_transactions(core: Core) -> None:
    answer = fetched(core.fetch("absent", 0))
    assert (answer.error, answer.aborted) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, [])


def test_a_base_offset_of_the_clients_is_refused(core: Core) -> None:
    moved = bytearray(batch("a"))
    moved[7] = 41
    assert produced(core.produce("t", bytes(moved))).error == ErrorCode.INVALID_RECORD


def test_where_the_log_starts_is_told_by_a_log_that_refuses(core: Core) -> None:
    gap = batch("a", producer_id=5, producer_epoch=0, base_sequence=0)
    core.produce("t", gap)
    late = batch("a", producer_id=5, producer_epoch=0, base_sequence=7)
    answer = produced(core.produce("t", late))
    assert answer.error == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert answer.log_start_offset == 0


def test_where_the_log_starts_is_not_told_of_what_never_reaches_it(core: Core) -> None:
    whole = batch("a")
    damaged = whole[:-1] + bytes([whole[-1] ^ 1])
    for bad in (damaged, whole[:-1], whole[:16] + b"\1" + whole[17:]):
        answer = produced(core.produce("t", bad))
        assert answer.error in {ErrorCode.CORRUPT_MESSAGE, ErrorCode.INVALID_RECORD}
        assert answer.log_start_offset == -1


def test_a_topic_asked_for_twice_is_told_once(core: Core) -> None:
    ask = MetadataRequest([MetadataRequestTopic("t"), MetadataRequestTopic("t")])
    frame = core.send(ApiKey.METADATA, 12, write_metadata_request(12, ask)).frame
    assert len(read_metadata_response(frame, 5, 12).topics) == 1


def test_a_topic_with_a_config_of_null_is_refused_and_has_no_configs(core: Core) -> None:
    config = CreatableTopicConfig(name="segment.ms", value=None)
    wanted = CreatableTopic(name="u", num_partitions=1, replication_factor=1, configs=[config])
    ask = CreateTopicsRequest(topics=[wanted])
    (result,) = core.ask(ApiKey.CREATE_TOPICS, 7, ask, CreateTopicsResponse).topics
    assert (result.error_code, result.configs) == (ErrorCode.INVALID_CONFIG, [])


def test_a_topic_deleted_twice_at_once_stays(core: Core) -> None:
    ask = DeleteTopicsRequest(topics=[DeleteTopicState(name="t"), DeleteTopicState(name="t")])
    (result,) = core.ask(ApiKey.DELETE_TOPICS, 6, ask, DeleteTopicsResponse).responses
    assert result.error_code == ErrorCode.INVALID_REQUEST
    assert core.broker.topics.get("t") is not None


def test_no_configs_asked_for_are_all_of_them(core: Core) -> None:
    resource = DescribeConfigsResource(resource_type=2, resource_name="t", configuration_keys=[])
    ask = DescribeConfigsRequest(resources=[resource])
    (result,) = core.ask(ApiKey.DESCRIBE_CONFIGS, 4, ask, DescribeConfigsResponse).results
    assert len(result.configs) > 30


def test_configs_of_a_topic_without_a_name_cannot_be_altered(core: Core) -> None:
    change = AlterableConfig(name="segment.ms", config_operation=0, value="10")
    resource = AlterConfigsResource(resource_type=2, resource_name="", configs=[change])
    ask = IncrementalAlterConfigsRequest(resources=[resource])
    response = core.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, ask, IncrementalAlterConfigsResponse)
    assert response.responses[0].error_code == ErrorCode.INVALID_REQUEST


def test_an_unknown_election_is_refused_for_each_partition(core: Core) -> None:
    ask = ElectLeadersRequest(
        election_type=5, topic_partitions=[TopicPartitions(topic="t", partitions=[0])]
    )
    response = core.ask(ApiKey.ELECT_LEADERS, 2, ask, ElectLeadersResponse)
    (topic,) = response.replica_election_results
    assert topic.partition_result[0].error_code == ErrorCode.INVALID_REQUEST


def test_offsets_of_the_group_without_a_name_cannot_be_deleted(core: Core) -> None:
    ask = OffsetDeleteRequest(group_id="")
    response = core.ask(ApiKey.OFFSET_DELETE, 0, ask, OffsetDeleteResponse)
    assert response.error_code == ErrorCode.INVALID_GROUP_ID


def test_a_transaction_cannot_commit_offsets_of_the_group_without_a_name(core: Core) -> None:
    part = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=1)
    ask = TxnOffsetCommitRequest(
        transactional_id="x",
        producer_id=1,
        producer_epoch=0,
        topics=[TxnOffsetCommitRequestTopic(name="t", partitions=[part])],
    )
    response = core.ask(ApiKey.TXN_OFFSET_COMMIT, 3, ask, TxnOffsetCommitResponse)
    assert response.topics[0].partitions[0].error_code == ErrorCode.INVALID_GROUP_ID
