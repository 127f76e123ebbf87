"""The group APIs through the door, in the oldest and the newest dialect, across restarts."""

from collections.abc import Callable

import pytest
from tests.unit.broker.harness import Core, FakeCall, batch, fetched

from tickertape.base.fake_fs import Loss
from tickertape.broker.state.acl import Acl, Operation, Pattern, Permission, Resource
from tickertape.broker.state.settings import BrokerSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.consumer_protocol import ConsumerProtocolSubscription
from tickertape.wire.schema.describe_groups import (
    DescribedGroup,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from tickertape.wire.schema.find_coordinator import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)
from tickertape.wire.schema.heartbeat import HeartbeatRequest, HeartbeatResponse
from tickertape.wire.schema.join_group import (
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
)
from tickertape.wire.schema.leave_group import (
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberIdentity,
)
from tickertape.wire.schema.list_groups import ListGroupsRequest, ListGroupsResponse
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from tickertape.wire.schema.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)
from tickertape.wire.schema.sync_group import (
    SyncGroupRequest,
    SyncGroupRequestAssignment,
    SyncGroupResponse,
)

SESSION_MS = 10_000
MINUTE_MS = 60_000
OLD = {"join": 0, "sync": 0, "beat": 0, "leave": 0, "commit": 2, "fetch": 1}
NEW = {"join": 9, "sync": 5, "beat": 4, "leave": 5, "commit": 9, "fetch": 9}
DIALECTS = pytest.mark.parametrize("speaks", [OLD, NEW], ids=["oldest", "newest"])


@pytest.fixture
def core() -> Core:
    core = Core()
    core.create("t", 3)
    return core


class Client:
    """One consumer; ``speaks`` the versions of its APIs."""

    def __init__(
        self, core: Core, speaks: dict[str, int], group: str = "g", instance: str | None = None
    ) -> None:
        self.core = core
        self.speaks = speaks
        self.group = group
        self.instance = instance
        self.metadata = b"topics"
        self.member_id = ""
        self.generation = -1

    def ask_join(self) -> FakeCall:
        ask = JoinGroupRequest(
            group_id=self.group,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=60_000,
            member_id=self.member_id,
            group_instance_id=self.instance,
            protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name="range", metadata=self.metadata)],
        )
        version = self.speaks["join"]
        return self.core.send(ApiKey.JOIN_GROUP, version, ask.encode(version))

    def joined(self, call: FakeCall) -> JoinGroupResponse:
        response = call.read(JoinGroupResponse, ApiKey.JOIN_GROUP, self.speaks["join"])
        self.member_id = response.member_id
        self.generation = response.generation_id
        return response

    def join(self) -> JoinGroupResponse:
        response = self.joined(self.ask_join())
        if response.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            response = self.joined(self.ask_join())
        return response

    def ask_sync(self, *members: str) -> FakeCall:
        ask = SyncGroupRequest(
            group_id=self.group,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self.instance,
            protocol_type="consumer",
            protocol_name="range",
            assignments=[
                SyncGroupRequestAssignment(member_id=id_, assignment=b"for " + id_.encode())
                for id_ in members
            ],
        )
        version = self.speaks["sync"]
        return self.core.send(ApiKey.SYNC_GROUP, version, ask.encode(version))

    def synced(self, call: FakeCall) -> SyncGroupResponse:
        return call.read(SyncGroupResponse, ApiKey.SYNC_GROUP, self.speaks["sync"])

    def beat(self) -> ErrorCode:
        ask = HeartbeatRequest(
            group_id=self.group,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self.instance,
        )
        response = self.core.ask(ApiKey.HEARTBEAT, self.speaks["beat"], ask, HeartbeatResponse)
        return ErrorCode(response.error_code)

    def leave(self) -> list[ErrorCode]:
        ask = LeaveGroupRequest(
            group_id=self.group,
            member_id=self.member_id,
            members=[MemberIdentity(member_id=self.member_id, group_instance_id=self.instance)],
        )
        version = self.speaks["leave"]
        response = self.core.ask(ApiKey.LEAVE_GROUP, version, ask, LeaveGroupResponse)
        if version < 3:
            return [ErrorCode(response.error_code)]
        assert response.error_code == 0
        return [ErrorCode(member.error_code) for member in response.members]

    def ask_commit(
        self,
        offset: int,
        partition: int = 0,
        topic: str = "t",
        metadata: str | None = "note",
        retention_ms: int = -1,
    ) -> FakeCall:
        part = OffsetCommitRequestPartition(
            partition_index=partition, committed_offset=offset, committed_metadata=metadata
        )
        if self.speaks["commit"] >= 6:
            part.committed_leader_epoch = 3
        ask = OffsetCommitRequest(
            group_id=self.group,
            generation_id_or_member_epoch=self.generation,
            member_id=self.member_id,
            group_instance_id=self.instance,
            topics=[OffsetCommitRequestTopic(name=topic, partitions=[part])],
        )
        version = self.speaks["commit"]
        if version <= 4:
            ask.retention_time_ms = retention_ms
        return self.core.send(ApiKey.OFFSET_COMMIT, version, ask.encode(version))

    def committed(self, call: FakeCall) -> ErrorCode:
        response = call.read(OffsetCommitResponse, ApiKey.OFFSET_COMMIT, self.speaks["commit"])
        return ErrorCode(response.topics[0].partitions[0].error_code)

    def commit(self, offset: int, **more: object) -> ErrorCode:
        return self.committed(self.ask_commit(offset, **more))  # type: ignore[arg-type]  # passed on

    def offsets(self, *partitions: int) -> dict[tuple[str, int], tuple[int, str]]:
        """Committed offset and metadata; of everything if no partition is named."""
        version = self.speaks["fetch"]
        indexes = list(partitions)
        wanted = OffsetFetchRequestTopics(name="t", partition_indexes=indexes)
        ask = OffsetFetchRequest(
            group_id=self.group,
            topics=[OffsetFetchRequestTopic(name="t", partition_indexes=indexes)],
            groups=[
                OffsetFetchRequestGroup(
                    group_id=self.group, topics=[wanted] if partitions else None
                )
            ],
        )
        response = self.core.ask(ApiKey.OFFSET_FETCH, version, ask, OffsetFetchResponse)
        found = {}
        if version >= 8:
            (group,) = response.groups
            for topic in group.topics:
                for one in topic.partitions:
                    found[topic.name, one.partition_index] = one.committed_offset, one.metadata
        else:
            for old in response.topics:
                for part in old.partitions:
                    found[old.name, part.partition_index] = part.committed_offset, part.metadata
        return {where: (offset, metadata or "") for where, (offset, metadata) in found.items()}


def stable(core: Core, speaks: dict[str, int] = NEW, instance: str | None = None) -> Client:
    client = Client(core, speaks, instance=instance)
    client.join()
    response = client.synced(client.ask_sync(client.member_id))
    assert response.error_code == 0
    return client


@DIALECTS
def test_two_consumers_share_a_group(core: Core, speaks: dict[str, int]) -> None:
    first = stable(core, speaks)
    second = Client(core, speaks)
    waiting = second.ask_join()
    if speaks["join"] >= 4:
        second.joined(waiting)
        waiting = second.ask_join()
    assert not waiting.answered
    assert first.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    leading = first.join()
    assert second.joined(waiting).error_code == 0
    assert leading.leader == first.member_id
    assert {m.member_id for m in leading.members} == {first.member_id, second.member_id}
    assert first.generation == second.generation == 2
    call = second.ask_sync()
    assert not call.answered
    mine = first.synced(first.ask_sync(first.member_id, second.member_id))
    assert mine.assignment == b"for " + first.member_id.encode()
    assert second.synced(call).assignment == b"for " + second.member_id.encode()
    assert first.beat() is second.beat() is ErrorCode.NONE


def test_assignment_is_given_out_only_when_it_is_on_disk(core: Core) -> None:
    client = Client(core, NEW)
    client.join()
    core.auto_sync = False
    call = client.ask_sync(client.member_id)
    assert not call.answered
    core.sync()
    assert client.synced(call).error_code == 0


@DIALECTS
def test_silent_consumer_is_dropped(core: Core, speaks: dict[str, int]) -> None:
    client = stable(core, speaks)
    core.pass_ms(SESSION_MS - 1)
    assert client.beat() is ErrorCode.NONE
    core.pass_ms(SESSION_MS)
    assert client.beat() is ErrorCode.UNKNOWN_MEMBER_ID


@DIALECTS
def test_leave(core: Core, speaks: dict[str, int]) -> None:
    client = stable(core, speaks)
    assert client.leave() == [ErrorCode.NONE]
    assert client.leave() == [ErrorCode.UNKNOWN_MEMBER_ID]
    stranger = Client(core, speaks, group="nobody's")
    assert stranger.leave() == [ErrorCode.UNKNOWN_MEMBER_ID]
    assert stranger.beat() is ErrorCode.UNKNOWN_MEMBER_ID


def test_leave_removes_several_members_at_once(core: Core) -> None:
    stable(core, instance="i")
    members = [
        MemberIdentity(member_id="", group_instance_id="i"),
        MemberIdentity(member_id="nobody", group_instance_id=None),
    ]
    ask = LeaveGroupRequest(group_id="g", members=members)
    response = core.ask(ApiKey.LEAVE_GROUP, 5, ask, LeaveGroupResponse)
    errors = [member.error_code for member in response.members]
    assert errors == [ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID]


@pytest.mark.parametrize(
    ("group", "session_ms", "error"),
    [
        ("", SESSION_MS, ErrorCode.INVALID_GROUP_ID),
        ("g", 5_999, ErrorCode.INVALID_SESSION_TIMEOUT),
        ("g", 1_800_001, ErrorCode.INVALID_SESSION_TIMEOUT),
    ],
)
def test_join_is_refused(core: Core, group: str, session_ms: int, error: ErrorCode) -> None:
    ask = JoinGroupRequest(group_id=group, session_timeout_ms=session_ms, protocol_type="consumer")
    response = core.ask(ApiKey.JOIN_GROUP, 5, ask, JoinGroupResponse)
    assert ErrorCode(response.error_code) is error


def test_group_requests_without_a_group(core: Core) -> None:
    client = Client(core, NEW, group="")
    assert client.beat() is ErrorCode.INVALID_GROUP_ID
    assert client.synced(client.ask_sync()).error_code == ErrorCode.INVALID_GROUP_ID
    ask = LeaveGroupRequest(group_id="", members=[])
    response = core.ask(ApiKey.LEAVE_GROUP, 5, ask, LeaveGroupResponse)
    assert response.error_code == ErrorCode.INVALID_GROUP_ID


def test_sync_of_version_5_names_its_protocol(core: Core) -> None:
    client = Client(core, NEW)
    client.join()
    ask = SyncGroupRequest(
        group_id="g", generation_id=client.generation, member_id=client.member_id
    )
    response = core.ask(ApiKey.SYNC_GROUP, 5, ask, SyncGroupResponse)
    assert response.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


# -- describe and list -----------------------------------------------------------------------


def describe(core: Core, version: int, *groups: str) -> list[DescribedGroup]:
    ask = DescribeGroupsRequest(groups=list(groups), include_authorized_operations=version >= 3)
    return core.ask(ApiKey.DESCRIBE_GROUPS, version, ask, DescribeGroupsResponse).groups


@pytest.mark.parametrize("version", range(7))
def test_describe_a_stable_and_an_unknown_group(core: Core, version: int) -> None:
    client = stable(core, instance="i")
    known, unknown = describe(core, version, "g", "nobody's")
    assert (known.error_code, known.group_state, known.protocol_type) == (0, "Stable", "consumer")
    assert known.protocol_data == "range"
    (member,) = known.members
    assert (member.member_id, member.client_id) == (client.member_id, "tester")
    assert member.client_host == "/127.0.0.1"
    assert member.member_metadata == b"topics"
    assert member.member_assignment == b"for " + client.member_id.encode()
    assert member.group_instance_id == ("i" if version >= 4 else None)
    assert bool(known.authorized_operations & (1 << 3)) == (version >= 3)
    assert unknown.group_state == "Dead"
    assert unknown.error_code == (ErrorCode.GROUP_ID_NOT_FOUND if version >= 6 else 0)


def test_describe_shows_no_assignment_while_members_join(core: Core) -> None:
    Client(core, NEW).join()
    (group,) = describe(core, 5, "g")
    assert (group.group_state, group.protocol_data) == ("CompletingRebalance", "")
    assert group.members[0].member_assignment == b""


@pytest.mark.parametrize("version", range(6))
def test_list_groups(core: Core, version: int) -> None:
    stable(core)
    Client(core, NEW, group="simple").commit(1)
    response = core.ask(ApiKey.LIST_GROUPS, version, ListGroupsRequest(), ListGroupsResponse)
    listed = {group.group_id: group for group in response.groups}
    assert {id_: group.protocol_type for id_, group in listed.items()} == {
        "g": "consumer",
        "simple": "",
    }
    if version >= 4:
        assert (listed["g"].group_state, listed["simple"].group_state) == ("Stable", "Empty")


@pytest.mark.parametrize(
    ("states", "types", "found"),
    [
        (["stable"], [], ["g"]),
        (["Empty", "Dead"], [], ["simple"]),
        ([], ["Classic"], ["g", "simple"]),
        ([], ["consumer"], []),
    ],
)
def test_list_groups_filters(
    core: Core, states: list[str], types: list[str], found: list[str]
) -> None:
    stable(core)
    Client(core, NEW, group="simple").commit(1)
    ask = ListGroupsRequest(states_filter=states, types_filter=types)
    response = core.ask(ApiKey.LIST_GROUPS, 5, ask, ListGroupsResponse)
    assert [group.group_id for group in response.groups] == found


# -- offsets ---------------------------------------------------------------------------------


@DIALECTS
def test_committed_offset_and_metadata_come_back(core: Core, speaks: dict[str, int]) -> None:
    client = stable(core, speaks)
    assert client.commit(42, partition=1) is ErrorCode.NONE
    assert client.offsets(0, 1) == {("t", 0): (-1, ""), ("t", 1): (42, "note")}


def test_commit_is_answered_and_visible_only_when_it_is_on_disk(core: Core) -> None:
    client = stable(core)
    client.commit(1)
    core.auto_sync = False
    call = client.ask_commit(2)
    assert not call.answered
    assert client.offsets(0) == {("t", 0): (1, "note")}
    core.sync()
    assert client.committed(call) is ErrorCode.NONE
    assert client.offsets(0) == {("t", 0): (2, "note")}


def test_all_offsets_of_a_group(core: Core) -> None:
    client = stable(core)
    client.commit(5)
    client.commit(6, partition=2, metadata=None)
    assert client.offsets() == {("t", 0): (5, "note"), ("t", 2): (6, "")}


@pytest.mark.parametrize("loss", [Loss.ALL, Loss.TORN, Loss.NOTHING])
def test_acknowledged_commits_survive_a_crash(core: Core, loss: Loss) -> None:
    client = stable(core)
    for offset in range(10):
        assert client.commit(offset, metadata=f"m{offset}") is ErrorCode.NONE
    core.auto_sync = False
    unsure = client.ask_commit(10)
    assert not unsure.answered
    core.crash(loss)
    core.auto_sync = True
    found = client.offsets(0)["t", 0]
    assert found in {(9, "m9"), (10, "note")}
    if loss is Loss.ALL:
        assert found == (9, "m9")
    if loss is Loss.NOTHING:
        assert found == (10, "note")


@pytest.mark.parametrize("orderly", [True, False], ids=["restart", "crash"])
def test_members_stay_members_across_a_restart(core: Core, orderly: bool) -> None:  # noqa: FBT001
    client = stable(core, instance="i")
    if orderly:
        core.restart()
    else:
        core.crash()
    assert core.report.groups == 1
    assert client.beat() is ErrorCode.NONE
    assert client.synced(client.ask_sync()).assignment == b"for " + client.member_id.encode()
    core.pass_ms(SESSION_MS)
    assert client.beat() is ErrorCode.UNKNOWN_MEMBER_ID


def test_left_group_is_empty_after_a_restart_and_its_generation_goes_on(core: Core) -> None:
    client = stable(core)
    client.commit(3)
    client.leave()
    core.crash()
    again = Client(core, NEW)
    assert again.join().generation_id == 3
    assert again.offsets(0) == {("t", 0): (3, "note")}


@DIALECTS
def test_commit_of_a_stranger_is_refused(core: Core, speaks: dict[str, int]) -> None:
    client = stable(core, speaks)
    stranger = Client(core, speaks)
    assert stranger.commit(1) is ErrorCode.UNKNOWN_MEMBER_ID
    stranger.member_id, stranger.generation = "nobody", 1
    assert stranger.commit(1) is ErrorCode.UNKNOWN_MEMBER_ID
    client.generation += 1
    assert client.commit(1) is ErrorCode.ILLEGAL_GENERATION
    elsewhere = Client(core, speaks, group="new")
    elsewhere.generation = 0
    unknown = speaks is NEW  # Kafka: from version 9 on it says which
    want = ErrorCode.GROUP_ID_NOT_FOUND if unknown else ErrorCode.ILLEGAL_GENERATION
    assert elsewhere.commit(1) is want


def test_fenced_static_member_cannot_commit(core: Core) -> None:
    old = stable(core, instance="i")
    new = Client(core, NEW, instance="i")
    new.join()
    assert new.member_id != old.member_id
    assert old.commit(1) is ErrorCode.FENCED_INSTANCE_ID
    assert new.commit(1) is ErrorCode.NONE


@DIALECTS
def test_consumer_without_a_group_protocol_may_commit(core: Core, speaks: dict[str, int]) -> None:
    simple = Client(core, speaks, group="simple")
    assert simple.commit(7) is ErrorCode.NONE
    core.crash()
    assert simple.offsets(0) == {("t", 0): (7, "note")}


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"topic": "nowhere"}, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ({"partition": 3}, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ({"metadata": "x" * 4_097}, ErrorCode.OFFSET_METADATA_TOO_LARGE),
        ({"metadata": "x" * 4_096}, ErrorCode.NONE),
    ],
)
def test_commit_checks_each_partition(
    core: Core, more: dict[str, object], error: ErrorCode
) -> None:
    assert Client(core, NEW).commit(1, **more) is error


def test_commit_that_the_disk_refuses_is_told_so(core: Core) -> None:
    client = stable(core)
    core.fs.fail_at(1)
    assert client.commit(1) is ErrorCode.NOT_COORDINATOR
    assert client.offsets(0) == {("t", 0): (-1, "")}
    assert client.commit(2) is ErrorCode.NONE


def test_commit_on_a_slow_disk_times_out_and_may_still_count(core: Core) -> None:
    client = stable(core)
    core.auto_sync = False
    call = client.ask_commit(1)
    core.pass_ms(core.settings.offsets_commit_timeout_ms)
    assert client.committed(call) is ErrorCode.COORDINATOR_NOT_AVAILABLE
    core.sync()
    assert client.offsets(0) == {("t", 0): (1, "note")}


def test_retention_time_beyond_all_time_means_for_ever(core: Core) -> None:
    old = Client(core, OLD, group="simple")
    assert old.commit(7, retention_ms=2**63 - 1) is ErrorCode.NONE
    core.crash()
    assert old.offsets(0) == {("t", 0): (7, "note")}


def test_offsets_of_a_deleted_topic_stay_forgotten_after_a_crash(core: Core) -> None:
    client = stable(core)
    client.commit(5)
    core.auto_sync = False
    topic = core.broker.topics.get("t")
    assert topic is not None
    core.broker.delete_topic(topic)
    core.crash()
    core.auto_sync = True
    core.create("t")
    assert client.offsets(0) == {("t", 0): (-1, "")}
    core.crash()
    assert client.offsets(0) == {("t", 0): (-1, "")}


def test_a_commit_under_way_is_forgotten_with_its_topic(core: Core) -> None:
    client = stable(core)
    core.auto_sync = False
    call = client.ask_commit(5)
    topic = core.broker.topics.get("t")
    assert topic is not None
    core.broker.delete_topic(topic)
    core.auto_sync = True
    core.sync()
    assert client.committed(call) is ErrorCode.NONE
    core.create("t")
    assert client.offsets(0) == {("t", 0): (-1, "")}
    core.crash()
    assert client.offsets(0) == {("t", 0): (-1, "")}


def test_offsets_of_a_deleted_topic_are_forgotten(core: Core) -> None:
    client = stable(core)
    client.commit(5)
    topic = core.broker.topics.get("t")
    assert topic is not None
    core.broker.delete_topic(topic)
    core.sync()
    core.create("t")
    assert client.offsets(0) == {("t", 0): (-1, "")}
    core.crash()
    assert client.offsets(0) == {("t", 0): (-1, "")}


# -- expiry ----------------------------------------------------------------------------------


def short_lived() -> Core:
    core = Core(
        BrokerSettings(offsets_retention_minutes=10, offsets_retention_check_interval_ms=MINUTE_MS)
    )
    core.create("t")
    return core


def let_expire(core: Core, minutes: int) -> None:
    core.pass_ms(minutes * MINUTE_MS)
    core.sync()


def test_offsets_nobody_needs_expire_with_their_group() -> None:
    core = short_lived()
    simple = Client(core, NEW, group="simple")
    simple.commit(7)
    let_expire(core, 9)
    assert simple.offsets(0) == {("t", 0): (7, "note")}
    let_expire(core, 2)
    assert simple.offsets(0) == {("t", 0): (-1, "")}
    core.crash()
    assert core.report.groups == 0


def test_offsets_of_a_live_group_stay_and_its_time_starts_when_it_is_empty() -> None:
    core = short_lived()
    client = stable(core)
    client.commit(7)
    for _ in range(20 * 12):
        core.pass_ms(5_000)
        client.beat()
    assert client.offsets(0) == {("t", 0): (7, "note")}
    client.leave()
    let_expire(core, 9)
    assert client.offsets(0) == {("t", 0): (7, "note")}
    let_expire(core, 2)
    assert client.offsets(0) == {("t", 0): (-1, "")}
    core.restart()
    assert core.report.groups == 0


def test_offsets_of_topics_that_no_member_reads_any_more_expire() -> None:
    """As in Kafka; they used to stay for as long as the group had members."""
    core = short_lived()
    core.create("u")
    Client(core, NEW).commit(7)
    reader = Client(core, NEW)
    reader.metadata = b"\0\0" + ConsumerProtocolSubscription(topics=["u"]).encode(0)
    reader.join()
    assert reader.synced(reader.ask_sync(reader.member_id)).error_code == ErrorCode.NONE
    for _ in range(11 * 12):
        core.pass_ms(5_000)
        reader.beat()
    core.sync()
    assert reader.offsets(0) == {("t", 0): (-1, "")}
    assert [group.members.keys() for group in core.broker.groups] == [{reader.member_id}]


def test_retention_time_of_an_old_commit_is_obeyed_also_after_a_restart() -> None:
    core = short_lived()
    part = OffsetCommitRequestPartition(partition_index=0, committed_offset=7)
    ask = OffsetCommitRequest(
        group_id="g",
        generation_id_or_member_epoch=-1,
        retention_time_ms=3 * MINUTE_MS,
        topics=[OffsetCommitRequestTopic(name="t", partitions=[part])],
    )
    core.ask(ApiKey.OFFSET_COMMIT, 2, ask, OffsetCommitResponse)
    core.restart()
    client = Client(core, NEW)
    let_expire(core, 2)
    assert client.offsets(0) == {("t", 0): (7, "")}
    let_expire(core, 2)
    assert client.offsets(0) == {("t", 0): (-1, "")}


def test_commit_on_its_way_to_the_disk_keeps_its_group_from_expiring() -> None:
    core = short_lived()
    simple = Client(core, NEW, group="simple")
    simple.commit(7)
    core.pass_ms(10 * MINUTE_MS - 1_000)
    core.auto_sync = False
    call = simple.ask_commit(8)
    core.pass_ms(2_000)
    core.sync()
    assert simple.committed(call) is ErrorCode.NONE
    assert simple.offsets(0) == {("t", 0): (8, "note")}


# -- FindCoordinator -------------------------------------------------------------------------


def find(core: Core, version: int, key_type: int = 0) -> list[tuple[int, str, int, int, str]]:
    ask = FindCoordinatorRequest(key="g", key_type=key_type, coordinator_keys=["g", "h"])
    response = core.ask(ApiKey.FIND_COORDINATOR, version, ask, FindCoordinatorResponse)
    if version >= 4:
        return [(c.node_id, c.host, c.port, c.error_code, c.key) for c in response.coordinators]
    return [(response.node_id, response.host, response.port, response.error_code, "g")]


@pytest.mark.parametrize("version", range(7))
def test_this_broker_coordinates_every_group(version: int) -> None:
    core = Core(BrokerSettings(advertised_host="example", advertised_port=1234))
    found = find(core, version)
    assert [entry[:4] for entry in found] == [(1, "example", 1234, 0)] * len(found)
    assert [entry[4] for entry in found] == (["g", "h"] if version >= 4 else ["g"])
    topic = core.broker.topics.get("__consumer_offsets")
    assert topic is not None
    assert len(topic.partitions) == 50
    assert topic.is_internal


@pytest.mark.parametrize(("version", "key_type"), [(1, 3), (6, 2), (6, 9)])
def test_nobody_coordinates_share_groups(version: int, key_type: int) -> None:
    core = Core()
    found = find(core, version, key_type)
    assert all(entry[:4] == (-1, "", -1, ErrorCode.INVALID_REQUEST) for entry in found)
    assert len(core.broker.take_notices()) == 1


def test_who_may_describe_no_group_makes_no_topic() -> None:
    core = Core(BrokerSettings(authorizer_class_name="StandardAuthorizer"))
    for version in (3, 6):
        assert find(core, version)[0][3] == ErrorCode.GROUP_AUTHORIZATION_FAILED
    assert core.broker.topics.get("__consumer_offsets") is None


def test_a_commit_that_is_forbidden_keeps_no_member_alive() -> None:
    core = Core(BrokerSettings(authorizer_class_name="StandardAuthorizer"))
    everybody = (Pattern.LITERAL, "User:*", "*", Operation.READ)
    rule = Acl(Resource.GROUP, "g", *everybody, Permission.ALLOW)
    core.broker.security.change_acls([rule], ())
    client = stable(core)
    core.broker.security.change_acls((), [rule])
    core.pass_ms(SESSION_MS - 1)
    assert client.committed(client.ask_commit(5)) is ErrorCode.GROUP_AUTHORIZATION_FAILED
    core.pass_ms(1)
    core.broker.security.change_acls([rule], ())
    assert client.beat() is ErrorCode.UNKNOWN_MEMBER_ID


def test_offsets_topic_that_the_disk_refuses() -> None:
    core = Core()
    core.fs.fail_at(1)
    assert find(core, 2)[0][3] == ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert find(core, 2)[0][3] == ErrorCode.NONE


def test_offsets_topic_is_compacted_and_readable_as_a_topic(core: Core) -> None:
    client = stable(core)
    client.commit(5)
    topic = core.broker.topics.get("__consumer_offsets")
    assert topic is not None
    (used,) = [p for p in topic.partitions if p is not None]
    assert used.log.config.compacts
    assert fetched(core.fetch("__consumer_offsets", 0, partition=used.index)).high_watermark > 0


def restarts(core: Core) -> list[Callable[[], None]]:
    return [core.restart, core.crash]


def test_many_restarts_lose_nothing(core: Core) -> None:
    client = stable(core)
    for round_ in range(6):
        assert client.commit(round_, partition=round_ % 3) is ErrorCode.NONE
        core.produce("t", batch(f"r{round_}"))
        restarts(core)[round_ % 2]()
        assert client.beat() is ErrorCode.NONE
    assert client.offsets(0, 1, 2) == {
        ("t", 0): (3, "note"),
        ("t", 1): (4, "note"),
        ("t", 2): (5, "note"),
    }
    assert fetched(core.fetch("t", 0)).high_watermark == 6
