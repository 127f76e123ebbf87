"""Groups of the consumer protocol (KIP-848) through the door, across restarts and conversions."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from tests.unit.broker.harness import Core, FakeCall

from tickertape.base.fake_fs import Loss
from tickertape.broker.state.acl import Acl, Operation, Pattern, Permission, Resource
from tickertape.broker.state.consumer_group import ConsumerGroup
from tickertape.broker.state.groups import Membership
from tickertape.broker.state.settings import BrokerSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.consumer_group_describe import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    DescribedGroup,
)
from tickertape.wire.schema.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    RequestTopicPartitions,
)
from tickertape.wire.schema.delete_groups import DeleteGroupsRequest, DeleteGroupsResponse
from tickertape.wire.schema.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResponse,
)
from tickertape.wire.schema.describe_groups import DescribeGroupsRequest, DescribeGroupsResponse
from tickertape.wire.schema.heartbeat import HeartbeatRequest, HeartbeatResponse
from tickertape.wire.schema.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
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
from tickertape.wire.schema.list_config_resources import (
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
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
    OffsetFetchResponse,
)

SESSION_MS = 45_000
REBALANCE_MS = 9_000
GROUP = "g"


@pytest.fixture
def core() -> Core:
    core = Core()
    core.create("t", 4)
    return core


def allowed(resource: Resource, name: str, operation: Operation) -> Acl:
    return Acl(resource, name, Pattern.LITERAL, "User:*", "*", operation, Permission.ALLOW)


@dataclass
class Consumer:
    """A member that does what it is told, when told to."""

    core: Core
    member_id: str
    instance_id: str | None = None
    topics: list[str] | None = field(default_factory=lambda: ["t"])
    regex: str | None = None
    epoch: int = 0
    owned: list[int] = field(default_factory=list)
    error: ErrorCode = ErrorCode.NONE

    def beat(self, version: int = 1, **more: Any) -> ConsumerGroupHeartbeatResponse:  # noqa: ANN401  # fields
        """Say only what is given; take over what the answer says."""
        said: dict[str, Any] = {
            "group_id": GROUP,
            "member_id": self.member_id,
            "member_epoch": self.epoch,
            "instance_id": self.instance_id,
        }
        told = self.core.ask(
            ApiKey.CONSUMER_GROUP_HEARTBEAT,
            version,
            ConsumerGroupHeartbeatRequest(**(said | more)),
            ConsumerGroupHeartbeatResponse,
        )
        self.error = ErrorCode(told.error_code)
        if not self.error:
            assert told.member_id is not None
            self.member_id, self.epoch = told.member_id, told.member_epoch
            if told.assignment is not None:
                topics = told.assignment.topic_partitions
                self.owned = [index for topic in topics for index in topic.partitions]
        return told

    def join(self, **more: Any) -> "Consumer":  # noqa: ANN401  # fields
        self.epoch = 0
        said: dict[str, Any] = {
            "rebalance_timeout_ms": REBALANCE_MS,
            "subscribed_topic_names": self.topics,
            "subscribed_topic_regex": self.regex,
            "topic_partitions": [],
        }
        self.beat(**(said | more))
        return self

    def acknowledge(self) -> "Consumer":
        """Say what it has, which is what it was told last."""
        owned = [RequestTopicPartitions(topic_id=id_of(self.core), partitions=self.owned)]
        self.beat(topic_partitions=owned)
        return self

    def code(self) -> ErrorCode:
        """Of the last answer."""
        return self.error

    def leave(self, epoch: int = -1) -> ErrorCode:
        self.beat(member_epoch=epoch)
        return self.error


def id_of(core: Core, name: str = "t") -> UUID:
    topic = core.broker.topics.get(name)
    assert topic is not None
    return topic.topic_id


def describe(core: Core, group_id: str = GROUP) -> DescribedGroup:
    ask = ConsumerGroupDescribeRequest(group_ids=[group_id])
    (group,) = core.ask(
        ApiKey.CONSUMER_GROUP_DESCRIBE, 1, ask, ConsumerGroupDescribeResponse
    ).groups
    return group


def described(core: Core) -> bytes:
    """All of the group, in bytes."""
    return ConsumerGroupDescribeResponse(groups=[describe(core)]).encode(1)


def listed(core: Core, **filters: list[str]) -> list[tuple[str, str]]:
    ask = ListGroupsRequest(**filters)
    groups = core.ask(ApiKey.LIST_GROUPS, 5, ask, ListGroupsResponse).groups
    return [(group.group_type, group.group_state) for group in groups]


def classic_join(core: Core) -> FakeCall:
    ask = JoinGroupRequest(
        group_id=GROUP,
        session_timeout_ms=10_000,
        rebalance_timeout_ms=10_000,
        protocol_type="consumer",
        protocols=[JoinGroupRequestProtocol(name="range", metadata=b"")],
    )
    return core.send(ApiKey.JOIN_GROUP, 3, ask.encode(3))


def joined(call: FakeCall) -> ErrorCode:
    return ErrorCode(call.read(JoinGroupResponse, ApiKey.JOIN_GROUP, 3).error_code)


def commit(core: Core, member_id: str, epoch: int, version: int = 9) -> ErrorCode:
    ask = OffsetCommitRequest(
        group_id=GROUP,
        member_id=member_id,
        generation_id_or_member_epoch=epoch,
        topics=[
            OffsetCommitRequestTopic(
                name="t",
                partitions=[OffsetCommitRequestPartition(partition_index=0, committed_offset=5)],
            )
        ],
    )
    got = core.ask(ApiKey.OFFSET_COMMIT, version, ask, OffsetCommitResponse)
    return ErrorCode(got.topics[0].partitions[0].error_code)


def fetch(core: Core, member_id: str | None, epoch: int) -> ErrorCode:
    group = OffsetFetchRequestGroup(
        group_id=GROUP, member_id=member_id, member_epoch=epoch, topics=None
    )
    ask = OffsetFetchRequest(groups=[group], require_stable=False)
    (got,) = core.ask(ApiKey.OFFSET_FETCH, 9, ask, OffsetFetchResponse).groups
    return ErrorCode(got.error_code)


def delete(core: Core) -> ErrorCode:
    ask = DeleteGroupsRequest(groups_names=[GROUP])
    got = core.ask(ApiKey.DELETE_GROUPS, 2, ask, DeleteGroupsResponse)
    return ErrorCode(got.results[0].error_code)


def two(core: Core) -> tuple[Consumer, Consumer]:
    """Two members that have shared the topic."""
    first = Consumer(core, "a").join()
    second = Consumer(core, "b").join()
    first.beat()
    first.acknowledge()
    second.beat()
    return first, second


def test_one_member_gets_everything_and_two_share_it(core: Core) -> None:
    first = Consumer(core, "a").join()
    assert (first.epoch, first.owned) == (2, [0, 1, 2, 3])
    second = Consumer(core, "b").join()
    assert (second.epoch, second.owned) == (3, [])
    second.beat()
    assert second.owned == []  # the first has not given anything up yet
    first.beat()
    assert (first.epoch, first.owned) == (2, [0, 1])
    second.beat()
    assert second.owned == []  # it was told to, but has not said that it did
    assert describe(core).group_state == "Reconciling"
    first.acknowledge()
    second.beat()
    assert (first.epoch, second.epoch, second.owned) == (3, 3, [2, 3])
    assert describe(core).group_state == "Stable"


def test_the_answer_waits_for_the_disk(core: Core) -> None:
    core.auto_sync = False
    ask = ConsumerGroupHeartbeatRequest(
        group_id=GROUP, member_id="a", rebalance_timeout_ms=1, subscribed_topic_names=["t"],
        topic_partitions=[],
    )  # fmt: skip
    call = core.send(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, ask.encode(1))
    assert not call.answered
    core.sync()
    told = call.read(ConsumerGroupHeartbeatResponse, ApiKey.CONSUMER_GROUP_HEARTBEAT, 1)
    assert told.member_epoch == 2


@pytest.mark.parametrize(
    ("version", "said", "message"),
    [
        (1, {"group_id": ""}, "GroupId can't be empty."),
        (1, {"member_id": ""}, "MemberId can't be empty."),
        (0, {"member_id": "", "member_epoch": 1}, "MemberId can't be empty."),
        (1, {"instance_id": ""}, "InstanceId can't be empty."),
        (1, {"rack_id": ""}, "RackId can't be empty."),
        (1, {"member_epoch": -3}, "MemberEpoch is invalid."),
        (1, {"member_epoch": -2}, "InstanceId can't be null."),
        (1, {}, "RebalanceTimeoutMs must be provided in first request."),
        (1, {"rebalance_timeout_ms": 1}, "TopicPartitions must be empty when (re-)joining."),
    ],
)
def test_what_is_malformed(core: Core, version: int, said: dict[str, Any], message: str) -> None:
    told = Consumer(core, "a").beat(version, **said)
    assert (told.error_code, told.error_message) == (ErrorCode.INVALID_REQUEST, message)
    assert listed(core) == []


def test_what_a_join_must_say(core: Core) -> None:
    member = Consumer(core, "a", topics=None).join()
    assert member.code() is ErrorCode.INVALID_REQUEST
    assert member.join(server_assignor="mine").code() is ErrorCode.INVALID_REQUEST
    member.topics = ["t"]
    assert member.join(server_assignor="mine").code() is ErrorCode.UNSUPPORTED_ASSIGNOR
    assert member.join(server_assignor="range").code() is ErrorCode.NONE
    assert describe(core).assignor_name == "range"


def test_version_0_is_given_a_member_id(core: Core) -> None:
    told = Consumer(core, "").beat(
        0, rebalance_timeout_ms=1, subscribed_topic_names=["t"], topic_partitions=[]
    )
    assert told.member_id
    assert len(told.member_id) == 22


def test_epochs_that_are_not_the_members(core: Core) -> None:
    first, second = two(core)
    for epoch in (first.epoch + 1, first.epoch - 1):
        first.beat(member_epoch=epoch)
        assert first.code() is ErrorCode.FENCED_MEMBER_EPOCH
    assert second.beat(member_epoch=0, rebalance_timeout_ms=1, subscribed_topic_names=["t"],
                       topic_partitions=[]).member_epoch == 3  # fmt: skip
    assert Consumer(core, "z", epoch=3).beat().error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_member_that_missed_its_answer_asks_again_with_the_epoch_before(core: Core) -> None:
    first = Consumer(core, "a").join()
    Consumer(core, "b").join()
    first.beat()
    first.acknowledge()
    assert first.epoch == 3
    first.epoch = 2
    first.acknowledge()
    assert (first.error, first.epoch, first.owned) == (ErrorCode.NONE, 3, [0, 1])


def test_who_leaves_leaves_its_partitions_to_the_others(core: Core) -> None:
    first, second = two(core)
    assert second.leave() is ErrorCode.NONE
    first.beat()
    assert (first.epoch, first.owned) == (4, [0, 1, 2, 3])
    assert second.leave() is ErrorCode.UNKNOWN_MEMBER_ID
    assert first.leave() is ErrorCode.NONE
    assert listed(core, types_filter=["Consumer"]) == [("consumer", "Empty")]
    assert listed(core, types_filter=["classic"]) == []


def test_who_is_silent_is_thrown_out(core: Core) -> None:
    first, second = two(core)
    core.pass_ms(SESSION_MS - 1)
    first.beat()
    core.pass_ms(1)
    second.beat()
    assert second.code() is ErrorCode.UNKNOWN_MEMBER_ID
    first.beat()
    assert first.owned == [0, 1, 2, 3]
    core.pass_ms(SESSION_MS)
    assert describe(core).group_state == "Empty"


def test_who_does_not_give_up_what_it_must_is_thrown_out(core: Core) -> None:
    first = Consumer(core, "a").join()
    second = Consumer(core, "b").join()
    first.beat()
    core.pass_ms(REBALANCE_MS - 1)
    first.beat()
    assert first.code() is ErrorCode.NONE
    core.pass_ms(1)
    first.beat()
    assert first.code() is ErrorCode.UNKNOWN_MEMBER_ID
    second.beat()
    assert second.owned == [0, 1, 2, 3]


def test_a_static_member_goes_for_a_while_and_keeps_its_partitions(core: Core) -> None:
    first, second = Consumer(core, "a", "i").join(), Consumer(core, "b").join()
    first.beat()
    first.acknowledge()
    second.beat()
    other = Consumer(core, "c", "i").join()
    assert other.code() is ErrorCode.UNRELEASED_INSTANCE_ID
    assert first.leave(-2) is ErrorCode.NONE
    second.beat()
    assert second.owned == [2, 3]
    other.join()
    assert (other.error, other.epoch, other.owned) == (ErrorCode.NONE, 3, [0, 1])
    first.epoch = 3
    first.beat()
    assert first.code() is ErrorCode.FENCED_INSTANCE_ID
    first.beat(instance_id="j")
    assert first.code() is ErrorCode.UNKNOWN_MEMBER_ID
    assert other.leave(-2) is ErrorCode.NONE
    core.pass_ms(SESSION_MS - 1)
    second.beat()
    core.pass_ms(1)
    second.beat()
    assert second.owned == [0, 1, 2, 3]


@pytest.mark.parametrize("crash", [True, False])
def test_a_restart_in_every_state(core: Core, crash: bool) -> None:  # noqa: FBT001  # parameter
    def restart() -> None:
        if crash:
            core.crash(Loss.ALL)
        else:
            core.restart()

    first = Consumer(core, "a", "i").join()
    restart()
    second = Consumer(core, "b").join()
    restart()
    first.beat()
    assert first.owned == [0, 1]
    restart()
    second.beat()
    assert second.owned == []
    first.acknowledge()
    restart()
    second.beat()
    assert (first.epoch, second.epoch, second.owned) == (3, 3, [2, 3])
    before = described(core)
    restart()
    assert described(core) == before
    assert second.leave() is ErrorCode.NONE
    restart()
    assert [member.member_id for member in describe(core).members] == ["a"]
    core.pass_ms(SESSION_MS)
    core.sync()
    restart()
    assert describe(core).group_state == "Empty"
    assert delete(core) is ErrorCode.NONE
    restart()
    assert listed(core) == []


def test_time_to_revoke_starts_anew_after_a_restart(core: Core) -> None:
    first = Consumer(core, "a").join()
    second = Consumer(core, "b").join()
    first.beat()
    core.crash(Loss.ALL)
    core.pass_ms(REBALANCE_MS - 1)
    first.beat()
    assert first.code() is ErrorCode.NONE
    core.pass_ms(1)
    second.beat()
    assert second.owned == [0, 1, 2, 3]


def test_topics_that_come_grow_and_go(core: Core) -> None:
    member = Consumer(core, "a", topics=["t", "later"]).join()
    core.create("later", 2)
    member.beat()
    assert (member.epoch, sorted(member.owned)) == (3, [0, 0, 1, 1, 2, 3])
    topic = core.broker.topics.get("later")
    assert topic is not None
    core.broker.topics.grow(topic, 3)
    core.crash(Loss.ALL)
    member.beat()
    assert (member.epoch, sorted(member.owned)) == (4, [0, 0, 1, 1, 2, 2, 3])
    topic = core.broker.topics.get("later")
    assert topic is not None
    core.broker.delete_topic(topic)
    member.beat()
    assert sorted(member.owned) == [0, 1, 2, 3]
    member.acknowledge()
    assert member.epoch == 5
    core.create("unread")
    member.beat()
    assert member.epoch == 5


def test_a_pattern_shows_no_topic_that_the_member_may_not_describe() -> None:
    core = Core(BrokerSettings(authorizer_class_name="StandardAuthorizer"))
    core.broker.create_topic("t", 1, {})
    core.broker.create_topic("tt", 2, {})
    core.broker.change_acls([allowed(Resource.GROUP, GROUP, Operation.READ)], ())
    member = Consumer(core, "a", topics=[], regex="t.*").join()
    assert (member.error, member.owned) == (ErrorCode.NONE, [])
    core.broker.change_acls([allowed(Resource.TOPIC, "tt", Operation.DESCRIBE)], ())
    member.beat()
    assert member.owned == [0, 1]
    core.restart()
    assert len(describe(core).members) == 1
    member.beat(topic_partitions=[], rebalance_timeout_ms=REBALANCE_MS, subscribed_topic_regex=".*")
    assert member.owned == [0, 1]
    core.broker.change_acls((), list(core.broker.security.acls)[1:])
    member.beat()
    assert member.owned == []


def test_subscription_by_pattern(core: Core) -> None:
    member = Consumer(core, "a", topics=[], regex="t.*").join()
    assert member.owned == [0, 1, 2, 3]
    core.create("tt")
    core.create("ut")
    member.beat()
    assert sorted(member.owned) == [0, 0, 1, 2, 3]
    assert describe(core).members[0].subscribed_topic_regex == "t.*"
    core.crash(Loss.ALL)
    member.beat()
    assert (member.error, member.epoch) == (ErrorCode.NONE, 3)
    member.beat(subscribed_topic_regex="", subscribed_topic_names=["ut"])
    assert member.owned == []
    bad = Consumer(core, "b", topics=[], regex="(").join()
    assert bad.code() is ErrorCode.INVALID_REGULAR_EXPRESSION


def test_patterns_that_nobody_has_any_more_are_forgotten(core: Core) -> None:
    member = Consumer(core, "a", topics=[], regex="t.*").join()
    for number in range(5):
        member.beat(subscribed_topic_regex=f"t|u{number}")
    group = core.broker.groups.find(GROUP)
    assert isinstance(group, ConsumerGroup)
    assert set(group._patterns._matching) == {"t|u4"}


def test_offsets_want_the_members_epoch(core: Core) -> None:
    member = Consumer(core, "a").join()
    assert commit(core, "a", 2) is ErrorCode.NONE
    assert commit(core, "a", 2, version=8) is ErrorCode.UNSUPPORTED_VERSION
    for epoch in (1, 3, -1):
        assert commit(core, "a", epoch) is ErrorCode.STALE_MEMBER_EPOCH
    assert commit(core, "z", 2) is ErrorCode.UNKNOWN_MEMBER_ID
    assert commit(core, "", -1) is ErrorCode.UNKNOWN_MEMBER_ID
    assert fetch(core, "a", 2) is ErrorCode.NONE
    assert fetch(core, None, -1) is ErrorCode.NONE
    assert fetch(core, "a", 1) is ErrorCode.STALE_MEMBER_EPOCH
    assert fetch(core, "z", 2) is ErrorCode.UNKNOWN_MEMBER_ID
    member.leave()
    assert commit(core, "", -1) is ErrorCode.NONE


@pytest.mark.parametrize(
    ("who", "error"),
    [
        (Membership(), ErrorCode.NONE),  # a client that does not say who it is
        (Membership(member_id="m", generation=2), ErrorCode.NONE),
        (Membership(member_id="m"), ErrorCode.ILLEGAL_GENERATION),
        (Membership(member_id="m", generation=9), ErrorCode.ILLEGAL_GENERATION),
        (Membership(member_id="who", generation=1), ErrorCode.UNKNOWN_MEMBER_ID),
        (Membership(generation=1), ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
def test_offsets_in_a_transaction_want_the_epoch_of_who_names_itself(
    core: Core, who: Membership, error: ErrorCode
) -> None:
    assert Consumer(core, "m").join().epoch == 2
    assert core.broker.groups.may_commit_in_transaction(GROUP, who) is error


def test_a_group_with_members_keeps_its_protocol(core: Core) -> None:
    member = Consumer(core, "a").join()
    assert joined(classic_join(core)) is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    beat = HeartbeatRequest(group_id=GROUP, generation_id=2, member_id="a")
    told = core.ask(ApiKey.HEARTBEAT, 4, beat, HeartbeatResponse)
    assert told.error_code == ErrorCode.UNKNOWN_MEMBER_ID
    assert delete(core) is ErrorCode.NON_EMPTY_GROUP
    (group,) = core.ask(
        ApiKey.DESCRIBE_GROUPS, 6, DescribeGroupsRequest(groups=[GROUP]), DescribeGroupsResponse
    ).groups
    assert (group.error_code, group.group_state) == (ErrorCode.GROUP_ID_NOT_FOUND, "Dead")
    leave = LeaveGroupRequest(group_id=GROUP, members=[MemberIdentity(member_id="a")])
    (left,) = core.ask(ApiKey.LEAVE_GROUP, 5, leave, LeaveGroupResponse).members
    assert left.error_code == ErrorCode.NONE
    member.beat()
    assert member.code() is ErrorCode.UNKNOWN_MEMBER_ID


def test_an_empty_group_changes_its_protocol_and_keeps_its_offsets(core: Core) -> None:
    assert commit(core, "", -1) is ErrorCode.NONE
    member = Consumer(core, "a").join()
    assert listed(core) == [("consumer", "Stable")]
    member.leave()
    assert joined(classic_join(core)) is ErrorCode.NONE
    assert listed(core) == [("classic", "CompletingRebalance")]
    assert member.join().code() is ErrorCode.GROUP_ID_NOT_FOUND
    assert describe(core).error_code == ErrorCode.GROUP_ID_NOT_FOUND
    core.crash(Loss.ALL)  # its first generation was never stored
    assert listed(core) == [("classic", "Empty")]
    assert core.broker.groups.offsets.of_group(GROUP)[("t", 0)].offset == 5
    assert member.join().code() is ErrorCode.NONE
    core.crash(Loss.ALL)
    assert listed(core) == [("consumer", "Stable")]


def test_offsets_expire_unless_a_member_reads_the_topic() -> None:
    core = Core(BrokerSettings(offsets_retention_minutes=1))
    core.create("t", 4)
    core.create("u")
    assert commit(core, "", -1) is ErrorCode.NONE
    reader = Consumer(core, "a").join()
    for _ in range(3):
        core.pass_ms(40_000)
        reader.beat()
    core.broker.groups.expire_offsets()
    core.sync()
    assert core.broker.groups.offsets.of_group(GROUP)
    reader.beat(subscribed_topic_names=["u"])
    core.broker.groups.expire_offsets()
    core.sync()
    assert not core.broker.groups.offsets.of_group(GROUP)
    assert listed(core) == [("consumer", "Reconciling")]


def test_a_disk_that_fails_is_said_and_everything_is_stored_again(core: Core) -> None:
    first = Consumer(core, "a").join()
    core.fs.fail_at(1)
    second = Consumer(core, "b").join()
    assert second.code() is ErrorCode.NOT_COORDINATOR
    core.crash(Loss.ALL)
    first.beat()
    assert (first.error, first.epoch) == (ErrorCode.NONE, 2)


def test_who_left_while_the_disk_failed_does_not_come_back(core: Core) -> None:
    first, second = two(core)
    core.fs.fail_always(frozenset({"append"}))
    assert second.leave() is ErrorCode.NOT_COORDINATOR
    core.fs.fail_always(frozenset())
    first.beat()
    assert first.error is ErrorCode.NONE
    core.restart()
    assert [member.member_id for member in describe(core).members] == [first.member_id]


def test_a_group_whose_tombstones_the_disk_refused_stays_what_it_became(core: Core) -> None:
    assert Consumer(core, "a").join().leave() is ErrorCode.NONE
    core.fs.fail_always(frozenset({"append"}))
    member_id = classic_join(core).read(JoinGroupResponse, ApiKey.JOIN_GROUP, 3).member_id
    core.fs.fail_always(frozenset())
    core.broker.groups.leave(GROUP, [Membership(member_id=member_id)])
    assert listed(core) == [("classic", "Empty")]
    core.restart()
    assert listed(core) == [("classic", "Empty")]


def test_a_repeated_heartbeat_is_not_answered_before_the_first(core: Core) -> None:
    first = Consumer(core, "a").join()
    core.auto_sync = False
    joining = ConsumerGroupHeartbeatRequest(
        group_id=GROUP, member_id="b", member_epoch=0, rebalance_timeout_ms=REBALANCE_MS,
        subscribed_topic_names=["t"], topic_partitions=[],
    )  # fmt: skip
    calls = [core.send(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, joining.encode(1)) for _ in range(2)]
    assert [call.answered for call in calls] == [False, False]
    core.sync()
    assert [call.answered for call in calls] == [True, True]
    assert calls[0].frame == calls[1].frame
    assert first.error is ErrorCode.NONE


def test_a_group_has_configs_of_its_own(core: Core) -> None:
    def alter(value: str) -> ErrorCode:
        change = AlterableConfig(name="consumer.heartbeat.interval.ms", value=value)
        ask = IncrementalAlterConfigsRequest(
            resources=[
                AlterConfigsResource(resource_type=32, resource_name=GROUP, configs=[change])
            ]
        )
        key = ApiKey.INCREMENTAL_ALTER_CONFIGS
        got = core.ask(key, 1, ask, IncrementalAlterConfigsResponse)
        return ErrorCode(got.responses[0].error_code)

    def resources(*kinds: int) -> list[tuple[int, str]]:
        ask = ListConfigResourcesRequest(resource_types=list(kinds))
        got = core.ask(ApiKey.LIST_CONFIG_RESOURCES, 1, ask, ListConfigResourcesResponse)
        return [(each.resource_type, each.resource_name) for each in got.config_resources]

    member = Consumer(core, "a").join()
    assert alter("4999") is ErrorCode.INVALID_CONFIG
    assert alter("soon") is ErrorCode.INVALID_CONFIG
    assert resources(32) == []
    assert alter("7000") is ErrorCode.NONE
    assert member.beat().heartbeat_interval_ms == 7_000
    core.crash(Loss.ALL)
    assert member.beat().heartbeat_interval_ms == 7_000
    assert resources() == [(2, "t"), (2, "__consumer_offsets"), (4, "1"), (8, "1"), (32, GROUP)]
    assert resources(32) == [(32, GROUP)]
    ask = DescribeConfigsRequest(
        resources=[
            DescribeConfigsResource(resource_type=32, resource_name=GROUP, configuration_keys=None)
        ],
        include_synonyms=True,
    )
    (result,) = core.ask(ApiKey.DESCRIBE_CONFIGS, 4, ask, DescribeConfigsResponse).results
    values = {config.name: (config.value, config.config_source) for config in result.configs}
    assert values == {
        "consumer.session.timeout.ms": ("45000", 5),
        "consumer.heartbeat.interval.ms": ("7000", 8),
    }
