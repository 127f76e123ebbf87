"""What a response is made of: bytes, and ranges of files that need not be read to be sent."""

from dataclasses import dataclass
from typing import TypeAlias

from tickertape.base.ports import File


@dataclass(frozen=True, slots=True)
class FileSlice:
    """``length`` bytes of ``file`` from position ``at``; the file stays open until it is sent."""

    file: File
    at: int
    length: int


Part: TypeAlias = bytes | FileSlice


def part_size(part: Part) -> int:
    """How many bytes the part becomes on the wire."""
    return part.length if isinstance(part, FileSlice) else len(part)


def part_bytes(part: Part) -> bytes:
    """The part's bytes, read from the file if it is a slice; shorter if the file is."""
    return part.file.pread(part.at, part.length) if isinstance(part, FileSlice) else part
