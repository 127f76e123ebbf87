"""What the two requests that alter configs share: may this resource be changed, and changing it.

Topics and groups only: a broker's own settings are read at its start (Kafka answers the same for
properties that it cannot change while it runs).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from tickertape.base.errors import StorageError
from tickertape.broker.api.new_topics import Refusal, checked_configs
from tickertape.broker.api.rights import refusal
from tickertape.broker.state.acl import CLUSTER_NAME, Operation, Resource
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.topics import Topic
from tickertape.wire.error_codes import ErrorCode

TOPIC: Final = 2
BROKER: Final = 4
GROUP: Final = 32


class Change(Protocol):
    """One config of a resource; both messages have their own struct for it."""

    name: str
    value: str | None


C = TypeVar("C", bound=Change)
Changed = dict[str, str | None] | Refusal


class Altered(Protocol[C]):
    """What is to be changed."""

    resource_type: int
    resource_name: str
    configs: list[C]


R = TypeVar("R")


def told(
    response: Callable[..., R], resources: Sequence[Altered[C]], outcomes: Sequence[Refusal | None]
) -> list[R]:
    """What is said of each resource; ``response`` is the message's own struct for it."""
    pairs = zip(resources, outcomes, strict=True)
    return [
        response(
            error_code=outcome[0] if outcome is not None else ErrorCode.NONE,
            error_message=outcome[1] if outcome is not None else None,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
        )
        for resource, outcome in pairs
    ]


def refusals(
    broker: Broker,
    call: Call,
    resources: Sequence[Altered[C]],
    changed: Callable[[Mapping[str, str], Sequence[C]], Changed],
    *,
    validate_only: bool,
) -> list[Refusal | None]:
    """Change each resource, or say why not. ``changed`` says what the configs shall be."""
    named = Counter((each.resource_type, each.resource_name) for each in resources)
    outcomes: list[Refusal | None] = []
    for each in resources:
        if named[each.resource_type, each.resource_name] > 1:
            twice = f"{each.resource_name!r} is named more than once"
            outcomes.append((ErrorCode.INVALID_REQUEST, twice))
        else:
            outcomes.append(
                config_denial(
                    broker, call, Operation.ALTER_CONFIGS, (each.resource_type, each.resource_name)
                )
                or _change(broker, each, changed, validate_only=validate_only)
            )
    return outcomes


def config_denial(
    broker: Broker, call: Call, operation: Operation, resource: tuple[int, str]
) -> Refusal | None:
    """Whether the client may not do this to a resource's configs: type and name."""
    kind, name = resource
    if kind == TOPIC:
        return refusal(broker, call, operation, Resource.TOPIC, name)
    if kind == GROUP:
        return refusal(broker, call, operation, Resource.GROUP, name)
    return refusal(broker, call, operation, Resource.CLUSTER, CLUSTER_NAME)


def _change(
    broker: Broker,
    resource: Altered[C],
    changed: Callable[[Mapping[str, str], Sequence[C]], Changed],
    *,
    validate_only: bool,
) -> Refusal | None:
    topic = broker.topics.get(resource.resource_name)
    reason = _untouchable(broker, resource) or _malformed(resource.configs)
    if reason is not None or resource.resource_type == BROKER:
        return reason
    if resource.resource_type == GROUP:
        return _change_group(broker, resource, changed, validate_only=validate_only)
    if topic is None:
        return (
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            f"The topic '{resource.resource_name}' does not exist.",
        )
    wanted = changed(topic.configs, resource.configs)
    if not isinstance(wanted, dict):
        return wanted
    kept, reason = checked_configs(broker, wanted)
    if reason is None and not validate_only:
        reason = _store(broker, topic, kept)
    return reason


def _change_group(
    broker: Broker,
    resource: Altered[C],
    changed: Callable[[Mapping[str, str], Sequence[C]], Changed],
    *,
    validate_only: bool,
) -> Refusal | None:
    """A group need not exist to have configs, as in Kafka."""
    group_id, configs = resource.resource_name, broker.group_configs
    wanted = changed(configs.of(group_id), resource.configs)
    if not isinstance(wanted, dict):
        return wanted
    kept = {name: value for name, value in wanted.items() if value is not None}
    fault = configs.fault(kept)
    if fault is not None:
        return ErrorCode.INVALID_CONFIG, fault
    if not validate_only:
        try:
            configs.replace(group_id, kept)
        except StorageError as error:
            return ErrorCode.KAFKA_STORAGE_ERROR, str(error)
        broker.groups.reconfigured(group_id)
    return None


def _store(broker: Broker, topic: Topic, configs: Mapping[str, str]) -> Refusal | None:
    try:
        broker.topics.configure(topic, configs)
    except StorageError as error:
        return ErrorCode.KAFKA_STORAGE_ERROR, str(error)
    return None


def _untouchable(broker: Broker, resource: Altered[C]) -> Refusal | None:
    kind, name = resource.resource_type, resource.resource_name
    if kind == TOPIC:
        return None if name else (ErrorCode.INVALID_REQUEST, "got no name, want a topic's")
    if kind == GROUP:
        return None if name else (ErrorCode.INVALID_REQUEST, "got no name, want a group's")
    if kind != BROKER:
        want = f"{TOPIC} (topic) or {GROUP} (group)"
        return ErrorCode.INVALID_REQUEST, f"resource type {kind}; want {want}"
    if name not in {"", str(broker.settings.node_id)}:
        return not_this_broker(broker, name)
    if resource.configs:
        names = ", ".join(sorted(change.name for change in resource.configs))
        return ErrorCode.INVALID_REQUEST, f"Cannot update these configs dynamically: {names}"
    return None


def not_this_broker(broker: Broker, name: str) -> Refusal:
    """The resource names a broker that is not this one."""
    node_id = broker.settings.node_id
    message = f"Unexpected broker id, expected {node_id} or empty string, but received {name}"
    return ErrorCode.INVALID_REQUEST, message


def _malformed(changes: Sequence[C]) -> Refusal | None:
    twice = [name for name, count in Counter(each.name for each in changes).items() if count > 1]
    if twice:
        return ErrorCode.INVALID_REQUEST, f"Error due to duplicate config keys: {', '.join(twice)}"
    return None
