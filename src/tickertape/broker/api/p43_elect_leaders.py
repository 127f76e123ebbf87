"""ElectLeaders (key 43), versions 0 to 2.

Behaviour. This broker leads every partition already, so none needs an election:
ELECTION_NOT_NEEDED, of either type. A null topic list asks about all partitions, of which only
those that elected somebody are listed: none.

Versions. 1 election type (KIP-460), 2 flexible.

Deviations. None known.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)

_TYPES: Final = frozenset({0, 1})  # preferred, unclean


def elect_leaders(broker: Broker, request: Request, call: Call) -> None:
    """Say of each partition that it has its leader."""
    ask, _ = ElectLeadersRequest.decode(request.frame, request.at, request.version)
    if not may_cluster(broker, call, Operation.ALTER):
        response = _refused(ask, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    elif ask.election_type not in _TYPES:
        response = _refused(ask, ErrorCode.INVALID_REQUEST)
    else:
        response = ElectLeadersResponse(
            replica_election_results=[
                ReplicaElectionResult(
                    topic=wanted.topic,
                    partition_result=[
                        _result(broker, wanted.topic, index) for index in wanted.partitions
                    ],
                )
                for wanted in ask.topic_partitions or ()
            ]
        )
    answer(call, request.header, response)


def _refused(ask: ElectLeadersRequest, error: ErrorCode) -> ElectLeadersResponse:
    return ElectLeadersResponse(
        error_code=error,
        replica_election_results=[
            ReplicaElectionResult(
                topic=wanted.topic,
                partition_result=[
                    PartitionResult(partition_id=index, error_code=error)
                    for index in wanted.partitions
                ],
            )
            for wanted in ask.topic_partitions or ()
        ],
    )


def _result(broker: Broker, name: str, index: int) -> PartitionResult:
    topic = broker.topics.get(name)
    if topic is None or not 0 <= index < len(topic.partitions):
        return PartitionResult(
            partition_id=index,
            error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            error_message=f"there is no partition {name}-{index}",
        )
    return PartitionResult(
        partition_id=index,
        error_code=ErrorCode.ELECTION_NOT_NEEDED,
        error_message="Leader election not needed for topic partition.",
    )
