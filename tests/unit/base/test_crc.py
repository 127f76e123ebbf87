"""The checksum is the crc32c package's, whichever way it was loaded."""

import crc32c as package
from hypothesis import given
from hypothesis import strategies as st

from tickertape.base.crc import crc32c


def test_the_check_value_of_the_catalogue() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_it_continues_from_a_value_and_takes_any_buffer(head: bytes, tail: bytes) -> None:
    whole = package.crc32c(head + tail)
    assert crc32c(tail, crc32c(head)) == whole
    assert crc32c(memoryview(bytearray(head + tail))) == whole
