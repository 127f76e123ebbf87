"""A lake that is away for a moment is waited for; one that will not come is an error at once."""

import pytest

from tickertape.base.fakes import FakeClock
from tickertape.cli.run_job import reach_store
from tickertape.objects.memory import MemoryStore
from tickertape.objects.store import ObjectStoreError


class Flaky(MemoryStore):
    """Fails its first ``times`` checks."""

    def __init__(self, times: int, *, retriable: bool) -> None:
        super().__init__()
        self.left = times
        self._error = ObjectStoreError("head bucket: 503 SlowDown", retriable=retriable)

    def check(self) -> tuple[str, ...]:
        if self.left:
            self.left -= 1
            raise self._error
        return ("a warning",)


class Wait:
    """What the job would say and do meanwhile."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.said: list[str] = []

    def pause(self, seconds: float) -> None:
        self.clock.advance(round(seconds * 1000))

    def for_(self, store: Flaky) -> tuple[str, ...]:
        return reach_store(store, self.clock, self.said.append, self.pause)


def test_an_outage_is_waited_out_and_said() -> None:
    wait = Wait()
    assert wait.for_(Flaky(3, retriable=True)) == ("a warning",)
    assert wait.said == ["waiting for the lake: head bucket: 503 SlowDown"] * 3


def test_an_outage_without_end_is_an_error_after_a_minute() -> None:
    wait, began = Wait(), FakeClock().monotonic_ms()
    with pytest.raises(ObjectStoreError, match="SlowDown"):
        wait.for_(Flaky(1_000_000, retriable=True))
    assert 60_000 <= wait.clock.monotonic_ms() - began <= 62_000


def test_what_waiting_cannot_mend_is_an_error_at_once() -> None:
    wait, store = Wait(), Flaky(2, retriable=False)
    with pytest.raises(ObjectStoreError):
        wait.for_(store)
    assert (wait.said, store.left) == ([], 1)
