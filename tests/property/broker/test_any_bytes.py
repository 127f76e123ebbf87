"""Whatever a peer sends: an answer, silence, or PeerError. The broker and its data are unharmed."""

from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.broker.harness import Core, FakeCall, batch, fetched, produced, values_of

from tickertape.base.errors import PeerError
from tickertape.broker.api.dispatch import handle
from tickertape.broker.api.table import HANDLERS
from tickertape.broker.state.settings import BrokerSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.fetch import FetchPartition, FetchRequest, write_fetch_request
from tickertape.wire.frame import RequestHeader, write_request_header
from tickertape.wire.message import Message
from tickertape.wire.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    write_metadata_request,
)
from tickertape.wire.produce import PartitionProduce, ProduceRequest, write_produce_request
from tickertape.wire.schema.create_topics import CreatableTopic, CreateTopicsRequest
from tickertape.wire.schema.find_coordinator import FindCoordinatorRequest
from tickertape.wire.schema.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from tickertape.wire.schema.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup

TOPIC: Final = "t"


def fresh() -> Core:
    # Few partitions and no creation: what is looked for is a wrong state, not many right ones.
    core = Core(BrokerSettings(partitions_max=4, offsets_topic_num_partitions=2))
    core.create(TOPIC)
    core.produce(TOPIC, batch("a", "b"))
    return core


def offer(core: Core, frame: bytes) -> None:
    """Hand the frame over; at most one outcome, and no other error than PeerError."""
    call = FakeCall()
    try:
        handle(core.broker, memoryview(frame), call)
    except PeerError:
        assert not call.answered
    core.sync()
    core.clock.advance(min(core.broker.tick(), 1_000))
    core.broker.tick()


def assert_unharmed(core: Core) -> None:
    """The topic still has its records, first of all, and takes more."""
    assert values_of(fetched(core.fetch(TOPIC, 0)))[:2] == ["a", "b"]
    end = fetched(core.fetch(TOPIC, 0)).high_watermark
    assert produced(core.produce(TOPIC, batch("z"))).base_offset == end
    core.crash()
    assert fetched(core.fetch(TOPIC, 0)).high_watermark == end + 1


def header(key: int, version: int) -> bytes:
    return write_request_header(RequestHeader(key, version, 1, "fuzz"))


def messages() -> list[tuple[ApiKey, int, Message]]:
    part = OffsetCommitRequestPartition(partition_index=0, committed_offset=1)
    return [
        (
            ApiKey.CREATE_TOPICS,
            5,
            CreateTopicsRequest(
                topics=[CreatableTopic(name="n", num_partitions=1, replication_factor=1)]
            ),
        ),
        (ApiKey.FIND_COORDINATOR, 4, FindCoordinatorRequest(coordinator_keys=["g"])),
        (
            ApiKey.JOIN_GROUP,
            3,
            JoinGroupRequest(
                group_id="g",
                session_timeout_ms=10_000,
                rebalance_timeout_ms=10_000,
                protocol_type="consumer",
                protocols=[JoinGroupRequestProtocol(name="range", metadata=b"x")],
            ),
        ),
        (
            ApiKey.OFFSET_COMMIT,
            8,
            OffsetCommitRequest(
                group_id="g", topics=[OffsetCommitRequestTopic(name=TOPIC, partitions=[part])]
            ),
        ),
        (
            ApiKey.OFFSET_FETCH,
            8,
            OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id="g", topics=None)]),
        ),
    ]


def good_frames() -> list[bytes]:
    frames = [header(key, version) + m.encode(version) for key, version, m in messages()]
    for version in (5, 12):
        named = MetadataRequest([MetadataRequestTopic(TOPIC)])
        frames.append(header(ApiKey.METADATA, version) + write_metadata_request(version, named))
    for version in (3, 9):
        view = memoryview(batch("c", producer_id=5, producer_epoch=0, base_sequence=0))
        ask = ProduceRequest(None, -1, 1_000, [(TOPIC, [PartitionProduce(0, view)])])
        frames.append(header(ApiKey.PRODUCE, version) + write_produce_request(version, ask))
    for version in (4, 12):
        wanted = FetchRequest(topics=[(TOPIC, [FetchPartition(index=0)])])
        frames.append(header(ApiKey.FETCH, version) + write_fetch_request(version, wanted))
    return frames


GOOD: Final = good_frames()
ANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@ANY
@given(frames=st.lists(st.binary(max_size=60), min_size=1, max_size=10))
def test_any_bytes(frames: list[bytes]) -> None:
    core = fresh()
    for frame in frames:
        offer(core, frame)
    assert_unharmed(core)


@ANY
@given(
    key=st.sampled_from(sorted(HANDLERS)),
    bodies=st.lists(st.binary(max_size=80), min_size=1, max_size=10),
    data=st.data(),
)
def test_any_body_of_a_known_request(key: int, bodies: list[bytes], data: st.DataObject) -> None:
    core = fresh()
    route = HANDLERS[key]
    for body in bodies:
        version = data.draw(st.integers(route.first, route.last))
        offer(core, header(key, version) + body)
    assert_unharmed(core)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good frame with some bytes changed, cut, or put in. Its API key stays."""
    frame = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(2, len(frame) - 1)) if len(frame) > 3 else 2
        match draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                frame[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del frame[at:]
            case _:
                frame[at:at] = draw(st.binary(max_size=4))
    return bytes(frame)


@settings(ANY, max_examples=120)
@given(frames=st.lists(damaged(), min_size=1, max_size=8))
def test_damaged_requests(frames: list[bytes]) -> None:
    core = fresh()
    for frame in frames:
        offer(core, frame)
    assert_unharmed(core)
