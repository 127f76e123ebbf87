"""InitProducerId (key 22), versions 0 to 5.

Behaviour. Without a transactional id: a producer id never given out before, epoch 0, always (also
when the client sends the id and epoch it had: KIP-360 lets an idempotent producer start afresh).

Versions. 2 flexible, 3 the client's id and epoch (KIP-360), 4 PRODUCER_FENCED, 5
TRANSACTION_ABORTABLE (neither is ever sent).

Deviations. Transactions are not served yet: with a transactional id the answer is
INVALID_REQUEST, which every client reports as fatal at once, and a line in the broker's log says
why.
"""

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.init_producer_id import (
    InitProducerIdRequest,
    InitProducerIdResponse,
)


def init_producer_id(broker: Broker, request: Request, call: Call) -> None:
    """Hand out a producer id."""
    ask, _ = InitProducerIdRequest.decode(request.frame, request.at, request.version)
    response = InitProducerIdResponse(producer_id=-1, producer_epoch=-1)
    if ask.transactional_id is not None:
        response.error_code = ErrorCode.INVALID_REQUEST
        broker.notice(
            f"{call.peer} {request.header.client_id}: transactional.id {ask.transactional_id!r}: "
            "transactions are not served by this broker"
        )
    else:
        try:
            response.producer_id, response.producer_epoch = broker.producer_ids.take(), 0
        except StorageError as error:
            response.error_code = ErrorCode.COORDINATOR_NOT_AVAILABLE
            broker.notice(f"no producer id can be handed out: {error}")
    answer(call, request.header, response)
