"""DeleteAcls (key 31), versions 1 to 3.

Behaviour. Deletes the rules that each filter means, durably before the answer, and names them.
Needs ALTER on the cluster. Without an authoriser SECURITY_DISABLED for each, as from a Kafka broker
without one.

Versions. 2 flexible, 3 the user resource type (KIP-373).

Deviations. None known.
"""

from tickertape.base.errors import StorageError
from tickertape.broker.api.acl_filters import fault, matches
from tickertape.broker.api.outcome import NO_AUTHORIZER, Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Acl, Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.delete_acls import (
    DeleteAclsFilter,
    DeleteAclsFilterResult,
    DeleteAclsMatchingAcl,
    DeleteAclsRequest,
    DeleteAclsResponse,
)


def delete_acls(broker: Broker, request: Request, call: Call) -> None:
    """Delete rules."""
    ask, _ = DeleteAclsRequest.decode(request.frame, request.at, request.version)
    if broker.authorizer is None:
        _refuse_all(call, request, ask, (ErrorCode.SECURITY_DISABLED, NO_AUTHORIZER))
        return
    if not may_cluster(broker, call, Operation.ALTER):
        denied = (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Cluster authorization failed.")
        _refuse_all(call, request, ask, denied)
        return
    outcomes = [_meant(broker, wanted) for wanted in ask.filters]
    gone = [acl for meant in outcomes if not isinstance(meant, str) for acl in meant]
    try:
        broker.change_acls((), gone)
    except StorageError as error:
        _refuse_all(call, request, ask, (ErrorCode.KAFKA_STORAGE_ERROR, str(error)))
        return
    results = [
        DeleteAclsFilterResult(error_code=ErrorCode.INVALID_REQUEST, error_message=meant)
        if isinstance(meant, str)
        else DeleteAclsFilterResult(error_message=None, matching_acls=list(map(_named, meant)))
        for meant in outcomes
    ]
    answer(call, request.header, DeleteAclsResponse(filter_results=results))


def _meant(broker: Broker, wanted: DeleteAclsFilter) -> list[Acl] | str:
    why = fault(wanted)
    return why or [acl for acl in broker.security.acls if matches(wanted, acl)]


def _named(acl: Acl) -> DeleteAclsMatchingAcl:
    return DeleteAclsMatchingAcl(
        error_message=None,
        resource_type=int(acl.resource),
        resource_name=acl.name,
        pattern_type=int(acl.pattern),
        principal=acl.principal,
        host=acl.host,
        operation=int(acl.operation),
        permission_type=int(acl.permission),
    )


def _refuse_all(
    call: Call, request: Request, ask: DeleteAclsRequest, why: tuple[ErrorCode, str]
) -> None:
    error, message = why
    results = [DeleteAclsFilterResult(error_code=error, error_message=message) for _ in ask.filters]
    answer(call, request.header, DeleteAclsResponse(filter_results=results))
