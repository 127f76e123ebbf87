"""AddPartitionsToTxn (key 24), versions 0 to 3.

Behaviour. The partitions become part of the transaction, which this opens if need be; durable
before it is answered, and only then may the producer write there. If one of them does not exist,
none is added: UNKNOWN_TOPIC_OR_PARTITION for that one, OPERATION_NOT_ATTEMPTED for the others.

Versions. 2 PRODUCER_FENCED (before: INVALID_PRODUCER_EPOCH), 3 flexible. 4 and 5 are for brokers
among themselves.

Deviations. None known.
"""

from tickertape.broker.api.outcome import Request, answer, fenced_before
from tickertape.broker.api.rights import denied_topics, may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopicResult,
)

_FIRST_FENCED = 2


def add_partitions_to_txn(broker: Broker, request: Request, call: Call) -> None:
    """Add them all, or say why not."""
    header = request.header
    ask, _ = AddPartitionsToTxnRequest.decode(request.frame, request.at, request.version)
    wanted = [
        (topic.name, index) for topic in ask.v3_and_below_topics for index in topic.partitions
    ]
    denied = denied_topics(broker, call, Operation.WRITE, (name for name, _ in wanted))
    faults = {
        where: ErrorCode.TOPIC_AUTHORIZATION_FAILED
        if where[0] in denied
        else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        for where in wanted
        if where[0] in denied or not broker.topics.has(*where)
    }

    def done(outcome: ErrorCode) -> None:
        error = fenced_before(_FIRST_FENCED, outcome, header.api_version)
        topics = [
            AddPartitionsToTxnTopicResult(
                name=topic.name,
                results_by_partition=[
                    AddPartitionsToTxnPartitionResult(
                        partition_index=index,
                        partition_error_code=faults.get((topic.name, index), error),
                    )
                    for index in topic.partitions
                ],
            )
            for topic in ask.v3_and_below_topics
        ]
        answer(call, header, AddPartitionsToTxnResponse(results_by_topic_v3_and_below=topics))

    transactional_id = ask.v3_and_below_transactional_id
    if not may(broker, call, Operation.WRITE, Resource.TRANSACTIONAL_ID, transactional_id):
        faults.clear()
        done(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        return
    if faults:
        done(ErrorCode.OPERATION_NOT_ATTEMPTED)
        return
    owner = (ask.v3_and_below_producer_id, ask.v3_and_below_producer_epoch)
    broker.transactions.add(transactional_id, owner, wanted, done)
