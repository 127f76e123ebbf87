"""``queued.max.request.bytes``: the memory of unfinished large requests, of all clients.

A connection whose next request does not fit a read's worth of bytes asks before it reads on. While
less than the bound is in use it gets all it needs, so that whoever has begun can finish: the bound
may be exceeded by one request, as by Kafka's SimpleMemoryPool. The others wait, first come first
served.
"""

from typing import Final, Protocol


class Reader(Protocol):
    """Who waits for memory: a connection."""

    def memory_granted(self) -> None:
        """Ask again."""
        ...


class RequestMemory:
    """See the module."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max: Final = bytes_max
        self._granted: dict[Reader, int] = {}
        self._waiting: dict[Reader, None] = {}
        self.bytes_in_use = 0

    def take(self, reader: Reader, size: int) -> bool:
        """True: read on, until ``give_back``. False: ``memory_granted`` will be called."""
        if reader in self._granted:
            return True
        if self.bytes_in_use >= self._bytes_max:
            self._waiting[reader] = None
            return False
        self._waiting.pop(reader, None)
        self._granted[reader] = size
        self.bytes_in_use += size
        return True

    def give_back(self, reader: Reader) -> None:
        """Its request has been handled, or it is gone. Idempotent."""
        self._waiting.pop(reader, None)
        self.bytes_in_use -= self._granted.pop(reader, 0)
        while self._waiting and self.bytes_in_use < self._bytes_max:
            first = next(iter(self._waiting))
            del self._waiting[first]
            first.memory_granted()
