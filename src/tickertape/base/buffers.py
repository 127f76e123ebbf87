"""The one spelling of "bytes-like": Python 3.11 has no collections.abc.Buffer yet."""

from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
