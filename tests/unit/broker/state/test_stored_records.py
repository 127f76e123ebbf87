"""Every record of the broker's own topics can be shown as JSON."""

import json
from uuid import UUID

import pytest

from tickertape.broker.state.stored_records import explain
from tickertape.broker.state.topics import OFFSETS_TOPIC
from tickertape.wire.message import Message
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record
from tickertape.wire.schema import consumer_group_records as newer
from tickertape.wire.schema.offsets_topic import (
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)

TOPIC_ID = UUID("01234567-89ab-cdef-0123-456789abcdef")
PAIRS: list[tuple[int, Message, int, Message]] = [
    (1, OffsetCommitKey(group="g", topic="t", partition=2), 3, OffsetCommitValue(offset=7)),
    (2, GroupMetadataKey(group="g"), 3, GroupMetadataValue(generation=4)),
    (3, newer.ConsumerGroupMetadataKey(group_id="g"), 0, newer.ConsumerGroupMetadataValue(epoch=5)),
    (
        7,
        newer.ConsumerGroupTargetAssignmentMemberKey(group_id="g", member_id="m"),
        0,
        newer.ConsumerGroupTargetAssignmentMemberValue(
            topic_partitions=[newer.TargetTopicPartitions(topic_id=TOPIC_ID, partitions=[0, 1])]
        ),
    ),
]


def stored(version: int, message: Message, as_version: int) -> bytes:
    return version.to_bytes(2, "big") + message.encode(as_version)


def key_version(kind: int, key: Message) -> int:
    """Old keys are of the version that is their kind; the newer ones all of their only one."""
    first, last = type(key).VERSIONS
    return kind if first <= kind <= last else first


@pytest.mark.parametrize(("kind", "key", "version", "value"), PAIRS)
def test_a_record_is_shown_whole(kind: int, key: Message, version: int, value: Message) -> None:
    record = Record(
        0, 0, stored(kind, key, key_version(kind, key)), stored(version, value, version)
    )
    shown = explain(OFFSETS_TOPIC, record)
    assert shown is not None
    assert json.loads(json.dumps(shown)) == shown
    assert shown["key"]["type"] == kind
    assert f"{shown['key']['name']}Key" == type(key).__name__
    assert shown["value"]["version"] == version
    data = shown["key"]["data"]
    assert data.get("group", data.get("group_id")) == "g"
    assert shown["value"]["data"].keys() == set(value.__slots__)


def test_topic_ids_are_shown_as_kafka_prints_them() -> None:
    kind, key, version, value = PAIRS[-1]
    record = Record(
        0, 0, stored(kind, key, key_version(kind, key)), stored(version, value, version)
    )
    shown = explain(OFFSETS_TOPIC, record)
    assert shown is not None
    (parts,) = shown["value"]["data"]["topic_partitions"]
    assert parts == {"topic_id": "ASNFZ4mrze8BI0VniavN7w", "partitions": [0, 1]}


def test_a_kind_that_nobody_knows_and_other_topics_are_let_be() -> None:
    unknown = Record(0, 0, b"\x00\x63rest", b"value")
    assert explain(OFFSETS_TOPIC, unknown) == {"key": {"type": 99}, "value": None}
    assert explain("ticks", unknown) is None


def test_a_damaged_record_is_an_error() -> None:
    with pytest.raises(DecodeError):
        explain(OFFSETS_TOPIC, Record(0, 0, b"\x00\x01\x00\x09short", b""))
