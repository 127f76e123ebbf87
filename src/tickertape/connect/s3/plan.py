"""When a partition's open files are cut into a flush: Confluent's rotation rules, and one of ours.

The plan sees directories and times, never values. It takes runs (partitioners.Run) and answers with
instructions in order: write these records of the chunk, skip those, cut here. Rules, in the order
they are asked (TopicPartitionWriter):

- ``rotate.schedule.interval.ms``: the wall clock passed the next multiple since local midnight;
- ``rotate.interval.ms``: before a record whose time is that far from the first record's since the
  last cut, or (rotate.file.on.partition.change) whose directory is another than the last record's;
- ``flush.size``: after the record that fills it, counted over all open directories;
- ``flush.idle.ms`` (ours): no record came for that long and something is open.

With directories and times that follow from the records, chunk borders leave no trace, unless the
wall clock is asked to cut (schedule, idle).
"""

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import NamedTuple, TypeAlias

from tickertape.connect.s3 import joda
from tickertape.connect.s3.partitioners import Run
from tickertape.connect.s3.settings import SinkSettings


class Write(NamedTuple):
    """Append records ``lo`` to ``hi`` (exclusive) of the chunk to the directory's open file."""

    directory: str
    lo: int
    hi: int


class Skip(NamedTuple):
    """Records ``lo`` to ``hi`` (exclusive) are consumed and go nowhere."""

    lo: int
    hi: int


class Cut(NamedTuple):
    """Everything up to here is one flush; ``reason`` is for people."""

    reason: str


Instruction: TypeAlias = Write | Skip | Cut


class RotationPlan:
    """The rotation state of one partition. Told the time, never asks it."""

    def __init__(self, settings: SinkSettings) -> None:
        self._flush_size = settings.flush_size
        timed = settings.layout.partitioner == "time"
        self._interval_ms = settings.rotate_interval_ms if timed else -1
        self._roll_on_change = settings.rotate_on_directory_change
        self._schedule_ms = settings.rotate_schedule_interval_ms
        self._idle_ms = settings.flush_idle_ms
        self._tz: tzinfo | None = None
        if self._schedule_ms > 0:
            self._tz = joda.zone(settings.timezone)
        self._scheduled_ms: int | None = None
        self._touched_ms = 0
        self._base_ms: int | None = None
        self._directory: str | None = None
        self._written = 0
        self._pending = False

    def step(
        self, runs: Sequence[Run], times: Sequence[int] | None, now_ms: int
    ) -> list[Instruction]:
        """What to do with a chunk's records. ``times``: each record's, if rotate.interval runs."""
        answer = self.tick(now_ms, idle=False)
        if runs:
            self._touched_ms = now_ms
        for run in runs:
            self._pending = True
            if run.directory is None:
                answer.append(Skip(run.lo, run.hi))
            elif self._interval_ms > 0 and times is not None:
                answer.extend(self._timed(run, run.directory, times))
            else:
                answer.extend(self._counted(run.directory, run.lo, run.hi))
        return answer

    def tick(self, now_ms: int, *, idle: bool = True) -> list[Instruction]:
        """The cut that is due by the clock alone, if any."""
        self._touched_ms = min(self._touched_ms, now_ms)  # the wall clock may have gone back
        if self._tz is not None:
            # Never further away than the interval, unless the wall clock has gone back since.
            if self._scheduled_ms is None or self._scheduled_ms - now_ms > self._schedule_ms:
                self._scheduled_ms = next_scheduled(self._tz, self._schedule_ms, now_ms)
            if now_ms >= self._scheduled_ms:
                self._scheduled_ms = next_scheduled(self._tz, self._schedule_ms, now_ms)
                if self._pending:
                    return [self._cut("rotate.schedule.interval.ms")]
        if idle and self._pending and 0 <= self._idle_ms <= now_ms - self._touched_ms:
            return [self._cut("flush.idle.ms")]
        return []

    def seal(self, reason: str) -> list[Instruction]:
        """Cut now if anything is open."""
        return [self._cut(reason)] if self._pending else []

    @property
    def due_ms(self) -> int | None:
        """When ``tick`` next cuts if nothing else happens; None: never."""
        if not self._pending:
            return None
        due = [] if self._scheduled_ms is None else [self._scheduled_ms]
        if self._idle_ms >= 0:
            due.append(self._touched_ms + self._idle_ms)
        return min(due, default=None)

    def _counted(self, directory: str, lo: int, hi: int) -> Iterator[Instruction]:
        """Writes of one directory, cut wherever flush.size is reached."""
        self._directory = directory
        while lo < hi:
            end = min(hi, lo + self._flush_size - self._written)
            self._written += end - lo
            self._pending = True
            yield Write(directory, lo, end)
            if self._written >= self._flush_size:
                yield self._cut("flush.size")
                self._directory = directory
            lo = end

    def _timed(self, run: Run, directory: str, times: Sequence[int]) -> Iterator[Instruction]:
        """As ``_counted``, and cut before each record that rotate.interval.ms says."""
        lo = run.lo
        while lo < run.hi:
            if self._written and self._is_over(directory, times[lo]):
                yield self._cut("rotate.interval.ms")
            if self._base_ms is None:
                self._base_ms = times[lo]
            room = self._flush_size - self._written
            hi = self._span_end(times, lo, min(run.hi, lo + room))
            yield from self._counted(directory, lo, hi)
            lo = hi

    def _is_over(self, directory: str, time_ms: int) -> bool:
        if self._roll_on_change and directory != self._directory:
            return True
        return self._base_ms is not None and time_ms - self._base_ms >= self._interval_ms

    def _span_end(self, times: Sequence[int], lo: int, hi: int) -> int:
        """The first record after ``lo`` that lies a whole interval past the base, else ``hi``."""
        assert self._base_ms is not None
        limit = self._base_ms + self._interval_ms
        if max(times[lo:hi]) < limit:
            return hi
        return next((at for at in range(lo + 1, hi) if times[at] >= limit), hi)

    def _cut(self, reason: str) -> Cut:
        self._written = 0
        self._pending = False
        self._base_ms = None
        self._directory = None
        return Cut(reason)


def next_scheduled(tz: tzinfo, interval_ms: int, now_ms: int) -> int:
    """The next multiple of the interval since local midnight, at most the next midnight."""
    start = joda.start_of_day(tz, now_ms)
    step = start + ((now_ms - start) // interval_ms + 1) * interval_ms
    return min(step, joda.start_of_next_day(tz, now_ms))
