"""FindCoordinator (key 10), versions 0 to 6.

Behaviour. This node coordinates every group and every transactional id. The first call creates
__consumer_offsets or __transaction_state; if the disk refuses that, COORDINATOR_NOT_AVAILABLE.

Versions. 1 key types, 3 flexible, 4 several keys (KIP-699), 5 TRANSACTION_ABORTABLE (never sent),
6 share groups (KIP-932).

Deviations. Share groups are not served, so there is no coordinator for key type 2: INVALID_REQUEST
with a message, which clients report at once instead of retrying until a timeout.
"""

from typing import Final

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer, own_address
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)

_FIRST_BATCHED: Final = 4
_GROUP: Final = 0
_TRANSACTION: Final = 1
_KEY_TYPES: Final = {2: "share groups"}

_RESOURCES: Final = {_GROUP: Resource.GROUP, _TRANSACTION: Resource.TRANSACTIONAL_ID}
_DENIED: Final = {
    Resource.GROUP: ErrorCode.GROUP_AUTHORIZATION_FAILED,
    Resource.TRANSACTIONAL_ID: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}


def find_coordinator(broker: Broker, request: Request, call: Call) -> None:
    """Name this node, or say why not."""
    ask, _ = FindCoordinatorRequest.decode(request.frame, request.at, request.version)
    keys = ask.coordinator_keys if request.version >= _FIRST_BATCHED else [ask.key]
    found = _found(broker, call, ask.key_type, keys)
    if request.version >= _FIRST_BATCHED:
        answer(call, request.header, FindCoordinatorResponse(coordinators=found))
        return
    (one,) = found
    response = FindCoordinatorResponse(
        error_code=one.error_code,
        error_message=one.error_message,
        node_id=one.node_id,
        host=one.host,
        port=one.port,
    )
    answer(call, request.header, response)


def _found(broker: Broker, call: Call, key_type: int, keys: list[str]) -> list[Coordinator]:
    """Who may describe none of them makes no topic."""
    resource = _RESOURCES.get(key_type)
    allowed = {
        key: resource is None or may(broker, call, Operation.DESCRIBE, resource, key)
        for key in keys
    }
    refusal: tuple[ErrorCode, str | None] = (ErrorCode.NONE, None)
    if any(allowed.values()):
        refusal = _prepare(broker, key_type)
    if refusal[0] is not ErrorCode.NONE:
        broker.notice(f"{call.peer}: find coordinator refused: {refusal[1]}")
    return [
        _one(broker, call, key, refusal)
        if resource is None or allowed[key]
        else _one(broker, call, key, (_DENIED[resource], None))
        for key in keys
    ]


def _one(
    broker: Broker, call: Call, key: str, refusal: tuple[ErrorCode, str | None]
) -> Coordinator:
    error, message = refusal
    result = Coordinator(key=key, error_code=error, error_message=message, node_id=-1, port=-1)
    if error is ErrorCode.NONE:
        result.node_id = broker.settings.node_id
        result.host, result.port = own_address(broker, call)
    return result


def _prepare(broker: Broker, key_type: int) -> tuple[ErrorCode, str | None]:
    if key_type not in {_GROUP, _TRANSACTION}:
        what = _KEY_TYPES.get(key_type, f"key type {key_type}")
        return ErrorCode.INVALID_REQUEST, f"this broker does not serve {what}"
    try:
        if key_type == _GROUP:
            broker.groups.prepare()
        else:
            broker.transactions.prepare()
    except StorageError as error:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE, str(error)
    return ErrorCode.NONE, None
