"""An object store in memory: the fake of the port, with faults to order; ``memory:`` for a try-out.

Everything is gone when the process ends.
"""

from collections.abc import Iterator
from enum import Enum

from tickertape.objects.store import (
    ObjectInfo,
    ObjectStoreError,
    PutOutcome,
    sha256_hex,
    validate_key,
)


class Fault(Enum):
    """What can be ordered to happen to a put."""

    REFUSE = "nothing is stored; a retriable error"
    LOSE_ANSWER = "the object is stored; a retriable error all the same"
    DENY = "nothing is stored; an error that no retry mends"


class MemoryStore:
    """A dict with the manners of S3. One thread at a time."""

    def __init__(self, url: str = "memory:") -> None:
        self._url = url
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []  # every put that was asked for, in order
        self._faults: dict[int, Fault] = {}

    @property
    def url(self) -> str:
        """``memory:``."""
        return self._url

    def fail_put(self, nth: int, fault: Fault = Fault.REFUSE) -> None:
        """Order a fault for the ``nth`` put from now on, counting from 1."""
        assert nth >= 1
        self._faults[len(self.puts) + nth] = fault

    def put(
        self,
        key: str,
        data: bytes,
        *,
        create_only: bool = True,
        content_type: str = "application/octet-stream",
    ) -> PutOutcome:
        """Store, unless a fault was ordered for this put."""
        validate_key(key)
        self.puts.append(key)
        fault = self._faults.pop(len(self.puts), None)
        if fault is Fault.REFUSE:
            raise ObjectStoreError(f"put {key}: refused, as ordered", retriable=True)
        if fault is Fault.DENY:
            raise ObjectStoreError(f"put {key}: denied, as ordered", retriable=False)
        if create_only and key in self.objects:
            return PutOutcome.EXISTS
        self.objects[key] = bytes(data)
        if fault is Fault.LOSE_ANSWER:
            raise ObjectStoreError(f"put {key}: answer lost, as ordered", retriable=True)
        return PutOutcome.CREATED

    def get(self, key: str) -> bytes | None:
        """The object or None."""
        return self.objects.get(key)

    def head(self, key: str) -> ObjectInfo | None:
        """Size and digest, or None."""
        data = self.objects.get(key)
        return None if data is None else ObjectInfo(key, len(data), sha256_hex(data))

    def list(self, prefix: str, start_after: str = "") -> Iterator[ObjectInfo]:
        """Sorted by UTF-8 bytes."""
        low = start_after.encode()
        for key in sorted(self.objects, key=str.encode):
            if key.startswith(prefix) and key.encode() > low:
                yield ObjectInfo(key, len(self.objects[key]))

    def check(self) -> tuple[str, ...]:
        """Warns that nothing stays."""
        return ("objects are kept in memory only: all is lost when this process ends",)
