"""Produce and Fetch, written by hand, against kio: same bytes and values in every version."""

import contextlib
import datetime as dt
import importlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i32Timedelta

from tickertape.wire import fetch as f
from tickertape.wire import produce as p
from tickertape.wire.fetch import FetchedPartition, FetchPartition, FetchRequest, FetchResponse
from tickertape.wire.parts import FileSlice, part_bytes, part_size
from tickertape.wire.primitives import DecodeError
from tickertape.wire.produce import (
    PartitionProduce,
    PartitionProduced,
    ProduceRequest,
    ProduceResponse,
)

PRODUCE_VERSIONS = range(3, 13)
FETCH_VERSIONS = range(4, 13)
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
    with pytest.raises(DecodeError, match="ends at byte"):
        read(memoryview(data + b"\0"), 0, version)


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
)


def kio_produce_request(version: int, request: ProduceRequest) -> Any:  # noqa: ANN401  # by version
    m = kio("produce", version, "request")
    return m.ProduceRequest(
        transactional_id=request.transactional_id,
        acks=request.acks,
        timeout=ms(request.timeout_ms),
        topic_data=tuple(
            m.TopicProduceData(
                name=name,
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
    data = p.write_produce_request(version, request)
    assert data == kio_bytes(kio_produce_request(version, request))
    assert p.read_produce_request(memoryview(b"xy" + data), 2, version) == request


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
def test_produce_request_cut_short(version: int) -> None:
    one = PartitionProduce(0, memoryview(b"batch"))
    request = ProduceRequest("txn", -1, 30_000, [("ticks", [one, PartitionProduce(1, None)])])
    data = p.write_produce_request(version, request)
    refuses_every_prefix(p.read_produce_request, data, version)


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
            "record_errors": (),
        }
        fields["log_append_time_ms"] = time
        return m.PartitionProduceResponse(**{k: v for k, v in fields.items() if k in names})

    return m.ProduceResponse(
        responses=tuple(
            m.TopicProduceResponse(name=name, partition_responses=tuple(map(partition, ones)))
            for name, ones in response.topics
        ),
        throttle_time=ms(response.throttle_ms),
    )


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
@given(response=st.builds(ProduceResponse, throttle_ms=I32, topics=topics(PRODUCED)))
def test_produce_response(version: int, response: ProduceResponse) -> None:
    data = p.write_produce_response(version, response.topics, response.throttle_ms)
    assert data == kio_bytes(kio_produce_response(version, response))
    again = p.read_produce_response(data, 0, version)
    for _, partitions in response.topics:
        for one in partitions:
            one.log_start_offset = one.log_start_offset if version >= 5 else -1
            one.error_message = one.error_message if version >= 8 else None
    assert again == response


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
def test_produce_response_cut_short(version: int) -> None:
    ones = [PartitionProduced(0, 0, 5, -1, 0), PartitionProduced(1, 87, error_message="bad")]
    data = p.write_produce_response(version, [("ticks", ones)])
    refuses_every_prefix(p.read_produce_response, data, version)


@pytest.mark.parametrize("version", range(8, 13))
def test_record_errors_and_tags_of_other_brokers_are_skipped(version: int) -> None:
    m = kio("produce", version, "response")
    errors = (m.BatchIndexAndErrorMessage(batch_index=3, batch_index_error_message="too old"),)
    theirs = m.PartitionProduceResponse(
        index=1, error_code=ErrorCode(87), base_offset=-1, log_append_time=None,
        log_start_offset=-1, record_errors=errors, error_message="no",
    )  # fmt: skip
    topic = m.TopicProduceResponse(name="t", partition_responses=(theirs,))
    data = kio_bytes(m.ProduceResponse(responses=(topic,), throttle_time=ms(0)))
    again = p.read_produce_response(data, 0, version)
    assert again.topics == [("t", [PartitionProduced(1, 87, error_message="no")])]


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
            m.ForgottenTopic(topic=name, partitions=tuple(indexes))
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
            m.FetchTopic(topic=name, partitions=tuple(map(wanted, ones)))
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
    for _, partitions in request.topics:
        for one in partitions:
            one.log_start_offset = one.log_start_offset if version >= 5 else -1
            one.current_leader_epoch = one.current_leader_epoch if version >= 9 else -1
            one.last_fetched_epoch = one.last_fetched_epoch if version >= 12 else -1
    return request


@pytest.mark.parametrize("version", FETCH_VERSIONS)
@given(request=FETCH_REQUEST)
def test_fetch_request(version: int, request: FetchRequest) -> None:
    data = f.write_fetch_request(version, request)
    assert data == kio_bytes(kio_fetch_request(version, request))
    again = f.read_fetch_request(memoryview(b"xy" + data), 2, version)
    assert again == as_of(version, request)


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_fetch_request_cut_short(version: int) -> None:
    request = FetchRequest(topics=[("t", [FetchPartition(3)])], forgotten=[("u", [1, 2])])
    refuses_every_prefix(f.read_fetch_request, f.write_fetch_request(version, request), version)


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
            m.FetchableTopicResponse(topic=name, partitions=tuple(map(fetched, ones)))
            for name, ones in response.topics
        ),
    )


@pytest.mark.parametrize("version", FETCH_VERSIONS)
@given(response=FETCH_RESPONSE)
def test_fetch_response(version: int, response: FetchResponse) -> None:
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
    parts = f.write_fetch_response(version, [("t", [one, FetchedPartition(1)])])
    data = b"".join(map(part_bytes, parts))
    refuses_every_prefix(f.read_fetch_response, data, version)


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_records_are_passed_through_and_never_copied(version: int) -> None:
    file: Any = MemoryFile(b"0123456789" * 10)
    slice_ = FileSlice(file, 20, 50)
    blob = b"in memory"
    one = FetchedPartition(0, records=[slice_, blob], records_size=59)
    parts = f.write_fetch_response(version, [("t", [one, FetchedPartition(1)])])
    assert parts[1] is slice_
    assert parts[2] is blob
    response = f.read_fetch_response(b"".join(map(part_bytes, parts)), 0, version)
    assert f.records_of(response.topics[0][1][0]) == b"0123456789" * 5 + blob


@pytest.mark.parametrize(
    ("read", "versions"),
    [
        (p.read_produce_request, PRODUCE_VERSIONS),
        (p.read_produce_response, PRODUCE_VERSIONS),
        (f.read_fetch_request, FETCH_VERSIONS),
        (f.read_fetch_response, FETCH_VERSIONS),
    ],
)
@given(data=st.binary(max_size=90), pick=st.integers(0, 9))
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
