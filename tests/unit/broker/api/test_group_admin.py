"""DeleteGroups and OffsetDelete, through the door and through crashes."""

import pytest
from tests.unit.broker.harness import Core, FakeCall

from tickertape.base.fake_fs import Loss
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.consumer_protocol import ConsumerProtocolSubscription
from tickertape.wire.schema.delete_groups import DeleteGroupsRequest, DeleteGroupsResponse
from tickertape.wire.schema.join_group import (
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
)
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from tickertape.wire.schema.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
)

VERSIONS = pytest.mark.parametrize("version", [0, 2])


@pytest.fixture
def core() -> Core:
    core = Core()
    core.create("t", 2)
    core.create("u")
    return core


def commit(core: Core, topic: str, partition: int, offset: int, group: str = "g") -> FakeCall:
    part = OffsetCommitRequestPartition(partition_index=partition, committed_offset=offset)
    ask = OffsetCommitRequest(
        group_id=group, topics=[OffsetCommitRequestTopic(name=topic, partitions=[part])]
    )
    return core.send(ApiKey.OFFSET_COMMIT, 2, ask.encode(2))


def offsets(core: Core, group: str = "g") -> dict[tuple[str, int], int]:
    found = core.broker.groups.offsets.of_group(group)
    return {where: committed.offset for where, committed in found.items()}


def join(
    core: Core, metadata: bytes, kind: str = "consumer", *, member_id: str = ""
) -> JoinGroupResponse:
    ask = JoinGroupRequest(
        group_id="g",
        session_timeout_ms=10_000,
        rebalance_timeout_ms=10_000,
        member_id=member_id,
        protocol_type=kind,
        protocols=[JoinGroupRequestProtocol(name="range", metadata=metadata)],
    )
    version = 4 if member_id == "ask" else 0
    ask.member_id = "" if member_id == "ask" else member_id
    call = core.send(ApiKey.JOIN_GROUP, version, ask.encode(version))
    return call.read(JoinGroupResponse, ApiKey.JOIN_GROUP, version)


def reads(*topics: str) -> bytes:
    return b"\x00\x01" + ConsumerProtocolSubscription(topics=list(topics)).encode(1)


def delete_groups(core: Core, *groups: str, version: int = 2) -> list[ErrorCode]:
    ask = DeleteGroupsRequest(groups_names=list(groups))
    response = core.ask(ApiKey.DELETE_GROUPS, version, ask, DeleteGroupsResponse)
    return [ErrorCode(result.error_code) for result in response.results]


def delete_offsets(core: Core, *wanted: tuple[str, int]) -> tuple[int, list[int]]:
    ask = OffsetDeleteRequest(
        group_id="g",
        topics=[
            OffsetDeleteRequestTopic(
                name=topic, partitions=[OffsetDeleteRequestPartition(partition_index=index)]
            )
            for topic, index in wanted
        ],
    )
    response = core.ask(ApiKey.OFFSET_DELETE, 0, ask, OffsetDeleteResponse)
    errors = [part.error_code for topic in response.topics for part in topic.partitions]
    return response.error_code, errors


# -- DeleteGroups ----------------------------------------------------------------------------


@VERSIONS
def test_a_deleted_group_stays_deleted_through_a_crash(core: Core, version: int) -> None:
    commit(core, "t", 0, 5)
    commit(core, "t", 0, 7, group="kept")
    assert delete_groups(core, "g", "nope", version=version) == [
        ErrorCode.NONE,
        ErrorCode.GROUP_ID_NOT_FOUND,
    ]
    core.crash(Loss.ALL)
    assert core.broker.groups.find("g") is None
    assert (offsets(core), offsets(core, "kept")) == ({}, {("t", 0): 7})


def test_a_group_that_had_members_is_forgotten_with_its_generation(core: Core) -> None:
    join(core, reads("t"))
    core.pass_ms(30_000)  # the session has expired
    assert delete_groups(core, "g") == [ErrorCode.NONE]
    core.crash(Loss.ALL)
    assert core.broker.groups.find("g") is None


@VERSIONS
def test_a_group_with_members_is_kept(core: Core, version: int) -> None:
    commit(core, "t", 0, 5)
    member = join(core, reads("t"))
    assert member.error_code == 0
    assert delete_groups(core, "g", version=version) == [ErrorCode.NON_EMPTY_GROUP]
    assert offsets(core) == {("t", 0): 5}


def test_deleting_waits_for_the_disk_and_takes_commits_under_way_along(core: Core) -> None:
    commit(core, "t", 0, 5)
    core.auto_sync = False
    late = commit(core, "t", 1, 6)
    ask = DeleteGroupsRequest(groups_names=["g"])
    call = core.send(ApiKey.DELETE_GROUPS, 2, ask.encode(2))
    assert not call.answered
    core.sync()
    assert late.answered
    assert call.read(DeleteGroupsResponse, ApiKey.DELETE_GROUPS, 2).results[0].error_code == 0
    assert offsets(core) == {}
    core.crash(Loss.ALL)
    assert offsets(core) == {}


def test_a_client_that_held_a_member_id_of_the_deleted_group(core: Core) -> None:
    given = join(core, reads("t"), member_id="ask")
    assert given.error_code == ErrorCode.MEMBER_ID_REQUIRED
    assert delete_groups(core, "g") == [ErrorCode.NONE]
    again = join(core, reads("t"), member_id=given.member_id)
    assert again.error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_one_name_twice_is_answered_once(core: Core) -> None:
    commit(core, "t", 0, 5)
    assert delete_groups(core, "g", "g") == [ErrorCode.NONE]
    assert delete_groups(core) == []


# -- OffsetDelete ----------------------------------------------------------------------------


def test_offsets_go_one_by_one_and_stay_away(core: Core) -> None:
    commit(core, "t", 0, 5)
    commit(core, "t", 1, 6)
    assert delete_offsets(core, ("t", 0), ("t", 9), ("u", 0), ("nope", 0)) == (
        ErrorCode.NONE,
        [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    )
    core.crash(Loss.ALL)
    assert offsets(core) == {("t", 1): 6}


def test_a_topic_that_a_member_reads_is_kept(core: Core) -> None:
    commit(core, "t", 0, 5)
    commit(core, "u", 0, 6)
    assert join(core, reads("t")).error_code == 0
    assert delete_offsets(core, ("t", 0), ("u", 0)) == (
        ErrorCode.NONE,
        [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, 0],
    )
    assert offsets(core) == {("t", 0): 5}


@pytest.mark.parametrize("metadata", [b"", b"\x00", b"\x00\x01\x00\x00\x00\x09"])
def test_a_subscription_that_cannot_be_read_counts_as_every_topic(
    core: Core, metadata: bytes
) -> None:
    commit(core, "u", 0, 6)
    assert join(core, metadata).error_code == 0
    assert delete_offsets(core, ("u", 0)) == (0, [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC])


def test_who_may_not_be_asked(core: Core) -> None:
    assert delete_offsets(core, ("t", 0)) == (ErrorCode.GROUP_ID_NOT_FOUND, [])
    assert join(core, b"x", "connect").error_code == 0
    assert delete_offsets(core, ("t", 0)) == (ErrorCode.NON_EMPTY_GROUP, [])


def test_a_disk_that_refuses_leaves_the_offsets(core: Core) -> None:
    commit(core, "t", 0, 5)
    core.fs.fail_always(frozenset({"append"}))
    assert delete_groups(core, "g") == [ErrorCode.NOT_COORDINATOR]
    assert core.broker.groups.find("g") is not None
    assert delete_offsets(core, ("t", 0)) == (ErrorCode.NOT_COORDINATOR, [])
    assert offsets(core) == {("t", 0): 5}
