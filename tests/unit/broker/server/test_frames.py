"""Any chunking of the byte stream gives the same frames; memory follows what has arrived."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.base.errors import PeerError
from tickertape.broker.server.frames import FrameBuffer

SMALL = FrameBuffer(1).capacity


def feed(buffer: FrameBuffer, stream: bytes, cuts: list[int]) -> list[bytes]:
    """Give ``stream`` to the buffer, at most the next of ``cuts`` bytes at a time."""
    found: list[bytes] = []
    at = step = 0
    while at < len(stream):
        room = buffer.free()
        assert len(room) > 0
        size = min(len(room), cuts[step % len(cuts)], len(stream) - at)
        step += 1
        room[:size] = stream[at : at + size]
        buffer.filled(size)
        at += size
        while (frame := buffer.next_frame()) is not None:
            found.append(bytes(frame))
    return found


def stream_of(frames: list[bytes]) -> bytes:
    return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)


@given(
    frames=st.lists(
        st.one_of(
            st.binary(max_size=50),
            st.integers(0, 3 * SMALL).map(lambda size: bytes([size % 251]) * size),
        ),
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 2 * SMALL), min_size=1, max_size=20),
)
def test_any_chunking_gives_the_same_frames(frames: list[bytes], cuts: list[int]) -> None:
    assert feed(FrameBuffer(4 * SMALL), stream_of(frames), cuts) == frames


def test_byte_by_byte() -> None:
    frames = [b"", b"a", b"bc" * 100, b""]
    assert feed(FrameBuffer(1000), stream_of(frames), [1]) == frames


@pytest.mark.parametrize("size", [-1, -(2**31), 1001, 2**31 - 1])
def test_an_absurd_size_is_refused_before_any_byte_of_the_frame(size: int) -> None:
    buffer = FrameBuffer(1000)
    with pytest.raises(PeerError, match=f"got a frame of {size} bytes, want 0 to 1000"):
        feed(buffer, size.to_bytes(4, "big", signed=True), [4])
    assert buffer.capacity == SMALL


def test_the_largest_frame_is_served() -> None:
    frame = bytes(5 * SMALL)
    assert feed(FrameBuffer(len(frame)), stream_of([frame, frame]), [10 * SMALL]) == [frame, frame]


def test_an_announced_frame_takes_no_memory_until_it_arrives() -> None:
    buffer = FrameBuffer(100_000_000)
    feed(buffer, (100_000_000).to_bytes(4, "big") + bytes(SMALL), [SMALL])
    assert buffer.capacity <= 4 * SMALL


def test_a_connection_that_says_little_takes_little_and_a_busy_one_reads_more_at_once() -> None:
    """Once it was 64 KB for each: 1,000 connections at a time cost 65 MB, kept for good."""
    buffer = FrameBuffer(100 * SMALL)
    assert SMALL <= 4096
    feed(buffer, stream_of([bytes(50)] * 20), [54])
    assert buffer.capacity == SMALL
    feed(buffer, stream_of([bytes(50)] * 2_000), [10 * SMALL])
    assert buffer.capacity >= 65_536


def test_memory_is_given_back_and_the_partial_frame_kept() -> None:
    buffer = FrameBuffer(100 * SMALL)
    assert len(feed(buffer, stream_of([bytes(50 * SMALL)]) + b"\0\0\0\3ab", [SMALL])) == 1
    assert buffer.capacity >= 50 * SMALL
    buffer.shrink()
    assert buffer.capacity == SMALL
    assert feed(buffer, b"c", [1]) == [b"abc"]


@pytest.mark.parametrize(
    ("start", "says"),
    [(b"\x16\x03\x01\x02", "a TLS handshake"), (b"GET / HTTP/1.1", "an HTTP request")],
)
def test_other_protocols_are_named(start: bytes, says: str) -> None:
    with pytest.raises(PeerError, match=says):
        feed(FrameBuffer(104_857_600), start, [100])
