"""Things to do a little later, in the core's own thread: a heap of deadlines, run by ``tick``."""

import heapq
from collections.abc import Callable

from tickertape.base.ports import Clock
from tickertape.broker.state.waits import NEVER_MS


class Alarms:
    """See the module. Nothing can be taken back: an action looks itself whether it is wanted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0

    def __len__(self) -> int:
        """How many are set."""
        return len(self._heap)

    def after(self, ms: int, action: Callable[[], None]) -> None:
        """Run ``action`` in the first tick that is at least ``ms`` away."""
        self._sequence += 1
        at_ms = self._clock.monotonic_ms() + ms
        heapq.heappush(self._heap, (at_ms, self._sequence, action))

    def run(self, now_ms: int) -> int:
        """Run what is due; returns the next deadline."""
        heap = self._heap
        while heap and heap[0][0] <= now_ms:
            heapq.heappop(heap)[2]()
        return heap[0][0] if heap else NEVER_MS
