"""DescribeAcls (key 29), versions 1 to 3.

Behaviour. There is no authoriser: SECURITY_DISABLED, as from a Kafka broker without one.

Versions. 2 flexible, 3 the user resource type (KIP-373).

Deviations. None known.
"""

from tickertape.broker.api.outcome import NO_AUTHORIZER, Request, answer
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_acls import DescribeAclsRequest, DescribeAclsResponse


def describe_acls(broker: Broker, request: Request, call: Call) -> None:
    """Refuse."""
    DescribeAclsRequest.decode(request.frame, request.at, request.version)
    response = DescribeAclsResponse(
        error_code=ErrorCode.SECURITY_DISABLED, error_message=NO_AUTHORIZER, resources=[]
    )
    answer(call, request.header, response)
