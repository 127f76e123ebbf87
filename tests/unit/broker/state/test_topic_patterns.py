"""Topic patterns: as re where RE2 is, and no pattern takes long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.broker.state.topic_patterns import (
    _STEPS_MAX,
    Pattern,
    UnsupportedPatternError,
)

ATOMS = st.sampled_from(
    ["a", "b", "\\.", ".", "[ab]", "[^a]", "[a-c_]", "\\d", "\\w", "[^\\d.]", "^", "$"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: f"(?:{'|'.join(each)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)
NAMES = st.text("abc.1_-", max_size=6)


@given(pattern=PATTERNS, name=NAMES)
def test_it_matches_what_a_full_match_of_re_does(pattern: str, name: str) -> None:
    assert Pattern(pattern).matches(name) == bool(re.fullmatch(pattern, name))


def test_a_flag_for_the_whole_pattern() -> None:
    assert Pattern("(?i)TICKS-.*").matches("ticks-1")
    assert not Pattern("TICKS-.*").matches("ticks-1")


@pytest.mark.parametrize(
    "pattern",
    ["(", "(a)\\1", "(?=a)", "(?<!a)b", "a++", "(?>a)", "\\b", "(?i:a)", "a{2000}",
     "((a{100}){100})", "(" * 900, "a" * 1001, "[z-a]", "*"],
)  # fmt: skip
def test_what_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedPatternError):
        Pattern(pattern)


def test_a_pattern_that_hangs_who_tracks_back() -> None:
    """With re this does not end before the sun does."""
    assert not Pattern("((a*)*)*b").matches("a" * 249)


def test_nothing_repeated_a_thousand_times_a_thousand_times_and_so_on() -> None:
    """It makes no steps, so no bound on steps stops it."""
    assert Pattern("((((){1000}){1000}){1000}){1000}a").matches("a")
    assert Pattern("(((a{0}){1000}){1000}){1000}a").matches("a")


def test_more_steps_than_are_remembered() -> None:
    text = ".*a.{12}"
    pattern = Pattern(text)
    names = [f"{number:020b}".replace("1", "a") for number in range(0, 1 << 20, 701)]
    assert [pattern.matches(name) for name in names] == [
        bool(re.fullmatch(text, name)) for name in names
    ]
    assert len(pattern._steps) <= _STEPS_MAX
