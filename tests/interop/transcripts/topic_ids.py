"""Topics by their ids (KIP-516): ids of nobody, of the gone, and partitions out of range."""

from typing import Final
from uuid import UUID

from confluent_kafka.admin import AdminClient
from tests.interop.harness import PATIENCE_S, eventually
from tests.interop.raw import Batch
from tests.interop.transcripts.player import Player, Scenario

from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from tickertape.wire.schema.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)

NOBODY: Final = UUID(int=0x1234)
ZERO: Final = UUID(int=0)
FETCH_VERSIONS: Final = range(13, 19)


def made_anew(play: Player, stem: str) -> tuple[UUID, UUID]:
    """A topic that is deleted and created again: the id that it had, and the one that it has."""
    name = play.topic(stem)
    old = play.topic_id(name)
    admin = AdminClient({"bootstrap.servers": play.broker.bootstrap, "log_level": 0})
    admin.delete_topics([name])[name].result(PATIENCE_S)
    eventually(lambda: play.topic_id(name) == ZERO, f"{name} is gone")
    play.topic(stem)
    return old, play.topic_id(name)


def fetch_by_id(play: Player) -> None:
    topic = play.topic_id(play.topic("fetched"))
    play.produce("a record", topic, Batch(), version=13)
    old, new = made_anew(play, "fetched-anew")
    for version in FETCH_VERSIONS:
        play.fetch("at 0", topic, 0, version)
        play.fetch("at the end", topic, 1, version)
        play.fetch("out of range", topic, 7, version)
        play.fetch("an unknown partition", topic, 0, version, index=7)
        play.fetch("a partition below zero", topic, 0, version, index=-1)
        play.fetch("an epoch to come", topic, 0, version, current_leader_epoch=5)
        play.fetch("an unknown id", NOBODY, 0, version)
        play.fetch("the zero id", ZERO, 0, version)
        play.fetch("the id of a topic that is gone", old, 0, version)
        play.fetch("the id of its successor", new, 0, version)


def produce_by_id(play: Player) -> None:
    topic = play.topic_id(play.topic("produced"))
    old, new = made_anew(play, "produced-anew")
    for note, where, partition in (
        ("a record", topic, 0),
        ("an unknown partition", topic, 7),
        ("a partition below zero", topic, -1),
        ("an unknown id", NOBODY, 0),
        ("the zero id", ZERO, 0),
        ("the id of a topic that is gone", old, 0),
        ("the id of its successor", new, 0),
    ):
        play.produce(note, where, Batch(), version=13, partition=partition)


def offsets_by_id(play: Player) -> None:
    topic, group = play.topic_id(play.topic("kept")), play.group("kept-by-id")
    old, new = made_anew(play, "kept-anew")
    asked = (
        ("a topic", topic, 0),
        ("an unknown partition", topic, 7),
        ("a partition below zero", topic, -1),
        ("an unknown id", NOBODY, 0),
        ("the zero id", ZERO, 0),
        ("the id of a topic that is gone", old, 0),
        ("the id of its successor", new, 0),
    )
    for note, where, index in asked:
        part = OffsetCommitRequestPartition(
            partition_index=index, committed_offset=5, committed_metadata="note"
        )
        one = OffsetCommitRequestTopic(topic_id=where, partitions=[part])
        play.ask(note, OffsetCommitRequest(group_id=group, topics=[one]), 10)
    for note, where, index in asked:
        wanted = [OffsetFetchRequestTopics(topic_id=where, partition_indexes=[index])]
        mine = OffsetFetchRequestGroup(group_id=group, topics=wanted)
        play.ask(note, OffsetFetchRequest(groups=[mine]), 10)
    everything = OffsetFetchRequestGroup(group_id=group, topics=None)
    play.ask("all offsets", OffsetFetchRequest(groups=[everything]), 10)


SCENARIOS: Final[dict[str, Scenario]] = {
    "fetch_by_id": fetch_by_id,
    "produce_by_id": produce_by_id,
    "offsets_by_id": offsets_by_id,
}
