"""How values are distributed: counts between fixed bounds, cheap enough for every request."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

SECONDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Bounds for the time that a request or a sync takes."""


class Histogram:
    """``counts[n]`` values were at most ``bounds[n]`` and above the one before."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS, counts: list[int] | None = None) -> None:
        """Empty, or with these counts."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1) if counts is None else counts
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count it in."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def copy(self) -> "Histogram":
        """As it is now."""
        copied = Histogram(self.bounds, self.counts[:])
        copied.sum = self.sum
        return copied

    def since(self, earlier: "Histogram") -> "Histogram":
        """What came after ``earlier``, a copy of this one."""
        pairs = zip(self.counts, earlier.counts, strict=True)
        found = Histogram(self.bounds, [now - then for now, then in pairs])
        found.sum = self.sum - earlier.sum
        return found

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Below this lie ``share`` of the values, by even spread between bounds; None if empty.

        Where that is beyond the last bound, the last bound.
        """
        wanted = share * self.count
        if not self.count:
            return None
        below = 0
        for number, count in enumerate(self.counts[:-1]):
            if count and below + count >= wanted:
                low = self.bounds[number - 1] if number else 0.0
                return low + (self.bounds[number] - low) * (wanted - below) / count
            below += count
        return self.bounds[-1]


class Recent:
    """What came lately, for whoever asks now and then: at least one span, if asked that often."""

    def __init__(self, of: Histogram, span_ms: int, now_ms: int) -> None:
        """Nothing before ``now_ms`` counts."""
        self._of = of
        self._span_ms = span_ms
        self._older = self._newer = of.copy()
        self._newer_ms = now_ms

    def values(self, now_ms: int) -> Histogram:
        """What came since the mark before the last; a mark is set when the last is a span old."""
        if now_ms - self._newer_ms >= self._span_ms:
            self._older, self._newer, self._newer_ms = self._newer, self._of.copy(), now_ms
        return self._of.since(self._older)
