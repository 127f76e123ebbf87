"""OffsetDelete (key 47), versions 0 to 0.

Behaviour. The offsets go, durably, before the answer; one that was never committed is no error. A
topic that a member of the group reads is kept (GROUP_SUBSCRIBED_TO_TOPIC). A group that has members
and is no group of consumers: NON_EMPTY_GROUP; an unknown one: GROUP_ID_NOT_FOUND (KIP-496).

Versions. None is flexible.

Deviations. None known.
"""

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import denied_topics, may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.groups import coordinator_error
from tickertape.broker.state.offset_records import TopicIndex
from tickertape.broker.state.subscriptions import AnyGroup, is_consumer_group, is_subscribed
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)


def offset_delete(broker: Broker, request: Request, call: Call) -> None:
    """Delete the offsets that may go."""
    ask, _ = OffsetDeleteRequest.decode(request.frame, request.at, request.version)
    header = request.header
    if not may(broker, call, Operation.DELETE, Resource.GROUP, ask.group_id):
        error = ErrorCode.GROUP_AUTHORIZATION_FAILED
        answer(call, header, OffsetDeleteResponse(error_code=error))
        return
    group = broker.groups.find(ask.group_id) if ask.group_id else None
    if group is None:
        refused = ErrorCode.GROUP_ID_NOT_FOUND if ask.group_id else ErrorCode.INVALID_GROUP_ID
        answer(call, header, OffsetDeleteResponse(error_code=refused))
        return
    if group.members and not is_consumer_group(group):
        answer(call, header, OffsetDeleteResponse(error_code=ErrorCode.NON_EMPTY_GROUP))
        return
    denied = denied_topics(broker, call, Operation.READ, (topic.name for topic in ask.topics))
    errors = {
        (topic.name, part.partition_index): ErrorCode.TOPIC_AUTHORIZATION_FAILED
        if topic.name in denied
        else _fault(broker, group, topic.name, part.partition_index)
        for topic in ask.topics
        for part in topic.partitions
    }

    def done(outcome: ErrorCode) -> None:
        if outcome is not ErrorCode.NONE:
            failed = coordinator_error(outcome)
            answer(call, header, OffsetDeleteResponse(error_code=failed))
            return
        answer(call, header, OffsetDeleteResponse(topics=_results(errors)))

    may_go = [where for where, error in errors.items() if error is ErrorCode.NONE]
    broker.groups.delete_offsets(ask.group_id, may_go, done)


def _fault(broker: Broker, group: AnyGroup, name: str, index: int) -> ErrorCode:
    topic = broker.topics.get(name)
    if topic is None or not 0 <= index < len(topic.partitions):
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if is_subscribed(group, name):
        return ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
    return ErrorCode.NONE


def _results(errors: dict[TopicIndex, ErrorCode]) -> list[OffsetDeleteResponseTopic]:
    topics: dict[str, list[OffsetDeleteResponsePartition]] = {}
    for (name, index), error in errors.items():
        topics.setdefault(name, []).append(
            OffsetDeleteResponsePartition(partition_index=index, error_code=error)
        )
    return [
        OffsetDeleteResponseTopic(name=name, partitions=partitions)
        for name, partitions in topics.items()
    ]
