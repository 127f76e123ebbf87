"""Arithmetic of offset runs, against sets of integers."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tickertape.connect.s3.runs import Run, common, doubled, merged, spelled, subtract

runs = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 6)).map(lambda ab: (ab[0], ab[0] + ab[1])),
    max_size=8,
)


def flat(found: list[Run]) -> set[int]:
    return {offset for first, last in found for offset in range(first, last + 1)}


@given(runs, runs)
def test_runs_behave_as_sets_do(left: list[Run], right: list[Run]) -> None:
    assert flat(merged(left)) == flat(left)
    assert flat(subtract(left, right)) == flat(left) - flat(right)
    assert flat(common(left, right)) == flat(left) & flat(right)
    assert flat(doubled(left)) == {
        offset for offset in flat(left) if sum(a <= offset <= b for a, b in left) > 1
    }


@given(runs)
def test_merged_runs_rise_and_do_not_touch(found: list[Run]) -> None:
    union = merged(found)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(union))


def test_spelled() -> None:
    assert spelled([(0, 9), (12, 12), (20, 29)]) == "0-9, 12, 20-29"
