"""The shell around the broker core, on the world's events: what core_loop, connection and
group_commit do with threads and sockets.

A round of syncs at a time; each log's sync happens at its own moment, in any order, or the whole
disk is synced at once, and all are finished together. Compactions run later than they are planned.
The process can die inside any call to the disk, be killed between two events, stop in order, and
start again on what the disk kept. An exception that is neither a peer's fault nor the disk's is a
bug of the broker.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from tests.simulation.network import Line, LineCall, Network
from tests.simulation.verdict import ViolationError
from tests.simulation.world import World

from tickertape.base.errors import PeerError, StorageError
from tickertape.base.fake_fs import FakeFileSystem, Loss, PowerCut
from tickertape.base.fakes import OneWorker, SeededRng
from tickertape.broker.api.dispatch import handle
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.settings import BrokerSettings
from tickertape.log.compaction import CompactionJob
from tickertape.log.partition import PartitionLog
from tickertape.log.results import SyncTicket

DATA_DIR: Final = "/data"
SYNC_MS: Final = 6


class Server:
    """See the module. ``broker`` is None while the process is dead."""

    def __init__(self, world: World, settings: BrokerSettings, kind: type[Broker]) -> None:
        self.world = world
        self.disk = FakeFileSystem(world.rng.getrandbits(32))
        self.network = Network(world, self)
        self.settings = settings
        self.kind = kind
        self.broker: Broker | None = None
        self.life = 0
        self.unclean_starts = 0
        self.loss = Loss.TORN  # what the next power cut inside a call takes
        self.usual_sync_ms = self.sync_ms = SYNC_MS
        self.whole_disk = 0.0  # how probably a round is one sync of all
        self.cut_recovery = 0.0  # how probably the next start is cut too
        self._rng = SeededRng(world.rng.getrandbits(32))
        self._syncing = False
        self._tick_ms = -1
        self._settling = False

    @property
    def is_up(self) -> bool:
        return self.broker is not None

    @property
    def failed_logs(self) -> int:
        if self.broker is None:
            return 0
        return sum(log.failed is not None for log in self.broker.topics.logs())

    # -- life and death

    def start(self) -> None:
        """Until it is up, with power cuts on the way if so disposed."""
        if self.broker is not None:
            return
        if self.world.chance(self.cut_recovery):
            self.disk.cut_at(1 + self.world.rng.randrange(60))
        try:
            broker = self.kind(
                fs=self.disk,
                clock=self.world.clock,
                rng=self._rng,
                workers=OneWorker(),
                settings=self.settings,
                data_dir=DATA_DIR,
            )
            report = broker.start()
        except PowerCut as cut:
            self.world.say("disk", f"power cut in recovery: {cut}")
            self._lose_power()
            return
        except StorageError as error:
            self.world.say("server", f"does not start: {error}")
            self.disk.crash(Loss.NOTHING)  # the process is over; the operator mends the disk
            self._start_later()
            return
        self.disk.cut_at(1 << 60)
        self.broker = broker
        self.life += 1
        self.unclean_starts += not report.clean
        self._syncing = False
        self._settling = False
        self._tick_ms = -1
        self.world.say("server", f"life {self.life}, {'clean' if report.clean else 'recovered'}")
        self._guard(self._tick)

    def kill(self, loss: Loss) -> None:
        """The process dies now; with it, unless NOTHING is lost, the machine."""
        if self.broker is not None:
            self.world.say("server", f"killed, loses {loss.value}")
            self.loss = loss
            self._lose_power()

    def stop(self) -> None:
        """An orderly stop: answers are given up, what is dirty is synced."""
        broker = self.broker
        if broker is None:
            return
        if self._syncing:
            self._later(5, self.stop)
            return
        clean = False
        try:
            for log in broker.dirty():
                ticket = log.begin_sync()
                if ticket is not None:
                    reason = _outcome(ticket.run)
                    log.finish_sync(ticket, ok=reason is None, reason=reason or "")
            clean = broker.stop()
        except StorageError as error:
            self.world.say("server", f"stops badly: {error}")
        except PowerCut:
            self._lose_power()
            return
        self.world.say("server", f"stopped, {'clean' if clean else 'unclean'}")
        self.loss = Loss.NOTHING
        self._lose_power()

    def _lose_power(self) -> None:
        self.broker = None
        self.life += 1
        self.network.cut_all()
        self.disk.crash(self.loss, self.world.rng.getrandbits(32))
        self._start_later()

    def _start_later(self) -> None:
        self.world.after(10 + self.world.soon_ms(1_500), self.start)

    def _guard(self, action: Callable[[], None]) -> None:
        """Run something of the process, which may be its last."""
        if self.broker is None:
            return
        try:
            action()
        except PowerCut as cut:
            self.world.say("disk", f"power cut: {cut}")
            self._lose_power()

    def _later(self, ms: int, action: Callable[[], None]) -> None:
        """As long as this process lives."""
        life = self.life

        def event() -> None:
            if self.life == life:
                self._guard(action)

        self.world.after(ms, event)

    # -- requests

    def receive(self, line: Line, frame: bytes) -> None:
        self._guard(lambda: self._handle(line, frame))

    def _handle(self, line: Line, frame: bytes) -> None:
        assert self.broker is not None
        call = LineCall(line, lambda reason: self._drop(line, reason))
        line.calls.append(call)
        buffer = bytearray(frame)
        try:
            with memoryview(buffer) as view:
                handle(self.broker, view, call)
        except PeerError as error:
            raise ViolationError(
                f"a client of ours was told that it misbehaves: {error}"
            ) from error
        except StorageError as error:
            self._drop(line, str(error))
        buffer[:] = b"\xee" * len(buffer)  # the shell reuses it: nobody may look again
        self._worked()

    def hung_up(self, call: LineCall) -> None:
        """Nobody is there any more to read its answer."""
        if call.on_gone is not None:
            self._guard(call.on_gone)

    def _drop(self, line: Line, reason: str) -> None:
        self.world.say("server", f"drops line {line.number}: {reason}")
        line.cut()

    # -- group commit, ticks, compaction

    def _worked(self) -> None:
        if not self._settling:
            self._settling = True
            self._later(0, self._settle)

    def _settle(self) -> None:
        self._settling = False
        self._begin_round()
        self._tick_in(1)

    def _begin_round(self) -> None:
        broker = self.broker
        assert broker is not None
        if self._syncing:
            return
        nothing: list[PartitionLog] = []
        tickets: list[tuple[PartitionLog, SyncTicket]] = []
        for log in broker.dirty():
            ticket = log.begin_sync()
            if ticket is None:
                nothing.append(log)
            else:
                tickets.append((log, ticket))
        if tickets:
            self._syncing = True
            self._sync(tickets)
        if nothing:
            broker.synced(nothing)

    def _sync(self, tickets: list[tuple[PartitionLog, SyncTicket]]) -> None:
        reasons: dict[PartitionLog, str | None] = {}

        def run(log: PartitionLog, ticket: SyncTicket) -> None:
            reasons[log] = _outcome(ticket.run)

        def run_at_once() -> None:
            synced = _outcome(self.disk.sync_all) is None
            for log, ticket in tickets:
                reasons[log] = _outcome(ticket.write if synced else ticket.run)

        jobs = [partial(run, log, ticket) for log, ticket in tickets]
        if self.world.chance(self.whole_disk):
            jobs = [partial(run_at_once)]
        last_ms = 0
        for job in jobs:
            ms = self.world.soon_ms(self.sync_ms)
            last_ms = max(last_ms, ms)
            self._later(ms, job)

        def finish() -> None:
            assert self.broker is not None
            self._syncing = False
            for log, ticket in tickets:
                reason = reasons[log]
                if reason is not None:
                    self.world.say("disk", reason)
                log.finish_sync(ticket, ok=reason is None, reason=reason or "")
            self.broker.synced([log for log, _ in tickets])
            self._settle()

        self._later(last_ms + 1, finish)

    def _tick(self) -> None:
        broker = self.broker
        assert broker is not None
        due_ms = broker.tick()
        for notice in broker.take_notices():
            self.world.say("broker", notice)
        for job in broker.compaction_jobs():
            self._later(self.world.soon_ms(400), partial(self._compact, job))
        self._begin_round()
        self._tick_in(due_ms)

    def _tick_in(self, ms: int) -> None:
        at_ms = self.world.now_ms + ms
        if self.world.now_ms < self._tick_ms <= at_ms:
            return
        self._tick_ms = at_ms

        def due() -> None:
            if self._tick_ms == at_ms:
                self._tick_ms = -1
                self._tick()

        self._later(ms, due)

    def _compact(self, job: CompactionJob) -> None:
        job.run()

        def finish() -> None:
            assert self.broker is not None
            self.broker.compacted(job)
            self._worked()

        self._later(self.world.soon_ms(200), finish)


def _outcome(sync: Callable[[], None]) -> str | None:
    try:
        sync()
    except StorageError as error:
        return str(error)
    return None
