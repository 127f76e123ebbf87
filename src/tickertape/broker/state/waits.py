"""Requests that cannot be answered yet: for durability (produce, commits) or for data (fetch).

A Waiter is settled slot by slot, as the records it appended become durable or the disk fails; a
Sleeper is woken when a partition it watches has something new. Both have a deadline on the
monotonic clock. Nothing here knows an API: the objects that wait belong to broker.api and to the
groups.
"""

import heapq
from collections import deque
from typing import Final, Protocol

from tickertape.log.partition import PartitionLog
from tickertape.wire.error_codes import ErrorCode

NEVER_MS = 1 << 62
_ANSWERED_MAX: Final = 100  # so many long polls may be remembered after their answer


class Waiter(Protocol):
    """Waits until records are durable. ``expire`` may be followed by ``settle``."""

    deadline_ms: int

    def settle(self, slot: int, error: ErrorCode, message: str | None) -> None:
        """What it appended as ``slot`` is durable (NONE), or will never be known to be."""
        ...

    def expire(self) -> None:
        """The deadline has passed: answer with what is known."""
        ...


class Sleeper(Protocol):
    """Waits until a partition has more to read."""

    deadline_ms: int

    def wake(self, *, due: bool) -> bool:
        """Answer if there is enough, or in any case if ``due``. True once answered."""
        ...


class Partition:
    """A partition's log with those who wait for it. Identity is equality."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "index",
        "log",
        "records_in",
        "sleepers",
        "topic",
        "waiting",
    )

    def __init__(self, topic: str, index: int, log: PartitionLog) -> None:
        self.topic = topic
        self.index = index
        self.log = log
        self.waiting: deque[tuple[int, Waiter, int]] = deque()  # durable offset needed, who, slot
        self.sleepers: dict[Sleeper, None] = {}
        self.records_in = 0  # of producers, since the start
        self.bytes_in = 0
        self.bytes_out = 0

    def settle(self) -> None:
        """Release everybody whose records are durable; all of them if the log has failed."""
        waiting, durable = self.waiting, self.log.durable_offset
        while waiting and waiting[0][0] <= durable:
            _, waiter, slot = waiting.popleft()
            waiter.settle(slot, ErrorCode.NONE, None)
        if waiting and self.log.failed is not None:
            self.settle_all(ErrorCode.KAFKA_STORAGE_ERROR, self.log.failed)

    def settle_all(self, error: ErrorCode, message: str) -> None:
        """Send everybody away: the log has failed, or is gone."""
        waiting, self.waiting = self.waiting, deque()
        for _, waiter, slot in waiting:
            waiter.settle(slot, error, message)

    def wake(self) -> None:
        """Let everybody who sleeps on this partition look again."""
        for sleeper in list(self.sleepers):
            sleeper.wake(due=False)


class DurableWaits:
    """All waiters with their deadlines. Adding and removing is O(1); expiry scans when due."""

    def __init__(self) -> None:
        self._active: dict[Waiter, None] = {}
        self._due_ms = NEVER_MS  # no waiter expires before this
        self.answered = 0  # of all that ever waited

    def __len__(self) -> int:
        """How many wait."""
        return len(self._active)

    def add(self, waiter: Waiter) -> None:
        """From now on its deadline counts."""
        self._active[waiter] = None
        self._due_ms = min(self._due_ms, waiter.deadline_ms)

    def remove(self, waiter: Waiter) -> None:
        """It has its answer."""
        self.answered += 1
        self._active.pop(waiter, None)

    def expire(self, now_ms: int) -> int:
        """Expire what is due; returns a time before which nothing else is."""
        if self._due_ms <= now_ms:
            late = [waiter for waiter in self._active if waiter.deadline_ms <= now_ms]
            for waiter in late:
                self._active.pop(waiter, None)
                waiter.expire()
            self._due_ms = min((waiter.deadline_ms for waiter in self._active), default=NEVER_MS)
        return self._due_ms


class FetchWaits:
    """Long polls by deadline; bounded."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._heap: list[tuple[int, int, Sleeper]] = []
        self._asleep: dict[Sleeper, list[Partition]] = {}
        self._sequence = 0

    def __len__(self) -> int:
        """How many sleep."""
        return len(self._asleep)

    def is_full(self) -> bool:
        """A further one must be answered at once."""
        return len(self._asleep) >= self._size_max

    def add(self, sleeper: Sleeper, partitions: list[Partition]) -> None:
        """Let it sleep until one of ``partitions`` advances or its deadline passes."""
        self._asleep[sleeper] = partitions
        self._sequence += 1
        if len(self._heap) > 2 * len(self._asleep) + _ANSWERED_MAX:
            self._heap = [entry for entry in self._heap if entry[2] in self._asleep]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (sleeper.deadline_ms, self._sequence, sleeper))
        for partition in partitions:
            partition.sleepers[sleeper] = None

    def remove(self, sleeper: Sleeper) -> None:
        """It has its answer."""
        for partition in self._asleep.pop(sleeper, ()):
            partition.sleepers.pop(sleeper, None)

    def expire(self, now_ms: int) -> int:
        """Answer whose deadline has passed; returns the next deadline."""
        heap = self._heap
        while heap and (heap[0][0] <= now_ms or heap[0][2] not in self._asleep):
            sleeper = heapq.heappop(heap)[2]
            if sleeper in self._asleep:
                sleeper.wake(due=True)
        return heap[0][0] if heap else NEVER_MS
