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


def find_coordinator(broker: Broker, request: Request, call: Call) -> None:
    """Name this node, or say why not."""
    ask, _ = FindCoordinatorRequest.decode(request.frame, request.at, request.version)
    error, message = _prepare(broker, ask.key_type)
    if error is not ErrorCode.NONE:
        broker.notice(
            f"{call.peer} {request.header.client_id}: find coordinator refused: {message}"
        )
    node_id, (host, port) = broker.settings.node_id, own_address(broker, call)
    if error is not ErrorCode.NONE:
        node_id, host, port = -1, "", -1
    if request.version >= _FIRST_BATCHED:
        response = FindCoordinatorResponse(
            coordinators=[
                Coordinator(
                    key=key,
                    node_id=node_id,
                    host=host,
                    port=port,
                    error_code=error,
                    error_message=message,
                )
                for key in ask.coordinator_keys
            ]
        )
    else:
        response = FindCoordinatorResponse(
            error_code=error, error_message=message, node_id=node_id, host=host, port=port
        )
    answer(call, request.header, response)


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
