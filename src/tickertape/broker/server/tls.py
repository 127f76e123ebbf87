"""TLS for a listener: PEM stores to an SSL context, a client's certificate to a principal's name.

Key and certificates come from a file or from the properties themselves; those never touch a disk.
Java's own stores are refused, with the commands that convert them.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tickertape.base.errors import MisuseError
from tickertape.config.broker_security import converted
from tickertape.config.principals import PrincipalRule, principal_name, principal_rules

_VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "requested": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
_JKS: Final = b"\xfe\xed\xfe\xed"
_DER: Final = b"\x30"  # PKCS12 begins so
_SHORT: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}  # RFC 2253
_ANONYMOUS: Final = "ANONYMOUS"
_EMAIL_OID: Final = "1.2.840.113549.1.9.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """``keystore`` and ``truststore`` are paths; the others PEM text. Secrets are not shown."""

    keystore: str = ""
    chain: str = ""
    key: str = field(default="", repr=False)
    key_password: str = field(default="", repr=False)
    truststore: str = ""
    trusted: str = ""
    client_auth: str = "none"
    versions: tuple[str, ...] = ("TLSv1.2", "TLSv1.3")
    rules: tuple[PrincipalRule, ...] = principal_rules("DEFAULT")


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Ready to accept clients. MisuseError says what of the stores cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    spoken = sorted(_VERSIONS[name] for name in settings.versions)
    context.options |= ssl.OP_NO_RENEGOTIATION  # it costs a client nothing, and us a key exchange
    context.minimum_version, context.maximum_version = spoken[0], spoken[-1]
    source = settings.keystore or "ssl.keystore.key and ssl.keystore.certificate.chain"
    with _key_store(settings) as path:
        _must_be_pem(path, source)
        try:
            context.load_cert_chain(path, password=settings.key_password)
        except (ssl.SSLError, OSError) as error:
            why = error.strerror or "not readable"
            raise MisuseError(
                f"{source}: {why}; want a PEM private key (ssl.key.password, if encrypted) and its"
                " certificate chain"
            ) from error
    if settings.client_auth != "none":
        _trust(context, settings)
    context.verify_mode = _VERIFY[settings.client_auth]
    return context


def peer_name(settings: TlsSettings, tls: ssl.SSLObject) -> str | None:
    """The name that the client's certificate gives it; None if no rule applies."""
    certificate = tls.getpeercert() if settings.client_auth != "none" else None
    if not certificate:
        return _ANONYMOUS
    return principal_name(settings.rules, distinguished_name(certificate))


def distinguished_name(certificate: Mapping[str, Any]) -> str:
    """A certificate's subject as Java's X500Principal.getName() writes it (RFC 2253)."""
    parts = []
    for attributes in reversed(certificate.get("subject", ())):
        pairs = []
        for name, value in attributes:
            if name == "emailAddress":  # RFC 2253 has no word for it: number, and DER in hex
                data = value.encode()
                pairs.append(f"{_EMAIL_OID}=#16{len(data):02x}{data.hex()}")
            else:
                pairs.append(f"{_SHORT.get(name, name)}={_escaped(value)}")
        parts.append("+".join(pairs))
    return ",".join(parts)


def _escaped(value: str) -> str:
    safe = "".join(f"\\{c}" if c in ',+"\\<>;' else c for c in value)
    if safe[:1] in {"#", " "}:
        safe = f"\\{safe}"
    return f"{safe[:-1]}\\ " if safe.endswith(" ") and len(safe) > 1 else safe


def _trust(context: ssl.SSLContext, settings: TlsSettings) -> None:
    source = settings.truststore or "ssl.truststore.certificates"
    if not settings.truststore and not settings.trusted:
        raise MisuseError(
            "ssl.truststore.location: got nothing, want the PEM certificates that client"
            f" certificates are checked by (ssl.client.auth={settings.client_auth})"
        )
    try:
        if settings.truststore:
            _must_be_pem(settings.truststore, source)
            context.load_verify_locations(settings.truststore)
        else:
            context.load_verify_locations(cadata=settings.trusted)
    except (ssl.SSLError, OSError) as error:
        why = error.strerror or "not readable"
        raise MisuseError(f"{source}: {why}; want PEM certificates") from error


@contextmanager
def _key_store(settings: TlsSettings) -> Iterator[str]:
    """A path that OpenSSL can read the key and its chain from."""
    if settings.keystore:
        yield settings.keystore
        return
    if not settings.key or not settings.chain:
        raise MisuseError(
            "ssl.keystore.location: got nothing, want a PEM file, or ssl.keystore.key and"
            " ssl.keystore.certificate.chain"
        )
    handle = os.memfd_create("keystore")
    try:
        os.write(handle, f"{settings.key}\n{settings.chain}\n".encode())
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _must_be_pem(path: str, source: str) -> None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # also a path below /proc/self/fd
            head = file.read(4)
    except OSError as error:
        raise MisuseError(f"{source}: {error.strerror}") from error
    if head == _JKS or head[:1] == _DER:
        kind = "a JKS" if head == _JKS else "a PKCS12"
        raise MisuseError(f"{source}: got {kind} store, want PEM; convert it: {converted(source)}")
