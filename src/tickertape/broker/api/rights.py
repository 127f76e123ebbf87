"""What a handler asks before it does or shows anything: whether this client may.

How to use it. First thing after decoding, for each resource that the request names::

    if not may(broker, call, Operation.WRITE, Resource.TOPIC, name):
        out.error = ErrorCode.TOPIC_AUTHORIZATION_FAILED   # and say nothing else about it

before looking whether it exists, so that the answer tells nothing. ``may_cluster`` is the same for
the cluster; ``refusal`` and ``denied_topics`` answer for one with its error, or for many at once;
``may_some`` asks whether there is any resource of a type; ``operations`` is the bit field of
"authorized operations". Without an authoriser (``broker.authorizer is None``) everything is
allowed, at the price of one comparison; a hot path may do that comparison itself, once. Which
operation on what, and which error: as Kafka's KafkaApis.
"""

from collections.abc import Iterable
from typing import Final

from tickertape.broker.state.acl import CLUSTER_NAME, OPERATIONS_OF, Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.consumer_group_types import Sees, sees_all
from tickertape.wire.error_codes import ErrorCode

_NONE_DENIED: Final[frozenset[str]] = frozenset()
_REFUSALS: Final = {
    Resource.TOPIC: (ErrorCode.TOPIC_AUTHORIZATION_FAILED, "Topic authorization failed."),
    Resource.GROUP: (ErrorCode.GROUP_AUTHORIZATION_FAILED, "Group authorization failed."),
    Resource.CLUSTER: (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Cluster authorization failed."),
    Resource.TRANSACTIONAL_ID: (
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        "Transactional Id authorization failed.",
    ),
}


def may(broker: Broker, call: Call, operation: Operation, resource: Resource, name: str) -> bool:
    """Whether the client may do this to the resource of that name."""
    authorizer = broker.authorizer
    if authorizer is None:
        return True
    session = call.session
    return authorizer.allows(session.principal, session.host, operation, resource, name)


def may_cluster(broker: Broker, call: Call, operation: Operation) -> bool:
    """Whether the client may do this to the cluster."""
    return may(broker, call, operation, Resource.CLUSTER, CLUSTER_NAME)


def refusal(
    broker: Broker, call: Call, operation: Operation, resource: Resource, name: str
) -> tuple[ErrorCode, str] | None:
    """None if the client may; else the error and Kafka's words for it."""
    return None if may(broker, call, operation, resource, name) else _REFUSALS[resource]


def denied_topics(
    broker: Broker, call: Call, operation: Operation, names: Iterable[str | None]
) -> frozenset[str]:
    """Of these topics those with which the client may not do this; None is passed over."""
    if broker.authorizer is None:
        return _NONE_DENIED
    return frozenset(
        name
        for name in names
        if name is not None and not may(broker, call, operation, Resource.TOPIC, name)
    )


def eyes(broker: Broker, call: Call) -> Sees:
    """Which topics the client may know of: for those who ask when the call is over."""
    authorizer, session = broker.authorizer, call.session
    if authorizer is None:
        return sees_all
    who, describe, topic = (session.principal, session.host), Operation.DESCRIBE, Resource.TOPIC
    return lambda name: authorizer.allows(*who, describe, topic, name)


def may_some(broker: Broker, call: Call, operation: Operation, resource: Resource) -> bool:
    """Whether the client may do this to any resource of that type, whatever its name."""
    authorizer = broker.authorizer
    if authorizer is None:
        return True
    session = call.session
    return authorizer.allows_some(session.principal, session.host, operation, resource)


def operations(broker: Broker, call: Call, resource: Resource, name: str) -> int:
    """The operations that the client may do, as a bit field by AclOperation's codes."""
    return sum(
        1 << operation
        for operation in OPERATIONS_OF[resource]
        if may(broker, call, operation, resource, name)
    )


def cluster_operations(broker: Broker, call: Call) -> int:
    """The same for the cluster; none to who may not describe it."""
    if not may_cluster(broker, call, Operation.DESCRIBE):
        return 0
    return operations(broker, call, Resource.CLUSTER, CLUSTER_NAME)
