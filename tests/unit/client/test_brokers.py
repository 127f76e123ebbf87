"""The blocking client: versions, addresses, and every way in which a broker can fail to answer."""

import struct

import pytest
from tests.unit.broker.harness import Core
from tests.unit.client.stream import CoreStream, cluster

from tickertape.base.errors import PeerError
from tickertape.client.brokers import FRAME_BYTES_MAX, Address, Brokers, KafkaError, addresses
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse


class Script:
    """A stream that answers with these bytes, whatever it is asked."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def sendall(self, data: bytes, /) -> None:
        assert len(data) > 4

    def recv(self, size: int, /) -> bytes:
        piece, self._answer = self._answer[:size], self._answer[size:]
        return piece

    def close(self) -> None:
        pass


def ask(brokers: Brokers) -> FindCoordinatorResponse:
    request = FindCoordinatorRequest(key="tx", key_type=1)
    return brokers.any().ask(
        ApiKey.FIND_COORDINATOR, request, FindCoordinatorResponse, at_most=3, at_least=1
    )


def test_a_question_is_answered_and_the_connection_kept() -> None:
    opened: list[CoreStream] = []

    def connect(address: Address) -> CoreStream:
        opened.append(CoreStream(Core()))
        return opened[-1]

    with Brokers("localhost:9092", connect) as brokers:
        assert ask(brokers).error_code == 0
        assert ask(brokers).node_id == 1
        assert brokers.node_ids() == [1]
        assert brokers.node(1).address == ("localhost", 9092)
        assert not opened[0].closed
    assert (len(opened), opened[0].closed) == (1, True)


def test_versions_that_are_not_served() -> None:
    with cluster(Core()) as brokers:
        assert brokers.any().version(ApiKey.END_TXN, 0, 99) == 5
        with pytest.raises(PeerError, match="serves END_TXN 0 to 5, want 6 to 9"):
            brokers.any().version(ApiKey.END_TXN, 6, 9)
        with pytest.raises(PeerError, match="does not serve VOTE"):
            brokers.any().version(ApiKey.VOTE, 0, 9)
        with pytest.raises(PeerError, match="no broker 7"):
            brokers.node(7)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "closed"),
        (b"\0\0\0\4\0", "closed"),
        (struct.pack(">i", -1), "frame of -1"),
        (struct.pack(">i", FRAME_BYTES_MAX + 1), "frame of"),
        (struct.pack(">ii", 4, 5), "answer to request 5, want 1"),
    ],
)
def test_answers_that_are_none(answer: bytes, reason: str) -> None:
    brokers = Brokers("localhost:1", lambda _: Script(answer))
    with brokers, pytest.raises(PeerError, match=reason):
        ask(brokers)


def test_the_second_bootstrap_server_is_tried() -> None:
    asked: list[Address] = []

    def connect(address: Address) -> CoreStream:
        asked.append(address)
        if address[1] == 1:
            raise ConnectionRefusedError("refused")
        return CoreStream(Core())

    with Brokers("a:1,[::1]:2", connect) as brokers:
        assert ask(brokers).error_code == 0
    assert asked == [("a", 1), ("::1", 2)]
    with (
        Brokers("a:1,b:1", connect) as brokers,
        pytest.raises(PeerError, match=r"no broker answers at a:1,b:1: refused; refused"),
    ):
        ask(brokers)


@pytest.mark.parametrize("text", ["", "a", "a:", "a:x", ":1", "a:1,"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(PeerError, match="want host:port"):
        addresses(text)


def test_an_unknown_code_is_an_error_too() -> None:
    assert KafkaError("x", 9_999).code is ErrorCode.UNKNOWN_SERVER_ERROR
    assert str(KafkaError("x", 48, "why")) == "x: INVALID_TXN_STATE: why"
