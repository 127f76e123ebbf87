"""One log's compactions, from the thread that owns the log: what to clean, and the swap at the end.

``compaction`` does the work in between, in any thread. There is one job at a time; a log that was
shortened, abandoned or failed meanwhile throws the job's segments away.
"""

from collections.abc import Callable
from typing import TypeAlias

from tickertape.base.errors import MisuseError, StorageError
from tickertape.base.ports import FileSystem
from tickertape.log import names
from tickertape.log.compaction import (
    CleaningTimes,
    CompactionJob,
    plan,
    stored_cleaning_times,
    swap_in,
    write_cleaning_times,
)
from tickertape.log.config import LogConfig
from tickertape.log.producer_state import ProducerStates
from tickertape.log.segment import Segment
from tickertape.log.transactions import AbortedRanges, Transactions, write_index

WriteLater: TypeAlias = Callable[[str, bytes], None]
"""Takes the name of a small file of the log's folder and its content."""


class Cleaning:
    """See the module."""

    def __init__(self, fs: FileSystem, folder: str, write_later: WriteLater) -> None:
        self._fs = fs
        self._folder = folder
        self._write_later = write_later
        self._job: CompactionJob | None = None
        self._times: CleaningTimes | None = None

    def plan(
        self, segments: list[Segment], producers: ProducerStates, config: LogConfig, *,
        ends_at: int, now_ms: int,
    ) -> CompactionJob | None:  # fmt: skip
        """What is worth cleaning below ``ends_at``; None if nothing is, or a job is out."""
        if self._job is not None or not config.compacts:
            return None
        times = self._known_times()
        groups = plan(segments, config, times, ends_at=ends_at, now_ms=now_ms)
        if not groups:
            return None
        number = segments.index(groups[-1][-1]) + 1
        self._job = CompactionJob(
            fs=self._fs,
            config=config,
            groups=groups,
            until=segments[number].base_offset,
            clean_until=times.clean_until,
            tombstones_until=times.tombstones_until(now_ms, config.delete_retention_ms),
            live_batches=frozenset(
                batch.last_offset for one in producers.by_id.values() for batch in one.batches
            ),
            aborted=AbortedRanges(producers.transactions.aborted),
            now_ms=now_ms,
        )
        return self._job

    def take_back(self, job: CompactionJob) -> None:
        """The job has run. Raises MisuseError if it is not the one that is out."""
        if job is not self._job:
            raise MisuseError(f"{self._folder}: this is not the compaction that is out")
        self._job = None

    def refused(self, job: CompactionJob, segments: list[Segment], *, usable: bool) -> str | None:
        """Why what ``job`` wrote cannot be used; it has been removed then. None if it can."""
        kept = {id(segment) for segment in segments}
        stale = any(id(segment) not in kept for group in job.groups for segment in group)
        if usable and job.failure is None and not stale:
            return None
        try:
            job.discard()
        except StorageError as error:
            return str(error)
        return job.failure or "the log was shortened meanwhile"

    def swap(self, job: CompactionJob, segments: list[Segment], transactions: Transactions) -> None:
        """Put what ``job`` wrote in its place. Raises StorageError: half done, then."""
        for cleaned, group in zip(job.cleaned, job.groups, strict=False):
            at = segments.index(group[0])
            self._merge_txn_indexes(segments, at, len(group), transactions)
            swap_in(self._fs, cleaned, group)
            segments[at : at + len(group)] = [cleaned]
        times = self._known_times()
        times.cleaned(job.until, job.now_ms, job.config.delete_retention_ms)
        self._write_later(names.CLEANED_OFFSETS, write_cleaning_times(times))

    def _merge_txn_indexes(
        self, segments: list[Segment], at: int, count: int, transactions: Transactions
    ) -> None:
        """Before the swap: an entry that is there twice does no harm, one that is lost does."""
        base, end = segments[at].base_offset, segments[at + count].base_offset
        entries = transactions.marked_between(base, end)
        if entries:
            path = f"{self._folder}/{names.offset_name(base, names.TXN_INDEX)}"
            self._fs.write_atomic(path, write_index(entries))

    def _known_times(self) -> CleaningTimes:
        if self._times is None:
            self._times = stored_cleaning_times(self._fs, self._folder)
        return self._times
