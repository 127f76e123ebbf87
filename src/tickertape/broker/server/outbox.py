"""The bytes on their way to one client: memory by gather writes, file ranges by sendfile.

Writes go to a non-blocking socket of our own (a duplicate of the transport's), never through the
transport, whose buffer would copy them. What the client does not take now stays queued, in order,
and goes out when the event loop says that the socket is writable.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from tickertape.base.errors import StorageError
from tickertape.wire.parts import FileSlice, Part

_IOV_MAX: Final = 1024
_TURN_BYTES_MAX: Final = 8 * 1024 * 1024  # then the others get their turn
_SMALL_SLICE: Final = 16 * 1024  # below this a read into the gather write beats a sendfile
_CHUNK: Final = 256 * 1024  # per read of a file that has no descriptor


class Outbox:
    """See the module. ``sock`` is ours to close; ``on_sent`` is called whenever bytes have left."""

    __slots__ = ("_at", "_loop", "_on_lost", "_on_sent", "_parts", "_sock", "_waits", "held")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_sent: Callable[[], None],
        on_lost: Callable[[Exception], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._on_sent = on_sent
        self._on_lost = on_lost
        self._parts: deque[Part] = deque()
        self._at = 0  # bytes of the first part that have been sent
        self._waits = False  # for the socket to become writable
        self.held = 0  # bytes in memory

    @property
    def is_empty(self) -> bool:
        """Everything has been given to the kernel."""
        return not self._parts

    def add(self, parts: Sequence[Part]) -> None:
        """Queue; ``flush`` sends. StorageError if a small slice cannot be read."""
        for part in parts:
            if isinstance(part, FileSlice):
                if part.length > _SMALL_SLICE:
                    self._parts.append(part)
                    continue
                part = _read(part)  # noqa: PLW2901  # from here on it is bytes
            if part:
                self._parts.append(part)
                self.held += len(part)

    def flush(self) -> None:
        """Send what the client takes. Failures go to ``on_lost``, not to the caller."""
        if self._parts and not self._waits:
            self._send()

    def close(self) -> None:
        """Forget what is queued and close the socket. Idempotent."""
        if self._waits:
            self._waits = False
            self._loop.remove_writer(self._sock)
        self._parts.clear()
        self.held = 0
        self._sock.close()

    def _writable(self) -> None:
        self._waits = False
        self._loop.remove_writer(self._sock)
        self._send()

    def _send(self) -> None:
        sent = 0
        try:
            while self._parts and sent < _TURN_BYTES_MAX:
                head = self._parts[0]
                if isinstance(head, FileSlice):
                    sent += self._send_slice(head)
                else:
                    sent += self._send_bytes()
        except (BlockingIOError, InterruptedError):
            pass
        except (OSError, StorageError) as error:
            self._on_lost(error)
            return
        if self._parts:
            self._waits = True
            self._loop.add_writer(self._sock, self._writable)
        if sent:
            self._on_sent()

    def _send_bytes(self) -> int:
        run: list[bytes | memoryview] = []
        flags = 0
        for part in islice(self._parts, _IOV_MAX):
            if isinstance(part, FileSlice):
                flags = socket.MSG_MORE  # its bytes follow at once: fill the packet
                break
            run.append(part)
        if self._at:
            run[0] = memoryview(run[0])[self._at :]
        sent = self._sock.sendmsg(run, (), flags)
        self.held -= sent
        self._advance(sent)
        return sent

    def _advance(self, sent: int) -> None:
        parts = self._parts
        left = self._at + sent
        while parts:
            head = parts[0]
            if isinstance(head, FileSlice) or left < len(head):
                break
            left -= len(head)
            parts.popleft()
        self._at = left

    def _send_slice(self, part: FileSlice) -> int:
        at, left = part.at + self._at, part.length - self._at
        fd = part.file.fileno()
        if fd is None:
            chunk = part.file.pread(at, min(left, _CHUNK))
            sent = self._sock.send(chunk) if chunk else 0
        else:
            sent = os.sendfile(self._sock.fileno(), fd, at, left)
        if sent == 0:
            raise StorageError(f"file ends at {at}, want {left} bytes more")
        if sent == left:
            self._parts.popleft()
            self._at = 0
        else:
            self._at += sent
        return sent


def _read(part: FileSlice) -> bytes:
    found = part.file.pread(part.at, part.length)
    if len(found) != part.length:
        raise StorageError(f"file ends at {part.at + len(found)}, want {part.at + part.length}")
    return found
