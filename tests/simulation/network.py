"""TCP as it may be: each connection keeps its order, and that is all that it promises.

Requests and answers take their time. A connection breaks before a request arrives, or after it has
arrived and before its answer does. A client that gives up leaves requests on the way, and a
``lingering`` line still delivers them: the server has not noticed yet.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from tests.simulation.world import Promise, World

from tickertape.broker.state.session import Session
from tickertape.wire.parts import Part, part_bytes


class Host(Protocol):
    """Who listens."""

    @property
    def is_up(self) -> bool: ...

    def receive(self, line: "Line", frame: bytes) -> None: ...

    def hung_up(self, call: "LineCall") -> None: ...


class Network:
    """The weather that all lines share."""

    def __init__(self, world: World, host: Host) -> None:
        self.world = world
        self.host = host
        self.cut_chance = 0.0
        self.latency_ms = 4
        self.is_down = False
        self.lines: dict[int, Line] = {}
        self._numbers = 0

    def connect(self, *, lingers: bool) -> "Line":
        self._numbers += 1
        return Line(self, self._numbers, lingers=lingers)

    def cut_all(self) -> None:
        for line in list(self.lines.values()):
            line.cut()

    def calm(self) -> None:
        self.cut_chance = 0.0
        self.latency_ms = 2
        self.is_down = False


class Line:
    """One connection; the client has one end, the server the other."""

    def __init__(self, network: Network, number: int, *, lingers: bool) -> None:
        self.number = number
        self.is_open = network.host.is_up and not network.is_down
        self.calls: deque[LineCall] = deque()
        self._network = network
        self._world = network.world
        self._lingers = lingers
        self._there: deque[bytes] = deque()
        self._back: deque[bytes] = deque()
        self._promised: deque[Promise[bytes | None]] = deque()
        self._there_ms = self._back_ms = 0
        if self.is_open:
            network.lines[number] = self

    @property
    def reaches(self) -> bool:
        """The server believes that somebody is there."""
        return self.is_open or (self._lingers and bool(self._there))

    def ask(self, frame: bytes) -> Promise[bytes | None]:
        """The answer; None if the connection breaks before it comes."""
        promise: Promise[bytes | None] = Promise()
        world = self._world
        if not self.is_open:
            world.after(1 + world.soon_ms(20), lambda: promise.keep(None))
            return promise
        self._promised.append(promise)
        breaks = self._network.cut_chance and world.chance(self._network.cut_chance)
        if breaks and world.chance(0.4):
            self.cut()  # before it is on its way
            return promise
        self._there.append(frame)
        self._there_ms = max(self._there_ms, world.now_ms + world.soon_ms(self._network.latency_ms))
        world.after(self._there_ms - world.now_ms, lambda: self._arrive(breaks=bool(breaks)))
        return promise

    def _arrive(self, *, breaks: bool) -> None:
        if self._there and self.reaches:
            frame = self._there.popleft()
            self._network.host.receive(self, frame)
            if breaks:
                self.cut()
            self._notice()

    def release(self) -> None:
        """Answers go out in the order of the requests."""
        while self.calls and (answer := self.calls[0].outcome) is not None:
            self.calls.popleft()
            if not self.is_open:
                continue
            self._back.append(answer)
            world = self._world
            slowest = self._network.latency_ms
            self._back_ms = max(self._back_ms, world.now_ms + world.soon_ms(slowest))
            world.after(self._back_ms - world.now_ms, self._deliver)

    def _deliver(self) -> None:
        if self.is_open and self._back:
            self._promised.popleft().keep(self._back.popleft())

    def cut(self) -> None:
        """The connection is lost: at once for the client, for the server when it notices."""
        if not self.is_open:
            return
        self.is_open = False
        self._network.lines.pop(self.number, None)
        if not self._lingers or self._world.chance(0.5):
            self._there.clear()
        self._back.clear()
        self._notice()
        while self._promised:
            promise = self._promised.popleft()
            self._world.after(0, _keeper(promise))

    def _notice(self) -> None:
        """Once nothing more arrives, the server sees that the connection is gone."""
        if not self.reaches:
            while self.calls:
                self._network.host.hung_up(self.calls.popleft())


def _keeper(promise: Promise[bytes | None]) -> Callable[[], None]:
    return lambda: promise.keep(None)


class LineCall:
    """A request that the broker has in hand (broker.state.call.Call)."""

    def __init__(self, line: Line, on_close: Callable[[str], None]) -> None:
        self.peer = "127.0.0.1"
        self.client_id: str | None = None
        self.connection_id = line.number
        self.session = Session()
        self.throttle_ms = 0
        self.on_gone: Callable[[], None] | None = None
        self.outcome: bytes | None = None
        self._line = line
        self._on_close = on_close

    def answer(self, parts: list[Part]) -> None:
        assert self.outcome is None, "a request was answered twice"
        self.outcome = b"".join(part_bytes(part) for part in parts)
        self._line.release()

    def no_answer(self) -> None:
        assert not self.alive(), "nobody here sends with acks=0"
        self.outcome = b""

    def count(self, error: int) -> None:
        """Statistics are not judged."""

    def hang_up(self, reason: str) -> None:
        self._on_close(reason)

    def close(self, reason: str) -> None:
        self._on_close(reason)

    def alive(self) -> bool:
        return self._line.reaches
