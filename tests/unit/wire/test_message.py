"""What all generated messages share, and those that kio does not have."""

import importlib
import pkgutil
import subprocess
import sys
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from tickertape.base.errors import MisuseError
from tickertape.wire import schema
from tickertape.wire.message import Message
from tickertape.wire.primitives import DecodeError
from tickertape.wire.schema.api_versions import ApiVersionsResponse
from tickertape.wire.schema.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    SubscriptionTopicPartition,
)
from tickertape.wire.schema.heartbeat import HeartbeatRequest
from tickertape.wire.schema.join_group import (
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
)
from tickertape.wire.schema.offsets_topic import (
    GroupMetadataKey,
    GroupMetadataValue,
    MemberMetadata,
    OffsetCommitKey,
    OffsetCommitValue,
)


def test_equality_repr_and_mutability() -> None:
    one = JoinGroupRequestProtocol(name="range", metadata=b"x")
    assert one == JoinGroupRequestProtocol(name="range", metadata=b"x")
    assert one != JoinGroupRequestProtocol(name="range", metadata=b"y")
    assert one != "range"
    assert repr(one) == "JoinGroupRequestProtocol(name='range', metadata=b'x')"
    one.name = "sticky"
    assert one.name == "sticky"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
    with pytest.raises(AttributeError):
        one.nme = "typo"  # type: ignore[attr-defined]  # slots refuse it


def test_list_defaults_are_not_shared() -> None:
    first, second = JoinGroupRequest(), JoinGroupRequest()
    first.protocols.append(JoinGroupRequestProtocol())
    assert second.protocols == []


def test_a_version_that_does_not_exist_is_misuse() -> None:
    for version in (-1, 5):
        with pytest.raises(MisuseError, match="0 to 4"):
            HeartbeatRequest().encode(version)
        with pytest.raises(MisuseError, match="0 to 4"):
            HeartbeatRequest.decode(b"", 0, version)


def test_what_is_stored_names_its_version() -> None:
    value = HeartbeatRequest(group_id="g", member_id="m", generation_id=3)
    stored = b"\0\1" + value.encode(1)
    assert HeartbeatRequest.decode_stored(stored) == (value, 1)
    for damaged in (b"\0\x05" + value.encode(1), b"\xff\xff", b"\0", b"", stored[:-1]):
        with pytest.raises(DecodeError):
            HeartbeatRequest.decode_stored(damaged)


def test_fields_that_a_version_lacks_are_left_out_and_come_back_as_defaults() -> None:
    full = JoinGroupRequest(group_id="g", rebalance_timeout_ms=9, reason="r", group_instance_id="i")
    old, _ = JoinGroupRequest.decode(full.encode(0), 0, 0)
    assert (old.rebalance_timeout_ms, old.reason, old.group_instance_id) == (-1, None, None)


def test_null_in_a_version_that_cannot_say_it_becomes_empty() -> None:
    data = JoinGroupResponse(protocol_name=None).encode(6)
    assert JoinGroupResponse.decode(data, 0, 6)[0].protocol_name == ""
    data = JoinGroupResponse(protocol_name=None).encode(7)
    assert JoinGroupResponse.decode(data, 0, 7)[0].protocol_name is None


def test_unknown_tagged_fields_are_skipped() -> None:
    plain = HeartbeatRequest(group_id="g", member_id="m", generation_id=3)
    data = plain.encode(4)
    tagged = data[:-1] + bytes.fromhex("02 00 01 ff 63 00")
    assert HeartbeatRequest.decode(tagged, 0, 4) == (plain, len(tagged))


def test_a_known_tagged_field_of_the_wrong_size_is_refused() -> None:
    plain = ApiVersionsResponse().encode(3)
    epoch_of_9_bytes = plain[:-1] + bytes.fromhex("01 01 09" + "00" * 9)
    with pytest.raises(DecodeError, match="tagged field 1"):
        ApiVersionsResponse.decode(epoch_of_9_bytes, 0, 3)


# Records of __consumer_offsets, byte for byte as Kafka 4.1's coordinator writes them --------------


def test_offset_commit_record() -> None:
    key = OffsetCommitKey(group="g", topic="ticks", partition=2)
    assert key.encode(1).hex() == "000167" + "00057469636b73" + "00000002"
    assert OffsetCommitKey.decode(key.encode(1), 0, 1)[0] == key
    value = OffsetCommitValue(offset=7, leader_epoch=1, metadata="m", commit_timestamp=5)
    assert value.encode(3).hex() == "0000000000000007" + "00000001" + "00016d" + "0000000000000005"
    assert value.encode(1).hex().endswith("ff" * 8)  # v1 alone has an expiry
    for version in range(5):
        again, at = OffsetCommitValue.decode(value.encode(version), 0, version)
        assert at == len(value.encode(version))
        assert (again.offset, again.metadata, again.commit_timestamp) == (7, "m", 5)


def test_group_metadata_record() -> None:
    key = GroupMetadataKey(group="g")
    assert key.encode(2).hex() == "000167"
    member = MemberMetadata(
        member_id="m-1", group_instance_id="i", client_id="c", client_host="/h",
        rebalance_timeout=10, session_timeout=20, subscription=b"s", assignment=b"a",
    )  # fmt: skip
    value = GroupMetadataValue(
        protocol_type="consumer", generation=3, protocol=None, leader=None,
        current_state_timestamp=4, members=[member],
    )  # fmt: skip
    assert value.encode(3).hex() == (
        "0008636f6e73756d6572" "00000003" "ffff" "ffff" "0000000000000004" "00000001"
        "00036d2d31" "000169" "000163" "00022f68" "0000000a" "00000014"
        "0000000173" "0000000161"
    )  # fmt: skip
    for version in (3, 4):
        data = value.encode(version)
        assert GroupMetadataValue.decode(data, 0, version) == (value, len(data))
        for end in range(len(data)):
            with pytest.raises(DecodeError):
                GroupMetadataValue.decode(data[:end], 0, version)


# What consumers put into JoinGroup and SyncGroup --------------------------------------------------


def test_assignment_is_aiokafkas() -> None:
    theirs = ConsumerProtocolMemberAssignment(0, [("ticks", [0, 2])], b"user").encode()
    version = int.from_bytes(theirs[:2], "big")
    ours, at = ConsumerProtocolAssignment.decode(theirs, 2, version)
    assert at == len(theirs)
    assert [(one.topic, one.partitions) for one in ours.assigned_partitions] == [("ticks", [0, 2])]
    assert ours.user_data == b"user"
    assert theirs[:2] + ours.encode(version) == theirs


def test_subscription_grows_by_version() -> None:
    full = ConsumerProtocolSubscription(
        topics=["a"], user_data=None, generation_id=5, rack_id="r",
        owned_partitions=[SubscriptionTopicPartition(topic="a", partitions=[1])],
    )  # fmt: skip
    sizes = [len(full.encode(version)) for version in range(4)]
    assert sizes == [11, 26, 30, 33]
    assert ConsumerProtocolSubscription.decode(full.encode(3), 0, 3) == (full, 33)


# The package -------------------------------------------------------------------------------------


def messages() -> list[Any]:
    found = []
    for info in pkgutil.iter_modules(schema.__path__):
        module = importlib.import_module(f"{schema.__name__}.{info.name}")
        found += [
            cls for cls in vars(module).values()
            if isinstance(cls, type) and issubclass(cls, Message) and cls is not Message
        ]  # fmt: skip
    return found


@pytest.mark.parametrize("cls", messages(), ids=lambda cls: cls.__name__)
def test_defaults_round_trip_in_every_version(cls: type[Message]) -> None:
    first, last = cls.VERSIONS
    for version in range(first, last + 1):
        data = cls().encode(version)
        again, at = cls.decode(b"\1" + data + b"\2", 1, version)
        assert at == len(data) + 1
        assert again.encode(version) == data


def test_a_message_module_imports_nothing_heavy() -> None:
    code = (
        "import sys; import tickertape.wire.schema.join_group; "
        "print(*sorted({'dataclasses', 'inspect', 'asyncio', 'cramjam', 'kio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
