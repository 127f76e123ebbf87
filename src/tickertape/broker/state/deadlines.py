"""One deadline per name, on the monotonic clock; the memory follows the names that have one."""

import heapq
from typing import Final

from tickertape.broker.state.waits import NEVER_MS

_SPARE: Final = 100  # so many outdated entries are no burden


class Deadlines:
    """See the module."""

    def __init__(self) -> None:
        """None yet."""
        self._due_ms: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []  # some of them outdated

    def __contains__(self, name: str) -> bool:
        """Whether it has one."""
        return name in self._due_ms

    def __len__(self) -> int:
        """Entries in memory, outdated ones included."""
        return len(self._heap)

    def set(self, name: str, due_ms: int) -> None:
        """Its only deadline, from now on."""
        self._due_ms[name] = due_ms
        if len(self._heap) > 2 * len(self._due_ms) + _SPARE:
            self._heap = [(due, each) for each, due in self._due_ms.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (due_ms, name))

    def drop(self, name: str) -> None:
        """It has none any more."""
        self._due_ms.pop(name, None)

    def take(self, now_ms: int) -> list[str]:
        """Those that are due: they have none any more."""
        found = []
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, name = heapq.heappop(self._heap)
            if self._due_ms.get(name) == due_ms:
                del self._due_ms[name]
                found.append(name)
        return found

    def next_ms(self) -> int:
        """Nothing is due before this."""
        return self._heap[0][0] if self._heap else NEVER_MS
