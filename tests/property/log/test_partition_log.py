"""Any order of appends, syncs (failed ones too), reads, deletions, crashes and restarts agrees with
a list; so does a compacted log with the newest value of each key."""

from contextlib import suppress

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.log_kit import DATA_DIR, NOW, keyed, new_disk, open_log, produced, sync, values

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import Loss, PowerCut
from tickertape.log.config import LogConfig
from tickertape.log.data_dir import mark_clean, take_clean_mark
from tickertape.log.recovery import RecoveryReport
from tickertape.wire.batch import read_batch_header
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.parts import part_bytes

CONFIG = LogConfig(segment_bytes=500, index_interval_bytes=120, retention_bytes=1500)


class LogMachine(RuleBasedStateMachine):
    """The model: a list of values by offset, and each producer's batches."""

    def __init__(self) -> None:
        super().__init__()
        self.fs = new_disk()
        self.content: list[bytes] = []
        self.batches: dict[int, list[tuple[int, int, tuple[bytes, ...]]]] = {}
        self.start = self.durable = 0
        self.epoch = 0
        self.log = open_log(self.fs, CONFIG)[0]

    @rule(producer=st.integers(1, 3), sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4))
    def append(self, producer: int, sizes: list[int]) -> None:
        done = self.batches.setdefault(producer, [])
        sequence = done[-1][0] + len(done[-1][2]) if done else 0
        base = len(self.content)
        new = tuple(b"%d:" % (base + n) + b"x" * size for n, size in enumerate(sizes))
        result = self.log.append(produced(*new, producer=(producer, 0, sequence)), NOW)
        assert (result.error, result.base_offset) == (ErrorCode.NONE, base)
        assert result.last_offset == base + len(sizes) - 1
        done.append((sequence, base, new))
        self.content += new

    @precondition(lambda self: any(self.batches.values()))
    @rule(pick=st.integers(0, 10**6))
    def retry(self, pick: int) -> None:
        producer = sorted(p for p, done in self.batches.items() if done)[pick % 3 % self.producers]
        done = self.batches[producer]
        sequence, base, sent = done[-1 - pick % min(5, len(done))]
        result = self.log.append(produced(*sent, producer=(producer, 0, sequence)), NOW)
        assert (result.error, result.duplicate, result.base_offset) == (ErrorCode.NONE, True, base)

    @property
    def producers(self) -> int:
        return sum(1 for done in self.batches.values() if done)

    @rule(producer=st.integers(1, 3), gap=st.integers(1, 5))
    def skip_a_sequence(self, producer: int, gap: int) -> None:
        done = self.batches.get(producer)
        if done:
            sequence = done[-1][0] + len(done[-1][2]) + gap
            result = self.log.append(produced(b"x", producer=(producer, 0, sequence)), NOW)
            assert result.error is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    @rule()
    def sync(self) -> None:
        sync(self.log)
        self.durable = len(self.content)

    @precondition(lambda self: self.durable < len(self.content))
    @rule()
    def sync_fails_and_the_process_starts_again(self) -> None:
        """The bytes can still be read; a power cut after that must not take them."""
        ticket = self.log.begin_sync()
        assert ticket is not None
        self.fs.fail_always(frozenset({"sync"}))
        with pytest.raises(StorageError):
            ticket.run()
        self.log.finish_sync(ticket, ok=False)
        assert self.log.append(produced(b"x"), NOW).error is ErrorCode.KAFKA_STORAGE_ERROR
        self.crash(Loss.NOTHING, 0)

    @rule(share=st.floats(0, 1))
    def delete_records(self, share: float) -> None:
        offset = int(share * self.durable)
        assert self.log.truncate_prefix(offset) is ErrorCode.NONE
        self.start = max(self.start, offset)

    @rule()
    def retain(self) -> None:
        self.log.apply_retention(NOW)
        assert self.start <= self.log.log_start_offset <= self.durable
        self.start = self.log.log_start_offset

    @rule()
    def restart(self) -> None:
        self.log.close(clean=True)
        mark_clean(self.fs, DATA_DIR)
        self.durable = len(self.content)
        assert self.reopen().clean

    @rule(loss=st.sampled_from(Loss), seed=st.integers(0, 1000))
    def crash(self, loss: Loss, seed: int) -> None:
        self.fs.crash(loss, seed)
        report = self.reopen()
        end = report.end_offset
        assert self.durable <= end <= len(self.content)
        if loss is Loss.NOTHING:
            assert end == len(self.content)
        assert report.leader_epoch > self.epoch or not end
        self.epoch = report.leader_epoch
        del self.content[end:]
        for done in self.batches.values():
            while done and done[-1][1] >= end:
                done.pop()
        self.durable = end

    def reopen(self) -> RecoveryReport:
        clean = take_clean_mark(self.fs, DATA_DIR)
        self.log, report = open_log(self.fs, CONFIG, clean=clean)
        return report

    @rule(share=st.floats(0, 1), limit=st.integers(0, 2000), below_share=st.floats(0, 1))
    def read(self, share: float, limit: int, below_share: float) -> None:
        end = len(self.content)
        offset = self.start + int(share * (end - self.start))
        below = int(below_share * end)
        result = self.log.read(offset, limit, below=below, at_least_one=True)
        assert result.error is ErrorCode.NONE
        stored = b"".join(map(part_bytes, result.parts))
        assert len(stored) == result.size
        if stored:
            first = read_batch_header(stored, 0)
            assert first.base_offset <= offset <= first.last_offset
            assert first.last_offset < below
            assert len(stored) <= max(limit, first.size)

    @invariant()
    def agrees(self) -> None:
        log = self.log
        assert (log.log_start_offset, log.end_offset) == (self.start, len(self.content))
        assert log.durable_offset == self.durable
        expected = dict(enumerate(self.content))
        assert values(log) == {o: v for o, v in expected.items() if o >= self.start}


LogMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestPartitionLog = LogMachine.TestCase


class CompactedLogMachine(RuleBasedStateMachine):
    """The model: what each key's newest value is, and which offset it has."""

    CONFIG = LogConfig(
        segment_bytes=250,
        cleanup_policy=frozenset({"compact"}),
        min_cleanable_dirty_ratio=0.01,
        delete_retention_ms=1 << 40,
    )

    def __init__(self) -> None:
        super().__init__()
        self.fs = new_disk()
        self.log = open_log(self.fs, self.CONFIG)[0]
        self.written: list[tuple[bytes, bytes | None]] = []
        self.durable = 0
        self.now_ms = NOW

    @rule(key=st.sampled_from([b"a", b"b", b"c"]), dead=st.booleans(), count=st.integers(1, 3))
    def append(self, key: bytes, count: int, *, dead: bool) -> None:
        new = [(key, None if dead else b"%d" % (len(self.written) + n)) for n in range(count)]
        result = self.log.append(keyed(*new, timestamp=self.now_ms), self.now_ms)
        assert result.base_offset == len(self.written)
        self.written += new

    @rule()
    def sync(self) -> None:
        sync(self.log)
        self.durable = len(self.written)

    @rule(ms=st.sampled_from([1, 60_000]))
    def compact(self, ms: int) -> None:
        self.now_ms += ms
        self.log.compact(self.now_ms)

    @rule(nth=st.integers(1, 25), loss=st.sampled_from(Loss), seed=st.integers(0, 1000))
    def compaction_is_cut(self, nth: int, loss: Loss, seed: int) -> None:
        self.fs.cut_at(nth)
        with suppress(PowerCut):
            self.log.compact(self.now_ms)
        self.fs.cut_at(1 << 60)
        self.crash(loss, seed)

    @rule(loss=st.sampled_from(Loss), seed=st.integers(0, 1000))
    def crash(self, loss: Loss, seed: int) -> None:
        self.fs.crash(loss, seed)
        self.log, report = open_log(self.fs, self.CONFIG, now_ms=self.now_ms)
        assert self.durable <= report.end_offset <= len(self.written)
        del self.written[report.end_offset :]
        self.durable = report.end_offset

    @invariant()
    def the_newest_of_each_key_is_there_and_nothing_else_than_was_written(self) -> None:
        found = values(self.log)
        newest = {key: offset for offset, (key, _) in enumerate(self.written)}
        for offset in newest.values():
            assert found.get(offset, b"gone") == self.written[offset][1]
        assert all(self.written[offset][1] == value for offset, value in found.items())
        assert self.log.end_offset == len(self.written)


CompactedLogMachine.TestCase.settings = LogMachine.TestCase.settings
TestCompactedLog = CompactedLogMachine.TestCase
