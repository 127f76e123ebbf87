"""ConsumerGroupHeartbeat (key 68), versions 0 to 1: the consumer protocol (KIP-848).

Behaviour. Joins (epoch 0), tells and is told what has changed, leaves (-1; -2 for a static member
that will be back). The rules are in broker.state.consumer_group; what this changes is on disk
before the answer. Fields are checked as Kafka does (INVALID_REQUEST, UNSUPPORTED_ASSIGNOR,
INVALID_REGULAR_EXPRESSION). A pattern matches what the member may describe. An empty classic group
becomes one of this protocol; one with members: GROUP_ID_NOT_FOUND.

Versions. 1 subscription by regular expression, and the client makes its member id (KIP-1082).

Deviations. A classic group with members is never taken over while they are there
(group.consumer.migration.policy is disabled). Targets are computed with the heartbeat that needs
them (group.consumer.assignment.interval.ms is 0), patterns are matched at once, and what they may
contain is less than in RE2: broker.state.topic_patterns. Racks are kept and not used, as by Kafka's
own assignors since 4.0.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import denied_topics, eyes, may
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.assignors import Parts
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.consumer_group_records import by_topic
from tickertape.broker.state.consumer_group_types import (
    JOINING,
    LEAVING_FOR_NOW,
    HeartbeatAnswer,
    HeartbeatAsk,
)
from tickertape.broker.state.groups import coordinator_error
from tickertape.broker.state.topic_patterns import Pattern, UnsupportedPatternError
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    ResponseTopicPartitions,
)

_FIRST_WITH_OWN_IDS: Final = 1
_STORAGE: Final = frozenset(
    {ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.REQUEST_TIMED_OUT, ErrorCode.MESSAGE_TOO_LARGE}
)

Fault = tuple[ErrorCode, str | None]


def consumer_group_heartbeat(broker: Broker, request: Request, call: Call) -> None:
    """Check the form, let the group decide, and answer when that is durable."""
    header = request.header
    ask, _ = ConsumerGroupHeartbeatRequest.decode(request.frame, request.at, request.version)
    fault = _denial(broker, call, ask) or _fault(broker, ask, request.version)
    if fault is not None:
        error, message = fault
        refused = ConsumerGroupHeartbeatResponse(error_code=error, error_message=message)
        answer(call, header, refused)
        return

    def done(told: HeartbeatAnswer) -> None:
        answer(call, header, _response(told))

    broker.groups.consumer_heartbeat(ask.group_id, _question(broker, ask, request, call), done)


def _denial(broker: Broker, call: Call, ask: ConsumerGroupHeartbeatRequest) -> Fault | None:
    if not may(broker, call, Operation.READ, Resource.GROUP, ask.group_id):
        return ErrorCode.GROUP_AUTHORIZATION_FAILED, None
    if denied_topics(broker, call, Operation.DESCRIBE, ask.subscribed_topic_names or ()):
        return ErrorCode.TOPIC_AUTHORIZATION_FAILED, None
    return None


def _fault(broker: Broker, ask: ConsumerGroupHeartbeatRequest, version: int) -> Fault | None:
    """What is wrong with the request, in Kafka's order and words."""
    message = _form_fault(ask, version)
    if message is not None:
        return ErrorCode.INVALID_REQUEST, message
    assignors = broker.settings.group_consumer_assignors
    if ask.server_assignor is not None and ask.server_assignor not in assignors:
        listed = f"Supported assignors: {', '.join(assignors)}."
        unsupported = f"ServerAssignor {ask.server_assignor} is not supported. {listed}"
        return ErrorCode.UNSUPPORTED_ASSIGNOR, unsupported
    if ask.subscribed_topic_regex:
        try:
            Pattern(ask.subscribed_topic_regex)
        except UnsupportedPatternError as error:
            what = f"SubscribedTopicRegex `{ask.subscribed_topic_regex}`"
            invalid = f"{what} is not a valid regular expression: {error}."
            return ErrorCode.INVALID_REGULAR_EXPRESSION, invalid
    return None


def _form_fault(ask: ConsumerGroupHeartbeatRequest, version: int) -> str | None:
    for name, value in (
        ("GroupId", ask.group_id),
        ("InstanceId", ask.instance_id),
        ("RackId", ask.rack_id),
    ):
        if value == "":
            return f"{name} can't be empty."
    if not ask.member_id and (version >= _FIRST_WITH_OWN_IDS or ask.member_epoch != JOINING):
        return "MemberId can't be empty."
    if ask.member_epoch < LEAVING_FOR_NOW:
        return "MemberEpoch is invalid."
    if ask.member_epoch == LEAVING_FOR_NOW and ask.instance_id is None:
        return "InstanceId can't be null."
    return _join_fault(ask) if ask.member_epoch == JOINING else None


def _join_fault(ask: ConsumerGroupHeartbeatRequest) -> str | None:
    if ask.rebalance_timeout_ms == -1:
        return "RebalanceTimeoutMs must be provided in first request."
    if ask.topic_partitions is None or ask.topic_partitions:
        return "TopicPartitions must be empty when (re-)joining."
    if ask.subscribed_topic_names is None and ask.subscribed_topic_regex is None:
        return (
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when "
            "(re-)joining."
        )
    return None


def _question(
    broker: Broker, ask: ConsumerGroupHeartbeatRequest, request: Request, call: Call
) -> HeartbeatAsk:
    names, owned = ask.subscribed_topic_names, ask.topic_partitions
    parts: Parts | None = None
    if owned is not None:
        parts = frozenset((each.topic_id, index) for each in owned for index in each.partitions)
    return HeartbeatAsk(
        member_id=ask.member_id or broker.groups.fresh_consumer_id(),
        epoch=ask.member_epoch,
        instance_id=ask.instance_id,
        rack_id=ask.rack_id,
        client_id=request.header.client_id or "",
        client_host=f"/{call.peer}",
        rebalance_timeout_ms=ask.rebalance_timeout_ms,
        topic_names=None if names is None else frozenset(names),
        topic_regex=ask.subscribed_topic_regex,
        assignor=ask.server_assignor,
        owned=parts,
        sees=eyes(broker, call),
    )


def _response(told: HeartbeatAnswer) -> ConsumerGroupHeartbeatResponse:
    assignment = None
    if told.assigned is not None:
        assignment = Assignment(
            topic_partitions=[
                ResponseTopicPartitions(topic_id=topic_id, partitions=indexes)
                for topic_id, indexes in by_topic(told.assigned).items()
            ]
        )
    stored = told.error in _STORAGE
    return ConsumerGroupHeartbeatResponse(
        error_code=coordinator_error(told.error) if stored else told.error,
        error_message=told.message,
        member_id=told.member_id,
        member_epoch=told.epoch,
        heartbeat_interval_ms=told.heartbeat_interval_ms,
        assignment=assignment,
    )
