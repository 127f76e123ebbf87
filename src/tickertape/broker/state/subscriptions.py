"""Which topics a group of consumers reads, by what its members said when they joined.

Kafka's ClassicGroup.computeSubscribedTopics: only groups of protocol type ``consumer`` have
subscriptions, and what cannot be read counts as every topic. A ConsumerGroup knows them itself.
"""

from typing import Final, TypeAlias

from tickertape.broker.state.consumer_group import ConsumerGroup
from tickertape.broker.state.group import Group
from tickertape.broker.state.group_types import GroupState
from tickertape.wire.primitives import DecodeError
from tickertape.wire.schema.consumer_protocol import ConsumerProtocolSubscription

AnyGroup: TypeAlias = Group | ConsumerGroup

_CONSUMER: Final = "consumer"
_NEWEST: Final = ConsumerProtocolSubscription.VERSIONS[1]


def is_consumer_group(group: AnyGroup) -> bool:
    """Whether its members speak the consumers' embedded protocol."""
    return group.protocol_type == _CONSUMER


def may_lose_offsets(group: AnyGroup) -> bool:
    """Whether offsets of topics that it does not read may expire: not while nobody knows."""
    if group.is_empty or isinstance(group, ConsumerGroup):
        return True
    return group.state is GroupState.STABLE and is_consumer_group(group)


def is_subscribed(group: AnyGroup, topic: str) -> bool:
    """Whether a member reads ``topic``, or may do so for all that is known."""
    if isinstance(group, ConsumerGroup):
        return group.subscribes(topic)
    if not group.members or not is_consumer_group(group):
        return False
    if group.protocol is None:
        return True
    try:
        return any(
            topic in _topics(member.metadata(group.protocol)) for member in group.members.values()
        )
    except DecodeError:
        return True


def _topics(metadata: bytes) -> list[str]:
    if len(metadata) < 2:
        raise DecodeError(f"a subscription of {len(metadata)} bytes; want a version and more")
    version = int.from_bytes(metadata[:2], "big", signed=True)
    subscription, _ = ConsumerProtocolSubscription.decode(
        metadata, 2, max(0, min(version, _NEWEST))
    )
    return subscription.topics
