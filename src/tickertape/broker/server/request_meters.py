"""What every request costs: how many, how long, and which errors they were answered with.

Kept only where somebody may look. A request is timed from the moment that it is whole to its
answer, so a long poll's wait is in it, as in Kafka's TotalTimeMs.
"""

from time import perf_counter
from typing import Final

from tickertape.base.histogram import Histogram, Recent
from tickertape.wire.api_keys import ApiKey

SPAN_MS = 60_000
_KNOWN: Final = frozenset(map(int, ApiKey))


class ApiMeter:
    """Of one API."""

    __slots__ = ("errors", "recent", "seconds")

    def __init__(self, now_ms: int) -> None:
        self.seconds = Histogram()
        self.recent = Recent(self.seconds, SPAN_MS, now_ms)
        self.errors: dict[int, int] = {}  # error code -> how often

    def answered(self, began: float) -> None:
        """A request that began then (``perf_counter``) has its answer."""
        self.seconds.observe(perf_counter() - began)

    def failed(self, error: int) -> None:
        """An answer holds this error."""
        self.errors[error] = self.errors.get(error, 0) + 1


class RequestMeters:
    """Of all APIs, by key."""

    def __init__(self, now_ms: int) -> None:
        self.by_key: dict[int, ApiMeter] = {}
        self._began_ms = now_ms

    def of(self, frame: memoryview) -> ApiMeter | None:
        """The meter of this request's API; None if Kafka has no such API."""
        key = int.from_bytes(frame[:2], "big")
        meter = self.by_key.get(key)
        if meter is None and key in _KNOWN:
            meter = self.by_key[key] = ApiMeter(self._began_ms)
        return meter
