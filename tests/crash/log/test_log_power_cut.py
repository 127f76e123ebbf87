"""Power cut at every write, sync, rename, truncate and remove of a log's life.

Each scenario runs once undisturbed to count its mutating calls, then once per call and kind of loss
with a power cut there. After each: every acknowledged record is there once with its bytes, offsets
are contiguous, nothing is invented, a retry of any of a producer's last five batches is answered
with its first offset, and the log goes on.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest
from tests.log_kit import DATA_DIR, FOLDER, NOW, TOPIC_ID, batches, produced, sync, values

from tickertape.base.fake_fs import FakeFileSystem, Loss, PowerCut
from tickertape.log.config import LogConfig
from tickertape.log.data_dir import mark_clean, take_clean_mark
from tickertape.log.partition import PartitionLog

LOSSES = [
    (Loss.ALL, 0),
    (Loss.NOTHING, 0),
    (Loss.TORN, 1),
    (Loss.TORN, 2),
    (Loss.SCATTERED, 3),
    (Loss.SCATTERED, 4),
]


class Sent(NamedTuple):
    producer_id: int
    sequence: int
    base_offset: int
    values: tuple[bytes, ...]


class Life:
    """One log's life on a fake disk, with a record of what its clients know."""

    def __init__(self, fs: FakeFileSystem, config: LogConfig) -> None:
        self.fs = fs
        self.config = config
        self.sent: list[Sent] = []
        self.acked_end = 0
        self.start_wanted = 0
        self.start_confirmed = 0
        self.log: PartitionLog

    def open(self) -> None:
        self.fs.make_dir(DATA_DIR)
        self.fs.sync_dir("/")
        clean = take_clean_mark(self.fs, DATA_DIR)
        self.log, self.report = PartitionLog.open(
            self.fs, FOLDER, self.config, now_ms=NOW, topic_id=TOPIC_ID, clean=clean
        )

    def append(self, producer_id: int, count: int) -> None:
        sequence = sum(len(s.values) for s in self.sent if s.producer_id == producer_id)
        base = self.log.end_offset
        content = tuple(b"p%d-%d" % (producer_id, sequence + n) for n in range(count))
        self.sent.append(Sent(producer_id, sequence, base, content))
        batch = produced(*content, producer=(producer_id, 0, sequence))
        result = self.log.append(batch, NOW)
        assert (result.error, result.base_offset, result.duplicate) == (0, base, False)

    def sync(self) -> None:
        sync(self.log)
        self.acked_end = self.log.durable_offset

    def close(self) -> None:
        self.log.close(clean=True)
        self.acked_end = self.log.end_offset
        mark_clean(self.fs, DATA_DIR)

    def shorten(self, offset: int) -> None:
        self.start_wanted = offset
        assert self.log.truncate_prefix(offset) == 0
        self.start_confirmed = offset

    def retain(self) -> None:
        last = self.log.end_offset
        self.start_wanted = last
        removed = self.log.apply_retention(NOW)
        assert removed
        self.start_confirmed = self.log.log_start_offset

    def check(self) -> None:
        """After a crash and ``open``."""
        log = self.log
        assert self.start_confirmed <= log.log_start_offset <= self.start_wanted
        assert log.end_offset >= self.acked_end
        assert log.durable_offset == log.end_offset
        attempted = {s.base_offset + n: v for s in self.sent for n, v in enumerate(s.values)}
        expected = {o: attempted[o] for o in range(log.log_start_offset, log.end_offset)}
        assert values(log) == expected
        self.fs.crash(Loss.ALL)  # what was shown as durable cannot be taken back
        self.open()
        assert values(self.log) == expected
        self.check_retries()
        self.check_life_goes_on()

    def check_retries(self) -> None:
        end = self.log.end_offset
        survivors = [s for s in self.sent if s.base_offset < end]
        for producer_id in {s.producer_id for s in self.sent}:
            own = [s for s in survivors if s.producer_id == producer_id]
            for sent in own[-5:]:
                batch = produced(*sent.values, producer=(producer_id, 0, sent.sequence))
                result = self.log.append(batch, NOW)
                assert result.duplicate, result
                assert result.base_offset == sent.base_offset
                assert result.last_offset == sent.base_offset + len(sent.values) - 1
        assert self.log.end_offset == end
        self.sent = survivors

    def check_life_goes_on(self) -> None:
        epoch = self.log.leader_epoch
        self.append(1, 2)
        self.append(9, 1)
        self.sync()
        assert self.acked_end == self.log.end_offset
        before = values(self.log)
        self.fs.crash(Loss.ALL)
        self.open()
        assert self.log.leader_epoch > epoch
        assert values(self.log) == before
        assert max(header.partition_leader_epoch for header, _ in batches(self.log)) == epoch
        self.check_retries()


def life(**config: int) -> Life:
    return Life(FakeFileSystem(), LogConfig(index_interval_bytes=100, **config))  # type: ignore[arg-type]  # only int fields


def some_appends(life: Life) -> None:
    for n in range(8):
        life.append(n % 2, 1 + n % 3)
        if n % 3 == 1:
            life.sync()
    life.sync()
    life.append(0, 1)


def appending(life: Life) -> None:
    life.open()
    some_appends(life)


def rolling(life: Life) -> None:
    life.open()
    for n in range(16):
        life.append(n % 2, 2)
        if n % 5 == 4:
            life.sync()


def shortening(life: Life) -> None:
    rolling(life)
    life.sync()
    life.shorten(7)
    life.append(1, 2)
    life.sync()
    life.shorten(life.acked_end)
    life.append(0, 3)
    life.sync()


def retaining(life: Life) -> None:
    rolling(life)
    life.sync()
    life.retain()
    life.append(0, 1)
    life.sync()


def emptying(life: Life) -> None:
    """Everything expires, the active segment too: only the snapshots know the producers."""
    rolling(life)
    life.sync()
    life.start_wanted = life.log.end_offset
    life.log.apply_retention(NOW + 10**12)
    assert life.log.log_start_offset == life.log.end_offset
    life.start_confirmed = life.log.log_start_offset


def closing(life: Life) -> None:
    rolling(life)
    life.close()
    life.open()
    assert life.report.clean
    life.append(1, 3)
    life.sync()
    life.append(1, 1)
    life.close()
    life.open()
    assert life.report.clean


def recovering(life: Life) -> None:
    """Crash, and then the recovery itself is cut: the calls before it are not counted."""
    rolling(life)
    life.fs.crash(Loss.TORN, seed=5)
    life.open()
    life.check_retries()
    life.append(0, 2)
    life.fs.crash(Loss.TORN, seed=6)
    life.open()


SCENARIOS: list[tuple[str, Callable[[Life], None], dict[str, int]]] = [
    ("append", appending, {}),
    ("roll", rolling, {"segment_bytes": 400}),
    ("delete records", shortening, {"segment_bytes": 400}),
    ("retention", retaining, {"segment_bytes": 400, "retention_bytes": 700}),
    ("expiry of all", emptying, {"segment_bytes": 400, "producer_id_expiration_ms": 1 << 60}),
    ("clean close", closing, {"segment_bytes": 400}),
    ("recovery", recovering, {"segment_bytes": 400}),
]


def cuts(scenario: Callable[[Life], None], config: dict[str, int]) -> Iterator[tuple[Life, int]]:
    """The scenario, cut at its first, second, ... mutating call, until it runs to its end."""
    undisturbed = life(**config)
    scenario(undisturbed)
    undisturbed.fs.crash(Loss.ALL)
    undisturbed.open()
    undisturbed.check()
    for nth in range(1, undisturbed.fs.mutations):
        disturbed = life(**config)
        disturbed.fs.cut_at(nth)
        with suppress(PowerCut):
            scenario(disturbed)
            return
        yield disturbed, nth


@pytest.mark.parametrize(("loss", "seed"), LOSSES, ids=lambda x: str(getattr(x, "value", x)))
@pytest.mark.parametrize(
    ("scenario", "config"), [s[1:] for s in SCENARIOS], ids=[s[0] for s in SCENARIOS]
)
def test_a_power_cut_anywhere_loses_nothing_acknowledged(
    scenario: Callable[[Life], None], config: dict[str, int], loss: Loss, seed: int
) -> None:
    count = 0
    for disturbed, nth in cuts(scenario, config):
        disturbed.fs.crash(loss, seed * 1000 + nth)
        try:
            disturbed.open()
            disturbed.check()
        except BaseException as error:
            error.add_note(f"cut at mutating call {nth}: {disturbed.fs.trace[-40:]}")
            raise
        count = nth
    assert count > 20, "the scenario has calls to cut"
