"""One partition from polled records to finished objects: plan, encoder and gzip together. Pure.

The runtime feeds chunks and the time, and gets flushes: an intent to commit, objects to put, a
manifest to put. Dropping an assembler loses nothing: its records are read again from the last
commit.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tickertape.base.errors import MisuseError, StorageError, TapeError
from tickertape.base.ids import TopicPartition
from tickertape.connect.s3.chunk import Chunk, RecordRejectedError
from tickertape.connect.s3.formats import OpenFile, content_of, encoder_for, line_end
from tickertape.connect.s3.intent import Intent
from tickertape.connect.s3.java_json import Line, has_null
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.manifest import Manifest, ManifestObject, Runs
from tickertape.connect.s3.names import object_key
from tickertape.connect.s3.partitioners import Partitioner, Run, partitioner_for
from tickertape.connect.s3.plan import Cut, Instruction, RotationPlan, Skip, Write
from tickertape.connect.s3.settings import SinkSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltObject:
    """One object ready to be put create-only."""

    key: str
    data: bytes = field(repr=False)
    offsets: Runs
    records: int
    sha256: str
    content_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """Offsets ``start..end`` (inclusive) of a partition, complete. ``objects`` may be empty."""

    tp: TopicPartition
    start: int
    end: int
    reason: str
    intent: Intent
    objects: tuple[BuiltObject, ...]
    skipped: Runs

    def manifest(self) -> Manifest:
        """What this flush leaves in the bucket, as its manifest says it."""
        return Manifest(
            topic=self.tp.topic,
            topic_id=self.intent.topic_id,
            partition=self.tp.partition,
            start=self.start,
            end=self.end,
            layout=self.intent.layout,
            objects=tuple(
                ManifestObject(
                    key=item.key,
                    offsets=item.offsets,
                    records=item.records,
                    size=len(item.data),
                    sha256=item.sha256,
                    content_sha256=item.content_sha256,
                )
                for item in self.objects
            ),
            skipped=self.skipped,
        )

    def adopt(self, key: str, stored: bytes) -> "Flush":
        """The flush with the bytes that already are at ``key`` in place of ours.

        Another build of the compressor may have stored the same content in other bytes.
        StorageError if the content differs: the object is not of this flush.
        """
        return replace(
            self,
            objects=tuple(
                _adopted(self.intent.layout, item, stored) if item.key == key else item
                for item in self.objects
            ),
        )


class RecordError(TapeError):
    """A record cannot be archived as configured; the task must stop here, as Connect's does.

    ``flushes`` were completed by the records before it in the same chunk: do them, then stop.
    """

    def __init__(self, tp: TopicPartition, offset: int, reason: str) -> None:
        super().__init__(f"topic {tp.topic} partition {tp.partition} offset {offset}: {reason}")
        self.tp = tp
        self.offset = offset
        self.flushes: list[Flush] = []


class PartitionAssembler:
    """Buffers one partition's records, encoded and compressed, until the rotation rules cut."""

    def __init__(
        self,
        settings: SinkSettings,
        tp: TopicPartition,
        *,
        position: int | None,
        topic_id: str = "",
    ) -> None:
        """``position``: the committed offset; None starts at the first record that comes."""
        self._tp = tp
        self._layout = settings.layout
        self._encode = encoder_for(settings.layout)
        self._partitioner = partitioner_for(settings.layout, tp.partition)
        self._plan = RotationPlan(settings)
        self._files = _Files(settings.layout, tp, topic_id)
        self._start = position
        self._next = position or 0

    def add(self, chunk: Chunk, now_ms: int) -> list[Flush]:
        """Take records; return the flushes they complete, in order. RecordError: see there."""
        if not chunk.offsets:
            return self.tick(now_ms)
        if chunk.offsets[0] < self._next:
            raise MisuseError(f"got offset {chunk.offsets[0]} again, want {self._next} or later")
        flushes: list[Flush] = []
        try:
            self._add(chunk, now_ms, flushes)
        except RecordRejectedError as rejected:
            good = rejected.index
            error = RecordError(self._tp, chunk.offsets[good], rejected.reason)
            if good:
                before = Chunk(chunk.offsets[:good], chunk.values[:good], chunk.timestamps[:good])
                self._add(before, now_ms, flushes)
            error.flushes = flushes
            raise error from rejected
        return flushes

    def _add(self, chunk: Chunk, now_ms: int, flushes: list[Flush]) -> None:
        """Nothing has changed when this raises RecordRejectedError."""
        lines = self._encode(chunk.values)
        _check_nulls(self._layout, lines)
        times = self._partitioner.times(chunk.values, chunk.timestamps, now_ms)
        runs = _routed(self._partitioner, times, lines)
        if self._start is None:
            self._start = chunk.offsets[0]
        for instruction in self._plan.step(runs, times, now_ms):
            self._obey(instruction, chunk.offsets, lines, flushes)

    def tick(self, now_ms: int) -> list[Flush]:
        """The flush that is due by the clock alone (scheduled rotation, idle tail), if any."""
        return self._cut_all(self._plan.tick(now_ms))

    def seal(self, reason: str = "seal") -> list[Flush]:
        """Flush whatever is buffered now; safe at any time (stop, memory pressure, flush-now)."""
        return self._cut_all(self._plan.seal(reason))

    @property
    def due_ms(self) -> int | None:
        """The wall-clock time at which ``tick`` next has something to do; None: never."""
        return self._plan.due_ms

    @property
    def buffered_records(self) -> int:
        """Records written to open files but not yet part of a flush."""
        return self._files.records

    @property
    def buffered_bytes(self) -> int:
        """Bytes of memory that the open files hold."""
        return self._files.memory_bytes

    @property
    def next_offset(self) -> int:
        """One past the last record taken, or the position where none came yet."""
        return self._next

    def _cut_all(self, instructions: Sequence[Instruction]) -> list[Flush]:
        flushes: list[Flush] = []
        for instruction in instructions:
            self._obey(instruction, (), (), flushes)
        return flushes

    def _obey(
        self,
        instruction: Instruction,
        offsets: Sequence[int],
        lines: Sequence[Line],
        flushes: list[Flush],
    ) -> None:
        match instruction:
            case Write(directory, lo, hi):
                self._files.write(directory, offsets[lo:hi], lines[lo:hi])
                self._next = offsets[hi - 1] + 1
            case Skip(lo, hi):
                self._files.skip(offsets[lo:hi])
                self._next = offsets[hi - 1] + 1
            case Cut(reason):
                assert self._start is not None
                flushes.append(self._files.seal(self._start, self._next - 1, reason))
                self._start = self._next


def rebuild(
    tp: TopicPartition, intent: Intent, chunks: Iterable[Chunk], *, topic_id: str = ""
) -> Flush:
    """The very flush that an intent announced, from the topic's records ``start..end``.

    Chunks may run past ``end``. StorageError if the records lead to other files than the intent
    names (retention or compaction removed some, or the topic was recreated).
    """
    if intent.topic_id and topic_id and intent.topic_id != topic_id:
        raise StorageError(
            f"got the topic id {topic_id}, want {intent.topic_id} as the intent says"
        )
    layout = intent.layout
    files = _Files(layout, tp, intent.topic_id or topic_id)
    encode = encoder_for(layout)
    partitioner = partitioner_for(layout, tp.partition)
    runs_of_clock = None if layout.replayable else _ClockRuns(intent.paths)
    for chunk in chunks:
        part = _clipped(chunk, intent.start, intent.end)
        if not part.offsets:
            continue
        try:
            lines = encode(part.values)
            _check_nulls(layout, lines)
            if runs_of_clock is not None:
                runs = list(_without_nulls(runs_of_clock.runs(part.offsets), lines))
            else:
                times = partitioner.times(part.values, part.timestamps, 0)
                runs = _routed(partitioner, times, lines)
        except RecordRejectedError as error:
            raise RecordError(tp, part.offsets[error.index], error.reason) from error
        for directory, lo, hi in runs:
            if directory is None:
                files.skip(part.offsets[lo:hi])
            else:
                files.write(directory, part.offsets[lo:hi], lines[lo:hi])
    flush = files.seal(intent.start, intent.end, "intent")
    firsts = {directory: starts[0] for directory, starts in intent.paths.items()}
    found = {directory: starts[0] for directory, starts in flush.intent.paths.items()}
    if found != firsts:
        raise StorageError(
            f"topic {tp.topic} partition {tp.partition}: got records for {found},"
            f" want {firsts} as the intent of {intent.start}..{intent.end} says. If compaction took"
            " records of this begun flush, move its objects away, if any, and commit the offset"
            f" {intent.start} anew for the connector's group, which drops the intent"
        )
    return flush


class _Files:
    """The open files of one flush to be, with the offsets in each."""

    def __init__(self, layout: Layout, tp: TopicPartition, topic_id: str) -> None:
        self._layout = layout
        self._tp = tp
        self._topic_id = topic_id
        self._end = line_end(layout)
        self._open: dict[str, _Growing] = {}
        self._last = ""
        self._skipped: list[tuple[int, int]] = []

    @property
    def records(self) -> int:
        return sum(growing.records for growing in self._open.values())

    @property
    def memory_bytes(self) -> int:
        return sum(growing.file.memory_bytes for growing in self._open.values())

    def write(self, directory: str, offsets: Sequence[int], lines: Sequence[Line]) -> None:
        growing = self._open.get(directory)
        if growing is None:
            growing = self._open[directory] = _Growing(OpenFile(self._layout))
        if directory != self._last:
            growing.starts.append(offsets[0])
            self._last = directory
        growing.records += len(offsets)
        _extend(growing.runs, offsets)
        # No line is None here: nulls were routed to no directory.
        growing.file.write(self._end.join(lines) + self._end)  # type: ignore[arg-type]

    def skip(self, offsets: Sequence[int]) -> None:
        _extend(self._skipped, offsets)

    def seal(self, start: int, end: int, reason: str) -> Flush:
        objects = tuple(
            _built(self._layout, self._tp, directory, growing)
            for directory, growing in self._open.items()
        )
        replayable = self._layout.replayable
        paths = {
            directory: tuple(growing.starts[:1] if replayable else growing.starts)
            for directory, growing in self._open.items()
        }
        intent = Intent(
            start=start, end=end, paths=paths, layout=self._layout, topic_id=self._topic_id
        )
        skipped = tuple(self._skipped)
        self._open, self._last, self._skipped = {}, "", []
        return Flush(
            tp=self._tp,
            start=start,
            end=end,
            reason=reason,
            intent=intent,
            objects=objects,
            skipped=skipped,
        )


@dataclass(slots=True)
class _Growing:
    file: OpenFile
    starts: list[int] = field(default_factory=list)
    runs: list[tuple[int, int]] = field(default_factory=list)
    records: int = 0


class _ClockRuns:
    """Offset -> directory as an intent's run starts say."""

    def __init__(self, paths: Mapping[str, tuple[int, ...]]) -> None:
        turns = sorted((start, directory) for directory, at in paths.items() for start in at)
        self._starts = [start for start, _ in turns]
        self._directories = [directory for _, directory in turns]

    def runs(self, offsets: Sequence[int]) -> Iterator[Run]:
        """The chunk as runs; what lies before the first start was skipped."""
        lo = 0
        while lo < len(offsets):
            turn = bisect_right(self._starts, offsets[lo])
            hi = len(offsets)
            if turn < len(self._starts):
                hi = bisect_left(offsets, self._starts[turn], lo)
            yield Run(self._directories[turn - 1] if turn else None, lo, hi)
            lo = hi


def _routed(
    partitioner: Partitioner, times: Sequence[int] | None, lines: Sequence[Line]
) -> list[Run]:
    """Runs of a chunk, null values routed to no directory (and not asked for a time)."""
    if not has_null(lines):
        return partitioner.runs(times, len(lines))
    runs: list[Run] = []
    lo = 0
    for hi in range(1, len(lines) + 1):
        if hi < len(lines) and (lines[hi] is None) == (lines[lo] is None):
            continue
        if lines[lo] is None:
            runs.append(Run(None, lo, hi))
        else:
            part = None if times is None else times[lo:hi]
            runs.extend(_shifted(partitioner, part, lo, hi))
        lo = hi
    return runs


def _shifted(
    partitioner: Partitioner, times: Sequence[int] | None, lo: int, hi: int
) -> Iterator[Run]:
    try:
        for run in partitioner.runs(times, hi - lo):
            yield Run(run.directory, run.lo + lo, run.hi + lo)
    except RecordRejectedError as error:
        raise RecordRejectedError(error.index + lo, error.reason) from error


def _without_nulls(runs: Iterable[Run], lines: Sequence[Line]) -> Iterator[Run]:
    """The runs, cut so that null values go to no directory."""
    for directory, start, end in runs:
        lo = start
        for hi in range(start + 1, end + 1):
            if hi == end or (lines[hi] is None) != (lines[lo] is None):
                yield Run(None if lines[lo] is None else directory, lo, hi)
                lo = hi


def _check_nulls(layout: Layout, lines: Sequence[Line]) -> None:
    if layout.null_values == "fail" and has_null(lines):
        raise RecordRejectedError(
            lines.index(None),
            "got a null value, want one that can be written"
            " (behavior.on.null.values=ignore skips such records and lists them as skipped)",
        )


def _extend(runs: list[tuple[int, int]], offsets: Sequence[int]) -> None:
    """Append rising offsets to inclusive runs."""
    first, last = offsets[0], offsets[-1]
    if last - first == len(offsets) - 1:
        _append_run(runs, first, last)
        return
    lo = 0
    for hi in range(1, len(offsets) + 1):
        if hi == len(offsets) or offsets[hi] != offsets[hi - 1] + 1:
            _append_run(runs, offsets[lo], offsets[hi - 1])
            lo = hi


def _append_run(runs: list[tuple[int, int]], first: int, last: int) -> None:
    if runs and runs[-1][1] + 1 == first:
        runs[-1] = (runs[-1][0], last)
    else:
        runs.append((first, last))


def _built(layout: Layout, tp: TopicPartition, directory: str, growing: _Growing) -> BuiltObject:
    sealed = growing.file.seal()
    return BuiltObject(
        key=object_key(layout, tp, directory, growing.starts[0]),
        data=sealed.data,
        offsets=tuple(growing.runs),
        records=growing.records,
        sha256=hashlib.sha256(sealed.data).hexdigest(),
        content_sha256=sealed.content_sha256,
    )


def _adopted(layout: Layout, ours: BuiltObject, stored: bytes) -> BuiltObject:
    digest = hashlib.sha256(content_of(layout, stored)).hexdigest()
    if digest != ours.content_sha256:
        raise StorageError(
            f"{ours.key}: got an object of other content (sha256 {digest[:16]}...), want"
            f" {ours.content_sha256[:16]}...: {ours.records} records from {ours.offsets[0][0]} on"
        )
    return replace(ours, data=stored, sha256=hashlib.sha256(stored).hexdigest())


def _clipped(chunk: Chunk, start: int, end: int) -> Chunk:
    lo, hi = bisect_left(chunk.offsets, start), bisect_right(chunk.offsets, end)
    if lo == 0 and hi == len(chunk.offsets):
        return chunk
    return Chunk(chunk.offsets[lo:hi], chunk.values[lo:hi], chunk.timestamps[lo:hi])
