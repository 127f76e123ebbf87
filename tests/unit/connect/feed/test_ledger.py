"""The eight counters, on histories small enough to count by hand."""

import pytest

from tickertape.connect.feed.ledger import Ledger, Tally


def ledger(sent: str, acked: str, received: str, negative: int = 0) -> Ledger:
    tally = Tally()
    for letter in sent:
        tally.sent(letter.encode())
    for letter in acked:
        tally.acked(letter.encode())
    for letter in received:
        tally.received(letter.encode())
    tally.negative = negative
    return tally.ledger()


def test_a_clean_run() -> None:
    found = ledger("abc", "cba", "bca")
    assert found == Ledger(3, 3, 3, 0, 3, 0, 0, 0)
    assert found.clean


@pytest.mark.parametrize(
    ("sent", "acked", "received", "negative", "want"),
    [
        ("abc", "abc", "ab", 0, Ledger(3, 3, 3, 0, 2, 1, 0, 0)),  # an acknowledged loss
        ("abc", "ab", "ab", 1, Ledger(3, 3, 2, 1, 2, 0, 0, 0)),  # refused and not there
        ("abc", "ab", "abc", 0, Ledger(3, 2, 2, 0, 3, 0, 1, 0)),  # there, nobody said so
        ("abc", "abc", "aabc", 0, Ledger(3, 3, 3, 0, 4, 0, 0, 1)),
        ("abc", "abc", "aaaabbc", 0, Ledger(3, 3, 3, 0, 7, 0, 0, 2)),  # values, not copies
        ("abc", "abc", "abcxyz", 0, Ledger(3, 3, 3, 0, 3, 0, 0, 0)),  # strangers do not count
    ],
)
def test_columns(sent: str, acked: str, received: str, negative: int, want: Ledger) -> None:
    assert ledger(sent, acked, received, negative) == want


def test_equal_rows_of_the_input_are_expected_as_often_as_they_were_sent() -> None:
    assert ledger("aab", "aab", "aab").clean
    assert ledger("aab", "aab", "ab").NotReceived == 1
    assert ledger("aab", "aab", "aaab").MsgsWithDups == 1


@pytest.mark.parametrize("flaw", [("ab", "a", "ab"), ("ab", "ab", "a"), ("ab", "ab", "aab")])
def test_any_flaw_is_not_clean(flaw: tuple[str, str, str]) -> None:
    assert not ledger(*flaw).clean
