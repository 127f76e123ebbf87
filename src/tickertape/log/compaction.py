"""Compaction: of each key only the newest record stays; offsets never change.

Three steps, so that the slow one may run in any thread: ``plan`` freezes which sealed segments are
cleaned and what of them must stay; ``CompactionJob.run`` reads those and writes new segments beside
them as ``.cleaned``; the log then swaps them in (``swap_in``). A crash at any point leaves either
the old segments or the new ones (Kafka: Cleaner, UnifiedLog.replaceSegments; file suffixes too).

What stays although its key has a newer record or its value is null: the header,
emptied of records, of each batch that a live producer may retry, and of the last batch of each
new segment; the marker of an aborted transaction; tombstones until ``delete.retention.ms`` after
they were first cleaned (KIP-534's rule; when that was is kept in ``CleaningTimes``, not in the
batch), and as long, or while anything else of its transaction is left, the marker of a commit.

Records of aborted transactions go at once; nothing above the last stable offset is touched.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from operator import lt
from typing import Final, NamedTuple

from tickertape.base.errors import StorageError
from tickertape.base.ports import FileSystem
from tickertape.log import names
from tickertape.log.config import LogConfig
from tickertape.log.index import TimeIndex
from tickertape.log.segment import BatchAt, Segment, batches_of
from tickertape.log.transactions import AbortedRanges, read_marker
from tickertape.wire.batch import (
    NO_TIMESTAMP,
    BatchHeader,
    read_batch_header,
)
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record, read_records, write_batch

_ENTRY_BYTES: Final = 150
"""What a key costs in memory besides its own bytes, roughly."""
_DECODED_BYTES_MAX: Final = 128 << 20
_TIMES_MAX: Final = 64
_I32_MAX: Final = 0x7FFFFFFF
_LOG_LAST: Final = (names.INDEX, names.TIME_INDEX, names.LOG)


class Cleaned(NamedTuple):
    """Everything below ``offset`` was cleaned at ``at_ms``."""

    offset: int
    at_ms: int


@dataclass(slots=True)
class CleaningTimes:
    """How far the log is clean, and since when: decides when a tombstone may go."""

    entries: list[Cleaned] = field(default_factory=list)

    @property
    def clean_until(self) -> int:
        """Below this offset each key is there once."""
        return self.entries[-1].offset if self.entries else 0

    def tombstones_until(self, now_ms: int, delete_retention_ms: int) -> int:
        """Tombstones below this offset were cleaned long enough ago."""
        old = [entry.offset for entry in self.entries if now_ms - entry.at_ms > delete_retention_ms]
        return max(old, default=0)

    def cleaned(self, offset: int, now_ms: int, delete_retention_ms: int) -> None:
        """Note a cleaning; entries that no longer decide anything go."""
        due = self.tombstones_until(now_ms, delete_retention_ms)
        self.entries = [e for e in self.entries if e.offset >= due and e.offset < offset]
        if len(self.entries) >= _TIMES_MAX:
            del self.entries[1::2]  # a tombstone may stay longer, never shorter
        self.entries.append(Cleaned(offset, now_ms))


def write_cleaning_times(times: CleaningTimes) -> bytes:
    """The text of ``cleaned-offsets-checkpoint``."""
    lines = ["0", str(len(times.entries)), *(f"{e.offset} {e.at_ms}" for e in times.entries)]
    return ("\n".join(lines) + "\n").encode()


def read_cleaning_times(stored: bytes) -> CleaningTimes | None:
    """The inverse; None if the text is damaged: everything counts as never cleaned then."""
    try:
        version, count, *lines = stored.decode("ascii").splitlines()
        entries = [Cleaned(*map(int, line.split(" "))) for line in lines]
        whole = version == "0" and int(count) == len(entries)
    except (ValueError, TypeError):
        return None
    return CleaningTimes(entries) if whole else None


def stored_cleaning_times(fs: FileSystem, folder: str) -> CleaningTimes:
    """Those of a log's folder; none if they are missing or damaged."""
    stored = fs.read(f"{folder}/{names.CLEANED_OFFSETS}")
    return (read_cleaning_times(stored) if stored else None) or CleaningTimes()


@dataclass(slots=True, eq=False)
class CompactionJob:
    """One cleaning of one log. ``groups`` become one new segment each."""

    fs: FileSystem
    config: LogConfig
    groups: list[list[Segment]]
    until: int
    """Offsets below are cleaned; lowered by ``run`` if the keys do not fit into memory."""
    clean_until: int
    tombstones_until: int
    live_batches: frozenset[int]
    """Last offsets of the batches that producers may retry."""
    aborted: AbortedRanges
    now_ms: int
    cleaned: list[Segment] = field(default_factory=list)
    records_dropped: int = 0
    undecided: set[int] = field(default_factory=set)
    """Producers of whose current transaction something was kept, while ``run`` reads."""
    failure: str | None = None
    """Why ``run`` gave up; the log is as it was then."""

    def run(self) -> None:
        """Write the new segments. The log's ``finish_compaction`` comes next, in any case."""
        try:
            newest = self._newest_offsets()
            for group in self.groups:
                if group[0].base_offset < self.until:
                    self.cleaned.append(self._clean(group, newest))
        except StorageError as error:
            self.failure = str(error)

    def discard(self) -> None:
        """Remove what ``run`` wrote, also half of it. Raises StorageError."""
        for group in self.groups:
            for suffix in names.SEGMENT_FILES:
                name = names.offset_name(group[0].base_offset, suffix + names.CLEANED)
                self.fs.remove(f"{group[0].folder}/{name}")

    def _newest_offsets(self) -> dict[bytes, int]:
        """Of each key the newest offset in what is dirty, as far as memory goes.

        At least one batch is taken, so every job gets on (log.cleaner.dedupe.buffer.size).
        """
        newest: dict[bytes, int] = {}
        room = self.config.dedupe_buffer_bytes
        segments = [segment for group in self.groups for segment in group]
        for segment, newer in zip_longest(segments, segments[1:]):
            if newer is not None and newer.base_offset <= self.clean_until:
                continue
            for batch, _, records in _decoded(segment, self.aborted):
                if room <= 0:
                    self.until = min(self.until, batch.base_offset)
                    return newest
                if batch.last_offset < self.clean_until:
                    continue
                for record in records or ():
                    if record.key is not None:
                        if record.key not in newest:
                            room -= _ENTRY_BYTES + len(record.key)
                        newest[record.key] = record.offset
        return newest

    def _clean(self, group: Sequence[Segment], newest: Mapping[bytes, int]) -> Segment:
        source = group[0]
        self.fs.remove(source.path + names.CLEANED)
        target = Segment(
            self.fs, source.folder, source.base_offset,
            now_ms=source.created_ms, fresh=True, suffix=names.CLEANED,
        )  # fmt: skip
        for segment in group:
            for batch, header, records in _decoded(segment, self.aborted):
                final = segment is group[-1] and batch.position + batch.size == segment.size
                kept = self._kept(segment, batch, header, records, newest)
                if kept is None and (final or header.last_offset in self.live_batches):
                    kept = _rewritten(header, [])
                if kept is not None:
                    if header.is_transactional and not header.is_control:
                        self.undecided.add(header.producer_id)
                    self._append(target, header, kept)
        if not target.seal():
            raise StorageError(f"{target.path}: the indexes cannot be written")
        for file in target.files_to_sync():
            file.sync()
        return target

    def _append(self, target: Segment, header: BatchHeader, kept: bytes) -> None:
        fresh = read_batch_header(kept, 0)
        timestamp = fresh.max_timestamp if fresh.record_count else NO_TIMESTAMP
        interval = self.config.index_interval_bytes
        target.append((kept,), len(kept), header.last_offset, timestamp, interval)

    def _kept(
        self, segment: Segment, batch: BatchAt, header: BatchHeader,
        records: list[Record] | None, newest: Mapping[bytes, int],
    ) -> bytes | None:  # fmt: skip
        """What is left of a batch, None if nothing."""
        if records is None:
            stored = segment.file.pread(batch.position, batch.size)
            return None if header.is_control and self._marker_goes(header, stored) else stored
        kept = [record for record in records if self._stays(record, newest)]
        self.records_dropped += len(records) - len(kept)
        if not kept:
            return None
        if len(kept) == len(records):
            return segment.file.pread(batch.position, batch.size)
        return _rewritten(header, kept)

    def _marker_goes(self, header: BatchHeader, stored: bytes) -> bool:
        """Only a commit: a reader who was told of an abort waits for its marker."""
        decides = header.producer_id in self.undecided
        self.undecided.discard(header.producer_id)
        if decides or header.last_offset >= self.tombstones_until:
            return False
        marker = read_marker(stored, 0, header)
        return marker is not None and marker.committed

    def _stays(self, record: Record, newest: Mapping[bytes, int]) -> bool:
        if record.key is None or newest.get(record.key, -1) > record.offset:
            return False
        return record.value is not None or record.offset >= self.tombstones_until


def plan(
    segments: Sequence[Segment], config: LogConfig, times: CleaningTimes, *,
    ends_at: int, now_ms: int,
) -> list[list[Segment]]:  # fmt: skip
    """Sealed segments below ``ends_at`` worth cleaning, grouped as they will be merged."""
    chosen: list[tuple[Segment, int]] = []
    for segment, newer in pairwise(segments):
        lag = config.min_compaction_lag_ms
        too_young = lag > 0 and segment.max_timestamp > now_ms - lag
        if newer.base_offset > ends_at or too_young:
            break
        chosen.append((segment, newer.base_offset))
    total = sum(segment.size for segment, _ in chosen)
    dirty = [segment for segment, end in chosen if end > times.clean_until]
    overdue = any(
        0 <= segment.first_timestamp < now_ms - config.max_compaction_lag_ms for segment in dirty
    )
    size = sum(segment.size for segment in dirty)
    if not size or (size < config.min_cleanable_dirty_ratio * total and not overdue):
        return []
    return _grouped(chosen, config)


def _grouped(chosen: Sequence[tuple[Segment, int]], config: LogConfig) -> list[list[Segment]]:
    """Neighbours whose sum still fits into one segment, its indexes and its relative offsets."""
    groups: list[list[Segment]] = []
    size = entries = 0
    for segment, end in chosen:
        size += segment.size
        entries += len(segment.index) + len(segment.time_index)
        indexes = entries * TimeIndex.entry_bytes
        full = size > config.segment_bytes or indexes > config.segment_index_bytes
        if not groups or full or end - groups[-1][0].base_offset > _I32_MAX:
            groups.append([])
            size, entries = segment.size, len(segment.index) + len(segment.time_index)
        groups[-1].append(segment)
    return groups


def _decoded(
    segment: Segment, aborted: AbortedRanges
) -> Iterator[tuple[BatchAt, BatchHeader, list[Record] | None]]:
    """Each batch with its records, none if it was aborted; None for one that has no keys."""
    for batch in segment.batches():
        stored = segment.file.pread(batch.position, batch.size)
        header = read_batch_header(stored, 0)
        records: list[Record] | None = None
        if aborted.hold(header):
            records = []
        elif not header.is_control:
            try:
                records = read_records(stored, 0, header, bytes_max=_DECODED_BYTES_MAX)
            except DecodeError:
                records = None  # a producer's nonsense in an intact batch is not ours to drop
            if records is not None and not _in_place(header, records):
                records = None  # as above; nor does it say what is newer than other records
        yield batch, header, records


def _in_place(header: BatchHeader, records: Sequence[Record]) -> bool:
    """Whether each record has an offset of its batch, in order."""
    offsets = [record.offset for record in records]
    bounded = [header.base_offset - 1, *offsets, header.next_offset]
    return all(map(lt, bounded, bounded[1:]))


def _rewritten(header: BatchHeader, records: Sequence[Record]) -> bytes:
    """The batch with these records only, perhaps none; all that a retry is known by stays."""
    keeps_time = header.is_log_append_time or not records
    return write_batch(
        records,
        base_offset=header.base_offset,
        compression=header.compression if records else 0,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        leader_epoch=header.partition_leader_epoch,
        attributes=header.attributes,
        max_timestamp=header.max_timestamp if keeps_time else None,
        last_offset_delta=header.last_offset_delta,
    )


def swap_in(fs: FileSystem, cleaned: Segment, sources: Sequence[Segment]) -> None:
    """Put ``cleaned`` in the place of ``sources``. Raises StorageError: half done, then.

    The name ``.log.swap`` is the commit: from there on the next open can complete it.
    """
    folder, stem = cleaned.folder, names.offset_name(cleaned.base_offset, "")
    for suffix in _LOG_LAST:
        path = f"{folder}/{stem}{suffix}"
        fs.rename(path + names.CLEANED, path + names.SWAP)
    fs.sync_dir(folder)
    for source in sources[1:]:
        _remove_source(fs, folder, source.base_offset)
    for suffix in _LOG_LAST:
        path = f"{folder}/{stem}{suffix}"
        fs.rename(path + names.SWAP, path)
    fs.sync_dir(folder)
    cleaned.path = f"{folder}/{stem}{names.LOG}"


def _remove_source(fs: FileSystem, folder: str, base: int) -> None:
    for suffix in (names.SNAPSHOT, names.WINDOW, names.TXN_INDEX, *_LOG_LAST):
        fs.remove(f"{folder}/{names.offset_name(base, suffix)}")


def finish_swaps(fs: FileSystem, folder: str, listed: Sequence[str]) -> None:
    """After a crash: complete the swaps that were committed, drop the others.

    The indexes are left to be rebuilt: nobody knows which of them were swapped already.
    Raises StorageError.
    """
    logs = names.offsets_of(list(listed), names.LOG)
    for base in names.offsets_of(list(listed), names.LOG + names.SWAP):
        path = f"{folder}/{names.offset_name(base, names.LOG)}"
        end = max((at.last_offset for at in batches_of(fs, path + names.SWAP)), default=base)
        for source in logs:
            if base < source <= end:
                _remove_source(fs, folder, source)
        for suffix in (names.INDEX, names.TIME_INDEX):
            fs.remove(f"{folder}/{names.offset_name(base, suffix)}")
        fs.rename(path + names.SWAP, path)
        fs.sync_dir(folder)
    for name in listed:
        if name.endswith(names.SWAP) and not name.endswith(names.LOG + names.SWAP):
            fs.remove(f"{folder}/{name}")
