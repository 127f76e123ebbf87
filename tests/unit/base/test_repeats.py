"""The same line passes now and then, and says how often it was held back."""

from tickertape.base.fakes import FakeClock
from tickertape.base.repeats import Repeats


def test_repetitions_are_counted_not_written() -> None:
    clock = FakeClock()
    repeats = Repeats(clock, every_ms=1000)
    assert repeats.passes("disk", "disk full") == "disk full"
    assert [repeats.passes("disk", "disk full") for _ in range(7)] == [None] * 7
    assert repeats.passes("net", "net gone") == "net gone"
    clock.advance(1000)
    assert repeats.passes("disk", "disk full") == "disk full (7 times more since the last line)"
    clock.advance(1000)
    assert repeats.passes("disk", "disk full") == "disk full"


def test_endless_keys_take_bounded_memory_and_still_pass() -> None:
    repeats = Repeats(FakeClock(), every_ms=1000)
    lines = [repeats.passes(f"peer {n}", "closed") for n in range(5_000)]
    assert lines == ["closed"] * 5_000
    assert len(repeats._last) <= 1_000
