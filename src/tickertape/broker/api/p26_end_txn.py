"""EndTxn (key 26), versions 0 to 5.

Behaviour. Answered once the decision is durable: from then on it stands, through any crash, and
the markers follow. The same decision again is NONE when it is carried out, CONCURRENT_TRANSACTIONS
while it is; the opposite one, and any without an open transaction, is INVALID_TXN_STATE.

Versions. 2 PRODUCER_FENCED (before: INVALID_PRODUCER_EPOCH), 3 flexible, 4 TRANSACTION_ABORTABLE
(never sent). 5 is transactions v2 (KIP-890): the answer tells the producer id and epoch to go on
with; an abort needs no open transaction; and a repetition is known by its epoch, which is the one
before.

Deviations. None known.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer, fenced_before
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.transaction import Owner
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.end_txn import EndTxnRequest, EndTxnResponse

_FIRST_FENCED: Final = 2
_FIRST_V2: Final = 5


def end_txn(broker: Broker, request: Request, call: Call) -> None:
    """Commit or abort."""
    header = request.header
    ask, _ = EndTxnRequest.decode(request.frame, request.at, request.version)

    def done(outcome: ErrorCode, after: Owner = (-1, -1)) -> None:
        error = fenced_before(_FIRST_FENCED, outcome, header.api_version)
        producer_id, epoch = after
        response = EndTxnResponse(error_code=error, producer_id=producer_id, producer_epoch=epoch)
        answer(call, header, response)

    if not may(broker, call, Operation.WRITE, Resource.TRANSACTIONAL_ID, ask.transactional_id):
        done(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        return
    owner = (ask.producer_id, ask.producer_epoch)
    end = broker.transactions.end_v2 if request.version >= _FIRST_V2 else broker.transactions.end
    end(ask.transactional_id, owner, done, commit=ask.committed)
