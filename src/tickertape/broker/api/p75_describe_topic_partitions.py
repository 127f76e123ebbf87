"""DescribeTopicPartitions (key 75), versions 0 to 0.

Behaviour. Topics in order of name; an empty list means all. At most responsePartitionLimit
partitions, and never more than 2000, go into one answer; where it stops, the cursor says from which
partition of which topic to ask on (KIP-966). A topic that does not exist is never created. A cursor
below partition 0, or at a topic that is not among those asked for: INVALID_REQUEST for all of them.

Versions. Flexible.

Deviations. None known.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may, operations
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.topics import Topic, name_fault
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_topic_partitions import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
    ResponseCursor,
)

_PARTITIONS_MAX: Final = 2_000  # max.request.partition.size.limit


def describe_topic_partitions(broker: Broker, request: Request, call: Call) -> None:
    """Describe a page of partitions."""
    ask, _ = DescribeTopicPartitionsRequest.decode(request.frame, request.at, request.version)
    named = {topic.name for topic in ask.topics}
    cursor = ask.cursor
    if cursor is not None:
        if cursor.partition_index < 0 or (named and cursor.topic_name not in named):
            answer(call, request.header, _refused(ask))
            return
        named = {name for name in named if name >= cursor.topic_name}
    names = {
        name
        for name in named or {topic.name for topic in broker.topics}
        if may(broker, call, Operation.DESCRIBE, Resource.TOPIC, name)
    }
    denied = named - names
    if cursor is not None:
        names = {name for name in names if name >= cursor.topic_name}
    room = max(1, min(ask.response_partition_limit, _PARTITIONS_MAX))
    response = DescribeTopicPartitionsResponse()
    for name in sorted(names):
        first = 0
        if cursor is not None and name == cursor.topic_name:
            first = cursor.partition_index
        if room == 0:
            response.next_cursor = ResponseCursor(topic_name=name, partition_index=first)
            break
        topic = broker.topics.get(name)
        described = _absent(name) if topic is None else _described(broker, topic, first, room)
        described.topic_authorized_operations = operations(broker, call, Resource.TOPIC, name)
        response.topics.append(described)
        room -= len(described.partitions)
        following = first + len(described.partitions)
        if topic is not None and following < len(topic.partitions):
            response.next_cursor = ResponseCursor(topic_name=name, partition_index=following)
            break
    response.topics += [
        DescribeTopicPartitionsResponseTopic(
            name=name, error_code=ErrorCode.TOPIC_AUTHORIZATION_FAILED
        )
        for name in sorted(denied)
    ]
    answer(call, request.header, response)


def _refused(ask: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse:
    return DescribeTopicPartitionsResponse(
        topics=[
            DescribeTopicPartitionsResponseTopic(
                name=topic.name, error_code=ErrorCode.INVALID_REQUEST
            )
            for topic in ask.topics
        ]
    )


def _absent(name: str) -> DescribeTopicPartitionsResponseTopic:
    invalid = name_fault(name) is not None
    return DescribeTopicPartitionsResponseTopic(
        name=name,
        error_code=ErrorCode.INVALID_TOPIC_EXCEPTION
        if invalid
        else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    )


def _described(
    broker: Broker, topic: Topic, first: int, room: int
) -> DescribeTopicPartitionsResponseTopic:
    node_id = broker.settings.node_id
    return DescribeTopicPartitionsResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.is_internal,
        partitions=[
            DescribeTopicPartitionsResponsePartition(
                partition_index=index,
                leader_id=node_id,
                leader_epoch=0 if partition is None else partition.log.leader_epoch,
                replica_nodes=[node_id],
                isr_nodes=[node_id],
                eligible_leader_replicas=[],
                last_known_elr=[],
            )
            for index, partition in list(enumerate(topic.partitions))[first : first + room]
        ],
    )
