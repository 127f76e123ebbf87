"""The two sparse indexes of a segment, in Kafka's format (OffsetIndex, TimeIndex).

Offset index: 8-byte entries (last offset of a batch minus base offset i32, file position of that
batch i32). Time index: 12-byte entries (largest timestamp so far i64, last offset of the batch
that holds it minus base offset i32). Entries only grow, in both fields.

The newest entries live in memory and reach the file a block at a time, at ``flush`` and at close:
an index never slows an append down, and is never needed for correctness, because it can be
rebuilt from the log. Files are neither preallocated nor padded.
"""

import struct

from tickertape.base.errors import StorageError
from tickertape.base.ports import File, FileSystem

_BLOCK_ENTRIES = 512


class SparseIndex:
    """Sorted fixed-size entries: a file, and a tail in memory that is not in the file yet."""

    _entry: struct.Struct
    entry_bytes: int

    def __init__(self, fs: FileSystem, path: str, *, fresh: bool) -> None:
        """``fresh`` drops what the file holds: the index is about to be built anew.

        Raises StorageError.
        """
        self._fs = fs
        self._path = path
        self._file: File | None = None  # opened when first needed: most segments are never read
        self._is_there = not fresh
        self._stored = 0  # entries in the file
        self._tail = bytearray()
        self._last: tuple[int, int] | None = None
        self._block: bytes = b""  # the block read last, and the number of its first entry
        self._block_at = 0
        if fresh:
            fs.remove(path)
        else:
            self._adopt(self._opened())

    def _adopt(self, file: File) -> None:
        size = self._entry.size
        self._stored, odd = divmod(file.size(), size)
        if odd:
            raise StorageError(f"{self._path}: {file.size()} bytes, want a multiple of {size}")
        if self._stored:
            self._last = self._at(self._stored - 1)
        self.close()

    def _opened(self) -> File:
        if self._file is None:
            self._file = self._fs.open(self._path, create=not self._is_there)
            self._is_there = True
        return self._file

    def __len__(self) -> int:
        """How many entries."""
        return self._stored + len(self._tail) // self._entry.size

    def full(self, bytes_max: int) -> bool:
        """True if ``segment.index.bytes`` are used up."""
        return (len(self) + 1) * self._entry.size >= bytes_max

    def last(self) -> tuple[int, int] | None:
        """The newest entry."""
        return self._last

    def _add(self, first: int, second: int) -> None:
        self._tail += self._entry.pack(first, second)
        self._last = (first, second)
        if len(self._tail) >= _BLOCK_ENTRIES * self._entry.size:
            self.flush()

    def flush(self) -> bool:
        """Bring the tail to the file. False if the disk refused: the tail stays, try again."""
        try:
            self._flush()
        except StorageError:
            return False
        return True

    def _flush(self) -> None:
        size = self._entry.size
        if self._is_there and not self._tail:
            return
        file = self._opened()
        file.truncate(self._stored * size)  # drops what a failed flush may have left
        file.append((bytes(self._tail),))
        self._stored += len(self._tail) // size
        self._tail.clear()
        self._block = b""

    @property
    def is_stored(self) -> bool:
        """True if the file is there and holds every entry."""
        return self._is_there and not self._tail

    def flushed_file(self) -> File | None:
        """The file, if it holds every entry and has been in use; for syncing."""
        return None if self._tail else self._file

    def close(self) -> None:
        """Release the descriptor until it is needed again; does not flush."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _at(self, number: int) -> tuple[int, int]:
        size = self._entry.size
        if number >= self._stored:
            first, second = self._entry.unpack_from(self._tail, (number - self._stored) * size)
            return first, second
        where = number - self._block_at
        if not 0 <= where < len(self._block) // size:
            self._block_at = number - number % _BLOCK_ENTRIES
            self._block = self._opened().pread(self._block_at * size, _BLOCK_ENTRIES * size)
            where = number - self._block_at
        first, second = self._entry.unpack_from(self._block, where * size)
        return first, second

    def _floor(self, wanted: int, field: int) -> tuple[int, int] | None:
        """The last entry whose ``field`` is <= ``wanted``."""
        low, high = self._bounds(wanted, field)
        found = None
        while low < high:
            middle = (low + high) // 2
            entry = self._at(middle)
            if entry[field] <= wanted:
                found, low = entry, middle + 1
            else:
                high = middle
        return found

    def _bounds(self, wanted: int, field: int) -> tuple[int, int]:
        """Where to search: the tail in memory, the block at hand, or everything."""
        count, stored, size = len(self), self._stored, self._entry.size
        if self._tail and self._at(stored)[field] <= wanted:
            return stored, count
        in_block = len(self._block) // size
        if in_block:
            first, last = self._block_at, self._block_at + in_block - 1
            if self._at(first)[field] <= wanted < self._at(last)[field]:
                return first, last + 1
        return 0, count


class OffsetIndex(SparseIndex):
    """From relative offset to file position."""

    _entry = struct.Struct(">ii")
    entry_bytes = 8

    def add(self, relative: int, position: int) -> None:
        """Note that the batch ending at ``relative`` starts at ``position``."""
        self._add(relative, position)

    def position_before(self, relative: int) -> int:
        """A batch boundary at or before the batch that holds ``relative``."""
        entry = self._floor(relative, 0)
        return entry[1] if entry else 0

    def boundary_before(self, position: int) -> int:
        """The last indexed batch boundary <= ``position``."""
        entry = self._floor(position, 1)
        return entry[1] if entry else 0


class TimeIndex(SparseIndex):
    """From timestamp to relative offset."""

    _entry = struct.Struct(">qi")
    entry_bytes = 12

    def add_if_newer(self, timestamp: int, relative: int) -> None:
        """Note the largest timestamp so far, unless it is noted already."""
        if timestamp > (self._last[0] if self._last else -1):
            self._add(timestamp, relative)

    def offset_before(self, timestamp: int) -> int:
        """A relative offset such that every batch before it is older than ``timestamp``."""
        entry = self._floor(timestamp - 1, 0)
        return entry[1] if entry else 0


for _kind in (OffsetIndex, TimeIndex):
    assert _kind._entry.size == _kind.entry_bytes  # noqa: SLF001  # the size is the format
