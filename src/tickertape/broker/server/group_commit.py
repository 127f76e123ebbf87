"""Group commit: one round of syncs at a time, in a thread, for everything written before it began.

Requests that arrive during a round wait for the next one, which then serves them all: no artificial
delay, and under load one fdatasync for hundreds of requests. The thread sees tickets, never a log.

A round of many logs is one sync of the whole disk (base.ports.Disk), where that can be had: 200
files cost a few ms then, and a tenth of the CPU time (docs/decisions/0007). It also waits for what
others write to that disk, so after a round that took long it is left alone for a hundred times
as long. Otherwise several threads share the files.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Final, Protocol, TypeAlias

from tickertape.base.errors import StorageError
from tickertape.base.histogram import Histogram
from tickertape.base.ports import Clock, Disk
from tickertape.log.partition import PartitionLog
from tickertape.log.results import SyncTicket

LOG = logging.getLogger("tickertape.broker")

Round: TypeAlias = list[tuple[PartitionLog, SyncTicket]]
_THREADS: Final = 16
_SHARED_MIN: Final = 4  # fewer are synced sooner than a thread wakes up
_WHOLE_DISK_MIN: Final = 8
_SLOW_MS: Final = 100  # so long takes no disk for what we write in a round
_REST_FACTOR: Final = 100


class Syncing(Protocol):
    """The part of the core that group commit talks to."""

    def dirty(self) -> list[PartitionLog]:
        """Logs with unsynced appends."""
        ...

    def synced(self, logs: Sequence[PartitionLog]) -> None:
        """They have been synced, or have failed."""
        ...


class WorkerThread:
    """Runs one job after the other in a thread and reports each outcome on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._abandoned = False
        self._jobs: queue.SimpleQueue[Callable[[], Callable[[], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], Callable[[], None]]) -> None:
        """Run ``job`` in the thread, then what it returns on the loop. ``job`` must not raise."""
        self._jobs.put(job)

    def close(self) -> None:
        """Finish what has been submitted, then end the thread. Blocks."""
        self._jobs.put(None)
        self._thread.join()

    def abandon(self) -> None:
        """Wait for nothing: the outcome of a job under way is not reported any more."""
        self._abandoned = True
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            outcome = job()
            if not self._abandoned:
                self._loop.call_soon_threadsafe(outcome)


class TicketRunner:
    """Runs the tickets of one round after the other, in the sync thread."""

    def __init__(self, clock: Clock, disk: Disk | None) -> None:
        self._now_ms: Final = clock.monotonic_ms
        self._disk: Final = disk
        self._disk_rests_until_ms = 0
        self._pool: ThreadPoolExecutor | None = None  # its threads stay: a start costs a sync
        self._refused_threads = False

    def run(self, tickets: Sequence[SyncTicket]) -> list[str | None]:
        """Of each, why it was no successful sync; None if it was. One's failure is no other's."""
        if len(tickets) >= _WHOLE_DISK_MIN and self._sync_disk():
            return self._share(tickets, _write)
        return self._share(tickets, _run)

    def _share(
        self, tickets: Sequence[SyncTicket], do: Callable[[SyncTicket], str | None]
    ) -> list[str | None]:
        """Among threads, if there is enough to wait for."""
        slow = sum(bool(ticket.writes) or do is _run for ticket in tickets)
        if slow < _SHARED_MIN:
            return list(map(do, tickets))
        if self._pool is None and not self._refused_threads:
            self._start_threads()
        if self._pool is None:
            return list(map(do, tickets))
        shares = [tickets[first::_THREADS] for first in range(min(_THREADS, len(tickets)))]
        outcomes: list[str | None] = [None] * len(tickets)
        found = self._pool.map(lambda share: list(map(do, share)), shares)
        for first, share in enumerate(found):
            outcomes[first::_THREADS] = share
        return outcomes

    def _start_threads(self) -> None:
        """All of them now, or none: a round must not find that there are no more."""
        pool = ThreadPoolExecutor(_THREADS, "tape-sync")
        together = threading.Barrier(_THREADS)
        try:
            for _ in range(_THREADS):
                pool.submit(together.wait)
        except RuntimeError as error:
            self._refused_threads = True
            together.abort()
            pool.shutdown(cancel_futures=True)
            LOG.warning("files are synced one after the other: %s", error)
        else:
            self._pool = pool

    def _sync_disk(self) -> bool:
        began_ms = self._now_ms()
        if self._disk is None or began_ms < self._disk_rests_until_ms:
            return False
        synced = self._disk.sync()
        took_ms = self._now_ms() - began_ms
        if took_ms > _SLOW_MS:
            self._disk_rests_until_ms = began_ms + _REST_FACTOR * took_ms
        return synced

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


class GroupCommit:
    """See the module. ``on_finished`` is called on the loop after every round."""

    def __init__(
        self,
        core: Syncing,
        thread: WorkerThread,
        runner: TicketRunner,
        on_finished: Callable[[], None],
    ) -> None:
        self._core: Final = core
        self._thread: Final = thread
        self._runner: Final = runner
        self._on_finished: Final = on_finished
        self._complained: set[str] = set()
        self._closed = False
        self.is_running = False
        self.seconds = Histogram()  # of rounds that synced something
        self.logs_synced = 0
        self.logs_failed = 0

    def close(self) -> None:
        """No more rounds: the thread is about to end."""
        self._closed = True

    def begin(self) -> None:
        """Start a round unless one is under way, nothing is dirty, or this is the end."""
        if self.is_running or self._closed:
            return
        dirty = self._core.dirty()
        if not dirty:
            return
        tickets: Round = []
        nothing_to_sync: list[PartitionLog] = []
        for log in dirty:
            ticket = log.begin_sync()
            if ticket is None:  # synced when its segment rolled, or failed
                nothing_to_sync.append(log)
            else:
                tickets.append((log, ticket))
        if tickets:
            self.is_running = True
            self._thread.submit(lambda: self._sync(tickets))
        if nothing_to_sync:
            self._settle(nothing_to_sync)

    def _sync(self, tickets: Round) -> Callable[[], None]:
        """In the thread, which must live on whatever happens, or nobody is answered any more."""
        began = perf_counter()
        reasons: list[str | None]
        try:
            reasons = self._runner.run([ticket for _, ticket in tickets])
        except Exception as error:  # noqa: BLE001  # as in _outcome
            reasons = [f"sync failed: {error!r}"] * len(tickets)
        took = perf_counter() - began
        return lambda: self._finish(tickets, reasons, took)

    def _finish(self, tickets: Round, reasons: list[str | None], took: float) -> None:
        """On the loop again."""
        self.is_running = False
        self.seconds.observe(took)
        self.logs_synced += reasons.count(None)
        self.logs_failed += len(reasons) - reasons.count(None)
        for (log, ticket), reason in zip(tickets, reasons, strict=True):
            if reason is None:
                log.finish_sync(ticket, ok=True)
            else:
                log.finish_sync(ticket, ok=False, reason=reason)
            if ticket.unwritten is not None:
                LOG.warning("%s: recovery will be slower: %s", log.folder, ticket.unwritten)
        self._settle([log for log, _ in tickets])
        self._on_finished()

    def _settle(self, logs: list[PartitionLog]) -> None:
        for log in logs:
            if log.failed is not None and log.folder not in self._complained:
                self._complained.add(log.folder)
                LOG.error(
                    "%s takes no more records until a restart: %s",
                    *(log.folder, log.failed),
                    extra={"log": log.folder, "reason": log.failed},
                )
        self._core.synced(logs)


def _run(ticket: SyncTicket) -> str | None:
    return _outcome(ticket.run)


def _write(ticket: SyncTicket) -> str | None:
    return _outcome(ticket.write)


def _outcome(sync: Callable[[], None]) -> str | None:
    """Why it failed; None if it did not."""
    try:
        sync()
    except StorageError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # whatever it is, nothing is known to be on disk
        return f"sync failed: {error!r}"
    return None
