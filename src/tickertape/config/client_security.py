"""A client's security properties in Java's words, turned into librdkafka's. Pure.

What librdkafka knows under the same name passes as it is. Stores must be PEM; a PKCS12 key store
passes too, as librdkafka reads it. Errors name the property and what is wanted, never a value.
"""

from collections.abc import Mapping
from typing import Final

from tickertape.base.errors import MisuseError
from tickertape.config.jaas import login

JVM_ONLY: Final = frozenset(
    {
        "security.providers",
        "ssl.provider",
        "ssl.protocol",
        "ssl.enabled.protocols",
        "ssl.keymanager.algorithm",
        "ssl.trustmanager.algorithm",
        "ssl.secure.random.implementation",
        "ssl.truststore.password",
        "sasl.client.callback.handler.class",
        "sasl.login.class",
        "sasl.login.callback.handler.class",
    }
)
"""What has no meaning outside the JVM."""

_TRUST: Final = {
    "ssl.truststore.location": "ssl.ca.location",
    "ssl.truststore.certificates": "ssl.ca.pem",
}
_KEY: Final = {
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.key": "ssl.key.pem",
}
_NEEDS_JVM: Final = "Export it to PEM and set {kind}.type=PEM with the PEM file as {kind}.location"


def to_librdkafka(java: Mapping[str, str]) -> dict[str, str]:
    """The same properties as librdkafka wants them. MisuseError for what cannot be said there."""
    found: dict[str, str] = {}
    for name, value in java.items():
        if name == "sasl.jaas.config":
            found.update(_credentials(value))
        elif name.startswith("ssl.truststore."):
            found.update(_trusted(name, value, java))
        elif name.startswith("ssl.keystore."):
            found.update(_own_key(name, value, java))
        elif name == "ssl.endpoint.identification.algorithm":
            found[name] = value.strip().lower() or "none"
        elif name not in JVM_ONLY:
            found[name] = value
    return found


def _credentials(value: str) -> dict[str, str]:
    try:
        options = login(value).options
        return {"sasl.username": options["username"], "sasl.password": options["password"]}
    except (ValueError, KeyError):
        raise MisuseError(
            "client property sasl.jaas.config: want a PLAIN or SCRAM login module with"
            ' username="..." and password="..."'
        ) from None  # the cause would show the password


def _trusted(name: str, value: str, java: Mapping[str, str]) -> dict[str, str]:
    if name not in _TRUST:
        return {}
    _must_be(java, "ssl.truststore", {"PEM"})
    return {_TRUST[name]: value.strip()}


def _own_key(name: str, value: str, java: Mapping[str, str]) -> dict[str, str]:
    kind = java.get("ssl.keystore.type", "JKS").strip().upper()
    if name == "ssl.keystore.type":
        return {}
    _must_be(java, "ssl.keystore", {"PEM", "PKCS12"})
    if kind == "PKCS12":
        return {name: value}
    if name == "ssl.keystore.location":
        return {"ssl.certificate.location": value.strip(), "ssl.key.location": value.strip()}
    return {_KEY[name]: value} if name in _KEY else {}


def _must_be(java: Mapping[str, str], store: str, wanted: set[str]) -> None:
    kind = java.get(f"{store}.type", "JKS").strip().upper()
    if kind not in wanted:
        raise MisuseError(
            f"client property {store}.location: a {kind} store needs a JVM. "
            + _NEEDS_JVM.format(kind=store)
        )
