"""LeaveGroup (key 13), versions 0 to 5.

Behaviour. Each leaver is dropped at once and the others rebalance. A static member may be named
by its instance id alone (KIP-345: kafka-consumer-groups and the admin client remove members so).

Versions. 3 several members in one request, each with its own code; 4 flexible; 5 a reason
(KIP-800; not kept). Before 3 the one member's code is the answer's.

Deviations. None known.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.groups import Membership
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.leave_group import (
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberResponse,
)

_FIRST_BATCHED: Final = 3


def leave_group(broker: Broker, request: Request, call: Call) -> None:
    """Drop the members."""
    ask, _ = LeaveGroupRequest.decode(request.frame, request.at, request.version)
    is_denied = not may(broker, call, Operation.READ, Resource.GROUP, ask.group_id)
    if is_denied or not ask.group_id:
        error = ErrorCode.GROUP_AUTHORIZATION_FAILED if is_denied else ErrorCode.INVALID_GROUP_ID
        answer(call, request.header, LeaveGroupResponse(error_code=error))
        return
    if request.version < _FIRST_BATCHED:
        leavers = [Membership(member_id=ask.member_id)]
        (error,) = broker.groups.leave(ask.group_id, leavers)
        answer(call, request.header, LeaveGroupResponse(error_code=error))
        return
    leavers = [
        Membership(member_id=member.member_id, instance_id=member.group_instance_id)
        for member in ask.members
    ]
    errors = broker.groups.leave(ask.group_id, leavers)
    members = [
        MemberResponse(
            member_id=leaver.member_id, group_instance_id=leaver.instance_id, error_code=error
        )
        for leaver, error in zip(leavers, errors, strict=True)
    ]
    answer(call, request.header, LeaveGroupResponse(members=members))
