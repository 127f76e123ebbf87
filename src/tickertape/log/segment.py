"""One segment: a ``.log`` file of record batches and its two sparse indexes.

Owns where a batch lies. Knows nothing of producers, epochs or durability. A batch is written
whole or, if the disk refuses, cut away again by the caller (``undo_append``).
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tickertape.base.buffers import Buffer
from tickertape.base.crc import crc32c
from tickertape.base.errors import StorageError
from tickertape.base.ports import File, FileSystem
from tickertape.log.config import LogConfig
from tickertape.log.index import OffsetIndex, TimeIndex
from tickertape.log.names import INDEX, LOG, TIME_INDEX, offset_name
from tickertape.wire.batch import BATCH_OVERHEAD, LOG_OVERHEAD

_PEEK: Final = struct.Struct(">qi4xb6xi8xq")
"""Of a batch header: base offset, length, magic, last offset delta, max timestamp."""
_CHUNK_BYTES: Final = 8192
_HINTS_MAX: Final = 64
_I32_MAX: Final = 0x7FFFFFFF

assert _PEEK.size == 43


class BatchAt(NamedTuple):
    """Where a batch lies, and what a look-up needs of its header."""

    position: int
    size: int
    base_offset: int
    last_offset: int
    max_timestamp: int


class Segment:
    """Batches from ``base_offset`` on. ``size`` is the length of the ``.log`` file in bytes."""

    __slots__ = (
        "_hints",
        "_since_entry",
        "base_offset",
        "created_ms",
        "file",
        "first_timestamp",
        "folder",
        "index",
        "max_timestamp",
        "max_timestamp_offset",
        "path",
        "size",
        "time_index",
    )

    def __init__(
        self, fs: FileSystem, folder: str, base_offset: int, *,
        now_ms: int, fresh: bool, suffix: str = "",
    ) -> None:  # fmt: skip
        """Open or create the files. ``fresh``: the indexes start empty. Raises StorageError.

        ``suffix`` follows the names while compaction has not put them in their place.
        """
        self.folder = folder
        self.base_offset = base_offset
        self.path = f"{folder}/{offset_name(base_offset, LOG)}{suffix}"
        self.file: File = fs.open(self.path, create=fresh)
        self.size = self.file.size()
        self.created_ms = now_ms
        self.first_timestamp = -1
        self.max_timestamp = -1
        self.max_timestamp_offset = base_offset
        self._since_entry = 0
        self._hints: dict[int, int] = {}
        stem = f"{folder}/{offset_name(base_offset, '')}"
        self.index = OffsetIndex(fs, stem + INDEX + suffix, fresh=fresh)
        self.time_index = TimeIndex(fs, stem + TIME_INDEX + suffix, fresh=fresh)

    # -- writing

    def must_roll(
        self, size: int, last_offset: int, timestamp: int, config: LogConfig, now_ms: int
    ) -> bool:
        """True if a batch belongs in a new segment (Kafka: LogSegment.shouldRoll)."""
        if self.size > config.segment_bytes - size or last_offset - self.base_offset > _I32_MAX:
            return True
        if not self.size:
            return False
        start = self.first_timestamp
        dated = start >= 0 and timestamp >= 0
        waited = timestamp - start if dated else now_ms - self.created_ms
        if waited > self._age_ms_max(config):
            return True
        index_bytes = config.segment_index_bytes
        return self.index.full(index_bytes) or self.time_index.full(index_bytes)

    def is_due(self, now_ms: int, config: LogConfig) -> bool:
        """True if it has been open for longer than ``segment.ms``."""
        started = max(self.first_timestamp, self.created_ms)
        return bool(self.size) and now_ms - started > self._age_ms_max(config)

    def _age_ms_max(self, config: LogConfig) -> int:
        """Less a jitter that the name of the file decides: always the same for one segment."""
        age = config.segment_age_ms_max
        if not config.segment_jitter_ms:
            return age
        return age - crc32c(self.path.encode()) % min(config.segment_jitter_ms, age)

    def append(
        self, parts: Sequence[Buffer], size: int, last_offset: int, timestamp: int, interval: int
    ) -> None:
        """Write one batch of ``size`` bytes. Raises StorageError: call ``undo_append`` then."""
        self.file.append(parts)
        position = self.size
        self.size = position + size
        self.note(position, size, last_offset, timestamp, interval)

    def note(
        self, position: int, size: int, last_offset: int, timestamp: int, interval: int
    ) -> None:
        """Index the batch at ``position`` if ``interval`` bytes went by; Kafka's own rule."""
        if timestamp > self.max_timestamp:
            self.max_timestamp = timestamp
            self.max_timestamp_offset = last_offset
        if position == 0:
            self.first_timestamp = timestamp
        if self._since_entry > interval:
            base = self.base_offset
            self.index.add(last_offset - base, position)
            self.time_index.add_if_newer(self.max_timestamp, self.max_timestamp_offset - base)
            self._since_entry = 0
        self._since_entry += size

    def undo_append(self) -> None:
        """Cut away what a failed append may have left. Raises StorageError."""
        self.file.truncate(self.size)

    def seal(self) -> bool:
        """No more appends: complete the time index, bring both indexes to their files.

        False if the disk refused an index; the batches are not concerned.
        """
        if self.size:
            self.time_index.add_if_newer(
                self.max_timestamp, self.max_timestamp_offset - self.base_offset
            )
        return self.index.flush() and self.time_index.flush()

    def cut(self, size: int) -> None:
        """Keep the first ``size`` bytes only; the indexes must be rebuilt. Raises StorageError."""
        self.file.truncate(size)
        self.size = size
        self._hints.clear()

    def resume(self) -> None:
        """Take over what the indexes of a closed segment say. Raises StorageError at damage."""
        newest = self.time_index.last()
        if newest is not None:
            self.max_timestamp, relative = newest
            self.max_timestamp_offset = self.base_offset + relative
        last = self.index.last()
        self._since_entry = self.size - (last[1] if last else 0)
        for batch in self.batches():
            self.first_timestamp = batch.max_timestamp
            break

    def reindex(self, interval: int) -> None:
        """Fill fresh indexes from the batches. Raises StorageError at damage."""
        for batch in self.batches():
            self.note(batch.position, batch.size, batch.last_offset, batch.max_timestamp, interval)

    @property
    def indexes_stored(self) -> bool:
        """True if both index files hold every entry: the next open need not rebuild them."""
        return self.index.is_stored and self.time_index.is_stored

    def files_to_sync(self) -> list[File]:
        """The log, and the indexes if they are complete in their files."""
        flushed = (self.index.flushed_file(), self.time_index.flushed_file())
        return [self.file, *(file for file in flushed if file is not None)]

    def close(self) -> None:
        """Release the descriptors."""
        self.file.close()
        self.index.close()
        self.time_index.close()

    # -- looking up

    def batches(self, position: int = 0, stop: int | None = None) -> Iterator[BatchAt]:
        """Batches from a batch boundary on, without their bodies.

        Raises StorageError where the bytes are no batch.
        """
        return batches_in(self.file, self.path, position, self.size if stop is None else stop)

    def find(self, offset: int) -> int | None:
        """Position of the first batch whose last offset is >= ``offset``; None if none is here."""
        position = self._hints.get(offset)
        if position is not None and position < self.size:
            return position
        start = self.index.position_before(offset - self.base_offset)
        for batch in self.batches(start):
            if batch.last_offset >= offset:
                return batch.position
        return None

    def position_of_end(self, below: int) -> int:
        """Position after the last batch that lies wholly below offset ``below``."""
        position = self._hints.get(below)
        if position is not None:
            return position
        position = self.index.position_before(below - self.base_offset)
        for batch in self.batches(position):
            if batch.last_offset >= below:
                break
            position = batch.position + batch.size
        self.remember(below, position)
        return position

    def whole_batches(self, start: int, length: int, stop: int) -> int:
        """Bytes of whole batches in [start, start + length) and before ``stop``, a boundary."""
        limit = start + length
        if limit >= stop:
            return stop - start
        end = max(start, self.index.boundary_before(limit))
        next_offset = 0
        for batch in self.batches(end, stop):
            if batch.position + batch.size > limit:
                break
            end, next_offset = batch.position + batch.size, batch.last_offset + 1
        if next_offset:
            self.remember(next_offset, end)
        return end - start

    def remember(self, offset: int, position: int) -> None:
        """The batch that holds ``offset`` starts at ``position``: readers go on where they were."""
        hints = self._hints
        if len(hints) >= _HINTS_MAX:
            del hints[next(iter(hints))]
        hints[offset] = position


def batches_of(fs: FileSystem, path: str) -> Iterator[BatchAt]:
    """The batches of a ``.log`` file, whatever its name. Raises StorageError at damage."""
    file = fs.open(path)
    yield from batches_in(file, path, 0, file.size())
    file.close()


def batches_in(file: File, path: str, position: int, end: int) -> Iterator[BatchAt]:
    """The batches from one boundary to another. Raises StorageError where there are none."""
    chunk, chunk_at = b"", position
    while position < end:
        at = position - chunk_at
        if at + BATCH_OVERHEAD > len(chunk):
            chunk, chunk_at, at = file.pread(position, _CHUNK_BYTES), position, 0
        if len(chunk) - at < BATCH_OVERHEAD:
            raise _damaged(path, position, f"{len(chunk) - at} bytes left")
        base, length, magic, delta, timestamp = _PEEK.unpack_from(chunk, at)
        size = LOG_OVERHEAD + length
        if magic != 2 or size < BATCH_OVERHEAD or position + size > file.size() or delta < 0:
            raise _damaged(path, position, f"magic {magic}, length {length}")
        yield BatchAt(position, size, base, base + delta, timestamp)
        position += size


def _damaged(path: str, position: int, got: str) -> StorageError:
    return StorageError(f"{path} at {position}: {got}, want a whole batch of magic 2")
