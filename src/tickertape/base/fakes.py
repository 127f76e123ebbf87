"""Fakes of Clock, Rng and Workers: time moves only when told, randomness follows a seed."""

import random
from collections.abc import Callable, Sequence

from tickertape.base.ports import Job


class FakeClock:
    """A clock that stands still until ``advance``."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 0

    def now_ms(self) -> int:
        """Wall clock, ms since 1970."""
        return self._now_ms

    def monotonic_ms(self) -> int:
        """Milliseconds advanced so far."""
        return self._monotonic_ms

    def advance(self, ms: int) -> None:
        """Let ``ms`` milliseconds pass on both clocks."""
        assert ms >= 0
        self._now_ms += ms
        self._monotonic_ms += ms

    def jump_wall(self, ms: int) -> None:
        """Move the wall clock alone, forwards or back, as NTP or an operator does."""
        self._now_ms += ms


class SeededRng:
    """Randomness that a seed reproduces."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311  # reproducible on purpose, never for secrets

    def token(self, length: int) -> bytes:
        """``length`` bytes."""
        return self._random.randbytes(length)

    def below(self, stop: int) -> int:
        """A uniform integer in [0, stop)."""
        return self._random.randrange(stop)


class OneWorker:
    """Does one job after the other, and the rest although one has failed."""

    def run_all(self, jobs: Sequence[Callable[[], Job]]) -> list[Job]:
        """The result of each, in order."""
        results: list[Job] = []
        failures: list[Exception] = []
        for job in jobs:
            try:
                results.append(job())
            except Exception as error:  # noqa: BLE001  # it is raised below
                failures.append(error)
        if failures:
            raise failures[0]
        return results
