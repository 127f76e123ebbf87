"""CreateTopics (key 19), versions 2 to 7.

Behaviour. Each topic succeeds or fails alone; it exists durably before the answer. Partitions -1:
num.partitions; replication factor -1 or 1, more is refused (this is one broker). Manual
assignments must name this broker. validateOnly checks everything and makes nothing.

Versions. 4 defaults by -1 (KIP-464), 5 flexible and the topic's configs in the answer (KIP-525),
7 topic id.

Deviations. timeoutMs is not needed: creation is immediate.
"""

from collections import Counter

from tickertape.base.errors import StorageError
from tickertape.broker.api.described_configs import topic_configs_of
from tickertape.broker.api.new_topics import (
    NewTopic,
    Refusal,
    assignments_refusal,
    checked_configs,
    name_refusal,
    partitions_refusal,
    replication_refusal,
)
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may, may_cluster
from tickertape.broker.api.rights import refusal as denial
from tickertape.broker.state.acl import Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.topic_ids import NO_TOPIC_ID
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)


def create_topics(broker: Broker, request: Request, call: Call) -> None:
    """Check and create each topic."""
    ask, _ = CreateTopicsRequest.decode(request.frame, request.at, request.version)
    named = Counter(topic.name for topic in ask.topics)
    results: dict[str, CreatableTopicResult] = {}
    for wanted in ask.topics:
        if named[wanted.name] > 1:
            twice = (ErrorCode.INVALID_REQUEST, f"topic {wanted.name!r} is named more than once")
            results[wanted.name] = _refused(wanted.name, twice)
        else:
            results[wanted.name] = _create(broker, call, wanted, validate_only=ask.validate_only)
    answer(call, request.header, CreateTopicsResponse(topics=list(results.values())))


def _create(
    broker: Broker, call: Call, wanted: CreatableTopic, *, validate_only: bool
) -> CreatableTopicResult:
    create, name = Operation.CREATE, wanted.name
    denied = denial(broker, call, create, Resource.TOPIC, name)
    if denied is not None and not may_cluster(broker, call, create):
        return _refused(name, denied)
    checked = _check(broker, wanted)
    if not isinstance(checked, NewTopic):
        return _refused(wanted.name, checked)
    topic_id = NO_TOPIC_ID
    if not validate_only:
        try:
            topic_id = broker.create_topic(
                checked.name, checked.partitions, checked.configs
            ).topic_id
        except StorageError as error:
            return _refused(wanted.name, (ErrorCode.KAFKA_STORAGE_ERROR, str(error)))
    if not may(broker, call, Operation.DESCRIBE_CONFIGS, Resource.TOPIC, name):
        return CreatableTopicResult(
            name=name,
            topic_id=topic_id,
            error_message=None,
            topic_config_error_code=ErrorCode.TOPIC_AUTHORIZATION_FAILED,
            configs=None,
        )
    return CreatableTopicResult(
        name=checked.name,
        topic_id=topic_id,
        error_code=ErrorCode.NONE,
        error_message=None,
        num_partitions=checked.partitions,
        replication_factor=1,
        configs=_configs(broker, checked.configs),
    )


def _check(broker: Broker, wanted: CreatableTopic) -> NewTopic | Refusal:
    refusal = name_refusal(broker, wanted.name)
    if refusal is not None:
        return refusal
    partitions = wanted.num_partitions
    if wanted.assignments:
        if partitions != -1 or wanted.replication_factor != -1:
            return (
                ErrorCode.INVALID_REQUEST,
                "partitions or a replication factor given beside assignments; want one of the two",
            )
        assignments = {given.partition_index: given.broker_ids for given in wanted.assignments}
        partitions = len(wanted.assignments)
        refusal = assignments_refusal(broker, assignments)
    else:
        if partitions == -1:
            partitions = broker.settings.num_partitions
        refusal = partitions_refusal(broker, partitions)
        refusal = refusal or replication_refusal(wanted.replication_factor)
    if refusal is not None:
        return refusal
    without = [config.name for config in wanted.configs if config.value is None]
    if without:
        return ErrorCode.INVALID_CONFIG, f"Null value not supported for topic configs: {without}"
    configs, refusal = checked_configs(
        broker, {config.name: config.value for config in wanted.configs}
    )
    return refusal or NewTopic(wanted.name, partitions, configs)


def _configs(broker: Broker, configs: dict[str, str]) -> list[CreatableTopicConfigs]:
    return [
        CreatableTopicConfigs(
            name=config.name,
            value=config.value,
            read_only=config.read_only,
            config_source=config.source,
            is_sensitive=config.sensitive,
        )
        for config in topic_configs_of(broker, configs)
    ]


def _refused(name: str, refusal: Refusal) -> CreatableTopicResult:
    error, message = refusal
    return CreatableTopicResult(name=name, error_code=error, error_message=message, configs=[])
