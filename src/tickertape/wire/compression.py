"""The four codecs of record batches, as Java clients frame them; decompression is bounded.

gzip: concatenated members. snappy: xerial's framing (snappy-java), or one bare block as librdkafka
sends. lz4: the LZ4 frame format. zstd: frames.

Source: org.apache.kafka.common.compress; the framing of org.xerial.snappy.SnappyOutputStream.
"""

import zlib
from struct import Struct
from struct import error as struct_error
from typing import Any, Final

import cramjam

from tickertape.base.buffers import Buffer
from tickertape.base.errors import MisuseError
from tickertape.wire.primitives import DecodeError

NONE: Final = 0
GZIP: Final = 1
SNAPPY: Final = 2
LZ4: Final = 3
ZSTD: Final = 4

_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER: Final = _XERIAL_MAGIC + b"\x00\x00\x00\x01" * 2
_XERIAL_BLOCK: Final = 32 * 1024
_GZIP_WINDOW: Final = 31
_GZIP_PIECE_MIN: Final = 256
_GZIP_PIECE_MAX: Final = 1024 * 1024
_ZSTD_LEVEL: Final = 3
_FIRST_GUESS_MIN: Final = 64 * 1024
_BLOCK_SIZE: Final = Struct(">i")
# Magic, version 1 with independent blocks and no checksums, blocks up to 64 KiB, header checksum.
_LZ4_HEADER: Final = bytes.fromhex("04224d18604082")
_LZ4_BLOCK: Final = 64 * 1024
_LZ4_STORED: Final = 1 << 31
_LZ4_SIZE: Final = Struct("<I")


def compress(codec: int, data: Buffer, level: int | None = None) -> bytes:
    """``data`` as this codec's stream; ``level`` as Kafka counts it (KIP-390), for gzip and zstd.

    MisuseError if there is no such codec.
    """
    if codec == NONE:
        return bytes(data)
    if codec == GZIP:
        packer = zlib.compressobj(-1 if level is None else level, wbits=_GZIP_WINDOW)
        return packer.compress(data) + packer.flush()
    if codec == SNAPPY:
        return _compress_xerial(data)
    if codec == LZ4:
        return _compress_lz4(data)
    if codec == ZSTD:
        return bytes(cramjam.zstd.compress(data, level=_ZSTD_LEVEL if level is None else level))
    raise MisuseError(f"got compression {codec}, want 0 to 4")


def decompress(codec: int, data: Buffer, *, bytes_max: int) -> Buffer:
    """The stream's content. DecodeError if it is damaged or larger than ``bytes_max``."""
    if codec == NONE:
        return data
    if codec == GZIP:
        return _decompress_gzip(data, bytes_max)
    if codec == SNAPPY:
        return _decompress_snappy(bytes(data), bytes_max)
    if codec == LZ4:
        return _decompress_into(cramjam.lz4, "lz4", data, bytes_max)
    if codec == ZSTD:
        return _decompress_into(cramjam.zstd, "zstd", data, bytes_max)
    raise DecodeError(f"got compression {codec}, want 0 to 4")


def _too_large(name: str, bytes_max: int) -> DecodeError:
    return DecodeError(f"{name} data is damaged, or larger than {bytes_max} bytes")


def _decompress_gzip(data: Buffer, bytes_max: int) -> bytes:
    out = bytearray()
    view = memoryview(data)
    at = 0
    while at < len(view):
        unpacker = zlib.decompressobj(wbits=_GZIP_WINDOW)
        size = _GZIP_PIECE_MIN
        while not unpacker.eof:
            # In pieces that grow: zlib copies what is left of the input at the end of every member,
            # and a batch of 100 MB holds millions of empty ones.
            piece = view[at : at + size]
            if not piece:
                raise DecodeError(f"gzip data is cut short after {len(data)} bytes")
            try:
                out += unpacker.decompress(piece, bytes_max - len(out) + 1)
            except zlib.error as error:
                raise DecodeError(f"gzip data is damaged: {error}") from None
            if len(out) > bytes_max:
                raise _too_large("gzip", bytes_max)
            at += len(piece) - len(unpacker.unused_data)
            size = min(4 * size, _GZIP_PIECE_MAX)
    return bytes(out)


def _compress_xerial(data: Buffer) -> bytes:
    view = memoryview(data)
    out = bytearray(_XERIAL_HEADER)
    for at in range(0, len(view), _XERIAL_BLOCK):
        block = bytes(cramjam.snappy.compress_raw(view[at : at + _XERIAL_BLOCK]))
        out += _BLOCK_SIZE.pack(len(block))
        out += block
    return bytes(out)


def _compress_lz4(data: Buffer) -> bytes:
    """A frame of independent blocks: Java refuses the dependent ones that cramjam's frames have."""
    view = memoryview(data)
    out = bytearray(_LZ4_HEADER)
    for at in range(0, len(view), _LZ4_BLOCK):
        block = view[at : at + _LZ4_BLOCK]
        packed = bytes(cramjam.lz4.compress_block(block, store_size=False))
        if len(packed) < len(block):
            out += _LZ4_SIZE.pack(len(packed)) + packed
        else:
            out += _LZ4_SIZE.pack(len(block) | _LZ4_STORED) + block
    return bytes(out + _LZ4_SIZE.pack(0))


def _decompress_snappy(data: bytes, bytes_max: int) -> bytes:
    if not data.startswith(_XERIAL_MAGIC):
        return _decompress_block(data, bytes_max)
    out = bytearray()
    at = len(_XERIAL_HEADER)
    while at < len(data):
        try:
            (size,) = _BLOCK_SIZE.unpack_from(data, at)
        except struct_error:
            raise DecodeError(f"snappy block size at byte {at} is cut short") from None
        at += _BLOCK_SIZE.size
        if not 0 <= size <= len(data) - at:
            raise DecodeError(f"snappy block at {at} wants {size} bytes, got {len(data) - at}")
        out += _decompress_block(data[at : at + size], bytes_max - len(out))
        at += size
    return bytes(out)


def _decompress_block(block: bytes, bytes_max: int) -> bytes:
    try:
        if cramjam.snappy.decompress_raw_len(block) > bytes_max:
            raise _too_large("snappy", bytes_max)
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise DecodeError(f"snappy data is damaged: {error}") from None


def _decompress_into(module: Any, name: str, data: Buffer, bytes_max: int) -> Buffer:  # noqa: ANN401  # cramjam has no types
    """Decompress into a buffer that grows fourfold up to the bound, never past it.

    A stream names its size only if it likes, and a wrong name must not make us allocate.
    """
    size = min(bytes_max, max(_FIRST_GUESS_MIN, 4 * len(data)))
    while True:
        out = bytearray(size)
        try:
            length: int = module.decompress_into(data, out)
        except cramjam.DecompressionError:
            if size >= bytes_max:
                raise _too_large(name, bytes_max) from None
            size = min(bytes_max, 4 * size)
            continue
        return memoryview(out)[:length]
