"""Values to file content: the line encoder of a layout, and the file that grows and is sealed.

gzip members carry Java's header (``1f8b 08 00 00000000 00 ff``: no name, no time, OS "unknown").
The deflate stream inside is ours: isal for the default level, zlib for an explicit 6 to 9. It
depends on the content alone, never on how the content arrived: the compressor is fed in blocks.
"""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from isal import isal_zlib

from tickertape.base.errors import StorageError
from tickertape.connect.s3 import envelope, java_json
from tickertape.connect.s3.java_json import Line
from tickertape.connect.s3.layout import Layout

Encoder: TypeAlias = Callable[[Sequence[bytes | None]], list[Line]]

GZIP_HEADER: Final = bytes.fromhex("1f8b08000000000000ff")
BLOCK_BYTES: Final = 1 << 18
_ISAL_LEVELS: Final = {-1: 2, 1: 1, 2: 2, 3: 2, 4: 2, 5: 2}


def encoder_for(layout: Layout) -> Encoder:
    """Values to lines without their ends; None for Connect's null value.

    The encoder raises RecordRejectedError at the first value that the converter refuses.
    """
    if layout.format == "bytes":
        return list
    if layout.converter == "string":
        return java_json.string_lines
    if layout.converter == "bytes":
        return java_json.base64_lines
    if layout.schemas_enable:
        return envelope.Envelopes(numeric=layout.decimal_format == "NUMERIC").lines
    if layout.json_compat == "preserve":
        return java_json.preserved_lines
    return java_json.schemaless_lines


def line_end(layout: Layout) -> bytes:
    """What follows every record: a line feed, or ByteArrayFormat's separator."""
    return b"\n" if layout.format == "json" else layout.separator.encode()


class Sealed(NamedTuple):
    """A finished file: the stored bytes and the digest of the content before compression."""

    data: bytes
    content_sha256: str


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class OpenFile:
    """One growing file of a layout. Content in any pieces gives the same sealed bytes."""

    def __init__(self, layout: Layout) -> None:
        self._digest = hashlib.sha256()
        self._crc = 0
        self._content_bytes = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._stored: list[bytes] = []
        self._stored_bytes = 0
        self._compressor: _Compressor | None = None
        if layout.compression == "gzip":
            self._compressor = _deflate(layout.level)
            self._stored.append(GZIP_HEADER)

    @property
    def memory_bytes(self) -> int:
        """What the file holds in memory now."""
        return self._waiting_bytes + self._stored_bytes

    def write(self, content: bytes) -> None:
        """Append content."""
        self._waiting.append(content)
        self._waiting_bytes += len(content)
        if self._waiting_bytes >= BLOCK_BYTES:
            self._drain()

    def seal(self) -> Sealed:
        """Finish. Not to be called twice."""
        self._drain()
        self._take(b"".join(self._waiting))
        if self._compressor is not None:
            self._store(self._compressor.flush())
            self._store(self._crc.to_bytes(4, "little"))
            self._store((self._content_bytes & 0xFFFFFFFF).to_bytes(4, "little"))
        return Sealed(b"".join(self._stored), self._digest.hexdigest())

    def _drain(self) -> None:
        """Pass on whole blocks; keep the rest."""
        content = b"".join(self._waiting)
        whole = len(content) - len(content) % BLOCK_BYTES
        for at in range(0, whole, BLOCK_BYTES):
            self._take(content[at : at + BLOCK_BYTES])
        self._waiting = [content[whole:]]
        self._waiting_bytes = len(content) - whole

    def _take(self, block: bytes) -> None:
        self._digest.update(block)
        if self._compressor is None:
            self._store(block)
            return
        self._crc = isal_zlib.crc32(block, self._crc)
        self._content_bytes += len(block)
        self._store(self._compressor.compress(block))

    def _store(self, piece: bytes) -> None:
        self._stored.append(piece)
        self._stored_bytes += len(piece)


def content_of(layout: Layout, stored: bytes) -> bytes:
    """The content of a stored object. StorageError if it is not the one gzip member we write."""
    if layout.compression == "none":
        return stored
    member = zlib.decompressobj(wbits=31)
    try:
        content = member.decompress(stored)
    except zlib.error as error:
        raise StorageError(f"got {stored[:10].hex()}... ({error}), want a gzip member") from error
    if not member.eof or member.unused_data:
        end = "more bytes after it" if member.eof else "a cut one"
        raise StorageError(f"got {end}, want one whole gzip member of {len(stored)} bytes")
    return content


def _deflate(level: int) -> _Compressor:
    """A raw deflate stream for a Deflater level of -1 to 9."""
    compressor: _Compressor
    if level in _ISAL_LEVELS:
        compressor = isal_zlib.compressobj(_ISAL_LEVELS[level], isal_zlib.DEFLATED, -15)
    else:
        compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor
