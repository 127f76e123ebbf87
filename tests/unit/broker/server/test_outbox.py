"""The outbox on a real socket pair: exact bytes in order, whatever the reader's pace."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import FakeFileSystem
from tickertape.base.ports import File
from tickertape.base.world import OsFileSystem
from tickertape.broker.server.outbox import Outbox
from tickertape.broker.server.tls_outbox import TlsOutbox
from tickertape.wire.parts import FileSlice, Part, part_bytes

CONTENT = bytes(range(256)) * 4096  # 1 MiB


def real_file(folder: Path) -> File:
    file = OsFileSystem().open(str(folder / "segment"), create=True)
    file.append([CONTENT])
    return file


def fake_file() -> File:
    fs = FakeFileSystem()
    fs.make_dir("/d")
    file = fs.open("/d/segment", create=True)
    file.append([CONTENT])
    return file


async def exchange(batches: Sequence[list[Part]], read_size: int) -> tuple[bytes, int, bool]:
    """Send through an outbox; returns what arrived, the bytes still held, whether it is empty."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003  # socket's signature
    theirs.setblocking(False)  # noqa: FBT003
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    lost: list[Exception] = []
    outbox = Outbox(loop, ours, lambda: None, lost.append)
    want = 0
    received = bytearray()
    try:
        for parts in batches:
            want += sum(len(part_bytes(part)) for part in parts)
            outbox.add(parts)
            outbox.flush()
        while len(received) < want and not lost:
            received += await loop.sock_recv(theirs, read_size)
        if lost:
            raise lost[0]
        return bytes(received), outbox.held, outbox.is_empty
    finally:
        outbox.close()
        outbox.close()
        theirs.close()


def expected(batches: Sequence[list[Part]]) -> bytes:
    return b"".join(part_bytes(part) for parts in batches for part in parts)


def some_parts(file: File) -> st.SearchStrategy[Part]:
    slices = st.builds(
        FileSlice,
        st.just(file),
        st.integers(0, len(CONTENT) - 200_000),
        st.integers(0, 200_000),
    )
    return st.one_of(st.binary(max_size=20), st.binary(min_size=1, max_size=1).map(_big), slices)


def _big(byte: bytes) -> bytes:
    return byte * 100_000


@given(draw=st.data(), read_size=st.sampled_from([1500, 65_536, 1 << 20]))
def test_bytes_and_slices_arrive_exactly(draw: st.DataObject, read_size: int) -> None:
    batches = draw.draw(st.lists(st.lists(some_parts(fake_file()), max_size=6), max_size=4))
    got = asyncio.run(exchange(batches, read_size))
    assert got == (expected(batches), 0, True)


def test_real_files_go_by_sendfile_between_bytes(tmp_path: Path) -> None:
    file = real_file(tmp_path)
    batches: list[list[Part]] = [
        [b"head", FileSlice(file, 0, 300_000), b"", b"mid", FileSlice(file, 5, 10)],
        [b"next", FileSlice(file, 77, len(CONTENT) - 77), b"tail"],
    ]
    assert asyncio.run(exchange(batches, 70_000)) == (expected(batches), 0, True)
    file.close()


def test_more_parts_than_one_gather_write_takes() -> None:
    batches: list[list[Part]] = [[b"%d," % number for number in range(5000)]]
    assert asyncio.run(exchange(batches, 1 << 16)) == (expected(batches), 0, True)


@pytest.mark.parametrize("length", [100, 500_000])
def test_a_file_shorter_than_promised_loses_the_connection(tmp_path: Path, length: int) -> None:
    file = real_file(tmp_path)
    part = FileSlice(file, len(CONTENT) - 50, length)
    with pytest.raises(StorageError, match="file ends at"):
        asyncio.run(exchange([[b"promise", part, b"x" * length]], 1 << 16))
    file.close()


def test_a_peer_that_is_gone_is_reported_once() -> None:
    async def scenario() -> list[Exception]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003  # socket's signature
        theirs.close()
        lost: list[Exception] = []
        outbox = Outbox(asyncio.get_running_loop(), ours, lambda: None, lost.append)
        outbox.add([b"hello"])
        outbox.flush()
        outbox.close()
        return lost

    assert [type(error) for error in asyncio.run(scenario())] == [BrokenPipeError]


class Insatiable(asyncio.Transport):
    """Takes whatever it is given, as to a client that reads as fast as we encrypt."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.taken += data

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high

    def get_write_buffer_size(self) -> int:
        return 0


def test_a_fast_reader_under_tls_leaves_others_their_turn() -> None:
    async def scenario() -> None:
        transport, lost = Insatiable(), list[Exception]()
        loop = asyncio.get_running_loop()
        outbox = TlsOutbox(loop, transport, lambda: None, lost.append)
        file = fake_file()
        outbox.add([FileSlice(file, 0, len(CONTENT))] * 30)
        outbox.flush()
        first = len(transport.taken)
        assert 0 < first <= 9 << 20
        await asyncio.sleep(0)
        assert len(transport.taken) == 2 * first, "its next turn"
        while not outbox.is_empty:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0)
        assert transport.taken == CONTENT * 30
        assert not lost

    asyncio.run(scenario())
