"""OffsetCommit (key 8), versions 2 to 10.

Behaviour. The group's checks come first and refuse the whole request (order of Kafka's
ClassicGroup.validateOffsetCommit); then each partition is checked alone. What remains becomes
records of __consumer_offsets, and the answer waits until they are on disk. The metadata string is
kept as it is, up to offset.metadata.max.bytes. Generation -1 without a member: only while the
group is empty.

Versions. 2 to 4 retention time (kept per offset), 6 leader epoch, 7 static members (KIP-345), 8
flexible, 9 members of KIP-848, who give their epoch (STALE_MEMBER_EPOCH; older versions:
UNSUPPORTED_VERSION) and GROUP_ID_NOT_FOUND for a group that is not known, 10 topics by id
(KIP-848): one that is not known is UNKNOWN_TOPIC_ID.

Deviations. None known.
"""

from typing import Final, TypeAlias
from uuid import UUID

from tickertape.broker.api.offset_faults import offset_fault
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import denied_topics, may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.groups import Membership, coordinator_error
from tickertape.broker.state.offset_records import Committed, TopicIndex
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)

_TIME_MAX_MS: Final = 2**63 - 1
_FIRST_BY_ID: Final = 10

TopicKey: TypeAlias = str | UUID
Errors: TypeAlias = dict[tuple[TopicKey, int], ErrorCode]


def offset_commit(broker: Broker, request: Request, call: Call) -> None:
    """Check, store, and answer when it is durable."""
    header = request.header
    ask, _ = OffsetCommitRequest.decode(request.frame, request.at, header.api_version)
    who = Membership(
        member_id=ask.member_id,
        instance_id=ask.group_instance_id,
        generation=ask.generation_id_or_member_epoch,
    )
    if may(broker, call, Operation.READ, Resource.GROUP, ask.group_id):
        refusal = broker.groups.may_commit(ask.group_id, who, header.api_version)
    else:
        refusal = ErrorCode.GROUP_AUTHORIZATION_FAILED
    offsets: dict[TopicIndex, Committed] = {}
    errors: Errors = {}
    now_ms = broker.clock.now_ms()
    names = (broker.topics.name_of(_key(topic, header.api_version)) for topic in ask.topics)
    denied = denied_topics(broker, call, Operation.READ, names)
    for topic in ask.topics:
        key = _key(topic, header.api_version)
        name = broker.topics.name_of(key)
        for part in topic.partitions:
            where = (name or "", part.partition_index)
            unknown = ErrorCode.UNKNOWN_TOPIC_ID if name is None else ErrorCode.NONE
            if name in denied:
                unknown = ErrorCode.TOPIC_AUTHORIZATION_FAILED
            error = refusal or unknown or offset_fault(broker, where, part.committed_metadata)
            if error:
                errors[key, part.partition_index] = error
            else:
                offsets[where] = _committed(
                    part, now_ms, ask.retention_time_ms, broker.topics.id_of(where[0])
                )

    def done(outcome: ErrorCode) -> None:
        code = coordinator_error(outcome)
        answer(call, header, _response(ask, errors, code, header.api_version))

    if offsets:
        broker.groups.commit(ask.group_id, offsets, done)
    else:
        done(ErrorCode.NONE)


def _key(topic: OffsetCommitRequestTopic, version: int) -> TopicKey:
    return topic.topic_id if version >= _FIRST_BY_ID else topic.name


def _committed(
    part: OffsetCommitRequestPartition, now_ms: int, retention_ms: int, topic_id: UUID
) -> Committed:
    return Committed(
        part.committed_offset,
        part.committed_leader_epoch,
        part.committed_metadata or "",
        now_ms,
        min(now_ms + retention_ms, _TIME_MAX_MS) if retention_ms >= 0 else -1,
        topic_id,
    )


def _response(
    ask: OffsetCommitRequest, errors: Errors, stored: ErrorCode, version: int
) -> OffsetCommitResponse:
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    OffsetCommitResponsePartition(
                        partition_index=part.partition_index,
                        error_code=errors.get((_key(topic, version), part.partition_index), stored),
                    )
                    for part in topic.partitions
                ],
            )
            for topic in ask.topics
        ]
    )
