"""ListTransactions (key 66), versions 0 to 2.

Behaviour. Every transactional id that passes the filters (KIP-664): states by Kafka's names,
producer ids, a duration in ms that the transaction is older than, a pattern that the whole id
matches. No filter lets all through; states that do not exist are told, and let none through.

Versions. 1 the duration (KIP-994), 2 the pattern (KIP-1152).

Deviations. A pattern is matched by Python's re and not in linear time as by Kafka's RE2, so one
that could take long is refused: with groups, more than three repetitions, or with so many of them
for the ids that there are, and their lengths, that they could keep the broker from its work. As in
Kafka, a pattern that is none: INVALID_REGULAR_EXPRESSION.
"""

import re
from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.transaction import State, Transaction
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
    TransactionState,
)

_STATES: Final = {state.title: state for state in State}
_PATTERN_LETTERS_MAX: Final = 1_000
_REPETITIONS: Final = "*+?{"
_REPETITIONS_MAX: Final = 3
_STEPS_MAX: Final = 20_000_000  # a fraction of a second


def list_transactions(broker: Broker, request: Request, call: Call) -> None:
    """Name every id that passes."""
    ask, _ = ListTransactionsRequest.decode(request.frame, request.at, request.version)
    try:
        pattern = _compiled(ask.transactional_id_pattern)
    except re.error:
        _refuse(request, call)
        return
    now_ms = broker.clock.now_ms()
    seen = [
        one
        for one in broker.transactions
        if _passes(ask, one, now_ms)
        and may(broker, call, Operation.DESCRIBE, Resource.TRANSACTIONAL_ID, one.transactional_id)
    ]
    if pattern is not None and _steps(pattern.pattern, seen) > _STEPS_MAX:
        _refuse(request, call)
        return
    found = [
        TransactionState(
            transactional_id=one.transactional_id,
            producer_id=one.producer_id,
            transaction_state=one.state.title,
        )
        for one in seen
        if pattern is None or pattern.fullmatch(one.transactional_id)
    ]
    unknown = [name for name in ask.state_filters if name not in _STATES]
    response = ListTransactionsResponse(unknown_state_filters=unknown, transaction_states=found)
    answer(call, request.header, response)


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if not pattern:
        return None
    is_long = len(pattern) > _PATTERN_LETTERS_MAX
    if "(" in pattern or _repetitions(pattern) > _REPETITIONS_MAX or is_long:
        raise re.error("this could take long", pattern)
    return re.compile(pattern)


def _repetitions(pattern: str) -> int:
    return sum(map(pattern.count, _REPETITIONS))


def _steps(pattern: str, seen: list[Transaction]) -> int:
    """How many places a match could try at worst: each repetition may end anywhere."""
    nested = max(_repetitions(pattern), 1)
    places: int = sum(pow(1 + len(one.transactional_id), nested) for one in seen)
    return (1 + pattern.count("|")) * places


def _refuse(request: Request, call: Call) -> None:
    refusal = ListTransactionsResponse(error_code=ErrorCode.INVALID_REGULAR_EXPRESSION)
    answer(call, request.header, refusal)


def _passes(ask: ListTransactionsRequest, one: Transaction, now_ms: int) -> bool:
    if ask.producer_id_filters and one.producer_id not in ask.producer_id_filters:
        return False
    if ask.state_filters and one.state.title not in ask.state_filters:
        return False
    return ask.duration_filter < 0 or now_ms - one.started_ms > ask.duration_filter
