"""DescribeCluster (key 60), versions 0 to 2.

Behaviour. One broker, which is also what clients are shown as the controller. Operations, when
asked for, are those that the client may do.

Versions. 1 endpoint type (KIP-919): only brokers can be asked, and a broker answers a question for
controllers with MISMATCHED_ENDPOINT_TYPE. 2 fenced brokers (KIP-1073): there are none.

Deviations. None known.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer, own_address
from tickertape.broker.api.rights import cluster_operations
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)

_BROKERS: Final = 1
_CONTROLLERS: Final = 2
_NOT_ASKED: Final = -(2**31)


def describe_cluster(broker: Broker, request: Request, call: Call) -> None:
    """Describe this broker."""
    ask, _ = DescribeClusterRequest.decode(request.frame, request.at, request.version)
    if ask.endpoint_type != _BROKERS:
        known = ask.endpoint_type == _CONTROLLERS
        response = DescribeClusterResponse(
            error_code=ErrorCode.MISMATCHED_ENDPOINT_TYPE
            if known
            else ErrorCode.UNSUPPORTED_ENDPOINT_TYPE,
            error_message=f"endpoint type {ask.endpoint_type}; this is a broker, want {_BROKERS}",
            endpoint_type=_BROKERS,
        )
        answer(call, request.header, response)
        return
    settings = broker.settings
    host, port = own_address(broker, call)
    response = DescribeClusterResponse(
        error_code=ErrorCode.NONE,
        endpoint_type=_BROKERS,
        cluster_id=broker.cluster_id,
        controller_id=settings.node_id,
        brokers=[
            DescribeClusterBroker(
                broker_id=settings.node_id,
                host=host,
                port=port,
                rack=settings.rack,
            )
        ],
        cluster_authorized_operations=cluster_operations(broker, call)
        if ask.include_cluster_authorized_operations
        else _NOT_ASKED,
    )
    answer(call, request.header, response)
