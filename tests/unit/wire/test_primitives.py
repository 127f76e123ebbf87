"""Primitives: their bytes, their bounds, and that nothing but DecodeError comes out."""

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.wire import primitives as p
from tickertape.wire.primitives import DecodeError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
BLOB = st.binary(max_size=200)


def ints(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


PAIRS: dict[str, tuple[Any, Any, st.SearchStrategy[Any]]] = {
    "bool": (p.read_bool, p.write_bool, st.booleans()),
    "i8": (p.read_i8, p.write_i8, ints(8)),
    "i16": (p.read_i16, p.write_i16, ints(16)),
    "u16": (p.read_u16, p.write_u16, st.integers(0, 0xFFFF)),
    "i32": (p.read_i32, p.write_i32, ints(32)),
    "u32": (p.read_u32, p.write_u32, st.integers(0, 0xFFFFFFFF)),
    "i64": (p.read_i64, p.write_i64, ints(64)),
    "f64": (p.read_f64, p.write_f64, st.floats(allow_nan=False)),
    "uvarint": (p.read_uvarint, p.write_uvarint, st.integers(0, 0xFFFFFFFF)),
    "varint": (p.read_varint, p.write_varint, ints(32)),
    "varlong": (p.read_varlong, p.write_varlong, ints(64)),
    "uuid": (p.read_uuid, p.write_uuid, st.uuids()),
    "string": (p.read_string, p.write_string, TEXT),
    "nullable_string": (p.read_nullable_string, p.write_nullable_string, st.none() | TEXT),
    "compact_string": (p.read_compact_string, p.write_compact_string, TEXT),
    "compact_nullable_string": (
        p.read_compact_nullable_string,
        p.write_compact_nullable_string,
        st.none() | TEXT,
    ),
    "bytes": (p.read_bytes, p.write_bytes, BLOB),
    "nullable_bytes": (p.read_nullable_bytes, p.write_nullable_bytes, st.none() | BLOB),
    "compact_bytes": (p.read_compact_bytes, p.write_compact_bytes, BLOB),
    "compact_nullable_bytes": (
        p.read_compact_nullable_bytes,
        p.write_compact_nullable_bytes,
        st.none() | BLOB,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_round_trip_prefixes_and_trailing_bytes(name: str) -> None:
    read, write, values = PAIRS[name]

    @given(values)
    def check(value: object) -> None:
        out = bytearray(b"\xee")
        write(out, value)
        assert read(memoryview(bytes(out) + b"rest"), 1) == (value, len(out))
        for end in range(1, len(out)):
            with pytest.raises(DecodeError):
                read(memoryview(out)[:end], 1)

    check()


@pytest.mark.parametrize("name", PAIRS)
def test_any_bytes_are_a_value_or_a_decode_error(name: str) -> None:
    read, _, _ = PAIRS[name]

    @given(st.binary(max_size=12))
    def check(data: bytes) -> None:
        try:
            _, at = read(memoryview(data), 0)
        except DecodeError:
            return
        assert at <= len(data)

    check()


@pytest.mark.parametrize(
    ("number", "data"),
    [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (0xFFFFFFFF, "ffffffff0f")],
)
def test_uvarint_bytes(number: int, data: str) -> None:
    out = bytearray()
    p.write_uvarint(out, number)
    assert out.hex() == data


@pytest.mark.parametrize(
    ("number", "data"), [(0, "00"), (-1, "01"), (1, "02"), (-64, "7f"), (64, "8001")]
)
def test_varint_is_zigzag(number: int, data: str) -> None:
    out = bytearray()
    p.write_varint(out, number)
    assert out.hex() == data


@pytest.mark.parametrize("data", ["ffffffff1f", "808080808001", "ffffffffff01"])
def test_uvarint_beyond_32_bits_is_refused(data: str) -> None:
    with pytest.raises(DecodeError, match="32 bits"):
        p.read_uvarint(bytes.fromhex(data), 0)


@pytest.mark.parametrize("data", ["ffffffffffffffffff7f", "80808080808080808080" + "01"])
def test_varlong_beyond_64_bits_is_refused(data: str) -> None:
    with pytest.raises(DecodeError, match="64 bits"):
        p.read_varlong(bytes.fromhex(data), 0)


@pytest.mark.parametrize("data", ["fffe", "8000"])
def test_negative_string_length_is_refused(data: str) -> None:
    for read in (p.read_string, p.read_nullable_string):
        with pytest.raises(DecodeError):
            read(bytes.fromhex(data) + b"abc", 0)


def test_null_where_null_is_not_allowed_is_refused() -> None:
    for read, data in [
        (p.read_string, b"\xff\xff"),
        (p.read_compact_string, b"\0"),
        (p.read_bytes, b"\xff" * 4),
        (p.read_compact_bytes, b"\0"),
        (p.read_count, b"\xff" * 4),
        (p.read_compact_count, b"\0"),
    ]:
        with pytest.raises(DecodeError):
            read(data + b"more", 0)


def test_bad_utf8_is_refused() -> None:
    with pytest.raises(DecodeError, match="UTF-8"):
        p.read_string(b"\x00\x01\xff", 0)


def test_array_count_beyond_the_bytes_left_is_refused() -> None:
    for read, count in [
        (p.read_count, b"\x7f\xff\xff\xff"),
        (p.read_nullable_count, b"\x7f\xff\xff\xff"),
        (p.read_compact_count, b"\xff\xff\xff\xff\x0f"),
        (p.read_compact_nullable_count, b"\xff\xff\xff\xff\x0f"),
    ]:
        with pytest.raises(DecodeError, match="elements"):
            read(count + b"four", 0)


def test_null_counts() -> None:
    assert p.read_nullable_count(b"\xff\xff\xff\xff", 0) == (-1, 4)
    assert p.read_compact_nullable_count(b"\0", 0) == (-1, 1)


def test_tags_are_skipped_and_bounded() -> None:
    out = bytearray()
    p.write_tags(out, [(0, bytearray(b"ab")), (300, bytearray())])
    assert out.hex() == "02" + "00" + "02" + "6162" + "ac02" + "00"
    assert p.skip_tags(bytes(out) + b"z", 0) == len(out)
    for end in range(len(out)):
        with pytest.raises(DecodeError):
            p.skip_tags(out[:end], 0)


def test_huge_tag_count_is_refused_at_once() -> None:
    with pytest.raises(DecodeError, match="tagged"):
        p.skip_tags(b"\xff\xff\xff\xff\x0f\0\0\0\0", 0)


def test_a_known_tag_must_fill_its_size() -> None:
    p.check_tag(1, 5, 5)
    with pytest.raises(DecodeError, match="tagged field 1"):
        p.check_tag(1, 4, 5)


def test_bytes_are_copied_from_the_frame() -> None:
    frame = bytearray(b"\0\0\0\x02hi")
    value, _ = p.read_bytes(memoryview(frame), 0)
    frame[4:] = b"no"
    assert value == b"hi"


def test_uuid_bytes() -> None:
    out = bytearray()
    p.write_uuid(out, uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"))
    assert out.hex() == "00112233445566778899aabbccddeeff"
