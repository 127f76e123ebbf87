"""What a broker does at the edges of the protocol, byte by byte, on ours and on Apache Kafka.

Error numbers are Kafka's (org.apache.kafka.common.protocol.Errors), spelt out here by hand.
"""

import socket

import pytest
from tests.interop import raw
from tests.interop.harness import Broker, create_topic, unique
from tests.interop.raw import (
    API_VERSIONS,
    FETCH,
    METADATA,
    PRODUCE,
    Batch,
    Produced,
    array,
    connected,
    i8,
    i16,
    i32,
    string,
)

OFFSET_OUT_OF_RANGE = 1
CORRUPT_MESSAGE = 2
UNKNOWN_TOPIC_OR_PARTITION = 3
MESSAGE_TOO_LARGE = 10
INVALID_TOPIC = 17
INVALID_REQUIRED_ACKS = 21
UNSUPPORTED_VERSION = 35
OUT_OF_ORDER_SEQUENCE_NUMBER = 45
INVALID_PRODUCER_EPOCH = 47
UNKNOWN_LEADER_EPOCH = 75
INVALID_TIMESTAMP = 32
INVALID_RECORD = 87


@pytest.fixture
def topic(target: Broker) -> str:
    return new_topic(target)


def new_topic(target: Broker, **config: str) -> str:
    settings = {key.replace("_", "."): value for key, value in config.items()}
    name = create_topic(target.bootstrap, unique("edge"), config=settings)
    raw.await_leader(target, name)
    return name


def alive(target: Broker) -> bool:
    with connected(target) as fresh:
        return fresh.ask(API_VERSIONS, 0, b"").i16() == 0


# -- ApiVersions -----------------------------------------------------------------------------------


def advertised(reader: raw.Reader) -> dict[int, tuple[int, int]]:
    ranges = {reader.i16(): (reader.i16(), reader.i16()) for _ in range(reader.i32())}
    reader.end()
    return ranges


def test_api_versions_v0_lists_the_ranges_and_produce_from_zero(target: Broker) -> None:
    with connected(target) as connection:
        reader = connection.ask(API_VERSIONS, 0, b"")
        assert reader.i16() == 0
        ranges = advertised(reader)
    assert ranges[PRODUCE][0] == 0, "else librdkafka before 2.11.1 stops compressing"
    assert ranges[API_VERSIONS][0] == 0
    for api in (FETCH, METADATA, raw.JOIN_GROUP, raw.OFFSET_FETCH, raw.INIT_PRODUCER_ID):
        assert api in ranges


@pytest.mark.parametrize("version", [1, 2])
def test_api_versions_v1_adds_the_throttle_time(target: Broker, version: int) -> None:
    with connected(target) as connection:
        reader = connection.ask(API_VERSIONS, version, b"")
        assert reader.i16() == 0
        assert len({reader.i16(): reader.i32() for _ in range(reader.i32())}) > 10
        assert reader.i32() == 0
        reader.end()


def test_api_versions_v3_is_flexible_but_its_response_header_has_no_tags(target: Broker) -> None:
    with connected(target) as connection:
        tagged = b"\x00" + b"\x04raw" + b"\x041.0" + b"\x00"
        reader = connection.ask(API_VERSIONS, 3, tagged)
        assert reader.i16() == 0, "the error code follows the correlation id at once"
        count = reader.take(1)[0] - 1
        assert count > 10
        assert reader.i16() == PRODUCE, "in the order of the keys"


def test_an_api_versions_version_from_the_future_is_answered_in_v0_with_35(target: Broker) -> None:
    with connected(target) as connection:
        reader = connection.ask(API_VERSIONS, 99, b"\x00\x04raw\x041.0\x00")
        assert reader.i16() == UNSUPPORTED_VERSION
        assert advertised(reader)[API_VERSIONS][1] >= 3
        again = connection.ask(API_VERSIONS, 0, b"")
        assert again.i16() == 0, "the client falls back on the same connection"


# -- frames ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(raw.request(32_000, 0, b""), id="unknown-api-key"),
        pytest.param(raw.request(METADATA, 99, array([])), id="unknown-version"),
        pytest.param(raw.request(FETCH, 0, b""), id="version-too-old"),
        pytest.param(i32(-1) + b"\x00" * 8, id="negative-length"),
        pytest.param(i32(2_000_000_000) + b"\x00" * 8, id="absurd-length"),
        pytest.param(i32(0), id="empty-frame"),
        pytest.param(i32(3) + b"\x00\x03\x00", id="frame-shorter-than-a-header"),
        pytest.param(raw.request(METADATA, 1, i32(1) + i16(500) + b"abc"), id="string-too-long"),
        pytest.param(raw.request(METADATA, 1, i32(2_000_000_000)), id="array-too-long"),
        pytest.param(raw.request(PRODUCE, 7, b"\x00"), id="body-cut-short"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", id="another-protocol"),
    ],
)
def test_a_frame_that_makes_no_sense_closes_its_connection_only(
    target: Broker, frame: bytes
) -> None:
    with connected(target) as connection, connected(target) as other:
        connection.send(frame)
        assert connection.closed_by_peer()
        assert other.ask(API_VERSIONS, 0, b"").i16() == 0
    assert alive(target)


def test_a_client_that_sends_one_byte_at_a_time_is_served(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        body = raw.produce_body(topic, Batch().encoded())
        for at in (frame := raw.request(PRODUCE, 7, body)):
            connection.send(bytes([at]))
        answered, reader = connection.read()
        assert answered == 7
        assert raw.read_produced(reader, topic) == Produced(0, 0)
        assert len(frame) > 100


def test_requests_sent_together_are_answered_in_their_order(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        waits = raw.fetch_body(topic, 0, wait_ms=300, min_bytes=1)
        frames = [raw.request(FETCH, 9, waits, 1), raw.request(API_VERSIONS, 0, b"", 2)]
        frames += [raw.request(METADATA, 1, array([string(topic)]), n) for n in range(3, 20)]
        connection.send(b"".join(frames))
        assert [connection.read()[0] for _ in frames] == list(range(1, 20))


def test_a_client_that_says_half_and_leaves_does_no_harm(target: Broker, topic: str) -> None:
    frame = raw.request(PRODUCE, 7, raw.produce_body(topic, Batch().encoded()))
    for cut in (1, 4, 9, len(frame) - 1):
        with connected(target) as connection:
            connection.send(frame[:cut])
    with connected(target) as connection:
        connection.send(frame)
        connection.sock.shutdown(socket.SHUT_WR)
        assert raw.end_offset_settles(target, topic) == 1


def test_hundreds_of_silent_connections_are_held_beside_a_working_one(target: Broker) -> None:
    silent = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(300)]
    try:
        assert alive(target)
    finally:
        for sock in silent:
            sock.close()


# -- produce ---------------------------------------------------------------------------------------


def test_an_old_produce_that_is_advertised_is_not_served(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        body = i16(1) + i32(1000) + array([string(topic) + array([i32(0) + raw.blob(b"")])])
        connection.send(raw.request(PRODUCE, 0, body))
        assert connection.closed_by_peer()


def test_acks_zero_is_not_answered_and_stored(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        body = raw.produce_body(topic, Batch(values=[b"a", b"b"]).encoded(), acks=0)
        connection.send(raw.request(PRODUCE, 7, body))
        assert connection.ask(API_VERSIONS, 0, b"").i16() == 0, "the next answer is the next one's"
        assert raw.end_offset_settles(target, topic, want=2) == 2


@pytest.mark.parametrize("fault", ["unknown partition", "corrupt batch"])
def test_acks_zero_that_fails_closes_the_connection(target: Broker, topic: str, fault: str) -> None:
    with connected(target) as connection:
        batch = Batch(crc_flip=1 if fault == "corrupt batch" else 0).encoded()
        partition = 77 if fault == "unknown partition" else 0
        body = raw.produce_body(topic, batch, acks=0, partition=partition)
        connection.send(raw.request(PRODUCE, 7, body))
        assert connection.closed_by_peer()


@pytest.mark.parametrize(
    ("acks", "error"), [(1, 0), (-1, 0), (2, INVALID_REQUIRED_ACKS), (-2, INVALID_REQUIRED_ACKS)]
)
def test_acks_are_zero_one_or_all(target: Broker, topic: str, acks: int, error: int) -> None:
    with connected(target) as connection:
        assert raw.produce(connection, topic, Batch(), acks=acks).error == error
        if error == 0:
            # acks=1 is answered once it is written; it is readable, hence listed, once durable
            raw.end_offset_settles(target, topic)
        else:
            assert raw.end_offset(connection, topic) == 0


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        pytest.param(Batch(crc_flip=1), CORRUPT_MESSAGE, id="wrong-crc"),
        pytest.param(Batch(magic=1), INVALID_RECORD, id="magic-1"),
        pytest.param(Batch(magic=3), CORRUPT_MESSAGE, id="magic-3"),
        pytest.param(Batch(count=5), INVALID_RECORD, id="count-is-a-lie"),
        pytest.param(Batch(attributes=0x20), INVALID_RECORD, id="control-batch"),
        pytest.param(Batch(producer_id=7), INVALID_RECORD, id="producer-without-sequence"),
        pytest.param(Batch(timestamp=4_000_000_000_000), INVALID_TIMESTAMP, id="from-the-future"),
    ],
)
def test_a_bad_batch_is_refused_and_not_stored(
    target: Broker, topic: str, batch: Batch, error: int
) -> None:
    with connected(target) as connection:
        assert raw.produce(connection, topic, batch).error == error
        assert raw.produce(connection, topic, Batch()) == Produced(0, 0), "nothing was stored"


@pytest.mark.parametrize(
    ("records", "error"),
    [
        pytest.param(Batch().encoded() * 2, INVALID_RECORD, id="two-batches"),
        pytest.param(b"", INVALID_RECORD, id="empty"),
        pytest.param(Batch().encoded()[:-1], INVALID_RECORD, id="cut-short"),
        pytest.param(b"\x0c" * 80, CORRUPT_MESSAGE, id="noise"),
    ],
)
def test_records_that_are_not_one_batch_are_refused(
    target: Broker, topic: str, records: bytes, error: int
) -> None:
    with connected(target) as connection:
        reader = connection.ask(PRODUCE, 7, raw.produce_body(topic, records))
        assert raw.read_produced(reader, topic).error == error
        assert raw.end_offset(connection, topic) == 0


def test_the_size_limit_is_that_of_the_batch_and_inclusive(target: Broker) -> None:
    size = len(Batch(values=[b"x" * 1000]).encoded())
    limited = new_topic(target, max_message_bytes=str(size))
    with connected(target) as connection:
        assert (
            raw.produce(connection, limited, Batch(values=[b"x" * 1001])).error == MESSAGE_TOO_LARGE
        )
        assert raw.produce(connection, limited, Batch(values=[b"x" * 1000])) == Produced(0, 0)


def test_a_record_without_key_cannot_enter_a_compacted_topic(target: Broker) -> None:
    compacted = new_topic(target, cleanup_policy="compact")
    with connected(target) as connection:
        assert raw.produce(connection, compacted, Batch(key=None)).error == INVALID_RECORD
        assert raw.produce(connection, compacted, Batch(key=b"k")) == Produced(0, 0)


def test_produce_to_a_topic_or_partition_that_is_not_there(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        absent = raw.produce(connection, unique("absent"), Batch())
        assert absent.error == UNKNOWN_TOPIC_OR_PARTITION, (
            "metadata creates topics, produce does not"
        )
        beyond = raw.produce(connection, topic, Batch(), partition=9)
        assert beyond.error == UNKNOWN_TOPIC_OR_PARTITION


# -- idempotence -----------------------------------------------------------------------------------


class Sender:
    """An idempotent producer that numbers its batches as it is told."""

    def __init__(self, connection: raw.Connection, topic: str) -> None:
        self.connection, self.topic = connection, topic
        self.producer_id, self.epoch = raw.new_producer_id(connection)

    def send(self, sequence: int, count: int = 1, epoch: int | None = None) -> Produced:
        batch = Batch(
            values=[b"%d" % n for n in range(sequence, sequence + count)],
            producer_id=self.producer_id,
            producer_epoch=self.epoch if epoch is None else epoch,
            base_sequence=sequence,
        )
        return raw.produce(self.connection, self.topic, batch)


def test_a_batch_that_was_stored_is_answered_again_with_its_first_offset(
    target: Broker, topic: str
) -> None:
    with connected(target) as connection:
        sender = Sender(connection, topic)
        first = [sender.send(sequence, 2) for sequence in range(0, 10, 2)]
        assert first == [Produced(0, offset) for offset in range(0, 10, 2)]
        assert [sender.send(sequence, 2) for sequence in range(0, 10, 2)] == first
        assert raw.end_offset(connection, topic) == 10
        assert sender.send(10, 2) == Produced(0, 10)
        assert sender.send(0, 2).error == OUT_OF_ORDER_SEQUENCE_NUMBER, "five are remembered"


def test_a_gap_or_an_overlap_in_the_sequence_is_out_of_order(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        sender = Sender(connection, topic)
        assert sender.send(0, 3) == Produced(0, 0)
        assert sender.send(4).error == OUT_OF_ORDER_SEQUENCE_NUMBER
        assert sender.send(1, 2).error == OUT_OF_ORDER_SEQUENCE_NUMBER, "a part of a batch"
        assert sender.send(2, 2).error == OUT_OF_ORDER_SEQUENCE_NUMBER
        assert sender.send(3) == Produced(0, 3)


def test_a_new_epoch_starts_at_zero_and_fences_the_old_one(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        sender = Sender(connection, topic)
        assert sender.send(0, 3) == Produced(0, 0)
        assert sender.send(3, epoch=1).error == OUT_OF_ORDER_SEQUENCE_NUMBER
        assert sender.send(0, epoch=1) == Produced(0, 3)
        assert sender.send(3, epoch=0).error == INVALID_PRODUCER_EPOCH


def test_the_sequence_wraps_to_zero_after_the_largest_int(target: Broker, topic: str) -> None:
    largest = (1 << 31) - 1
    with connected(target) as connection:
        sender = Sender(connection, topic)
        # a producer whose state the broker has not may start anywhere (Produce below v12)
        assert sender.send(largest - 1) == Produced(0, 0)
        assert sender.send(largest, 3) == Produced(0, 1), "largest, 0, 1"
        assert sender.send(2) == Produced(0, 4)
        assert sender.send(largest, 3) == Produced(0, 1), "a duplicate across the wrap"


# -- fetch -----------------------------------------------------------------------------------------


def test_a_fetch_inside_a_batch_returns_the_whole_batch(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        raw.produce(connection, topic, Batch(values=[b"a"]))
        raw.produce(connection, topic, Batch(values=[b"b", b"c", b"d"]))
        fetched = raw.fetch(connection, topic, 3)
    assert (fetched.error, fetched.high_watermark) == (0, 4)
    assert int.from_bytes(fetched.records[:8], "big") == 1, "base offset of the batch that holds 3"
    sent = Batch(values=[b"b", b"c", b"d"]).encoded()
    assert fetched.records[16:] == sent[16:], "bytes from the magic on are as sent"


def test_a_fetch_gives_one_whole_batch_however_small_its_limit(target: Broker, topic: str) -> None:
    batch = Batch(values=[b"x" * 5000])
    with connected(target) as connection:
        for _ in range(3):
            raw.produce(connection, topic, batch)
        one = raw.fetch(connection, topic, 0, max_bytes=1)
        assert len(one.records) == len(batch.encoded())
        more = raw.fetch(connection, topic, 0, max_bytes=len(batch.encoded()) * 2)
        assert len(more.records) == len(batch.encoded()) * 2


@pytest.mark.parametrize(
    ("offset", "error"), [(-1, OFFSET_OUT_OF_RANGE), (0, 0), (1, 0), (2, OFFSET_OUT_OF_RANGE)]
)
def test_a_fetch_must_lie_within_the_log(
    target: Broker, topic: str, offset: int, error: int
) -> None:
    with connected(target) as connection:
        raw.produce(connection, topic, Batch())
        fetched = raw.fetch(connection, topic, offset)
        assert fetched.error == error
        assert bool(fetched.records) == (offset == 0)


def test_a_fetch_names_the_leader_epoch_it_believes_in(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        raw.produce(connection, topic, Batch())
        assert raw.fetch(connection, topic, 0, leader_epoch=0).error == 0
        assert raw.fetch(connection, topic, 0, leader_epoch=9).error == UNKNOWN_LEADER_EPOCH


def test_a_waiting_fetch_is_answered_by_the_record_that_comes(target: Broker, topic: str) -> None:
    with connected(target) as waits, connected(target) as sends:
        body = raw.fetch_body(topic, 0, wait_ms=40_000, min_bytes=1)
        waits.send(raw.request(FETCH, 9, body))
        assert sends.ask(API_VERSIONS, 0, b"").i16() == 0
        raw.produce(sends, topic, Batch(values=[b"now"]))
        waits.sock.settimeout(30)
        assert raw.read_fetched(waits.read()[1], topic).high_watermark == 1


# -- offsets, metadata, groups ---------------------------------------------------------------------


def test_list_offsets_finds_start_end_and_time(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        for n in range(4):
            raw.produce(connection, topic, Batch(timestamp=1_600_000_000_000 + n * 10))
        assert raw.end_offset(connection, topic, -2) == 0
        assert raw.end_offset(connection, topic, -1) == 4
        assert raw.end_offset(connection, topic, 1_600_000_000_011) == 2
        assert raw.end_offset(connection, topic, 1_600_000_000_031) == -1


def metadata_errors(connection: raw.Connection, topics: bytes, *, create: bool) -> dict[str, int]:
    """Metadata v4: topic -> error."""
    reader = connection.ask(METADATA, 4, topics + i8(int(create)))
    reader.i32()  # throttle time
    for _ in range(reader.i32()):
        reader.i32(), reader.string(), reader.i32(), reader.string()
    reader.string()  # cluster id
    reader.i32()  # controller
    errors = {}
    for _ in range(reader.i32()):
        error, name = reader.i16(), reader.string() or ""
        reader.i8()  # internal
        for _ in range(reader.i32()):
            reader.take(2 + 4 + 4)
            for _ in range(2):
                reader.take(4 * reader.i32())
        errors[name] = error
    reader.end()
    return errors


def test_metadata_of_all_of_none_and_of_what_is_not_there(target: Broker, topic: str) -> None:
    with connected(target) as connection:
        assert metadata_errors(connection, i32(-1), create=False)[topic] == 0
        assert metadata_errors(connection, i32(0), create=False) == {}
        absent = unique("absent")
        asked = array([string(absent), string("bad/name")])
        assert metadata_errors(connection, asked, create=False) == {
            absent: UNKNOWN_TOPIC_OR_PARTITION,
            "bad/name": INVALID_TOPIC,
        }
        assert absent not in metadata_errors(connection, i32(-1), create=False)


def test_a_member_needs_an_id_before_it_joins(target: Broker) -> None:
    group = unique("raw")
    with connected(target) as connection:
        raw.await_coordinator(connection, group)
        reader = connection.ask(raw.JOIN_GROUP, 4, join_body(group))
        reader.i32()  # throttle time
        assert reader.i16() == 79, "MEMBER_ID_REQUIRED"
        reader.i32(), reader.string(), reader.string()
        member = reader.string()
        assert member is not None
        assert member.startswith("raw-")
        joined = connection.ask(raw.JOIN_GROUP, 4, join_body(group, member=member))
        joined.i32()  # throttle time
        assert joined.i16() == 0
        assert joined.i32() == 1, "the first generation"
        assert joined.string() == "range"
        assert (joined.string(), joined.string()) == (member, member), "leads the group"


def join_body(group: str, *, member: str = "", session_ms: int = 10_000) -> bytes:
    """JoinGroup v1 to v4."""
    who = string(group) + i32(session_ms) + i32(10_000) + string(member) + string("consumer")
    subscription = i16(0) + array([string("some-topic")]) + raw.blob(None)
    return who + array([string("range") + raw.blob(subscription)])


@pytest.mark.parametrize(
    ("group", "session_ms", "error"),
    [("", 10_000, 24), ("raw-group", 1, 26), ("raw-group", 99_000_000, 26)],
    ids=["no-group-id", "session-too-short", "session-too-long"],
)
def test_a_join_that_cannot_be_is_refused(
    target: Broker, group: str, session_ms: int, error: int
) -> None:
    with connected(target) as connection:
        raw.await_coordinator(connection, "raw-group")
        reader = connection.ask(raw.JOIN_GROUP, 4, join_body(group, session_ms=session_ms))
        reader.i32()  # throttle time
        assert reader.i16() == error


def test_calls_of_a_member_that_nobody_knows(target: Broker, topic: str) -> None:
    group = unique("raw")
    who = string(group) + i32(3) + string("nobody")
    offsets = array([string(topic) + array([i32(0) + raw.i64(5) + string("")])])
    with connected(target) as connection:
        raw.await_coordinator(connection, group)
        heartbeat = connection.ask(raw.HEARTBEAT, 0, who)
        assert heartbeat.i16() == 25, "UNKNOWN_MEMBER_ID"
        sync = connection.ask(raw.SYNC_GROUP, 0, who + array([]))
        assert sync.i16() == 25
        leave = connection.ask(raw.LEAVE_GROUP, 0, string(group) + string("nobody"))
        assert leave.i16() == 25
        commit = connection.ask(raw.OFFSET_COMMIT, 2, who + raw.i64(-1) + offsets)
        commit.i32(), commit.string(), commit.i32(), commit.i32()
        assert commit.i16() == 22, "ILLEGAL_GENERATION: there is no such group"


def test_offsets_of_a_group_that_never_committed_are_minus_one(target: Broker, topic: str) -> None:
    group = unique("raw")
    with connected(target) as connection:
        raw.await_coordinator(connection, group)
        body = string(group) + array([string(topic) + array([i32(0)])])
        reader = connection.ask(raw.OFFSET_FETCH, 1, body)
        assert (reader.i32(), reader.string(), reader.i32(), reader.i32()) == (1, topic, 1, 0)
        assert (reader.i64(), reader.string(), reader.i16()) == (-1, "", 0)
        reader.end()


@pytest.mark.parametrize(
    ("asked", "error", "epoch", "end"),
    [(0, 0, 0, 2), (5, 0, -1, -1)],
    ids=["the-current-epoch", "an-epoch-of-the-future"],
)
def test_the_end_of_a_leader_epoch(
    target: Broker, topic: str, asked: int, error: int, epoch: int, end: int
) -> None:
    with connected(target) as connection:
        raw.produce(connection, topic, Batch(values=[b"a", b"b"]))
        body = array([string(topic) + array([i32(0) + i32(-1) + i32(asked)])])
        reader = connection.ask(raw.OFFSET_FOR_LEADER_EPOCH, 2, body)
        reader.i32()  # throttle time
        assert (reader.i32(), reader.string(), reader.i32()) == (1, topic, 1)
        assert (reader.i16(), reader.i32(), reader.i32(), reader.i64()) == (error, 0, epoch, end)
        reader.end()
