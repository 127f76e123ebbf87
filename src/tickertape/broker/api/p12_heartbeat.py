"""Heartbeat (key 12), versions 0 to 4.

Behaviour. NONE while all is well, REBALANCE_IN_PROGRESS when the member must join again, else the
reason why it is no member of this generation (broker.state.group).

Versions. 3 static members (KIP-345), 4 flexible.

Deviations. None known.
"""

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.groups import Membership
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.heartbeat import HeartbeatRequest, HeartbeatResponse


def heartbeat(broker: Broker, request: Request, call: Call) -> None:
    """Tell the group that the member lives."""
    ask, _ = HeartbeatRequest.decode(request.frame, request.at, request.version)
    error = ErrorCode.INVALID_GROUP_ID
    if not may(broker, call, Operation.READ, Resource.GROUP, ask.group_id):
        error = ErrorCode.GROUP_AUTHORIZATION_FAILED
    elif ask.group_id:
        who = Membership(
            member_id=ask.member_id,
            instance_id=ask.group_instance_id,
            generation=ask.generation_id,
        )
        error = broker.groups.heartbeat(ask.group_id, who)
    answer(call, request.header, HeartbeatResponse(error_code=error))
