"""SaslHandshake and SaslAuthenticate through the one door, and what stands behind it."""

from typing import TypeVar

import pytest
from tests.unit.broker.harness import Core, FakeCall

from tickertape.base.errors import PeerError
from tickertape.broker.api.dispatch import handle
from tickertape.broker.state.authentication import Gate, SaslSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import RequestHeader, write_request_header
from tickertape.wire.message import Message
from tickertape.wire.schema.list_groups import ListGroupsRequest, ListGroupsResponse
from tickertape.wire.schema.sasl_authenticate import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
)
from tickertape.wire.schema.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse

M = TypeVar("M", bound=Message)
GOOD, BAD = b"\0alice\0secret", b"\0alice\0guess"


class Guest:
    """One connection to a listener with SASL PLAIN."""

    def __init__(self) -> None:
        self.core = Core()
        settings = SaslSettings(mechanisms=("PLAIN",), plain_users={"alice": "secret"})
        broker = self.core.broker
        self.gate = Gate(settings, broker.security, self.core.clock, self.core.rng)
        self.session = FakeCall().session
        self.session.gate = self.gate

    def frame(self, frame: bytes) -> FakeCall:
        call = FakeCall()
        call.session = self.session
        handle(self.core.broker, memoryview(frame), call)
        return call

    def send(self, key: ApiKey, version: int, request: Message) -> FakeCall:
        header = write_request_header(RequestHeader(key, version, 7, "tester"))
        return self.frame(header + request.encode(version))

    def shake(self, version: int = 1, mechanism: str = "PLAIN") -> FakeCall:
        request = SaslHandshakeRequest(mechanism=mechanism)
        return self.send(ApiKey.SASL_HANDSHAKE, version, request)

    def prove(self, token: bytes = GOOD, version: int = 2) -> FakeCall:
        request = SaslAuthenticateRequest(auth_bytes=token)
        return self.send(ApiKey.SASL_AUTHENTICATE, version, request)

    def list_groups(self) -> FakeCall:
        return self.send(ApiKey.LIST_GROUPS, 4, ListGroupsRequest())


@pytest.mark.parametrize("version", [0, 1, 2])
def test_who_proves_it_is_let_in(version: int) -> None:
    guest = Guest()
    with pytest.raises(PeerError, match="before the client has authenticated"):
        guest.list_groups()
    shaken = guest.shake().read(SaslHandshakeResponse, ApiKey.SASL_HANDSHAKE, 1)
    assert (shaken.error_code, shaken.mechanisms) == (0, ["PLAIN"])
    proven = guest.prove(version=version)
    answer = proven.read(SaslAuthenticateResponse, ApiKey.SASL_AUTHENTICATE, version)
    assert answer.error_code == 0
    assert guest.session.principal == "User:alice"
    assert guest.list_groups().read(ListGroupsResponse, ApiKey.LIST_GROUPS, 4).error_code == 0


def test_a_refusal_comes_late_and_is_the_last_word() -> None:
    guest = Guest()
    guest.shake()
    call = guest.prove(BAD)
    impatient = guest.prove(GOOD)
    assert impatient.outcomes == [("no answer", None)], "there is no second try"
    guest.core.pass_ms(99)
    assert not call.answered
    guest.core.pass_ms(1)
    answer = call.read(SaslAuthenticateResponse, ApiKey.SASL_AUTHENTICATE, 2)
    assert answer.error_code == ErrorCode.SASL_AUTHENTICATION_FAILED
    assert call.hung_up == "authentication failed: PLAIN on listener PLAINTEXT"
    assert guest.session.principal == "User:ANONYMOUS"


def test_an_unknown_mechanism_is_told_what_there_is() -> None:
    guest = Guest()
    call = guest.shake(mechanism="GSSAPI")
    answer = call.read(SaslHandshakeResponse, ApiKey.SASL_HANDSHAKE, 1)
    assert answer.error_code == ErrorCode.UNSUPPORTED_SASL_MECHANISM
    assert answer.mechanisms == ["PLAIN"]
    assert call.hung_up


def test_old_clients_send_bare_tokens() -> None:
    guest = Guest()
    guest.shake(version=0)
    assert guest.frame(GOOD).frame == b""
    assert guest.list_groups().answered
    guest = Guest()
    guest.shake(version=0)
    call = guest.frame(BAD)
    guest.core.pass_ms(100)
    assert call.outcomes == [("close", "authentication failed: PLAIN on listener PLAINTEXT")]


def test_a_listener_without_sasl_says_so() -> None:
    core = Core()
    shaken = core.ask(
        ApiKey.SASL_HANDSHAKE, 1, SaslHandshakeRequest(mechanism="PLAIN"), SaslHandshakeResponse
    )
    assert shaken.error_code == ErrorCode.ILLEGAL_SASL_STATE
    proven = core.ask(
        ApiKey.SASL_AUTHENTICATE,
        2,
        SaslAuthenticateRequest(auth_bytes=GOOD),
        SaslAuthenticateResponse,
    )
    assert proven.error_code == ErrorCode.ILLEGAL_SASL_STATE
