"""DeleteGroups (key 42), versions 0 to 2.

Behaviour. A group without members goes with all its offsets, durably, before the answer. With
members: NON_EMPTY_GROUP; unknown: GROUP_ID_NOT_FOUND. Each group succeeds or fails alone. A client
that holds a member id of the group and comes back with it is told UNKNOWN_MEMBER_ID.

Versions. 2 flexible.

Deviations. None known.
"""

from functools import partial

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.groups import coordinator_error
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.delete_groups import (
    DeletableGroupResult,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
)

_OWN = frozenset(
    {ErrorCode.GROUP_AUTHORIZATION_FAILED, ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.NON_EMPTY_GROUP}
)


def delete_groups(broker: Broker, request: Request, call: Call) -> None:
    """Delete each group; the answer goes out when the last of them is settled."""
    ask, _ = DeleteGroupsRequest.decode(request.frame, request.at, request.version)
    header = request.header
    group_ids = list(dict.fromkeys(ask.groups_names))
    outcomes: dict[str, ErrorCode] = {}

    def settle(group_id: str, error: ErrorCode) -> None:
        outcomes[group_id] = error if error in _OWN else coordinator_error(error)
        if len(outcomes) == len(group_ids):
            results = [
                DeletableGroupResult(group_id=each, error_code=outcomes[each]) for each in group_ids
            ]
            answer(call, header, DeleteGroupsResponse(results=results))

    if not group_ids:
        answer(call, header, DeleteGroupsResponse(results=[]))
    for group_id in group_ids:
        if not may(broker, call, Operation.DELETE, Resource.GROUP, group_id):
            settle(group_id, ErrorCode.GROUP_AUTHORIZATION_FAILED)
            continue
        broker.groups.delete(group_id, partial(settle, group_id))
