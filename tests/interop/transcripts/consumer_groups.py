"""Groups of the consumer protocol (KIP-848): what a member may say, and is told."""

from typing import Any, Final

from tests.interop.harness import GROUP_MAX, eventually
from tests.interop.transcripts.groups import Member
from tests.interop.transcripts.player import Player, Scenario
from tests.interop.transcripts.transactions import Owner

from tickertape.wire.schema.consumer_group_describe import ConsumerGroupDescribeRequest
from tickertape.wire.schema.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    RequestTopicPartitions,
)
from tickertape.wire.schema.join_group import JoinGroupRequest, JoinGroupRequestProtocol


def beat(play: Player, note: str, group: str, member: str, epoch: int, **other: Any) -> Any:  # noqa: ANN401  # what is to be wrong; a response
    request = ConsumerGroupHeartbeatRequest(
        group_id=group,
        member_id=member,
        member_epoch=epoch,
        instance_id=other.get("instance"),
        rack_id=other.get("rack"),
        rebalance_timeout_ms=other.get("timeout_ms", -1),
        subscribed_topic_names=other.get("topics"),
        subscribed_topic_regex=other.get("regex"),
        server_assignor=other.get("assignor"),
        topic_partitions=other.get("owned"),
    )
    return play.ask(note, request, other.get("version", 1))


def topic_known(play: Player, stem: str, partitions: int = 1) -> str:
    """A new topic that the coordinator has heard of: another group has been given it."""
    topic, group = play.topic(stem, partitions=partitions), play.group(f"probe-{stem}")
    other = Player(play.broker, play.run)
    full: dict[str, Any] = {"timeout_ms": 60_000, "topics": [topic], "owned": []}
    epoch = beat(other, "join", group, "m", 0, **full).member_epoch

    def given() -> bool:
        beat(other, "heartbeat", group, "m", epoch, **full)
        described = other.ask("state", ConsumerGroupDescribeRequest(group_ids=[group]), 1)
        (member,) = described.groups[0].members
        return bool(member.target_assignment.topic_partitions)

    eventually(given, f"{topic} is assigned")
    beat(other, "leave", group, "m", -1)
    other.close()
    return topic


def joins(play: Player) -> None:
    topic, group = play.topic("joins", partitions=2), play.group("joins")
    full: dict[str, Any] = {"timeout_ms": 60_000, "topics": [topic], "owned": []}
    owned = [RequestTopicPartitions(partitions=[0])]
    for note, name, member, wrong in (
        ("without a group", "", "m", {}),
        ("without a member", group, "", {}),
        ("without a timeout", group, "m", {"timeout_ms": -1}),
        ("without topics", group, "m", {"topics": None}),
        ("without what it owns", group, "m", {"owned": None}),
        ("owning something already", group, "m", {"owned": owned}),
        ("by an unknown assignor", group, "m", {"assignor": "best"}),
        ("by a bad pattern", group, "m", {"topics": None, "regex": "("}),
        ("as an empty instance", group, "m", {"instance": ""}),
        ("on an empty rack", group, "m", {"rack": ""}),
    ):
        beat(play, f"join {note}", name, member, 0, **full | wrong)
    beat(play, "an unknown member", group, "m", 3)
    beat(play, "an unknown member leaves", group, "m", -1)
    beat(play, "an epoch below all", group, "m", -3)


def member(play: Player) -> None:
    topic, group = topic_known(play, "member", 2), play.group("member")
    joined = beat(play, "join", group, "m", 0, timeout_ms=60_000, topics=[topic], owned=[])
    epoch = joined.member_epoch
    beat(play, "again", group, "m", epoch)
    beat(play, "an epoch to come", group, "m", epoch + 5)
    beat(play, "another member", group, "who", epoch)
    beat(play, "an unknown instance leaves for now", group, "m", -2, instance="i")
    play.ask("described", ConsumerGroupDescribeRequest(group_ids=[group, play.name("no")]), 1)
    beat(play, "leave", group, "m", -1)
    beat(play, "after leaving", group, "m", epoch)
    play.ask("empty", ConsumerGroupDescribeRequest(group_ids=[group]), 1)


def classic_member(play: Player) -> None:
    topic, group = topic_known(play, "mixed"), play.group("mixed")
    beat(play, "join", group, "m", 0, timeout_ms=60_000, topics=[topic], owned=[])
    classic = JoinGroupRequest(
        group_id=group,
        session_timeout_ms=10_000,
        rebalance_timeout_ms=10_000,
        protocol_type="consumer",
        protocols=[
            JoinGroupRequestProtocol(name="range", metadata=b"\0\0\0\0\0\0\xff\xff\xff\xff")
        ],
    )
    play.ask("a classic member joins", classic, 2)


def instances(play: Player) -> None:
    topic, group = topic_known(play, "instances"), play.group("instances")
    full: dict[str, Any] = {"timeout_ms": 60_000, "topics": [topic], "owned": [], "instance": "i"}
    epoch = beat(play, "join", group, "m1", 0, **full).member_epoch
    beat(play, "its instance is taken", group, "m2", 0, **full)
    beat(play, "leaves for now", group, "m1", -2, instance="i")
    beat(play, "its successor", group, "m2", 0, **full)
    beat(play, "the old one", group, "m1", epoch, instance="i")
    beat(play, "the successor leaves", group, "m2", -1, instance="i")


def too_many(play: Player) -> None:
    """group.consumer.max.size of the tests' brokers."""
    topic, group = topic_known(play, "many"), play.group("many")
    full: dict[str, Any] = {"timeout_ms": 60_000, "topics": [topic], "owned": []}
    for n in range(GROUP_MAX + 1):
        beat(play, f"member {n} joins", group, f"m{n}", 0, **full)
    beat(play, "a member leaves", group, "m1", -1)
    beat(play, "another joins", group, "m99", 0, **full)


def offsets(play: Player) -> None:
    """What members and strangers may commit, alone and in a transaction."""
    topic, group = topic_known(play, "members-offsets"), play.group("members-offsets")
    for version in (8, 9):
        nobody = Member(play, play.name(f"nobodys-group.v{version}"))
        for note, who, epoch in (
            ("an epoch of nobody", "", 0),
            ("an epoch of a member", "who", 0),
            ("a later epoch of a member", "who", 5),
            ("a member without epoch", "who", -1),
        ):
            nobody.commit(f"{note}, no group", topic, 5, version, member=who, generation=epoch)
    epoch = beat(
        play, "join", group, "m", 0, timeout_ms=60_000, topics=[topic], owned=[]
    ).member_epoch  # fmt: skip
    member, owner = Member(play, group), Owner(play, "members-offsets")
    owner.offsets("add offsets", group)
    for note, who, claimed in (
        ("its epoch", "m", epoch),
        ("an epoch to come", "m", epoch + 3),
        ("no epoch", "m", -1),
        ("an unknown member", "who", epoch),
        ("no member", "", -1),
        ("no member of an epoch", "", epoch),
    ):
        for version in (8, 9):
            member.commit(note, topic, 5, version, member=who, generation=claimed)
        for version in (3, 4, 5):
            wrong = {"member": who, "generation": claimed}
            owner.commit_offsets(f"{note}, in a transaction", group, topic, 6, version, **wrong)
    owner.end("abort", commit=False)
    beat(play, "leave", group, "m", -1)
    member.commit("after leaving", topic, 7, 9, member="m", generation=epoch)
    member.commit("by nobody", topic, 7, 9, member="", generation=-1)


SCENARIOS: Final[dict[str, Scenario]] = {
    "consumer_group_joins": joins,
    "consumer_group_member": member,
    "consumer_group_classic_member": classic_member,
    "consumer_group_instances": instances,
    "consumer_group_too_many": too_many,
    "consumer_group_offsets": offsets,
}
