"""LZ4 frames as Kafka's Java readers want them (Lz4BlockInputStream)."""

import os

import pytest

from tickertape.wire.compression import LZ4, compress, decompress

BLOCK_INDEPENDENT = 0x20


@pytest.mark.parametrize("data", [b"", b"x", b"tick " * 50_000, os.urandom(150_000), b"a" * 65_536])
def test_blocks_are_independent_and_come_back(data: bytes) -> None:
    packed = compress(LZ4, data)
    assert packed[:4] == bytes.fromhex("04224d18")
    assert packed[4] & BLOCK_INDEPENDENT
    assert bytes(decompress(LZ4, packed, bytes_max=len(data) or 1)) == data
