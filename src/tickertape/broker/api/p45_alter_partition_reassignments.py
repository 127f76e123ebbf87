"""AlterPartitionReassignments (key 45), versions 0 to 1.

Behaviour. A partition can only be where it is: on this broker, alone. Asking for just that is done
at once; any other set of replicas is refused (INVALID_REPLICA_ASSIGNMENT). There is never a
reassignment in progress, so none can be cancelled (NO_REASSIGNMENT_IN_PROGRESS).

Versions. Both flexible; 1 forbids a change of the replication factor (KIP-860), which cannot be.

Deviations. None known.
"""

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)


def alter_partition_reassignments(broker: Broker, request: Request, call: Call) -> None:
    """Answer for each partition."""
    ask, _ = AlterPartitionReassignmentsRequest.decode(request.frame, request.at, request.version)
    if not may_cluster(broker, call, Operation.ALTER):
        answer(call, request.header, _denied(ask))
        return
    response = AlterPartitionReassignmentsResponse(
        allow_replication_factor_change=ask.allow_replication_factor_change,
        error_message=None,
        responses=[
            ReassignableTopicResponse(
                name=topic.name,
                partitions=[_outcome(broker, topic.name, part) for part in topic.partitions],
            )
            for topic in ask.topics
        ],
    )
    answer(call, request.header, response)


def _denied(ask: AlterPartitionReassignmentsRequest) -> AlterPartitionReassignmentsResponse:
    error = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    return AlterPartitionReassignmentsResponse(
        error_code=error,
        responses=[
            ReassignableTopicResponse(
                name=topic.name,
                partitions=[
                    ReassignablePartitionResponse(
                        partition_index=part.partition_index, error_code=error
                    )
                    for part in topic.partitions
                ],
            )
            for topic in ask.topics
        ],
    )


def _outcome(
    broker: Broker, name: str, part: ReassignablePartition
) -> ReassignablePartitionResponse:
    index, node_id = part.partition_index, broker.settings.node_id
    topic = broker.topics.get(name)
    error, message = ErrorCode.NONE, None
    if topic is None or not 0 <= index < len(topic.partitions):
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        message = f"there is no partition {name}-{index}"
    elif part.replicas is None:
        error = ErrorCode.NO_REASSIGNMENT_IN_PROGRESS
    elif part.replicas != [node_id]:
        error = ErrorCode.INVALID_REPLICA_ASSIGNMENT
        message = f"replicas {part.replicas}; want [{node_id}], the only broker"
    return ReassignablePartitionResponse(
        partition_index=index, error_code=error, error_message=message
    )
