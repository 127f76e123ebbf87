"""SASL as a client sees it: PLAIN, SCRAM, what comes before, and re-authentication."""

import hashlib
import hmac
from base64 import b64decode, b64encode

import pytest
from tests.unit.broker.harness import DATA_DIR

from tickertape.base.fake_fs import FakeFileSystem
from tickertape.base.fakes import FakeClock, SeededRng
from tickertape.broker.state.authentication import Gate, SaslSettings, Step
from tickertape.broker.state.scram import (
    Mechanism,
    ScramExchange,
    credential_of,
    salted_password,
)
from tickertape.broker.state.security import Security
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode

NONE = ErrorCode.NONE
REFUSED = ErrorCode.SASL_AUTHENTICATION_FAILED
METADATA = int(ApiKey.METADATA)


class Front:
    """A gate on a fake clock, with alice in both worlds."""

    def __init__(self, reauth_ms: int = 0, mechanisms: tuple[str, ...] | None = None) -> None:
        self.clock = FakeClock()
        security = Security(FakeFileSystem(), DATA_DIR, SeededRng())
        for mechanism in Mechanism:
            salted = salted_password(mechanism, "secret", b"salt", 4096)
            security.credentials["alice", mechanism] = credential_of(
                mechanism, salted, b"salt", 4096
            )
        settings = SaslSettings(
            mechanisms=mechanisms or ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
            plain_users={"alice": "secret"},
            reauth_ms=reauth_ms,
        )
        self.gate = Gate(settings, security, self.clock, SeededRng())

    def plain(self, user: str = "alice", password: str = "secret", acts_as: str = "") -> Step:
        error = self.gate.handshake("PLAIN", raw=False)
        if error is not NONE:
            return Step(error)
        return self.gate.authenticate(f"{acts_as}\0{user}\0{password}".encode())

    def scram(self, mechanism: Mechanism, user: str, password: str) -> list[Step]:
        """A client's side of RFC 5802, on its own arithmetic."""
        error = self.gate.handshake(mechanism.sasl_name, raw=False)
        assert error is NONE
        bare = f"n={user},r=abc"
        first = self.gate.authenticate(f"n,,{bare}".encode())
        if first.error is not NONE:
            return [first]
        said = dict(item.split("=", 1) for item in first.token.decode().split(","))
        name = mechanism.hash_name
        salted = hashlib.pbkdf2_hmac(name, password.encode(), b64decode(said["s"]), int(said["i"]))
        key = hmac.digest(salted, b"Client Key", name)
        unsigned = f"c=biws,r={said['r']}"
        signed = ",".join((bare, first.token.decode(), unsigned)).encode()
        signature = hmac.digest(hashlib.new(name, key).digest(), signed, name)
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        final = self.gate.authenticate(f"{unsigned},p={b64encode(proof).decode()}".encode())
        if final.error is NONE:
            server = hmac.digest(hmac.digest(salted, b"Server Key", name), signed, name)
            assert final.token == b"v=" + b64encode(server)
        return [first, final]


def test_the_exchange_of_rfc_7677() -> None:
    salt = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    mechanism = Mechanism.SHA_256
    salted = salted_password(mechanism, "pencil", salt, 4096)
    credential = credential_of(mechanism, salted, salt, 4096)
    exchange = ScramExchange(
        mechanism, lambda _mechanism, _user: credential, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    assert exchange.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert (
        exchange.step(
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        )
        == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )
    assert exchange.is_done


@pytest.mark.parametrize("mechanism", list(Mechanism))
def test_scram_lets_in_who_knows_the_password(mechanism: Mechanism) -> None:
    front = Front()
    assert [step.error for step in front.scram(mechanism, "alice", "secret")] == [NONE, NONE]
    assert front.gate.principal == "User:alice"
    assert front.gate.refusal(METADATA) is None


@pytest.mark.parametrize("mechanism", list(Mechanism))
def test_scram_does_not_tell_a_bad_password_from_an_unknown_user(mechanism: Mechanism) -> None:
    bad = Front().scram(mechanism, "alice", "guess")
    unknown = Front().scram(mechanism, "nobody", "guess")
    assert [step.error for step in bad] == [step.error for step in unknown] == [NONE, REFUSED]
    assert bad[1] == unknown[1]
    salts = [
        Front().scram(mechanism, name, "x")[0].token.split(b"s=")[1] for name in ("x", "x", "y")
    ]
    assert salts[0] == salts[1] != salts[2], "an unknown user has a salt of its own"


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"\xff\xfe",
        b"n,,n=alice",
        b"p=tls-unique,,n=alice,r=abc",
        b"n,a=bob,n=alice,r=abc",
        b"n,,n=alice,r=abc,tokenauth=true",
    ],
)
def test_a_bad_first_token_is_refused(token: bytes) -> None:
    gate = Front().gate
    gate.handshake("SCRAM-SHA-256", raw=False)
    assert gate.authenticate(token).error is REFUSED
    assert gate.is_failed


@pytest.mark.parametrize(
    "final", [b"", b"c=biws,r=other,p=AAAA", b"c=eSws,r={r},p=AAAA", b"c=biws,r={r},p=A!"]
)
def test_a_bad_final_token_is_refused(final: bytes) -> None:
    gate = Front().gate
    gate.handshake("SCRAM-SHA-256", raw=False)
    first = gate.authenticate(b"n,,n=alice,r=abc").token
    nonce = first.split(b",")[0].removeprefix(b"r=")
    assert gate.authenticate(final.replace(b"{r}", nonce)).error is REFUSED


def test_plain_in_kafkas_words() -> None:
    assert Front().plain().error is NONE
    refused = Front().plain(password="guess")
    assert refused == Front().plain(user="nobody")
    assert refused.error is REFUSED
    assert refused.message == "Authentication failed: Invalid username or password"
    assert Front().plain(password="").error is REFUSED
    assert Front().plain(user="nobody", password="").error is REFUSED
    assert "authorization id" in str(Front().plain(acts_as="bob").message)


def test_before_the_proof_only_the_way_to_it_is_open() -> None:
    front = Front()
    for key in ApiKey:
        is_open = key in {ApiKey.API_VERSIONS, ApiKey.SASL_HANDSHAKE, ApiKey.SASL_AUTHENTICATE}
        assert (front.gate.refusal(int(key)) is None) is is_open
    assert front.gate.authenticate(b"").error is ErrorCode.ILLEGAL_SASL_STATE
    assert front.gate.is_failed


def test_only_what_is_enabled_and_only_once() -> None:
    front = Front(mechanisms=("SCRAM-SHA-512",))
    assert front.gate.handshake("PLAIN", raw=False) is ErrorCode.UNSUPPORTED_SASL_MECHANISM
    assert front.gate.is_failed
    front = Front()
    assert front.plain().error is NONE
    assert front.plain().error is ErrorCode.ILLEGAL_SASL_STATE
    assert not front.gate.is_failed, "it stays who it was"
    assert front.gate.refusal(METADATA) is None


def test_a_proof_wears_off_and_is_renewed_by_the_same_user_only() -> None:
    front = Front(reauth_ms=10_000)
    assert front.plain().lifetime_ms == 10_000
    front.clock.advance(500)
    assert front.plain().error is ErrorCode.ILLEGAL_SASL_STATE, "not twice within a second"
    front.clock.advance(9_000)
    assert front.plain().error is NONE
    front.clock.advance(9_999)
    assert front.gate.refusal(METADATA) is None
    front.clock.advance(2)
    assert "expired" in str(front.gate.refusal(METADATA))
    assert front.gate.handshake("SCRAM-SHA-256", raw=False) is not NONE
    front.gate.settings.plain_users["bob"] = "b"  # type: ignore[index]  # a plain dict here
    changed = front.plain("bob", "b")
    assert changed.error is REFUSED
    assert "Cannot change principals" in str(changed.message)
    assert front.gate.principal == "User:alice"
