"""DescribeConfigs (key 32), versions 1 to 4.

Behaviour. Every config of a topic or of this broker, or those named: value in force, where it comes
from (the topic, server.properties, the default), type, synonyms and meaning where asked. Secrets
have no value. A broker's configs are all read-only: they are read at its start. An empty broker
name asks for the cluster-wide dynamic defaults, of which there are none.

Versions. 3 types and meanings (KIP-569), 4 flexible.

Deviations. There are no broker loggers or client metrics to describe: INVALID_REQUEST.
"""

from tickertape.broker.api.config_changes import (
    BROKER,
    GROUP,
    TOPIC,
    config_denial,
    not_this_broker,
)
from tickertape.broker.api.described_configs import (
    DescribedConfig,
    broker_configs_of,
    group_configs_of,
    topic_configs_of,
)
from tickertape.broker.api.new_topics import Refusal
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.topics import name_fault
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)


def describe_configs(broker: Broker, request: Request, call: Call) -> None:
    """Describe each resource."""
    ask, _ = DescribeConfigsRequest.decode(request.frame, request.at, request.version)
    results = [_described(broker, call, resource, ask) for resource in ask.resources]
    answer(call, request.header, DescribeConfigsResponse(results=results))


def _described(
    broker: Broker, call: Call, resource: DescribeConfigsResource, ask: DescribeConfigsRequest
) -> DescribeConfigsResult:
    kind, name = resource.resource_type, resource.resource_name
    denied = config_denial(broker, call, Operation.DESCRIBE_CONFIGS, (kind, name))
    found = denied or _configs(broker, kind, name)
    result = DescribeConfigsResult(
        error_message=None,
        resource_type=kind,
        resource_name=name,
    )
    if isinstance(found, tuple):
        result.error_code, result.error_message = found
        return result
    wanted = resource.configuration_keys
    result.configs = [
        _result(config, ask) for config in found if not wanted or config.name in wanted
    ]
    return result


def _configs(broker: Broker, kind: int, name: str) -> list[DescribedConfig] | Refusal:
    if kind == TOPIC:
        return _of_topic(broker, name)
    if kind == GROUP:
        return group_configs_of(broker, name)
    if kind != BROKER:
        want = f"{TOPIC}, {BROKER} or {GROUP}"
        return ErrorCode.INVALID_REQUEST, f"resource type {kind}; want {want}"
    if name == "":
        return []
    if name == str(broker.settings.node_id):
        return broker_configs_of(broker)
    return not_this_broker(broker, name)


def _of_topic(broker: Broker, name: str) -> list[DescribedConfig] | Refusal:
    topic = broker.topics.get(name)
    if topic is not None:
        return topic_configs_of(broker, topic.configs)
    fault = name_fault(name)
    if fault is not None:
        return ErrorCode.INVALID_TOPIC_EXCEPTION, fault
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name!r}"


def _result(config: DescribedConfig, ask: DescribeConfigsRequest) -> DescribeConfigsResourceResult:
    return DescribeConfigsResourceResult(
        name=config.name,
        value=config.value,
        read_only=config.read_only,
        config_source=config.source,
        is_sensitive=config.sensitive,
        synonyms=[
            DescribeConfigsSynonym(name=name, value=value, source=source)
            for name, value, source in config.synonyms
        ]
        if ask.include_synonyms
        else [],
        config_type=config.kind,
        documentation=config.why if ask.include_documentation else None,
    )
