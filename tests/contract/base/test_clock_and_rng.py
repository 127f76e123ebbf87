"""Clock, Rng and Workers, real and fake: the same promises."""

import threading
from functools import partial

import pytest

from tickertape.base.errors import StorageError
from tickertape.base.fakes import FakeClock, OneWorker, SeededRng
from tickertape.base.ports import Clock, Rng, Workers
from tickertape.base.world import SystemClock, SystemRng, Threads


@pytest.fixture(params=[SystemRng, SeededRng])
def rng(request: pytest.FixtureRequest) -> Rng:
    made: Rng = request.param()
    return made


@pytest.fixture(params=[SystemClock, FakeClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


@pytest.mark.parametrize("stop", [1, 2, 3, 7, 8, 9, 255, 256, 257])
def test_below_stays_below_and_reaches_both_ends(rng: Rng, stop: int) -> None:
    found = {rng.below(stop) for _ in range(40 * stop)}
    assert found <= set(range(stop))
    assert {0, stop - 1} <= found  # each missed with a chance of e^-40


def test_a_token_has_its_length_and_is_not_the_last_one(rng: Rng) -> None:
    assert rng.token(0) == b""
    first, second = rng.token(16), rng.token(16)
    assert len(first) == len(second) == 16
    assert first != second


def test_monotonic_time_never_goes_back(clock: Clock) -> None:
    readings = [clock.monotonic_ms() for _ in range(100)]
    assert readings == sorted(readings)


def test_wall_time_is_milliseconds_since_1970(clock: Clock) -> None:
    assert 1_600_000_000_000 < clock.now_ms() < 4_000_000_000_000


@pytest.fixture(params=["one", "three"])
def workers(request: pytest.FixtureRequest) -> Workers:
    return OneWorker() if request.param == "one" else Threads(3)


def test_workers_answer_in_the_order_of_their_jobs(workers: Workers) -> None:
    assert workers.run_all([]) == []
    assert workers.run_all([partial(divmod, n, 3) for n in range(10)]) == [
        divmod(n, 3) for n in range(10)
    ]


def test_a_failure_is_raised_once_all_jobs_have_ended(workers: Workers) -> None:
    done: list[int] = []

    def job(number: int) -> None:
        if number in {2, 4}:
            raise StorageError(f"job {number}")
        done.append(number)

    with pytest.raises(StorageError, match="job 2"):
        workers.run_all([partial(job, number) for number in range(6)])
    assert sorted(done) == [0, 1, 3, 5]


@pytest.mark.parametrize("free", [0, 1])
def test_where_too_few_threads_can_be_had_those_that_there_are_do_it(
    free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    left = iter(range(free))

    def refuse(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert Threads(4).run_all([partial(abs, -n) for n in range(10)]) == list(range(10))
