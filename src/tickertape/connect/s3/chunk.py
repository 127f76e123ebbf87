"""What goes in: a chunk of polled records, and the refusal of one of them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records of one partition as parallel sequences, offsets rising.

    ``timestamps`` (ms, -1 for none) may be empty unless Layout.needs_timestamps.
    """

    offsets: Sequence[int]
    values: Sequence[bytes | None]
    timestamps: Sequence[int] = ()


class RecordRejectedError(Exception):
    """Record ``index`` of a chunk cannot be handled; the assembler says where and stops."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason
