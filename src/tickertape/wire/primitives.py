"""Kafka's primitive types: the shapes that every message is made of.

``read_x(buf, at)`` returns the value and the *next position*; ``write_x(out, value)`` appends.
Every length is checked against the bytes that are there before anything is allocated, and bytes
that are missing or wrong raise DecodeError. Messages unpack runs of numbers with a Struct of their
own: what that raises is in BAD_BYTES, and ``short`` makes it a DecodeError.

Source: the "Protocol Primitive Types" of the Kafka protocol guide; KIP-482 for the compact ones.
"""

import struct
from typing import Final, TypeVar
from uuid import UUID

from tickertape.base.buffers import Buffer
from tickertape.base.errors import PeerError

_T = TypeVar("_T")

UVARINT_BYTES_MAX: Final = 5
VARLONG_BYTES_MAX: Final = 10
ZERO_UUID: Final = UUID(int=0)

_I8: Final = struct.Struct(">b")
_I16: Final = struct.Struct(">h")
_U16: Final = struct.Struct(">H")
_I32: Final = struct.Struct(">i")
_U32: Final = struct.Struct(">I")
_I64: Final = struct.Struct(">q")
_F64: Final = struct.Struct(">d")

BAD_BYTES: Final = (struct.error, IndexError, UnicodeDecodeError)
"""What unpacking missing or damaged bytes raises; a decoder's outermost call answers for it."""


class DecodeError(PeerError):
    """These bytes are not what the protocol says should be here."""


def short(buf: Buffer, at: int, error: Exception) -> DecodeError:
    """The DecodeError for one of BAD_BYTES, raised while decoding what begins at ``at``."""
    if isinstance(error, UnicodeDecodeError):
        return DecodeError(f"string after byte {at} is not UTF-8: {error.reason}")
    return DecodeError(f"message that begins at byte {at} wants more than the {len(buf)} bytes got")


def _need(buf: Buffer, at: int, size: int, what: str) -> int:
    end = at + size
    if end > len(buf):
        raise DecodeError(f"{what} at byte {at} wants {size} bytes, got {len(buf) - at}")
    return end


def _fixed(buf: Buffer, at: int, form: struct.Struct, what: str) -> int:
    try:  # costs nothing when nothing is wrong, which asking first would
        value: int = form.unpack_from(buf, at)[0]
    except struct.error:
        message = f"{what} at byte {at} wants {form.size} bytes, got {len(buf) - at}"
        raise DecodeError(message) from None
    return value


# Numbers -----------------------------------------------------------------------------------------


def read_bool(buf: Buffer, at: int) -> tuple[bool, int]:
    """One byte; anything but 0 is true, as in Kafka."""
    return _fixed(buf, at, _I8, "bool") != 0, at + 1


def read_i8(buf: Buffer, at: int) -> tuple[int, int]:
    """A signed byte."""
    return _fixed(buf, at, _I8, "int8"), at + 1


def read_i16(buf: Buffer, at: int) -> tuple[int, int]:
    """A signed 16-bit number, big-endian."""
    return _fixed(buf, at, _I16, "int16"), at + 2


def read_u16(buf: Buffer, at: int) -> tuple[int, int]:
    """An unsigned 16-bit number, big-endian."""
    return _fixed(buf, at, _U16, "uint16"), at + 2


def read_i32(buf: Buffer, at: int) -> tuple[int, int]:
    """A signed 32-bit number, big-endian."""
    return _fixed(buf, at, _I32, "int32"), at + 4


def read_u32(buf: Buffer, at: int) -> tuple[int, int]:
    """An unsigned 32-bit number, big-endian."""
    return _fixed(buf, at, _U32, "uint32"), at + 4


def read_i64(buf: Buffer, at: int) -> tuple[int, int]:
    """A signed 64-bit number, big-endian."""
    return _fixed(buf, at, _I64, "int64"), at + 8


def read_f64(buf: Buffer, at: int) -> tuple[float, int]:
    """An IEEE 754 double, big-endian."""
    _need(buf, at, 8, "float64")
    value: float = _F64.unpack_from(buf, at)[0]
    return value, at + 8


def write_bool(out: bytearray, value: bool) -> None:  # noqa: FBT001  # the value is the subject
    """One byte, 0 or 1."""
    out.append(1 if value else 0)


def write_i8(out: bytearray, value: int) -> None:
    """A signed byte."""
    out += _I8.pack(value)


def write_i16(out: bytearray, value: int) -> None:
    """A signed 16-bit number, big-endian."""
    out += _I16.pack(value)


def write_u16(out: bytearray, value: int) -> None:
    """An unsigned 16-bit number, big-endian."""
    out += _U16.pack(value)


def write_i32(out: bytearray, value: int) -> None:
    """A signed 32-bit number, big-endian."""
    out += _I32.pack(value)


def write_u32(out: bytearray, value: int) -> None:
    """An unsigned 32-bit number, big-endian."""
    out += _U32.pack(value)


def write_i64(out: bytearray, value: int) -> None:
    """A signed 64-bit number, big-endian."""
    out += _I64.pack(value)


def write_f64(out: bytearray, value: float) -> None:
    """An IEEE 754 double, big-endian."""
    out += _F64.pack(value)


# Variable-length numbers -------------------------------------------------------------------------


def read_uvarint(buf: Buffer, at: int) -> tuple[int, int]:
    """An unsigned 32-bit number in base 128, least significant group first, at most 5 bytes."""
    try:
        byte = buf[at]
        if byte < 0x80:
            return byte, at + 1
        value, shift = byte & 0x7F, 7
        while shift < 35:
            at += 1
            byte = buf[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > 0xFFFF_FFFF:
                    break
                return value, at + 1
            shift += 7
    except IndexError:
        raise DecodeError(f"varint at byte {at} runs past the {len(buf)} bytes got") from None
    raise DecodeError(f"varint that ends at byte {at} does not fit 32 bits")


def read_varlong(buf: Buffer, at: int) -> tuple[int, int]:
    """A zigzag signed 64-bit number, at most 10 bytes (only inside records)."""
    value = shift = 0
    try:
        while shift < 70:
            byte = buf[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > 0xFFFF_FFFF_FFFF_FFFF:
                    break
                return (value >> 1) ^ -(value & 1), at
            shift += 7
    except IndexError:
        raise DecodeError(f"varlong at byte {at} runs past the {len(buf)} bytes got") from None
    raise DecodeError(f"varlong that ends at byte {at} does not fit 64 bits")


def read_varint(buf: Buffer, at: int) -> tuple[int, int]:
    """A zigzag signed 32-bit number, at most 5 bytes (only inside records)."""
    value, at = read_uvarint(buf, at)
    return (value >> 1) ^ -(value & 1), at


def write_uvarint(out: bytearray, value: int) -> None:
    """An unsigned number in base 128, least significant group first."""
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)


def write_varint(out: bytearray, value: int) -> None:
    """A zigzag signed 32-bit number."""
    write_uvarint(out, (value << 1) ^ (value >> 31))


def write_varlong(out: bytearray, value: int) -> None:
    """A zigzag signed 64-bit number."""
    write_uvarint(out, (value << 1) ^ (value >> 63))


# UUIDs -------------------------------------------------------------------------------------------


def read_uuid(buf: Buffer, at: int) -> tuple[UUID, int]:
    """16 bytes, most significant first; all zero stands for "none"."""
    end = _need(buf, at, 16, "uuid")
    return UUID(bytes=bytes(buf[at:end])), end


def write_uuid(out: bytearray, value: UUID) -> None:
    """16 bytes, most significant first."""
    out += value.bytes


# Strings and bytes -------------------------------------------------------------------------------


def _text(buf: Buffer, at: int, length: int) -> tuple[str, int]:
    end = at + length
    if length < 0 or end > len(buf):
        raise DecodeError(f"string at byte {at} wants {length} bytes, got {len(buf) - at}")
    try:
        return str(buf[at:end], "utf-8"), end
    except UnicodeDecodeError as error:
        raise short(buf, at, error) from None


def read_string(buf: Buffer, at: int) -> tuple[str, int]:
    """An int16 length, then UTF-8."""
    return _text(buf, at + 2, _fixed(buf, at, _I16, "string length"))


def read_nullable_string(buf: Buffer, at: int) -> tuple[str | None, int]:
    """As ``read_string``; length -1 is None."""
    length = _fixed(buf, at, _I16, "string length")
    if length == -1:
        return None, at + 2
    return _text(buf, at + 2, length)


def read_compact_string(buf: Buffer, at: int) -> tuple[str, int]:
    """A uvarint of length + 1, then UTF-8."""
    size, at = read_uvarint(buf, at)
    return _text(buf, at, size - 1)


def read_compact_nullable_string(buf: Buffer, at: int) -> tuple[str | None, int]:
    """As ``read_compact_string``; 0 is None."""
    size, at = read_uvarint(buf, at)
    if size == 0:
        return None, at
    return _text(buf, at, size - 1)


def write_string(out: bytearray, value: str) -> None:
    """An int16 length, then UTF-8."""
    data = value.encode()
    out += _I16.pack(len(data))
    out += data


def write_nullable_string(out: bytearray, value: str | None) -> None:
    """As ``write_string``; None is length -1."""
    if value is None:
        out += b"\xff\xff"
    else:
        data = value.encode()
        out += _I16.pack(len(data))
        out += data


def write_compact_string(out: bytearray, value: str) -> None:
    """A uvarint of length + 1, then UTF-8."""
    data = value.encode()
    size = len(data) + 1
    if size < 0x80:
        out.append(size)
    else:
        write_uvarint(out, size)
    out += data


def write_compact_nullable_string(out: bytearray, value: str | None) -> None:
    """As ``write_compact_string``; None is 0."""
    if value is None:
        out.append(0)
    else:
        write_compact_string(out, value)


def _view(buf: Buffer, at: int, length: int) -> tuple[bytes, int]:
    end = at + length
    if length < 0 or end > len(buf):
        raise DecodeError(f"bytes at byte {at} want {length} bytes, got {len(buf) - at}")
    return bytes(buf[at:end]), end


def read_bytes(buf: Buffer, at: int) -> tuple[bytes, int]:
    """An int32 length, then that many bytes (copied)."""
    length = _fixed(buf, at, _I32, "bytes length")
    return _view(buf, at + 4, length)


def read_nullable_bytes(buf: Buffer, at: int) -> tuple[bytes | None, int]:
    """As ``read_bytes``; length -1 is None."""
    length = _fixed(buf, at, _I32, "bytes length")
    if length == -1:
        return None, at + 4
    return _view(buf, at + 4, length)


def read_compact_bytes(buf: Buffer, at: int) -> tuple[bytes, int]:
    """A uvarint of length + 1, then that many bytes (copied)."""
    size, at = read_uvarint(buf, at)
    return _view(buf, at, size - 1)


def read_compact_nullable_bytes(buf: Buffer, at: int) -> tuple[bytes | None, int]:
    """As ``read_compact_bytes``; 0 is None."""
    size, at = read_uvarint(buf, at)
    if size == 0:
        return None, at
    return _view(buf, at, size - 1)


def write_bytes(out: bytearray, value: Buffer) -> None:
    """An int32 length, then the bytes."""
    out += _I32.pack(len(value))
    out += value


def write_nullable_bytes(out: bytearray, value: Buffer | None) -> None:
    """As ``write_bytes``; None is length -1."""
    if value is None:
        out += b"\xff\xff\xff\xff"
    else:
        write_bytes(out, value)


def write_compact_bytes(out: bytearray, value: Buffer) -> None:
    """A uvarint of length + 1, then the bytes."""
    write_uvarint(out, len(value) + 1)
    out += value


def write_compact_nullable_bytes(out: bytearray, value: Buffer | None) -> None:
    """As ``write_compact_bytes``; None is 0."""
    if value is None:
        out.append(0)
    else:
        write_compact_bytes(out, value)


# Array lengths. An element takes a byte at least, so a count beyond the bytes left is a lie. ------


def _count(buf: Buffer, at: int, count: int) -> tuple[int, int]:
    if count < 0 or count > len(buf) - at:
        raise DecodeError(f"array at byte {at} wants {count} elements, got {len(buf) - at} bytes")
    return count, at


def read_count(buf: Buffer, at: int) -> tuple[int, int]:
    """An int32 number of elements; null is refused."""
    count = _fixed(buf, at, _I32, "array length")
    return _count(buf, at + 4, count)


def read_nullable_count(buf: Buffer, at: int) -> tuple[int, int]:
    """An int32 number of elements; -1 for null."""
    count = _fixed(buf, at, _I32, "array length")
    if count == -1:
        return -1, at + 4
    return _count(buf, at + 4, count)


def read_compact_count(buf: Buffer, at: int) -> tuple[int, int]:
    """A uvarint of the number of elements + 1; null is refused."""
    size, at = read_uvarint(buf, at)
    return _count(buf, at, size - 1)


def read_compact_nullable_count(buf: Buffer, at: int) -> tuple[int, int]:
    """As ``read_compact_count``; -1 for null."""
    size, at = read_uvarint(buf, at)
    if size == 0:
        return -1, at
    return _count(buf, at, size - 1)


def write_count(out: bytearray, items: "list[_T]") -> None:
    """An int32 number of elements."""
    out += _I32.pack(len(items))


def write_nullable_count(out: bytearray, items: "list[_T] | None") -> None:
    """An int32 number of elements; None is -1."""
    out += _I32.pack(-1 if items is None else len(items))


def write_compact_count(out: bytearray, items: "list[_T]") -> None:
    """A uvarint of the number of elements + 1."""
    write_uvarint(out, len(items) + 1)


def write_compact_nullable_count(out: bytearray, items: "list[_T] | None") -> None:
    """As ``write_compact_count``; None is 0."""
    write_uvarint(out, 0 if items is None else len(items) + 1)


# Tagged fields (KIP-482) -------------------------------------------------------------------------


def read_tag(buf: Buffer, at: int) -> tuple[int, int, int]:
    """One tagged field's number, where its value begins, and where it ends."""
    tag, at = read_uvarint(buf, at)
    size, at = read_uvarint(buf, at)
    return tag, at, _need(buf, at, size, f"tagged field {tag}")


def check_tag(tag: int, at: int, end: int) -> None:
    """A known tagged field must fill its size exactly."""
    if at != end:
        raise DecodeError(f"tagged field {tag} ends at byte {at}, its size says {end}")


def skip_tags(buf: Buffer, at: int) -> int:
    """Past a tag buffer of which we know no field."""
    count, at = read_uvarint(buf, at)
    if count == 0:
        return at
    if count > len(buf) - at:
        raise DecodeError(f"{count} tagged fields at byte {at}, got {len(buf) - at} bytes")
    for _ in range(count):
        _, _, at = read_tag(buf, at)
    return at


def write_tags(out: bytearray, fields: list[tuple[int, bytearray]]) -> None:
    """A tag buffer of (number, value), which must ascend by number."""
    write_uvarint(out, len(fields))
    for tag, body in fields:
        write_uvarint(out, tag)
        write_uvarint(out, len(body))
        out += body
