"""The batch header and the records inside, against batches that Kafka's Java client wrote."""

from pathlib import Path

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from tickertape.base.errors import MisuseError
from tickertape.wire import compression
from tickertape.wire.batch import (
    BATCH_OVERHEAD,
    BatchHeader,
    crc_ok,
    iter_batches,
    patched_prefix,
    read_batch_header,
    write_batch_header,
)
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record, iter_records, read_records, write_batch

GOLDEN = Path(__file__).parents[2] / "golden" / "batches"
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
START = 1_700_000_000_000

BLOB = st.none() | st.binary(max_size=40)
NAME = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
RECORD = st.tuples(
    st.integers(0, 1 << 41), BLOB, BLOB, st.lists(st.tuples(NAME, BLOB), max_size=2).map(tuple)
)


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def golden_records() -> list[Record]:
    out = []
    for i in range(5):
        key = None if i == 3 else f"key-{i}".encode()
        value = None if i == 4 else f"price=1{i}{';' * 40}".encode()
        headers = (("trace", b"\x01\x02"), ("none", None)) if i == 2 else ()
        out.append(Record(7000 + i, START + 1000 * i, key, value, headers))
    return out


@pytest.mark.parametrize("name", CODECS)
def test_java_batches_are_read(name: str) -> None:
    data = golden(name)
    header = read_batch_header(data, 0)
    assert crc_ok(data, 0, header)
    assert (header.size, header.base_offset, header.last_offset) == (len(data), 7000, 7004)
    assert (header.next_offset, header.record_count) == (7005, 5)
    assert (header.producer_id, header.producer_epoch) == (4242, 3)
    assert (header.base_sequence, header.last_sequence) == (17, 21)
    assert header.partition_leader_epoch == 5
    assert header.compression == CODECS[name]
    assert header.has_producer_id
    assert header.attributes == CODECS[name]
    assert not header.is_control
    assert not header.is_transactional
    assert not header.is_log_append_time
    assert read_records(data, 0, header, bytes_max=1 << 20) == golden_records()


def test_uncompressed_batch_is_byte_for_byte_javas() -> None:
    ours = write_batch(
        golden_records(),
        base_offset=7000,
        producer_id=4242,
        producer_epoch=3,
        base_sequence=17,
        leader_epoch=5,
    )
    assert ours == golden("none")


def test_java_commit_marker() -> None:
    data = golden("commit")
    header = read_batch_header(data, 0)
    assert header.is_control
    assert header.is_transactional
    assert (header.base_offset, header.last_sequence) == (99, -1)
    (record,) = read_records(data, 0, header, bytes_max=100)
    assert record.key == b"\0\0\0\1"
    assert record.value == b"\0\0\0\0\0\x08"


def test_records_are_read_one_at_a_time() -> None:
    data = bytearray(write_batch([Record(n, START, b"k", b"v") for n in range(3)]))
    data[-8:] = bytes(8)  # the last record is damaged
    header = read_batch_header(data, 0)
    found = iter_records(data, 0, header, bytes_max=100)
    assert [next(found).offset, next(found).offset] == [0, 1]
    with pytest.raises(DecodeError):
        next(found)
    with pytest.raises(DecodeError):
        read_records(data, 0, header, bytes_max=100)


@pytest.mark.parametrize("name", CODECS)
@given(values=st.lists(RECORD, min_size=1, max_size=6), gap=st.integers(1, 300))
def test_records_survive_every_compression(
    name: str, values: list[tuple[int, bytes | None, bytes | None, tuple[()]]], gap: int
) -> None:
    records = [Record(50 + i * gap, *value) for i, value in enumerate(values)]
    data = write_batch(records, base_offset=50, compression=CODECS[name])
    header = read_batch_header(data, 0)
    assert crc_ok(data, 0, header)
    assert header.last_offset == records[-1].offset
    assert header.max_timestamp == max(record.timestamp for record in records)
    assert read_records(data, 0, header, bytes_max=1 << 20) == records


@pytest.mark.parametrize("name", CODECS)
def test_aiokafka_agrees(name: str) -> None:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=CODECS[name],
        is_transactional=1,
        producer_id=5,
        producer_epoch=1,
        base_sequence=3,
        batch_size=1 << 20,
    )
    for i in range(20):
        builder.append(i, timestamp=START + i, key=b"k", value=b"v" * i, headers=[("h", b"x")])
    theirs = bytes(builder.build())
    header = read_batch_header(theirs, 0)
    assert crc_ok(theirs, 0, header)
    assert header.is_transactional
    records = read_records(theirs, 0, header, bytes_max=1 << 20)
    batch = DefaultRecordBatch(write_batch(records, compression=CODECS[name]))
    assert batch.validate_crc()
    assert [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in batch] == [
        (r.offset, r.timestamp, r.key, r.value, r.headers) for r in records
    ]
    assert [len(record.value or b"") for record in records] == list(range(20))


def test_header_round_trip_and_prefixes() -> None:
    data = golden("zstd")
    header = read_batch_header(data, 0)
    assert write_batch_header(header) == data[:BATCH_OVERHEAD]
    assert read_batch_header(b"xx" + data[:BATCH_OVERHEAD], 2) == header
    for end in range(BATCH_OVERHEAD):
        with pytest.raises(DecodeError, match="61 bytes"):
            read_batch_header(data[:end], 0)


@pytest.mark.parametrize(
    ("at", "value", "wanted"),
    [
        (16, b"\x01", "magic"),
        (8, b"\0\0\0\x30", "length"),
        (8, b"\xff\xff\xff\xff", "length"),
        (23, b"\xff\xff\xff\xff", "delta"),
        (57, b"\xff\xff\xff\xff", "records"),
    ],
)
def test_absurd_headers_are_refused(at: int, value: bytes, wanted: str) -> None:
    data = bytearray(golden("none"))
    data[at : at + len(value)] = value
    with pytest.raises(DecodeError, match=wanted):
        read_batch_header(data, 0)


def test_every_flipped_bit_that_the_crc_covers_is_seen() -> None:
    data = bytearray(golden("lz4"))
    header = read_batch_header(data, 0)
    for at in range(21, len(data)):
        data[at] ^= 0x10
        assert not crc_ok(data, 0, header)
        data[at] ^= 0x10
    assert not crc_ok(data[:-1], 0, header)


def test_prefix_can_be_patched_without_the_crc() -> None:
    data = bytearray(golden("none"))
    length = read_batch_header(data, 0).batch_length
    data[:16] = patched_prefix(123_456, length, 9)
    header = read_batch_header(data, 0)
    assert (header.base_offset, header.partition_leader_epoch) == (123_456, 9)
    assert crc_ok(data, 0, header)


def test_batches_are_walked_and_torn_ones_refused() -> None:
    one, two = golden("none"), golden("gzip")
    found = list(iter_batches(one + two))
    assert [at for at, _ in found] == [0, len(one)]
    assert [header.compression for _, header in found] == [0, 1]
    assert list(iter_batches(b"")) == []
    for end in range(len(one) + 1, len(one + two)):
        walk = iter_batches((one + two)[:end])
        assert next(walk)[0] == 0
        with pytest.raises(DecodeError):
            next(walk)


def test_last_sequence_wraps() -> None:
    header = read_batch_header(
        write_batch([Record(0, 1, None, b"a"), Record(1, 1, None, b"b")], base_sequence=0x7FFFFFFF),
        0,
    )
    assert header.last_sequence == 0


def test_log_append_time_overrides_every_timestamp() -> None:
    data = write_batch([Record(0, 5, None, b"a")], attributes=0x08, max_timestamp=99)
    header = read_batch_header(data, 0)
    assert header.is_log_append_time
    assert read_records(data, 0, header, bytes_max=10)[0].timestamp == 99


def test_empty_batch_keeps_its_last_offset() -> None:
    data = write_batch([], base_offset=10, last_offset_delta=4, max_timestamp=77)
    header = read_batch_header(data, 0)
    assert (header.last_offset, header.record_count, header.max_timestamp) == (14, 0, 77)
    assert read_records(data, 0, header, bytes_max=10) == []


def test_misuse_is_refused() -> None:
    record = Record(5, 1, None, b"x")
    with pytest.raises(MisuseError, match="no records"):
        write_batch([])
    with pytest.raises(MisuseError, match="ascend"):
        write_batch([record, record])
    with pytest.raises(MisuseError, match="ascend"):
        write_batch([record], base_offset=6)
    with pytest.raises(MisuseError, match="compression 5"):
        write_batch([record], compression=5)


@pytest.mark.parametrize("name", ["gzip", "snappy", "lz4", "zstd"])
def test_a_bomb_is_refused(name: str) -> None:
    codec = CODECS[name]
    data = compression.compress(codec, b"\0" * 3_000_000)
    with pytest.raises(DecodeError, match="larger than"):
        compression.decompress(codec, data, bytes_max=1_000_000)
    assert len(compression.decompress(codec, data, bytes_max=3_000_000)) == 3_000_000


def test_bare_snappy_block_is_read() -> None:
    block = bytes.fromhex("03" + "08" + "616263")  # length 3, a literal of 3
    assert compression.decompress(compression.SNAPPY, block, bytes_max=10) == b"abc"


def test_millions_of_empty_gzip_members_are_no_hang() -> None:
    """The rest of the input was copied at the end of every member: minutes for these 8 MB."""
    data = compression.compress(compression.GZIP, b"") * 400_000
    assert compression.decompress(compression.GZIP, data, bytes_max=1) == b""


def test_concatenated_gzip_members_are_read() -> None:
    data = compression.compress(1, b"ab") + compression.compress(1, b"cd")
    assert compression.decompress(1, data, bytes_max=4) == b"abcd"
    with pytest.raises(DecodeError):
        compression.decompress(1, data, bytes_max=3)


def test_compression_5_is_refused() -> None:
    with pytest.raises(DecodeError, match="compression 5"):
        compression.decompress(5, b"x", bytes_max=10)


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
@given(data=st.binary(max_size=60), keep=st.integers(0, 40))
def test_damaged_streams_are_decode_errors(codec: int, data: bytes, keep: int) -> None:
    real = compression.compress(codec, b"0123456789" * 20)
    for damaged in (data, real[:keep] + data, real[:keep]):
        try:
            out = compression.decompress(codec, damaged, bytes_max=5000)
        except DecodeError:
            continue
        assert len(out) <= 5000


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data())
def test_damaged_batches_are_values_or_decode_errors(name: str, data: st.DataObject) -> None:
    batch = bytearray(golden(name))
    at = data.draw(st.integers(0, len(batch) - 1))
    batch[at] ^= data.draw(st.integers(1, 255))
    try:
        header = read_batch_header(batch, 0)
        records = read_records(batch, 0, header, bytes_max=5000)
    except DecodeError:
        return
    assert len(records) == header.record_count


def test_records_left_over_or_missing_are_refused() -> None:
    data = golden("none")
    good = read_batch_header(data, 0)
    for count, message in [(4, "after the last record"), (6, "varint")]:
        fields = {name: getattr(good, name) for name in BatchHeader.__slots__}
        with pytest.raises(DecodeError, match=message):
            read_records(data, 0, BatchHeader(**{**fields, "record_count": count}), bytes_max=5000)


def test_every_cut_record_is_refused() -> None:
    data = golden("none")
    good = read_batch_header(data, 0)
    for length in range(49, good.batch_length):
        header = BatchHeader(
            **{**{n: getattr(good, n) for n in BatchHeader.__slots__}, "batch_length": length}
        )
        with pytest.raises(DecodeError):
            read_records(data, 0, header, bytes_max=5000)
