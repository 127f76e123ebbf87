"""What a record of ``__consumer_offsets`` or ``__transaction_state`` says, spelled out to be read.

Key and value are shown as Kafka's DumpLogSegments decoders show them: the version, and the fields
of the message of that version; for the key, also the name of its
kind. Kinds that this broker does not write are named by their version.
"""

from typing import Any, Final
from uuid import UUID

from tickertape.broker.state.topics import OFFSETS_TOPIC, TRANSACTIONS_TOPIC
from tickertape.broker.state.transaction import State
from tickertape.log.checkpoint import uuid_text
from tickertape.wire.message import Fields, Message, split_version
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
)
from tickertape.wire.schema.offsets_topic import (
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from tickertape.wire.schema.transactions_topic import TransactionLogKey, TransactionLogValue

_KINDS: Final[dict[str, dict[int, tuple[type[Message], type[Message]]]]] = {
    OFFSETS_TOPIC: {
        0: (OffsetCommitKey, OffsetCommitValue),
        1: (OffsetCommitKey, OffsetCommitValue),
        2: (GroupMetadataKey, GroupMetadataValue),
        3: (ConsumerGroupMetadataKey, ConsumerGroupMetadataValue),
        5: (ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue),
        6: (
            ConsumerGroupTargetAssignmentMetadataKey,
            ConsumerGroupTargetAssignmentMetadataValue,
        ),
        7: (ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue),
        8: (ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue),
    },
    TRANSACTIONS_TOPIC: {0: (TransactionLogKey, TransactionLogValue)},
}
"""Topic -> version of the key -> what key and value are."""


def explain(topic: str, record: Record) -> dict[str, Any] | None:
    """Key and value in words; None if ``topic`` is not one of the broker's own.

    DecodeError if the record is not what it claims to be.
    """
    kinds = _KINDS.get(topic)
    if kinds is None or record.key is None:
        return None
    version, body = split_version(record.key)
    kind = kinds.get(version)
    if kind is None:
        return {"key": {"type": version}, "value": None}
    key, _ = kind[0].decode(body, 0, version)
    name = kind[0].__name__.removesuffix("Key")
    shown: dict[str, Any] = {
        "key": {"type": version, "name": name, "data": plain(key)},
        "value": None,
    }
    if record.value is not None:
        value, value_version = kind[1].decode_stored(record.value)
        shown["value"] = {"version": value_version, "data": plain(value)}
        if isinstance(value, TransactionLogValue):
            shown["value"]["data"]["transaction_status_name"] = _state_name(value)
    return shown


def plain(fields: Fields) -> dict[str, Any]:
    """A message as dicts, lists and scalars; bytes in hex, ids as Kafka prints them."""
    return {name: _plain(getattr(fields, name)) for name in fields.__slots__}


def _plain(value: object) -> object:
    if isinstance(value, Fields):
        return plain(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, UUID):
        return uuid_text(value)
    return value


def _state_name(value: TransactionLogValue) -> str:
    try:
        return State(value.transaction_status).name
    except ValueError:
        return "unknown"
