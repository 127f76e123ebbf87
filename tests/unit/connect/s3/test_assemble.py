from collections.abc import Sequence
from dataclasses import replace

import pytest

from tickertape.base.errors import MisuseError, StorageError
from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.s3.assemble import Flush, PartitionAssembler, RecordError, rebuild
from tickertape.connect.s3.chunk import Chunk
from tickertape.connect.s3.formats import content_of
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.settings import SinkSettings

TP = TopicPartition(TopicName("mytopic"), PartitionIndex(0))
JUNE_28 = 1_561_723_200_000  # noon, UTC
DAY = 86_400_000
NOTEBOOK = Layout(
    compression="gzip",
    partitioner="time",
    path_format="YYYY-MM-dd",
    duration_ms=3_600_000,
    locale="KR",
    timezone="UTC",
)


def sink(layout: Layout = NOTEBOOK, flush_size: int = 3, **more: int) -> SinkSettings:
    settings = {"flush_idle_ms": 60_000} | more
    return SinkSettings(
        name="s3-sink",
        topics=("mytopic",),
        flush_size=flush_size,
        layout=layout,
        flush_idle_ms=settings["flush_idle_ms"],
    )


def chunk(first: int, *values: bytes | None, times: Sequence[int] = ()) -> Chunk:
    return Chunk(range(first, first + len(values)), values, times)


def objects(flushes: Sequence[Flush], layout: Layout = NOTEBOOK) -> dict[str, bytes]:
    return {o.key: content_of(layout, o.data) for flush in flushes for o in flush.objects}


def test_the_notebooks_example() -> None:
    """a b c are one object at once; d waits for e and f, or for the idle flush."""
    assembler = PartitionAssembler(sink(), TP, position=0)
    first = assembler.add(chunk(0, b"a", b"b", b"c", b"d"), JUNE_28)
    assert objects(first) == {
        "topics/mytopic/2019-06-28/mytopic+0+0000000000.json.gz": b'"a"\n"b"\n"c"\n'
    }
    assert assembler.buffered_records == 1
    second = assembler.add(chunk(4, b"e", b"f"), JUNE_28 + 59_999)
    assert objects(second) == {
        "topics/mytopic/2019-06-28/mytopic+0+0000000003.json.gz": b'"d"\n"e"\n"f"\n'
    }
    assert assembler.due_ms is None


def test_an_idle_tail_is_flushed() -> None:
    assembler = PartitionAssembler(sink(), TP, position=0)
    assembler.add(chunk(0, b"a", b"b", b"c", b"d"), JUNE_28)
    assert assembler.due_ms == JUNE_28 + 60_000
    assert assembler.tick(JUNE_28 + 59_999) == []
    (tail,) = assembler.tick(JUNE_28 + 60_000)
    assert (tail.start, tail.end, tail.reason) == (3, 3, "flush.idle.ms")
    assert assembler.tick(JUNE_28 + DAY) == []


def test_without_idle_flush_the_tail_waits() -> None:
    assembler = PartitionAssembler(sink(flush_idle_ms=-1), TP, position=0)
    assembler.add(chunk(0, b"d"), JUNE_28)
    assert assembler.due_ms is None
    assert assembler.tick(JUNE_28 + 1000 * DAY) == []
    assert [flush.end for flush in assembler.seal()] == [0]


def test_one_flush_over_midnight_makes_an_object_per_day() -> None:
    assembler = PartitionAssembler(sink(), TP, position=3)
    assembler.add(chunk(3, b"x", b"y"), JUNE_28)
    (flush,) = assembler.add(chunk(5, b"z"), JUNE_28 + DAY)
    assert objects([flush]) == {
        "topics/mytopic/2019-06-28/mytopic+0+0000000003.json.gz": b'"x"\n"y"\n',
        "topics/mytopic/2019-06-29/mytopic+0+0000000005.json.gz": b'"z"\n',
    }
    assert flush.intent.paths == {"2019-06-28": (3,), "2019-06-29": (5,)}


def test_a_clock_that_goes_back_is_in_the_intent() -> None:
    assembler = PartitionAssembler(sink(), TP, position=0)
    assembler.add(chunk(0, b"x"), JUNE_28)
    assembler.add(chunk(1, b"y"), JUNE_28 + DAY)
    (flush,) = assembler.add(chunk(2, b"z"), JUNE_28)
    assert flush.intent.paths == {"2019-06-28": (0, 2), "2019-06-29": (1,)}
    again = rebuild(TP, flush.intent, [chunk(0, b"x", b"y", b"z", b"later")])
    assert again.objects == flush.objects


def test_a_clock_that_was_wrong_by_a_year_does_not_stop_the_schedule() -> None:
    settings = replace(
        sink(flush_size=100, flush_idle_ms=-1), rotate_schedule_interval_ms=DAY // 24
    )
    assembler = PartitionAssembler(settings, TP, position=0)
    assembler.add(chunk(0, b"a"), JUNE_28 + 365 * DAY)
    assembler.add(chunk(1, b"b"), JUNE_28)
    assert assembler.due_ms == JUNE_28 + DAY // 24
    (flush,) = assembler.tick(JUNE_28 + DAY // 24)
    assert (flush.start, flush.end) == (0, 1)


def test_the_first_record_sets_the_start_where_nothing_was_committed() -> None:
    assembler = PartitionAssembler(sink(), TP, position=None)
    (flush,) = assembler.add(chunk(40, b"x", b"y", b"z"), JUNE_28)
    assert (flush.start, flush.end) == (40, 42)


def test_a_null_value_stops_after_what_was_complete() -> None:
    assembler = PartitionAssembler(sink(), TP, position=0)
    with pytest.raises(RecordError, match="partition 0 offset 4: got a null value") as caught:
        assembler.add(chunk(0, b"a", b"b", b"c", b"d", None, b"f"), JUNE_28)
    assert [(flush.start, flush.end) for flush in caught.value.flushes] == [(0, 2)]
    assert caught.value.offset == 4
    assert assembler.next_offset == 4


def test_ignored_nulls_are_skipped_and_said_so() -> None:
    layout = Layout(null_values="ignore")
    assembler = PartitionAssembler(sink(layout), TP, position=0)
    (flush,) = assembler.add(chunk(0, None, b"a", None, None, b"b", b"c"), JUNE_28)
    assert flush.skipped == ((0, 0), (2, 3))
    assert [item.offsets for item in flush.objects] == [((1, 1), (4, 5))]
    assert flush.manifest().skipped == flush.skipped


def test_only_nulls_are_a_flush_without_objects() -> None:
    assembler = PartitionAssembler(sink(Layout(null_values="ignore")), TP, position=0)
    assembler.add(chunk(0, None, None), JUNE_28)
    (flush,) = assembler.tick(JUNE_28 + 60_000)
    assert (flush.start, flush.end, flush.objects, flush.skipped) == (0, 1, (), ((0, 1),))


def test_a_record_without_timestamp_stops_a_record_time_sink() -> None:
    layout = Layout(
        partitioner="time", path_format="YYYY", duration_ms=DAY, locale="en", timezone="UTC",
        extractor="record",
    )  # fmt: skip
    assembler = PartitionAssembler(sink(layout), TP, position=0)
    with pytest.raises(RecordError, match="offset 1: got no timestamp"):
        assembler.add(chunk(0, b"a", b"b", times=[JUNE_28, -1]), JUNE_28)
    assert assembler.next_offset == 1


def test_chunks_must_bring_the_timestamps_that_the_layout_needs() -> None:
    layout = Layout(
        partitioner="time", path_format="YYYY", duration_ms=DAY, locale="en", timezone="UTC",
        extractor="record",
    )  # fmt: skip
    with pytest.raises(MisuseError, match="got 0 timestamps for 1 records"):
        PartitionAssembler(sink(layout), TP, position=0).add(chunk(0, b"a"), JUNE_28)


@pytest.mark.parametrize(
    ("value", "directory"),
    [
        (b'{"ts":1561723200000}', "2019-06-28"),
        (b'{"ts":"1561723200000"}', "2019-06-28"),
        (b'{"ts":"2019-06-28T23:30:00-02:00"}', "2019-06-29"),
        (b'{"ts":"2019-06-28T23:30:00"}', "2019-06-28"),
        (b'{"ts":1561723200000.9}', "2019-06-28"),
    ],
)
def test_the_time_may_be_a_field(value: bytes, directory: str) -> None:
    assembler = PartitionAssembler(sink(field_layout("ts"), flush_size=1), TP, position=0)
    (flush,) = assembler.add(chunk(0, value), 0)
    assert list(flush.intent.paths) == [directory]


@pytest.mark.parametrize("value", [b'{"ts":true}', b'{"ts":"noon"}', b"{}", b"[]", b'{"ts":null}'])
def test_a_record_without_the_time_field_stops(value: bytes) -> None:
    assembler = PartitionAssembler(sink(field_layout("ts")), TP, position=0)
    with pytest.raises(RecordError, match="in the field 'ts', want ms since 1970"):
        assembler.add(chunk(0, value), 0)


def test_the_time_may_be_a_nested_field_of_the_payload() -> None:
    layout = field_layout("a.b", schemas=True)
    value = (
        b'{"schema":{"type":"struct","fields":[{"field":"a","type":"struct","fields":'
        b'[{"field":"b","type":"int64"}]}]},"payload":{"a":{"b":1561723200000}}}'
    )
    assembler = PartitionAssembler(sink(layout, flush_size=1), TP, position=0)
    (flush,) = assembler.add(chunk(0, value), 0)
    assert objects([flush], layout) == {
        "topics/mytopic/2019-06-28/mytopic+0+0000000000.json": b'{"a":{"b":1561723200000}}\n'
    }


def field_layout(name: str, *, schemas: bool = False) -> Layout:
    return Layout(
        partitioner="time", path_format="YYYY-MM-dd", duration_ms=DAY, locale="en", timezone="UTC",
        extractor="recordfield", timestamp_field=name, converter="json", schemas_enable=schemas,
    )  # fmt: skip


def test_an_offset_never_comes_twice() -> None:
    assembler = PartitionAssembler(sink(), TP, position=5)
    with pytest.raises(MisuseError, match="got offset 4 again, want 5"):
        assembler.add(chunk(4, b"a"), JUNE_28)


def flush_of_three() -> Flush:
    (flush,) = PartitionAssembler(sink(), TP, position=0, topic_id="A").add(
        chunk(0, b"a", b"b", b"c"), JUNE_28
    )
    return flush


def test_rebuild_refuses_another_topic_and_missing_records() -> None:
    intent = flush_of_three().intent
    with pytest.raises(StorageError, match="got the topic id B, want A"):
        rebuild(TP, intent, [chunk(0, b"a", b"b", b"c")], topic_id="B")
    with pytest.raises(StorageError, match=r"want .'2019-06-28': 0. as the intent"):
        rebuild(TP, intent, [chunk(1, b"b", b"c")])
    with pytest.raises(StorageError, match=r"as the intent of 0\.\.2 says"):
        rebuild(TP, intent, [])
    with pytest.raises(RecordError, match="null value"):
        rebuild(TP, intent, [chunk(0, b"a", None, b"c")])


def test_an_object_of_equal_content_is_adopted_and_another_is_not() -> None:
    flush = flush_of_three()
    (ours,) = flush.objects
    level_9 = Layout(compression="gzip", level=9)
    (theirs,) = PartitionAssembler(sink(level_9), TP, position=0).add(
        chunk(0, b"a", b"b", b"c"), JUNE_28
    )[0].objects  # fmt: skip
    assert theirs.data != ours.data or theirs.sha256 == ours.sha256
    adopted = flush.adopt("topics/" + ours.key.removeprefix("topics/"), theirs.data)
    assert adopted.objects[0].sha256 == theirs.sha256
    assert adopted.manifest().objects[0].size == len(theirs.data)
    assert adopted.objects[0].content_sha256 == ours.content_sha256
    (other,) = PartitionAssembler(sink(), TP, position=0).add(
        chunk(0, b"a", b"b", b"X"), JUNE_28
    )[0].objects  # fmt: skip
    with pytest.raises(StorageError, match="got an object of other content"):
        flush.adopt(ours.key, other.data)
