"""ListOffsets (key 2), versions 1 to 10.

Behaviour. Timestamp -1: the high watermark; read_committed gets the last stable offset, and with
any other timestamp nothing from there on. -2: the log start. -3: the record with the largest
timestamp. -4 (local log start): the log start, as nothing is tiered. -5 (end of tiered storage):
offset -1. Any other: the first durable record at or after it, or offset -1 if there is none. Leader
epochs are fenced (KIP-320).

Versions. 2 isolation level, 4 leader epochs, 6 flexible, 7 -3 (KIP-734), 8 -4 (KIP-405), 9 -5
(KIP-1005), 10 a timeout for tiered look-ups, of which there are none.

Deviations. None known.
"""

from collections import Counter
from typing import Final

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import denied_topics
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.log.partition import PartitionLog
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)

LATEST: Final = -1
EARLIEST: Final = -2
MAX_TIMESTAMP: Final = -3
EARLIEST_LOCAL: Final = -4
LATEST_TIERED: Final = -5
_SINCE: Final = {LATEST: 1, EARLIEST: 1, MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9}
_FIXED: Final = frozenset({EARLIEST, EARLIEST_LOCAL, LATEST_TIERED})
_NOTHING: Final = (-1, -1)
_READ_COMMITTED: Final = 1


def list_offsets(broker: Broker, request: Request, call: Call) -> None:
    """Look up each partition."""
    ask, _ = ListOffsetsRequest.decode(request.frame, request.at, request.version)
    asked = Counter(
        (topic.name, part.partition_index) for topic in ask.topics for part in topic.partitions
    )
    denied = denied_topics(broker, call, Operation.DESCRIBE, (topic.name for topic in ask.topics))
    topics = [
        ListOffsetsTopicResponse(
            name=topic.name,
            partitions=[
                _refused(part, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
                if topic.name in denied
                else _look_up(broker, ask, request.version, topic.name, part)
                if asked[topic.name, part.partition_index] == 1
                else _refused(part, ErrorCode.INVALID_REQUEST)
                for part in topic.partitions
            ],
        )
        for topic in ask.topics
    ]
    answer(call, request.header, ListOffsetsResponse(topics=topics))


def _look_up(
    broker: Broker, ask: ListOffsetsRequest, version: int, topic: str, part: ListOffsetsPartition
) -> ListOffsetsPartitionResponse:
    committed = ask.isolation_level == _READ_COMMITTED
    try:
        partition = broker.topics.partition(topic, part.partition_index)
        if partition is None:
            return _refused(part, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        log = partition.log
        epoch = part.current_leader_epoch
        if epoch >= 0 and epoch != log.leader_epoch:
            behind = epoch < log.leader_epoch
            return _refused(
                part, ErrorCode.FENCED_LEADER_EPOCH if behind else ErrorCode.UNKNOWN_LEADER_EPOCH
            )
        if part.timestamp < 0 and version < _SINCE.get(part.timestamp, version + 1):
            return _refused(part, ErrorCode.UNSUPPORTED_VERSION)
        offset, timestamp = _find(log, part.timestamp)
        if committed and part.timestamp not in _FIXED and offset >= log.last_stable_offset:
            stable = log.last_stable_offset
            offset, timestamp = (stable, -1) if part.timestamp == LATEST else _NOTHING
    except StorageError:
        return _refused(part, ErrorCode.KAFKA_STORAGE_ERROR)
    return ListOffsetsPartitionResponse(
        partition_index=part.partition_index,
        error_code=ErrorCode.NONE,
        timestamp=timestamp,
        offset=offset,
        leader_epoch=log.epoch_at(offset),
    )


def _find(log: PartitionLog, timestamp: int) -> tuple[int, int]:
    """(offset, timestamp); -1 for what there is not."""
    if timestamp == LATEST:
        return log.durable_offset, -1
    if timestamp in {EARLIEST, EARLIEST_LOCAL}:
        return log.log_start_offset, -1
    if timestamp == LATEST_TIERED:
        return _NOTHING
    if timestamp == MAX_TIMESTAMP:
        return log.max_timestamp()
    return log.offset_for_timestamp(timestamp) or _NOTHING


def _refused(part: ListOffsetsPartition, error: ErrorCode) -> ListOffsetsPartitionResponse:
    return ListOffsetsPartitionResponse(
        partition_index=part.partition_index,
        error_code=error,
        timestamp=-1,
        offset=-1,
        leader_epoch=-1,
    )
