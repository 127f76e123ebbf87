"""DeleteAcls (key 31), versions 1 to 3.

Behaviour. There is no authoriser: SECURITY_DISABLED for each, as from a Kafka broker without one.

Versions. 2 flexible, 3 the user resource type (KIP-373).

Deviations. None known.
"""

from tickertape.broker.api.outcome import NO_AUTHORIZER, Request, answer
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.delete_acls import (
    DeleteAclsFilterResult,
    DeleteAclsRequest,
    DeleteAclsResponse,
)


def delete_acls(broker: Broker, request: Request, call: Call) -> None:
    """Refuse each."""
    ask, _ = DeleteAclsRequest.decode(request.frame, request.at, request.version)
    refused = ErrorCode.SECURITY_DISABLED
    results = [
        DeleteAclsFilterResult(error_code=refused, error_message=NO_AUTHORIZER, matching_acls=[])
        for _ in ask.filters
    ]
    answer(call, request.header, DeleteAclsResponse(filter_results=results))
