"""DescribeAcls (key 29), versions 1 to 3.

Behaviour. The rules that the filter means, by resource. Needs DESCRIBE on the cluster. Without an
authoriser SECURITY_DISABLED, as from a Kafka broker without one.

Versions. 2 flexible, 3 the user resource type (KIP-373).

Deviations. None known.
"""

from tickertape.broker.api.acl_filters import fault, matches
from tickertape.broker.api.outcome import NO_AUTHORIZER, Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_acls import (
    AclDescription,
    DescribeAclsRequest,
    DescribeAclsResource,
    DescribeAclsResponse,
)


def describe_acls(broker: Broker, request: Request, call: Call) -> None:
    """List the rules."""
    ask, _ = DescribeAclsRequest.decode(request.frame, request.at, request.version)
    response = DescribeAclsResponse(error_message=None)
    if broker.authorizer is None:
        response.error_code, response.error_message = ErrorCode.SECURITY_DISABLED, NO_AUTHORIZER
    elif not may_cluster(broker, call, Operation.DESCRIBE):
        response.error_code = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
        response.error_message = "Cluster authorization failed."
    elif (why := fault(ask)) is not None:
        response.error_code, response.error_message = ErrorCode.INVALID_REQUEST, why
    else:
        response.resources = _resources(broker, ask)
    answer(call, request.header, response)


def _resources(broker: Broker, ask: DescribeAclsRequest) -> list[DescribeAclsResource]:
    found: dict[tuple[int, str, int], DescribeAclsResource] = {}
    for acl in broker.security.acls:
        if not matches(ask, acl):
            continue
        key = (int(acl.resource), acl.name, int(acl.pattern))
        resource = found.get(key)
        if resource is None:
            resource = found[key] = DescribeAclsResource(
                resource_type=key[0], resource_name=key[1], pattern_type=key[2]
            )
        resource.acls.append(
            AclDescription(
                principal=acl.principal,
                host=acl.host,
                operation=int(acl.operation),
                permission_type=int(acl.permission),
            )
        )
    return list(found.values())
