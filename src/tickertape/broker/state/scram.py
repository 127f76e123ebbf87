"""SCRAM (RFC 5802) on the server's side: credentials without passwords, and the exchange.

A credential is salted and iterated; from it nobody gets the password back, nor can log in. A user
who is not known gets a salt and an iteration count of their own, always the same, like those of the
users that there are, and fails where a bad password fails: nobody learns who exists. Comparisons
take constant time.
"""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

ITERATIONS_MIN: Final = 4096
ITERATIONS_MAX: Final = 16_384
"""Kafka's bounds (ScramMechanism)."""

_TEXT: Final = b"0123456789abcdefghijklmnopqrstuvwxyz"
_FIRST: Final = re.compile(
    r"([ny],(?:a=([^,]*))?,)((?:m=[^,]*,)?n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)((?:,[a-z]+=[^,]*)*))"
)
_FINAL: Final = re.compile(r"(c=([^,]*),r=([^,]+)(?:,[a-zA-Z]+=[^,]*)*),p=([^,]+)")


class Mechanism(IntEnum):
    """As AlterUserScramCredentials counts them."""

    SHA_256 = 1
    SHA_512 = 2

    @property
    def sasl_name(self) -> str:
        """SCRAM-SHA-256 or SCRAM-SHA-512."""
        return f"SCRAM-{self.name.replace('_', '-')}"

    @property
    def hash_name(self) -> str:
        """As hashlib calls it."""
        return self.name.lower().replace("_", "")


MECHANISMS: Final = {mechanism.sasl_name: mechanism for mechanism in Mechanism}


class Credential(NamedTuple):
    """What is kept of a password."""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int

    def __repr__(self) -> str:
        """Without the keys: this may end in a log."""
        return f"Credential(iterations={self.iterations})"


class ScramRefusedError(Exception):
    """The client is not who it says, or does not speak SCRAM. The text is for tests, not peers."""


def salted_password(mechanism: Mechanism, password: str, salt: bytes, iterations: int) -> bytes:
    """What a client computes from a password; slow on purpose."""
    return hashlib.pbkdf2_hmac(mechanism.hash_name, password.encode(), salt, iterations)


def credential_of(mechanism: Mechanism, salted: bytes, salt: bytes, iterations: int) -> Credential:
    """What to keep of a salted password."""
    client_key = _hmac(mechanism, salted, b"Client Key")
    stored_key = hashlib.new(mechanism.hash_name, client_key).digest()
    return Credential(salt, stored_key, _hmac(mechanism, salted, b"Server Key"), iterations)


class Look(NamedTuple):
    """What a client sees of a credential before it has proven anything.

    ``first``: with which letter a salt begins that is digits and small letters, as Java's clients
    make them; empty if it is any bytes.
    """

    iterations: int
    size: int
    first: bytes


USUAL_LOOKS: Final = (Look(ITERATIONS_MIN, 20, b""),)
"""Those of ``tape broker add-user``."""


def look_of(credential: Credential) -> Look:
    """What those of users look like, those of nobody must look like."""
    salt = credential.salt
    return Look(credential.iterations, len(salt), b"" if set(salt) - set(_TEXT) else salt[:1])


def nobodys_credential(
    mechanism: Mechanism, name: str, secret: bytes, looks: Sequence[Look] = USUAL_LOOKS
) -> Credential:
    """For a name that nobody has: no password fits it, and it has one of the ``looks``."""
    number = int.from_bytes(_hmac(mechanism, secret, b"look " + name.encode()))
    look = looks[number % len(looks)]
    salt = hashlib.shake_256(secret + name.encode()).digest(look.size)
    if look.first:
        salt = look.first + bytes(_TEXT[byte % len(_TEXT)] for byte in salt[1:])
    key = _hmac(mechanism, secret, b"no key " + name.encode())
    return Credential(salt, key, key, look.iterations)


class ScramExchange:
    """One client's two messages and our two answers."""

    def __init__(
        self, mechanism: Mechanism, find: Callable[[Mechanism, str], Credential], nonce: str
    ) -> None:
        self.user = ""  # whom the client claims to be; true once ``is_done``
        self.is_done = False
        self._mechanism = mechanism
        self._find = find
        self._nonce = nonce
        self._credential: Credential | None = None
        self._gs2 = ""
        self._so_far = ""

    def step(self, token: bytes) -> bytes:
        """Our answer. ScramRefusedError ends the exchange."""
        try:
            message = token.decode()
        except UnicodeDecodeError as error:
            raise ScramRefusedError("not UTF-8") from error
        if self._credential is None:
            return self._first(message)
        return self._final(message, self._credential)

    def _first(self, message: str) -> bytes:
        match = _FIRST.fullmatch(message)
        if match is None or (match[6] or match[3].startswith("m=")):
            raise ScramRefusedError("no client-first-message, or one with extensions")
        self._gs2 = match[1]
        self.user = match[4].replace("=2C", ",").replace("=3D", "=")
        if match[2] and match[2] != match[4]:
            raise ScramRefusedError("wants to act as somebody else")
        self._credential = self._find(self._mechanism, self.user)
        self._nonce = match[5] + self._nonce
        salt = b64encode(self._credential.salt).decode()
        answer = f"r={self._nonce},s={salt},i={self._credential.iterations}"
        self._so_far = f"{match[3]},{answer}"
        return answer.encode()

    def _final(self, message: str, credential: Credential) -> bytes:
        match = _FINAL.fullmatch(message)
        if match is None or match[3] != self._nonce:
            raise ScramRefusedError("no client-final-message, or one with another nonce")
        try:
            binding, proof = b64decode(match[2], validate=True), b64decode(match[4], validate=True)
        except ValueError as error:
            raise ScramRefusedError("not base64") from error
        if binding != self._gs2.encode():
            raise ScramRefusedError("another channel binding")
        signed = f"{self._so_far},{match[1]}".encode()
        signature = _hmac(self._mechanism, credential.stored_key, signed)
        if len(proof) != len(signature):
            raise ScramRefusedError("a proof of another length")
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        stored_key = hashlib.new(self._mechanism.hash_name, client_key).digest()
        if not hmac.compare_digest(stored_key, credential.stored_key):
            raise ScramRefusedError("another password")
        self.is_done = True
        return b"v=" + b64encode(_hmac(self._mechanism, credential.server_key, signed))


def _hmac(mechanism: Mechanism, key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, mechanism.hash_name)
