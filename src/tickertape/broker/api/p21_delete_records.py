"""DeleteRecords (key 21), versions 0 to 2.

Behaviour. Nothing below the offset can be read any more, durably, before the answer; -1 means
everything up to the high watermark. The answer's low watermark is the new log start. A topic whose
cleanup.policy lacks delete refuses (POLICY_VIOLATION), as does one of the broker's own
(INVALID_TOPIC_EXCEPTION).

Versions. 2 flexible.

Deviations. None known. timeoutMs is not needed: there are no followers to wait for.
"""

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import denied_topics
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.topics import INTERNAL_TOPICS
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)


def delete_records(broker: Broker, request: Request, call: Call) -> None:
    """Move each log start."""
    ask, _ = DeleteRecordsRequest.decode(request.frame, request.at, request.version)
    denied = denied_topics(broker, call, Operation.DELETE, (topic.name for topic in ask.topics))
    topics = [
        DeleteRecordsTopicResult(
            name=topic.name,
            partitions=[
                _denied(part) if topic.name in denied else _delete(broker, topic.name, part)
                for part in topic.partitions
            ],
        )
        for topic in ask.topics
    ]
    answer(call, request.header, DeleteRecordsResponse(topics=topics))


def _denied(part: DeleteRecordsPartition) -> DeleteRecordsPartitionResult:
    return DeleteRecordsPartitionResult(
        partition_index=part.partition_index,
        low_watermark=-1,
        error_code=ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    )


def _delete(
    broker: Broker, topic: str, part: DeleteRecordsPartition
) -> DeleteRecordsPartitionResult:
    result = DeleteRecordsPartitionResult(partition_index=part.partition_index, low_watermark=-1)
    if topic in INTERNAL_TOPICS:
        result.error_code = ErrorCode.INVALID_TOPIC_EXCEPTION
        return result
    try:
        partition = broker.topics.partition(topic, part.partition_index)
    except StorageError as error:
        broker.notice(f"{topic}-{part.partition_index} cannot be opened: {error}")
        result.error_code = ErrorCode.KAFKA_STORAGE_ERROR
        return result
    if partition is None:
        result.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    elif not partition.log.config.deletes:
        result.error_code = ErrorCode.POLICY_VIOLATION
    elif part.offset < -1:
        result.error_code = ErrorCode.OFFSET_OUT_OF_RANGE
    else:
        result.error_code = partition.log.truncate_prefix(part.offset)
        broker.durability.maintained(partition)
        if not result.error_code:
            result.low_watermark = partition.log.log_start_offset
            partition.wake()  # who waits below the new start is told so
    return result
