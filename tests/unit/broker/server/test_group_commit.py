"""Group commit over a real log on a fake disk: who is answered when, and what a failure does."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from tickertape.base import world
from tickertape.base.fake_fs import FakeFileSystem
from tickertape.base.fakes import FakeClock
from tickertape.base.ports import Disk, FileSystem
from tickertape.base.world import OsDisk, OsFileSystem, SystemClock
from tickertape.broker.server.group_commit import GroupCommit, TicketRunner, WorkerThread
from tickertape.log.config import LogConfig
from tickertape.log.partition import PartitionLog
from tickertape.log.results import SyncTicket
from tickertape.wire.records import Record, write_batch

NOW_MS = 1_700_000_000_000


class Logs:
    """Dirty logs as the core keeps them: until ``synced`` finds nothing more to sync."""

    def __init__(self, fs: FileSystem, count: int, folder: str) -> None:
        self.all = [
            PartitionLog.open(
                fs,
                f"{folder}/t-{number}",
                LogConfig(),
                now_ms=NOW_MS,
                topic_id=UUID(int=1),
                clean=True,
            )[0]
            for number in range(count)
        ]
        self.synced_calls: list[list[PartitionLog]] = []

    def dirty(self) -> list[PartitionLog]:
        return [log for log in self.all if log.failed is None and log.is_dirty]

    def synced(self, logs: Sequence[PartitionLog]) -> None:
        self.synced_calls.append(list(logs))


def append(log: PartitionLog, count: int = 1) -> None:
    for _ in range(count):
        batch = write_batch([Record(0, NOW_MS, None, b"value", ())])
        assert not log.append(memoryview(batch), NOW_MS).error


Scenario = Callable[[Logs, GroupCommit, asyncio.Event], Awaitable[None]]


def play(
    scenario: Scenario,
    fs: FileSystem,
    count: int = 1,
    folder: str = "/data",
    disk: Disk | None = None,
) -> Logs:
    logs = Logs(fs, count, folder)

    async def main() -> None:
        finished = asyncio.Event()
        thread = WorkerThread(asyncio.get_running_loop(), "test-sync")
        runner = TicketRunner(SystemClock(), disk)
        commits = GroupCommit(logs, thread, runner, finished.set)
        async with asyncio.timeout(20):
            await scenario(logs, commits, finished)
        thread.close()
        runner.close()

    asyncio.run(main())
    return logs


def test_one_round_makes_everything_written_before_it_durable() -> None:
    async def scenario(logs: Logs, commits: GroupCommit, finished: asyncio.Event) -> None:
        for log in logs.all:
            append(log, 3)
        commits.begin()
        assert commits.is_running
        append(logs.all[0])  # during the round: not its business
        commits.begin()
        await finished.wait()
        assert [log.durable_offset for log in logs.all] == [3, 3]
        finished.clear()
        commits.begin()
        await finished.wait()
        assert logs.all[0].durable_offset == 4

    logs = play(scenario, FakeFileSystem(), 2)
    assert logs.synced_calls == [logs.all, logs.all[:1]]


def test_nothing_dirty_starts_no_round() -> None:
    async def scenario(logs: Logs, commits: GroupCommit, finished: asyncio.Event) -> None:
        commits.begin()
        assert not commits.is_running
        assert not finished.is_set()
        assert logs.synced_calls == []

    play(scenario, FakeFileSystem(), 0)


def test_a_failed_sync_fails_its_log_only_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fs = FakeFileSystem()

    async def scenario(logs: Logs, commits: GroupCommit, finished: asyncio.Event) -> None:
        bad, good = logs.all
        append(bad)
        append(good)
        fs.fail_at(1)  # the sync of the first log
        commits.begin()
        await finished.wait()
        assert (good.durable_offset, good.failed) == (1, None)
        assert bad.durable_offset == 0
        assert bad.failed is not None

    logs = play(scenario, fs, 2)
    assert len(logs.synced_calls) == 1
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("/data/t-0 takes no more records until a restart: ")


def test_a_round_of_many_logs_syncs_them_all_and_keeps_failures_apart(tmp_path: Path) -> None:
    fs = OsFileSystem()

    async def scenario(logs: Logs, commits: GroupCommit, finished: asyncio.Event) -> None:
        for log in logs.all:
            append(log)
        fs.remove(logs.all[5].folder)
        commits.begin()
        await finished.wait()
        assert [log.durable_offset for log in logs.all] == [int(n != 5) for n in range(20)]
        assert [log.failed is None for log in logs.all] == [n != 5 for n in range(20)]

    logs = play(scenario, fs, 20, folder=str(tmp_path))
    assert logs.synced_calls == [logs.all]


def test_after_the_end_no_ticket_is_taken_that_nobody_will_run() -> None:
    async def scenario(logs: Logs, commits: GroupCommit, finished: asyncio.Event) -> None:
        (log,) = logs.all
        append(log)
        commits.begin()
        append(log)
        commits.close()
        await finished.wait()
        commits.begin()
        assert not commits.is_running
        assert log.durable_offset == 1
        log.close(clean=True)

    play(scenario, FakeFileSystem())


class WholeDisk:
    """Syncs everything of a fake file system, as syncfs does, or says that it cannot."""

    def __init__(self, fs: FakeFileSystem, clock: FakeClock, *, works: bool = True) -> None:
        self._fs = fs
        self._clock = clock
        self.works = works
        self.takes_ms = 1
        self.calls = 0

    def sync(self) -> bool:
        self.calls += 1
        self._clock.advance(self.takes_ms)
        if self.works:
            self._fs.sync_all()
        return self.works


def many(fs: FakeFileSystem, count: int) -> tuple[Logs, Callable[[], list[SyncTicket]]]:
    fs.make_dir("/data")
    fs.sync_dir("/")
    logs = Logs(fs, count, "/data")

    def tickets() -> list[SyncTicket]:
        for log in logs.all:
            append(log)
        return [ticket for log in logs.all if (ticket := log.begin_sync()) is not None]

    return logs, tickets


def reopened(fs: FakeFileSystem, count: int) -> list[int]:
    fs.crash()
    return [log.end_offset for log in Logs(fs, count, "/data").all]


def test_many_logs_are_synced_by_one_sync_of_the_disk_and_survive_a_power_cut() -> None:
    fs = FakeFileSystem()
    disk = WholeDisk(fs, clock := FakeClock())
    _, tickets = many(fs, 20)
    runner = TicketRunner(clock, disk)
    taken = tickets()
    before = len(fs.trace)
    assert runner.run(taken) == [None] * 20
    logs = [path for kind, path in fs.trace[before:] if kind == "sync" and path.endswith(".log")]
    assert (disk.calls, logs) == (1, [])
    assert reopened(fs, 20) == [1] * 20


def test_few_logs_are_synced_one_by_one() -> None:
    fs = FakeFileSystem()
    disk = WholeDisk(fs, clock := FakeClock())
    _, tickets = many(fs, 3)
    assert TicketRunner(clock, disk).run(tickets()) == [None] * 3
    assert disk.calls == 0
    assert reopened(fs, 3) == [1] * 3


def test_a_disk_that_cannot_be_synced_at_once_has_every_file_synced() -> None:
    fs = FakeFileSystem()
    disk = WholeDisk(fs, clock := FakeClock(), works=False)
    _, tickets = many(fs, 20)
    runner = TicketRunner(clock, disk)
    assert runner.run(tickets()) == [None] * 20
    runner.close()
    assert disk.calls == 1
    assert reopened(fs, 20) == [1] * 20


def test_a_slow_disk_is_left_alone_for_a_while() -> None:
    fs = FakeFileSystem()
    disk = WholeDisk(fs, clock := FakeClock())
    logs, tickets = many(fs, 20)
    runner = TicketRunner(clock, disk)

    def play_round() -> int:
        taken = tickets()
        assert runner.run(taken) == [None] * 20
        for log, ticket in zip(logs.all, taken, strict=True):
            log.finish_sync(ticket, ok=True)
        return disk.calls

    disk.takes_ms = 1_000  # somebody else writes a lot
    assert play_round() == 1
    disk.takes_ms = 1
    assert play_round() == 1
    clock.advance(98_000)
    assert play_round() == 1
    clock.advance(1_000)
    assert play_round() == 2
    assert play_round() == 3
    runner.close()
    assert reopened(fs, 20) == [5] * 20


def test_the_disk_of_this_machine_says_whether_it_can_sync_everything(tmp_path: Path) -> None:
    disk = OsDisk(str(tmp_path))
    (tmp_path / "file").write_bytes(b"content")
    assert disk.sync() == disk.sync()
    assert not OsDisk("/proc").sync()
    assert not OsDisk(str(tmp_path / "missing")).sync()


def test_a_folder_with_parts_on_another_disk_is_not_synced_at_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to("/proc")
    assert not OsDisk(str(tmp_path)).sync()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_disk_that_failed_once_is_not_believed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, read_only: bool
) -> None:
    """The kernel tells of each failure once, and of a file system that it made read-only never."""
    disk = OsDisk(str(tmp_path))
    if not disk.sync():
        pytest.skip("no ext4 here")
    flags = os.ST_RDONLY if read_only else 0
    with monkeypatch.context() as failing:
        failing.setattr(world, "_syncfs", lambda _: read_only)
        failing.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_flag=flags))
        assert not disk.sync()
    assert not disk.sync()


@pytest.mark.parametrize(
    ("release", "tells"),
    [("5.8.0", False), ("5.16.9", False), ("5.17.0", True), ("6.1.0-18-amd64", True)],
)
def test_syncfs_is_believed_from_linux_5_17_on(
    release: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, tells: bool
) -> None:
    if not OsDisk(str(tmp_path)).sync():
        pytest.skip("no ext4 here")
    machine = os.uname_result(("Linux", "node", release, "", "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: machine)
    assert OsDisk(str(tmp_path)).sync() == tells


@pytest.mark.parametrize("free", [0, 5])
def test_where_too_few_threads_can_be_had_the_files_are_synced_one_after_the_other(
    free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = FakeFileSystem()
    _, tickets = many(fs, 20)
    runner = TicketRunner(FakeClock(), None)
    start = threading.Thread.start
    left = iter(range(free))

    def refuse(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert runner.run(tickets()) == [None] * 20
    runner.close()
    assert reopened(fs, 20) == [1] * 20


class BrokenDisk:
    """A bug of ours."""

    def sync(self) -> bool:
        raise OSError("what is this?")


def test_an_error_that_nobody_expects_fails_the_round_and_not_the_thread() -> None:
    async def scenario(logs: Logs, commits: GroupCommit, finished: asyncio.Event) -> None:
        for log in logs.all:
            append(log)
        commits.begin()
        await finished.wait()
        assert not commits.is_running
        assert [log.failed is None for log in logs.all] == [False] * 20

    play(scenario, FakeFileSystem(), 20, disk=BrokenDisk())
