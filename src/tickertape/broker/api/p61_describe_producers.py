"""DescribeProducers (key 61), versions 0 to 0.

Behaviour. The producer ids that have written to a partition and are still remembered: epoch, last
sequence and timestamp, and where an open transaction began (KIP-664).

Versions. Flexible.

Deviations. None known.
"""

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import denied_topics
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicResponse,
)


def describe_producers(broker: Broker, request: Request, call: Call) -> None:
    """List the producers of each partition."""
    ask, _ = DescribeProducersRequest.decode(request.frame, request.at, request.version)
    denied = denied_topics(broker, call, Operation.READ, (topic.name for topic in ask.topics))
    topics = [
        TopicResponse(
            name=topic.name,
            partitions=[
                _denied(index) if topic.name in denied else _described(broker, topic.name, index)
                for index in topic.partition_indexes
            ],
        )
        for topic in ask.topics
    ]
    answer(call, request.header, DescribeProducersResponse(topics=topics))


def _denied(index: int) -> PartitionResponse:
    error = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    return PartitionResponse(partition_index=index, error_code=error)


def _described(broker: Broker, name: str, index: int) -> PartitionResponse:
    result = PartitionResponse(partition_index=index)
    try:
        partition = broker.topics.partition(name, index)
    except StorageError as error:
        result.error_code, result.error_message = ErrorCode.KAFKA_STORAGE_ERROR, str(error)
        return result
    if partition is None:
        result.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        result.error_message = f"there is no partition {name}-{index}"
        return result
    result.active_producers = [
        ProducerState(
            producer_id=producer_id,
            producer_epoch=producer.epoch,
            last_sequence=producer.batches[-1].last_sequence if producer.batches else -1,
            last_timestamp=producer.last_timestamp,
            coordinator_epoch=producer.coordinator_epoch,
            current_txn_start_offset=producer.first_offset_of_transaction,
        )
        for producer_id, producer in sorted(partition.log.producers.by_id.items())
    ]
    return result
