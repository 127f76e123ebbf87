"""Counts between bounds: nothing is lost, quantiles lie where the values lie."""

from hypothesis import given
from hypothesis import strategies as st

from tickertape.base.histogram import SECONDS, Histogram, Recent

BOUNDS = (1.0, 2.0, 5.0)


def filled(*values: float) -> Histogram:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    return histogram


def test_a_value_on_a_bound_belongs_below_it() -> None:
    histogram = filled(0.5, 1.0, 1.5, 2.0, 5.1)
    assert histogram.counts == [2, 2, 0, 1]
    assert (histogram.count, histogram.sum) == (5, 10.1)


def test_quantiles_spread_evenly_between_bounds_and_end_at_the_last() -> None:
    assert filled().quantile(0.5) is None
    assert filled(1.5, 1.5).quantile(0.5) == 1.5
    assert filled(1.5, 1.5).quantile(1.0) == 2.0
    assert filled(99).quantile(0.99) == 5.0


@given(st.lists(st.floats(0, 20), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.observe(value)
    estimate = histogram.quantile(share)
    assert estimate is not None
    at_most = sum(value <= estimate for value in values)
    bound = next((bound for bound in SECONDS if bound >= estimate), SECONDS[-1])
    below_bound = sum(value <= bound for value in values)
    assert at_most <= below_bound
    assert below_bound >= share * len(values) - 1e-9 or bound == SECONDS[-1]


def test_recent_forgets_what_is_two_spans_old() -> None:
    histogram = filled()
    recent = Recent(histogram, 1000, now_ms=0)
    histogram.observe(1.5)
    assert recent.values(500).count == 1
    assert recent.values(1000).count == 1  # the first mark
    histogram.observe(4.0)
    assert recent.values(1500).counts == [0, 1, 1, 0]
    assert recent.values(2000).counts == [0, 0, 1, 0]  # the second: before the first is forgotten
    assert recent.values(3000).count == 0
    assert histogram.count == 2
