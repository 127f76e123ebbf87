"""Topics by id: Produce 13, Fetch 13 to 18, OffsetCommit 10, OffsetFetch 10 (KIP-516, KIP-848)."""

from uuid import UUID

import pytest
from tests.unit.broker.harness import Core, FakeCall, batch, fetch_answer, values_of

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.fetch import FetchPartition, FetchRequest, write_fetch_request
from tickertape.wire.frame import read_response_header
from tickertape.wire.primitives import ZERO_UUID
from tickertape.wire.produce import (
    PartitionProduce,
    PartitionProduced,
    ProduceRequest,
    read_produce_response,
    write_produce_request,
)
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from tickertape.wire.schema.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)

NOBODY = UUID(int=0x1234)
FETCHES = pytest.mark.parametrize("version", [13, 15, 18])


@pytest.fixture
def core() -> Core:
    core = Core()
    core.create("t", 2)
    return core


def id_of(core: Core, name: str) -> UUID:
    topic = core.broker.topics.get(name)
    assert topic is not None
    return topic.topic_id


def produce(core: Core, topic_id: UUID, index: int = 0) -> PartitionProduced:
    part = PartitionProduce(index, memoryview(batch("a", "b")))
    body = write_produce_request(13, ProduceRequest(None, -1, 9_000, [(topic_id, [part])]))
    frame = core.send(ApiKey.PRODUCE, 13, body).frame
    _, at = read_response_header(frame, ApiKey.PRODUCE, 13)
    ((answered, (out,)),) = read_produce_response(frame, at, 13).topics
    assert answered == topic_id
    return out


def fetch(core: Core, topic_id: UUID, version: int, wait_ms: int = 0) -> FakeCall:
    ask = FetchRequest(max_wait_ms=wait_ms, topics=[(topic_id, [FetchPartition(0)])])
    return core.send(ApiKey.FETCH, version, write_fetch_request(version, ask))


@FETCHES
def test_what_is_produced_by_id_is_fetched_by_id(core: Core, version: int) -> None:
    topic_id = id_of(core, "t")
    assert produce(core, topic_id).base_offset == 0
    ((answered, (out,)),) = fetch_answer(fetch(core, topic_id, version), version).topics
    assert answered == topic_id
    assert values_of(out) == ["a", "b"]


@pytest.mark.parametrize("topic_id", [NOBODY, ZERO_UUID])
def test_an_id_that_nobody_has(core: Core, topic_id: UUID) -> None:
    assert produce(core, topic_id).error == ErrorCode.UNKNOWN_TOPIC_ID
    ((_, (out,)),) = fetch_answer(fetch(core, topic_id, 13, wait_ms=500), 13).topics
    assert out.error == ErrorCode.UNKNOWN_TOPIC_ID


def test_a_partition_that_a_known_id_lacks(core: Core) -> None:
    assert produce(core, id_of(core, "t"), 7).error == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_a_topic_made_again_under_its_name_has_another_id(core: Core) -> None:
    """A producer and a long poll of the old topic must not reach the new one."""
    before = id_of(core, "t")
    call = fetch(core, before, 13, wait_ms=10_000)
    assert not call.answered
    topic = core.broker.topics.get("t")
    assert topic is not None
    core.broker.delete_topic(topic)
    core.create("t", 2)
    core.pass_ms(10_000)
    ((_, (out,)),) = fetch_answer(call, 13).topics
    assert out.error == ErrorCode.UNKNOWN_TOPIC_ID
    assert id_of(core, "t") != before
    assert produce(core, before).error == ErrorCode.UNKNOWN_TOPIC_ID


def commit(core: Core, *topic_ids: UUID) -> list[tuple[UUID, int]]:
    ask = OffsetCommitRequest(
        group_id="g",
        generation_id_or_member_epoch=-1,
        topics=[
            OffsetCommitRequestTopic(
                topic_id=topic_id,
                partitions=[OffsetCommitRequestPartition(partition_index=1, committed_offset=5)],
            )
            for topic_id in topic_ids
        ],
    )
    got = core.ask(ApiKey.OFFSET_COMMIT, 10, ask, OffsetCommitResponse)
    return [(each.topic_id, each.partitions[0].error_code) for each in got.topics]


def offsets(core: Core, *topic_ids: UUID) -> list[tuple[UUID, int, int]]:
    """Of all the group's topics if none is given."""
    topics = [OffsetFetchRequestTopics(topic_id=each, partition_indexes=[1]) for each in topic_ids]
    ask = OffsetFetchRequest(
        groups=[OffsetFetchRequestGroup(group_id="g", topics=topics or None)], require_stable=False
    )
    (group,) = core.ask(ApiKey.OFFSET_FETCH, 10, ask, OffsetFetchResponse).groups
    assert group.error_code == ErrorCode.NONE
    return [
        (each.topic_id, one.committed_offset, one.error_code)
        for each in group.topics
        for one in each.partitions
    ]


def test_offsets_by_id(core: Core) -> None:
    topic_id, unknown = id_of(core, "t"), ErrorCode.UNKNOWN_TOPIC_ID
    assert commit(core, NOBODY, topic_id) == [(NOBODY, unknown), (topic_id, ErrorCode.NONE)]
    want = [(topic_id, 5, ErrorCode.NONE)]
    assert offsets(core, topic_id, NOBODY) == [*want, (NOBODY, -1, unknown)]
    assert offsets(core) == want
