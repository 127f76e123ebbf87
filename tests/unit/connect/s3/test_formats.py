import hashlib
import zlib

import pytest

from tickertape.base.errors import StorageError
from tickertape.connect.s3.chunk import RecordRejectedError
from tickertape.connect.s3.formats import (
    BLOCK_BYTES,
    GZIP_HEADER,
    OpenFile,
    content_of,
    encoder_for,
    line_end,
)
from tickertape.connect.s3.layout import Layout

GZIP = Layout(compression="gzip")
CONTENT = b"".join(b'{"price":%d}\n' % (n * 7919 % 10007) for n in range(60_000))
assert len(CONTENT) > 3 * BLOCK_BYTES


def sealed(layout: Layout, content: bytes, piece: int) -> bytes:
    file = OpenFile(layout)
    for at in range(0, len(content), piece):
        file.write(content[at : at + piece])
    result = file.seal()
    assert result.content_sha256 == hashlib.sha256(content).hexdigest()
    return result.data


@pytest.mark.parametrize("level", range(-1, 10))
def test_bytes_do_not_depend_on_how_the_content_arrived(level: int) -> None:
    layout = Layout(compression="gzip", level=level)
    stored = sealed(layout, CONTENT, len(CONTENT))
    for piece in (1021, 65_536, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1):
        assert sealed(layout, CONTENT, piece) == stored
    assert stored.startswith(GZIP_HEADER)
    assert zlib.decompress(stored, wbits=31) == CONTENT == content_of(layout, stored)


def test_without_compression_the_content_is_stored() -> None:
    assert sealed(Layout(), CONTENT, 1000) == CONTENT == content_of(Layout(), CONTENT)


def test_an_empty_file_is_a_whole_member() -> None:
    assert zlib.decompress(OpenFile(GZIP).seal().data, wbits=31) == b""


def test_memory_is_what_is_held() -> None:
    file = OpenFile(Layout())
    assert file.memory_bytes == 0
    file.write(b"x" * 100)
    file.write(b"y" * BLOCK_BYTES)
    assert file.memory_bytes == BLOCK_BYTES + 100


@pytest.mark.parametrize("damage", [b"", b"x", b"plain text", "cut", "more", "flip"])
def test_damaged_members_are_refused(damage: bytes | str) -> None:
    stored = sealed(GZIP, CONTENT, 1000)
    broken = {
        "cut": stored[:-1],
        "more": stored + b"\0",
        "flip": stored[:500] + bytes([stored[500] ^ 1]) + stored[501:],
    }
    with pytest.raises(StorageError, match="want"):
        content_of(GZIP, damage if isinstance(damage, bytes) else broken[damage])


@pytest.mark.parametrize(
    ("layout", "line"),
    [
        (Layout(), rb'"{\"b\":1.0,\"a\":2}"'),
        (Layout(converter="json", schemas_enable=False), b'{"a":2,"b":1.0}'),
        (
            Layout(converter="json", schemas_enable=False, json_compat="preserve"),
            b'{"b":1.0,"a":2}',
        ),
        (Layout(converter="bytes"), b'"eyJiIjoxLjAsImEiOjJ9"'),
        (Layout(converter="bytes", format="bytes"), b'{"b":1.0,"a":2}'),
    ],
)
def test_each_layout_has_its_encoder(layout: Layout, line: bytes) -> None:
    encode = encoder_for(layout)
    assert encode([b'{"b":1.0,"a":2}', None]) == [line, None]


def test_the_refused_record_is_named() -> None:
    encode = encoder_for(Layout(converter="json"))
    good = b'{"schema":{"type":"int32"},"payload":5}'
    assert encode([good, None]) == [b"5", None]
    with pytest.raises(RecordRejectedError, match="schema") as caught:
        encode([good, None, b"{}"])
    assert caught.value.index == 2


def test_raw_values_end_with_the_separator() -> None:
    assert line_end(Layout()) == b"\n"
    assert line_end(Layout(format="bytes", converter="bytes", separator="::")) == b"::"
