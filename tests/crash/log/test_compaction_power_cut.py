"""Power cut at every call of compaction: each key keeps its newest value, retries are known."""

from contextlib import suppress
from dataclasses import replace

import pytest
from tests.log_kit import FOLDER, NOW, TOPIC_ID, batches, records, sync

from tickertape.base.fake_fs import FakeFileSystem, Loss, PowerCut
from tickertape.log.config import LogConfig
from tickertape.log.partition import PartitionLog
from tickertape.wire.records import Record, write_batch

CONFIG = LogConfig(
    cleanup_policy=frozenset({"compact"}),
    segment_bytes=500,
    index_interval_bytes=100,
    min_cleanable_dirty_ratio=0.0,
    delete_retention_ms=1000,
)
LITTLE = 1000
LOSSES = [(Loss.ALL, 0), (Loss.NOTHING, 0), (Loss.TORN, 1), (Loss.SCATTERED, 2)]


class Life:
    """``memory`` is what a compaction has for keys: with little it stops within a segment."""

    def __init__(self, memory: int = CONFIG.dedupe_buffer_bytes) -> None:
        self.fs = FakeFileSystem()
        self.config = replace(CONFIG, dedupe_buffer_bytes=memory)
        self.sent: list[tuple[int, list[Record], memoryview]] = []
        self.acked_end = 0
        self.now_ms = NOW
        self.log: PartitionLog

    def open(self) -> None:
        self.fs.make_dir("/data")
        self.fs.sync_dir("/")
        self.log, self.report = PartitionLog.open(
            self.fs, FOLDER, self.config, now_ms=self.now_ms, topic_id=TOPIC_ID, clean=False
        )

    def put(self, *pairs: tuple[str, str | None]) -> None:
        base = self.log.end_offset
        content = [
            Record(n, NOW, key.encode(), None if value is None else value.encode())
            for n, (key, value) in enumerate(pairs)
        ]
        sequence = sum(len(records) for _, records, _ in self.sent)
        batch = memoryview(
            write_batch(content, producer_id=5, producer_epoch=0, base_sequence=sequence)
        )
        self.sent.append((base, content, batch))
        assert self.log.append(batch, self.now_ms).base_offset == base

    def sync(self) -> None:
        sync(self.log)
        self.acked_end = self.log.durable_offset

    def scenario(self) -> None:
        self.open()
        for n in range(12):
            self.put((f"k{n % 3}", f"v{n}"), (f"once{n}", "x" * 20), ("gone", f"{n}"))
        self.sync()
        self.put(("gone", None))
        for n in range(6):
            self.put(("k0", f"w{n}"), ("k1", f"w{n}"))
        self.sync()
        self.log.configure(replace(self.config, segment_bytes=1500))
        assert self.log.compact(self.now_ms) is not None
        self.log.configure(self.config)
        self.now_ms += 5000
        for n in range(8):
            self.put(("k2", f"y{n}"), (f"once{n}", None))
        self.sync()
        assert self.log.compact(self.now_ms) is not None
        self.sync()

    def check(self) -> None:
        attempted = {base + r.offset: r for base, content, _ in self.sent for r in content}
        found = records(self.log)
        offsets = [record.offset for record in found]
        assert offsets == sorted(set(offsets))
        assert self.log.end_offset >= self.acked_end
        for record in found:
            sent = attempted[record.offset]
            assert (record.key, record.value) == (sent.key, sent.value)
        bases = [int(name[:20]) for name in self.fs.list(FOLDER) if name.endswith(".log")]
        for base in bases:  # a segment that was replaced is not read again
            assert records(self.log, start=base) == [r for r in found if r.offset >= base]
        end = self.log.end_offset
        newest = {r.key: (o, r.value) for o, r in sorted(attempted.items()) if o < end}
        seen = {record.key: (record.offset, record.value) for record in found}
        for key, (offset, value) in newest.items():
            if value is not None:
                assert seen[key] == (offset, value)
            else:  # the tombstone, or nothing: never an older value
                assert seen.get(key, (offset, None)) == (offset, None)
        survivors = [s for s in self.sent if s[0] < end]
        for base, _, batch in survivors[-5:]:
            result = self.log.append(batch, NOW)
            assert (result.duplicate, result.base_offset) == (True, base), result


def test_undisturbed_compaction_shrinks_the_log_and_drops_old_tombstones() -> None:
    life = Life()
    life.scenario()
    life.check()
    log = life.log
    values = [record.value for record in records(log)]
    assert b"v0" not in values
    assert b"w5" in values
    keys = [record.key for record in records(log)]
    assert keys.count(b"gone") == 0, "its tombstone has outlived delete.retention.ms"
    assert keys.count(b"once10") == 1
    sizes = [header.record_count for header, _ in batches(log)]
    assert 0 in sizes, "the last batch of a cleaned segment stays, empty"


def test_little_memory_takes_several_compactions_to_the_same_end() -> None:
    life = Life(LITTLE)
    life.scenario()
    life.check()
    jobs = 0
    while (job := life.log.compact(life.now_ms)) is not None:
        assert job.until < life.log.end_offset
        life.sync()
        life.check()
        jobs += 1
    assert 1 < jobs < 100


@pytest.mark.parametrize(
    ("loss", "seed", "memory"),
    [
        *((*loss, CONFIG.dedupe_buffer_bytes) for loss in LOSSES),
        (Loss.ALL, 0, LITTLE),
        (Loss.TORN, 1, LITTLE),
    ],
    ids=lambda x: str(getattr(x, "value", x)),
)
def test_a_power_cut_in_compaction_leaves_old_or_new(loss: Loss, seed: int, memory: int) -> None:
    undisturbed = Life(memory)
    undisturbed.scenario()
    swaps = [path for kind, path in undisturbed.fs.trace if kind == "rename" and ".swap" in path]
    assert len(swaps) >= 6, "two compactions were swapped in"
    for nth in range(1, undisturbed.fs.mutations + 1):
        life = Life(memory)
        life.fs.cut_at(nth)
        with suppress(PowerCut):
            life.scenario()
        life.fs.crash(loss, seed * 1000 + nth)
        try:
            life.open()
            life.check()
            left = [name for name in life.fs.list(FOLDER) if name.endswith((".cleaned", ".swap"))]
            assert left == []
            life.fs.crash(Loss.ALL)
            life.open()
            life.check()
            life.log.compact(life.now_ms + 10_000)
            life.check()
        except BaseException as error:
            error.add_note(f"cut at mutating call {nth}: {life.fs.trace[-30:]}")
            raise
