"""CreatePartitions (key 37), versions 0 to 3.

Behaviour. The count asked for is the new total and must be above the present one. Each topic
succeeds or fails alone; the partitions exist durably before the answer. Assignments, if given, must
name this broker. validateOnly checks everything and makes nothing.

Versions. 2 flexible, 3 THROTTLING_QUOTA_EXCEEDED (never sent).

Deviations. The broker's own topics cannot grow (INVALID_TOPIC_EXCEPTION): their keys would move.
"""

from collections import Counter

from tickertape.base.errors import StorageError
from tickertape.broker.api.new_topics import Refusal, partitions_refusal
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import refusal as denial
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.topics import Topic
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)


def create_partitions(broker: Broker, request: Request, call: Call) -> None:
    """Check and grow each topic."""
    ask, _ = CreatePartitionsRequest.decode(request.frame, request.at, request.version)
    named = Counter(topic.name for topic in ask.topics)
    results: dict[str, CreatePartitionsTopicResult] = {}
    for wanted in ask.topics:
        refusal: Refusal | None = (
            ErrorCode.INVALID_REQUEST,
            f"topic {wanted.name!r} is named more than once",
        )
        if named[wanted.name] == 1:
            refusal = denial(broker, call, Operation.ALTER, Resource.TOPIC, wanted.name) or _grow(
                broker, wanted, validate_only=ask.validate_only
            )
        error, message = refusal or (ErrorCode.NONE, None)
        results[wanted.name] = CreatePartitionsTopicResult(
            name=wanted.name, error_code=error, error_message=message
        )
    answer(call, request.header, CreatePartitionsResponse(results=list(results.values())))


def _grow(broker: Broker, wanted: CreatePartitionsTopic, *, validate_only: bool) -> Refusal | None:
    topic = broker.topics.get(wanted.name)
    if topic is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {wanted.name!r}"
    refusal = _refusal(broker, topic, wanted)
    if refusal is not None or validate_only:
        return refusal
    try:
        broker.topics.grow(topic, wanted.count)
    except StorageError as error:
        return ErrorCode.KAFKA_STORAGE_ERROR, str(error)
    return None


def _refusal(broker: Broker, topic: Topic, wanted: CreatePartitionsTopic) -> Refusal | None:
    if topic.is_internal:
        return ErrorCode.INVALID_TOPIC_EXCEPTION, f"{topic.name} is the broker's own"
    present, count = len(topic.partitions), wanted.count
    if count == present:
        return ErrorCode.INVALID_PARTITIONS, f"Topic already has {present} partition(s)."
    if count < present:
        has = f"The topic {topic.name} currently has {present} partition(s)"
        return ErrorCode.INVALID_PARTITIONS, f"{has}; {count} would not be an increase."
    refusal = partitions_refusal(broker, count)
    if refusal is None and wanted.assignments is not None:
        refusal = _misplaced(broker, wanted.assignments, count - present)
    return refusal


def _misplaced(
    broker: Broker, assignments: list[CreatePartitionsAssignment], added: int
) -> Refusal | None:
    if len(assignments) != added:
        return (
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"{len(assignments)} assignments for {added} new partitions",
        )
    node_id = broker.settings.node_id
    for assignment in assignments:
        if assignment.broker_ids != [node_id]:
            return (
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"a partition on brokers {assignment.broker_ids}; want [{node_id}], the only one",
            )
    return None
