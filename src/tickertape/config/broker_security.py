"""The security keys of ``server.properties``: for all listeners, or for one of them.

``listener.name.<name>.<key>`` wins over ``<key>`` for that listener, its name in small letters;
what SASL users may log in with PLAIN is in ``<...>.plain.sasl.jaas.config``. Keys that no listener
reads are inert or refused, with the reason. Source: Kafka's SslConfigs, BrokerSecurityConfigs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tickertape.config.jaas import login
from tickertape.config.keys import Checked, Key, Notice, choice, integer, refusal, text, words
from tickertape.config.principals import principal_rules
from tickertape.config.properties import Entry

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_LONG: Final = (1 << 63) - 1
_INT: Final = (1 << 31) - 1
_LISTENER: Final = "listener.name."
_JAAS: Final = "sasl.jaas.config"
PLAIN_JAAS: Final = "plain.sasl.jaas.config"
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_JVM: Final = "OpenSSL does this, not the JVM"
_PEM_ONLY: Final = "no password: a PEM store has only a key password (ssl.key.password)"


def converted(path: str) -> str:
    """The commands that make a PEM file of a Java key store."""
    stem = path.rpartition(".")[0] or path or "store"
    return (
        f"keytool -importkeystore -srckeystore {path or 'store.jks'} -destkeystore {stem}.p12"
        f" -deststoretype PKCS12; openssl pkcs12 -in {stem}.p12 -nodes -out {stem}.pem"
    )


def store_type(raw: str) -> str:
    """``ssl.keystore.type`` and ``ssl.truststore.type``."""
    value = raw.strip().upper()
    if value not in {"", "PEM"}:
        raise ValueError(f"PEM; convert the store: {converted('')}")
    return value


def tls_versions(raw: str) -> tuple[str, ...]:
    """``ssl.enabled.protocols``."""
    found = tuple(words(raw))
    if not found or not set(found) <= {"TLSv1.2", "TLSv1.3"}:
        raise ValueError("TLSv1.2, TLSv1.3 or both; older ones are broken")
    return found


def mechanisms(raw: str) -> tuple[str, ...]:
    """``sasl.enabled.mechanisms``."""
    found = tuple(words(raw))
    if not found or not set(found) <= set(_MECHANISMS):
        raise ValueError("some of " + ", ".join(_MECHANISMS))
    return found


def users(raw: str) -> dict[str, str]:
    """``plain.sasl.jaas.config``: name to password."""
    found = login(raw)
    if not found.module.endswith(".PlainLoginModule"):
        raise ValueError("org.apache.kafka.common.security.plain.PlainLoginModule")
    return found.users


PER_LISTENER: Final = (
    Key(name="ssl.keystore.type", parse=store_type, default=""),
    Key(name="ssl.keystore.location", parse=text, default=""),
    Key(name="ssl.keystore.certificate.chain", parse=text, default=""),
    Key(name="ssl.keystore.key", parse=text, default=""),
    Key(name="ssl.keystore.password", parse=text, default="", refused=_PEM_ONLY),
    Key(name="ssl.key.password", parse=text, default=""),
    Key(name="ssl.truststore.type", parse=store_type, default=""),
    Key(name="ssl.truststore.location", parse=text, default=""),
    Key(name="ssl.truststore.certificates", parse=text, default=""),
    Key(name="ssl.truststore.password", parse=text, default="", refused=_PEM_ONLY),
    Key(
        name="ssl.client.auth",
        parse=choice("none", "requested", "required", fold=True),
        default="none",
    ),
    Key(name="ssl.enabled.protocols", parse=tls_versions, default=("TLSv1.2", "TLSv1.3")),
    Key(
        name="ssl.cipher.suites",
        parse=words,
        default=(),
        refused="OpenSSL's own choice cannot be narrowed by Java's names",
    ),
    Key(
        name="ssl.principal.mapping.rules",
        parse=principal_rules,
        default=principal_rules("DEFAULT"),
    ),
    Key(name="sasl.enabled.mechanisms", parse=mechanisms, default=()),
    Key(name="sasl.server.max.receive.size", parse=integer(512), default=524_288),
    Key(name="connections.max.reauth.ms", parse=integer(0, _LONG), default=0),
    Key(name=PLAIN_JAAS, parse=users, default=None),
)
"""What each listener can have for itself; alone, a key is for all of them."""

BROKER_WIDE: Final = (
    Key(name="connection.failed.authentication.delay.ms", parse=integer(0, _INT), default=100),
    Key(
        name=_JAAS,
        parse=text,
        default="",
        refused="use listener.name.<listener>.<mechanism>.sasl.jaas.config, as Kafka wants it too",
    ),
)

INERT: Final = {
    "ssl.protocol": "ssl.enabled.protocols says which are spoken",
    "ssl.provider": _JVM,
    "ssl.keymanager.algorithm": _JVM,
    "ssl.trustmanager.algorithm": _JVM,
    "ssl.secure.random.implementation": _JVM,
    "ssl.endpoint.identification.algorithm": "clients are known by their certificate's name",
    "ssl.allow.dn.changes": "stores are read at the start only",
    "ssl.allow.san.changes": "stores are read at the start only",
    "sasl.mechanism.inter.broker.protocol": "one node has no peers",
    "sasl.mechanism.controller.protocol": "one node has no peers",
}
"""Keys of these families that do nothing here."""


@dataclass(frozen=True, slots=True)
class ListenerValues:
    """One listener's value of each key of PER_LISTENER."""

    values: Mapping[str, object]

    def text(self, name: str) -> str:
        """A string; "" where there is none."""
        return str(self.values[name] or "")

    def number(self, name: str) -> int:
        """An integer."""
        value = self.values[name]
        assert isinstance(value, int)
        return value


def values_of(checked: Checked, listener: str) -> ListenerValues:
    """What counts for the listener of that name; what is wrong with its own keys is recorded."""
    prefix = f"{_LISTENER}{listener.lower()}."
    values: dict[str, object] = {}
    for key in PER_LISTENER:
        own = checked.entries.get(prefix + key.name)
        values[key.name] = checked.values[key.name] if own is None else _parsed(checked, key, own)
    return ListenerValues(values)


def _parsed(checked: Checked, key: Key, entry: Entry) -> object:
    try:
        value = key.parse(entry.value)
    except ValueError as error:
        checked.errors.append(refusal(entry, str(error)))
        return key.default
    if key.refused and value != key.default:
        checked.errors.append(refusal(entry, key.refused))
    return value


def check_strangers(checked: Checked, listeners: list[str]) -> None:
    """Warn of ``listener.name.`` keys that no listener reads."""
    known = {f"{_LISTENER}{name.lower()}.{key.name}" for name in listeners for key in PER_LISTENER}
    for name, entry in checked.entries.items():
        if not name.startswith(_LISTENER) or name in known:
            continue
        tail = name.removeprefix(_LISTENER).partition(".")[2]
        if tail in INERT:
            checked.notices.append(Notice("inert", entry, INERT[tail]))
        elif not (tail.startswith("scram-sha-") and tail.endswith(_JAAS)):
            what = "no listener has that name and key, ignored"
            checked.notices.append(Notice("warning", entry, what, unknown=True))
