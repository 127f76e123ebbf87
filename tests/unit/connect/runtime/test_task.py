"""What a task does when things go wrong: it tries again, stops, or tells; it never skips."""

import gzip
from collections.abc import Sequence
from dataclasses import replace
from threading import Event

import pytest
from tests.crash.bucket import stored_records, value
from tests.crash.fake_topic import FakeCluster, FakeSource

from tickertape.base.errors import StorageError
from tickertape.base.fakes import FakeClock
from tickertape.base.ids import TopicPartition
from tickertape.connect.runtime.events import Limits
from tickertape.connect.runtime.source import Arrival, Committed
from tickertape.connect.runtime.task import SinkTask
from tickertape.connect.s3.assemble import Flush, RecordError
from tickertape.connect.s3.commit import GroupError
from tickertape.connect.s3.intent import Intent, encode_intent
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.settings import SinkSettings
from tickertape.objects.memory import Fault, MemoryStore
from tickertape.objects.store import ObjectStoreError, PutOutcome

SETTINGS = SinkSettings(
    name="s3-sink",
    topics=("ticks",),
    flush_size=3,
    layout=Layout(compression="gzip"),
    retry_backoff_ms=50,
)


class Listened:
    def __init__(self) -> None:
        self.flushes: list[Flush] = []
        self.notes: list[str] = []

    def flushed(self, flush: Flush) -> None:
        self.flushes.append(flush)

    def noted(self, text: str) -> None:
        self.notes.append(text)


class Bench:
    """A task with a fake cluster, a memory store and a clock that polls move by 100 ms."""

    def __init__(self, settings: SinkSettings = SETTINGS, *, partitions: int = 1) -> None:
        self.settings = settings
        self.clock = FakeClock()
        self.cluster = FakeCluster(self.clock, partitions=partitions, poll_ms=100)
        self.store = MemoryStore()
        self.listened = Listened()
        self.source = FakeSource(self.cluster)

    def produce(self, count: int, partition: int = 0) -> None:
        for _ in range(count):
            self.cluster.produce(value(partition, self.cluster.end(partition)), partition)

    def run(self, *, once: bool = True, limits: Limits | None = None) -> None:
        task = SinkTask(
            self.settings,
            self.source,
            self.store,
            clock=self.clock,
            listener=self.listened,
            limits=limits or Limits(),
        )
        task.run(Event(), once=once)

    @property
    def committed(self) -> Committed:
        return self.cluster.committed[self.cluster.tp(0)]

    def intent(self, start: int, end: int) -> str:
        """What a worker that is gone left in the group."""
        intent = Intent(
            start=start,
            end=end,
            paths={"partition=0": (start,)},
            layout=self.settings.layout,
            topic_id=self.cluster.topic_id,
        )
        return encode_intent(intent).decode()

    def stored(self) -> list[int]:
        return sorted(offset for _, offset in stored_records(self.store).elements())


@pytest.mark.parametrize("nth", range(1, 9))
@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.LOSE_ANSWER])
def test_a_passing_fault_of_the_store_is_tried_again(nth: int, fault: Fault) -> None:
    bench = Bench()
    bench.produce(12)
    bench.store.fail_put(nth, fault)
    bench.run()
    assert bench.stored() == list(range(12))
    assert [note for note in bench.listened.notes if "again in 50 ms" in note]
    assert bench.committed == Committed(12)


def test_a_lasting_fault_of_the_store_ends_the_task_and_skips_nothing() -> None:
    bench = Bench()
    bench.produce(12)
    bench.store.fail_put(3, Fault.DENY)  # the object of the second flush
    with pytest.raises(ObjectStoreError, match="denied"):
        bench.run()
    assert bench.stored() == [0, 1, 2]
    assert bench.committed.offset == 3
    bench.source = FakeSource(bench.cluster)
    bench.run()
    assert bench.stored() == list(range(12))


def test_the_retries_of_a_flush_have_a_budget() -> None:
    bench = Bench()
    bench.produce(3)
    for nth in range(1, 200):
        bench.store.fail_put(nth)
    with pytest.raises(ObjectStoreError, match="refused") as caught:
        bench.run(limits=Limits(retry_ms_max=10_000))
    assert caught.value.__notes__ == ["given up after 10000 ms; nothing was skipped"]
    assert 40 <= len(bench.store.puts) <= 60  # a round takes 200 ms
    assert bench.committed.offset == 0


def test_a_failing_partition_does_not_hold_the_others_up() -> None:
    bench = Bench(partitions=2)
    bench.produce(3, partition=0)

    class OneBadPartition(MemoryStore):
        def put(
            self,
            key: str,
            data: bytes,
            *,
            create_only: bool = True,
            content_type: str = "application/octet-stream",
        ) -> PutOutcome:
            if "partition=0" in key:
                raise ObjectStoreError("throttled", retriable=True)
            return super().put(key, data, create_only=create_only, content_type=content_type)

    bench.produce(9, partition=1)
    bench.store = OneBadPartition()
    with pytest.raises(ObjectStoreError, match="throttled"):
        bench.run(limits=Limits(retry_ms_max=5_000))
    assert stored_records(bench.store) == {(1, offset): 1 for offset in range(9)}


def test_a_record_that_cannot_be_stored_ends_the_task_after_what_was_before_it() -> None:
    bench = Bench()
    bench.produce(7)
    bench.cluster.produce(None)
    bench.produce(5)
    with pytest.raises(RecordError, match="topic ticks partition 0 offset 7: got a null value"):
        bench.run()
    assert bench.stored() == [0, 1, 2, 3, 4, 5]
    assert bench.committed == Committed(6)


def test_bad_json_names_topic_partition_and_offset() -> None:
    layout = Layout(compression="gzip", converter="json", schemas_enable=False)
    bench = Bench(replace(SETTINGS, layout=layout))
    bench.cluster.produce(b'{"a":1}')
    bench.cluster.produce(b'{"a":')
    with pytest.raises(RecordError, match="topic ticks partition 0 offset 1"):
        bench.run()
    assert bench.cluster.committed == {}


def test_records_lost_to_retention_are_told() -> None:
    bench = Bench()
    bench.produce(3)
    bench.run()
    bench.produce(9)
    bench.cluster.log[0] = [record for record in bench.cluster.log[0] if record[0] >= 6]
    bench.cluster.log_start[0] = 6
    bench.source = FakeSource(bench.cluster)
    bench.run()
    assert [note for note in bench.listened.notes if "LOST: offsets 3..5 " in note]
    assert bench.stored() == [0, 1, 2, *range(6, 12)]


def test_a_topic_made_anew_is_not_mixed_with_the_old_one() -> None:
    bench = Bench()
    bench.produce(9)
    bench.run()
    bench.cluster.log.clear()
    bench.produce(2)
    bench.source = FakeSource(bench.cluster)
    with pytest.raises(GroupError, match="Was it deleted and created again"):
        bench.run(limits=Limits(assign_attempts_max=2))
    assert bench.stored() == list(range(9))


def test_a_topic_made_anew_and_longer_than_the_old_one_is_not_skipped() -> None:
    bench = Bench()
    bench.produce(9)
    bench.run()
    bench.cluster.log.clear()
    bench.cluster.topic_id = "AAAAAAAAAAAAAAAAAAAAAg"
    bench.produce(20)
    forgotten: dict[TopicPartition, Committed] = {}  # brokers forget the offsets with the topic
    for committed in (forgotten, {bench.cluster.tp(0): bench.committed}):
        bench.cluster.committed = committed
        bench.source = FakeSource(bench.cluster)
        with pytest.raises(StorageError, match="deleted and created again"):
            bench.run()
        assert bench.stored() == list(range(9))


def test_a_bad_record_right_after_a_begun_flush_does_not_keep_it_from_ending() -> None:
    bench = Bench()
    bench.produce(3)
    bench.cluster.produce(None)
    bench.cluster.committed[bench.cluster.tp(0)] = Committed(0, bench.intent(0, 2))
    with pytest.raises(RecordError, match="offset 3: got a null value"):
        bench.run()
    assert bench.stored() == [0, 1, 2]
    assert bench.committed == Committed(3)


def test_retention_may_take_a_begun_flush_of_which_nothing_was_stored() -> None:
    bench = Bench()
    bench.produce(12)
    bench.cluster.committed[bench.cluster.tp(0)] = Committed(0, bench.intent(0, 5))
    bench.cluster.log[0] = bench.cluster.log[0][4:]
    bench.cluster.log_start[0] = 4
    bench.run()
    assert [note for note in bench.listened.notes if "LOST: offsets 0..3 " in note]
    assert bench.stored() == list(range(4, 12))


def test_a_flush_half_stored_and_half_deleted_is_left_to_a_person() -> None:
    bench = Bench()
    bench.produce(12)
    bench.store.put("topics/ticks/partition=0/ticks+0+0000000000.json.gz", b"some of 0..5")
    bench.cluster.committed[bench.cluster.tp(0)] = Committed(0, bench.intent(0, 5))
    bench.cluster.log[0] = bench.cluster.log[0][4:]
    bench.cluster.log_start[0] = 4
    with pytest.raises(StorageError, match=r"flush 0\.\.5 was begun.*reset the offset"):
        bench.run()
    assert bench.committed.offset == 0
    bench.cluster.log[0] = bench.cluster.log[0][4:]
    bench.cluster.log_start[0] = 8  # nothing of the flush is left that could be stored twice
    bench.source = FakeSource(bench.cluster)
    del bench.store.objects["topics/ticks/partition=0/ticks+0+0000000000.json.gz"]
    bench.run()
    assert bench.stored() == list(range(8, 12))


def test_other_records_under_our_name_are_not_overwritten() -> None:
    bench = Bench()
    bench.produce(3)
    bench.store.put("topics/ticks/partition=0/ticks+0+0000000000.json.gz", b"somebody else's")
    with pytest.raises(StorageError, match="Nothing was overwritten, nothing was skipped"):
        bench.run()
    assert bench.committed.offset == 0


def test_a_manifest_of_another_flush_is_not_overwritten() -> None:
    bench = Bench()
    bench.produce(3)
    bench.run()
    key = "_tickertape/v1/manifest/s3-sink/ticks/0/00000000000000000000.json"
    other = Bench(replace(SETTINGS, flush_size=4))
    other.produce(4)

    class TooLate(FakeSource):
        """The other manifest appears after the assignment."""

        def poll(self, records_max: int, timeout_ms: int) -> Sequence[Arrival]:
            if self.mine:
                other.store.objects[key] = bench.store.objects[key]
            return super().poll(records_max, timeout_ms)

    other.source = TooLate(other.cluster)
    with pytest.raises(
        StorageError, match=r"describes another flush of ticks-0: got offsets 0\.\.2"
    ):
        other.run()
    assert other.committed.offset == 0


def test_a_manifest_that_vanishes_is_not_taken_for_written() -> None:
    class Cleaned(MemoryStore):
        """Somebody deletes manifests as soon as they are there."""

        def get(self, key: str) -> bytes | None:
            return None if "/manifest/" in key else super().get(key)

    bench = Bench()
    bench.produce(3)
    bench.store = Cleaned()
    bench.store.fail_put(2, Fault.LOSE_ANSWER)
    with pytest.raises(StorageError, match="existed and is gone: who deletes"):
        bench.run()
    assert bench.committed.offset == 0


def test_the_same_lines_in_another_compression_are_taken_over() -> None:
    bench = Bench()
    bench.produce(3)
    bench.run()
    key = "topics/ticks/partition=0/ticks+0+0000000000.json.gz"
    assert bench.listened.flushes[0].objects[0].key == key
    other = Bench()
    other.produce(3)
    other.store.objects[key] = gzip.compress(gzip.decompress(bench.store.objects[key]), mtime=7)
    other.run()
    assert other.stored() == [0, 1, 2]
    manifest = other.store.objects[
        "_tickertape/v1/manifest/s3-sink/ticks/0/00000000000000000000.json"
    ].decode()
    assert f'"bytes":{len(other.store.objects[key])},' in manifest


def test_too_much_memory_flushes_the_largest_partition_early() -> None:
    bench = Bench(replace(SETTINGS, flush_size=1_000_000), partitions=2)
    bench.produce(400, partition=0)
    bench.produce(10, partition=1)
    bench.run(limits=Limits(poll_records_max=50, buffered_bytes_max=1))
    assert len(bench.listened.flushes) > 4
    assert len(stored_records(bench.store)) == 410


class Scripted(FakeSource):
    """Returns old records after a seek, as a careless client might."""

    def poll(self, records_max: int, timeout_ms: int) -> Sequence[Arrival]:
        arrivals = super().poll(records_max, timeout_ms)
        return [arrival for arrival in arrivals for _ in range(2)]


def test_records_that_come_twice_are_stored_once() -> None:
    bench = Bench()
    bench.source = Scripted(bench.cluster)
    bench.produce(10)
    bench.run(limits=Limits(poll_records_max=4))
    assert bench.stored() == list(range(10))


class Latecomer(FakeSource):
    """Gets its partitions only when the dead member's session has timed out."""

    def poll(self, records_max: int, timeout_ms: int) -> Sequence[Arrival]:
        if self.cluster.clock.monotonic_ms() < 10_000:
            self.cluster.clock.advance(timeout_ms)
            return []
        return super().poll(records_max, timeout_ms)


def test_waiting_for_the_group_is_told_once() -> None:
    bench = Bench()
    bench.source = Latecomer(bench.cluster)
    bench.produce(3)
    bench.run()
    assert bench.stored() == [0, 1, 2]
    (note,) = bench.listened.notes
    assert note.startswith("group connect-s3-sink gives us no partitions yet")


def test_once_with_nothing_there_ends() -> None:
    bench = Bench(partitions=3)
    bench.run()
    assert bench.listened.flushes == []


def test_a_stopped_task_leaves_the_tail_in_the_topic() -> None:
    bench = Bench()
    bench.produce(4)
    stop = Event()

    class StopsAtEnd(FakeSource):
        def poll(self, records_max: int, timeout_ms: int) -> Sequence[Arrival]:
            arrivals = super().poll(records_max, timeout_ms)
            if any(arrival.end is not None for arrival in arrivals):
                stop.set()
            return arrivals

    task = SinkTask(
        SETTINGS,
        StopsAtEnd(bench.cluster),
        bench.store,
        clock=bench.clock,
        listener=bench.listened,
        limits=Limits(),
    )
    task.run(stop)
    assert bench.stored() == [0, 1, 2]
    assert bench.committed == Committed(3)
    assert bench.cluster.members == []


def test_a_task_told_to_stop_while_nobody_answers_just_stops() -> None:
    bench = Bench()
    stop = Event()

    class NobodyAnswers(FakeSource):
        def bounds(self, tp: TopicPartition) -> tuple[int, int]:
            stop.set()
            raise GroupError("no answer", retriable=True)

    task = SinkTask(
        bench.settings,
        NobodyAnswers(bench.cluster),
        bench.store,
        clock=bench.clock,
        listener=bench.listened,
        limits=Limits(),
    )
    task.run(stop)
    assert bench.cluster.members == []


def test_the_idle_tail_is_flushed_by_the_clock() -> None:
    bench = Bench(replace(SETTINGS, flush_idle_ms=5_000))
    bench.produce(4)
    stop = Event()
    started_ms = bench.clock.now_ms()

    class StopsLater(FakeSource):
        def poll(self, records_max: int, timeout_ms: int) -> Sequence[Arrival]:
            if bench.clock.now_ms() - started_ms > 10_000:
                stop.set()
            return super().poll(records_max, timeout_ms)

    task = SinkTask(
        bench.settings,
        StopsLater(bench.cluster),
        bench.store,
        clock=bench.clock,
        listener=bench.listened,
        limits=Limits(),
    )
    task.run(stop)
    assert bench.stored() == [0, 1, 2, 3]
    assert [flush.reason for flush in bench.listened.flushes] == ["flush.size", "flush.idle.ms"]
