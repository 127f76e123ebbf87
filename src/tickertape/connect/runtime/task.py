"""One task of a sink connector: reads its partitions, flushes when due, survives what passes.

Everything happens in rounds: poll, collect, flush what is complete, and only then poll again.
Partitions change hands only inside ``poll``, so no flush of ours is ever half-way when they do. A
failure that may pass pauses its partition and is tried again; any other ends the task with the
partition's offsets untouched: nothing is skipped.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from threading import Event

from tickertape.base.ids import TopicPartition
from tickertape.base.ports import Clock
from tickertape.connect.runtime.consumer_config import start_policy
from tickertape.connect.runtime.events import Limits, Listener
from tickertape.connect.runtime.partition import PartitionReader
from tickertape.connect.runtime.recovery import ResumePoint, overtaken, resume_point
from tickertape.connect.runtime.source import Arrival, Source
from tickertape.connect.s3.assemble import Flush, RecordError
from tickertape.connect.s3.commit import FlushOutcome, FlushWriter, GroupError
from tickertape.connect.s3.settings import SinkSettings
from tickertape.objects.store import ObjectStore, ObjectStoreError


@dataclass(slots=True)
class _Owned:
    """A partition that is ours until it is revoked."""

    reader: PartitionReader
    start: int  # where we began to read
    target: int  # with --once: read up to here
    behind: bool  # the group's offset is older than what the bucket proves: commit it first
    at_end: bool = False  # everything that can be read was
    finished: bool = False  # with --once: sealed, nothing more to do
    fenced: bool = False  # the group moved on without us: wait to be told
    failing_since_ms: int | None = None
    retry_at_ms: int = 0
    rejected: RecordError | None = None  # stop after the flushes before it
    pending: deque[Flush] = field(default_factory=deque)


class SinkTask:
    """One member of the connector's consumer group. ``run`` returns when stopped or finished."""

    def __init__(
        self,
        settings: SinkSettings,
        source: Source,
        store: ObjectStore,
        *,
        clock: Clock,
        listener: Listener,
        limits: Limits,
    ) -> None:
        self._settings = settings
        self._source = source
        self._store = store
        self._clock = clock
        self._listener = listener
        self._limits = limits
        self._writer = FlushWriter(connector=settings.name, store=store, group=source)
        self._owned: dict[TopicPartition, _Owned] = {}
        self._assigned = (
            False  # between a rebalance's two halves we own nothing and it means nothing
        )
        self._stop = Event()
        self._patient_until_ms: int | None = None

    def run(self, stop: Event, *, once: bool = False) -> None:
        """Work until ``stop`` is set. With ``once``, until everything that is there now is stored.

        On stop the records of incomplete flushes are dropped, as Connect does: they are still in
        the topic and are read again. Raises RecordError, StorageError or GroupError when a person
        has to act.
        """
        self._stop = stop
        self._source.open(self)
        self._patient_until_ms = self._clock.monotonic_ms() + self._limits.assign_note_ms
        try:
            with ThreadPoolExecutor(self._limits.flushes_at_once_max) as flushers:
                while not stop.is_set():
                    self._round(flushers, once=once)
                    if once and self._all_finished():
                        return
        except (ObjectStoreError, GroupError) as error:
            if not (stop.is_set() and error.retriable):
                raise
        finally:
            self._source.close()

    def _round(self, flushers: ThreadPoolExecutor, *, once: bool) -> None:
        limits = self._limits
        for arrival in self._source.poll(limits.poll_records_max, self._poll_ms()):
            self._take(arrival)
        self._tell_of_waiting()
        now_ms = self._clock.now_ms()
        for owned in self._owned.values():
            due_ms = owned.reader.due_ms
            if due_ms is not None and now_ms >= due_ms and not owned.fenced:
                owned.pending += owned.reader.tick(now_ms)
            if once:
                self._finish_if_read(owned)
        self._relieve_memory()
        self._flush_pending(flushers)

    def _tell_of_waiting(self) -> None:
        late_ms = self._patient_until_ms
        if late_ms is not None and (self._assigned or self._clock.monotonic_ms() >= late_ms):
            self._patient_until_ms = None
            if not self._assigned:
                self._listener.noted(
                    f"group {self._settings.group_id} gives us no partitions yet: the topic does"
                    " not exist, or a killed worker is still a member until its session times out"
                )

    def _poll_ms(self) -> int:
        waiting = [o.reader.due_ms for o in self._owned.values() if o.reader.due_ms is not None]
        until_due = min(waiting) - self._clock.now_ms() if waiting else self._limits.poll_ms_max
        return max(1, min(self._limits.poll_ms_max, until_due))

    def _take(self, arrival: Arrival) -> None:
        owned = self._owned.get(arrival.tp)
        if owned is None or owned.fenced or owned.rejected:
            return
        try:
            if arrival.chunk is not None:
                owned.at_end = False
                owned.pending += owned.reader.add(arrival.chunk, self._clock.now_ms())
            else:
                owned.at_end = True
                owned.pending += owned.reader.reached_end(arrival.end or 0, self._clock.now_ms())
        except RecordError as error:
            owned.pending += error.flushes
            owned.rejected = error

    def _finish_if_read(self, owned: _Owned) -> None:
        read = owned.at_end or owned.reader.position >= owned.target
        blocked = owned.fenced or owned.rejected or owned.reader.recovering
        if owned.finished or blocked or not read:
            return
        owned.pending += owned.reader.seal()
        owned.finished = True
        self._source.pause(owned.reader.tp)

    def _all_finished(self) -> bool:
        """Every partition we were given is done; being given none, others do the work, counts."""
        return self._assigned and all(
            owned.finished and not owned.pending and not owned.behind
            for owned in self._owned.values()
        )

    def _relieve_memory(self) -> None:
        held = {tp: owned.reader.buffered_bytes for tp, owned in self._owned.items()}
        while sum(held.values()) > self._limits.buffered_bytes_max:
            tp = max(held, key=held.__getitem__)
            self._owned[tp].pending += self._owned[tp].reader.seal()
            held[tp] = 0

    def _flush_pending(self, flushers: ThreadPoolExecutor) -> None:
        now_ms = self._clock.monotonic_ms()
        due = [
            owned
            for owned in self._owned.values()
            if (owned.pending or owned.behind) and now_ms >= owned.retry_at_ms
        ]
        if len(due) == 1:
            self._flush_partition(due[0])
        else:
            for done in [flushers.submit(self._flush_partition, owned) for owned in due]:
                done.result()
        for owned in self._owned.values():
            if owned.rejected and not owned.pending:
                raise owned.rejected

    def _flush_partition(self, owned: _Owned) -> None:
        try:
            while owned.behind or owned.pending:
                if self._next_step(owned) is FlushOutcome.FENCED:
                    self._fence(owned)
                    return
                self._recovered(owned)
        except (ObjectStoreError, GroupError) as error:
            if not error.retriable:
                raise
            self._try_later(owned, error)

    def _next_step(self, owned: _Owned) -> FlushOutcome:
        if owned.behind:
            outcome = self._writer.catch_up(owned.reader.tp, owned.start)
            owned.behind = outcome is FlushOutcome.FENCED
            return outcome
        flush, following = owned.pending[0], islice(owned.pending, 1, 2)
        followed = any(later.start == flush.end + 1 for later in following)
        outcome = self._writer.write(flush, followed=followed)
        if outcome is FlushOutcome.DONE:
            self._listener.flushed(owned.pending.popleft())
        return outcome

    def _try_later(self, owned: _Owned, error: ObjectStoreError | GroupError) -> None:
        now_ms = self._clock.monotonic_ms()
        if owned.failing_since_ms is None:
            owned.failing_since_ms = now_ms
            self._source.pause(owned.reader.tp)
        if now_ms - owned.failing_since_ms >= self._limits.retry_ms_max:
            error.add_note(f"given up after {self._limits.retry_ms_max} ms; nothing was skipped")
            raise error
        backoff_ms = self._settings.retry_backoff_ms
        owned.retry_at_ms = now_ms + backoff_ms
        self._listener.noted(
            f"flush of {owned.reader.tp} failed, again in {backoff_ms} ms: {error}"
        )

    def _recovered(self, owned: _Owned) -> None:
        if owned.failing_since_ms is not None:
            owned.failing_since_ms = None
            if not owned.finished:
                self._source.resume(owned.reader.tp)

    def _fence(self, owned: _Owned) -> None:
        owned.pending.clear()
        owned.behind = False
        owned.fenced = True
        self._listener.noted(
            f"{owned.reader.tp}: the group gave it to somebody else while we were away;"
            " dropping what we held (it is in the topic)",
        )

    def assigned(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Assignee: find where to begin with each partition, from the group and the bucket."""
        for attempt in range(1, self._limits.assign_attempts_max + 1):
            try:
                starts = self._take_over(tps)
            except (ObjectStoreError, GroupError) as error:
                last = attempt == self._limits.assign_attempts_max
                if last or not error.retriable or self._stop.is_set():
                    raise
                self._listener.noted(f"cannot begin yet, trying again: {error}")
                self._stop.wait(min(1_000, self._settings.retry_backoff_ms) / 1_000)
            else:
                self._assigned = True
                return starts
        raise AssertionError("the last attempt returns or raises")

    def _take_over(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        starts: dict[TopicPartition, int] = {}
        topic_ids = {topic: self._source.topic_id(topic) for topic in {tp.topic for tp in tps}}
        name = self._settings.name
        for tp, committed in self._source.committed(tps).items():
            low, high = self._source.bounds(tp)
            topic_id = topic_ids[tp.topic]
            found = resume_point(self._store, name, tp, committed, topic_id=topic_id)
            point = self._within(tp, found, low, high)
            position = point.position
            assert position is not None
            for note in dict.fromkeys((found.note, point.note)):
                if note:
                    self._listener.noted(note)
            if point.intent is not None and point.intent.layout.needs_timestamps:
                self._source.keep_timestamps(tp)
            reader = PartitionReader(
                self._settings,
                tp,
                position=position,
                intent=point.intent,
                topic_id=topic_id,
            )
            behind = committed.offset != position and found.position is not None
            self._owned[tp] = _Owned(reader, position, target=high, behind=behind)
            starts[tp] = position
        return starts

    def _within(self, tp: TopicPartition, point: ResumePoint, low: int, high: int) -> ResumePoint:
        """Reconcile where the backup ends with what the topic still has."""
        position = point.position
        if position is None:
            latest = start_policy(self._settings.consumer) == "latest"
            return ResumePoint(high if latest else low)
        if position > high:  # retriable: a new leader may not know its high watermark yet
            raise GroupError(
                f"{tp}: the backup goes up to offset {position - 1}, the topic only up to"
                f" {high - 1}. Was it deleted and created again, or did it lose records? Reset the"
                f" offsets of group {self._settings.group_id} and choose another connector name",
                retriable=True,
            )
        return overtaken(self._store, tp, point, low) if position < low else point

    def revoked(self, tps: Sequence[TopicPartition]) -> None:
        """Assignee: drop what was collected. No flush: membership is already uncertain."""
        self._assigned = False
        for tp in tps:
            self._owned.pop(tp, None)
