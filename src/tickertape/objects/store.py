"""The port to an object store: what a backup needs from S3, and nothing more.

A store maps keys to immutable bytes. ``put`` is create-only unless told otherwise: of two writers
of one key the first wins and the second is told so. Exactly-once rests on that, and only on that.
Every adapter passes tests/contract/objects.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from tickertape.base.errors import MisuseError, StorageError

PROBE_KEY = "_tickertape/v1/probe"  # what ``check`` writes
KEY_BYTES_MAX = 1024  # S3's limit, held everywhere so that a directory can be moved to a bucket


class ObjectStoreError(StorageError):
    """A store refused or failed.

    ``retriable``: the same call may succeed later (throttling, network, disk full). Otherwise a
    person must change something first (missing bucket, credentials), and the message says what.
    After a retriable error of ``put`` the object may exist: call again, or look.
    """

    def __init__(self, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.retriable = retriable


class PutOutcome(Enum):
    """What became of a put."""

    CREATED = "created"
    EXISTS = "exists"  # the key is taken; what is stored was not touched


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object. ``sha256`` is the hex digest of its bytes where the store knows it."""

    key: str
    size: int
    sha256: str | None = None


class ObjectStore(Protocol):
    """A bucket or a folder. Methods raise ObjectStoreError."""

    @property
    def url(self) -> str:
        """Where the objects are, for people."""
        ...

    def put(
        self,
        key: str,
        data: bytes,
        *,
        create_only: bool = True,
        content_type: str = "application/octet-stream",
    ) -> PutOutcome:
        """Store durably. With ``create_only`` an existing object stays and EXISTS is returned."""
        ...

    def get(self, key: str) -> bytes | None:
        """The whole object, or None if there is none."""
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """Size and digest (where known), or None if there is no such object."""
        ...

    def list(self, prefix: str, start_after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with ``prefix`` and is greater than ``start_after``.

        Ascending by the UTF-8 bytes of the key, as S3 lists. ``sha256`` may be None.
        """
        ...

    def check(self) -> tuple[str, ...]:
        """Fail now rather than at the first flush: no store, no permission, create-only not kept.

        Writes a probe below ``_tickertape/``. Returns warnings about what the store cannot do.
        """
        ...


def validate_key(key: str) -> None:
    """Raise MisuseError unless ``key`` names an object in every store and stays inside it."""
    encoded = key.encode("utf-8", "surrogatepass")
    if not 0 < len(encoded) <= KEY_BYTES_MAX:
        raise MisuseError(
            f"object key {key[:80]!r} has {len(encoded)} bytes, want 1 to {KEY_BYTES_MAX}"
        )
    if "\0" in key or any(part in {"", ".", ".."} for part in key.split("/")):
        raise MisuseError(
            f"object key {key!r}: no part between slashes may be empty, '.' or '..', nor hold a NUL"
        )


def sha256_hex(data: bytes) -> str:
    """The digest that manifests and S3 metadata carry."""
    return hashlib.sha256(data).hexdigest()


def stored_sha256(store: ObjectStore, key: str) -> str | None:
    """Digest of the stored object, from its metadata or else by reading it; None if absent."""
    info = store.head(key)
    if info is None:
        return None
    if info.sha256 is not None:
        return info.sha256
    data = store.get(key)
    return None if data is None else sha256_hex(data)
