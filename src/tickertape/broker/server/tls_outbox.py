"""The bytes on their way to one client under TLS: all of them pass through the transport.

What is encrypted must be in memory: file ranges are read a chunk at a time, when the transport has
room for it. It has the same face as Outbox, which serves connections without TLS.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from tickertape.base.errors import StorageError
from tickertape.wire.parts import FileSlice, Part

_CHUNK: Final = 256 * 1024  # read from a file, or joined, at a time
_TURN_BYTES_MAX: Final = 8 * 1024 * 1024  # then the others get their turn
_BUFFER: Final = 1024 * 1024  # in the transport, before it says stop


class TlsOutbox:
    """See the module. ``on_sent`` is called whenever bytes have been given to the transport."""

    __slots__ = ("_at", "_is_full", "_loop", "_on_lost", "_on_sent", "_parts", "_transport", "held")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        on_sent: Callable[[], None],
        on_lost: Callable[[Exception], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        transport.set_write_buffer_limits(_BUFFER)
        self._on_sent = on_sent
        self._on_lost = on_lost
        self._parts: deque[Part] = deque()
        self._at = 0  # bytes of the first part that have been written
        self._is_full = False
        self.held = 0  # bytes in memory

    @property
    def is_empty(self) -> bool:
        """Everything has been encrypted and given away."""
        return not self._parts and not self._transport.get_write_buffer_size()

    @property
    def _may_write(self) -> bool:
        return bool(self._parts) and not self._is_full and not self._transport.is_closing()

    def add(self, parts: Sequence[Part]) -> None:
        """Queue; ``flush`` sends."""
        for part in parts:
            self._parts.append(part)
            if not isinstance(part, FileSlice):
                self.held += len(part)

    def flush(self) -> None:
        """Write what the transport takes. Failures go to ``on_lost``, not to the caller."""
        sent = 0
        try:
            while self._may_write:
                if sent >= _TURN_BYTES_MAX:
                    self._loop.call_soon(self.flush)
                    break
                chunk = self._next_chunk()
                sent += len(chunk)
                self._transport.write(chunk)
        except (OSError, StorageError) as error:
            self._on_lost(error)
            return
        if sent:
            self._on_sent()

    def pause(self) -> None:
        """The transport is full."""
        self._is_full = True

    def resume(self) -> None:
        """The transport has room again."""
        self._is_full = False
        self.flush()

    def close(self) -> None:
        """Forget what is queued. The transport belongs to the connection. Idempotent."""
        self._parts.clear()
        self.held = 0

    def _next_chunk(self) -> bytes:
        """Up to a chunk of one file range, or of the memory up to the next one, joined."""
        head = self._parts[0]
        if isinstance(head, FileSlice):
            return self._read(head)
        run: list[bytes | memoryview] = []
        size = 0
        while self._parts and size < _CHUNK:
            part = self._parts[0]
            if isinstance(part, FileSlice):
                break
            run.append(part)
            size += len(part)
            self._parts.popleft()
        self.held -= size
        return run[0] if len(run) == 1 and isinstance(run[0], bytes) else b"".join(run)

    def _read(self, part: FileSlice) -> bytes:
        at, left = part.at + self._at, part.length - self._at
        chunk = part.file.pread(at, min(left, _CHUNK))
        if not chunk:
            raise StorageError(f"file ends at {at}, want {left} bytes more")
        self._at += len(chunk)
        if self._at == part.length:
            self._parts.popleft()
            self._at = 0
        return chunk
