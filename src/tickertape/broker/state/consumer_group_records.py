"""Records of ``__consumer_offsets`` that keep the groups of KIP-848, in Kafka's own format.

Keys 3 (the group's epoch), 5 (a member), 6 (the target's epoch), 7 (a member's target) and 8 (what
a member has now); every value is of version 0. A null value is a tombstone. Not written are Kafka's
key 4, which it has given up, and 16, the topics that a pattern matches: they are looked up again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from tickertape.broker.state.assignors import NOTHING, Parts
from tickertape.broker.state.consumer_group import ConsumerGroup
from tickertape.broker.state.consumer_group_types import (
    About,
    ConsumerMember,
    MemberState,
    Touched,
)
from tickertape.wire.message import Message
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record
from tickertape.wire.schema.consumer_group_records import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    CurrentTopicPartitions,
    TargetTopicPartitions,
)

GROUP_EPOCH: Final = 3
MEMBER: Final = 5
TARGET_EPOCH: Final = 6
TARGET: Final = 7
CURRENT: Final = 8
KEY_VERSIONS: Final = frozenset({GROUP_EPOCH, MEMBER, TARGET_EPOCH, TARGET, CURRENT})
_VALUE_VERSION: Final = 0


@dataclass(slots=True)
class StoredConsumerGroup:
    """What the records read so far say of a group."""

    epoch: int = 0
    metadata_hash: int = 0
    target_epoch: int = 0
    members: dict[str, ConsumerMember] = field(default_factory=dict)
    targets: dict[str, Parts] = field(default_factory=dict)
    currents: dict[str, ConsumerGroupCurrentMemberAssignmentValue] = field(default_factory=dict)

    def whole_members(self) -> Iterable[ConsumerMember]:
        """Every member, with its target and with what it has."""
        for member_id, member in self.members.items():
            target = self.targets.get(member_id, NOTHING)
            current = self.currents.get(member_id)
            if current is None:
                yield replace(member, target=target)
                continue
            yield replace(
                member,
                target=target,
                epoch=current.member_epoch,
                previous_epoch=current.previous_member_epoch,
                state=MemberState(current.state),
                assigned=_parts(current.assigned_partitions),
                revoking=_parts(current.partitions_pending_revocation),
            )


# Writing -----------------------------------------------------------------------------------------


def consumer_group_records(group: ConsumerGroup, touched: Touched, now_ms: int) -> list[Record]:
    """The records of what was touched, as it is now."""
    records = []
    for member_id in sorted(touched.members):
        key = ConsumerGroupMemberMetadataKey(group_id=group.group_id, member_id=member_id)
        member = group.members.get(member_id)
        about = None if member is None else _member_value(member)
        records.append(_record(MEMBER, key, about, now_ms))
    if touched.group_epoch:
        value = ConsumerGroupMetadataValue(epoch=group.epoch, metadata_hash=group.metadata_hash)
        records.append(_record(GROUP_EPOCH, _group_key(group.group_id), value, now_ms))
    for member_id in sorted(touched.targets):
        of_target = ConsumerGroupTargetAssignmentMemberKey(
            group_id=group.group_id, member_id=member_id
        )
        member = group.members.get(member_id)
        target = None if member is None else _target_value(member)
        records.append(_record(TARGET, of_target, target, now_ms))
    if touched.target_epoch:
        epoch = ConsumerGroupTargetAssignmentMetadataValue(assignment_epoch=group.target_epoch)
        records.append(_record(TARGET_EPOCH, _target_key(group.group_id), epoch, now_ms))
    for member_id in sorted(touched.currents):
        of_current = ConsumerGroupCurrentMemberAssignmentKey(
            group_id=group.group_id, member_id=member_id
        )
        member = group.members.get(member_id)
        current = None if member is None else _current_value(member)
        records.append(_record(CURRENT, of_current, current, now_ms))
    return records


def consumer_group_tombstones(group_id: str, now_ms: int) -> list[Record]:
    """The records that remove a group without members."""
    return [
        _record(TARGET_EPOCH, _target_key(group_id), None, now_ms),
        _record(GROUP_EPOCH, _group_key(group_id), None, now_ms),
    ]


def _group_key(group_id: str) -> Message:
    return ConsumerGroupMetadataKey(group_id=group_id)


def _target_key(group_id: str) -> Message:
    return ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id)


def _record(kind: int, key: Message, value: Message | None, now_ms: int) -> Record:
    body = None
    if value is not None:
        body = _VALUE_VERSION.to_bytes(2, "big") + value.encode(_VALUE_VERSION)
    return Record(0, now_ms, kind.to_bytes(2, "big") + key.encode(kind), body, ())


def _member_value(member: ConsumerMember) -> Message:
    about = member.about
    return ConsumerGroupMemberMetadataValue(
        instance_id=member.instance_id,
        rack_id=about.rack_id,
        client_id=about.client_id,
        client_host=about.client_host,
        subscribed_topic_names=sorted(about.topic_names),
        subscribed_topic_regex=about.topic_regex,
        rebalance_timeout_ms=about.rebalance_timeout_ms,
        server_assignor=about.assignor,
    )


def _target_value(member: ConsumerMember) -> Message:
    return ConsumerGroupTargetAssignmentMemberValue(
        topic_partitions=[
            TargetTopicPartitions(topic_id=topic_id, partitions=indexes)
            for topic_id, indexes in by_topic(member.target).items()
        ]
    )


def _current_value(member: ConsumerMember) -> Message:
    assigned, revoking = (
        [
            CurrentTopicPartitions(topic_id=topic_id, partitions=indexes)
            for topic_id, indexes in by_topic(parts).items()
        ]
        for parts in (member.assigned, member.revoking)
    )
    return ConsumerGroupCurrentMemberAssignmentValue(
        member_epoch=member.epoch,
        previous_member_epoch=member.previous_epoch,
        state=member.state,
        assigned_partitions=assigned,
        partitions_pending_revocation=revoking,
    )


def by_topic(parts: Parts) -> dict[UUID, list[int]]:
    """The partitions of each topic, in order."""
    found: dict[UUID, list[int]] = {}
    for topic_id, index in sorted(parts):
        found.setdefault(topic_id, []).append(index)
    return found


# Reading -----------------------------------------------------------------------------------------


def apply_record(
    groups: dict[str, StoredConsumerGroup], kind: int, key: memoryview, value: bytes | None
) -> None:
    """Let ``groups`` follow one record whose key is of version ``kind``. DecodeError if damaged."""
    body = None if value is None else memoryview(value)[2:]
    if value is not None and value[:2] != _VALUE_VERSION.to_bytes(2, "big"):
        raise DecodeError(f"a value of version {value[:2].hex()}; want {_VALUE_VERSION}")
    if kind not in {GROUP_EPOCH, TARGET_EPOCH}:
        _apply_to_member(groups, kind, key, body)
        return
    group_id = ConsumerGroupMetadataKey.decode(key, 0, GROUP_EPOCH)[0].group_id  # the same in 6
    if body is None:
        if kind == GROUP_EPOCH:
            groups.pop(group_id, None)
        return
    group = groups.setdefault(group_id, StoredConsumerGroup())
    if kind == GROUP_EPOCH:
        stored, _ = ConsumerGroupMetadataValue.decode(body, 0, 0)
        group.epoch, group.metadata_hash = stored.epoch, stored.metadata_hash
    else:
        target, _ = ConsumerGroupTargetAssignmentMetadataValue.decode(body, 0, 0)
        group.target_epoch = target.assignment_epoch


def _apply_to_member(
    groups: dict[str, StoredConsumerGroup], kind: int, key: memoryview, body: memoryview | None
) -> None:
    where, _ = ConsumerGroupMemberMetadataKey.decode(key, 0, MEMBER)  # the same in 5, 7 and 8
    group_id, member_id = where.group_id, where.member_id
    if body is None:
        _drop(groups.get(group_id, StoredConsumerGroup()), kind, member_id)
        return
    group = groups.setdefault(group_id, StoredConsumerGroup())
    if kind == MEMBER:
        value, _ = ConsumerGroupMemberMetadataValue.decode(body, 0, 0)
        group.members[member_id] = _member(member_id, value)
    elif kind == TARGET:
        target, _ = ConsumerGroupTargetAssignmentMemberValue.decode(body, 0, 0)
        group.targets[member_id] = _parts(target.topic_partitions)
    else:
        group.currents[member_id], _ = ConsumerGroupCurrentMemberAssignmentValue.decode(body, 0, 0)


def _drop(group: StoredConsumerGroup, kind: int, member_id: str) -> None:
    if kind == MEMBER:
        group.members.pop(member_id, None)
    elif kind == TARGET:
        group.targets.pop(member_id, None)
    else:
        group.currents.pop(member_id, None)


def _member(member_id: str, value: ConsumerGroupMemberMetadataValue) -> ConsumerMember:
    return ConsumerMember(
        member_id=member_id,
        instance_id=value.instance_id,
        about=About(
            rack_id=value.rack_id,
            client_id=value.client_id,
            client_host=value.client_host,
            rebalance_timeout_ms=value.rebalance_timeout_ms,
            topic_names=frozenset(value.subscribed_topic_names),
            topic_regex=value.subscribed_topic_regex,
            assignor=value.server_assignor,
        ),
    )


def _parts(topics: Iterable[TargetTopicPartitions | CurrentTopicPartitions]) -> Parts:
    return frozenset((topic.topic_id, index) for topic in topics for index in topic.partitions)
