"""The client's side of SASL: PLAIN (RFC 4616) and SCRAM-SHA-256 and -512 (RFC 5802, 7677).

Run once on a fresh connection, by SaslHandshake 1 and SaslAuthenticate. With SCRAM the server, too,
proves that it knows the password. No error shows a secret.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from typing import Final, NamedTuple

from tickertape.base.errors import MisuseError, PeerError
from tickertape.client.brokers import Broker, KafkaError
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.schema.sasl_authenticate import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
)
from tickertape.wire.schema.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse

PLAIN: Final = "PLAIN"
HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_ITERATIONS: Final = range(4_096, 1_000_001)  # Kafka's least; more would only keep us busy
_HEADER: Final = "n,,"  # no channel binding, no other identity


class Login(NamedTuple):
    """Who, and how it is proven."""

    mechanism: str
    user: str
    password: str

    def __repr__(self) -> str:
        """Without the password."""
        return f"Login({self.mechanism}, {self.user})"


def authenticate(broker: Broker, login: Login, nonce: bytes) -> None:
    """Log in; ``nonce`` is fresh and random. KafkaError if it is refused."""
    if login.mechanism != PLAIN and login.mechanism not in HASHES:
        raise MisuseError(f"sasl.mechanism {login.mechanism}: want {', '.join([PLAIN, *HASHES])}")
    ask = SaslHandshakeRequest(mechanism=login.mechanism)
    found = broker.ask(ApiKey.SASL_HANDSHAKE, ask, SaslHandshakeResponse, at_least=1)
    if found.error_code:
        offered = ", ".join(found.mechanisms)
        raise KafkaError(f"{login.mechanism}", found.error_code, f"the broker has {offered}")
    if login.mechanism == PLAIN:
        _exchange(broker, login, f"\0{login.user}\0{login.password}".encode())
    else:
        _scram(broker, login, b64encode(nonce).decode())


def _exchange(broker: Broker, login: Login, token: bytes) -> bytes:
    ask = SaslAuthenticateRequest(auth_bytes=token)
    out = broker.ask(ApiKey.SASL_AUTHENTICATE, ask, SaslAuthenticateResponse)
    if out.error_code:
        raise KafkaError(f"user {login.user!r}", out.error_code, out.error_message)
    return bytes(out.auth_bytes)


def _scram(broker: Broker, login: Login, nonce: str) -> None:
    name = HASHES[login.mechanism]
    user = login.user.replace("=", "=3D").replace(",", "=2C")
    first = f"n={user},r={nonce}"
    challenge = _exchange(broker, login, (_HEADER + first).encode()).decode(errors="replace")
    fields = _fields(challenge)
    salt, rounds = _salt(fields)
    if not fields.get("r", "").startswith(nonce):
        raise PeerError("SCRAM: the broker answered with a nonce that is not ours")
    salted = hashlib.pbkdf2_hmac(name, login.password.encode(), salt, rounds)
    final = f"c={b64encode(_HEADER.encode()).decode()},r={fields['r']}"
    message = f"{first},{challenge},{final}".encode()
    key = hmac.digest(salted, b"Client Key", name)
    signature = hmac.digest(hashlib.new(name, key).digest(), message, name)
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    answer = _exchange(broker, login, f"{final},p={b64encode(proof).decode()}".encode())
    wanted = hmac.digest(hmac.digest(salted, b"Server Key", name), message, name)
    given = _fields(answer.decode(errors="replace")).get("v", "")
    if not hmac.compare_digest(given.encode(), b64encode(wanted)):
        raise PeerError("SCRAM: the broker does not know the password either")


def _salt(fields: dict[str, str]) -> tuple[bytes, int]:
    try:
        salt, rounds = b64decode(fields["s"], validate=True), int(fields["i"])
    except (KeyError, ValueError) as error:
        raise PeerError("SCRAM: got no challenge, want r=, s= and i=") from error
    if rounds not in _ITERATIONS:
        raise PeerError(f"SCRAM: {rounds} iterations, want 4096 to 1000000")
    return salt, rounds


def _fields(message: str) -> dict[str, str]:
    """``a=1,b=2``; a value may have = in it."""
    found = {}
    for part in message.split(","):
        name, equals, value = part.partition("=")
        if equals:
            found[name] = value
    return found
