"""AddOffsetsToTxn (key 25), versions 0 to 4.

Behaviour. The group's partition of __consumer_offsets becomes part of the transaction, as any
other does by AddPartitionsToTxn; TxnOffsetCommit comes next.

Versions. 2 PRODUCER_FENCED (before: INVALID_PRODUCER_EPOCH), 3 flexible, 4 TRANSACTION_ABORTABLE
(never sent).

Deviations. None known.
"""

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer, fenced_before
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.topics import OFFSETS_TOPIC
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.add_offsets_to_txn import (
    AddOffsetsToTxnRequest,
    AddOffsetsToTxnResponse,
)

_FIRST_FENCED = 2


def add_offsets_to_txn(broker: Broker, request: Request, call: Call) -> None:
    """Add the partition in which the group lives."""
    header = request.header
    ask, _ = AddOffsetsToTxnRequest.decode(request.frame, request.at, request.version)

    def done(outcome: ErrorCode) -> None:
        error = fenced_before(_FIRST_FENCED, outcome, header.api_version)
        answer(call, header, AddOffsetsToTxnResponse(error_code=error))

    if not may(broker, call, Operation.WRITE, Resource.TRANSACTIONAL_ID, ask.transactional_id):
        done(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        return
    if not may(broker, call, Operation.READ, Resource.GROUP, ask.group_id):
        done(ErrorCode.GROUP_AUTHORIZATION_FAILED)
        return
    try:
        where = (OFFSETS_TOPIC, broker.groups.place_of(ask.group_id))
    except StorageError:
        done(ErrorCode.COORDINATOR_NOT_AVAILABLE)
        return
    owner = (ask.producer_id, ask.producer_epoch)
    broker.transactions.add(ask.transactional_id, owner, [where], done)
