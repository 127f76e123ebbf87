"""InitProducerId (key 22), versions 0 to 5.

Behaviour. Without a transactional id: a producer id never given out before, epoch 0, always (also
when the client sends the id and epoch it had: KIP-360 lets an idempotent producer start afresh).
With one: its producer id and the next epoch, durable before it is answered, so that no older owner
can write any more. A transaction that the older owner left open is aborted first, an undecided one
finished: CONCURRENT_TRANSACTIONS, and the client asks again. A producer id without an epoch, or the
other way round: INVALID_REQUEST.

As in Kafka, also a producer that names an old epoch of its id aborts what is open: only when it
asks again is it told that it was fenced.

Versions. 2 flexible, 3 the client's id and epoch (KIP-360), 4 PRODUCER_FENCED (before:
INVALID_PRODUCER_EPOCH), 5 TRANSACTION_ABORTABLE (never sent).

Deviations. None known.
"""

from typing import Final

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer, fenced_before
from tickertape.broker.api.rights import may, may_cluster, may_some
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.transaction import Owner
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.init_producer_id import (
    InitProducerIdRequest,
    InitProducerIdResponse,
)

_FIRST_FENCED: Final = 4
_NONE: Final = -1
_NOBODY: Final = (_NONE, _NONE)


def init_producer_id(broker: Broker, request: Request, call: Call) -> None:
    """Hand out a producer id, or a new epoch of one."""
    header = request.header
    ask, _ = InitProducerIdRequest.decode(request.frame, request.at, request.version)

    def done(error: ErrorCode, owner: Owner) -> None:
        producer_id, epoch = owner
        response = InitProducerIdResponse(
            error_code=fenced_before(_FIRST_FENCED, error, header.api_version),
            producer_id=producer_id,
            producer_epoch=epoch,
        )
        answer(call, header, response)

    if (ask.producer_id == _NONE) != (ask.producer_epoch == _NONE):
        done(ErrorCode.INVALID_REQUEST, _NOBODY)
        return
    denied = _denial(broker, call, ask.transactional_id)
    if denied is not ErrorCode.NONE:
        done(denied, _NOBODY)
        return
    if ask.transactional_id is not None:
        expected = (ask.producer_id, ask.producer_epoch) if ask.producer_id != _NONE else None
        broker.transactions.init(ask.transactional_id, ask.transaction_timeout_ms, expected, done)
        return
    try:
        producer_id = broker.producer_ids.take()
    except StorageError as error:
        broker.notice(f"no producer id can be handed out: {error}")
        done(ErrorCode.COORDINATOR_NOT_AVAILABLE, _NOBODY)
    else:
        done(ErrorCode.NONE, (producer_id, 0))


def _denial(broker: Broker, call: Call, transactional_id: str | None) -> ErrorCode:
    """Who has no transactional id needs the right to write to some topic, or IDEMPOTENT_WRITE."""
    write = Operation.WRITE
    if transactional_id is not None:
        allowed = may(broker, call, write, Resource.TRANSACTIONAL_ID, transactional_id)
        return ErrorCode.NONE if allowed else ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    allowed = may_cluster(broker, call, Operation.IDEMPOTENT_WRITE) or may_some(
        broker, call, write, Resource.TOPIC
    )
    return ErrorCode.NONE if allowed else ErrorCode.CLUSTER_AUTHORIZATION_FAILED
