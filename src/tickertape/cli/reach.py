"""A cluster for the protocol's own client, by librdkafka's names of the properties."""

import socket
import ssl
from collections.abc import Mapping
from typing import Final

from tickertape.base.errors import MisuseError
from tickertape.base.world import SystemRng
from tickertape.client.brokers import Address, Broker, Brokers, Connect, Stream
from tickertape.client.sasl import Login, authenticate

_PATIENCE_S: Final = 30.0
_NONCE_BYTES: Final = 24
_NOT_FILES: Final = frozenset({"ssl.certificate.pem", "ssl.key.pem", "ssl.keystore.location"})
_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


def brokers_at(bootstrap: str, properties: Mapping[str, str]) -> Brokers:
    """The brokers there. MisuseError if the properties say something that we cannot do."""
    protocol = properties.get("security.protocol", "PLAINTEXT").upper()
    if protocol not in _PROTOCOLS:
        raise MisuseError(f"security.protocol {protocol}: want {', '.join(_PROTOCOLS)}")
    connect = _encrypted(properties) if protocol.endswith("SSL") else _socket
    if not protocol.startswith("SASL"):
        return Brokers(bootstrap, connect)
    login = _login(properties)

    def greet(broker: Broker) -> None:
        authenticate(broker, login, SystemRng().token(_NONCE_BYTES))

    return Brokers(bootstrap, connect, greet)


def _login(properties: Mapping[str, str]) -> Login:
    mechanism = properties.get("sasl.mechanism", properties.get("sasl.mechanisms", ""))
    user, password = properties.get("sasl.username"), properties.get("sasl.password")
    if not mechanism or user is None or password is None:
        raise MisuseError("SASL wants sasl.mechanism, sasl.username and sasl.password")
    return Login(mechanism, user, password)


def _encrypted(properties: Mapping[str, str]) -> Connect:
    """TLS, by librdkafka's properties."""
    inline = sorted(_NOT_FILES & properties.keys())
    if inline:
        raise MisuseError(
            f"{inline[0]}: want ssl.certificate.location and ssl.key.location, of PEM"
        )
    certificate = properties.get("ssl.certificate.location")
    try:
        context = ssl.create_default_context(
            cafile=properties.get("ssl.ca.location"), cadata=properties.get("ssl.ca.pem")
        )
        if certificate is not None:
            key, password = properties.get("ssl.key.location"), properties.get("ssl.key.password")
            context.load_cert_chain(certificate, key, password)
    except OSError as error:
        raise MisuseError(f"ssl.ca.location or ssl.certificate.location: {error}") from error
    if properties.get("ssl.endpoint.identification.algorithm", "https") in {"", "none"}:
        context.check_hostname = False
    if properties.get("enable.ssl.certificate.verification", "true") == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    def connect(address: Address) -> Stream:
        return context.wrap_socket(_socket(address), server_hostname=address[0])

    return connect


def _socket(address: Address) -> socket.socket:
    return socket.create_connection(address, timeout=_PATIENCE_S)
