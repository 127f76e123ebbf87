"""Group commit: one round of syncs at a time in one thread, for everything written before it began.

Requests that arrive during a round wait for the next one, which then serves them all: no artificial
delay, and under load one fdatasync for hundreds of requests. The thread sees tickets, never a log.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

from tickertape.base.errors import StorageError
from tickertape.log.partition import PartitionLog
from tickertape.log.results import SyncTicket

LOG = logging.getLogger("tickertape.broker")

Round: TypeAlias = list[tuple[PartitionLog, SyncTicket]]


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


class GroupCommit:
    """See the module. ``on_finished`` is called on the loop after every round."""

    def __init__(
        self, core: Syncing, thread: WorkerThread, on_finished: Callable[[], None]
    ) -> None:
        self._core: Final = core
        self._thread: Final = thread
        self._on_finished: Final = on_finished
        self._complained: set[str] = set()
        self.is_running = False

    def begin(self) -> None:
        """Start a round unless one is under way or nothing is dirty."""
        if self.is_running:
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
        """In the thread: sync one after the other; a failure of one is no failure of the others."""
        reasons: list[str | None] = []
        for _, ticket in tickets:
            try:
                ticket.run()
            except StorageError as error:
                reasons.append(str(error))
            except Exception as error:  # noqa: BLE001  # whatever it is, it was no successful sync
                reasons.append(f"sync failed: {error!r}")
            else:
                reasons.append(None)
        return lambda: self._finish(tickets, reasons)

    def _finish(self, tickets: Round, reasons: list[str | None]) -> None:
        """On the loop again."""
        self.is_running = False
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
                LOG.error("%s takes no more records until a restart: %s", log.folder, log.failed)
        self._core.synced(logs)
