"""Classic groups: joins, heartbeats, static members, offsets and the ways to remove them."""

import time
from typing import Any, Final

from tests.interop import raw
from tests.interop.harness import GROUP_MAX
from tests.interop.raw import Batch
from tests.interop.transcripts.player import Player, Scenario

from tickertape.wire.schema.delete_groups import DeleteGroupsRequest
from tickertape.wire.schema.describe_groups import DescribeGroupsRequest
from tickertape.wire.schema.find_coordinator import FindCoordinatorRequest
from tickertape.wire.schema.heartbeat import HeartbeatRequest
from tickertape.wire.schema.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from tickertape.wire.schema.leave_group import LeaveGroupRequest, MemberIdentity
from tickertape.wire.schema.list_groups import ListGroupsRequest
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from tickertape.wire.schema.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from tickertape.wire.schema.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from tickertape.wire.schema.sync_group import SyncGroupRequest, SyncGroupRequestAssignment

SUBSCRIPTION: Final = raw.i16(0) + raw.array([raw.string("some-topic")]) + raw.blob(None)
ASSIGNMENT: Final = raw.i16(0) + raw.array([]) + raw.blob(None)


def join_request(group: str, member: str = "", **other: Any) -> JoinGroupRequest:  # noqa: ANN401  # what is to be wrong
    protocols = other.get("protocols", ("range",))
    return JoinGroupRequest(
        group_id=group,
        session_timeout_ms=other.get("session_ms", 10_000),
        rebalance_timeout_ms=10_000,
        member_id=member,
        group_instance_id=other.get("instance"),
        protocol_type=other.get("kind", "consumer"),
        protocols=[JoinGroupRequestProtocol(name=one, metadata=SUBSCRIPTION) for one in protocols],
    )


class Member:
    """A member that calls in whatever order it is told."""

    def __init__(self, play: Player, group: str, via: str = "a", **other: Any) -> None:  # noqa: ANN401  # see join_request
        self.play, self.group, self.via, self.other = play, group, via, other
        self.id, self.generation = "", -1

    def join(self, note: str, version: int = 7, **other: Any) -> None:  # noqa: ANN401  # see join_request
        """Join, by a second request if an id has to be given first, and be answered."""
        request = join_request(self.group, self.id, **self.other | other)
        answer = self.play.ask(note, request, version, via=self.via)
        if answer.error_code == 79:  # MEMBER_ID_REQUIRED
            self.id = answer.member_id
            self.join(f"{note}, with the id", version, **other)
        elif answer.error_code == 0:
            self.id, self.generation = answer.member_id, answer.generation_id

    def send_join(self, version: int = 7) -> None:
        self.play.send(join_request(self.group, self.id, **self.other), version, via=self.via)

    def joined(self, note: str, version: int = 7) -> None:
        answer = self.play.receive(note, join_request(self.group), version, via=self.via)
        self.id, self.generation = answer.member_id, answer.generation_id

    def sync(self, note: str, version: int = 5, *, gives: bool = False, **other: Any) -> None:  # noqa: ANN401  # what is to be wrong
        given = [SyncGroupRequestAssignment(member_id=self.id, assignment=ASSIGNMENT)]
        request = SyncGroupRequest(
            group_id=other.get("group", self.group),
            generation_id=other.get("generation", self.generation),
            member_id=other.get("member", self.id),
            group_instance_id=other.get("instance", self.other.get("instance")),
            protocol_type=other.get("kind", "consumer"),
            protocol_name=other.get("protocol", "range"),
            assignments=given if gives else [],
        )
        self.play.ask(note, request, version, via=self.via)

    def beat(self, note: str, version: int = 4, **other: Any) -> None:  # noqa: ANN401  # what is to be wrong
        request = HeartbeatRequest(
            group_id=other.get("group", self.group),
            generation_id=other.get("generation", self.generation),
            member_id=other.get("member", self.id),
            group_instance_id=other.get("instance", self.other.get("instance")),
        )
        self.play.ask(note, request, version, via=self.via)

    def leave(self, note: str, version: int = 4, **other: Any) -> None:  # noqa: ANN401  # what is to be wrong
        who = other.get("member", self.id)
        identity = MemberIdentity(member_id=who, group_instance_id=other.get("instance"))
        request = LeaveGroupRequest(
            group_id=other.get("group", self.group), member_id=who, members=[identity]
        )
        self.play.ask(note, request, version, via=self.via)

    def commit(self, note: str, topic: str, offset: int, version: int = 8, **other: Any) -> None:  # noqa: ANN401  # what is to be wrong
        part = OffsetCommitRequestPartition(
            partition_index=other.get("partition", 0),
            committed_offset=offset,
            committed_leader_epoch=other.get("epoch", -1),
            committed_metadata=other.get("metadata", "note"),
        )
        request = OffsetCommitRequest(
            group_id=other.get("group", self.group),
            generation_id_or_member_epoch=other.get("generation", self.generation),
            member_id=other.get("member", self.id),
            group_instance_id=other.get("instance", self.other.get("instance")),
            topics=[OffsetCommitRequestTopic(name=topic, partitions=[part])],
        )
        self.play.ask(note, request, version, via=self.via)


def describe(play: Player, note: str, group: str, version: int = 5) -> None:
    play.ask(f"{note}, described", DescribeGroupsRequest(groups=[group]), version)


def one_member(play: Player) -> None:
    for version in (2, 3, 4, 5, 7, 9):
        group = play.group(f"one.v{version}")
        describe(play, "before", group)
        member = Member(play, group)
        member.beat("heartbeat of a stranger", min(version, 4), member="who", generation=1)
        member.sync("sync of a stranger", min(version, 5), member="who", generation=1)
        member.leave("leave of a stranger", min(version, 5), member="who")
        refused: dict[str, dict[str, object]] = {
            "too short a session": {"session_ms": 10},
            "too long a session": {"session_ms": 99_000_000},
            "without protocols": {"protocols": ()},
            "without a type": {"kind": ""},
        }
        for note, wrong in refused.items():
            play.ask(f"join {note}", join_request(group, "", **wrong), version)
        play.ask("join without a group", join_request(""), version)
        play.ask("join as somebody", join_request(group, "who"), version)
        member.join("join", version)
        describe(play, "joined", group)
        member.beat("heartbeat before sync", min(version, 4))
        member.sync("sync of another generation", min(version, 5), generation=9)
        if version >= 5:
            member.sync("sync of another protocol", 5, protocol="other")
            member.sync("sync of another type", 5, kind="other")
        member.sync("sync", min(version, 5), gives=True)
        describe(play, "stable", group)
        member.sync("sync again", min(version, 5))
        member.beat("heartbeat", min(version, 4))
        member.beat("heartbeat of another generation", min(version, 4), generation=7)
        member.beat("heartbeat of another", min(version, 4), member="who")
        other = join_request(group, protocols=("other",))
        play.ask("join by another protocol", other, version)
        play.ask("join by another type", join_request(group, kind="connect"), version)
        member.join("join again", version)
        member.sync("sync anew", min(version, 5), gives=True)
        member.leave("leave", min(version, 5))
        member.leave("leave again", min(version, 5))
        member.beat("heartbeat after leaving", min(version, 4))
        describe(play, "after", group)


def two_members(play: Player) -> None:
    group = play.group("two")
    first, second = Member(play, group, "one"), Member(play, group, "two")
    first.join("the first joins")
    first.sync("and gets all", gives=True)
    answer = play.ask("the second asks", join_request(group), 7, via="two")
    second.id = answer.member_id
    describe(play, "with one that is about to", group)
    second.send_join()
    time.sleep(0.3)  # or its request may be overtaken by the heartbeat
    first.beat("the first is told to rebalance")
    describe(play, "while rebalancing", group)
    first.send_join()
    first.joined("the first has joined again")
    second.joined("the second has joined")
    describe(play, "both joined", group)
    second.beat("the second before the leader has spoken")
    second.commit("the second commits before", play.topic("two"), 1)
    request = SyncGroupRequest(
        group_id=group, generation_id=second.generation, member_id=second.id,
        protocol_type="consumer", protocol_name="range",
    )  # fmt: skip
    play.send(request, 5, via="two")
    first.sync("the leader speaks", gives=True)
    play.receive("the second gets its share", request, 5, via="two")
    describe(play, "stable", group)
    first.leave("the first leaves")
    second.beat("the second is told")
    second.join("the second goes on")
    describe(play, "alone", group)


def too_many(play: Player) -> None:
    """group.max.size of the tests' brokers."""
    group = play.group("many")
    first = Member(play, group, "0")
    first.join("the first joins")
    others = [Member(play, group, str(n)) for n in range(1, GROUP_MAX)]
    for other in others:
        answer = play.ask("another asks", join_request(group), 7, via=other.via)
        other.id = answer.member_id
        other.send_join()
    time.sleep(0.3)  # or a request may be overtaken by the next
    first.join("the first joins again")
    for other in others:
        other.joined("another has joined")
    play.ask("one too many asks", join_request(group), 7, via="late")
    first.sync("the leader speaks", gives=True)
    play.ask("one too many asks the stable group", join_request(group), 7, via="late")
    play.ask("one too many asks, older", join_request(group), 3, via="late")


def static_members(play: Player) -> None:
    group, topic = play.group("static"), play.topic("static")
    member = Member(play, group, instance="i1")
    member.join("join")
    member.sync("sync", gives=True)
    old = member.id
    member.beat("another's instance", instance="i9")
    member.beat("another's id", member="who")
    again = Member(play, group, "again", instance="i1")
    again.join("its successor")
    again.sync("its successor syncs", gives=True)
    describe(play, "after the change", group)
    again.beat("the old one is alive", member=old)
    again.sync("the old one syncs", member=old)
    again.commit("the old one commits", topic, 3, member=old)
    again.leave("the old one leaves", instance="i1", member=old)
    play.ask("the old one joins", join_request(group, old, instance="i1"), 7)
    again.leave("by an unknown instance", member="", instance="i7")
    again.leave("by its instance", member="", instance="i1")
    describe(play, "after leaving", group)
    again.leave("by its instance again", member="", instance="i1")


def sessions_end(play: Player) -> None:
    group, topic = play.group("silent"), play.topic("silent")
    member = Member(play, group, session_ms=1_000)
    member.join("join")
    member.sync("sync", gives=True)
    member.commit("commit", topic, 5)
    time.sleep(1.6)
    member.beat("after its session")
    member.commit("commit after its session", topic, 6)
    describe(play, "without it", group)
    member.join("join again")


def offsets(play: Player) -> None:
    topic, absent = play.topic("offsets", partitions=2), play.name("absent")
    play.produce("a record", topic, Batch())
    for version in (2, 3, 5, 6, 7, 8, 9):
        group = play.group(f"offsets.v{version}")
        nobody = Member(play, group)
        nobody.commit("by nobody", topic, 5, version)
        nobody.commit("beyond the end", topic, 1 << 40, version)
        nobody.commit("below zero", topic, -5, version)
        nobody.commit("an unknown topic", absent, 5, version)
        nobody.commit("an unknown partition", topic, 5, version, partition=9)
        nobody.commit("metadata too large", topic, 5, version, metadata="x" * 5000)
        nobody.commit("without metadata", topic, 6, version, partition=1, metadata=None)
        nobody.commit("a generation", topic, 5, version, generation=3)
        nobody.commit("a member", topic, 7, version, member="who")
        nobody.commit("a member of a generation", topic, 5, version, member="who", generation=2)
        nobody.commit("without a group", topic, 5, version, group="")
        member = Member(play, group)
        member.join("join")
        member.commit("before sync", topic, 8, version)
        member.sync("sync", gives=True)
        member.commit("in a group", topic, 9, version)
        member.commit("an old generation", topic, 9, version, generation=0)
        member.commit("another member", topic, 9, version, member="who")
        nobody.commit("by nobody into a group", topic, 9, version)
        fetched(play, group, topic, absent)
        member.leave("leave")


def fetched(play: Player, group: str, topic: str, absent: str) -> None:
    for version in range(1, 8):
        one = OffsetFetchRequestTopic(name=topic, partition_indexes=[0, 1, 9])
        other = OffsetFetchRequestTopic(name=absent, partition_indexes=[0])
        request = OffsetFetchRequest(group_id=group, topics=[one, other])
        play.ask("offsets", request, version)
        if version > 1:
            play.ask("all offsets", OffsetFetchRequest(group_id=group, topics=None), version)
    for version in (8, 9):
        wanted = [
            OffsetFetchRequestGroup(
                group_id=group,
                topics=[OffsetFetchRequestTopics(name=topic, partition_indexes=[0, 9])],
            ),
            OffsetFetchRequestGroup(group_id=play.name("nobody"), topics=None),
            OffsetFetchRequestGroup(group_id="", topics=None),
        ]
        play.ask("offsets of groups", OffsetFetchRequest(groups=wanted), version)


def removal(play: Player) -> None:
    topic = play.topic("removal", partitions=2)
    group, empty = play.group("removal"), play.group("removal-empty")

    def delete(note: str, name: str, partition: int = 0, of: str = topic) -> None:
        where = OffsetDeleteRequestPartition(partition_index=partition)
        one = OffsetDeleteRequestTopic(name=of, partitions=[where])
        play.ask(note, OffsetDeleteRequest(group_id=name, topics=[one]), 0)

    member = Member(play, group)
    member.join("join")
    member.sync("sync", gives=True)
    member.commit("commit", topic, 4)
    Member(play, empty).commit("commit by nobody", topic, 4)
    delete("an offset of a group with members", group)
    delete("an offset of an empty group", empty)
    delete("it again", empty)
    delete("an unknown partition", empty, 7)
    delete("an unknown topic", empty, of=play.name("absent"))
    delete("of an unknown group", play.name("nobody"))
    delete("of no group", "")
    for version in (0, 1, 2):
        for note, names in (
            ("a group with members", [group]),
            ("an unknown group", [play.name("nobody")]),
            ("no group", [""]),
        ):
            play.ask(f"delete {note}", DeleteGroupsRequest(groups_names=names), version)
    Member(play, empty).commit("commit by nobody again", topic, 4)
    play.ask("delete an empty group", DeleteGroupsRequest(groups_names=[empty]), 2)
    for version in range(7):
        describe(play, "a deleted group", empty, version)
        describe(play, "a group with members", group, version)
        describe(play, "no group", "", version)
    member.leave("leave")
    play.ask("delete the one that is left", DeleteGroupsRequest(groups_names=[group]), 2)


def listing(play: Player) -> None:
    stable, empty = play.group("listed-stable"), play.group("listed-empty")
    member = Member(play, stable)
    member.join("join")
    member.sync("sync", gives=True)
    Member(play, empty).commit("commit", play.topic("listed"), 4)
    for note, states, kinds, version in (
        ("stable", ["Stable"], [], 4),
        ("stable, in small letters", ["stable"], [], 4),
        ("an unknown state", ["Asleep"], [], 4),
        ("an unknown type", [], ["odd"], 5),
        ("of the newer type", [], ["consumer"], 5),
        ("dead", ["Dead"], [], 5),
        ("preparing", ["PreparingRebalance"], [], 5),
    ):
        play.ask(note, ListGroupsRequest(states_filter=states, types_filter=kinds), version)
    member.leave("leave")


def coordinators(play: Player) -> None:
    for version in range(7):
        for kind in (0, 1, 2, 7, -1):
            for note, key in (("a name", play.group("found")), ("an empty name", "")):
                if version == 0 and kind:
                    continue
                request = FindCoordinatorRequest(key=key, key_type=kind, coordinator_keys=[key])
                play.ask(f"{note}, type {kind}", request, version)


SCENARIOS: Final[dict[str, Scenario]] = {
    "one_member": one_member,
    "two_members": two_members,
    "too_many": too_many,
    "static_members": static_members,
    "sessions_end": sessions_end,
    "offsets": offsets,
    "removal": removal,
    "listing": listing,
    "coordinators": coordinators,
}
