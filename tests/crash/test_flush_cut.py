"""The worker is killed before every single write of its flushes, then started again.

Whatever the rotation, the partitioner and the time that passed, every offset is in the bucket once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from threading import Event

import pytest
from tests.crash.bucket import stored_records, value
from tests.crash.fake_topic import FakeCluster, FakeSource

from tickertape.base.fakes import FakeClock, SeededRng
from tickertape.connect.runtime.events import Limits
from tickertape.connect.runtime.source import Arrival
from tickertape.connect.runtime.task import SinkTask
from tickertape.connect.s3.assemble import Flush
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.settings import SinkSettings
from tickertape.objects.memory import MemoryStore
from tickertape.objects.store import PutOutcome

HOUR_MS = 3_600_000
MIDNIGHT_MS = 1_561_680_000_000  # 2019-06-28T00:00:00Z
GZIP = Layout(compression="gzip")
BY_DAY = Layout(
    compression="gzip",
    partitioner="time",
    path_format="YYYY-MM-dd",
    duration_ms=HOUR_MS,
    locale="KR",
    timezone="UTC",
)
BASE = SinkSettings(name="s3-sink", topics=("ticks",), flush_size=3, layout=GZIP)
ROTATIONS = {
    "by count": BASE,
    "wall-clock directories": replace(BASE, layout=BY_DAY, flush_size=4),
    "record-time directories": replace(BASE, layout=replace(BY_DAY, extractor="record")),
    "record-time interval": replace(
        BASE,
        layout=replace(BY_DAY, extractor="record"),
        flush_size=1000,
        rotate_interval_ms=HOUR_MS,
    ),
    "several record-time directories in one flush": replace(
        BASE, layout=replace(BY_DAY, extractor="record", path_format="HH"), flush_size=7
    ),
    "scheduled": replace(
        BASE,
        layout=replace(BY_DAY, path_format="YYYY-MM-dd-HH"),
        flush_size=1000,
        rotate_schedule_interval_ms=HOUR_MS,
    ),
    "idle": replace(BASE, flush_size=1000, flush_idle_ms=20 * 60_000),
    "nulls skipped": replace(BASE, layout=replace(GZIP, null_values="ignore")),
}


class Killed(BaseException):
    """The process is gone: nothing may catch this."""


class Fuse:
    """Kills before the n-th write, be it a commit or a put."""

    def __init__(self, cut: int | None) -> None:
        self.left = cut

    def burn(self, *_: object) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class FusedStore(MemoryStore):
    fuse = Fuse(None)

    def put(
        self,
        key: str,
        data: bytes,
        *,
        create_only: bool = True,
        content_type: str = "application/octet-stream",
    ) -> PutOutcome:
        self.fuse.burn()
        return super().put(key, data, create_only=create_only, content_type=content_type)


class Listened:
    def __init__(self) -> None:
        self.flushes: list[Flush] = []
        self.notes: list[str] = []

    def flushed(self, flush: Flush) -> None:
        self.flushes.append(flush)

    def noted(self, text: str) -> None:
        self.notes.append(text)


class World:
    """Brokers and bucket, which survive; workers come and go."""

    def __init__(self, settings: SinkSettings, seed: int) -> None:
        self.settings = settings
        self.rng = SeededRng(seed)
        self.clock = FakeClock(MIDNIGHT_MS - HOUR_MS)
        self.cluster = FakeCluster(self.clock, partitions=2, poll_ms=10 * 60_000)
        if settings.flush_size > 100:  # the wall clock cuts, if there is time to
            self.cluster.quiet_polls = 2
        self.store = FusedStore()
        self.expected: set[tuple[int, int]] = set()

    def produce(self, count: int) -> None:
        for _ in range(count):
            partition = self.rng.below(2)
            offset = self.cluster.end(partition)
            timestamp = MIDNIGHT_MS - 2 * HOUR_MS + self.rng.below(4 * HOUR_MS)
            if self.settings.layout.null_values == "ignore" and self.rng.below(3) == 0:
                self.cluster.produce(None, partition, timestamp)
            else:
                self.cluster.produce(value(partition, offset), partition, timestamp)
                self.expected.add((partition, offset))

    def gap(self) -> None:
        """A control record: an offset that no consumer ever sees."""
        for partition, records in self.cluster.log.items():
            offset, timestamp, _ = records[-1]
            records.append((offset + 2, timestamp, value(partition, offset + 2)))
            self.expected.add((partition, offset + 2))

    def work(self, cut: int | None = None) -> Listened:
        """One life of a worker, until all is flushed or its ``cut``-th write."""
        fuse = Fuse(cut)
        self.cluster.on_commit = fuse.burn
        self.store.fuse = fuse
        listened = Listened()
        source = FakeSource(self.cluster, with_timestamps=self.settings.needs_timestamps)
        self.task(source, listened).run(Event(), once=True)
        return listened

    def task(self, source: FakeSource, listened: Listened) -> SinkTask:
        return SinkTask(
            self.settings,
            source,
            self.store,
            clock=self.clock,
            listener=listened,
            limits=Limits(poll_records_max=5, flushes_at_once_max=1),
        )

    def killed_at(self, cut: int) -> bool:
        try:
            self.work(cut)
        except Killed:
            return True
        return False

    def check(self) -> None:
        stored = stored_records(self.store)
        assert {record: times for record, times in stored.items() if times > 1} == {}
        assert stored == Counter(self.expected)
        for partition in range(2):
            tp = self.cluster.tp(partition)
            if tp in self.cluster.committed:
                assert self.cluster.committed[tp].offset == self.cluster.end(partition)
                assert self.cluster.committed[tp].metadata == ""


def world(settings: SinkSettings, seed: int = 1) -> World:
    made = World(settings, seed)
    made.produce(14)
    made.gap()
    made.produce(6)
    return made


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_killed_before_every_write_and_restarted(rotation: str) -> None:
    settings = ROTATIONS[rotation]
    cut = 0
    while True:
        here = world(settings, seed=cut)
        killed = here.killed_at(cut)
        if not killed:
            break
        here.clock.advance(here.rng.below(30 * HOUR_MS))  # hours later, another day, maybe
        here.produce(here.rng.below(8))
        here.work()
        here.check()
        cut += 1
    assert cut > 8, "the scenario has flushes to cut"


@pytest.mark.parametrize("rotation", ["wall-clock directories", "scheduled", "by count"])
def test_killed_again_while_finishing_what_was_begun(rotation: str) -> None:
    settings = ROTATIONS[rotation]
    deaths = 0
    for first in range(0, 12, 2):
        for second in range(12):
            here = world(settings, seed=first)
            assert here.killed_at(first)
            here.clock.advance(9 * HOUR_MS)
            deaths += here.killed_at(second)
            here.clock.advance(9 * HOUR_MS)
            here.produce(3)
            here.work()
            here.check()
    assert deaths > 30


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_the_settings_change_between_death_and_restart(rotation: str) -> None:
    """The begun flush ends as it was announced, whatever the files say now; then the new rules."""
    for cut in range(9):
        here = world(ROTATIONS[rotation], seed=cut)
        here.killed_at(cut)
        here.settings = replace(ROTATIONS["by count"], flush_size=5)
        if ROTATIONS[rotation].layout.null_values == "ignore":
            here.settings = replace(here.settings, layout=replace(GZIP, null_values="ignore"))
        here.work()
        here.check()


class Sleeper(FakeSource):
    """A member that sees no rebalance while it sleeps, and is told to stop after some rounds."""

    def __init__(self, cluster: FakeCluster, stop: Event) -> None:
        super().__init__(cluster)
        self.stop = stop
        self.rounds = 60

    def poll(self, records_max: int, timeout_ms: int) -> Sequence[Arrival]:
        self.rounds -= 1
        if self.rounds == 0:
            self.stop.set()
        return super().poll(records_max, timeout_ms)


@pytest.mark.parametrize("rotation", ["wall-clock directories", "scheduled", "by count"])
def test_a_zombie_wakes_up_and_harms_nothing(rotation: str) -> None:
    """It falls asleep before its n-th write; others do all its work; it goes on where it was."""
    naps = 0
    for nap in range(24):
        here = world(ROTATIONS[rotation], seed=nap)
        stop = Event()
        zombie = Sleeper(here.cluster, stop)
        naps += sleeps_before(here, zombie, nap)
        here.work()
        here.check()
    assert naps > 12


def sleeps_before(here: World, zombie: Sleeper, nap: int) -> bool:
    """Run ``zombie``; before its n-th write the group gives everything to another worker."""
    slept = Event()
    writes = count()

    def burn(*_: object) -> None:
        if not slept.is_set() and next(writes) == nap:
            slept.set()
            zombie.asleep = True
            here.cluster.members.remove(zombie)
            here.clock.advance(20 * HOUR_MS)
            here.produce(2)
            hook = here.cluster.on_commit
            here.work()
            here.cluster.on_commit = hook
            here.cluster.members.append(zombie)

    fuse = Fuse(None)
    fuse.burn = burn  # type: ignore[method-assign]  # another thing to happen before a write
    here.cluster.on_commit = burn
    here.store.fuse = fuse
    task = here.task(zombie, Listened())
    task.run(zombie.stop)
    return slept.is_set()


def test_intents_too_long_for_the_commit_are_spilled() -> None:
    for cut in range(12):
        here = world(ROTATIONS["wall-clock directories"], seed=cut)
        here.cluster.metadata_bytes_max = 200
        here.killed_at(cut)
        here.clock.advance(9 * HOUR_MS)
        here.work()
        here.check()
        spilled = [key for key in here.store.objects if key.startswith("_tickertape/v1/intent/")]
        assert spilled


def test_lost_answers_of_commits_change_nothing() -> None:
    here = world(replace(BASE, retry_backoff_ms=1))
    here.cluster.lost_answers, here.cluster.poll_ms = 5, 1
    listened = here.work()
    here.check()
    assert sum("no answer" in note for note in listened.notes) == 5


def test_the_group_forgot_its_offsets() -> None:
    here = world(BASE)
    here.work()
    here.cluster.committed.clear()
    here.produce(10)
    listened = here.work()
    here.check()
    assert sum("the last manifest ends at" in note for note in listened.notes) == 2
