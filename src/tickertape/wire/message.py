"""The base classes of messages: a bag of fields, and a generated message with its versions.

A message is one class for all its versions. Fields that a version lacks keep their default when
decoding and are left out, silently, when encoding. Classes are plain and slotted because making a
dataclass costs ~0.5 ms each at import, and the broker starts in less than it would take for all.
"""

from typing import Any, ClassVar, Final, Self

from tickertape.base.buffers import Buffer
from tickertape.base.errors import MisuseError
from tickertape.wire.primitives import BAD_BYTES, DecodeError, short

UNSET: Final[Any] = object()
"""Stands for "a fresh default" where the default is a list or a struct."""


class Fields:
    """A struct of Kafka's: mutable, compared by value, not hashable."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Same class, same values."""
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # mutable, hence not hashable

    def __repr__(self) -> str:
        """As a dataclass would print."""
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"


class Message(Fields):
    """A generated request, response or stored record, whole."""

    __slots__ = ()

    VERSIONS: ClassVar[tuple[int, int]]
    """The first and the last version, inclusive."""

    @classmethod
    def read(cls, buf: Buffer, at: int, version: int) -> tuple[Self, int]:
        """Decode from ``at``; may raise any of BAD_BYTES, so call ``decode`` from outside."""
        raise NotImplementedError

    def write(self, out: bytearray, version: int) -> None:
        """Append the bytes of this version."""
        raise NotImplementedError

    @classmethod
    def decode(cls, buf: Buffer, at: int, version: int) -> tuple[Self, int]:
        """The message that begins at ``at`` and the position after it.

        DecodeError if the bytes are not such a message; MisuseError if there is no such version.
        """
        cls._check(version)
        try:
            return cls.read(buf, at, version)
        except BAD_BYTES as error:
            raise short(buf, at, error) from None

    @classmethod
    def decode_stored(cls, stored: bytes) -> tuple[Self, int]:
        """What a record of an internal topic holds, behind two bytes of version; and that version.

        DecodeError if the bytes are not such a message, or of a version that we do not know.
        """
        version, body = split_version(stored)
        first, last = cls.VERSIONS
        if not first <= version <= last:
            raise DecodeError(f"stored {cls.__name__} of version {version}, want {first} to {last}")
        return cls.decode(body, 0, version)[0], version

    def encode(self, version: int) -> bytes:
        """The bytes of this version. MisuseError if there is no such version."""
        self._check(version)
        out = bytearray()
        self.write(out, version)
        return bytes(out)

    @classmethod
    def _check(cls, version: int) -> None:
        first, last = cls.VERSIONS
        if not first <= version <= last:
            raise MisuseError(f"{cls.__name__} has versions {first} to {last}, got {version}")


def split_version(stored: bytes) -> tuple[int, memoryview]:
    """The version that a stored key or value begins with, and the rest. DecodeError if neither."""
    if len(stored) < 2:
        raise DecodeError(f"a key or value of {len(stored)} bytes has no version; want at least 2")
    return int.from_bytes(stored[:2], "big", signed=True), memoryview(stored)[2:]
