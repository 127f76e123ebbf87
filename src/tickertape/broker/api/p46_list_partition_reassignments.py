"""ListPartitionReassignments (key 46), versions 0 to 0.

Behaviour. One broker: no partition is ever on its way to another, so the list is empty.

Versions. Flexible.

Deviations. None known.
"""

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.schema.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)


def list_partition_reassignments(broker: Broker, request: Request, call: Call) -> None:
    """List none."""
    ListPartitionReassignmentsRequest.decode(request.frame, request.at, request.version)
    answer(call, request.header, ListPartitionReassignmentsResponse(error_message=None, topics=[]))
