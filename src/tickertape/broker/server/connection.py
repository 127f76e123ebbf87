"""One client's connection: bytes in, calls to the core, answers out in the order of the requests.

Owns the receive buffer, the queue of calls in flight and the outbox. Every whole frame that arrived
is handed to the core at once, as a view of the receive buffer. When too many calls are unanswered,
or too many answers unread, reading stops until the client has caught up.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable
from string import digits
from time import perf_counter
from typing import Final, Protocol, cast

from tickertape.base.errors import PeerError, StorageError
from tickertape.broker.server.frames import FrameBuffer
from tickertape.broker.server.limits import Limits
from tickertape.broker.server.outbox import Outbox
from tickertape.broker.server.request_memory import RequestMemory
from tickertape.broker.server.request_meters import ApiMeter, RequestMeters
from tickertape.broker.server.tls_outbox import TlsOutbox
from tickertape.broker.state.call import Call
from tickertape.broker.state.session import Session
from tickertape.wire.parts import Part, part_size

LOG = logging.getLogger("tickertape.broker")
_NO_DIGITS: Final = str.maketrans("", "", digits)
_JOIN_BELOW: Final = 4096  # a copy of so little is cheaper than one more part to gather


class Host(Protocol):
    """What a connection needs from the core loop."""

    limits: Limits
    meters: RequestMeters | None
    memory: RequestMemory | None
    handle: Callable[[memoryview, Call], None]

    def opened(self, connection: "Connection") -> bool:
        """Count it in; False if there are too many."""
        ...

    def closed(self, connection: "Connection") -> None:
        """Count it out."""
        ...

    def worked(self) -> None:
        """Requests have been handled: there may be something to sync or to wait for."""
        ...

    def has_answers(self, connection: "Connection") -> None:
        """Its outbox wants a flush."""
        ...

    def say(self, line: str, key: str | None = None, **fields: object) -> None:
        """Warn the operator, of the same ``key`` but now and then."""
        ...

    def now_ms(self) -> int:
        """Monotonic."""
        ...


class Welcome(Protocol):
    """Says who has come in by a listener."""

    def session(self, host: str, tls: ssl.SSLObject | None) -> Session:
        """PeerError if nobody who may."""
        ...


class Exchange:
    """One request and its answer to be: the shell's Call."""

    __slots__ = (
        "_began",
        "_connection",
        "_meter",
        "client_id",
        "connection_id",
        "on_gone",
        "parts",
        "peer",
        "session",
        "throttle_ms",
    )

    def __init__(self, connection: "Connection", meter: ApiMeter | None) -> None:
        self._connection = connection
        self._meter = meter
        self._began = 0.0 if meter is None else perf_counter()
        self.peer = connection.peer
        self.connection_id = connection.number
        self.session = connection.session
        self.throttle_ms = 0
        self.on_gone: Callable[[], None] | None = None
        self.client_id: str | None = None
        self.parts: list[Part] | None = None  # None until answered

    def answer(self, parts: list[Part]) -> None:
        """Send the response, after those of earlier requests."""
        assert self.parts is None, "answered twice"
        first = parts[0]
        if len(parts) == 1 and type(first) is bytes and len(first) < _JOIN_BELOW:
            self.parts = [len(first).to_bytes(4, "big") + first]
        else:
            size = sum(map(part_size, parts))
            self.parts = [size.to_bytes(4, "big"), *parts]
        self._finish()

    def no_answer(self) -> None:
        """Send nothing."""
        assert self.parts is None, "answered twice"
        self.parts = []
        self._finish()

    def count(self, error: int) -> None:
        """For the statistics."""
        if self._meter is not None:
            self._meter.failed(error)

    def close(self, reason: str) -> None:
        """Drop the connection."""
        self._connection.drop(reason)

    def hang_up(self, reason: str) -> None:
        """Drop the connection once what is answered has been sent."""
        self._connection.hang_up(reason)

    def alive(self) -> bool:
        """The connection is still there."""
        return self._connection.is_open

    def _finish(self) -> None:
        if self._meter is not None:
            self._meter.answered(self._began)
        if self.throttle_ms:
            self._connection.mute(self.throttle_ms)
        self._connection.answered(self)


class Connection(asyncio.BufferedProtocol):
    """See the module."""

    def __init__(
        self,
        host: Host,
        loop: asyncio.AbstractEventLoop,
        number: int,
        door: Welcome | None = None,
    ) -> None:
        self.number = number
        self.peer = "?"
        self.session = Session()
        self.is_open = False
        self.active_ms = host.now_ms()
        self._host = host
        self._door = door
        self._loop = loop
        self._frames = FrameBuffer(host.limits.frame_bytes_max)
        self._calls: deque[Exchange] = deque()
        self._transport: asyncio.Transport | None = None
        self._outbox: Outbox | TlsOutbox | None = None
        self._paused = False  # the limits are reached, or the broker is draining
        self._draining = False
        self._muted_until = 0.0  # a quota is exceeded: nothing is read before; 0.0: read at will
        self._starving = False  # others' requests take all the memory there is
        self._last_words: str | None = None  # the reason to close once everything is sent
        self._name = "?"

    # -- what asyncio calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket; refuse politely if there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername") or ("?", 0)
        self.peer = self.session.host = str(address[0])
        self._name = f"{address[0]}:{address[1]}"
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        try:
            if self._door is not None:
                self.session = self._door.session(self.peer, tls)
            self._outbox = self._new_outbox(self._transport, encrypted=tls is not None)
        except PeerError as error:
            self._host.say(
                f"connection from {self._name} refused: {error}", f"{self.peer}: {error}"
            )
            self.abort()
            return
        except OSError as error:  # no descriptor left
            refusal = f"refused: {error.strerror}"
            self._host.say(f"connection from {self._name} {refusal}", refusal, peer=self._name)
            self.abort()
            return
        self._limit_frames()
        self.is_open = True
        if not self._host.opened(self):
            self.abort()

    def pause_writing(self) -> None:
        """The transport's buffer is full: only under TLS are answers written to it."""
        if isinstance(self._outbox, TlsOutbox):
            self._outbox.pause()

    def resume_writing(self) -> None:
        """The transport takes more."""
        if isinstance(self._outbox, TlsOutbox):
            self._outbox.resume()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._frames.free()

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        self.active_ms = self._host.now_ms()
        self._frames.filled(nbytes)
        self._pump()

    def eof_received(self) -> bool:
        """The client has closed its side: so do we, as Kafka does."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone, whoever closed it."""
        self._shut()

    # -- what the core loop calls ------------------------------------------------------------

    def flush(self) -> None:
        """Send what has been answered."""
        if self._outbox is not None:
            self._outbox.flush()
        if self._last_words is not None and self.is_open and self.is_drained:
            line = f"connection from {self._name} closed: {self._last_words}"
            said = {"peer": self._name, "reason": self._last_words}
            self._host.say(line, f"{self.peer}: {self._last_words}", **said)
            self._shut()
            if self._transport is not None:
                self._transport.close()

    def answered(self, exchange: Exchange) -> None:
        """Move answers to the outbox as far as the order of requests allows."""
        if self._calls and exchange is self._calls[0] and self._outbox is not None:
            try:
                self._release(self._outbox)
            except StorageError as error:
                self.drop(f"an answer cannot be read: {error}")

    def mute(self, ms: int) -> None:
        """Read nothing for so long: the client has exceeded a quota (KIP-219)."""
        until = self._loop.time() + ms / 1000
        self._muted_until = max(self._muted_until, until)
        if self.is_open and not self._paused:
            self._pause()
        self._loop.call_at(until, self._unmute, until)

    def memory_granted(self) -> None:
        """There is memory for the rest of a large request, if nobody was faster."""
        self._starving = False
        self._loop.call_soon(self._resume)

    def drain(self) -> None:
        """Take no more requests; answers still go out."""
        self._draining = True
        if self.is_open and not self._paused:
            self._pause()

    @property
    def is_drained(self) -> bool:
        """Every answer given has been sent."""
        return self._outbox is None or self._outbox.is_empty

    def rest(self, now_ms: int) -> None:
        """Called now and then: give memory back; close if the client has been idle for too long."""
        quiet_ms = now_ms - self.active_ms
        if quiet_ms >= self._host.limits.idle_ms_max and (not self.is_drained or not self._calls):
            stuck = "" if self.is_drained else " with answers unread"
            self.drop(f"idle for {quiet_ms} ms{stuck}")
        elif quiet_ms >= 1000:
            self._frames.shrink()

    def drop(self, reason: str) -> None:
        """Close at once, with one line in the log."""
        if self.is_open:
            line = f"connection from {self._name} closed: {reason}"
            kind = f"{self.peer}: {reason.translate(_NO_DIGITS)}"  # the numbers are the client's
            self._host.say(line, kind, peer=self._name, reason=reason)
            self.abort()

    def hang_up(self, reason: str) -> None:
        """Take nothing more; close, with one line in the log, once everything has been sent."""
        self._last_words = reason
        if self.is_open and not self._paused:
            self._pause()
        self._host.has_answers(self)

    def abort(self) -> None:
        """Close at once, silently."""
        self._shut()
        if self._transport is not None:
            self._transport.abort()

    # -- inside ------------------------------------------------------------------------------

    def _new_outbox(self, transport: asyncio.Transport, *, encrypted: bool) -> Outbox | TlsOutbox:
        sock = cast(socket.socket, transport.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if encrypted:
            return TlsOutbox(self._loop, transport, self._sent, self._lost)
        own = sock.dup()
        own.settimeout(0)
        return Outbox(self._loop, own, self._sent, self._lost)

    def _limit_frames(self) -> None:
        """Small requests only, until the client has proven who it is."""
        gate, largest = self.session.gate, self._host.limits.frame_bytes_max
        if gate is not None and not gate.is_open:
            largest = min(largest, gate.settings.receive_bytes_max)
        self._frames.limit(largest)

    def _pump(self) -> None:
        """Hand every whole frame to the core, while the limits allow."""
        host, frames, calls = self._host, self._frames, self._calls
        try:
            while self.is_open and not self._paused:
                frame = frames.next_frame()
                if frame is None:
                    self._ask_for_memory()
                    break
                meter = None if host.meters is None else host.meters.of(frame)
                exchange = Exchange(self, meter)
                calls.append(exchange)
                gate = self.session.gate
                host.handle(frame, exchange)
                if gate is not None:
                    self._limit_frames()
                if host.memory is not None:
                    host.memory.give_back(self)
                if self._is_full() and not self._paused:
                    self._pause()
        except PeerError as error:
            self.drop(str(error))
        except Exception:
            LOG.exception("connection from %s closed: a request failed", self._name)
            self.abort()
        host.worked()

    def _ask_for_memory(self) -> None:
        """Read a large request to its end only if there is room for it."""
        memory, missing = self._host.memory, self._frames.missing
        if missing and memory is not None and not memory.take(self, missing):
            self._starving = True
            self._pause()

    def _is_full(self) -> bool:
        limits = self._host.limits
        held = 0 if self._outbox is None else self._outbox.held
        return len(self._calls) >= limits.calls_in_flight_max or held > limits.held_bytes_max

    def _pause(self) -> None:
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._may_read():
            self._paused = False
            self._pump()  # frames that arrived before the pause
            transport = self._transport
            if transport is not None and not self._paused and not transport.is_closing():
                transport.resume_reading()

    def _unmute(self, until: float) -> None:
        if until == self._muted_until:  # not one that a longer wait has outlived
            self._muted_until = 0.0
            self._resume()

    def _may_read(self) -> bool:
        is_ending = self._draining or self._last_words is not None
        return (
            self.is_open
            and not is_ending
            and not self._muted_until
            and not self._starving
            and not self._is_full()
        )

    def _release(self, outbox: Outbox | TlsOutbox) -> None:
        calls = self._calls
        while calls and (parts := calls[0].parts) is not None:
            calls.popleft()
            if parts:
                outbox.add(parts)
        self._host.has_answers(self)
        if self._paused:
            self._loop.call_soon(self._resume)

    def _sent(self) -> None:
        self.active_ms = self._host.now_ms()
        if self._last_words is not None:
            self._host.has_answers(self)
        elif self._draining:
            self._host.worked()  # the drain looks again
        elif self._paused:
            self._loop.call_soon(self._resume)

    def _lost(self, error: Exception) -> None:
        if isinstance(error, StorageError):
            self.drop(f"an answer cannot be read: {error}")
        else:  # the client went away: nothing that an operator could act on
            self.abort()

    def _shut(self) -> None:
        if self.is_open:
            self.is_open = False
            calls, self._calls = self._calls, deque()
            for call in calls:
                if call.parts is None and call.on_gone is not None:
                    call.on_gone()
            if self._outbox is not None:
                self._outbox.close()
                self._outbox = None
            if self._host.memory is not None:
                self._host.memory.give_back(self)
            self._host.closed(self)
