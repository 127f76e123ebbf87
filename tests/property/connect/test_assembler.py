"""The assembler against a model that looks at one record at a time, and against itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import hypothesis.strategies as st
from hypothesis import given

from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.s3 import joda
from tickertape.connect.s3.assemble import Flush, PartitionAssembler, rebuild
from tickertape.connect.s3.chunk import Chunk
from tickertape.connect.s3.formats import content_of
from tickertape.connect.s3.intent import Intent, decode_metadata, encode_intent
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.manifest import decode_manifest, encode_manifest
from tickertape.connect.s3.partitioners import partitioner_for
from tickertape.connect.s3.plan import next_scheduled
from tickertape.connect.s3.settings import SinkSettings

TP = TopicPartition(TopicName("ticks"), PartitionIndex(7))
HOUR = 3_600_000
NOON = 1_561_723_200_000  # 2019-06-28T12:00Z


class Row(NamedTuple):
    offset: int
    time: int
    value: bytes | None


@dataclass
class Poll:
    now: int
    rows: list[Row]


@dataclass
class Model:
    """Confluent's rules for one record after the other, as a person would write them down."""

    settings: SinkSettings
    flushes: list[tuple[int, int, dict[str, list[int]]]] = field(default_factory=list)
    start: int = 0
    consumed: int = 0
    files: dict[str, list[int]] = field(default_factory=dict)
    base: int | None = None
    last: str | None = None
    scheduled: int | None = None
    touched: int = 0

    def cut(self) -> None:
        if self.consumed > self.start:
            self.flushes.append((self.start, self.consumed - 1, self.files))
        self.start, self.files, self.base, self.last = self.consumed, {}, None, None

    def clock(self, now: int, *, idle: bool) -> None:
        self.touched = min(self.touched, now)
        interval = self.settings.rotate_schedule_interval_ms
        if interval > 0:
            tz = joda.zone(self.settings.timezone)
            if self.scheduled is not None and now >= self.scheduled:
                self.cut()
                self.scheduled = None
            if self.scheduled is None:
                self.scheduled = next_scheduled(tz, interval, now)
        if idle and 0 <= self.settings.flush_idle_ms <= now - self.touched:
            self.cut()

    def poll(self, poll: Poll) -> None:
        self.clock(poll.now, idle=not poll.rows)
        for row in poll.rows:
            self.touched = poll.now
            if row.value is not None:
                self.write(row, poll.now)
            self.consumed = row.offset + 1
            if sum(map(len, self.files.values())) >= self.settings.flush_size:
                self.cut()

    def write(self, row: Row, now: int) -> None:
        layout = self.settings.layout
        time = now if layout.extractor == "wallclock" else row.time
        partitioner = partitioner_for(layout, TP.partition)
        directory = partitioner.runs([time], 1)[0].directory
        assert directory is not None
        if layout.partitioner == "time" and self.settings.rotate_interval_ms > 0 and self.files:
            assert self.base is not None
            changed = self.settings.rotate_on_directory_change and directory != self.last
            if changed or time - self.base >= self.settings.rotate_interval_ms:
                self.cut()
        if self.base is None:
            self.base = time
        self.last = directory
        self.files.setdefault(directory, []).append(row.offset)


@st.composite
def polls(draw: st.DrawFn) -> list[Poll]:
    offset, now, answer = 0, NOON, []
    for _ in range(draw(st.integers(1, 6))):
        now += draw(st.sampled_from([0, 1, 1000, HOUR, 13 * HOUR, -HOUR]))
        rows = []
        for _ in range(draw(st.integers(0, 12))):
            offset += draw(st.sampled_from([0, 0, 0, 1, 5]))
            time = NOON + draw(st.sampled_from([0, 1, 1000, HOUR, 30 * HOUR, -HOUR]))
            value = draw(st.sampled_from([b"a", b"tick", b"x" * 40, b"", "탐".encode(), None]))
            rows.append(Row(offset, time, value))
            offset += 1
        answer.append(Poll(now, rows))
    return answer


@st.composite
def sinks(draw: st.DrawFn, *, by_clock: bool = True) -> SinkSettings:
    timed = draw(st.booleans())
    extractor = draw(st.sampled_from(["record", "wallclock"])) if by_clock else "record"
    layout = Layout(
        compression=draw(st.sampled_from(["none", "gzip"])),
        null_values="ignore",
        partitioner="time" if timed else "default",
        path_format=draw(st.sampled_from(["YYYY-MM-dd", "YYYY/HH", "mm"])) if timed else "",
        duration_ms=HOUR if timed else -1,
        locale="KR" if timed else "",
        timezone="Asia/Seoul" if timed else "",
        extractor=extractor if timed else "wallclock",  # type: ignore[arg-type]  # one of the two
    )
    return SinkSettings(
        name="s",
        topics=("ticks",),
        layout=layout,
        flush_size=draw(st.sampled_from([1, 2, 3, 7, 100])),
        rotate_interval_ms=draw(st.sampled_from([-1, 1000, 2 * HOUR])),
        rotate_on_directory_change=draw(st.booleans()),
        rotate_schedule_interval_ms=draw(st.sampled_from([-1, HOUR])) if by_clock else -1,
        flush_idle_ms=draw(st.sampled_from([-1, 0, 1000])) if by_clock else -1,
        timezone="Asia/Seoul",
    )


def chunk_of(rows: Sequence[Row]) -> Chunk:
    return Chunk([r.offset for r in rows], [r.value for r in rows], [r.time for r in rows])


def run(settings: SinkSettings, story: Sequence[Poll], *, seal: bool = False) -> list[Flush]:
    assembler = PartitionAssembler(settings, TP, position=0, topic_id="id")
    flushes: list[Flush] = []
    for poll in story:
        if poll.rows:
            flushes += assembler.add(chunk_of(poll.rows), poll.now)
        else:
            flushes += assembler.tick(poll.now)
    return flushes + assembler.seal() if seal else flushes


def spread(runs: Sequence[tuple[int, int]]) -> list[int]:
    return [offset for first, last in runs for offset in range(first, last + 1)]


def directory_of(key: str) -> str:
    return "/".join(key.split("/")[2:-1])


def split(rows: list[Row], sizes: Sequence[int]) -> Iterator[list[Row]]:
    at = 0
    for size in sizes:
        yield rows[at : at + size]
        at += size
    yield rows[at:]


@given(sinks(), polls())
def test_flushes_are_those_of_the_model(settings: SinkSettings, story: list[Poll]) -> None:
    model = Model(settings)
    for poll in story:
        model.poll(poll)
    got = [
        (flush.start, flush.end, {directory_of(o.key): spread(o.offsets) for o in flush.objects})
        for flush in run(settings, story)
    ]
    assert got == model.flushes


@given(sinks(), polls())
def test_every_offset_is_in_one_object_or_skipped(
    settings: SinkSettings, story: list[Poll]
) -> None:
    flushes = run(settings, story, seal=True)
    rows = [row for poll in story for row in poll.rows]
    written = [o for f in flushes for item in f.objects for o in spread(item.offsets)]
    skipped = [o for f in flushes for o in spread(f.skipped)]
    assert sorted(written) == [row.offset for row in rows if row.value is not None]
    assert skipped == [row.offset for row in rows if row.value is None]
    edges = [0, *(flush.end + 1 for flush in flushes)]
    assert [flush.start for flush in flushes] == edges[:-1]
    for flush in flushes:
        for item in flush.objects:
            content = content_of(settings.layout, item.data)
            assert content.count(b"\n") == item.records == len(spread(item.offsets))
            assert f"+{item.offsets[0][0]:010d}." in item.key
        assert decode_manifest(encode_manifest(flush.manifest())) == flush.manifest()


@given(sinks(by_clock=False), polls(), st.lists(st.integers(0, 5), max_size=20))
def test_any_chunks_give_the_same_flushes_when_time_comes_from_records(
    settings: SinkSettings, story: list[Poll], sizes: list[int]
) -> None:
    rows = [row for poll in story for row in poll.rows]
    whole = run(settings, [Poll(NOON, rows)], seal=True)
    pieces = [Poll(NOON + 50 * HOUR, part) for part in split(rows, sizes)]
    assert run(settings, pieces, seal=True) == whole


@given(sinks(), polls(), st.lists(st.integers(0, 5), max_size=20))
def test_an_intent_rebuilds_its_flush_to_the_byte(
    settings: SinkSettings, story: list[Poll], sizes: list[int]
) -> None:
    rows = [row for poll in story for row in poll.rows]
    for flush in run(settings, story, seal=True):
        intent = decode_metadata(flush.start, encode_intent(flush.intent).decode())
        assert isinstance(intent, Intent)
        assert intent == flush.intent
        later = [row for row in rows if row.offset >= flush.start]
        chunks = [chunk_of(part) for part in split(later, sizes)]
        again = rebuild(TP, intent, chunks, topic_id="id")
        assert again.objects == flush.objects
        assert again.manifest() == flush.manifest()
