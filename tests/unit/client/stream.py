"""A cluster of one in-memory broker, as the client's streams see it."""

import struct

from tests.unit.broker.harness import Core, FakeCall

from tickertape.broker.api.dispatch import handle
from tickertape.client.brokers import Address, Brokers

SIZE = struct.Struct(">i")


class CoreStream:
    """A socket that ends in a Core: each request is handled, and synced, when it is whole."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._sent = bytearray()
        self._answers = bytearray()
        self.closed = False

    def sendall(self, data: bytes, /) -> None:
        self._sent += data
        while len(self._sent) >= SIZE.size:
            (size,) = SIZE.unpack_from(self._sent)
            frame = bytes(self._sent[SIZE.size : SIZE.size + size])
            del self._sent[: SIZE.size + size]
            call = FakeCall()
            handle(self._core.broker, memoryview(frame), call)
            for _ in range(3):
                self._core.sync()
            self._answers += SIZE.pack(len(call.frame)) + call.frame

    def recv(self, size: int, /) -> bytes:
        piece = bytes(self._answers[: min(size, 7)])  # a network gives what it likes
        del self._answers[: len(piece)]
        return piece

    def close(self) -> None:
        self.closed = True


def cluster(core: Core) -> Brokers:
    """A client of it."""

    def connect(address: Address) -> CoreStream:
        assert address == ("localhost", 9092)
        return CoreStream(core)

    return Brokers("localhost:9092", connect)
