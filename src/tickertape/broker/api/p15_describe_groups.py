"""DescribeGroups (key 15), versions 0 to 6.

Behaviour. State, protocol and members of each group; subscriptions and assignments only while it is
Stable, as they are in flux otherwise. A group that nobody knows, or one of the consumer protocol
(KIP-848), is Dead without an error, and from version 6 on has GROUP_ID_NOT_FOUND.

Versions. 3 authorised operations (KIP-430), 4 instance ids
(KIP-345), 5 flexible, 6 GROUP_ID_NOT_FOUND and a message (KIP-1043).

Deviations. None known.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may, operations
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.consumer_group import ConsumerGroup
from tickertape.broker.state.group import Group
from tickertape.broker.state.group_types import GroupState
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_groups import (
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)

_FIRST_NOT_FOUND: Final = 6


def describe_groups(broker: Broker, request: Request, call: Call) -> None:
    """Describe each group."""
    ask, _ = DescribeGroupsRequest.decode(request.frame, request.at, request.version)
    groups = []
    for group_id in ask.groups:
        if not may(broker, call, Operation.DESCRIBE, Resource.GROUP, group_id):
            error = ErrorCode.GROUP_AUTHORIZATION_FAILED
            groups.append(DescribedGroup(error_code=error, error_message=None, group_id=group_id))
            continue
        group = broker.groups.find(group_id)
        if isinstance(group, Group):
            described = _described(group)
        else:
            described = _unknown(group_id, group, request.version)
        if ask.include_authorized_operations:
            described.authorized_operations = operations(broker, call, Resource.GROUP, group_id)
        groups.append(described)
    answer(call, request.header, DescribeGroupsResponse(groups=groups))


def _described(group: Group) -> DescribedGroup:
    is_stable = group.state is GroupState.STABLE
    protocol = (group.protocol or "") if is_stable else ""
    return DescribedGroup(
        error_code=ErrorCode.NONE,
        error_message=None,
        group_id=group.group_id,
        group_state=group.state.value,
        protocol_type=group.protocol_type or "",
        protocol_data=protocol,
        members=[
            DescribedGroupMember(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                member_metadata=member.metadata(protocol) if is_stable else b"",
                member_assignment=member.assignment if is_stable else b"",
            )
            for member in group.members.values()
        ],
    )


def _unknown(group_id: str, group: ConsumerGroup | None, version: int) -> DescribedGroup:
    reason = "not found." if group is None else "is not a classic group."
    found_by_code = version >= _FIRST_NOT_FOUND
    return DescribedGroup(
        error_code=ErrorCode.GROUP_ID_NOT_FOUND if found_by_code else ErrorCode.NONE,
        error_message=f"Group {group_id} {reason}" if found_by_code else None,
        group_id=group_id,
        group_state=GroupState.DEAD.value,
        protocol_type="",
        protocol_data="",
        members=[],
    )
