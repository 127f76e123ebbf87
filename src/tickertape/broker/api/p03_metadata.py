"""Metadata (key 3), versions 0 to 12.

Behaviour. One broker, which leads and is the controller. A named topic that does not exist is
created with num.partitions if auto.create.topics.enable and the request allow it, and is in the
answer at once. A null list (version 0: an empty one) means all topics.

Versions. 1 controller and internal flag, 2 cluster id, 4 the client's auto-create flag, 5 offline
replicas, 7 leader epoch, 8 authorised operations (KIP-430), 9
flexible, 10 topic ids (KIP-516), 11 no more cluster operations, 12 look-up by id.

Deviations. Look-up by id is answered from version 10 on, where Kafka begins at 12.
"""

from uuid import UUID

from tickertape.base.errors import StorageError
from tickertape.broker.api.new_topics import name_refusal
from tickertape.broker.api.outcome import Request, own_address
from tickertape.broker.api.rights import cluster_operations, may, may_cluster, operations
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.topic_ids import NO_TOPIC_ID
from tickertape.broker.state.topics import Topic
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import response_prefix
from tickertape.wire.metadata import (
    NOT_ASKED,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
    read_metadata_request,
    wants_all,
    write_metadata_response,
)


def metadata(broker: Broker, request: Request, call: Call) -> None:
    """Describe this broker and the topics asked for."""
    ask = read_metadata_request(request.frame, request.at, request.version)
    settings = broker.settings
    host, port = own_address(broker, call)
    with_operations = ask.include_topic_authorized_operations
    if wants_all(ask, request.version):
        topics = [
            _described(broker, call, topic, with_operations=with_operations)
            for topic in broker.topics
            if may(broker, call, Operation.DESCRIBE, Resource.TOPIC, topic.name)
        ]
    else:
        once = {(wanted.name, wanted.topic_id): wanted for wanted in ask.topics or ()}
        topics = [_asked(broker, call, wanted, ask) for wanted in once.values()]
    response = MetadataResponse(
        brokers=[
            MetadataResponseBroker(
                node_id=settings.node_id,
                host=host,
                port=port,
                rack=settings.rack,
            )
        ],
        cluster_id=broker.cluster_id,
        controller_id=settings.node_id,
        topics=topics,
        cluster_authorized_operations=cluster_operations(broker, call)
        if ask.include_cluster_authorized_operations
        else NOT_ASKED,
    )
    for topic in topics:
        if topic.error_code:
            call.count(topic.error_code)
    header = request.header
    prefix = response_prefix(header.api_key, header.api_version, header.correlation_id)
    call.answer([prefix + write_metadata_response(header.api_version, response)])


def _asked(
    broker: Broker,
    call: Call,
    wanted: MetadataRequestTopic,
    ask: MetadataRequest,
) -> MetadataResponseTopic:
    with_operations = ask.include_topic_authorized_operations
    if wanted.name is None or wanted.topic_id != NO_TOPIC_ID:
        by_id = broker.topics.by_id(wanted.topic_id)
        if by_id is None:
            return _refused(ErrorCode.UNKNOWN_TOPIC_ID, None, wanted.topic_id)
        if not may(broker, call, Operation.DESCRIBE, Resource.TOPIC, by_id.name):
            return _refused(ErrorCode.TOPIC_AUTHORIZATION_FAILED, None, wanted.topic_id)
        return _described(broker, call, by_id, with_operations=with_operations)
    if not may(broker, call, Operation.DESCRIBE, Resource.TOPIC, wanted.name):
        return _refused(ErrorCode.TOPIC_AUTHORIZATION_FAILED, wanted.name)
    topic = broker.topics.get(wanted.name)
    if topic is None:
        made = _auto_create(broker, call, wanted.name, wish=ask.allow_auto_topic_creation)
        if isinstance(made, ErrorCode):
            return _refused(made, wanted.name)
        topic = made
    return _described(broker, call, topic, with_operations=with_operations)


def _auto_create(broker: Broker, call: Call, name: str, *, wish: bool) -> Topic | ErrorCode:
    refusal = name_refusal(broker, name)
    if refusal is not None:
        return refusal[0]
    if not (wish and broker.settings.auto_create_topics_enable):
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    create = Operation.CREATE
    if not (may_cluster(broker, call, create) or may(broker, call, create, Resource.TOPIC, name)):
        return ErrorCode.TOPIC_AUTHORIZATION_FAILED
    try:
        return broker.create_topic(name, broker.settings.num_partitions, {})
    except StorageError as error:
        broker.notice(f"topic {name} could not be created: {error}")
        return ErrorCode.KAFKA_STORAGE_ERROR


def _described(
    broker: Broker, call: Call, topic: Topic, *, with_operations: bool
) -> MetadataResponseTopic:
    node_id = broker.settings.node_id
    nodes = (node_id,)
    partitions = []
    for index, partition in enumerate(topic.partitions):
        epoch = 0 if partition is None else partition.log.leader_epoch
        partitions.append(
            MetadataResponsePartition(ErrorCode.NONE, index, node_id, epoch, nodes, nodes)
        )
    return MetadataResponseTopic(
        error_code=ErrorCode.NONE,
        name=topic.name,
        partitions=partitions,
        topic_id=topic.topic_id,
        is_internal=topic.is_internal,
        topic_authorized_operations=operations(broker, call, Resource.TOPIC, topic.name)
        if with_operations
        else NOT_ASKED,
    )


def _refused(
    error: ErrorCode, name: str | None, topic_id: UUID = NO_TOPIC_ID
) -> MetadataResponseTopic:
    return MetadataResponseTopic(error_code=error, name=name, partitions=[], topic_id=topic_id)
