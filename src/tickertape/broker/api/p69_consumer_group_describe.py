"""ConsumerGroupDescribe (key 69), versions 0 to 1: groups of the consumer protocol (KIP-848).

Behaviour. State, epochs, assignor and members of each group, with what each has and what it is to
have. A group that nobody knows, or a classic one: GROUP_ID_NOT_FOUND.

Versions. 1 the members' type, which is always 1 here: consumer (KIP-1099).

Deviations. None known.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import denied_topics, may, operations
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.assignors import NOTHING, Parts
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.consumer_group import ConsumerGroup
from tickertape.broker.state.consumer_group_records import by_topic
from tickertape.broker.state.consumer_group_types import ConsumerMember
from tickertape.broker.state.subscriptions import AnyGroup
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.consumer_group_describe import (
    Assignment,
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    DescribedGroup,
    Member,
    TopicPartitions,
)

_CONSUMER: Final = 1


def consumer_group_describe(broker: Broker, request: Request, call: Call) -> None:
    """Describe each group."""
    ask, _ = ConsumerGroupDescribeRequest.decode(request.frame, request.at, request.version)
    groups = []
    for group_id in ask.group_ids:
        group = broker.groups.find(group_id)
        denied = _denial(broker, call, group_id, group)
        if denied is not None:
            error, message = denied
            described = DescribedGroup(error_code=error, error_message=message, group_id=group_id)
        elif isinstance(group, ConsumerGroup):
            described = _described(broker, group)
        else:
            reason = "not found." if group is None else "is not a consumer group."
            described = DescribedGroup(
                error_code=ErrorCode.GROUP_ID_NOT_FOUND,
                error_message=f"Group {group_id} {reason}",
                group_id=group_id,
            )
        if ask.include_authorized_operations and denied is None:
            described.authorized_operations = operations(broker, call, Resource.GROUP, group_id)
        groups.append(described)
    answer(call, request.header, ConsumerGroupDescribeResponse(groups=groups))


def _denial(
    broker: Broker, call: Call, group_id: str, group: AnyGroup | None
) -> tuple[ErrorCode, str | None] | None:
    """Who may not describe a topic that the group reads is not told of its members either."""
    if not may(broker, call, Operation.DESCRIBE, Resource.GROUP, group_id):
        return ErrorCode.GROUP_AUTHORIZATION_FAILED, None
    if not isinstance(group, ConsumerGroup):
        return None
    parts = NOTHING.union(*(each.held | each.target for each in group.members.values()))
    names = (broker.topics.name_of(topic_id) for topic_id in by_topic(parts))
    if denied_topics(broker, call, Operation.DESCRIBE, names):
        hidden = "topic(s) that the client is not authorized to describe."
        return ErrorCode.TOPIC_AUTHORIZATION_FAILED, f"The group has described {hidden}"
    return None


def _described(broker: Broker, group: ConsumerGroup) -> DescribedGroup:
    return DescribedGroup(
        error_code=ErrorCode.NONE,
        group_id=group.group_id,
        group_state=group.state.value,
        group_epoch=group.epoch,
        assignment_epoch=group.target_epoch,
        assignor_name=group.assignor,
        members=[_member(broker, member) for member in group.members.values()],
    )


def _member(broker: Broker, member: ConsumerMember) -> Member:
    about = member.about
    return Member(
        member_id=member.member_id,
        instance_id=member.instance_id,
        rack_id=about.rack_id,
        member_epoch=member.epoch,
        client_id=about.client_id,
        client_host=about.client_host,
        subscribed_topic_names=sorted(about.topic_names),
        subscribed_topic_regex=about.topic_regex or "",
        assignment=_assignment(broker, member.assigned),
        target_assignment=_assignment(broker, member.target),
        member_type=_CONSUMER,
    )


def _assignment(broker: Broker, parts: Parts) -> Assignment:
    """A topic that has been deleted since has no name, and is left out, as in Kafka."""
    named = [
        (topic_id, broker.topics.name_of(topic_id), indexes)
        for topic_id, indexes in by_topic(parts).items()
    ]
    return Assignment(
        topic_partitions=[
            TopicPartitions(topic_id=topic_id, topic_name=name, partitions=indexes)
            for topic_id, name, indexes in named
            if name is not None
        ]
    )
