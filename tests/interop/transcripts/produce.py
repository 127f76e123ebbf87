"""Produce: sequence numbers, batches that are not what they say, records that a topic refuses."""

import struct
from typing import Final

from crc32c import crc32c
from tests.interop import raw
from tests.interop.raw import Batch
from tests.interop.transcripts.player import Player, Scenario

from tickertape.wire.schema.init_producer_id import InitProducerIdRequest

PRODUCE_VERSIONS: Final = (3, 8, 11)
"""Where its answer or its encoding changed; 12 is transactions v2."""
LARGEST: Final = (1 << 31) - 1


class Sender:
    """An idempotent producer that numbers its batches as it is told."""

    def __init__(self, play: Player, topic: str, version: int = 11) -> None:
        self.play, self.topic, self.version = play, topic, version
        anonymous = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
        granted = play.ask("a producer id", anonymous, 3)
        assert granted.error_code == 0  # or nothing below is numbered
        self.producer_id = granted.producer_id

    def send(self, note: str, sequence: int, count: int = 1, *, epoch: int = 0) -> None:
        self.play.produce(
            note, self.topic, self.batch(sequence, count, epoch), version=self.version
        )

    def batch(self, sequence: int, count: int = 1, epoch: int = 0) -> Batch:
        values = [b"%d" % n for n in range(count)]
        return Batch(
            values=values,
            producer_id=self.producer_id,
            producer_epoch=epoch,
            base_sequence=sequence,
        )


def duplicates_and_gaps(play: Player) -> None:
    for version in PRODUCE_VERSIONS:
        sender = Sender(play, play.topic(f"dups.v{version}"), version)
        for n in range(6):
            sender.send(f"batch {n}", 2 * n, 2)
        sender.send("the last again", 10, 2)
        sender.send("the second of five again", 4, 2)
        sender.send("one that is forgotten", 0, 2)
        sender.send("a gap", 13)
        sender.send("a part of a batch", 10)
        sender.send("an overlap", 11, 2)
        sender.send("the next", 12)
        play.fetch("everything", sender.topic, 0)


def producer_epochs(play: Player) -> None:
    sender = Sender(play, play.topic("epochs"))
    sender.send("first", 0, 3)
    sender.send("a new epoch, not from zero", 3, epoch=1)
    sender.send("a new epoch", 0, epoch=1)
    sender.send("the old epoch", 3, epoch=0)
    sender.send("a duplicate of the old epoch", 0, 3, epoch=0)
    sender.send("a duplicate of the new epoch", 0, epoch=1)
    sender.send("two epochs further", 0, epoch=3)
    sender.send("the largest epoch", 0, epoch=32767)
    play.fetch("everything", sender.topic, 0)


def sequence_wrap(play: Player) -> None:
    for version in (7, 11):
        sender = Sender(play, play.topic(f"wrap.v{version}"), version)
        sender.send("unknown producer near the end", LARGEST - 1)
        sender.send("across the wrap", LARGEST, 3)
        sender.send("after it", 2)
        sender.send("a duplicate across", LARGEST, 3)
        sender.send("a gap after", 4)


def unknown_producers(play: Player) -> None:
    for version in PRODUCE_VERSIONS:
        topic = play.topic(f"unknown.v{version}")
        for note, producer, epoch, sequence in (
            ("never handed out, from zero", 900_001, 0, 0),
            ("never handed out, from the middle", 900_002, 0, 7),
            ("a later epoch", 900_003, 5, 0),
            ("without sequence", 900_005, 0, -1),
            ("epoch without producer", -1, 3, -1),
            ("sequence without producer", -1, -1, 3),
        ):
            batch = Batch(producer_id=producer, producer_epoch=epoch, base_sequence=sequence)
            play.produce(note, topic, batch, version=version)
        alone = play.topic(f"no-epoch.v{version}")
        batch = Batch(producer_id=900_004, base_sequence=0)
        play.produce("without epoch", alone, batch, version=version)


def several_batches(play: Player) -> None:
    topic = play.topic("several")
    sender = Sender(play, topic)
    play.produce("two of one producer", topic, [sender.batch(0), sender.batch(1)])
    play.produce("two without producer", topic, [Batch(), Batch()])
    play.produce("one and noise", topic, [Batch(), b"\0" * 20])
    sender.send("the first sequence is still free", 0)
    play.fetch("everything", topic, 0)
    play.produce("one and a half", topic, [Batch(), Batch().encoded()[:30]])


def crc_of(records: bytes) -> bytes:
    """The batch with a CRC that fits whatever was done to it."""
    crc = struct.pack(">I", crc32c(records[21:]))
    return records[:17] + crc + records[21:]


def malformed_batches(play: Player) -> None:
    whole = Batch(values=[b"one", b"two"]).encoded()
    for version in PRODUCE_VERSIONS:
        topic = play.topic(f"bad.v{version}")
        for note, records in (
            ("no bytes", b""),
            ("a wrong CRC", Batch(crc_flip=1)),
            ("magic 0", Batch(magic=0)),
            ("magic 1", Batch(magic=1)),
            ("magic 3", Batch(magic=3)),
            ("magic -1", Batch(magic=-1)),
            ("more records than there are", Batch(count=5)),
            ("fewer records than there are", Batch(values=[b"a", b"b"], count=1)),
            ("no records", Batch(count=0)),
            ("minus one records", Batch(count=-1)),
            ("a control batch", Batch(attributes=0x20)),
            ("transactional without a producer", Batch(attributes=0x10)),
            ("compression 5", Batch(attributes=5)),
            ("compression 7", Batch(attributes=7)),
            ("cut short by one", whole[:-1]),
            ("only a header", whole[:61]),
            ("less than a header", whole[:30]),
            ("noise", b"\x0c" * 80),
            ("length zero", whole[:8] + raw.i32(0) + whole[12:]),
            ("length minus one", whole[:8] + raw.i32(-1) + whole[12:]),
            ("length beyond the end", whole[:8] + raw.i32(10_000) + whole[12:]),
            ("a last offset delta too high", crc_of(whole[:23] + raw.i32(7) + whole[27:])),
            ("a base offset", Batch(base_offset=41)),
        ):
            play.produce(note, topic, records, version=version)
        play.fetch("what was stored", topic, 0)
        false = play.topic(f"false.v{version}")
        for codec, name in enumerate(("gzip", "snappy", "lz4", "zstd"), 1):
            batch = Batch(attributes=codec)
            play.produce(f"{name} that is none", false, batch, version=version)


def what_a_topic_refuses(play: Player) -> None:
    size = len(Batch(values=[b"x" * 1000]).encoded())
    compacted = play.topic("compacted", cleanup_policy="compact")
    both = play.topic("both", cleanup_policy="compact,delete")
    small = play.topic("small", max_message_bytes=str(size))
    timed = play.topic(
        "timed", message_timestamp_before_max_ms="1000", message_timestamp_after_max_ms="1000"
    )
    for version in PRODUCE_VERSIONS:
        for note, topic, batch in (
            ("without key, compacted", compacted, Batch(key=None)),
            ("with key, compacted", compacted, Batch()),
            ("without key, compacted and deleted", both, Batch(key=None)),
            ("the largest", small, Batch(values=[b"x" * 1000])),
            ("too large", small, Batch(values=[b"x" * 1001])),
            ("too old", timed, Batch()),
            ("too new", timed, Batch(timestamp=4_000_000_000_000)),
            ("without timestamp", timed, Batch(timestamp=-1)),
        ):
            play.produce(note, topic, batch, version=version)
        absent = play.name("absent")
        play.produce("an unknown topic", absent, Batch(), version=version)
        play.produce("an unknown partition", small, Batch(), partition=9, version=version)
        play.produce("an invalid topic", "bad/name", Batch(), version=version)
        play.produce("a partition below zero", small, Batch(), partition=-1, version=version)
        for acks in (2, -2):
            play.produce(f"acks={acks}", small, Batch(), acks=acks, version=version)
        play.produce("acks=1", small, Batch(), acks=1, version=version)


def unanswered(play: Player) -> None:
    """acks=0: nothing is said, and hanging up is the only way to tell of an error."""
    topic, compacted = play.topic("told"), play.topic("told-keys", cleanup_policy="compact")
    for version in PRODUCE_VERSIONS:
        for note, where, batch, partition in (
            ("a record", topic, Batch(), 0),
            ("a wrong CRC", topic, Batch(crc_flip=1), 0),
            ("magic 1", topic, Batch(magic=1), 0),
            ("an unknown topic", play.name("absent"), Batch(), 0),
            ("an unknown partition", topic, Batch(), 9),
            ("without key, compacted", compacted, Batch(key=None), 0),
            (
                "not from zero",
                topic,
                Batch(producer_id=900_009, producer_epoch=0, base_sequence=4),
                0,
            ),
            (
                "transactional",
                topic,
                Batch(attributes=0x10, producer_id=9, producer_epoch=0, base_sequence=0),
                0,
            ),
        ):
            play.silently(f"{note}, acks=0", where, batch, version, partition)
    raw.end_offset_settles(play.broker, topic, want=len(PRODUCE_VERSIONS) + 1)
    play.fetch("what was stored", topic, 0)


SCENARIOS: Final[dict[str, Scenario]] = {
    "duplicates_and_gaps": duplicates_and_gaps,
    "producer_epochs": producer_epochs,
    "sequence_wrap": sequence_wrap,
    "unknown_producers": unknown_producers,
    "several_batches": several_batches,
    "malformed_batches": malformed_batches,
    "unanswered": unanswered,
    "what_a_topic_refuses": what_a_topic_refuses,
}
