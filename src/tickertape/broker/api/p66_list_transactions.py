"""ListTransactions (key 66), versions 0 to 2.

Behaviour. Every transactional id that passes the filters (KIP-664): states by Kafka's names,
producer ids, a duration in ms that the transaction is older than, a pattern that the whole id
matches. No filter lets all through; states that do not exist are told, and let none through.

Versions. 1 the duration (KIP-994), 2 the pattern (KIP-1152).

Deviations. A pattern may contain less than in RE2 (broker.state.topic_patterns); as in Kafka, one
that is none: INVALID_REGULAR_EXPRESSION.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.topic_patterns import Pattern, UnsupportedPatternError
from tickertape.broker.state.transaction import State, Transaction
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
    TransactionState,
)

_STATES: Final = {state.title: state for state in State}


def list_transactions(broker: Broker, request: Request, call: Call) -> None:
    """Name every id that passes."""
    ask, _ = ListTransactionsRequest.decode(request.frame, request.at, request.version)
    now_ms = broker.clock.now_ms()
    seen = [
        one
        for one in broker.transactions
        if _passes(ask, one, now_ms)
        and may(broker, call, Operation.DESCRIBE, Resource.TRANSACTIONAL_ID, one.transactional_id)
    ]
    text = ask.transactional_id_pattern
    if text:
        try:
            pattern = Pattern(text, frozenset("".join(one.transactional_id for one in seen)))
        except UnsupportedPatternError:
            refusal = ListTransactionsResponse(error_code=ErrorCode.INVALID_REGULAR_EXPRESSION)
            answer(call, request.header, refusal)
            return
        seen = [one for one in seen if pattern.matches(one.transactional_id)]
    found = [
        TransactionState(
            transactional_id=one.transactional_id,
            producer_id=one.producer_id,
            transaction_state=one.state.title,
        )
        for one in seen
    ]
    unknown = [name for name in ask.state_filters if name not in _STATES]
    response = ListTransactionsResponse(unknown_state_filters=unknown, transaction_states=found)
    answer(call, request.header, response)


def _passes(ask: ListTransactionsRequest, one: Transaction, now_ms: int) -> bool:
    if ask.producer_id_filters and one.producer_id not in ask.producer_id_filters:
        return False
    if ask.state_filters and one.state.title not in ask.state_filters:
        return False
    return ask.duration_filter < 0 or now_ms - one.started_ms > ask.duration_filter
