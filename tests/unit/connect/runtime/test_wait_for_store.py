"""A store that does not answer when a worker starts: patience, and its end."""

from threading import Event

import pytest

from tickertape.base.fakes import FakeClock
from tickertape.connect.runtime.events import Limits
from tickertape.connect.runtime.worker import Connector, wait_for_store
from tickertape.connect.s3.assemble import Flush
from tickertape.connect.s3.settings import SinkSettings
from tickertape.objects.memory import MemoryStore
from tickertape.objects.store import ObjectStoreError

SETTINGS = SinkSettings(name="s3-sink", topics=("mytopic",), flush_size=3)


class Refusing(MemoryStore):
    """Fails its first checks with the errors given."""

    def __init__(self, *errors: ObjectStoreError) -> None:
        super().__init__()
        self._errors = list(errors)
        self.asked = 0

    def check(self) -> tuple[str, ...]:
        self.asked += 1
        if self._errors:
            raise self._errors.pop(0)
        return ("it forgets",)


class Ticking(Event):
    """Waiting moves the clock instead of taking time."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.advance(int((timeout or 0) * 1000))
        return self.is_set()


class Notes(list[str]):
    """A listener that keeps what is said."""

    noted = list.append

    def flushed(self, flush: Flush) -> None:
        raise AssertionError(flush)


def wait(store: Refusing, stop: Event | None = None, retry_ms_max: int = 900_000) -> Notes:
    clock, notes = FakeClock(), Notes()
    wait_for_store(
        Connector(SETTINGS, store),
        stop or Ticking(clock),
        clock=clock,
        listener=notes,
        limits=Limits(retry_ms_max=retry_ms_max),
    )
    return notes


def down() -> ObjectStoreError:
    return ObjectStoreError("nobody there", retriable=True)


def test_a_short_outage_is_waited_for_with_a_line_per_attempt() -> None:
    assert wait(Refusing(down(), down())) == [
        "the store does not answer, again in 5000 ms (attempt 1): nobody there",
        "the store does not answer, again in 5000 ms (attempt 2): nobody there",
        "WARNING: it forgets",
    ]


def test_what_a_person_must_mend_ends_it_at_once() -> None:
    store = Refusing(down(), ObjectStoreError("no such bucket", retriable=False))
    with pytest.raises(ObjectStoreError, match="no such bucket"):
        wait(store)
    assert store.asked == 2


def test_patience_ends() -> None:
    store = Refusing(*(down() for _ in range(10)))
    with pytest.raises(ObjectStoreError, match="nobody there") as caught:
        wait(store, retry_ms_max=20_000)
    assert store.asked == 5
    assert caught.value.__notes__ == ["given up after 20000 ms; nothing was skipped"]


def test_a_stop_ends_it_well() -> None:
    stop = Event()
    stop.set()
    assert wait(Refusing(down()), stop) == []
