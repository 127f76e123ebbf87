"""Fetch and its sessions, offsets by time and epoch, DeleteRecords, Metadata, ApiVersions."""

from typing import Any, Final
from uuid import UUID

from tests.interop import raw
from tests.interop.raw import Batch
from tests.interop.transcripts.player import Player, Scenario

from tickertape.wire.fetch import FetchPartition, FetchRequest
from tickertape.wire.metadata import MetadataRequest, MetadataRequestTopic
from tickertape.wire.schema.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from tickertape.wire.schema.describe_topic_partitions import (
    DescribeTopicPartitionsRequest,
    RequestCursor,
    TopicRequest,
)
from tickertape.wire.schema.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from tickertape.wire.schema.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)

FETCH_VERSIONS: Final = (4, 6, 7, 9, 11, 12)
FIRST_MS: Final = 1_600_000_000_000
NOBODY: Final = UUID(int=0x1234)


def filled(play: Player, stem: str, count: int = 4, size: int = 100, **config: Any) -> str:  # noqa: ANN401  # names of configs
    """A topic with one record a batch, ten milliseconds apart."""
    topic = play.topic(stem, partitions=1, **config)
    for n in range(count):
        batch = Batch(values=[b"x" * size], timestamp=FIRST_MS + 10 * n)
        play.produce(f"record {n}", topic, batch)
    return topic


def fetch_positions(play: Player) -> None:
    for version in FETCH_VERSIONS:
        topic = filled(play, f"positions.v{version}")
        for offset in (0, 3, 4, 5, -1, 1 << 40):
            play.fetch(f"at {offset}", topic, offset, version)
        play.fetch("as committed", topic, 0, version, isolation_level=1)
        play.fetch("an unknown topic", play.name("absent"), 0, version)
        play.fetch("an unknown partition", topic, 0, version, index=7)
        play.fetch("a partition below zero", topic, 0, version, index=-1)
        if version >= 9:
            play.fetch("the right epoch", topic, 0, version, current_leader_epoch=0)
            play.fetch("an epoch to come", topic, 0, version, current_leader_epoch=5)
        if version >= 12:
            play.fetch("the epoch fetched last", topic, 4, version, last_fetched_epoch=0)
            play.fetch("one to come, fetched last", topic, 4, version, last_fetched_epoch=5)


def fetch_limits(play: Player) -> None:
    for version in (4, 11, 12):
        topic = filled(play, f"limits.v{version}", 6, 1000)
        size = len(Batch(values=[b"x" * 1000]).encoded())
        for note, limits in (
            ("one byte of the partition", {"partition_max_bytes": 1}),
            ("one byte of the answer", {"max_bytes": 1}),
            ("a batch less a byte", {"partition_max_bytes": size - 1}),
            ("a batch", {"partition_max_bytes": size}),
            ("two batches", {"partition_max_bytes": 2 * size}),
            ("two batches of the answer", {"max_bytes": 2 * size}),
            ("no bytes", {"partition_max_bytes": 0}),
            ("minus one byte", {"partition_max_bytes": -1}),
            ("at once, although too few", {"max_wait_ms": 0, "min_bytes": 1 << 20}),
            ("after a wait, although too few", {"max_wait_ms": 50, "min_bytes": 1 << 20}),
            ("isolation level 9", {"isolation_level": 9}),
        ):
            play.fetch(note, topic, 0, version, **limits)


def fetch_sessions(play: Player) -> None:
    topic = filled(play, "session")
    for version in (7, 11, 12):
        for note, session, epoch in (
            ("without a session", 0, -1),
            ("close no session", 0, -1),
            ("a session that is not", 77, 1),
            ("close a session that is not", 77, -1),
            ("no session, epoch 5", 0, 5),
        ):
            where = [(topic, [FetchPartition(0, fetch_offset=4)])]
            request = FetchRequest(
                max_wait_ms=0, session_id=session, session_epoch=epoch, topics=list(where)
            )
            play.ask(note, request, version)
    where = [(topic, [FetchPartition(0)])]
    request = FetchRequest(max_wait_ms=0, session_id=0, session_epoch=0, topics=list(where))
    play.ask("a new session", request, 12)


def list_offsets(play: Player) -> None:
    topic, empty = filled(play, "listed"), play.topic("empty")
    for version in range(1, 11):
        for note, name, index, timestamp, epoch in (
            ("latest", topic, 0, -1, -1),
            ("earliest", topic, 0, -2, -1),
            ("the first record", topic, 0, FIRST_MS, -1),
            ("between records", topic, 0, FIRST_MS + 11, -1),
            ("before all", topic, 0, 0, -1),
            ("after all", topic, 0, FIRST_MS + 1000, -1),
            ("the largest timestamp", topic, 0, -3, -1),
            ("earliest here", topic, 0, -4, -1),
            ("latest tiered", topic, 0, -5, -1),
            ("an unknown special", topic, 0, -9, -1),
            ("latest of nothing", empty, 0, -1, -1),
            ("a time of nothing", empty, 0, 0, -1),
            ("the largest of nothing", empty, 0, -3, -1),
            ("an unknown partition", topic, 3, -1, -1),
            ("an unknown topic", play.name("absent"), 0, -1, -1),
            ("with the epoch", topic, 0, -1, 0),
            ("with an epoch to come", topic, 0, -1, 4),
        ):
            if epoch >= 0 and version < 4:
                continue
            partition = ListOffsetsPartition(
                partition_index=index, timestamp=timestamp, current_leader_epoch=epoch
            )
            one = ListOffsetsTopic(name=name, partitions=[partition])
            play.ask(note, ListOffsetsRequest(replica_id=-1, topics=[one]), version)


def epoch_ends(play: Player) -> None:
    topic, empty = filled(play, "epochs"), play.topic("no-epochs")
    for version in (2, 3, 4):
        for note, name, index, current, asked in (
            ("the epoch", topic, 0, -1, 0),
            ("the epoch, as leader", topic, 0, 0, 0),
            ("one to come", topic, 0, -1, 3),
            ("unknown epoch", topic, 0, -1, -1),
            ("a leader to come", topic, 0, 3, 0),
            ("of nothing", empty, 0, -1, 0),
            ("an unknown partition", topic, 5, -1, 0),
            ("an unknown topic", play.name("absent"), 0, -1, 0),
        ):
            partition = OffsetForLeaderPartition(
                partition=index, current_leader_epoch=current, leader_epoch=asked
            )
            one = OffsetForLeaderTopic(topic=name, partitions=[partition])
            play.ask(note, OffsetForLeaderEpochRequest(replica_id=-1, topics=[one]), version)


def delete_records(play: Player) -> None:
    play.group("deleted")  # so that the offsets topic is there
    for version in (0, 1, 2):
        topic = filled(play, f"deleted.v{version}")
        compacted = filled(play, f"kept.v{version}", cleanup_policy="compact")
        for note, name, index, offset in (
            ("none", topic, 0, 0),
            ("two", topic, 0, 2),
            ("fewer again", topic, 0, 1),
            ("beyond the end", topic, 0, 5),
            ("below zero", topic, 0, -2),
            ("an unknown partition", topic, 8, 0),
            ("an unknown topic", play.name("absent"), 0, 0),
            ("a compacted topic", compacted, 0, 1),
            ("the broker's own", "__consumer_offsets", 0, 0),
            ("all", topic, 0, -1),
        ):
            partition = DeleteRecordsPartition(partition_index=index, offset=offset)
            one = DeleteRecordsTopic(name=name, partitions=[partition])
            play.ask(note, DeleteRecordsRequest(topics=[one], timeout_ms=30_000), version)
        play.fetch("what was deleted", topic, 1)
        play.fetch("the end", topic, 4)


def metadata(play: Player) -> None:
    topic = play.topic("told", partitions=2)
    absent = play.name("absent")
    for version in range(13):
        for note, names in (
            ("one topic", [topic]),
            ("twice the same", [topic, topic]),
            ("an unknown topic", [absent]),
            ("an invalid name", ["bad/name"]),
            ("an empty name", [""]),
            ("a long name", ["x" * 250]),
            ("dots", [".."]),
            ("all three", [topic, absent, "bad/name"]),
        ):
            if version < 4:
                continue  # would create the topic
            wanted = [MetadataRequestTopic(name) for name in names]
            play.ask(note, MetadataRequest(wanted, allow_auto_topic_creation=False), version)
        if version < 4:
            wanted = [MetadataRequestTopic(topic)]
            play.ask("one topic", MetadataRequest(wanted), version)
        if version > 0:
            play.ask("no topic", MetadataRequest([], allow_auto_topic_creation=False), version)
        if version >= 12:
            by_id = [MetadataRequestTopic(None, NOBODY)]
            play.ask("an unknown id", MetadataRequest(by_id), version)
    for version in (1, 12):
        created = [MetadataRequestTopic(play.name(f"auto{version}"))]
        play.ask("created by being asked for", MetadataRequest(created), version)
        play.ask("internal", MetadataRequest([MetadataRequestTopic("bad name")]), version)


def topic_partitions(play: Player) -> None:
    topic = play.topic("paged", partitions=3)
    absent = play.name("absent")
    for note, names, limit, cursor in (
        ("all", [topic], 2000, None),
        ("a page of two", [topic], 2, None),
        ("the next page", [topic], 2, RequestCursor(topic_name=topic, partition_index=2)),
        ("unknown and known", [absent, topic], 2000, None),
        ("an invalid name", ["bad/name"], 2000, None),
        ("a limit of none", [topic], 0, None),
        ("a cursor below zero", [topic], 9, RequestCursor(topic_name=topic, partition_index=-1)),
        ("a cursor that is not", [topic], 9, RequestCursor(topic_name="zz", partition_index=0)),
    ):
        wanted = [TopicRequest(name=name) for name in names]
        request = DescribeTopicPartitionsRequest(
            topics=wanted, response_partition_limit=limit, cursor=cursor
        )
        play.ask(note, request, 0)


def bad_requests(play: Player) -> None:
    for note, frame in (
        ("a frame of no bytes", raw.i32(0)),
        ("a negative length", raw.i32(-1)),
        ("an API that is not", raw.request(999, 0, b"")),
        ("an API for brokers only", raw.request(7, 3, b"")),
        ("a version too new", raw.request(3, 99, b"")),
        ("a version below zero", raw.request(3, -1, b"")),
        ("a version that is gone", raw.request(1, 3, b"")),
        ("a body cut short", raw.request(3, 4, raw.i32(5))),
        ("a header cut short", raw.blob(b"\0\3\0")),
        ("an array of two billion", raw.request(3, 4, raw.i32((1 << 31) - 1))),
        ("bytes too many", raw.request(3, 4, raw.array([]) + b"\0" * 9)),
    ):
        play.exactly(note, frame)


SCENARIOS: Final[dict[str, Scenario]] = {
    "fetch_positions": fetch_positions,
    "fetch_limits": fetch_limits,
    "fetch_sessions": fetch_sessions,
    "list_offsets": list_offsets,
    "epoch_ends": epoch_ends,
    "delete_records": delete_records,
    "metadata": metadata,
    "topic_partitions": topic_partitions,
    "bad_requests": bad_requests,
}
