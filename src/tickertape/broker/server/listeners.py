"""The doors of the broker: where each listens, what it speaks, and whom it lets in as whom."""

import ssl
from dataclasses import dataclass
from typing import Final, cast

from tickertape.base.errors import MisuseError, PeerError
from tickertape.base.ports import Clock, Rng
from tickertape.broker.server.tls import TlsSettings, peer_name, server_context
from tickertape.broker.state.authentication import Credentials, Gate, SaslSettings
from tickertape.broker.state.session import ANONYMOUS, Session
from tickertape.config.broker import Listener, client_listeners, protocols
from tickertape.config.broker_security import (
    PLAIN_JAAS,
    ListenerValues,
    check_strangers,
    values_of,
)
from tickertape.config.keys import Checked
from tickertape.config.principals import PrincipalRule

HOST: Final = "127.0.0.1"
PORT: Final = 9092


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """Port 0: the kernel chooses. ``advertised`` None: where it listens; port 0: its port."""

    name: str = "PLAINTEXT"
    host: str = HOST
    port: int = PORT
    advertised: tuple[str, int] | None = None
    tls: TlsSettings | None = None
    sasl: SaslSettings | None = None

    @property
    def protocol(self) -> str:
        """What a client writes as security.protocol."""
        layer = "PLAINTEXT" if self.tls is None else "SSL"
        return layer if self.sasl is None else f"SASL_{layer}"


class Door:
    """One listener at run time: makes the Session of each connection. MisuseError: no such TLS."""

    def __init__(
        self, settings: ListenerSettings, advertised: tuple[str, int] | None, world: "Guests"
    ) -> None:
        self.settings = settings
        self.advertised = advertised
        self.tls = None if settings.tls is None else server_context(settings.tls)
        self._world = world

    def session(self, host: str, tls: ssl.SSLObject | None) -> Session:
        """Who has come in. PeerError if the certificate is nobody's."""
        settings, world = self.settings, self._world
        principal = ANONYMOUS
        if settings.tls is not None and tls is not None and settings.sasl is None:
            name = peer_name(settings.tls, tls)
            if name is None:
                raise PeerError("no rule of ssl.principal.mapping.rules fits the certificate")
            principal = f"User:{name}"
        gate = None
        if settings.sasl is not None:
            gate = Gate(settings.sasl, world.credentials, world.clock, world.rng)
        return Session(principal, host, settings.name, self.advertised, gate)


@dataclass(frozen=True, slots=True)
class Guests:
    """What all doors share."""

    credentials: Credentials
    clock: Clock
    rng: Rng


def configured_listeners(checked: Checked, port: int | None) -> tuple[ListenerSettings, ...]:
    """Every listener that clients connect to. ``port`` moves the first, and what it advertises."""
    found = _listeners(checked)
    advertised = _advertised(checked, found)
    spoken = protocols(checked)
    settings = []
    for number, listener in enumerate(found):
        values = values_of(checked, listener.name)
        protocol = spoken.get(listener.name, listener.name)
        shown, at = advertised.get(listener.name), listener.port
        if port is not None and number == 0:
            if shown is not None and shown[1] == at:
                shown = (shown[0], 0)
            at = port
        settings.append(
            ListenerSettings(
                name=listener.name,
                host=listener.host or "0.0.0.0",  # noqa: S104  # Kafka's meaning
                port=at,
                advertised=shown,
                tls=_tls(values) if protocol.endswith("SSL") else None,
                sasl=_sasl(checked, values) if protocol.startswith("SASL") else None,
            )
        )
    check_strangers(checked, [listener.name for listener in found])
    return tuple(settings)


def _listeners(checked: Checked) -> list[Listener]:
    if not checked.given("listeners"):
        port = checked.values["port"]
        host = checked.text("host.name") or HOST
        return [Listener("PLAINTEXT", host, port if isinstance(port, int) else PORT)]
    found = client_listeners(checked, "listeners")
    if not found:
        checked.refuse("listeners", "one listener that is not the controller's")
    names = [listener.name for listener in found]
    ports = [listener.port for listener in found if listener.port]
    if len(set(names)) < len(names) or len(set(ports)) < len(ports):
        checked.refuse("listeners", "each name and each port once")
    return found


def _advertised(checked: Checked, listeners: list[Listener]) -> dict[str, tuple[str, int]]:
    """By the listener's name, for those that say something else than where they listen."""
    if checked.given("advertised.listeners"):
        found = client_listeners(checked, "advertised.listeners")
        names = {listener.name for listener in listeners}
        if not all(each.host and each.name in names for each in found):
            checked.refuse("advertised.listeners", "listeners of `listeners`, each with a host")
        return {each.name: (each.host, each.port) for each in found}
    if checked.given("advertised.host.name"):
        port = checked.values["advertised.port"] or checked.values["port"] or PORT
        name = listeners[0].name if listeners else "PLAINTEXT"
        return {name: (checked.text("advertised.host.name"), cast(int, port))}
    return {}


def _tls(values: ListenerValues) -> TlsSettings:
    return TlsSettings(
        keystore=values.text("ssl.keystore.location"),
        chain=values.text("ssl.keystore.certificate.chain"),
        key=values.text("ssl.keystore.key"),
        key_password=values.text("ssl.key.password"),
        truststore=values.text("ssl.truststore.location"),
        trusted=values.text("ssl.truststore.certificates"),
        client_auth=values.text("ssl.client.auth"),
        versions=cast(tuple[str, ...], values.values["ssl.enabled.protocols"]),
        rules=cast(tuple[PrincipalRule, ...], values.values["ssl.principal.mapping.rules"]),
    )


def _sasl(checked: Checked, values: ListenerValues) -> SaslSettings:
    if not values.values["sasl.enabled.mechanisms"]:
        checked.refuse("sasl.enabled.mechanisms", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    return SaslSettings(
        mechanisms=cast(tuple[str, ...], values.values["sasl.enabled.mechanisms"]),
        plain_users=cast(dict[str, str], values.values[PLAIN_JAAS] or {}),
        reauth_ms=values.number("connections.max.reauth.ms"),
        failure_delay_ms=checked.number("connection.failed.authentication.delay.ms"),
        receive_bytes_max=values.number("sasl.server.max.receive.size"),
    )


def must_be_usable(listeners: tuple[ListenerSettings, ...]) -> None:
    """MisuseError if a TLS listener's stores cannot be used: said before anything is started."""
    for listener in listeners:
        if listener.tls is not None:
            try:
                server_context(listener.tls)
            except MisuseError as error:
                raise MisuseError(f"listener {listener.name}: {error}") from error
