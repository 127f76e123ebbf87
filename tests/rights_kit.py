"""One question of each kind that a client can ask, and what an answer gives away.

For a broker in memory and for brokers as processes alike: a question is the bytes of a request
body, and ``told`` is what the answer's bytes say to somebody without rights.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.fetch import (
    FetchPartition,
    FetchRequest,
    read_fetch_response,
    write_fetch_request,
)
from tickertape.wire.message import Fields, Message
from tickertape.wire.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    read_metadata_response,
    write_metadata_request,
)
from tickertape.wire.produce import (
    PartitionProduce,
    ProduceRequest,
    read_produce_response,
    write_produce_request,
)
from tickertape.wire.records import Record, write_batch
from tickertape.wire.schema import (
    add_offsets_to_txn,
    add_partitions_to_txn,
    alter_client_quotas,
    alter_configs,
    alter_partition_reassignments,
    alter_user_scram_credentials,
    consumer_group_describe,
    consumer_group_heartbeat,
    create_acls,
    create_partitions,
    create_topics,
    delete_acls,
    delete_groups,
    delete_records,
    delete_topics,
    describe_acls,
    describe_client_quotas,
    describe_cluster,
    describe_configs,
    describe_groups,
    describe_log_dirs,
    describe_producers,
    describe_topic_partitions,
    describe_transactions,
    describe_user_scram_credentials,
    elect_leaders,
    end_txn,
    find_coordinator,
    heartbeat,
    incremental_alter_configs,
    init_producer_id,
    join_group,
    leave_group,
    list_config_resources,
    list_groups,
    list_offsets,
    list_partition_reassignments,
    list_transactions,
    offset_commit,
    offset_delete,
    offset_fetch,
    offset_for_leader_epoch,
    sync_group,
    txn_offset_commit,
    update_features,
    write_txn_markers,
)

TOPICS: Final = ("open", "closed", "absent")
GROUP: Final = "group"
CONSUMERS: Final = "consumers"
ID: Final = "mine"
_SHOWN: Final = ("name", "topic", "group_id", "resource_name", "user", "topic_name")


class Question(NamedTuple):
    """What to ask, and how to read the answer's body: (bytes, at) to any value."""

    key: ApiKey
    version: int
    body: bytes
    read: Callable[[Any, int], Any]


def told(answer: object, path: str = "") -> Iterator[str]:
    """Every error, name and operation of an answer, each with its place."""
    if isinstance(answer, list | tuple):
        for item in answer:
            yield from told(item, path)
        return
    if isinstance(answer, Fields):
        names: Sequence[str] = answer.__slots__
    elif dataclasses.is_dataclass(answer):
        names = [field.name for field in dataclasses.fields(answer)]
    else:
        if isinstance(answer, str):
            yield f"{path}: {answer}"
        return
    for name in names:
        value = getattr(answer, name)
        where = f"{path}.{name}"
        if name.endswith("error_code") or name == "error":
            yield f"{where}: {ErrorCode(value).name}"
        elif name.endswith("authorized_operations") or name in _SHOWN:
            yield f"{where}: {value}"
        elif isinstance(value, list) and name not in {"configs", "api_keys"}:
            yield from told(value, where)


def _batch(**more: Any) -> memoryview:  # noqa: ANN401  # of write_batch
    return memoryview(write_batch([Record(0, 1_000, b"k", b"v", ())], **more))


def _plain(module: Any, version: int, name: str, **fields: Any) -> Question:  # noqa: ANN401
    """A question whose messages are generated."""
    request: Message = getattr(module, f"{name}Request")(**fields)
    response: type[Message] = getattr(module, f"{name}Response")
    key = ApiKey[module.__name__.rpartition(".")[2].upper()]
    body = request.encode(version)
    return Question(key, version, body, lambda data, at: response.decode(data, at, version)[0])


def _produce(transactional_id: str | None = None) -> Question:
    parts = [
        PartitionProduce(0, _batch(producer_id=7, producer_epoch=0, base_sequence=0, attributes=16))
        if transactional_id
        else PartitionProduce(0, _batch())
    ]
    ask = ProduceRequest(transactional_id, -1, 5_000, [(name, parts) for name in TOPICS])
    return Question(
        ApiKey.PRODUCE,
        9,
        write_produce_request(9, ask),
        lambda data, at: read_produce_response(data, at, 9),
    )


def _fetch() -> Question:
    wanted: list[Any] = [(name, [FetchPartition(index=0, fetch_offset=0)]) for name in TOPICS]
    body = write_fetch_request(11, FetchRequest(max_wait_ms=0, topics=wanted))
    return Question(ApiKey.FETCH, 11, body, lambda data, at: read_fetch_response(data, at, 11))


def _metadata(names: Sequence[str] | None, version: int = 9) -> Question:
    topics = None if names is None else [MetadataRequestTopic(name=name) for name in names]
    ask = MetadataRequest(
        topics=topics,
        allow_auto_topic_creation=False,
        include_topic_authorized_operations=True,
        include_cluster_authorized_operations=True,
    )
    return Question(
        ApiKey.METADATA,
        version,
        write_metadata_request(version, ask),
        lambda data, at: read_metadata_response(data, at, version),
    )


def _reading() -> list[Question]:
    offsets = list_offsets.ListOffsetsTopic
    part = list_offsets.ListOffsetsPartition
    epochs = offset_for_leader_epoch
    return [
        _metadata(None),
        _metadata(TOPICS),
        _fetch(),
        _plain(list_offsets, 5, "ListOffsets", replica_id=-1, topics=[
            offsets(name=name, partitions=[part(partition_index=0, timestamp=-1)])
            for name in TOPICS
        ]),
        _plain(epochs, 4, "OffsetForLeaderEpoch", replica_id=-1, topics=[
            epochs.OffsetForLeaderTopic(topic=name, partitions=[
                epochs.OffsetForLeaderPartition(partition=0, leader_epoch=0)
            ]) for name in TOPICS
        ]),
        _plain(describe_producers, 0, "DescribeProducers", topics=[
            describe_producers.TopicRequest(name=name, partition_indexes=[0]) for name in TOPICS
        ]),
        _plain(describe_topic_partitions, 0, "DescribeTopicPartitions", topics=[
            describe_topic_partitions.TopicRequest(name=name) for name in TOPICS
        ]),
    ]  # fmt: skip


def _groups() -> list[Question]:
    named = {"group_id": GROUP, "member_id": "m"}
    commit = offset_commit
    tops = [
        commit.OffsetCommitRequestTopic(name=name, partitions=[
            commit.OffsetCommitRequestPartition(partition_index=0, committed_offset=0)
        ]) for name in TOPICS
    ]  # fmt: skip
    fetched = offset_fetch.OffsetFetchRequestTopic
    return [
        _plain(find_coordinator, 3, "FindCoordinator", key=GROUP, key_type=0),
        _plain(find_coordinator, 4, "FindCoordinator", coordinator_keys=[ID], key_type=1),
        _plain(join_group, 7, "JoinGroup", group_id=GROUP, member_id="", protocol_type="consumer",
               session_timeout_ms=10_000, rebalance_timeout_ms=10_000, protocols=[
                   join_group.JoinGroupRequestProtocol(name="range", metadata=b"x")]),
        _plain(sync_group, 5, "SyncGroup", **named, generation_id=1, protocol_type="consumer",
               protocol_name="range"),
        _plain(heartbeat, 4, "Heartbeat", **named, generation_id=1),
        _plain(leave_group, 4, "LeaveGroup", group_id=GROUP, members=[
            leave_group.MemberIdentity(member_id="m")]),
        _plain(describe_groups, 5, "DescribeGroups", groups=[GROUP, "nobodys"],
               include_authorized_operations=True),
        _plain(list_groups, 4, "ListGroups"),
        _plain(consumer_group_heartbeat, 1, "ConsumerGroupHeartbeat", group_id=CONSUMERS,
               member_id="m", rebalance_timeout_ms=1000, subscribed_topic_names=list(TOPICS),
               topic_partitions=[]),
        _plain(consumer_group_heartbeat, 1, "ConsumerGroupHeartbeat", group_id=CONSUMERS,
               member_id="m", member_epoch=-1),
        _plain(consumer_group_describe, 1, "ConsumerGroupDescribe", group_ids=["nobodys"]),
        _plain(list_config_resources, 1, "ListConfigResources"),
        _plain(offset_commit, 8, "OffsetCommit", group_id=GROUP, generation_id_or_member_epoch=-1,
               topics=tops),
        _plain(offset_fetch, 1, "OffsetFetch", group_id=GROUP, topics=[
            fetched(name=name, partition_indexes=[0]) for name in TOPICS]),
        _plain(offset_fetch, 7, "OffsetFetch", group_id=GROUP, topics=[
            fetched(name=name, partition_indexes=[0]) for name in TOPICS]),
        _plain(offset_fetch, 8, "OffsetFetch", groups=[
            offset_fetch.OffsetFetchRequestGroup(group_id=GROUP, topics=None)]),
        _plain(offset_delete, 0, "OffsetDelete", group_id=GROUP, topics=[
            offset_delete.OffsetDeleteRequestTopic(name=name, partitions=[
                offset_delete.OffsetDeleteRequestPartition(partition_index=0)])
            for name in TOPICS]),
        _plain(delete_groups, 2, "DeleteGroups", groups_names=["nobodys"]),
    ]  # fmt: skip


def _writing() -> list[Question]:
    added = add_partitions_to_txn
    committed = txn_offset_commit
    return [
        _produce(),
        _produce(ID),
        _plain(init_producer_id, 4, "InitProducerId", transactional_id=None, producer_id=-1,
               producer_epoch=-1),
        _plain(init_producer_id, 4, "InitProducerId", transactional_id=ID, producer_id=-1,
               producer_epoch=-1, transaction_timeout_ms=10_000),
        _plain(added, 3, "AddPartitionsToTxn", v3_and_below_transactional_id=ID,
               v3_and_below_producer_id=9_999, v3_and_below_producer_epoch=0,
               v3_and_below_topics=[added.AddPartitionsToTxnTopic(name=name, partitions=[0])
                                    for name in TOPICS]),
        _plain(add_offsets_to_txn, 3, "AddOffsetsToTxn", transactional_id=ID, producer_id=9_999,
               producer_epoch=0, group_id=GROUP),
        _plain(end_txn, 3, "EndTxn", transactional_id=ID, producer_id=9_999, producer_epoch=0,
               committed=True),
        _plain(committed, 3, "TxnOffsetCommit", transactional_id=ID, group_id=GROUP,
               producer_id=9_999, producer_epoch=0, generation_id=-1, topics=[
                   committed.TxnOffsetCommitRequestTopic(name=name, partitions=[
                       committed.TxnOffsetCommitRequestPartition(
                           partition_index=0, committed_offset=0)])
                   for name in ("closed", "absent")]),
    ]  # fmt: skip


def _ruling() -> list[Question]:
    rule: dict[str, Any] = {
        "principal": "User:x",
        "host": "*",
        "operation": 3,
        "permission_type": 3,
    }
    meant: dict[str, Any] = {"resource_type_filter": 1, "resource_name_filter": "none of these",
             "pattern_type_filter": 1, "principal_filter": None, "host_filter": None,
             "operation": 1, "permission_type": 1}  # fmt: skip
    configs, incremental, plain = describe_configs, incremental_alter_configs, alter_configs
    resources = ((2, "closed"), (2, "absent"), (4, "1"))
    quotas, scram = alter_client_quotas, alter_user_scram_credentials
    moves = alter_partition_reassignments
    return [
        _plain(create_topics, 5, "CreateTopics", validate_only=True, timeout_ms=5_000, topics=[
            create_topics.CreatableTopic(name=name, num_partitions=1, replication_factor=1)
            for name in ("open-new", "closed")]),
        _plain(create_partitions, 2, "CreatePartitions", validate_only=True, timeout_ms=5_000,
               topics=[create_partitions.CreatePartitionsTopic(
                   name=name, count=3, assignments=None) for name in ("closed", "absent")]),
        _plain(delete_topics, 5, "DeleteTopics", topic_names=["closed", "absent"],
               timeout_ms=5_000),
        _plain(delete_records, 1, "DeleteRecords", timeout_ms=5_000, topics=[
            delete_records.DeleteRecordsTopic(name=name, partitions=[
                delete_records.DeleteRecordsPartition(partition_index=0, offset=0)])
            for name in ("closed", "absent")]),
        _plain(configs, 1, "DescribeConfigs", resources=[
            configs.DescribeConfigsResource(
                resource_type=kind, resource_name=name, configuration_keys=[])
            for kind, name in resources]),
        _plain(plain, 1, "AlterConfigs", validate_only=True, resources=[
            plain.AlterConfigsResource(resource_type=kind, resource_name=name, configs=[])
            for kind, name in resources]),
        _plain(incremental, 1, "IncrementalAlterConfigs", validate_only=True, resources=[
            incremental.AlterConfigsResource(resource_type=kind, resource_name=name, configs=[])
            for kind, name in resources]),
        _plain(describe_acls, 2, "DescribeAcls", **meant),
        _plain(create_acls, 2, "CreateAcls", creations=[
            create_acls.AclCreation(resource_type=2, resource_name="x", **rule)]),
        _plain(delete_acls, 2, "DeleteAcls", filters=[delete_acls.DeleteAclsFilter(**meant)]),
        _plain(describe_client_quotas, 1, "DescribeClientQuotas"),
        _plain(quotas, 1, "AlterClientQuotas", validate_only=True, entries=[
            quotas.RequestEntryData(
                entity=[quotas.RequestEntityData(entity_type="user", entity_name="x")],
                ops=[quotas.OpData(key="producer_byte_rate", value=1024.0)])]),
        _plain(describe_user_scram_credentials, 0, "DescribeUserScramCredentials", users=[
            describe_user_scram_credentials.UserName(name="nobody")]),
        _plain(scram, 0, "AlterUserScramCredentials", deletions=[
            scram.ScramCredentialDeletion(name="nobody", mechanism=1)]),
        _plain(elect_leaders, 2, "ElectLeaders", topic_partitions=[
            elect_leaders.TopicPartitions(topic="closed", partitions=[0])]),
        _plain(moves, 0, "AlterPartitionReassignments", topics=[
            moves.ReassignableTopic(name="closed", partitions=[
                moves.ReassignablePartition(partition_index=0, replicas=[1])])]),
        _plain(list_partition_reassignments, 0, "ListPartitionReassignments", topics=None),
        _plain(describe_log_dirs, 4, "DescribeLogDirs", topics=None),
        _plain(describe_cluster, 0, "DescribeCluster", include_cluster_authorized_operations=True),
    ]  # fmt: skip


def _transactions() -> list[Question]:
    markers, features = write_txn_markers, update_features
    return [
        _plain(describe_transactions, 0, "DescribeTransactions", transactional_ids=[ID, "other"]),
        _plain(list_transactions, 1, "ListTransactions"),
        _plain(markers, 1, "WriteTxnMarkers", markers=[
            markers.WritableTxnMarker(producer_id=9_999, producer_epoch=0, topics=[
                markers.WritableTxnMarkerTopic(name="absent", partition_indexes=[0])])]),
        _plain(features, 1, "UpdateFeatures", validate_only=True, feature_updates=[
            features.FeatureUpdateKey(feature="transaction.version", max_version_level=2)]),
    ]  # fmt: skip


def questions() -> list[Question]:
    """All of them."""
    return [*_reading(), *_groups(), *_writing(), *_transactions(), *_ruling()]
