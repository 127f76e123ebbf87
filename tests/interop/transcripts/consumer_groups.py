"""Groups of the consumer protocol (KIP-848): what a member may say, and is told."""

from typing import Any, Final

from tests.interop.harness import eventually
from tests.interop.transcripts.player import Player, Scenario

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


SCENARIOS: Final[dict[str, Scenario]] = {
    "consumer_group_joins": joins,
    "consumer_group_member": member,
    "consumer_group_classic_member": classic_member,
    "consumer_group_instances": instances,
}
