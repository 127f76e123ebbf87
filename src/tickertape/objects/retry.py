"""Retries with a budget: exponential, with full jitter from a seedable source.

The waiting itself is a port, so that a stop signal can end it and tests need no time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tickertape.base.ports import Rng

Sleep: TypeAlias = Callable[[float], object]  # seconds; threading.Event.wait and time.sleep fit


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """How often one call is tried, and how long to wait in between.

    The n-th wait is uniform in (0, min(``backoff_ms_max``, ``backoff_ms`` * 2**n)] milliseconds.
    """

    attempts_max: int = 4
    backoff_ms: int = 200
    backoff_ms_max: int = 20_000

    def attempts(self, sleep: Sleep, rng: Rng) -> Iterator[int]:
        """Attempt numbers from 1; waits before each one but the first."""
        for attempt in range(1, self.attempts_max + 1):
            if attempt > 1:
                ceiling = min(self.backoff_ms_max, self.backoff_ms << min(attempt - 2, 16))
                sleep((1 + rng.below(max(1, ceiling))) / 1000)
            yield attempt
