"""May this topic be created? The rules that CreateTopics and Metadata's auto-creation share.

Kafka's rules (ReplicationControlManager, Topic.validate) for a cluster of one broker.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tickertape.base.errors import MisuseError
from tickertape.broker.state import topic_configs
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.topics import INTERNAL_TOPICS, name_fault
from tickertape.wire.error_codes import ErrorCode

Refusal: TypeAlias = tuple[ErrorCode, str]


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic that may be created."""

    name: str
    partitions: int
    configs: dict[str, str]


def name_refusal(broker: Broker, name: str) -> Refusal | None:
    """Why no topic of that name can be made."""
    fault = name_fault(name)
    if fault is not None:
        return ErrorCode.INVALID_TOPIC_EXCEPTION, fault
    if broker.topics.get(name) is not None:
        return ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists."
    if name in INTERNAL_TOPICS:
        return ErrorCode.INVALID_TOPIC_EXCEPTION, f"{name} is made by the broker when it needs it"
    other = broker.topics.collides_with(name)
    if other is not None:
        return (
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            f"topic {name!r} collides with {other!r}: '.' and '_' are one in metric names",
        )
    return None


def partitions_refusal(broker: Broker, partitions: int) -> Refusal | None:
    """Why a topic cannot have so many partitions."""
    most = broker.settings.partitions_max
    if 0 < partitions <= most:
        return None
    return ErrorCode.INVALID_PARTITIONS, f"number of partitions {partitions}; want 1 to {most}"


def replication_refusal(replication_factor: int) -> Refusal | None:
    """Why a topic cannot have so many replicas. -1 leaves it to the broker."""
    if replication_factor in {-1, 1}:
        return None
    return (
        ErrorCode.INVALID_REPLICATION_FACTOR,
        f"replication factor {replication_factor}; this is a single broker, want 1 or -1",
    )


def assignments_refusal(broker: Broker, assignments: Mapping[int, list[int]]) -> Refusal | None:
    """Why replicas cannot be placed so: partition index to broker ids."""
    if sorted(assignments) != list(range(len(assignments))):
        return (
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"partitions {sorted(assignments)}; want 0 to {len(assignments) - 1} without gaps",
        )
    node_id = broker.settings.node_id
    for index, broker_ids in assignments.items():
        if broker_ids != [node_id]:
            return (
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"partition {index} on brokers {broker_ids}; want [{node_id}], the only one",
            )
    return partitions_refusal(broker, len(assignments))


def checked_configs(
    broker: Broker, configs: Mapping[str, str | None]
) -> tuple[dict[str, str], Refusal | None]:
    """The configs to keep, or why they cannot be."""
    try:
        kept = topic_configs.checked(configs)
        topic_configs.apply(broker.settings.log, kept)
    except topic_configs.ConfigRefused as refused:
        return {}, (ErrorCode.INVALID_CONFIG, str(refused))
    except MisuseError as error:
        return {}, (ErrorCode.INVALID_CONFIG, str(error))
    return kept, None
