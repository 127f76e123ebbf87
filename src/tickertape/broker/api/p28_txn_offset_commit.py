"""TxnOffsetCommit (key 28), versions 0 to 5.

Behaviour. The group's checks come first (KIP-447: a consumer that has lost its partitions cannot
commit through a producer either), then the transaction's: it must be open, of this epoch, and hold
the group's partition of __consumer_offsets. Both are made in the turn in which the offsets are
appended; a request that has to wait before that is checked when it comes, too. The offsets are
stored in the transaction, and count once it commits; until then an OffsetFetch that requires stable
offsets is told to come back.

Versions. 2 leader epoch, 3 flexible and generation, member and instance (KIP-447), 4
TRANSACTION_ABORTABLE instead of INVALID_TXN_STATE, 5 transactions v2 (KIP-890): the group's
partition becomes part of the transaction on the way, no AddOffsetsToTxn comes before.

Deviations. None known.
"""

from typing import Final

from tickertape.base.errors import StorageError
from tickertape.broker.api.offset_faults import offset_fault
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import denied_topics, may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.groups import Membership, coordinator_error
from tickertape.broker.state.offset_records import Committed, TopicIndex
from tickertape.broker.state.topics import OFFSETS_TOPIC
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import RequestHeader
from tickertape.wire.schema.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)

_FIRST_ABORTABLE: Final = 4
_FIRST_IMPLICIT: Final = 5


def txn_offset_commit(broker: Broker, request: Request, call: Call) -> None:
    """Check, store, and answer when it is durable."""
    header = request.header
    ask, _ = TxnOffsetCommitRequest.decode(request.frame, request.at, request.version)
    refused = _denial(broker, call, ask) or _group_refusal(broker, ask)
    if refused or header.api_version < _FIRST_IMPLICIT:
        _commit(broker, header, call, ask, ErrorCode.NONE)
        return
    where = (OFFSETS_TOPIC, broker.groups.place_of(ask.group_id))
    broker.transactions.admit(
        ask.transactional_id,
        (ask.producer_id, ask.producer_epoch),
        [where],
        lambda error: _commit(broker, header, call, ask, error),
    )


def _commit(
    broker: Broker, header: RequestHeader, call: Call, ask: TxnOffsetCommitRequest,
    outside: ErrorCode,
) -> None:  # fmt: skip
    """``outside``: why the group's partition is not in the transaction."""
    owner = (ask.producer_id, ask.producer_epoch)
    refusal = _group_refusal(broker, ask) or outside or _transaction_refusal(broker, ask)
    refusal = _as_known(refusal, header.api_version)
    now_ms = broker.clock.now_ms()
    offsets: dict[TopicIndex, Committed] = {}
    errors: dict[TopicIndex, ErrorCode] = {}
    denial = _denial(broker, call, ask)
    denied = denied_topics(broker, call, Operation.READ, (topic.name for topic in ask.topics))
    for topic in ask.topics:
        forbidden = ErrorCode.TOPIC_AUTHORIZATION_FAILED if topic.name in denied else ErrorCode.NONE
        for part in topic.partitions:
            where = (topic.name, part.partition_index)
            error = (
                denial
                or forbidden
                or refusal
                or offset_fault(broker, where, part.committed_metadata)
            )
            if error:
                errors[where] = error
            else:
                metadata = part.committed_metadata or ""
                epoch = part.committed_leader_epoch
                offsets[where] = Committed(
                    part.committed_offset, epoch, metadata, now_ms,
                    topic_id=broker.topics.id_of(topic.name),
                )  # fmt: skip

    def done(outcome: ErrorCode) -> None:
        answer(call, header, _response(ask, errors, coordinator_error(outcome)))

    if offsets:
        broker.groups.commit_in_transaction(ask.group_id, owner, offsets, done)
    else:
        done(ErrorCode.NONE)


def _denial(broker: Broker, call: Call, ask: TxnOffsetCommitRequest) -> ErrorCode:
    """Whether the client may not do this at all."""
    if not may(broker, call, Operation.WRITE, Resource.TRANSACTIONAL_ID, ask.transactional_id):
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    if not may(broker, call, Operation.READ, Resource.GROUP, ask.group_id):
        return ErrorCode.GROUP_AUTHORIZATION_FAILED
    return ErrorCode.NONE


def _group_refusal(broker: Broker, ask: TxnOffsetCommitRequest) -> ErrorCode:
    """Whether the group has a reason to refuse the whole request."""
    if not ask.group_id:
        return ErrorCode.INVALID_GROUP_ID
    who = Membership(
        member_id=ask.member_id,
        instance_id=ask.group_instance_id,
        generation=ask.generation_id,
    )
    error = broker.groups.may_commit_in_transaction(ask.group_id, who)
    if error is not ErrorCode.NONE:
        return error
    try:
        broker.groups.place_of(ask.group_id)
    except StorageError:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    return ErrorCode.NONE


def _transaction_refusal(broker: Broker, ask: TxnOffsetCommitRequest) -> ErrorCode:
    """Whether the transaction has one."""
    where = (OFFSETS_TOPIC, broker.groups.place_of(ask.group_id))
    owner = (ask.producer_id, ask.producer_epoch)
    return broker.transactions.may_write(ask.transactional_id, owner, where)


def _as_known(error: ErrorCode, version: int) -> ErrorCode:
    """The error that a client of this version acts on."""
    if error in {ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.CONCURRENT_TRANSACTIONS}:
        return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS  # what clients of a coordinator wait for
    if error is ErrorCode.INVALID_TXN_STATE and version >= _FIRST_ABORTABLE:
        return ErrorCode.TRANSACTION_ABORTABLE
    return error


def _response(
    ask: TxnOffsetCommitRequest, errors: dict[TopicIndex, ErrorCode], stored: ErrorCode
) -> TxnOffsetCommitResponse:
    return TxnOffsetCommitResponse(
        topics=[
            TxnOffsetCommitResponseTopic(
                name=topic.name,
                partitions=[
                    TxnOffsetCommitResponsePartition(
                        partition_index=part.partition_index,
                        error_code=errors.get((topic.name, part.partition_index), stored),
                    )
                    for part in topic.partitions
                ],
            )
            for topic in ask.topics
        ]
    )
