"""SASL: who is this client? One Gate per connection, in front of everything else.

Until the client has proven who it is, it may only ask ApiVersions, SaslHandshake and
SaslAuthenticate. With connections.max.reauth.ms a proof wears off (KIP-368): the client proves the
same name again by the same mechanism, in time, or is cut off. Why a proof was refused is told to
nobody but as Kafka says it: never whether the user exists.
Source: Kafka's SaslServerAuthenticator, PlainSaslServer.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from tickertape.base.ports import Clock, Rng
from tickertape.broker.state.scram import (
    MECHANISMS,
    Credential,
    Mechanism,
    ScramExchange,
    ScramRefusedError,
)
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode

PLAIN: Final = "PLAIN"
SUPPORTED: Final = (PLAIN, *MECHANISMS)
_OPEN: Final = frozenset(
    {int(ApiKey.API_VERSIONS), int(ApiKey.SASL_HANDSHAKE), int(ApiKey.SASL_AUTHENTICATE)}
)
_REAUTH_INTERVAL_MS: Final = 1_000  # Kafka's: no second re-authentication within a second
_NONCE_BYTES: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class SaslSettings:
    """What a listener accepts. ``plain_users``: name to password; never shown."""

    mechanisms: tuple[str, ...]
    plain_users: Mapping[str, str] = field(default_factory=dict, repr=False)
    reauth_ms: int = 0  # 0: a proof is good for the whole connection
    failure_delay_ms: int = 100
    receive_bytes_max: int = 524_288  # before the proof; sasl.server.max.receive.size


class Credentials(Protocol):
    """Finds what is kept of a user's password; for an unknown user, something alike."""

    def credential(self, mechanism: Mechanism, name: str) -> Credential:
        """Never fails."""
        ...


class Step(NamedTuple):
    """What to answer a token with."""

    error: ErrorCode
    message: str | None = None
    token: bytes = b""
    lifetime_ms: int = 0


class _Plain:
    """RFC 4616: one message."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self.user = ""
        self.is_done = False
        self._users = users

    def step(self, token: bytes) -> bytes:
        """Nothing to answer. The text of a ScramRefusedError, if any, is for the client."""
        try:
            acts_as, user, password = token.decode().split("\0")
        except ValueError as error:
            raise ScramRefusedError from error
        known = self._users.get(user)
        right = hmac.compare_digest(_digest(password), _digest(known or "")) and known is not None
        if not user or not password or not right:
            raise ScramRefusedError("Authentication failed: Invalid username or password")
        if acts_as not in {"", user}:
            raise ScramRefusedError(
                "Authentication failed: Client requested an authorization id that is different"
                " from username"
            )
        self.user, self.is_done = user, True
        return b""


def _digest(text: str) -> bytes:
    """Of one length, whatever the text: comparing them tells nothing."""
    return hashlib.sha256(text.encode()).digest()


class Gate:
    """See the module."""

    def __init__(
        self, settings: SaslSettings, credentials: Credentials, clock: Clock, rng: Rng
    ) -> None:
        self.settings = settings
        self.is_failed = False  # nothing more is looked at; the connection is about to be closed
        self.is_raw = False  # after a handshake of version 0, tokens come without request headers
        self._credentials = credentials
        self._clock = clock
        self._rng = rng
        self._exchange: _Plain | ScramExchange | None = None
        self._mechanism = ""
        self._user: str | None = None  # None until proven
        self._proven_until_ms: int | None = None
        self._began_ms = -_REAUTH_INTERVAL_MS

    @property
    def is_open(self) -> bool:
        """The client has proven who it is, at least once."""
        return self._user is not None

    @property
    def mechanism(self) -> str:
        """What the client proves itself by; "" before its handshake."""
        return self._mechanism

    @property
    def principal(self) -> str:
        """Whom it has proven to be."""
        assert self._user is not None
        return f"User:{self._user}"

    def refusal(self, api_key: int) -> str | None:
        """Why a request may not be served now; None if it may."""
        if api_key in _OPEN:
            return None
        if self._user is None or self._exchange is not None:
            return f"API key {api_key} before the client has authenticated"
        until_ms = self._proven_until_ms
        if until_ms is not None and self._clock.monotonic_ms() > until_ms:
            return "the authentication has expired and was not renewed (connections.max.reauth.ms)"
        return None

    def handshake(self, mechanism: str, *, raw: bool) -> ErrorCode:
        """The client names the mechanism; anything but NONE ends the connection or the attempt."""
        error = self._handshake_fault(mechanism)
        if error is not ErrorCode.NONE:
            self.is_failed = self._user is None
            return error
        self._began_ms = self._clock.monotonic_ms()
        self._mechanism = mechanism
        self.is_raw = raw
        if mechanism == PLAIN:
            self._exchange = _Plain(self.settings.plain_users)
        else:
            nonce = self._rng.token(_NONCE_BYTES).hex()
            find = self._credentials.credential
            self._exchange = ScramExchange(MECHANISMS[mechanism], find, nonce)
        return ErrorCode.NONE

    def _handshake_fault(self, mechanism: str) -> ErrorCode:
        if self._exchange is not None:
            return ErrorCode.ILLEGAL_SASL_STATE
        if self._user is not None:
            now_ms = self._clock.monotonic_ms()
            if self._proven_until_ms is None or now_ms - self._began_ms < _REAUTH_INTERVAL_MS:
                return ErrorCode.ILLEGAL_SASL_STATE
            if mechanism != self._mechanism:
                return ErrorCode.UNSUPPORTED_SASL_MECHANISM
        elif mechanism not in self.settings.mechanisms:
            return ErrorCode.UNSUPPORTED_SASL_MECHANISM
        return ErrorCode.NONE

    def authenticate(self, token: bytes) -> Step:
        """The client's next token. After any error the connection is to be closed."""
        step = self._step(token)
        self.is_failed = step.error is not ErrorCode.NONE
        return step

    def _step(self, token: bytes) -> Step:
        exchange = self._exchange
        if exchange is None:
            what = "request received after successful authentication"
            if self._user is None:
                what = "request received without a SaslHandshake"
            return Step(ErrorCode.ILLEGAL_SASL_STATE, f"SaslAuthenticate {what}")
        failed = ErrorCode.SASL_AUTHENTICATION_FAILED
        try:
            answer = exchange.step(token)
        except ScramRefusedError as error:
            said = str(error) if self._mechanism == PLAIN else ""
            return Step(failed, said or self._invalid())
        if not exchange.is_done:
            return Step(ErrorCode.NONE, token=answer)
        if self._user not in {None, exchange.user}:
            return Step(
                failed,
                f"Cannot change principals during re-authentication from User.{self._user}"
                f": User.{exchange.user}",
            )
        self._user, self._exchange, self.is_raw = exchange.user, None, False
        lifetime_ms = self.settings.reauth_ms
        if lifetime_ms:
            self._proven_until_ms = self._clock.monotonic_ms() + lifetime_ms
        return Step(ErrorCode.NONE, token=answer, lifetime_ms=lifetime_ms)

    def _invalid(self) -> str:
        return (
            "Authentication failed during authentication due to invalid credentials with SASL"
            f" mechanism {self._mechanism}"
        )
