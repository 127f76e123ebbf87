"""SASL on the client's side: against the broker's own SCRAM, and against servers that cheat."""

import struct
from collections.abc import Callable

import pytest

from tickertape.base.errors import MisuseError, PeerError
from tickertape.broker.state.scram import (
    MECHANISMS,
    Credential,
    Mechanism,
    ScramExchange,
    ScramRefusedError,
    credential_of,
    salted_password,
)
from tickertape.client.brokers import Broker, KafkaError
from tickertape.client.sasl import Login, authenticate
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import read_request_header, response_prefix
from tickertape.wire.message import Message
from tickertape.wire.schema.api_versions import ApiVersion, ApiVersionsResponse
from tickertape.wire.schema.sasl_authenticate import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
)
from tickertape.wire.schema.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse

NONCE = b"n" * 24
SALT = b"salt"


class SaslStream:
    """A broker that speaks SASL only; ``step`` answers tokens, or raises ScramRefusedError."""

    def __init__(self, step: Callable[[bytes], bytes]) -> None:
        self._step = step
        self._answers = b""

    def sendall(self, data: bytes, /) -> None:
        frame = data[4:]
        header, at = read_request_header(frame)
        key, version = header.api_key, header.api_version
        answer = self._answer(key, frame, at, version)
        body = response_prefix(key, version, header.correlation_id) + answer.encode(version)
        self._answers += struct.pack(">i", len(body)) + body

    def _answer(self, key: int, frame: bytes, at: int, version: int) -> Message:
        if key == ApiKey.API_VERSIONS:
            served = ((ApiKey.SASL_HANDSHAKE, 0, 1), (ApiKey.SASL_AUTHENTICATE, 0, 2))
            ranges = [
                ApiVersion(api_key=key, min_version=first, max_version=last)
                for key, first, last in served
            ]
            return ApiVersionsResponse(api_keys=ranges)
        if key == ApiKey.SASL_HANDSHAKE:
            wish, _ = SaslHandshakeRequest.decode(frame, at, version)
            known = wish.mechanism != "SCRAM-SHA-256"
            error = ErrorCode.NONE if known else ErrorCode.UNSUPPORTED_SASL_MECHANISM
            return SaslHandshakeResponse(error_code=error, mechanisms=["PLAIN"])
        ask, _ = SaslAuthenticateRequest.decode(frame, at, version)
        try:
            return SaslAuthenticateResponse(auth_bytes=self._step(bytes(ask.auth_bytes)))
        except ScramRefusedError:
            return SaslAuthenticateResponse(error_code=ErrorCode.SASL_AUTHENTICATION_FAILED)

    def recv(self, size: int, /) -> bytes:
        piece, self._answers = self._answers[:size], self._answers[size:]
        return piece

    def close(self) -> None:
        pass


def log_in(step: Callable[[bytes], bytes], login: Login) -> None:
    authenticate(Broker(("localhost", 9092), SaslStream(step)), login, NONCE)


def server(password: str) -> ScramExchange:
    def find(mechanism: Mechanism, user: str) -> Credential:
        assert user == "al,i=ce"
        salted = salted_password(mechanism, password, SALT, 4_096)
        return credential_of(mechanism, salted, SALT, 4_096)

    return ScramExchange(MECHANISMS["SCRAM-SHA-512"], find, "server")


def test_both_sides_know_the_password() -> None:
    exchange = server("secret")
    log_in(exchange.step, Login("SCRAM-SHA-512", "al,i=ce", "secret"))
    assert exchange.is_done


def test_the_client_does_not_know_it() -> None:
    with pytest.raises(KafkaError, match="user 'al,i=ce': SASL_AUTHENTICATION_FAILED"):
        log_in(server("secret").step, Login("SCRAM-SHA-512", "al,i=ce", "guess"))


def test_the_server_does_not_know_it() -> None:
    answers = [f"r={'bm5u' * 8}x,s=c2FsdA==,i=4096".encode(), b"v=bm8="]
    with pytest.raises(PeerError, match="does not know the password either"):
        log_in(lambda _: answers.pop(0), Login("SCRAM-SHA-512", "a", "secret"))


@pytest.mark.parametrize(
    ("challenge", "complaint"),
    [
        (b"", "no challenge"),
        (b"\xff", "no challenge"),
        (b"r=x,s=c2FsdA==,i=4096", "not ours"),
        (b"r=x,s=!,i=4096", "no challenge"),
        (b"r=x,s=c2FsdA==,i=many", "no challenge"),
        (b"r=x,s=c2FsdA==,i=1", "1 iterations"),
        (b"r=x,s=c2FsdA==,i=1000001", "1000001 iterations"),
    ],
)
def test_challenges_that_are_none(challenge: bytes, complaint: str) -> None:
    with pytest.raises(PeerError, match=complaint):
        log_in(lambda _: challenge, Login("SCRAM-SHA-512", "a", "secret"))


def test_plain_says_it_all_at_once() -> None:
    said: list[bytes] = []

    def step(token: bytes) -> bytes:
        said.append(token)
        return b""

    log_in(step, Login("PLAIN", "a", "secret"))
    assert said == [b"\0a\0secret"]


def test_mechanisms_that_are_not_there() -> None:
    with pytest.raises(KafkaError, match="UNSUPPORTED_SASL_MECHANISM: the broker has PLAIN"):
        log_in(bytes, Login("SCRAM-SHA-256", "a", "secret"))
    with pytest.raises(MisuseError, match="GSSAPI: want PLAIN"):
        log_in(bytes, Login("GSSAPI", "a", "secret"))
    assert "secret" not in repr(Login("PLAIN", "a", "secret"))
