"""DeleteTopics (key 20), versions 1 to 6.

Behaviour. The topic is gone, durably, before the answer; its space is given back later. Offsets
committed in it are removed, requests that wait on it are sent away. With delete.topic.enable=false:
TOPIC_DELETION_DISABLED, before version 3 INVALID_REQUEST.

Versions. 4 flexible, 5 error messages, 6 by topic id (KIP-516).

Deviations. The broker's own topics cannot be deleted: INVALID_TOPIC_EXCEPTION.
"""

from collections import Counter
from typing import Final
from uuid import UUID

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may, refusal
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.topic_ids import NO_TOPIC_ID
from tickertape.broker.state.topics import Topic
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)

_FIRST_DISABLED: Final = 3
_FIRST_WITH_IDS: Final = 6


def delete_topics(broker: Broker, request: Request, call: Call) -> None:
    """Delete each topic."""
    ask, _ = DeleteTopicsRequest.decode(request.frame, request.at, request.version)
    wanted = ask.topics
    if request.version < _FIRST_WITH_IDS:
        wanted = [DeleteTopicState(name=name) for name in ask.topic_names]
    if broker.settings.delete_topic_enable:
        responses = _deleted(broker, call, wanted)
    else:
        error = (
            ErrorCode.INVALID_REQUEST
            if request.version < _FIRST_DISABLED
            else ErrorCode.TOPIC_DELETION_DISABLED
        )
        why = (error, "Topic deletion is disabled.")
        responses = [_refused(state.name, state.topic_id, why) for state in wanted]
    answer(call, request.header, DeleteTopicsResponse(responses=responses))


def _deleted(
    broker: Broker, call: Call, wanted: list[DeleteTopicState]
) -> list[DeletableTopicResult]:
    """Each once: a topic that is named twice stays."""
    named = Counter((state.name, state.topic_id) for state in wanted)
    twice = ErrorCode.INVALID_REQUEST, "the topic is named more than once"
    return [
        _delete(broker, call, state)
        if named[state.name, state.topic_id] == 1
        else _refused(state.name, state.topic_id, twice)
        for state in {(state.name, state.topic_id): state for state in wanted}.values()
    ]


def _delete(broker: Broker, call: Call, wanted: DeleteTopicState) -> DeletableTopicResult:
    if wanted.name is not None and wanted.topic_id == NO_TOPIC_ID:
        denied = refusal(broker, call, Operation.DELETE, Resource.TOPIC, wanted.name)
        if denied is not None:
            return _refused(wanted.name, wanted.topic_id, denied)
    topic, error, message = _find(broker, wanted)
    result = DeletableTopicResult(
        name=wanted.name, topic_id=wanted.topic_id, error_code=error, error_message=message
    )
    if topic is None:
        return result
    denied = refusal(broker, call, Operation.DELETE, Resource.TOPIC, topic.name)
    if denied is not None:
        known = may(broker, call, Operation.DESCRIBE, Resource.TOPIC, topic.name)
        return _refused(topic.name if known else None, topic.topic_id, denied)
    result.name, result.topic_id = topic.name, topic.topic_id
    if topic.is_internal:
        result.error_code = ErrorCode.INVALID_TOPIC_EXCEPTION
        result.error_message = f"{topic.name} is the broker's own"
        return result
    try:
        broker.delete_topic(topic)
    except StorageError as failure:
        result.error_code = ErrorCode.KAFKA_STORAGE_ERROR
        result.error_message = str(failure)
    return result


def _refused(name: str | None, topic_id: UUID, why: tuple[ErrorCode, str]) -> DeletableTopicResult:
    error, message = why
    return DeletableTopicResult(
        name=name, topic_id=topic_id, error_code=error, error_message=message
    )


def _find(broker: Broker, wanted: DeleteTopicState) -> tuple[Topic | None, ErrorCode, str | None]:
    by_id = wanted.topic_id != NO_TOPIC_ID
    if by_id and wanted.name is not None:
        return None, ErrorCode.INVALID_REQUEST, "got a name and an id; want one of the two"
    if by_id:
        topic = broker.topics.by_id(wanted.topic_id)
        if topic is None:
            return None, ErrorCode.UNKNOWN_TOPIC_ID, f"no topic has the id {wanted.topic_id}"
        return topic, ErrorCode.NONE, None
    if wanted.name is None:
        return None, ErrorCode.INVALID_REQUEST, "got neither a name nor an id"
    topic = broker.topics.get(wanted.name)
    if topic is None:
        return None, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {wanted.name!r}"
    return topic, ErrorCode.NONE, None
