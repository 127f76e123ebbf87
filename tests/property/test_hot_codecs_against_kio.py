"""Produce, Fetch and Metadata, by hand, against kio: same bytes and values in every version."""

import contextlib
import datetime as dt
import importlib
import io
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i32Timedelta

from tickertape.wire import fetch as f
from tickertape.wire import metadata as md
from tickertape.wire import produce as p
from tickertape.wire.fetch import FetchedPartition, FetchPartition, FetchRequest, FetchResponse
from tickertape.wire.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from tickertape.wire.parts import FileSlice, part_bytes, part_size
from tickertape.wire.primitives import ZERO_UUID, DecodeError
from tickertape.wire.produce import (
    PartitionProduce,
    PartitionProduced,
    ProduceRequest,
    ProduceResponse,
)

PRODUCE_VERSIONS = range(3, 14)
FETCH_VERSIONS = range(4, 19)
METADATA_VERSIONS = range(13)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

I8 = st.integers(-128, 127)
I16 = st.integers(-(1 << 15), (1 << 15) - 1)
I32 = st.integers(-(1 << 31), (1 << 31) - 1)
I64 = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
BLOB = st.binary(max_size=300)
ERRORS = st.sampled_from([code.value for code in ErrorCode])


def topics(partition: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[str, list[Any]]]]:
    return st.lists(st.tuples(TEXT, st.lists(partition, max_size=3)), max_size=3)


def keyed(version: int, topics_: list[tuple[Any, list[Any]]]) -> list[tuple[Any, list[Any]]]:
    """The topics as that version knows them: from 13 on by id, here made from the name."""
    if version < 13:
        return topics_
    return [(uuid.uuid5(uuid.NAMESPACE_DNS, name), ones) for name, ones in topics_]


def key_of(version: int) -> Any:  # noqa: ANN401  # a name or an id
    return "t" if version < 13 else uuid.UUID(int=7)


def kio(api: str, version: int, side: str) -> Any:  # noqa: ANN401  # one module per version
    return importlib.import_module(f"kio.schema.{api}.v{version}.{side}")


def kio_bytes(entity: Any) -> bytes:  # noqa: ANN401  # any kio entity
    out = io.BytesIO()
    entity_writer(type(entity))(out, entity)
    return out.getvalue()


def kio_read(cls: Any, data: bytes) -> Any:  # noqa: ANN401  # any kio entity
    entity, size = entity_reader(cls)(data, 0)
    assert size == len(data)
    return entity


def view(data: bytes) -> memoryview:
    return memoryview(data)


def ms(count: int) -> i32Timedelta:
    return i32Timedelta.parse(dt.timedelta(milliseconds=count))


def refuses_every_prefix(read: Any, data: bytes, version: int) -> None:  # noqa: ANN401  # a reader
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            read(memoryview(data)[:end], 0, version)


def refuses_all_but_itself(read: Any, data: bytes, version: int) -> None:  # noqa: ANN401  # same
    refuses_every_prefix(read, data, version)
    with pytest.raises(DecodeError, match="ends at byte"):
        read(memoryview(data + b"\0"), 0, version)


def ignores_leftovers(read: Any, data: bytes, version: int) -> None:  # noqa: ANN401  # same
    """Requests, as in Kafka: librdkafka's Metadata request has bytes to spare."""
    refuses_every_prefix(read, data, version)
    longer = read(memoryview(data + b"\0\0\0"), 0, version)
    assert longer == read(memoryview(data), 0, version)


class MemoryFile:
    """A file of given bytes, for slices."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def pread(self, at: int, length: int) -> bytes:
        return self._content[at : at + length]


# Produce -----------------------------------------------------------------------------------------

PRODUCE = st.builds(PartitionProduce, index=I32, records=st.none() | BLOB.map(view))
PRODUCE_REQUEST = st.builds(
    ProduceRequest,
    transactional_id=st.none() | TEXT,
    acks=I16,
    timeout_ms=I32,
    topics=topics(PRODUCE),
)
PRODUCED = st.builds(
    PartitionProduced,
    index=I32,
    error=ERRORS,
    base_offset=I64,
    log_append_time_ms=st.integers(-1, 10**12),
    log_start_offset=I64,
    error_message=st.none() | TEXT,
    record_errors=st.lists(st.tuples(I32, st.none() | TEXT), max_size=3).map(tuple),
)


def kio_produce_request(version: int, request: ProduceRequest) -> Any:  # noqa: ANN401  # by version
    m = kio("produce", version, "request")
    return m.ProduceRequest(
        transactional_id=request.transactional_id,
        acks=request.acks,
        timeout=ms(request.timeout_ms),
        topic_data=tuple(
            known(
                m.TopicProduceData,
                name=name,
                topic_id=name,
                partition_data=tuple(
                    m.PartitionProduceData(
                        index=one.index,
                        records=None if one.records is None else bytes(one.records),
                    )
                    for one in partitions
                ),
            )
            for name, partitions in request.topics
        ),
    )


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
@given(request=PRODUCE_REQUEST)
def test_produce_request(version: int, request: ProduceRequest) -> None:
    request.topics = keyed(version, request.topics)
    data = p.write_produce_request(version, request)
    assert data == kio_bytes(kio_produce_request(version, request))
    assert p.read_produce_request(memoryview(b"xy" + data), 2, version) == request


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
def test_produce_request_cut_short(version: int) -> None:
    one = PartitionProduce(0, memoryview(b"batch"))
    request = ProduceRequest(
        "txn", -1, 30_000, [(key_of(version), [one, PartitionProduce(1, None)])]
    )
    data = p.write_produce_request(version, request)
    ignores_leftovers(p.read_produce_request, data, version)


def test_produced_records_are_views_into_the_frame() -> None:
    one = PartitionProduce(0, memoryview(b"batch"))
    data = bytearray(p.write_produce_request(9, ProduceRequest(None, 1, 0, [("t", [one])])))
    request = p.read_produce_request(memoryview(data), 0, 9)
    data[data.index(b"batch")] = ord("l")
    view = request.topics[0][1][0].records
    assert view is not None
    assert bytes(view) == b"latch"


def kio_produce_response(version: int, response: ProduceResponse) -> Any:  # noqa: ANN401  # by version
    m = kio("produce", version, "response")
    names = m.PartitionProduceResponse.__dataclass_fields__

    def partition(one: PartitionProduced) -> Any:  # noqa: ANN401  # by version
        time = one.log_append_time_ms
        fields = {
            "index": one.index,
            "error_code": ErrorCode(one.error),
            "base_offset": one.base_offset,
            "log_append_time": None if time == -1 else EPOCH + dt.timedelta(milliseconds=time),
            "log_start_offset": one.log_start_offset,
            "error_message": one.error_message,
            "record_errors": tuple(
                m.BatchIndexAndErrorMessage(batch_index=n, batch_index_error_message=text)
                for n, text in one.record_errors
            )
            if version >= 8
            else (),
        }
        fields["log_append_time_ms"] = time
        return m.PartitionProduceResponse(**{k: v for k, v in fields.items() if k in names})

    return m.ProduceResponse(
        responses=tuple(
            known(
                m.TopicProduceResponse,
                name=name,
                topic_id=name,
                partition_responses=tuple(map(partition, ones)),
            )
            for name, ones in response.topics
        ),
        throttle_time=ms(response.throttle_ms),
    )


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
@given(response=st.builds(ProduceResponse, throttle_ms=I32, topics=topics(PRODUCED)))
def test_produce_response(version: int, response: ProduceResponse) -> None:
    response.topics = keyed(version, response.topics)
    data = p.write_produce_response(version, response.topics, response.throttle_ms)
    assert data == kio_bytes(kio_produce_response(version, response))
    again = p.read_produce_response(data, 0, version)
    for _, partitions in response.topics:
        for one in partitions:
            one.log_start_offset = one.log_start_offset if version >= 5 else -1
            one.error_message = one.error_message if version >= 8 else None
            one.record_errors = one.record_errors if version >= 8 else ()
    assert again == response


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
def test_produce_response_cut_short(version: int) -> None:
    ones = [PartitionProduced(0, 0, 5, -1, 0), PartitionProduced(1, 87, error_message="bad")]
    data = p.write_produce_response(version, [(key_of(version), ones)])
    refuses_all_but_itself(p.read_produce_response, data, version)


@pytest.mark.parametrize("version", range(8, 13))
def test_record_errors_of_other_brokers_are_read(version: int) -> None:
    m = kio("produce", version, "response")
    errors = (m.BatchIndexAndErrorMessage(batch_index=3, batch_index_error_message="too old"),)
    theirs = m.PartitionProduceResponse(
        index=1, error_code=ErrorCode(87), base_offset=-1, log_append_time=None,
        log_start_offset=-1, record_errors=errors, error_message="no",
    )  # fmt: skip
    topic = m.TopicProduceResponse(name="t", partition_responses=(theirs,))
    data = kio_bytes(m.ProduceResponse(responses=(topic,), throttle_time=ms(0)))
    again = p.read_produce_response(data, 0, version)
    assert again.topics == [
        ("t", [PartitionProduced(1, 87, error_message="no", record_errors=((3, "too old"),))])
    ]


# Fetch -------------------------------------------------------------------------------------------

WANTED = st.builds(
    FetchPartition,
    index=I32,
    current_leader_epoch=I32,
    fetch_offset=I64,
    last_fetched_epoch=I32,
    log_start_offset=I64,
    partition_max_bytes=I32,
)
FETCH_REQUEST = st.builds(
    FetchRequest,
    replica_id=I32,
    max_wait_ms=I32,
    min_bytes=I32,
    max_bytes=I32,
    isolation_level=I8,
    session_id=I32,
    session_epoch=I32,
    topics=topics(WANTED),
    forgotten=topics(I32),
    rack_id=TEXT,
)


def known(cls: Any, **fields: Any) -> Any:  # noqa: ANN401  # a kio class, and the fields it has
    return cls(**{k: v for k, v in fields.items() if k in cls.__dataclass_fields__})


def kio_fetch_request(version: int, request: FetchRequest) -> Any:  # noqa: ANN401  # by version
    m = kio("fetch", version, "request")

    def wanted(one: FetchPartition) -> Any:  # noqa: ANN401  # by version
        return known(
            m.FetchPartition,
            partition=one.index,
            current_leader_epoch=one.current_leader_epoch,
            fetch_offset=one.fetch_offset,
            last_fetched_epoch=one.last_fetched_epoch,
            log_start_offset=one.log_start_offset,
            partition_max_bytes=one.partition_max_bytes,
        )

    forgotten = []
    if version >= 7:
        forgotten = [
            known(m.ForgottenTopic, topic=name, topic_id=name, partitions=tuple(indexes))
            for name, indexes in request.forgotten
        ]
    return known(
        m.FetchRequest,
        replica_id=request.replica_id,
        max_wait=ms(request.max_wait_ms),
        min_bytes=request.min_bytes,
        max_bytes=request.max_bytes,
        isolation_level=request.isolation_level,
        session_id=request.session_id,
        session_epoch=request.session_epoch,
        topics=tuple(
            known(m.FetchTopic, topic=name, topic_id=name, partitions=tuple(map(wanted, ones)))
            for name, ones in request.topics
        ),
        forgotten_topics_data=tuple(forgotten),
        rack_id=request.rack_id,
    )


def as_of(version: int, request: FetchRequest) -> FetchRequest:
    """What of a request that version can say."""
    plain = FetchRequest()
    if version < 7:
        request.session_id, request.session_epoch = plain.session_id, plain.session_epoch
        request.forgotten = []
    if version < 11:
        request.rack_id = ""
    if version >= 15:
        request.replica_id = -1
    for _, partitions in request.topics:
        for one in partitions:
            one.log_start_offset = one.log_start_offset if version >= 5 else -1
            one.current_leader_epoch = one.current_leader_epoch if version >= 9 else -1
            one.last_fetched_epoch = one.last_fetched_epoch if version >= 12 else -1
    return request


@pytest.mark.parametrize("version", FETCH_VERSIONS)
@given(request=FETCH_REQUEST)
def test_fetch_request(version: int, request: FetchRequest) -> None:
    request.topics = keyed(version, request.topics)
    request.forgotten = keyed(version, request.forgotten)
    data = f.write_fetch_request(version, request)
    assert data == kio_bytes(kio_fetch_request(version, request))
    again = f.read_fetch_request(memoryview(b"xy" + data), 2, version)
    assert again == as_of(version, request)


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_fetch_request_cut_short(version: int) -> None:
    key = key_of(version)
    request = FetchRequest(topics=[(key, [FetchPartition(3)])], forgotten=[(key, [1, 2])])
    ignores_leftovers(f.read_fetch_request, f.write_fetch_request(version, request), version)


def test_fetch_request_of_a_follower_is_read() -> None:
    """v15 to v18 carry what followers say of themselves as tagged fields, which we skip."""
    m = kio("fetch", 18, "request")
    part = m.FetchPartition(
        partition=3, current_leader_epoch=1, fetch_offset=5, last_fetched_epoch=-1,
        log_start_offset=0, partition_max_bytes=9, replica_directory_id=uuid.UUID(int=9),
        high_watermark=17,
    )  # fmt: skip
    topic_id = uuid.UUID(int=7)
    theirs = m.FetchRequest(
        replica_state=m.ReplicaState(replica_id=2, replica_epoch=4), max_wait=ms(5), min_bytes=1,
        topics=(m.FetchTopic(topic_id=topic_id, partitions=(part,)),), forgotten_topics_data=(),
    )  # fmt: skip
    read = f.read_fetch_request(kio_bytes(theirs), 0, 18)
    assert read.topics == [(topic_id, [FetchPartition(3, 1, 5, -1, 0, 9)])]


def test_fetch_request_of_a_clustered_reader_is_read() -> None:
    """v12 can carry a cluster id as a tagged field, which we skip."""
    m = kio("fetch", 12, "request")
    theirs = m.FetchRequest(
        replica_id=-1, max_wait=ms(5), min_bytes=1, topics=(), forgotten_topics_data=(),
        cluster_id="abc", rack_id="r",
    )  # fmt: skip
    assert f.read_fetch_request(kio_bytes(theirs), 0, 12).rack_id == "r"


FETCHED = st.builds(
    FetchedPartition,
    index=I32,
    error=ERRORS,
    high_watermark=I64,
    last_stable_offset=I64,
    log_start_offset=I64,
    aborted=st.none() | st.lists(st.tuples(I64, I64), max_size=3),
    records=st.lists(st.binary(min_size=1, max_size=100), max_size=3),
    diverging=st.none() | st.tuples(I32, I64),
)


def with_size(topics_: list[tuple[str, list[FetchedPartition]]]) -> Any:  # noqa: ANN401  # same
    for _, partitions in topics_:
        for one in partitions:
            one.records_size = sum(map(part_size, one.records))
    return topics_


FETCH_RESPONSE = st.builds(
    FetchResponse,
    throttle_ms=I32,
    error=ERRORS,
    session_id=I32,
    topics=topics(FETCHED).map(with_size),
)


def kio_fetch_response(version: int, response: FetchResponse) -> Any:  # noqa: ANN401  # by version
    m = kio("fetch", version, "response")

    def fetched(one: FetchedPartition) -> Any:  # noqa: ANN401  # by version
        fields: dict[str, Any] = {
            "partition_index": one.index,
            "error_code": ErrorCode(one.error),
            "high_watermark": one.high_watermark,
            "last_stable_offset": one.last_stable_offset,
            "log_start_offset": one.log_start_offset,
            "preferred_read_replica": -1,
            "records": f.records_of(one),
            "aborted_transactions": None
            if one.aborted is None
            else tuple(
                m.AbortedTransaction(producer_id=pid, first_offset=first)
                for pid, first in one.aborted
            ),
        }
        if version >= 12 and one.diverging is not None:
            epoch, end_offset = one.diverging
            fields["diverging_epoch"] = m.EpochEndOffset(epoch=epoch, end_offset=end_offset)
        return known(m.PartitionData, **fields)

    return known(
        m.FetchResponse,
        throttle_time=ms(response.throttle_ms),
        error_code=ErrorCode(response.error),
        session_id=response.session_id,
        responses=tuple(
            known(
                m.FetchableTopicResponse,
                topic=name,
                topic_id=name,
                partitions=tuple(map(fetched, ones)),
            )
            for name, ones in response.topics
        ),
    )


@pytest.mark.parametrize("version", FETCH_VERSIONS)
@given(response=FETCH_RESPONSE)
def test_fetch_response(version: int, response: FetchResponse) -> None:
    response.topics = keyed(version, response.topics)
    parts = f.write_fetch_response(
        version,
        response.topics,
        throttle_ms=response.throttle_ms,
        error=response.error,
        session_id=response.session_id,
    )
    data = b"".join(map(part_bytes, parts))
    none_diverges = all(
        one.diverging != (-1, -1) for _, partitions in response.topics for one in partitions
    )
    if none_diverges:  # kio leaves a default out, as it may; we say what we are told
        assert data == kio_bytes(kio_fetch_response(version, response))
    again = f.read_fetch_response(data, 0, version)
    if version < 7:
        response.error = response.session_id = 0
    for _, partitions in response.topics:
        for one in partitions:
            one.log_start_offset = one.log_start_offset if version >= 5 else -1
            one.diverging = one.diverging if version >= 12 else None
            one.records = [f.records_of(one)] if one.records_size else ()
    assert again == response


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_fetch_response_cut_short(version: int) -> None:
    one = FetchedPartition(0, 0, 9, 9, 0, [(1, 2)], [b"batch"], 5, (3, 4))
    parts = f.write_fetch_response(version, [(key_of(version), [one, FetchedPartition(1)])])
    data = b"".join(map(part_bytes, parts))
    refuses_all_but_itself(f.read_fetch_response, data, version)


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_records_are_passed_through_and_never_copied(version: int) -> None:
    file: Any = MemoryFile(b"0123456789" * 10)
    slice_ = FileSlice(file, 20, 50)
    blob = b"in memory"
    one = FetchedPartition(0, records=[slice_, blob], records_size=59)
    parts = f.write_fetch_response(version, [(key_of(version), [one, FetchedPartition(1)])])
    assert parts[1] is slice_
    assert parts[2] is blob
    response = f.read_fetch_response(b"".join(map(part_bytes, parts)), 0, version)
    assert f.records_of(response.topics[0][1][0]) == b"0123456789" * 5 + blob


# Metadata ----------------------------------------------------------------------------------------

NODES = st.lists(I32, max_size=3).map(tuple)
METADATA_REQUEST = st.builds(
    MetadataRequest,
    topics=st.none()
    | st.lists(st.builds(MetadataRequestTopic, st.none() | TEXT, st.uuids() | st.just(ZERO_UUID))),
    allow_auto_topic_creation=st.booleans(),
    include_cluster_authorized_operations=st.booleans(),
    include_topic_authorized_operations=st.booleans(),
)
METADATA_PARTITION = st.builds(
    MetadataResponsePartition, ERRORS, I32, I32, I32, NODES, NODES, NODES
) | st.builds(  # what a broker alone has
    MetadataResponsePartition, ERRORS, I32, I32, I32, st.tuples(I32), st.tuples(I32)
)
METADATA_RESPONSE = st.builds(
    MetadataResponse,
    brokers=st.lists(st.builds(MetadataResponseBroker, I32, TEXT, I32, st.none() | TEXT)),
    topics=st.lists(
        st.builds(
            MetadataResponseTopic,
            ERRORS,
            st.none() | TEXT,
            st.lists(METADATA_PARTITION, max_size=3),
            topic_id=st.uuids() | st.just(ZERO_UUID),
            is_internal=st.booleans(),
            topic_authorized_operations=I32,
        ),
        max_size=3,
    ),
    cluster_id=st.none() | TEXT,
    controller_id=I32,
    cluster_authorized_operations=I32,
    throttle_time_ms=I32,
)


def kio_id(topic_id: uuid.UUID) -> uuid.UUID | None:
    """kio says None for the zero uuid."""
    return None if topic_id == ZERO_UUID else topic_id


def metadata_request_as_of(version: int, request: MetadataRequest) -> MetadataRequest:
    """What of a request that version can say."""
    for topic in request.topics or ():
        topic.topic_id = topic.topic_id if version >= 10 else ZERO_UUID
        topic.name = topic.name if version >= 10 else topic.name or ""
    if version == 0:
        request.topics = request.topics or []
    if version < 4:
        request.allow_auto_topic_creation = True
    if not 8 <= version <= 10:
        request.include_cluster_authorized_operations = False
    if version < 8:
        request.include_topic_authorized_operations = False
    return request


def kio_metadata_request(version: int, request: MetadataRequest) -> Any:  # noqa: ANN401  # by version
    k = kio("metadata", version, "request")
    topics_ = request.topics
    return known(
        k.MetadataRequest,
        topics=None
        if topics_ is None
        else tuple(
            known(k.MetadataRequestTopic, topic_id=kio_id(topic.topic_id), name=topic.name)
            for topic in topics_
        ),
        allow_auto_topic_creation=request.allow_auto_topic_creation,
        include_cluster_authorized_operations=request.include_cluster_authorized_operations,
        include_topic_authorized_operations=request.include_topic_authorized_operations,
    )


@pytest.mark.parametrize("version", METADATA_VERSIONS)
@given(request=METADATA_REQUEST)
def test_metadata_request(version: int, request: MetadataRequest) -> None:
    data = md.write_metadata_request(version, request)
    left = metadata_request_as_of(version, request)
    assert data == kio_bytes(kio_metadata_request(version, left))
    assert md.read_metadata_request(memoryview(b"xy" + data), 2, version) == left


@pytest.mark.parametrize("version", METADATA_VERSIONS)
def test_metadata_request_cut_short(version: int) -> None:
    request = MetadataRequest([MetadataRequestTopic("ticks"), MetadataRequestTopic("quotes")])
    data = md.write_metadata_request(version, request)
    refuses_every_prefix(md.read_metadata_request, data, version)


def test_librdkafka_asks_for_all_topics_with_a_null_of_four_bytes() -> None:
    """As librdkafka 2.16 sends it in v12: three of its four zero bytes push the rest out."""
    request = md.read_metadata_request(bytes.fromhex("00000000 01 00 00"), 0, 12)
    assert request == MetadataRequest(None, allow_auto_topic_creation=False)


def test_who_asks_for_all_topics() -> None:
    for version in METADATA_VERSIONS:
        data = md.write_metadata_request(version, MetadataRequest(None))
        assert md.wants_all(md.read_metadata_request(data, 0, version), version)
    assert md.wants_all(MetadataRequest([]), 0)
    assert not md.wants_all(MetadataRequest([]), 1)
    assert not md.wants_all(MetadataRequest([MetadataRequestTopic("t")]), 0)


def metadata_response_as_of(version: int, response: MetadataResponse) -> MetadataResponse:
    """What of a response that version can say."""
    plain = MetadataResponse([], [])
    if version < 1:
        response.controller_id = plain.controller_id
    if version < 2:
        response.cluster_id = None
    if version < 3:
        response.throttle_time_ms = 0
    if not 8 <= version <= 10:
        response.cluster_authorized_operations = plain.cluster_authorized_operations
    for broker in response.brokers:
        broker.rack = broker.rack if version >= 1 else None
    for topic in response.topics:
        topic.name = topic.name if version >= 12 else topic.name or ""
        topic.topic_id = topic.topic_id if version >= 10 else ZERO_UUID
        topic.is_internal = topic.is_internal and version >= 1
        topic.topic_authorized_operations = (
            topic.topic_authorized_operations if version >= 8 else md.NOT_ASKED
        )
        for one in topic.partitions:
            one.leader_epoch = one.leader_epoch if version >= 7 else -1
            one.offline_replicas = one.offline_replicas if version >= 5 else ()
    return response


def kio_metadata_topic(k: Any, topic: MetadataResponseTopic) -> Any:  # noqa: ANN401  # by version
    return known(
        k.MetadataResponseTopic,
        error_code=ErrorCode(topic.error_code),
        name=topic.name,
        topic_id=kio_id(topic.topic_id),
        is_internal=topic.is_internal,
        topic_authorized_operations=topic.topic_authorized_operations,
        partitions=tuple(
            known(
                k.MetadataResponsePartition,
                error_code=ErrorCode(one.error_code),
                partition_index=one.partition_index,
                leader_id=one.leader_id,
                leader_epoch=one.leader_epoch,
                replica_nodes=one.replica_nodes,
                isr_nodes=one.isr_nodes,
                offline_replicas=one.offline_replicas,
            )
            for one in topic.partitions
        ),
    )


def kio_metadata_response(version: int, response: MetadataResponse) -> Any:  # noqa: ANN401  # same
    k = kio("metadata", version, "response")
    return known(
        k.MetadataResponse,
        throttle_time=ms(response.throttle_time_ms),
        brokers=tuple(
            known(
                k.MetadataResponseBroker,
                node_id=one.node_id,
                host=one.host,
                port=one.port,
                rack=one.rack,
            )
            for one in response.brokers
        ),
        cluster_id=response.cluster_id,
        controller_id=response.controller_id,
        cluster_authorized_operations=response.cluster_authorized_operations,
        topics=tuple(kio_metadata_topic(k, topic) for topic in response.topics),
    )


@pytest.mark.parametrize("version", METADATA_VERSIONS)
@given(response=METADATA_RESPONSE)
def test_metadata_response(version: int, response: MetadataResponse) -> None:
    data = md.write_metadata_response(version, response)
    left = metadata_response_as_of(version, response)
    assert data == kio_bytes(kio_metadata_response(version, left))
    assert md.read_metadata_response(memoryview(b"xy" + data), 2, version) == left


@pytest.mark.parametrize("version", METADATA_VERSIONS)
def test_metadata_response_cut_short(version: int) -> None:
    alone = MetadataResponsePartition(0, 0, 1, 7, (1,), (1,))
    three = MetadataResponsePartition(5, 1, -1, 7, (1, 2, 3), (1, 2), (3,))
    topics_ = [MetadataResponseTopic(0, "ticks", [alone, three]), MetadataResponseTopic(3, "u", [])]
    brokers = [MetadataResponseBroker(1, "a", 9092), MetadataResponseBroker(2, "b", 9092, "r")]
    response = MetadataResponse(brokers, topics_, cluster_id="c", controller_id=1)
    data = md.write_metadata_response(version, response)
    refuses_all_but_itself(md.read_metadata_response, data, version)


@pytest.mark.parametrize("version", METADATA_VERSIONS)
def test_metadata_of_more_replicas_than_one_byte_counts(version: int) -> None:
    nodes = tuple(range(200))
    one = MetadataResponsePartition(0, 0, 1, -1, nodes, nodes[:130])
    response = MetadataResponse([], [MetadataResponseTopic(0, "t", [one])])
    data = md.write_metadata_response(version, response)
    assert data == kio_bytes(kio_metadata_response(version, response))
    assert md.read_metadata_response(data, 0, version) == response


def test_metadata_tags_of_others_are_skipped() -> None:
    tag = bytes.fromhex("01 63 02 ffff")
    request = MetadataRequest([MetadataRequestTopic("t")])
    data = md.write_metadata_request(12, request)
    assert data.endswith(b"\0\x01\0\0")  # the topic's tags, two flags, our own tags
    data = data[:-4] + tag + data[-3:-1] + tag
    assert md.read_metadata_request(data, 0, 12) == request


@pytest.mark.parametrize("version", [0, 8, 12])
def test_a_lie_about_a_metadata_count_costs_nothing(version: int) -> None:
    lie = b"\x7f\xff\xff\xff" if version < 9 else b"\xff\xff\xff\xff\x0f"
    with pytest.raises(DecodeError, match="elements"):
        md.read_metadata_request(lie, 0, version)
    throttle = b"" if version < 3 else bytes(4)
    with pytest.raises(DecodeError, match="elements"):
        md.read_metadata_response(throttle + lie, 0, version)
    one = MetadataResponsePartition(0, 0, 1, -1, (0x11223344,), ())
    response = MetadataResponse([], [MetadataResponseTopic(0, "t", [one])])
    data = md.write_metadata_response(version, response)
    count = b"\x02" if version >= 9 else b"\0\0\0\x01"
    assert count + b"\x11\x22\x33\x44" in data
    data = data.replace(count + b"\x11\x22\x33\x44", lie)
    with pytest.raises(DecodeError, match="elements"):
        md.read_metadata_response(data, 0, version)


@pytest.mark.parametrize(
    ("read", "versions"),
    [
        (p.read_produce_request, PRODUCE_VERSIONS),
        (p.read_produce_response, PRODUCE_VERSIONS),
        (f.read_fetch_request, FETCH_VERSIONS),
        (f.read_fetch_response, FETCH_VERSIONS),
        (md.read_metadata_request, METADATA_VERSIONS),
        (md.read_metadata_response, METADATA_VERSIONS),
    ],
)
@given(data=st.binary(max_size=90), pick=st.integers(0, 14))
def test_any_bytes_are_a_value_or_a_decode_error(
    read: Any,  # noqa: ANN401  # any of the readers
    versions: range,
    data: bytes,
    pick: int,
) -> None:
    version = versions[pick % len(versions)]
    with contextlib.suppress(DecodeError):
        read(memoryview(data), 0, version)


@pytest.mark.parametrize("version", [4, 12])
def test_a_lie_about_a_count_costs_nothing(version: int) -> None:
    head = f.write_fetch_request(version, FetchRequest())[: 17 if version < 7 else 25]
    lie = b"\x7f\xff\xff\xff" if version < 12 else b"\xff\xff\xff\xff\x0f"
    with pytest.raises(DecodeError, match="elements"):
        f.read_fetch_request(head + lie, 0, version)
