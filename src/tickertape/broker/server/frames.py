"""Cuts a byte stream into frames (4-byte big-endian size, then that many bytes) without copying.

One growing buffer: the socket reads straight into it, frames are handed out as views of it. A view
is valid until ``free`` is called next. Memory grows with bytes that have arrived, at most fourfold,
never with the size that a peer merely announces. Thousands of connections that say little must not
take much: the first buffer is small, and grows for those who fill it in one go.
"""

from struct import Struct
from typing import Final

from tickertape.base.errors import PeerError

_SIZE: Final = Struct(">i")
_FIRST: Final = 4 * 1024
_READ: Final = 64 * 1024  # larger reads do not pay while frames are small


class FrameBuffer:
    """See the module. ``frame_bytes_max`` bounds one frame, without its size."""

    __slots__ = ("_end", "_frame_bytes_max", "_start", "_store", "_view")

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._store = bytearray(_FIRST)
        self._view = memoryview(self._store)
        self._start = 0  # unread bytes are [start, end)
        self._end = 0

    @property
    def capacity(self) -> int:
        """Bytes of memory in use."""
        return len(self._store)

    def limit(self, frame_bytes_max: int) -> None:
        """From the next frame on."""
        self._frame_bytes_max = frame_bytes_max

    def free(self) -> memoryview:
        """Where the next bytes go; never empty. Frames handed out before become invalid."""
        if self._end == len(self._store) < _READ:
            self._replace(min(4 * self._end, _READ))
        elif self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._store) or (
            self._start and self._start + self._wanted() > len(self._store)
        ):
            self._make_room()
        return self._view[self._end :]

    def filled(self, count: int) -> None:
        """``count`` bytes have been written to the start of ``free()``."""
        assert 0 <= count <= len(self._store) - self._end
        self._end += count

    def next_frame(self) -> memoryview | None:
        """The next whole frame without its size; None if it has not all arrived.

        PeerError if the size is not one that any client sends.
        """
        available = self._end - self._start - 4
        if available < 0:
            return None
        (size,) = _SIZE.unpack_from(self._store, self._start)
        if not 0 <= size <= self._frame_bytes_max:
            raise PeerError(self._complaint(size))
        if available < size:
            return None
        at = self._start + 4
        self._start = at + size
        return self._view[at : at + size]

    @property
    def missing(self) -> int:
        """Bytes that the frame at the start will take beyond one read; 0 if it is all there."""
        wanted = self._wanted()
        return wanted if wanted > max(_READ, self._end - self._start) else 0

    def shrink(self) -> None:
        """Give memory back if what is left unread fits the first buffer. No frame may be in use."""
        unread = self._end - self._start
        if len(self._store) > _FIRST and unread < _FIRST:
            self._replace(_FIRST)

    def _wanted(self) -> int:
        """Bytes that the frame at the start will take, size included; 4 while that is unknown."""
        if self._end - self._start < 4:
            return 4
        size: int = _SIZE.unpack_from(self._store, self._start)[0]
        return 4 + size

    def _make_room(self) -> None:
        """Move what is unread to the front; double the buffer if it is more than half of it."""
        capacity = len(self._store)
        unread = self._end - self._start
        if unread > capacity // 2:
            self._replace(min(2 * capacity, max(capacity, self._frame_bytes_max) + 4))
        else:
            self._view[:unread] = self._view[self._start : self._end]
            self._start, self._end = 0, unread

    def _replace(self, capacity: int) -> None:
        unread = self._end - self._start
        store = bytearray(capacity)
        store[:unread] = self._view[self._start : self._end]
        self._store, self._view = store, memoryview(store)
        self._start, self._end = 0, unread

    def _complaint(self, size: int) -> str:
        head = bytes(self._view[self._start : self._start + 4])
        if head[:2] == b"\x16\x03":
            return (
                "got a TLS handshake, want the plain Kafka protocol (security.protocol=PLAINTEXT)"
            )
        if head in {b"GET ", b"POST", b"HEAD", b"PUT "}:
            return "got an HTTP request, want the Kafka protocol"
        return f"got a frame of {size} bytes, want 0 to {self._frame_bytes_max}"
