"""CreateAcls (key 30), versions 1 to 3.

Behaviour. Adds rules, durably before the answer; each is refused alone. A rule that is there
already is no error. Needs ALTER on the cluster. Without an authoriser SECURITY_DISABLED for each,
as from a Kafka broker without one.

Versions. 2 flexible, 3 the user resource type (KIP-373).

Deviations. None known.
"""

from typing import Final

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import NO_AUTHORIZER, Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import (
    CLUSTER_NAME,
    Acl,
    Operation,
    Pattern,
    Permission,
    Resource,
)
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.create_acls import (
    AclCreation,
    AclCreationResult,
    CreateAclsRequest,
    CreateAclsResponse,
)

_FOR_FILTERS: Final = (
    (0, frozenset({Resource.UNKNOWN, Resource.ANY})),
    (2, frozenset({Pattern.UNKNOWN, Pattern.ANY, Pattern.MATCH})),
    (5, frozenset({Operation.UNKNOWN, Operation.ANY})),
    (6, frozenset({Permission.UNKNOWN, Permission.ANY})),
)
"""What no rule has, by its place in an Acl."""


def create_acls(broker: Broker, request: Request, call: Call) -> None:
    """Add rules."""
    ask, _ = CreateAclsRequest.decode(request.frame, request.at, request.version)
    if broker.authorizer is None:
        _refuse_all(call, request, ask, (ErrorCode.SECURITY_DISABLED, NO_AUTHORIZER))
        return
    if not may_cluster(broker, call, Operation.ALTER):
        denied = (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Cluster authorization failed.")
        _refuse_all(call, request, ask, denied)
        return
    outcomes = [_rule(creation) for creation in ask.creations]
    try:
        broker.change_acls([acl for acl in outcomes if isinstance(acl, Acl)], ())
    except StorageError as error:
        _refuse_all(call, request, ask, (ErrorCode.KAFKA_STORAGE_ERROR, str(error)))
        return
    results = [
        AclCreationResult(error_message=None)
        if isinstance(outcome, Acl)
        else AclCreationResult(error_code=ErrorCode.INVALID_REQUEST, error_message=outcome)
        for outcome in outcomes
    ]
    answer(call, request.header, CreateAclsResponse(results=results))


def _rule(given: AclCreation) -> Acl | str:
    """The rule, or why it is none."""
    try:
        acl = Acl(
            Resource(given.resource_type),
            given.resource_name,
            Pattern(given.resource_pattern_type),
            given.principal,
            given.host,
            Operation(given.operation),
            Permission(given.permission_type),
        )
    except ValueError as error:
        return f"CreatableAcls contain unknown elements: {error}"
    for part, for_filters_only in _FOR_FILTERS:
        if acl[part] in for_filters_only:
            return f"Invalid {acl._fields[part]} {acl[part]}"
    if not acl.name:
        return "Resource name should not be empty"
    if acl.resource is Resource.CLUSTER and acl.name != CLUSTER_NAME:
        return f"The only valid name for the CLUSTER resource is {CLUSTER_NAME}"
    return acl if ":" in acl.principal else _no_principal(acl.principal)


def _no_principal(text: str) -> str:
    return (
        f"Could not parse principal from `{text}` (no colon is present separating the principal"
        " type from the principal name)"
    )


def _refuse_all(
    call: Call, request: Request, ask: CreateAclsRequest, why: tuple[ErrorCode, str]
) -> None:
    error, message = why
    results = [AclCreationResult(error_code=error, error_message=message) for _ in ask.creations]
    answer(call, request.header, CreateAclsResponse(results=results))
