"""OffsetFetch (key 9), versions 1 to 10.

Behaviour. Durable commits only: offset, leader epoch and the metadata string as committed. A
partition without a commit has offset -1 and no error, also in a group that nobody knows. A null
topic list asks for all of a group's offsets.

Versions. 2 null topics and a group error code, 5 leader epoch, 6 flexible, 7 require stable
(KIP-447), 8 several groups in one request (KIP-709), 9 member id and epoch, checked for groups of
KIP-848 (UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH), 10 topics by id (KIP-848): one that is not known is
UNKNOWN_TOPIC_ID, and among all of a group's offsets those of a topic that is no more are left out.

An offset that an open transaction is about to change is UNSTABLE_OFFSET_COMMIT if requireStable is
set; else it is the last that was committed.

Deviations. None known.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import denied_topics, may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.offset_records import Committed
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.primitives import ZERO_UUID
from tickertape.wire.schema.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)

_FIRST_WITH_GROUPS: Final = 8
_FIRST_BY_ID: Final = 10
_NO_COMMIT: Final = Committed(-1, -1, "", -1)
_UNSTABLE: Final = Committed(-1, -1, "", -1)
_DENIED: Final = Committed(-1, -1, "", -1)
_GROUP_DENIED: Final = Committed(-1, -1, "", -1)
_ERRORS: Final = (
    (_UNSTABLE, ErrorCode.UNSTABLE_OFFSET_COMMIT),
    (_DENIED, ErrorCode.TOPIC_AUTHORIZATION_FAILED),
    (_GROUP_DENIED, ErrorCode.GROUP_AUTHORIZATION_FAILED),
)
"""What stands for an error, by identity."""
_FIRST_WITH_ERROR: Final = 2

Wanted = list[tuple[str, list[tuple[int, Committed]]]]


class _Topic(Protocol):
    name: str
    partition_indexes: list[int]


def offset_fetch(broker: Broker, request: Request, call: Call) -> None:
    """Look up each group."""
    ask, _ = OffsetFetchRequest.decode(request.frame, request.at, request.version)
    if request.version >= _FIRST_WITH_GROUPS:
        response = OffsetFetchResponse(
            groups=[
                _answered(broker, call, group, request.version, stable=ask.require_stable)
                for group in ask.groups
            ]
        )
    elif _is_denied(broker, call, ask.group_id):
        response = _refused(ask, request.version)
    else:
        wanted = _look_up(broker, call, ask.group_id, ask.topics, stable=ask.require_stable)
        response = OffsetFetchResponse(topics=_alone(wanted))
    answer(call, request.header, response)


def _is_denied(broker: Broker, call: Call, group_id: str) -> bool:
    return not may(broker, call, Operation.DESCRIBE, Resource.GROUP, group_id)


def _refused(ask: OffsetFetchRequest, version: int) -> OffsetFetchResponse:
    """GROUP_AUTHORIZATION_FAILED where each version has room for it."""
    error = ErrorCode.GROUP_AUTHORIZATION_FAILED
    if version >= _FIRST_WITH_ERROR:
        return OffsetFetchResponse(error_code=error)
    wanted = [
        (topic.name, [(index, _GROUP_DENIED) for index in topic.partition_indexes])
        for topic in ask.topics or ()
    ]
    return OffsetFetchResponse(topics=_alone(wanted))


def _answered(
    broker: Broker, call: Call, group: OffsetFetchRequestGroup, version: int, *, stable: bool
) -> OffsetFetchResponseGroup:
    group_id = group.group_id
    if _is_denied(broker, call, group_id):
        error = ErrorCode.GROUP_AUTHORIZATION_FAILED
    else:
        error = broker.groups.may_fetch(group_id, group.member_id, group.member_epoch)
    topics = [] if error else _of_group(broker, call, group, version, stable=stable)
    return OffsetFetchResponseGroup(group_id=group_id, error_code=error, topics=topics)


def _of_group(
    broker: Broker, call: Call, group: OffsetFetchRequestGroup, version: int, *, stable: bool
) -> list[OffsetFetchResponseTopics]:
    if version < _FIRST_BY_ID:
        return _in_groups(_look_up(broker, call, group.group_id, group.topics, stable=stable))
    unknown = []
    for topic in group.topics or ():
        topic.name = broker.topics.name_of(topic.topic_id) or ""
        if not topic.name:
            unknown.append(topic)
    known = group.topics and [topic for topic in group.topics if topic.name]
    found = _in_groups(_look_up(broker, call, group.group_id, known, stable=stable))
    for answered in found:
        by_name = broker.topics.get(answered.name)
        answered.topic_id = by_name.topic_id if by_name is not None else ZERO_UUID
    return [each for each in found if each.topic_id != ZERO_UUID] + [
        OffsetFetchResponseTopics(
            topic_id=topic.topic_id,
            partitions=[
                OffsetFetchResponsePartitions(
                    partition_index=index,
                    committed_offset=-1,
                    error_code=ErrorCode.UNKNOWN_TOPIC_ID,
                )
                for index in topic.partition_indexes
            ],
        )
        for topic in unknown
    ]


def _look_up(
    broker: Broker, call: Call, group_id: str, topics: Sequence[_Topic] | None, *, stable: bool
) -> Wanted:
    groups = broker.groups
    describe = Operation.DESCRIBE
    offsets = groups.offsets.of_group(group_id)
    if stable and groups.pending.has_group(group_id):
        unstable = dict.fromkeys(groups.pending.of_group(group_id), _UNSTABLE)
        offsets = {**offsets, **unstable}
    if topics is not None:
        denied = denied_topics(broker, call, describe, (topic.name for topic in topics))
        return [
            (
                topic.name,
                [
                    (
                        i,
                        _DENIED
                        if topic.name in denied
                        else offsets.get((topic.name, i), _NO_COMMIT),
                    )
                    for i in topic.partition_indexes
                ],
            )
            for topic in topics
        ]
    denied = denied_topics(broker, call, describe, {name for name, _ in offsets})
    by_topic: dict[str, list[tuple[int, Committed]]] = {}
    for (name, index), committed in sorted(offsets.items()):
        if name in denied:
            continue
        by_topic.setdefault(name, []).append((index, committed))
    return list(by_topic.items())


def _error(committed: Committed) -> ErrorCode:
    return next((error for what, error in _ERRORS if what is committed), ErrorCode.NONE)


def _in_groups(wanted: Wanted) -> list[OffsetFetchResponseTopics]:
    return [
        OffsetFetchResponseTopics(
            name=name,
            partitions=[
                OffsetFetchResponsePartitions(
                    partition_index=index,
                    committed_offset=committed.offset,
                    committed_leader_epoch=committed.leader_epoch,
                    metadata=committed.metadata,
                    error_code=_error(committed),
                )
                for index, committed in partitions
            ],
        )
        for name, partitions in wanted
    ]


def _alone(wanted: Wanted) -> list[OffsetFetchResponseTopic]:
    return [
        OffsetFetchResponseTopic(
            name=name,
            partitions=[
                OffsetFetchResponsePartition(
                    partition_index=index,
                    committed_offset=committed.offset,
                    committed_leader_epoch=committed.leader_epoch,
                    metadata=committed.metadata,
                    error_code=_error(committed),
                )
                for index, committed in partitions
            ],
        )
        for name, partitions in wanted
    ]
