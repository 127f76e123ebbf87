"""One partition's durable log.

Owns the files of one folder, the producers' state, the leader epochs and the offsets. Guarantees:
an append is whole or has not happened; what ``durable_offset`` covers survives any crash; a retry
of one of a producer's last five batches gets the offset it got first, also after a restart. The
caller is one thread; only ``SyncTicket.run`` and ``CompactionJob.run`` may run elsewhere.

After a failed sync nobody can say what is on the disk, so the log is ``failed`` for good: appends
are refused with KAFKA_STORAGE_ERROR, reads below ``durable_offset`` go on. A failed write, say on
a full disk, is cut away again and refused in the same way; the log stays usable if that worked.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Self
from uuid import UUID

from tickertape.base.errors import MisuseError, StorageError
from tickertape.base.ports import FileSystem
from tickertape.log import names
from tickertape.log.checkpoint import write_offset, write_topic_id
from tickertape.log.cleaning import Cleaning
from tickertape.log.compaction import CompactionJob
from tickertape.log.config import LogConfig
from tickertape.log.conversion import converted
from tickertape.log.leader_epochs import write_leader_epochs
from tickertape.log.lookup import newest_record, record_at_time
from tickertape.log.producer_snapshot import write_snapshot, write_window
from tickertape.log.producer_state import Batch
from tickertape.log.reading import base_offset, end_of_read, read_segments
from tickertape.log.recovery import Loaded, RecoveryReport, load_log, parent_of
from tickertape.log.results import (
    AppendResult,
    ReadResult,
    SyncTicket,
    note_failed_sync,
    sync_files,
)
from tickertape.log.retention import segments_to_delete
from tickertape.log.segment import Segment
from tickertape.log.transactions import (
    Aborted,
    Marker,
    write_index,
    write_internal,
    write_marker,
)
from tickertape.log.validate import (
    not_appended,
    refuse_bytes,
    refuse_produced,
    refuse_size,
    refused,
    stamped,
)
from tickertape.wire.batch import BATCH_HEADER, patched_prefix
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.records import Record

_NONE: Final = ErrorCode.NONE
_TRANSACTIONAL: Final = 0x10


class PartitionLog:
    """One partition's log; see the module's promise."""

    def __init__(
        self, fs: FileSystem, folder: str, config: LogConfig, loaded: Loaded, topic_id: UUID
    ) -> None:
        """Use ``open``."""
        self.folder = folder
        self._name = folder.rpartition("/")[2]
        self.topic_id = topic_id
        self.failed: str | None = None
        self._fs = fs
        self._segments = loaded.segments
        self._active = loaded.segments[-1]
        self.producers = self._producers = loaded.producers  # to be read only, from outside
        self._epochs = loaded.epochs
        self._epoch = loaded.epochs.latest
        self._log_start = loaded.report.log_start_offset
        self._end = self._durable = self._synced = loaded.report.end_offset
        self._recovery_point = loaded.recovery_point
        self._snapshot_offset = loaded.snapshot_offset
        self._end_at_open = self._end
        self._sealed: list[Segment] = []  # rolled, above the recovery point
        self._writes: list[tuple[str, bytes]] = []
        self._writes_stuck = False
        self._folders: list[str] = []
        self._ticket: SyncTicket | None = None
        self._cleaning = Cleaning(fs, folder, self._write_later)
        self._abandoned = False
        self.configure(config)

    @classmethod
    def open(
        cls, fs: FileSystem, folder: str, config: LogConfig, *,
        now_ms: int, topic_id: UUID, clean: bool,
    ) -> tuple[Self, RecoveryReport]:  # fmt: skip
        """Open the log in ``folder``, or begin one there. Raises StorageError.

        ``clean``: the last process closed it and said so. Otherwise it is recovered. A new
        folder becomes durable with the first ticket.
        """
        fs.make_dir(folder)
        loaded = load_log(fs, folder, config, now_ms=now_ms, clean=clean)
        log = cls(fs, folder, config, loaded, topic_id)
        if loaded.topic_id is None:
            log._write_later(names.PARTITION_METADATA, write_topic_id(topic_id))
        elif loaded.topic_id != topic_id:
            raise StorageError(f"{folder} is of topic id {loaded.topic_id}, want {topic_id}")
        if not loaded.existed or loaded.epochs.latest < 0:
            log._begin()
        return log, replace(loaded.report, leader_epoch=log.leader_epoch)

    def _begin(self) -> None:
        self._epochs.assign(max(0, self._epoch + 1), self._end)
        self._epoch = self._epochs.latest
        self._folders = [self.folder, parent_of(self.folder)]
        self._write_later(names.LEADER_EPOCHS, write_leader_epochs(self._epochs))

    def configure(self, config: LogConfig) -> None:
        """Obey these settings from now on."""
        self._config = config
        self._stamps = config.message_timestamp_type == "LogAppendTime"

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _write_later(self, name: str, content: bytes) -> None:
        self._writes.append((self._path(name), content))

    # -- questions

    @property
    def config(self) -> LogConfig:
        """The settings in force."""
        return self._config

    @property
    def log_start_offset(self) -> int:
        """The first offset that may be read."""
        return self._log_start

    @property
    def end_offset(self) -> int:
        """The offset that the next record gets."""
        return self._end

    @property
    def durable_offset(self) -> int:
        """Everything below survives a crash."""
        return self._durable

    @property
    def last_stable_offset(self) -> int:
        """Below this every transaction is decided, durably; at most ``durable_offset``."""
        return max(self._log_start, self._producers.transactions.last_stable(self._durable))

    @property
    def leader_epoch(self) -> int:
        """The epoch that appended batches are marked with."""
        return self._epoch

    @property
    def is_dirty(self) -> bool:
        """True if ``begin_sync`` would have something to do."""
        if self._abandoned:
            return False
        if self._end > self._synced or self._folders:
            return True
        return bool(self._writes) and not self._writes_stuck

    @property
    def size(self) -> int:
        """Bytes in all ``.log`` files."""
        return sum(segment.size for segment in self._segments)

    @property
    def segment_count(self) -> int:
        """How many segments."""
        return len(self._segments)

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        """(epoch, end offset) of the newest epoch <= ``epoch``; (-1, -1) if unknown (KIP-279)."""
        return self._epochs.end_of(epoch, self._durable)

    def epoch_at(self, offset: int) -> int:
        """The leader epoch that the record at ``offset`` has, or will get; -1 if unknown."""
        return self._epochs.epoch_at(offset)

    def offset_for_timestamp(self, timestamp_ms: int) -> tuple[int, int] | None:
        """(offset, timestamp) of the first durable record at or after ``timestamp_ms``."""
        return record_at_time(self._segments, timestamp_ms, self._log_start, self._durable)

    def max_timestamp(self) -> tuple[int, int]:
        """(offset, timestamp) of the durable record with the largest one; (-1, -1) if empty."""
        return newest_record(self._segments, self._log_start, self._durable)

    # -- appending

    def append(self, batch: memoryview, now_ms: int) -> AppendResult:
        """Append one client's batch; a transactional one may be written. Keeps no view of it."""
        config = self._config
        refusal = refuse_produced(batch, config, now_ms, self._name)
        if refusal is None and config.compression_type != "producer":
            batch = converted(batch, config)
            refusal = refuse_size(len(batch), config)
        return refusal or self._append(batch, BATCH_HEADER.unpack_from(batch), now_ms)

    def append_internal(
        self, records: Sequence[Record], now_ms: int, *, transaction: tuple[int, int] | None = None
    ) -> AppendResult:
        """Append the broker's own records in one batch; their offsets are assigned here.

        ``transaction``: the producer (id, epoch) in whose open transaction they are.
        """
        batch = memoryview(write_internal(records, transaction))
        refusal = refuse_bytes(batch, self._config)
        return refusal or self._append(batch, BATCH_HEADER.unpack_from(batch), now_ms)

    def append_marker(
        self, producer: tuple[int, int], marker: Marker, *, now_ms: int, bumped: bool = False
    ) -> AppendResult:
        """Append the control batch that ends the transaction of ``producer`` (id, epoch).

        It fences older epochs also where no transaction is open. ``bumped``: it carries the epoch
        after that of the transaction (transactions v2), so it ends none of its own epoch.
        """
        verdict = self._producers.check_marker(*producer, marker.coordinator_epoch, bumped=bumped)
        if verdict is not None:
            return refused(verdict.error, verdict.message)
        batch = write_marker(*producer, **marker._asdict(), now_ms=now_ms)
        return self._append(memoryview(batch), BATCH_HEADER.unpack_from(batch), now_ms, marker)

    def _append(
        self, batch: memoryview, header: tuple[int, ...], now_ms: int, marker: Marker | None = None
    ) -> AppendResult:
        if self.failed is not None:
            return refused(ErrorCode.KAFKA_STORAGE_ERROR, self.failed)
        _, length, _, _, _, attributes, delta, _, timestamp = header[:9]
        producer_id, epoch, sequence = header[9:12]
        base, config, append_time = self._end, self._config, -1
        if producer_id >= 0:
            verdict = self._producers.judge(header)
            if verdict is not None:
                return not_appended(verdict, stamped=self._stamps)
        if self._stamps:
            batch, append_time, timestamp = stamped(batch, now_ms), now_ms, now_ms
        last, size, active = base + delta, len(batch), self._active
        prefix = patched_prefix(base, length, self._epoch)
        try:
            if active.must_roll(size, last, timestamp, config, now_ms):
                active = self._roll(now_ms)
            active.append((prefix, batch[16:]), size, last, timestamp, config.index_interval_bytes)
        except StorageError as error:
            if sequence == 0:
                self._producers.expect(producer_id, epoch, now_ms)
            return self._undo(error)
        if marker is not None:
            owner = (producer_id, epoch)
            self._producers.end_transaction(owner, last, marker, timestamp, now_ms)
        elif producer_id >= 0:
            last_sequence = (sequence + delta) & 0x7FFFFFFF
            one = Batch(sequence, last_sequence, last, delta, timestamp)
            transactional = bool(attributes & _TRANSACTIONAL)
            self._producers.record(producer_id, epoch, one, now_ms, transactional=transactional)
        self._end = last + 1
        return AppendResult(_NONE, base, last, append_time)

    def _undo(self, error: StorageError) -> AppendResult:
        message = str(error)
        try:
            self._active.undo_append()
        except StorageError as worse:
            self.failed = message = f"{error}; and then {worse}"
        return refused(ErrorCode.KAFKA_STORAGE_ERROR, message)

    def _roll(self, now_ms: int) -> Segment:
        """Begin a new active segment at the end offset. Raises StorageError, nothing changed."""
        sealed = self._active
        if not sealed.size:
            return sealed
        if self._config.compacts and not self._recovery_point and not self._sealed:
            # Without it a recovery takes what was lost before the new segment for compacted away.
            content = write_offset(self._name, 0)
            self._fs.write_atomic(self._path(names.RECOVERY_POINT), content)
        fresh = Segment(self._fs, self.folder, self._end, now_ms=now_ms, fresh=True)
        sealed.seal()
        self._sealed.append(sealed)
        self._segments.append(fresh)
        self._active = fresh
        self._folders.append(self.folder)
        self._snapshot(sealed)
        return fresh

    def _snapshot(self, last: Segment) -> None:
        """Have the producers' state written, once what it tells of is durable.

        Before it, as a snapshot vouches for it, the transaction index of the ``last`` segment.
        """
        if self._snapshot_offset == self._end:
            return
        end = self._snapshot_offset = self._end
        aborted = self._producers.transactions.marked_between(last.base_offset, end)
        if aborted:
            name = names.offset_name(last.base_offset, names.TXN_INDEX)
            self._write_later(name, write_index(aborted))
        window = write_window(self._producers, end)
        self._write_later(names.offset_name(end, names.WINDOW), window)
        self._write_later(names.offset_name(end, names.SNAPSHOT), write_snapshot(self._producers))

    # -- durability

    def begin_sync(self) -> SyncTicket | None:
        """What must be synced now; None if nothing is dirty or the log is failed.

        Raises MisuseError while another ticket is out.
        """
        if self._ticket is not None:
            raise MisuseError(f"{self.folder}: a sync is under way, want one at a time")
        if self.failed is not None or not self.is_dirty:
            return None
        recovery_point = self._recovery_point
        if self._sealed and all(segment.seal() for segment in self._sealed):
            recovery_point = self._active.base_offset
        files = [file for segment in self._sealed for file in segment.files_to_sync()]
        if self._end > self._synced:
            files.append(self._active.file)
            self._active.remember(self._end, self._active.size)
        writes = self._writes[:]
        if recovery_point != self._recovery_point:
            content = write_offset(self._name, recovery_point)
            writes.append((self._path(names.RECOVERY_POINT), content))
        self._writes_stuck = False
        self._ticket = SyncTicket(
            end_offset=self._end,
            files=files,
            folders=self._folders[:],
            writes=writes,
            sealed=self._sealed[:],
            recovery_point=recovery_point,
            folder=self.folder,
            fs=self._fs,
        )
        return self._ticket

    def finish_sync(self, ticket: SyncTicket, ok: bool, reason: str = "sync failed") -> None:  # noqa: FBT001  # one verdict, no other reading
        """The ticket was run: ``durable_offset`` advances, or the log is ``failed``."""
        if ticket is not self._ticket:
            raise MisuseError(f"{self.folder}: this is not the ticket that is out")
        self._ticket = None
        if self._abandoned:
            return
        if not ok:
            self.failed = f"{self.folder}: {reason}"
        if self.failed is not None:
            return
        self._synced = ticket.end_offset
        self._durable = max(self._durable, ticket.end_offset)
        del self._folders[: len(ticket.folders)]
        if ticket.unwritten is not None:
            self._writes_stuck = True
            return
        advanced = ticket.recovery_point != self._recovery_point
        self._recovery_point = ticket.recovery_point
        del self._writes[: len(ticket.writes) - advanced]
        if advanced:
            self._sealed = [s for s in self._sealed if s not in ticket.sealed]

    def assume_durable(self) -> None:
        """Count what is written as durable though nobody synced it (fsync never or interval)."""
        if self.failed is None:
            self._durable = self._end
            self._active.remember(self._end, self._active.size)

    # -- reading

    def read(self, offset: int, max_bytes: int, *, below: int, at_least_one: bool) -> ReadResult:
        """Whole batches from the one that holds ``offset``, all below offset ``below``.

        At most ``max_bytes`` of one segment, but the first batch whole if ``at_least_one``.
        """
        if not self._log_start <= offset <= self._end:
            message = f"offset {offset}, log has {self._log_start} to {self._end}"
            return ReadResult(ErrorCode.OFFSET_OUT_OF_RANGE, [], 0, message)
        below = min(below, self._end if self.failed is None else self._durable)
        if offset >= below:
            return ReadResult(_NONE, [], 0)
        return read_segments(
            self._segments, offset, max_bytes, below=below, at_least_one=at_least_one
        )

    def aborted_in(self, offset: int, found: ReadResult, *, below: int) -> list[Aborted]:
        """The aborted transactions among what ``read`` found from ``offset``, below ``below``."""
        transactions = self._producers.transactions
        if not transactions.aborted or not found.size:
            return []
        try:
            end = end_of_read(found, below)
        except StorageError:
            end = below  # too many are no harm
        return transactions.aborted_between(offset, end)

    # -- deleting

    def apply_retention(self, now_ms: int) -> list[str]:
        """Delete what ``retention.ms`` and ``retention.bytes`` let go, forget silent producers.

        Returns the paths that went; last, if the disk refused, why it stopped.
        """
        self._producers.expire(now_ms, self._config.producer_id_expiration_ms)
        if self.failed is not None:
            return []
        segments = self._segments
        count = segments_to_delete(
            segments, self._config, now_ms=now_ms, durable_offset=self._durable
        )
        try:
            if count == len(segments):
                if self._durable < self._end:
                    count -= 1
                else:
                    self._roll(now_ms)
            if count and segments[count].base_offset > self._log_start:
                return self._raise_log_start(segments[count].base_offset)
            return self._delete_below_start()
        except StorageError as error:
            return [f"retention stopped: {error}"]

    def roll_if_due(self, now_ms: int) -> bool:
        """Begin a new segment if the active one is older than ``segment.ms``; True if so."""
        if self.failed is not None or not self._active.is_due(now_ms, self._config):
            return False
        try:
            self._roll(now_ms)
        except StorageError:
            return False  # nothing changed; the next append tries again and reports it
        return True

    def truncate_prefix(self, offset: int) -> ErrorCode:
        """DeleteRecords: nothing below ``offset`` may be read any more; -1 means all durable."""
        wanted = self._durable if offset == -1 else offset
        if not 0 <= wanted <= self._durable:
            return ErrorCode.OFFSET_OUT_OF_RANGE
        if self.failed is not None:
            return ErrorCode.KAFKA_STORAGE_ERROR
        try:
            if wanted > self._log_start:
                self._raise_log_start(wanted)
        except StorageError:
            return ErrorCode.KAFKA_STORAGE_ERROR
        return _NONE

    def _raise_log_start(self, offset: int) -> list[str]:
        """Say durably that it is gone, then delete. Raises StorageError."""
        content = write_offset(self._name, offset)
        self._fs.write_atomic(self._path(names.LOG_START), content)
        self._log_start = offset
        self._producers.transactions.forget_below(offset)
        if self._epochs.truncate_start(offset):
            self._write_later(names.LEADER_EPOCHS, write_leader_epochs(self._epochs))
        return self._delete_below_start()

    def _delete_below_start(self) -> list[str]:
        """Segments wholly below the log start go; what they say of producers is stored first.

        A ticket that is out may be writing just that: then they go at the next call.
        """
        keep = bisect_right(self._segments, self._log_start, key=base_offset) - 1
        if keep <= 0 or (self._ticket is not None and self._writes):
            return []
        for path, content in self._writes:
            self._fs.write_atomic(path, content)
        gone = self._segments[:keep]
        del self._segments[:keep]
        self._sealed = [segment for segment in self._sealed if segment not in gone]
        return [path for segment in gone for path in self._remove_files(segment.base_offset)]

    def _remove_files(self, base: int) -> list[str]:
        """The log goes last: as long as it is there, the next open finds and removes the rest.

        Its descriptor stays with whoever still reads: it closes with the last reference.
        """
        paths = [self._path(names.offset_name(base, s)) for s in names.ALL_OF_SEGMENT]
        for path in paths:
            self._fs.remove(path)
        return paths[-1:]

    # -- compacting

    def plan_compaction(self, now_ms: int) -> CompactionJob | None:
        """What is worth cleaning now, None if nothing is; run the job in any thread.

        Until ``finish_compaction`` there is no other plan. Raises StorageError.
        """
        if self.failed is not None:
            return None
        ends_at = min(self._recovery_point, self.last_stable_offset)
        return self._cleaning.plan(
            self._segments, self._producers, self._config, ends_at=ends_at, now_ms=now_ms
        )

    def finish_compaction(self, job: CompactionJob) -> str | None:
        """Swap in what the job wrote; else why not. Half a swap makes the log ``failed``."""
        self._cleaning.take_back(job)
        if self._abandoned:
            return None
        refusal = self._cleaning.refused(job, self._segments, usable=self.failed is None)
        if refusal is not None:
            return refusal
        try:
            self._cleaning.swap(job, self._segments, self._producers.transactions)
        except StorageError as error:
            self.failed = f"{self.folder}: compaction stopped half way: {error}"
            return self.failed
        return None

    def compact(self, now_ms: int) -> CompactionJob | None:
        """Plan, run and finish at once; None if nothing was worth it. Raises StorageError."""
        job = self.plan_compaction(now_ms)
        if job is not None:
            job.run()
            failure = self.finish_compaction(job)
            if failure is not None:
                raise StorageError(failure)
        return job

    # -- the end

    def abandon(self) -> None:
        """The topic is deleted: from now on another log may have this folder's name.

        So nothing more is written by name, not even by a ticket or a job that is out. A sync or a
        response may still use the open files; they close with the last.
        """
        self._abandoned = True
        if self._ticket is not None:
            self._ticket.writes.clear()

    def close(self, clean: bool) -> None:  # noqa: FBT001  # how the data directory is marked
        """The last call. ``clean``: complete, sync and release the files.

        Raises StorageError if that fails: the data directory must not be marked clean then.
        If not ``clean``, a sync or a response may still use the files; they go with the last.
        """
        if self.failed is not None and not self._abandoned:
            note_failed_sync(self._fs, self.folder)
        try:
            if clean:
                self._complete()
        finally:
            self.failed = self.failed or f"{self.folder} is closed"
            if clean:
                for segment in self._segments:
                    segment.close()

    def _complete(self) -> None:
        if self.failed is not None:
            raise StorageError(self.failed)
        if self._producers.by_id or self._active.size:
            self._snapshot(self._active)
        grown = self._end != self._end_at_open
        if self._active.size and (grown or not self._active.indexes_stored):
            if not self._active.seal():
                raise StorageError(f"{self.folder}: the indexes cannot be written")
            sync_files(self._fs, self.folder, self._active.files_to_sync())
            self._folders.append(self.folder)
        ticket = self.begin_sync()
        if ticket is not None:
            ticket.run()
            self.finish_sync(ticket, ok=True)
            if ticket.unwritten is not None:
                raise StorageError(ticket.unwritten)
