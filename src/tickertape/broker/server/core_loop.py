"""Drives the core: the only owner of all state, on one event loop, in one thread.

After a batch of requests has been handled: send the answers of the whole batch together, start a
group commit, and arrange for the next tick. Sync and compaction threads hand results back here.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tickertape.base.ports import Clock, Disk
from tickertape.base.repeats import Repeats
from tickertape.broker.server.connection import Connection, Welcome
from tickertape.broker.server.group_commit import GroupCommit, Syncing, TicketRunner, WorkerThread
from tickertape.broker.server.limits import Limits
from tickertape.broker.server.request_memory import RequestMemory
from tickertape.broker.server.request_meters import RequestMeters
from tickertape.broker.state.call import Call
from tickertape.broker.state.settings import FsyncMode
from tickertape.log.compaction import CompactionJob

LOG = logging.getLogger("tickertape.broker")
_TICK_AFTER_WORK_MS: Final = 1  # new requests may have brought the next deadline nearer

_TICK_AFTER_FAULT_MS: Final = 1_000
_REPEAT_MS: Final = 60_000


class Core(Syncing, Protocol):
    """The broker core, as the loop drives it (broker.state.broker.Broker)."""

    def tick(self) -> int:
        """Do what is due; returns ms until there is more."""
        ...

    def compaction_jobs(self) -> Sequence[CompactionJob]:
        """Jobs to run in a thread."""
        ...

    def compacted(self, job: CompactionJob) -> None:
        """The job has run."""
        ...

    def take_notices(self) -> Sequence[str]:
        """Lines for the operator."""
        ...


class CoreLoop:
    """See the module. ``handle`` is broker.api.dispatch.handle, bound to the core."""

    def __init__(  # noqa: PLR0913  # the parts of a shell, put together in one place
        self,
        core: Core,
        handle: Callable[[memoryview, Call], None],
        *,
        clock: Clock,
        limits: Limits,
        fsync: FsyncMode = "always",
        flush_interval_ms: int = 1000,
        disk: Disk | None = None,
    ) -> None:
        self.limits = limits
        self.meters: RequestMeters | None = None
        self.memory = (
            None if limits.queued_bytes_max < 1 else RequestMemory(limits.queued_bytes_max)
        )
        self.connections_accepted = 0
        self.connections_refused = 0
        self.handle = handle
        self.now_ms = clock.monotonic_ms
        self._core = core
        self._loop = asyncio.get_running_loop()
        self._fsync = fsync
        self._flush_interval_ms = flush_interval_ms
        self._numbers = itertools.count(1)
        self._connections: dict[int, Connection] = {}
        self._by_ip: dict[str, int] = {}  # how many connections an address has
        self._arriving = 0  # clients in their TLS handshake, counted in _by_ip too
        self._unflushed: dict[Connection, None] = {}
        self._settling = False  # a settle is on its way
        self._tick_timer: asyncio.TimerHandle | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._syncer = WorkerThread(self._loop, "tape-sync")
        self._cleaner: WorkerThread | None = None  # most brokers never compact anything
        self._tickets = TicketRunner(clock, disk)
        self.commits = GroupCommit(core, self._syncer, self._tickets, self._round_finished)
        self._progress = asyncio.Event()
        self._repeats = Repeats(clock, _REPEAT_MS)
        self._refusing = False  # connections are being refused, and that has been said

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick."""
        self._tick()
        self._every(min(self.limits.idle_ms_max / 4, 10_000), self._rest_all)
        if self._fsync == "interval":
            self._every(self._flush_interval_ms, self.commits.begin)

    def connect(self, door: Welcome | None = None) -> Connection:
        """A protocol for a connection just accepted by that door; None: everybody is welcome."""
        return Connection(self, self._loop, next(self._numbers), door)

    @property
    def connections_open(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def drain(self) -> bool:
        """Take no more requests; wait until what has been answered is sent and synced.

        False if the deadline passed first. Long polls that still wait are not answered.
        """
        for connection in list(self._connections.values()):
            connection.drain()
        try:
            async with asyncio.timeout(self.limits.drain_ms_max / 1000):
                while not self._is_drained():
                    self._progress.clear()
                    self.commits.begin()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Close every connection, stop the timers, end the threads. Blocks for a sync under way."""
        for timer in (*self._timers, self._tick_timer):
            if timer is not None:
                timer.cancel()
        for connection in list(self._connections.values()):
            connection.abort()
        self.commits.close()
        self._syncer.close()
        self._tickets.close()
        if self._cleaner is not None:
            self._cleaner.abandon()  # what it has written is thrown away at the next start

    # -- what connections call (connection.Host) ---------------------------------------------

    def opened(self, connection: Connection) -> bool:
        """Count it in; False if there are too many, which is said once, not for each."""
        if not self._has_room(connection.peer):
            return False
        self._count(connection.peer, 1)
        self.connections_accepted += 1
        self._connections[connection.number] = connection
        return True

    def closed(self, connection: Connection) -> None:
        """Count it out."""
        if self._connections.pop(connection.number, None) is not None:
            self._count(connection.peer, -1)
        self._unflushed.pop(connection, None)
        self._progress.set()

    def arrives(self, host: str) -> bool:
        """Count in somebody who shakes hands, as if it were a connection already."""
        if not self._has_room(host):
            return False
        self._count(host, 1)
        self._arriving += 1
        return True

    def arrived(self, host: str) -> None:
        """Count out: the handshake has ended, well or not."""
        self._count(host, -1)
        self._arriving -= 1

    def worked(self) -> None:
        """Settle once this turn of the loop has handled all that it received."""
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def has_answers(self, connection: Connection) -> None:
        """Flush it with all the others."""
        self._unflushed[connection] = None
        self.worked()

    def say(self, line: str, key: str | None = None, **fields: object) -> None:
        """Warn; of the same ``key`` again only after a while, however often a client retries."""
        if passed := self._repeats.passes(key or line, line):
            LOG.warning("%s", passed, extra=fields)

    # -- inside ------------------------------------------------------------------------------

    def _has_room(self, host: str) -> bool:
        limits, present = self.limits, len(self._connections) + self._arriving
        if present >= limits.connections_max:
            if not self._refusing:
                LOG.warning("refusing connections: %d are open", present)
            self._refusing = True
            self.connections_refused += 1
            return False
        self._refusing = False
        here = self._by_ip.get(host, 0)
        if here >= limits.connections_per_ip.get(host, limits.connections_per_ip_max):
            self.say(f"refusing connections from {host}: {here} are open", f"refusing {host}")
            self.connections_refused += 1
            return False
        return True

    def _count(self, host: str, change: int) -> None:
        left = self._by_ip.pop(host, 0) + change
        if left:
            self._by_ip[host] = left

    def _settle(self) -> None:
        self._settling = False
        unflushed, self._unflushed = self._unflushed, {}
        for connection in unflushed:
            connection.flush()
        if self._fsync == "always":
            self.commits.begin()
        self._tick_in(_TICK_AFTER_WORK_MS)
        self._progress.set()

    def _round_finished(self) -> None:
        self._settle()

    def _tick(self) -> None:
        self._tick_timer = None
        due_ms = _TICK_AFTER_FAULT_MS
        try:
            due_ms = self._core.tick()
        except Exception:  # a bug of ours must not stop all timeouts for good
            LOG.exception("a tick failed")
        for notice in self._core.take_notices():
            self.say(notice)
        for job in self._core.compaction_jobs():
            self._compact(job)
        if self._fsync != "interval":  # with "never" there is only what upkeep has left
            self.commits.begin()
        self._tick_in(due_ms)

    def _compact(self, job: CompactionJob) -> None:
        if self._cleaner is None:
            self._cleaner = WorkerThread(self._loop, "tape-cleaner")

        def run() -> Callable[[], None]:
            try:
                job.run()
            except Exception as error:
                LOG.exception("compaction failed")
                job.failure = repr(error)  # what it has written so far must not be used
            return finish

        def finish() -> None:
            self._core.compacted(job)
            self.worked()

        self._cleaner.submit(run)

    def _tick_in(self, ms: int) -> None:
        at = self._loop.time() + ms / 1000
        if self._tick_timer is not None:
            if self._tick_timer.when() <= at:
                return
            self._tick_timer.cancel()
        self._tick_timer = self._loop.call_at(at, self._tick)

    def _is_drained(self) -> bool:
        return (
            not self.commits.is_running
            and all(connection.is_drained for connection in self._connections.values())
            and not self._core.dirty()
        )

    def _rest_all(self) -> None:
        now_ms = self.now_ms()
        for connection in list(self._connections.values()):
            connection.rest(now_ms)

    def _every(self, ms: float, job: Callable[[], None]) -> None:
        """Repeat ``job``, ``ms`` after it last ended."""
        slot = len(self._timers)

        def again() -> None:
            job()
            self._timers[slot] = self._loop.call_later(ms / 1000, again)

        self._timers.append(self._loop.call_later(ms / 1000, again))
