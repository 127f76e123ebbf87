"""A broker from the first lock to the clean mark: start, serve, stop.

Start: lock the data directory, bind, open or recover the logs, listen, announce. Stop, on SIGTERM
or SIGINT: accept nothing more, send and sync what is answered within a deadline, close the logs and
leave the clean mark. A second signal ends the process at once: safe, the next start recovers.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING

from tickertape.base.histogram import Recent
from tickertape.base.ports import Clock, Disk, FileSystem, Rng, Workers
from tickertape.broker.api import dispatch
from tickertape.broker.server.core_loop import CoreLoop
from tickertape.broker.server.data_lock import DataLock
from tickertape.broker.server.limits import Limits
from tickertape.broker.server.listeners import Door, Guests, ListenerSettings, must_be_usable
from tickertape.broker.server.loop_errors import loop_errors
from tickertape.broker.server.request_meters import SPAN_MS, RequestMeters
from tickertape.broker.server.sockets import bind, local_address, shown_address
from tickertape.broker.server.tls_listener import TlsListener
from tickertape.broker.state.broker import Broker, StartReport
from tickertape.broker.state.settings import BrokerSettings

if TYPE_CHECKING:
    from tickertape.broker.server.exposition import Readings
    from tickertape.broker.server.operations import Operations

LOG = logging.getLogger("tickertape.broker")
_BACKLOG = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the shell needs to know. The first listener is the one that is announced."""

    data_dir: str
    broker: BrokerSettings
    listeners: tuple[ListenerSettings, ...] = (ListenerSettings(),)
    limits: Limits = field(default_factory=Limits)
    flush_interval_ms: int = 1000
    metrics: tuple[str, int] | None = None  # where /metrics is; None: nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The real things that the command hands in.

    ``disk`` by the data directory that it holds, ``workers`` by how many they are.
    """

    fs: FileSystem
    disk: Callable[[str], Disk]
    workers: Callable[[int], Workers]
    clock: Clock
    rng: Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The broker serves. ``addresses``: for each listener, what a client here connects to."""

    addresses: dict[str, str]
    protocols: dict[str, str]
    data_dir: str
    cluster_id: str
    start_ms: int
    metrics_url: str | None = None

    @property
    def bootstrap(self) -> str:
        """What a client on this machine puts into bootstrap.servers."""
        return next(iter(self.addresses.values()))

    @property
    def announced(self) -> str:
        """A listener that anybody on this machine may ask; else the first, with its protocol."""
        for name, address in self.addresses.items():
            if self.protocols[name] == "PLAINTEXT":
                return address
        return f"{next(iter(self.protocols.values()))}://{self.bootstrap}"


def serve(settings: ServerSettings, world: World, on_ready: Callable[[Ready], None]) -> bool:
    """Run a broker until it is told to stop; True if it stopped cleanly.

    MisuseError if the port or the directory is taken, StorageError if the data cannot be used.
    """
    return asyncio.run(_serve(settings, world, on_ready))


async def _serve(settings: ServerSettings, world: World, on_ready: Callable[[Ready], None]) -> bool:
    began_ms = world.clock.monotonic_ms()
    with ExitStack() as stack:
        lock = stack.enter_context(DataLock(settings.data_dir))
        must_be_usable(settings.listeners)
        sockets = [stack.enter_context(bind(each.host, each.port)) for each in settings.listeners]
        operations = _operations(settings)
        if operations is not None:
            stack.callback(operations.close)
        shown = list(map(shown_address, settings.listeners, sockets))
        core = Broker(
            fs=world.fs,
            clock=world.clock,
            rng=world.rng,
            workers=world.workers(settings.broker.num_recovery_threads_per_data_dir),
            settings=_advertising(settings, shown),
            data_dir=settings.data_dir,
        )
        _report(core.start())
        shell = CoreLoop(
            core,
            partial(dispatch.handle, core),
            clock=world.clock,
            limits=settings.limits,
            fsync=settings.broker.fsync,
            flush_interval_ms=settings.flush_interval_ms,
            disk=world.disk(settings.data_dir),
        )
        stopping = _stop_on_signals()
        asyncio.get_running_loop().set_exception_handler(loop_errors(world.clock))
        guests = Guests(core.security, world.clock, world.rng)
        doors = map(Door, settings.listeners, shown, repeat(guests))
        servers = await _listen(shell, doors, sockets)
        shell.start()
        if operations is not None:
            _show(operations, core, shell, world.clock)
        names = [each.name for each in settings.listeners]
        ready = Ready(
            addresses=dict(zip(names, map(local_address, sockets), strict=True)),
            protocols={each.name: each.protocol for each in settings.listeners},
            data_dir=settings.data_dir,
            cluster_id=core.cluster_id,
            start_ms=world.clock.monotonic_ms() - began_ms,
            metrics_url=operations.url if operations is not None else None,
        )
        lock.announce(ready.announced)
        on_ready(ready)
        await stopping.wait()
        for server in servers:
            server.close()
        if operations is not None:
            operations.stops()
        return await _stop(core, shell, settings, world)


def _advertising(settings: ServerSettings, shown: list[tuple[str, int]]) -> BrokerSettings:
    """The broker's settings, now that it is known where it can be reached."""
    names = [listener.name for listener in settings.listeners]
    return replace(
        settings.broker,
        advertised_host=shown[0][0],
        advertised_port=shown[0][1],
        advertised_listeners=",".join(
            f"{name}://{host}:{port}" for name, (host, port) in zip(names, shown, strict=True)
        ),
    )


async def _listen(
    shell: CoreLoop, doors: Iterable[Door], sockets: Iterable[socket.socket]
) -> list[asyncio.Server | TlsListener]:
    loop = asyncio.get_running_loop()
    return [
        await loop.create_server(partial(shell.connect, door), sock=sock, backlog=_BACKLOG)
        if door.tls is None
        else TlsListener(shell, door, sock, _BACKLOG)
        for door, sock in zip(doors, sockets, strict=True)
    ]


def _operations(settings: ServerSettings) -> "Operations | None":
    """The HTTP server for metrics and health, if one is wanted."""
    if settings.metrics is None:
        return None
    from tickertape.broker.server.operations import Operations  # noqa: PLC0415  # 0.1 s to import

    return Operations(*settings.metrics, asyncio.get_running_loop())


def _show(operations: "Operations", core: Broker, shell: CoreLoop, clock: Clock) -> None:
    """From now on it shows how this core is."""
    from tickertape.broker.server.exposition import take  # noqa: PLC0415  # as above

    shell.meters = RequestMeters(clock.monotonic_ms())
    syncs = Recent(shell.commits.seconds, SPAN_MS, clock.monotonic_ms())

    def read() -> "Readings":
        now_ms = clock.monotonic_ms()
        return take(core, shell, syncs.values(now_ms), now_ms)

    operations.serves(read)


async def _stop(core: Broker, shell: CoreLoop, settings: ServerSettings, world: World) -> bool:
    if not await shell.drain():
        LOG.warning("stopping: answers unread for %d ms are dropped", settings.limits.drain_ms_max)
    shell.close()
    await asyncio.sleep(0)  # transports close in the loop's next turn
    clean = core.stop()
    for notice in core.take_notices():
        LOG.warning("%s", notice)
    LOG.info("stopped%s", "" if clean else "; the next start will recover the logs")
    return clean


def _stop_on_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the second one ends the process."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_signal(name: str) -> None:
        LOG.info("%s: stopping; once more to stop at once", name)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    return stopping


def _report(report: StartReport) -> None:
    uneventful = 0
    for name, found in report.recovered:
        if not found.clean and not (found.end_offset or found.bytes_scanned):
            uneventful += 1
        elif not found.clean:
            LOG.info(
                "%s recovered: offsets %d to %d, leader epoch %d, %d bytes read",
                *(name, found.log_start_offset, found.end_offset),
                *(found.leader_epoch, found.bytes_scanned),
            )
        if found.bytes_cut:
            LOG.warning("%s: cut %d bytes: %s", name, found.bytes_cut, found.cut_reason)
        for segment in found.segments_removed:
            LOG.warning("%s: removed %s", name, segment)
        for remark in found.remarks:
            LOG.warning("%s: %s", name, remark)
    if uneventful:
        LOG.info("%d empty partitions recovered: there was nothing to read", uneventful)
    for name in report.deletions_finished:
        LOG.info("%s: deletion finished", name)
    for name in report.folders_ignored:
        LOG.warning("%s is no partition's folder: ignored", name)
