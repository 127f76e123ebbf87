"""From the files of a partition folder to a log in memory, whatever a crash has left of them.

After a clean close the files are trusted and only the last few KiB are read. After a crash every
batch from the recovery point on is checked (CRC, contiguous offsets), what follows the first bad
one is cut, indexes and producer state are rebuilt, what survives is synced before anybody sees
it, and a new leader epoch begins. After a failed sync (results.sync_files) what survives is also
written again, as the disk may not have it though it can be read. Recovery may itself be cut at
any point and run again.
"""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Final
from uuid import UUID

from tickertape.base.crc import crc32c
from tickertape.base.errors import StorageError
from tickertape.base.ports import FileSystem
from tickertape.log import names
from tickertape.log.checkpoint import read_offset, read_topic_id, write_offset
from tickertape.log.compaction import finish_swaps
from tickertape.log.config import LogConfig
from tickertape.log.leader_epochs import LeaderEpochs, read_leader_epochs, write_leader_epochs
from tickertape.log.producer_snapshot import (
    read_snapshot,
    read_window,
    write_snapshot,
    write_window,
)
from tickertape.log.producer_state import Batch, ProducerStates
from tickertape.log.results import sync_files
from tickertape.log.segment import Segment
from tickertape.log.transactions import Aborted, read_index, read_marker, write_index
from tickertape.wire.batch import (
    BATCH_HEADER,
    BATCH_OVERHEAD,
    LOG_OVERHEAD,
    BatchHeader,
    read_batch_header,
)

_CHUNK_BYTES: Final = 1 << 20
_TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20
_I64_MAX: Final = 0x7FFFFFFFFFFFFFFF
_I32_MAX: Final = 0x7FFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """What opening a log found. Sizes in bytes; ``cut_reason`` is empty if nothing was cut."""

    folder: str
    clean: bool
    log_start_offset: int
    end_offset: int
    leader_epoch: int
    producers: int
    bytes_scanned: int = 0
    bytes_cut: int = 0
    cut_reason: str = ""
    segments_removed: tuple[str, ...] = ()
    indexes_rebuilt: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The state of a log, as its files tell it. ``existed`` is False for a new folder.

    ``topic_id`` is None if it was not written yet, or is damaged.
    """

    segments: list[Segment]
    recovery_point: int
    producers: ProducerStates
    epochs: LeaderEpochs
    existed: bool
    topic_id: UUID | None
    snapshot_offset: int
    report: RecoveryReport


def load_log(fs: FileSystem, folder: str, config: LogConfig, *, now_ms: int, clean: bool) -> Loaded:
    """Open what is in ``folder``, which exists. Raises StorageError if the disk fails."""
    return _Loader(fs, folder, config, now_ms).load(clean=clean)


class _Loader:
    def __init__(self, fs: FileSystem, folder: str, config: LogConfig, now_ms: int) -> None:
        self._fs = fs
        self._folder = folder
        self._config = config
        self._now_ms = now_ms
        self._segments: list[Segment] = []
        self._epochs = LeaderEpochs()
        self._producers = ProducerStates()
        self._snapshots: list[int] = []
        self._txn_indexes: list[int] = []
        self._snapshot_offset = -1
        self._bytes_scanned = self._bytes_cut = 0
        self._cut_reason = ""
        self._removed: list[str] = []
        self._rebuilt: list[str] = []
        self._remarks: list[str] = []
        self._doubted = False  # a sync has failed: what can be read may not be on the disk

    def load(self, *, clean: bool) -> Loaded:
        listed = tidy_leftovers(self._fs, self._folder)
        log_start = self._stored_offset(names.LOG_START, listed)
        point = self._stored_offset(names.RECOVERY_POINT, listed)
        self._snapshots = names.offsets_of(listed, names.SNAPSHOT)
        self._txn_indexes = names.offsets_of(listed, names.TXN_INDEX)
        self._load_epochs(listed)
        self._doubted = names.SYNC_FAILED in listed
        bases = names.offsets_of(listed, names.LOG)
        end = self._trusted(bases) if bases and clean and not self._doubted else None
        recovering = bool(bases) and end is None
        if recovering:
            # Only compaction leaves gaps between offsets, and only below the recovery point.
            gaps = self._config.compacts or names.CLEANED_OFFSETS in listed
            end = self._recovered(bases, point, strict=point is not None or not gaps)
        if end is None or end < (log_start or 0):
            end = log_start or 0
            self._start_anew(end)
        if recovering:
            self._settle(end)
            point = self._segments[-1].base_offset
        self._remove_below(log_start or 0)
        self._remove_stray_files()
        log_start = max(log_start or 0, self._segments[0].base_offset)
        return Loaded(
            segments=self._segments,
            recovery_point=point or 0,
            producers=self._producers,
            epochs=self._epochs,
            existed=bool(bases),
            topic_id=self._topic_id(listed),
            snapshot_offset=self._snapshot_offset,
            report=self._report(log_start, end, clean=not recovering),
        )

    def _report(self, log_start: int, end: int, *, clean: bool) -> RecoveryReport:
        return RecoveryReport(
            folder=self._folder,
            clean=clean,
            log_start_offset=log_start,
            end_offset=end,
            leader_epoch=self._epochs.latest,
            producers=len(self._producers.by_id),
            bytes_scanned=self._bytes_scanned,
            bytes_cut=self._bytes_cut,
            cut_reason=self._cut_reason,
            segments_removed=tuple(self._removed),
            indexes_rebuilt=tuple(self._rebuilt),
            remarks=tuple(self._remarks),
        )

    # -- small files

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _stored_offset(self, name: str, listed: list[str]) -> int | None:
        stored = self._fs.read(self._path(name)) if name in listed else None
        if stored is None:
            return None
        offset = read_offset(stored)
        if offset is None:
            self._remarks.append(f"{name} is damaged and ignored")
        return offset

    def _topic_id(self, listed: list[str]) -> UUID | None:
        if names.PARTITION_METADATA not in listed:
            return None
        return read_topic_id(self._fs.read(self._path(names.PARTITION_METADATA)) or b"")

    def _load_epochs(self, listed: list[str]) -> None:
        if names.LEADER_EPOCHS not in listed:
            return
        epochs = read_leader_epochs(self._fs.read(self._path(names.LEADER_EPOCHS)) or b"")
        if epochs is None:
            self._remarks.append(f"{names.LEADER_EPOCHS} is damaged and ignored")
        else:
            self._epochs = epochs

    # -- segments

    def _trusted(self, bases: list[int]) -> int | None:
        """The end offset after a clean close; None if the files belie it."""
        try:
            for base in bases:
                self._segments.append(self._open_segment(base))
            end = _end_of(self._segments[-1])
            for segment in self._segments[:-1]:
                segment.seal()  # stores the indexes that had to be rebuilt
        except StorageError as error:
            self._remarks.append(f"not as clean as marked: {error}")
            for segment in self._segments:
                segment.close()
            self._segments = []
            return None
        self._restore_producers(end)
        return end

    def _open_segment(self, base: int) -> Segment:
        """Open one whose batches are known to be good; its indexes may be missing."""
        try:
            segment = Segment(self._fs, self._folder, base, now_ms=self._now_ms, fresh=False)
            last = segment.index.last()
            if last is None or last[1] < segment.size:
                segment.resume()
                return segment
            segment.close()
        except StorageError as error:
            self._remarks.append(str(error))
        segment = Segment(self._fs, self._folder, base, now_ms=self._now_ms, fresh=True)
        self._rebuilt.append(segment.path)
        segment.reindex(self._config.index_interval_bytes)
        return segment

    def _recovered(self, bases: list[int], point: int | None, *, strict: bool) -> int:
        """Check everything from the recovery point on; cut what is torn. The end offset."""
        first = max((n for n, base in enumerate(bases) if base <= (point or 0)), default=0)
        for base in bases[:first]:
            self._segments.append(self._open_segment(base))
        expected = bases[first]
        for number, base in enumerate(bases[first:], first):
            if strict and base != expected and not self._cut_reason:
                self._cut_reason = f"segment {base} does not begin at offset {expected}"
            if self._cut_reason:
                self._remove_segments(bases[number:])
                break
            segment = Segment(self._fs, self._folder, base, now_ms=self._now_ms, fresh=True)
            self._segments.append(segment)
            expected = self._scan(segment, strict=strict)
        self._restore_producers(expected)
        return expected

    def _scan(self, segment: Segment, *, strict: bool) -> int:
        """Check each batch, rebuild the indexes, cut at the first bad one. The next offset."""
        interval = self._config.index_interval_bytes
        position, expected, size = 0, segment.base_offset, segment.size
        chunk, chunk_at = memoryview(b""), 0
        while position < size:
            at = position - chunk_at
            need = _size_at(chunk, at)
            if at + need > len(chunk):
                chunk_at, at = position, 0
                chunk = memoryview(segment.file.pread(position, _CHUNK_BYTES))
                need = _size_at(chunk, 0)
                if len(chunk) < need <= size - position:
                    chunk = memoryview(segment.file.pread(position, need))
                if self._doubted:
                    segment.file.pwrite(chunk_at, chunk)
            reason = _fault(chunk[at : at + need], need, expected, strict=strict)
            if reason:
                self._bytes_cut += size - position
                self._cut_reason = f"{segment.path} at {position}: {reason}"
                segment.cut(position)
                break
            header = BATCH_HEADER.unpack_from(chunk, at)
            expected = header[0] + header[6] + 1
            segment.note(position, need, expected - 1, header[8], interval)
            self._epochs.assign(header[2], header[0])
            position += need
        self._bytes_scanned += position
        return expected

    def _remove_segments(self, bases: list[int]) -> None:
        """Newest first: a crash in between leaves no gap."""
        for base in reversed(bases):
            path = self._path(names.offset_name(base, names.LOG))
            file = self._fs.open(path)
            self._bytes_cut += file.size()
            file.close()
            self._removed.append(path)
            for suffix in (*names.SEGMENT_FILES, names.TXN_INDEX):
                self._fs.remove(self._path(names.offset_name(base, suffix)))

    def _remove_below(self, log_start: int) -> None:
        """Segments wholly below the log start, which a deletion has left; producers are known."""
        while len(self._segments) > 1 and self._segments[1].base_offset <= log_start:
            segment = self._segments.pop(0)
            segment.close()
            for suffix in names.ALL_OF_SEGMENT:
                self._fs.remove(self._path(names.offset_name(segment.base_offset, suffix)))

    def _start_anew(self, offset: int) -> None:
        """An empty log at ``offset``."""
        for segment in self._segments:
            segment.close()
        self._remove_segments([segment.base_offset for segment in self._segments])
        self._segments = [Segment(self._fs, self._folder, offset, now_ms=self._now_ms, fresh=True)]

    def _settle(self, end: int) -> None:
        """Make what survived durable, then say so."""
        for segment in self._segments[:-1]:
            segment.seal()
        files = [file for segment in self._segments for file in segment.files_to_sync()]
        sync_files(self._fs, self._folder, files)
        if self._doubted:
            self._fs.remove(self._path(names.SYNC_FAILED))
        for offset in self._snapshots:
            if offset > end:
                self._fs.remove(self._path(names.offset_name(offset, names.SNAPSHOT)))
                self._fs.remove(self._path(names.offset_name(offset, names.WINDOW)))
        self._fs.sync_dir(self._folder)
        self._fs.sync_dir(parent_of(self._folder))
        self._store_producers(end)
        newest = self._epochs.latest
        self._epochs.truncate_end(end)
        self._epochs.assign(newest + 1, end)
        self._fs.write_atomic(self._path(names.LEADER_EPOCHS), write_leader_epochs(self._epochs))
        name = self._folder.rpartition("/")[2]
        point = write_offset(name, self._segments[-1].base_offset)
        self._fs.write_atomic(self._path(names.RECOVERY_POINT), point)

    # -- producers and epochs

    def _restore_producers(self, end: int) -> None:
        """From the newest whole snapshot at or before ``end``, and the batches after it."""
        start = 0
        for offset in reversed(self._snapshots):
            if offset <= end and self._load_snapshot(offset):
                start = self._snapshot_offset = offset
                break
        self._producers.resume_transactions()
        self._producers.transactions.aborted = self._aborted_before(start)
        self._producers.expire(self._now_ms, self._config.producer_id_expiration_ms)
        for segment, newer in zip_longest(self._segments, self._segments[1:]):
            if newer is not None and newer.base_offset <= start:
                continue
            position = segment.find(start) if start > segment.base_offset else 0
            if position is not None:
                self._replay(segment, position, end)

    def _aborted_before(self, start: int) -> list[Aborted]:
        """Aborted transactions whose markers lie before ``start``: the replay tells of the others.

        An index is written before the snapshot that vouches for it.
        """
        found: dict[int, Aborted] = {}
        for base in self._txn_indexes:
            path = self._path(names.offset_name(base, names.TXN_INDEX))
            entries = read_index(self._fs.read(path) or b"")
            if entries is None:
                self._remarks.append(f"{path} is damaged: the log was read instead")
                return self._aborted_in_log(start)
            found.update((e.last_offset, e) for e in entries if e.last_offset < start)
        return [found[offset] for offset in sorted(found)]

    def _aborted_in_log(self, end: int) -> list[Aborted]:
        states, self._producers = self._producers, ProducerStates()
        for segment in self._segments:
            self._replay(segment, 0, end)
        found, self._producers = self._producers.transactions.aborted, states
        return found

    def _store_txn_indexes(self) -> None:
        """One per segment that has aborted transactions; what a cut made untrue goes."""
        for segment, newer in zip_longest(self._segments, self._segments[1:]):
            end = newer.base_offset if newer is not None else _I64_MAX
            base = segment.base_offset
            path = self._path(names.offset_name(base, names.TXN_INDEX))
            entries = self._producers.transactions.marked_between(base, end)
            if entries:
                self._fs.write_atomic(path, write_index(entries))
            elif base in self._txn_indexes:
                self._fs.remove(path)

    def _store_producers(self, end: int) -> None:
        """All below ``end`` is durable now: nobody needs the batches for this any more."""
        if self._producers.by_id and self._snapshot_offset != end:
            self._store_txn_indexes()
            window = self._path(names.offset_name(end, names.WINDOW))
            self._fs.write_atomic(window, write_window(self._producers, end))
            snapshot = self._path(names.offset_name(end, names.SNAPSHOT))
            self._fs.write_atomic(snapshot, write_snapshot(self._producers))
            self._snapshot_offset = end

    def _remove_stray_files(self) -> None:
        """Only snapshots at the start of a segment, and the newest, are of use."""
        bases = {segment.base_offset for segment in self._segments}
        for base in self._txn_indexes:
            if base not in bases:
                self._fs.remove(self._path(names.offset_name(base, names.TXN_INDEX)))
        kept = {self._snapshot_offset, *(segment.base_offset for segment in self._segments)}
        for offset in self._snapshots:
            if offset not in kept:
                for suffix in (names.SNAPSHOT, names.WINDOW):
                    self._fs.remove(self._path(names.offset_name(offset, suffix)))

    def _replay(self, segment: Segment, position: int, end: int) -> None:
        for batch in segment.batches(position):
            if batch.base_offset < end:
                head = segment.file.pread(batch.position, BATCH_OVERHEAD)
                header = BATCH_HEADER.unpack(head)
                if header[5] & _CONTROL:
                    whole = segment.file.pread(batch.position, batch.size)
                    self._observe_marker(read_batch_header(whole, 0), whole)
                else:
                    self._observe(header)

    def _load_snapshot(self, offset: int) -> bool:
        window = self._fs.read(self._path(names.offset_name(offset, names.WINDOW)))
        states = read_window(window, offset) if window is not None else None
        if states is None:
            snapshot = self._fs.read(self._path(names.offset_name(offset, names.SNAPSHOT)))
            states = read_snapshot(snapshot or b"", self._now_ms)
            self._remarks.append(f"snapshot {offset}: no whole window beside it")
        if states is None:
            return False
        self._producers = states
        return True

    def _observe(self, header: tuple[int, ...]) -> None:
        """Take over what a batch of the log says about epochs and producers."""
        base, leader_epoch, attributes, delta = header[0], header[2], header[5], header[6]
        producer_id, producer_epoch, sequence = header[9], header[10], header[11]
        self._epochs.assign(leader_epoch, base)
        if producer_id < 0:
            return
        last_sequence = (sequence + delta) & _I32_MAX
        batch = Batch(sequence, last_sequence, base + delta, delta, header[8])
        transactional = bool(attributes & _TRANSACTIONAL)
        self._producers.record(
            producer_id, producer_epoch, batch, self._now_ms, transactional=transactional
        )

    def _observe_marker(self, header: BatchHeader, stored: bytes) -> None:
        self._epochs.assign(header.partition_leader_epoch, header.base_offset)
        if header.producer_id < 0:
            return
        marker = read_marker(stored, 0, header)
        producer = (header.producer_id, header.producer_epoch)
        if marker is None:
            self._producers.fence(*producer, header.max_timestamp, self._now_ms)
        else:
            self._producers.end_transaction(
                producer, header.last_offset, marker, header.max_timestamp, self._now_ms
            )


def parent_of(folder: str) -> str:
    """The folder that holds the name of ``folder``."""
    parent, slash, _ = folder.rpartition("/")
    return parent or slash or "."


def tidy_leftovers(fs: FileSystem, folder: str) -> list[str]:
    """Remove what a cut write, deletion or compaction has left; the names that remain."""
    listed = fs.list(folder)
    leftovers = (names.TEMPORARY, names.DELETED, names.CLEANED)
    gone = {name for name in listed if name.endswith(leftovers)}
    for name in sorted(gone):
        fs.remove(f"{folder}/{name}")
    if any(name.endswith(names.SWAP) for name in listed):
        finish_swaps(fs, folder, listed)
        return fs.list(folder)
    return [name for name in listed if name not in gone]


def _end_of(segment: Segment) -> int:
    """The next offset, from the last indexed batch on. Raises StorageError at damage."""
    last = segment.index.last()
    end = segment.base_offset
    for batch in segment.batches(last[1] if last else 0):
        end = batch.last_offset + 1
    return end


def _size_at(chunk: memoryview, at: int) -> int:
    """Size of the batch at ``at`` as its header claims; a header's if it is not in the chunk."""
    if at + LOG_OVERHEAD > len(chunk):
        return BATCH_OVERHEAD
    length = int.from_bytes(chunk[at + 8 : at + 12], "big", signed=True)
    return max(BATCH_OVERHEAD, LOG_OVERHEAD + length)


def _fault(batch: memoryview, size: int, expected: int, *, strict: bool) -> str:
    """Why this is not the batch that must come next; empty if it is."""
    if len(batch) < size:
        return f"{len(batch)} bytes of a batch of {size}"
    base, length, _, magic, crc, _, delta = BATCH_HEADER.unpack_from(batch)[:7]
    if magic != 2 or length + LOG_OVERHEAD != size or delta < 0:
        return f"magic {magic}, length {length}, last offset delta {delta}"
    if base < expected or (strict and base > expected):
        return f"offset {base}, want {expected}"
    got = crc32c(batch[21:])
    if got != crc:
        return f"CRC {got:#x}, want {crc:#x}"
    return ""
