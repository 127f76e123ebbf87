"""OffsetForLeaderEpoch (key 23), versions 2 to 4.

Behaviour. For each partition the newest epoch not above the one asked, and where it ends; consumers
find out by this that a crash took records back (KIP-101, KIP-279, KIP-320). Epochs of the current
leader are fenced.

Versions. 3 replica id, 4 flexible.

Deviations. None known.
"""

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import denied_topics
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)


def offset_for_leader_epoch(broker: Broker, request: Request, call: Call) -> None:
    """Look up each epoch."""
    ask, _ = OffsetForLeaderEpochRequest.decode(request.frame, request.at, request.version)
    denied = denied_topics(broker, call, Operation.DESCRIBE, (topic.topic for topic in ask.topics))
    topics = [
        OffsetForLeaderTopicResult(
            topic=topic.topic,
            partitions=[
                _denied(part) if topic.topic in denied else _look_up(broker, topic.topic, part)
                for part in topic.partitions
            ],
        )
        for topic in ask.topics
    ]
    answer(call, request.header, OffsetForLeaderEpochResponse(topics=topics))


def _denied(part: OffsetForLeaderPartition) -> EpochEndOffset:
    error = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    return EpochEndOffset(
        partition=part.partition, leader_epoch=-1, end_offset=-1, error_code=error
    )


def _look_up(broker: Broker, topic: str, part: OffsetForLeaderPartition) -> EpochEndOffset:
    result = EpochEndOffset(partition=part.partition, leader_epoch=-1, end_offset=-1)
    try:
        partition = broker.topics.partition(topic, part.partition)
    except StorageError:
        result.error_code = ErrorCode.KAFKA_STORAGE_ERROR
        return result
    if partition is None:
        result.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return result
    epoch = part.current_leader_epoch
    if epoch >= 0 and epoch != partition.log.leader_epoch:
        behind = epoch < partition.log.leader_epoch
        result.error_code = (
            ErrorCode.FENCED_LEADER_EPOCH if behind else ErrorCode.UNKNOWN_LEADER_EPOCH
        )
        return result
    result.leader_epoch, result.end_offset = partition.log.end_offset_for_epoch(part.leader_epoch)
    return result
