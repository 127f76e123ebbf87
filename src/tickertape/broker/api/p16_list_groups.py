"""ListGroups (key 16), versions 0 to 5.

Behaviour. Every group that has members or committed offsets, also those whose consumers only
commit.

Versions. 3 flexible, 4 states and a filter for them (KIP-518), 5 types and a filter for them
(KIP-848): classic or consumer. Filters do not mind the case.

Deviations. None known.
"""

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may, may_cluster
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.consumer_group import ConsumerGroup
from tickertape.broker.state.subscriptions import AnyGroup
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.list_groups import (
    ListedGroup,
    ListGroupsRequest,
    ListGroupsResponse,
)


def list_groups(broker: Broker, request: Request, call: Call) -> None:
    """List the groups that the filters let through."""
    ask, _ = ListGroupsRequest.decode(request.frame, request.at, request.version)
    states = {state.lower() for state in ask.states_filter}
    types = {type_.lower() for type_ in ask.types_filter}
    sees_all = may_cluster(broker, call, Operation.DESCRIBE)
    groups = [
        ListedGroup(
            group_id=group.group_id,
            protocol_type=group.protocol_type or "",
            group_state=group.state.value,
            group_type=_type_of(group),
        )
        for group in broker.groups
        if (not states or group.state.value.lower() in states)
        and (not types or _type_of(group) in types)
        and (sees_all or may(broker, call, Operation.DESCRIBE, Resource.GROUP, group.group_id))
    ]
    answer(call, request.header, ListGroupsResponse(error_code=ErrorCode.NONE, groups=groups))


def _type_of(group: AnyGroup) -> str:
    return "consumer" if isinstance(group, ConsumerGroup) else "classic"
