"""ListPartitionReassignments (key 46), versions 0 to 0.

Behaviour. One broker: no partition is ever on its way to another, so the list is empty.

Versions. Flexible.

Deviations. None known.
"""

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)


def list_partition_reassignments(broker: Broker, request: Request, call: Call) -> None:
    """List none."""
    ListPartitionReassignmentsRequest.decode(request.frame, request.at, request.version)
    error = ErrorCode.NONE
    if not may_cluster(broker, call, Operation.DESCRIBE):
        error = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    response = ListPartitionReassignmentsResponse(error_code=error, error_message=None, topics=[])
    answer(call, request.header, response)
