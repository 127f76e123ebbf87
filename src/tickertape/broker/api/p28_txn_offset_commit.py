"""TxnOffsetCommit (key 28), versions 0 to 4.

Behaviour. The group's checks come first (KIP-447: a consumer that has lost its partitions cannot
commit through a producer either), then the transaction's: it must be open, of this epoch, and hold
the group's partition of __consumer_offsets. The offsets are stored in the transaction, and count
once it commits; until then an OffsetFetch that requires stable offsets is told to come back.

Versions. 2 leader epoch, 3 flexible and generation, member and instance (KIP-447), 4
TRANSACTION_ABORTABLE instead of INVALID_TXN_STATE. 5 is transactions v2 (KIP-890).

Deviations. None known.
"""

from typing import Final

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.groups import Membership, coordinator_error
from tickertape.broker.state.offset_records import Committed, TopicIndex
from tickertape.broker.state.topics import OFFSETS_TOPIC
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)

_FIRST_ABORTABLE: Final = 4


def txn_offset_commit(broker: Broker, request: Request, call: Call) -> None:
    """Check, store, and answer when it is durable."""
    header = request.header
    ask, _ = TxnOffsetCommitRequest.decode(request.frame, request.at, request.version)
    owner = (ask.producer_id, ask.producer_epoch)
    refusal = _refusal(broker, ask, header.api_version)
    now_ms = broker.clock.now_ms()
    offsets: dict[TopicIndex, Committed] = {}
    errors: dict[TopicIndex, ErrorCode] = {}
    for topic in ask.topics:
        for part in topic.partitions:
            where = (topic.name, part.partition_index)
            error = refusal or _fault(broker, where, part)
            if error:
                errors[where] = error
            else:
                metadata = part.committed_metadata or ""
                epoch = part.committed_leader_epoch
                offsets[where] = Committed(part.committed_offset, epoch, metadata, now_ms)

    def done(outcome: ErrorCode) -> None:
        answer(call, header, _response(ask, errors, coordinator_error(outcome)))

    if offsets:
        broker.groups.commit_in_transaction(ask.group_id, owner, offsets, done)
    else:
        done(ErrorCode.NONE)


def _refusal(broker: Broker, ask: TxnOffsetCommitRequest, version: int) -> ErrorCode:
    """A reason to refuse the whole request."""
    who = Membership(
        member_id=ask.member_id,
        instance_id=ask.group_instance_id,
        generation=ask.generation_id,
    )
    error = broker.groups.may_commit_in_transaction(ask.group_id, who)
    if error is not ErrorCode.NONE:
        return error
    try:
        where = (OFFSETS_TOPIC, broker.groups.place_of(ask.group_id))
    except StorageError:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    owner = (ask.producer_id, ask.producer_epoch)
    error = broker.transactions.may_write(ask.transactional_id, owner, where)
    if error is ErrorCode.NOT_ENOUGH_REPLICAS:
        return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS  # what clients of a coordinator wait for
    if error is ErrorCode.INVALID_TXN_STATE and version >= _FIRST_ABORTABLE:
        return ErrorCode.TRANSACTION_ABORTABLE
    return error


def _fault(broker: Broker, where: TopicIndex, part: TxnOffsetCommitRequestPartition) -> ErrorCode:
    name, index = where
    topic = broker.topics.get(name)
    if topic is None or not 0 <= index < len(topic.partitions):
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if len((part.committed_metadata or "").encode()) > broker.settings.offset_metadata_max_bytes:
        return ErrorCode.OFFSET_METADATA_TOO_LARGE
    return ErrorCode.NONE


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
