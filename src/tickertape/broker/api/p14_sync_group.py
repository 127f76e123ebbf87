"""SyncGroup (key 14), versions 0 to 5.

Behaviour. The leader's assignments are stored in __consumer_offsets; when they are on disk every
member that asked gets its share (broker.state.group).

Versions. 3 static members (KIP-345), 4 flexible, 5 protocol type and name, checked against the
group's (KIP-559).

Deviations. None known.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.group_types import SyncAnswer, SyncAsk
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.sync_group import SyncGroupRequest, SyncGroupResponse

_FIRST_PROTOCOL: Final = 5


def sync_group(broker: Broker, request: Request, call: Call) -> None:
    """Hand the member's question to the group; the group answers."""
    header = request.header
    version = header.api_version
    ask, _ = SyncGroupRequest.decode(request.frame, request.at, version)

    def ticket(result: SyncAnswer) -> None:
        response = SyncGroupResponse(
            error_code=result.error,
            protocol_type=result.protocol_type,
            protocol_name=result.protocol,
            assignment=result.assignment,
        )
        answer(call, header, response)

    error = ErrorCode.NONE
    if not may(broker, call, Operation.READ, Resource.GROUP, ask.group_id):
        error = ErrorCode.GROUP_AUTHORIZATION_FAILED
    elif not ask.group_id:
        error = ErrorCode.INVALID_GROUP_ID
    elif version >= _FIRST_PROTOCOL and (ask.protocol_type is None or ask.protocol_name is None):
        error = ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    if error is not ErrorCode.NONE:
        ticket(SyncAnswer(ticket=ticket, error=error))
        return
    broker.groups.sync(
        ask.group_id,
        SyncAsk(
            ticket=ticket,
            member_id=ask.member_id,
            instance_id=ask.group_instance_id,
            generation=ask.generation_id,
            protocol_type=ask.protocol_type,
            protocol=ask.protocol_name,
            assignments={given.member_id: given.assignment for given in ask.assignments},
        ),
    )
