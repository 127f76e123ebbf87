"""Records of ``__consumer_offsets``, in Kafka's own format, as values.

Keys: OffsetCommitKey version 0 or 1 (we write 1), GroupMetadataKey version 2. Values:
OffsetCommitValue (we write 4, which has the topic id, or 1 if the client gave a retention time),
GroupMetadataValue (we write 3). A null value is a tombstone. Every key and value starts with its
version, two bytes. Keys 3 to 8 are those of consumer_group_records; others belong to protocols that
are not served, and are passed over, as Kafka does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from tickertape.broker.state.consumer_group_records import KEY_VERSIONS
from tickertape.broker.state.group import Group
from tickertape.broker.state.group_types import Member
from tickertape.wire.message import split_version
from tickertape.wire.primitives import ZERO_UUID
from tickertape.wire.records import Record
from tickertape.wire.schema.offsets_topic import (
    GroupMetadataKey,
    GroupMetadataValue,
    MemberMetadata,
    OffsetCommitKey,
    OffsetCommitValue,
)

OFFSET_KEY_VERSION: Final = 1
GROUP_KEY_VERSION: Final = 2
OFFSET_VALUE_VERSION: Final = 4
OFFSET_VALUE_VERSION_EXPIRING: Final = 1
GROUP_VALUE_VERSION: Final = 3

TopicIndex: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Committed:
    """One committed offset. ``expires_ms`` only if the client set a retention time (before v5).

    ``topic_id`` tells a topic from an earlier one of its name; ZERO_UUID: not known.
    """

    offset: int
    leader_epoch: int
    metadata: str
    committed_ms: int
    expires_ms: int = -1
    topic_id: UUID = ZERO_UUID

    def may_be_of(self, topic_id: UUID) -> bool:
        """False if it was committed for an earlier topic of that name."""
        return self.topic_id in {topic_id, ZERO_UUID}


@dataclass(frozen=True, slots=True)
class OffsetChange:
    """A record says: this offset was committed, or (None) removed."""

    group_id: str
    topic: str
    partition: int
    committed: Committed | None


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """What a record keeps of a group; the members' sessions are not stored."""

    protocol_type: str | None
    generation: int
    protocol: str | None
    leader: str | None
    state_timestamp_ms: int
    members: list[Member]


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A record says: the group is now this, or (None) is gone."""

    group_id: str
    stored: StoredGroup | None


@dataclass(frozen=True, slots=True)
class ConsumerGroupChange:
    """A record of the groups of KIP-848, for ``consumer_group_records.apply_record``."""

    kind: int
    key: memoryview
    value: bytes | None


Change: TypeAlias = OffsetChange | GroupChange | ConsumerGroupChange


def offset_record(change: OffsetChange, now_ms: int) -> Record:
    """The record of one commit, or its tombstone."""
    key = OffsetCommitKey(group=change.group_id, topic=change.topic, partition=change.partition)
    committed = change.committed
    value = None
    if committed is not None:
        version = (
            OFFSET_VALUE_VERSION if committed.expires_ms < 0 else OFFSET_VALUE_VERSION_EXPIRING
        )
        value = _versioned(
            version,
            OffsetCommitValue(
                offset=committed.offset,
                leader_epoch=committed.leader_epoch if version == OFFSET_VALUE_VERSION else -1,
                metadata=committed.metadata,
                commit_timestamp=committed.committed_ms,
                expire_timestamp=committed.expires_ms,
                topic_id=committed.topic_id,
            ).encode(version),
        )
    return Record(
        0, now_ms, _versioned(OFFSET_KEY_VERSION, key.encode(OFFSET_KEY_VERSION)), value, ()
    )


def group_record(group: Group, now_ms: int) -> Record:
    """The record of the group as it is now."""
    value = GroupMetadataValue(
        protocol_type=group.protocol_type or "",
        generation=group.generation,
        protocol=group.protocol,
        leader=group.leader,
        current_state_timestamp=group.state_timestamp_ms,
        members=[
            MemberMetadata(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                rebalance_timeout=member.rebalance_timeout_ms,
                session_timeout=member.session_timeout_ms,
                subscription=member.metadata(group.protocol or ""),
                assignment=member.assignment,
            )
            for member in group.members.values()
        ],
    )
    return Record(
        0,
        now_ms,
        _group_key(group.group_id),
        _versioned(GROUP_VALUE_VERSION, value.encode(GROUP_VALUE_VERSION)),
        (),
    )


def group_tombstone(group_id: str, now_ms: int) -> Record:
    """The record that removes a group."""
    return Record(0, now_ms, _group_key(group_id), None, ())


def read_changes(records: Iterable[Record]) -> Iterable[Change]:
    """What the records say, in order. DecodeError on damaged ones."""
    for record in records:
        if record.key is None:
            continue
        version, key = split_version(record.key)
        if version in {0, OFFSET_KEY_VERSION}:
            yield _read_offset(key, version, record.value)
        elif version == GROUP_KEY_VERSION:
            yield _read_group(key, version, record.value)
        elif version in KEY_VERSIONS:
            yield ConsumerGroupChange(version, key, record.value)


def _read_offset(key: memoryview, version: int, value: bytes | None) -> OffsetChange:
    where, _ = OffsetCommitKey.decode(key, 0, version)
    committed = None
    if value is not None:
        stored, value_version = OffsetCommitValue.decode_stored(value)
        committed = Committed(
            stored.offset,
            stored.leader_epoch,
            stored.metadata,
            stored.commit_timestamp,
            stored.expire_timestamp if value_version == OFFSET_VALUE_VERSION_EXPIRING else -1,
            stored.topic_id,
        )
    return OffsetChange(where.group, where.topic, where.partition, committed)


def _read_group(key: memoryview, version: int, value: bytes | None) -> GroupChange:
    where, _ = GroupMetadataKey.decode(key, 0, version)
    if value is None:
        return GroupChange(where.group, None)
    stored, value_version = GroupMetadataValue.decode_stored(value)
    members = [
        Member(
            member_id=member.member_id,
            instance_id=member.group_instance_id,
            client_id=member.client_id,
            client_host=member.client_host,
            rebalance_timeout_ms=member.rebalance_timeout
            if value_version >= 1
            else member.session_timeout,
            session_timeout_ms=member.session_timeout,
            protocols=((stored.protocol or "", member.subscription),),
            assignment=member.assignment,
        )
        for member in stored.members
    ]
    return GroupChange(
        where.group,
        StoredGroup(
            stored.protocol_type or None,
            stored.generation,
            stored.protocol,
            stored.leader,
            stored.current_state_timestamp,
            members,
        ),
    )


def _group_key(group_id: str) -> bytes:
    return _versioned(GROUP_KEY_VERSION, GroupMetadataKey(group=group_id).encode(GROUP_KEY_VERSION))


def _versioned(version: int, body: bytes) -> bytes:
    return version.to_bytes(2, "big") + body
