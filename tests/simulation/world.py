"""Time, tasks and chance: all that happens in a simulation happens here, in an order of the seed.

One heap of events on a fake clock. What falls on the same millisecond is drawn at random, so a seed
is one interleaving. Tasks are coroutines that wait for Promises and nothing else; no event loop, no
thread, no real time. Every line that is said goes into a digest: same seed, same digest.
"""

import heapq
import random
from collections.abc import Callable, Coroutine, Generator
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from tickertape.base.fakes import FakeClock

T = TypeVar("T")


class Promise(Generic[T]):
    """Something that a task waits for. The first value counts, later ones are ignored."""

    __slots__ = ("_value", "_waiting", "kept")

    def __init__(self) -> None:
        self.kept = False
        self._value: T | None = None
        self._waiting: Task | None = None

    def keep(self, value: T) -> None:
        if not self.kept:
            self.kept = True
            self._value = value
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                waiting.resume()

    def __await__(self) -> "Generator[Promise[T], None, T]":
        if not self.kept:
            yield self
        return self._value  # type: ignore[return-value]  # kept, hence a T

    def tell(self, task: "Task") -> None:
        assert self._waiting is None, "one task waits for a promise"
        self._waiting = task


class Task:
    """A coroutine under way; ``stop`` ends it where it waits, as the death of a process does."""

    def __init__(self, name: str, body: Coroutine[Promise[Any], None, None]) -> None:
        self.name = name
        self.over = False
        self._body = body

    def resume(self) -> None:
        if self.over:
            return
        try:
            promise = self._body.send(None)
        except StopIteration:
            self.over = True
        else:
            promise.tell(self)

    def stop(self) -> None:
        if not self.over:
            self.over = True
            self._body.close()


class World:
    """See the module."""

    def __init__(self, seed: int, listener: Callable[[str], None] | None = None) -> None:
        self.rng = random.Random(seed)
        self.clock = FakeClock()
        self.step = 0
        self._events: list[tuple[int, float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._digest = blake2b(digest_size=8)
        self._listener = listener
        self._tasks: list[Task] = []

    @property
    def now_ms(self) -> int:
        return self.clock.monotonic_ms()

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def say(self, who: str, what: str) -> None:
        line = f"{self.step:6d} {self.now_ms:7d} ms  {who}: {what}"
        self._digest.update(line.encode())
        if self._listener is not None:
            self._listener(line)

    # -- chance

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def soon_ms(self, most: int) -> int:
        """Mostly little, sometimes much."""
        return int(most * self.rng.random() ** 3)

    # -- time

    def after(self, ms: int, action: Callable[[], None]) -> None:
        self._sequence += 1
        entry = (self.now_ms + ms, self.rng.random(), self._sequence, action)
        heapq.heappush(self._events, entry)

    def sleep(self, ms: int) -> Promise[None]:
        promise: Promise[None] = Promise()
        self.after(ms, lambda: promise.keep(None))
        return promise

    def spawn(self, name: str, body: Coroutine[Promise[Any], None, None]) -> Task:
        """A task, which begins at the next event."""
        task = Task(name, body)
        self._tasks.append(task)
        self.after(0, task.resume)
        return task

    def close(self) -> None:
        """Nobody goes on."""
        for task in self._tasks:
            task.stop()

    def run(self, *, until_ms: int, steps: int = 1 << 60) -> None:
        """Let events happen up to that time, ``steps`` at most."""
        events, clock = self._events, self.clock
        last = self.step + steps
        while events and events[0][0] <= until_ms and self.step < last:
            at_ms, _, _, action = heapq.heappop(events)
            clock.advance(at_ms - clock.monotonic_ms())
            self.step += 1
            action()

    def run_task(self, name: str, body: Coroutine[Promise[Any], None, None], *, ms: int) -> None:
        """Until the task is over; it must be so within ``ms``."""
        task = self.spawn(name, body)
        end_ms = self.now_ms + ms
        while not task.over:
            assert self._events, f"{name} waits for nothing"
            assert self._events[0][0] <= end_ms, f"{name} is not over after {ms} ms"
            self.run(until_ms=end_ms, steps=1)
