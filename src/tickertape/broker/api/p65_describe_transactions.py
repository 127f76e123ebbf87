"""DescribeTransactions (key 65), versions 0 to 0.

Behaviour. State, producer, timeout, start and partitions of transactional ids (KIP-664), as they
are durable. An id that nobody knows: TRANSACTIONAL_ID_NOT_FOUND; an empty one: INVALID_REQUEST.

Versions. Flexible.

Deviations. None known.
"""

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TopicData,
    TransactionState,
)


def describe_transactions(broker: Broker, request: Request, call: Call) -> None:
    """Describe each id."""
    ask, _ = DescribeTransactionsRequest.decode(request.frame, request.at, request.version)
    states = [_described(broker, call, name) for name in dict.fromkeys(ask.transactional_ids)]
    answer(call, request.header, DescribeTransactionsResponse(transaction_states=states))


def _described(broker: Broker, call: Call, name: str) -> TransactionState:
    result = TransactionState(transactional_id=name)
    if not may(broker, call, Operation.DESCRIBE, Resource.TRANSACTIONAL_ID, name):
        result.error_code = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        return result
    found = broker.transactions.find(name)
    if found is None:
        unknown = ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
        result.error_code = unknown if name else ErrorCode.INVALID_REQUEST
        return result
    result.transaction_state = found.state.title
    result.transaction_timeout_ms = found.timeout_ms
    result.transaction_start_time_ms = found.started_ms
    result.producer_id, result.producer_epoch = found.producer_id, found.epoch
    topics: dict[str, list[int]] = {}
    for topic, index in sorted(found.partitions):
        if may(broker, call, Operation.DESCRIBE, Resource.TOPIC, topic):
            topics.setdefault(topic, []).append(index)
    result.topics = [TopicData(topic=topic, partitions=ids) for topic, ids in topics.items()]
    return result
