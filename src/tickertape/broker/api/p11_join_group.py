"""JoinGroup (key 11), versions 0 to 9.

Behaviour. Kafka's classic group protocol; the rules are in broker.state.group. The answer waits
until the rebalance completes.

Versions. 1 rebalance timeout (before: the session timeout), 4 MEMBER_ID_REQUIRED for new dynamic
members (KIP-394), 5 static members (KIP-345), 6 flexible, 7 protocol type in the answer
(KIP-559), 8 a reason (KIP-800; not kept), 9 skipAssignment for a returning static leader
(KIP-814).

Deviations. group.max.size counts the members; Kafka counts, during a rebalance, who has joined
anew, and may turn a member out for a newcomer.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.group_types import JoinAnswer, JoinAsk
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.join_group import (
    JoinGroupRequest,
    JoinGroupResponse,
    JoinGroupResponseMember,
)

_FIRST_REBALANCE_TIMEOUT: Final = 1
_FIRST_ID_REQUIRED: Final = 4
_FIRST_PROTOCOL_TYPE: Final = 7
_FIRST_SKIP: Final = 9
_INSTANCE_ID_LENGTH_MAX: Final = 249  # Kafka's rule for clients (JoinGroupRequest); we rely on it


def join_group(broker: Broker, request: Request, call: Call) -> None:
    """Hand the member to the group; the group answers."""
    header = request.header
    version = header.api_version
    ask, _ = JoinGroupRequest.decode(request.frame, request.at, version)

    def ticket(result: JoinAnswer) -> None:
        answer(call, header, _response(result, version))

    if not may(broker, call, Operation.READ, Resource.GROUP, ask.group_id):
        ticket(JoinAnswer(ticket=ticket, error=ErrorCode.GROUP_AUTHORIZATION_FAILED, member_id=""))
        return
    refusal = _refusal(broker, ask)
    if refusal is not ErrorCode.NONE:
        ticket(JoinAnswer(ticket=ticket, error=refusal, member_id=ask.member_id))
        return
    has_timeout = version >= _FIRST_REBALANCE_TIMEOUT and ask.rebalance_timeout_ms >= 0
    broker.groups.join(
        ask.group_id,
        JoinAsk(
            ticket=ticket,
            member_id=ask.member_id,
            instance_id=ask.group_instance_id,
            fresh_id=broker.groups.fresh_member_id(ask.group_instance_id, header.client_id),
            client_id=header.client_id or "",
            client_host=f"/{call.peer}",
            rebalance_timeout_ms=ask.rebalance_timeout_ms
            if has_timeout
            else ask.session_timeout_ms,
            session_timeout_ms=ask.session_timeout_ms,
            protocol_type=ask.protocol_type,
            protocols=tuple((protocol.name, protocol.metadata) for protocol in ask.protocols),
            id_required=version >= _FIRST_ID_REQUIRED,
            may_skip_assignment=version >= _FIRST_SKIP,
        ),
    )


def _refusal(broker: Broker, ask: JoinGroupRequest) -> ErrorCode:
    settings = broker.settings
    if not ask.group_id:
        return ErrorCode.INVALID_GROUP_ID
    if len(ask.group_instance_id or "") > _INSTANCE_ID_LENGTH_MAX:
        return ErrorCode.INVALID_REQUEST
    shortest, longest = settings.group_min_session_timeout_ms, settings.group_max_session_timeout_ms
    if not shortest <= ask.session_timeout_ms <= longest:
        return ErrorCode.INVALID_SESSION_TIMEOUT
    return ErrorCode.NONE


def _response(result: JoinAnswer, version: int) -> JoinGroupResponse:
    protocol = result.protocol
    if protocol is None and version < _FIRST_PROTOCOL_TYPE:
        protocol = ""  # null came with version 7
    return JoinGroupResponse(
        error_code=result.error,
        generation_id=result.generation,
        protocol_type=result.protocol_type,
        protocol_name=protocol,
        leader=result.leader,
        skip_assignment=result.skip_assignment,
        member_id=result.member_id,
        members=[
            JoinGroupResponseMember(
                member_id=member_id, group_instance_id=instance_id, metadata=metadata
            )
            for member_id, instance_id, metadata in result.members
        ],
    )
