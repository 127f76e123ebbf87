import pytest

from tickertape.base.errors import MisuseError
from tickertape.config.properties import Entry, last_wins, read_properties, shadowed


def test_lines_are_counted_through_comments_blanks_and_continuations() -> None:
    text = b"# c\r\n\r\na=1\\\r\n  2\r\n! d\nb : 3\rc"
    assert read_properties(text, "f") == [
        Entry("a", "12", 3, "f"),
        Entry("b", "3", 6, "f"),
        Entry("c", "", 7, "f"),
    ]


def test_comments_may_be_utf_8_and_values_are_latin_1() -> None:
    data = "# 버킷 이름\nk=é\n".encode("latin-1", "ignore") + "# 토픽\n".encode() + b"t=\\ud1a0"
    assert [entry.value for entry in read_properties(data, "f")] == ["é", "토"]


def test_a_bad_escape_names_file_and_line() -> None:
    with pytest.raises(MisuseError, match=r"sink\.properties:3: got the escape .*u00g0"):
        read_properties(b"a=1\nb=2\nc=\\u00g0\n", "sink.properties")


def test_the_last_of_equal_keys_wins_and_the_others_are_known() -> None:
    entries = read_properties(b"a=1\nb=2\na=3\na=4\n", "f")
    assert last_wins(entries)["a"] == Entry("a", "4", 4, "f")
    assert [(loser.line, winner.line) for loser, winner in shadowed(entries)] == [(1, 4), (3, 4)]
