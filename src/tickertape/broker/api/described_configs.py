"""Every config of a topic or of this broker: value in force, its source, synonyms, meaning.

A value comes from the topic itself, from the broker's server.properties (or from how the broker was
built), or is the default. Secrets are never shown.
"""

from dataclasses import dataclass, field
from typing import Final

from tickertape.broker.api.topic_catalog import (
    TOPIC_CATALOG,
    TOPIC_NAME_OF,
    UNIT_MS,
)
from tickertape.broker.state import topic_configs
from tickertape.broker.state.broker import Broker
from tickertape.config.broker import KEYS, PREFIXES
from tickertape.config.broker_catalog import BROKER_CATALOG
from tickertape.config.keys import is_secret
from tickertape.log.config import LogConfig

FROM_TOPIC: Final = 1  # DYNAMIC_TOPIC_CONFIG
FROM_GROUP: Final = 8  # DYNAMIC_GROUP_CONFIG
FROM_FILE: Final = 4  # STATIC_BROKER_CONFIG
FROM_DEFAULT: Final = 5  # DEFAULT_CONFIG

_KINDS: Final = {
    "boolean": 1,
    "string": 2,
    "int": 3,
    "short": 4,
    "long": 5,
    "double": 6,
    "list": 7,
    "class": 8,
    "password": 9,
}
_INERT: Final = {key.name: key.inert for key in KEYS if key.inert}


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedConfig:
    """One config. ``synonyms`` are (name, value, source), the one in force first."""

    name: str
    value: str | None
    source: int
    kind: int
    read_only: bool
    sensitive: bool = False
    synonyms: list[tuple[str, str | None, int]] = field(default_factory=list)
    why: str


def topic_configs_of(broker: Broker, configs: dict[str, str]) -> list[DescribedConfig]:
    """Every config of a topic that has ``configs`` of its own, by name."""
    in_force = topic_configs.described(broker.settings.log)
    pristine = topic_configs.described(LogConfig())
    found = []
    for name, known in TOPIC_CATALOG.items():
        chain = _inherited(broker, name, in_force.get(name), pristine.get(name))
        value, source = chain[0][1], chain[0][2]
        if name in configs:
            value, source = configs[name], FROM_TOPIC
            chain.insert(0, (name, value, source))
        found.append(
            DescribedConfig(
                name=name,
                value=value,
                source=source,
                kind=_KINDS[known.kind],
                read_only=False,
                synonyms=[each for each in chain if each[0]],
                why=known.why,
            )
        )
    return found


def _inherited(
    broker: Broker, name: str, in_force: str | None, pristine: str | None
) -> list[tuple[str, str, int]]:
    """What a topic gets that says nothing itself, and what it would get if the file did not."""
    known = TOPIC_CATALOG[name]
    default = known.default if pristine is None else pristine
    given = [synonym for synonym in known.synonyms if synonym in broker.settings.given]
    chain = []
    if in_force is None:
        kept = _kept(name, given[0], broker.settings.given[given[0]]) if given else None
        if kept is not None:
            chain.append((given[0], kept, FROM_FILE))
    elif given or in_force != default:
        chain.append(((given or list(known.synonyms))[0], in_force, FROM_FILE))
    chain.append((known.synonyms[0] if len(known.synonyms) == 1 else "", default, FROM_DEFAULT))
    return chain


def _kept(name: str, synonym: str, text: str) -> str | None:
    """A value from the file for what no log obeys; None if no topic could have it either."""
    unit = UNIT_MS.get(synonym, 1)
    value = str(int(text) * unit) if unit != 1 and text.isdecimal() else text
    try:
        topic_configs.checked({name: value})
    except topic_configs.ConfigRefused:
        return None
    return value


def group_configs_of(broker: Broker, group_id: str) -> list[DescribedConfig]:
    """Every config of a group, whether it exists or not."""
    own = broker.group_configs.of(group_id)
    found = []
    for name, known in broker.group_configs.known.items():
        default = str(known.default)
        is_set = known.synonym in broker.settings.given
        chain = [(known.synonym, default, FROM_FILE if is_set else FROM_DEFAULT)]
        if name in own:
            chain.insert(0, (name, own[name], FROM_GROUP))
        found.append(
            DescribedConfig(
                name=name,
                value=chain[0][1],
                source=chain[0][2],
                kind=_KINDS["int"],
                read_only=False,
                synonyms=[(each, value, source) for each, value, source in chain],
                why=known.why,
            )
        )
    return found


def broker_configs_of(broker: Broker) -> list[DescribedConfig]:
    """Every config of this broker, by name. All of them are read at its start and then fixed."""
    logs = topic_configs.described(broker.settings.log)
    found = []
    for name, (kind, default) in BROKER_CATALOG.items():
        value, source = _value(broker, name, default, logs)
        sensitive = kind == "password" or is_secret(name)
        shown = None if sensitive else value
        synonyms = [(name, shown, source)]
        if source != FROM_DEFAULT and default is not None:
            synonyms.append((name, None if sensitive else default, FROM_DEFAULT))
        found.append(
            DescribedConfig(
                name=name,
                value=shown,
                source=source,
                kind=_KINDS[kind],
                read_only=True,
                sensitive=sensitive,
                synonyms=synonyms,
                why=why_of_broker_config(name),
            )
        )
    return found


def _value(
    broker: Broker, name: str, default: str | None, logs: dict[str, str]
) -> tuple[str | None, int]:
    settings = broker.settings
    host, port = settings.advertised_host, settings.advertised_port
    own = {
        "node.id": str(settings.node_id),
        "broker.id": str(settings.node_id),
        "log.dirs": broker.data_dir,
        "advertised.listeners": settings.advertised_listeners or f"PLAINTEXT://{host}:{port}",
        "broker.rack": settings.rack,
        "tape.fsync": settings.fsync,
        "group.consumer.assignors": ",".join(settings.group_consumer_assignors),
    }
    attribute = name.replace(".", "_")
    if name in own:
        value = own[name]
    elif name in TOPIC_NAME_OF:
        value = logs[TOPIC_NAME_OF[name]]
    elif name == "producer.id.expiration.ms":
        value = str(settings.log.producer_id_expiration_ms)
    elif hasattr(settings, attribute):
        value = topic_configs.spelled(getattr(settings, attribute))
    else:
        value = settings.given.get(name, default)
    changed = value != default or name in settings.given
    return value, FROM_FILE if changed else FROM_DEFAULT


def why_of_broker_config(name: str) -> str:
    """What it does here, or why it does nothing."""
    reason = _INERT.get(name, "")
    if not reason:
        reason = next((why for prefix, why in PREFIXES.items() if name.startswith(prefix)), "")
        if reason and any(key.name == name for key in KEYS):
            reason = ""  # a family is inert, this member of it is not
    if reason:
        return f"Accepted, without effect: {reason}."
    topic_name = TOPIC_NAME_OF.get(name)
    if topic_name is not None:
        return f"Default of the topics' {topic_name}: {TOPIC_CATALOG[topic_name].why}"
    return _USED[name]


_USED: Final = {
    "advertised.listeners": "The address that clients are told to connect to.",
    "authorizer.class.name": "StandardAuthorizer: ACLs count. Empty: everybody may do everything.",
    "auto.create.topics.enable": "Whether a topic is created when a client first asks for it.",
    "broker.id": "Older name of node.id.",
    "broker.rack": "The rack that clients are told.",
    "connection.failed.authentication.delay.ms": "How long a failed login waits.",
    "connections.max.reauth.ms": "How long a SASL client may go without proving itself again.",
    "connections.max.idle.ms": "How long a silent connection is kept.",
    "controller.listener.names": "Listeners that are left out, as there is no controller.",
    "delete.topic.enable": "Whether topics can be deleted.",
    "log.cleaner.enable": "Whether compacted topics are compacted.",
    "log.cleaner.dedupe.buffer.size": "Memory for the keys of one compaction.",
    "log.roll.jitter.hours": "Default of the topics' segment.jitter.ms, unless a finer one is set.",
    "log.roll.jitter.ms": "Default of the topics' segment.jitter.ms.",
    "fetch.max.bytes": "The most that one fetch is answered with.",
    "group.consumer.assignors": "Who assigns partitions in consumer groups, the default first.",
    "group.consumer.heartbeat.interval.ms": "Default of consumer.heartbeat.interval.ms.",
    "group.consumer.max.heartbeat.interval.ms": "The most that a group may set.",
    "group.consumer.max.session.timeout.ms": "The most that a group may set.",
    "group.consumer.max.size": "How many members a consumer group may have.",
    "group.consumer.min.heartbeat.interval.ms": "The least that a group may set.",
    "group.consumer.min.session.timeout.ms": "The least that a group may set.",
    "group.consumer.session.timeout.ms": "Default of consumer.session.timeout.ms.",
    "group.initial.rebalance.delay.ms": "How long an empty group waits for more members.",
    "group.max.session.timeout.ms": "The longest session that a member may ask for.",
    "group.max.size": "How many members a group may have.",
    "group.min.session.timeout.ms": "The shortest session that a member may ask for.",
    "listener.security.protocol.map": "Which protocol a listener speaks, by its name.",
    "listeners": "Where the broker listens.",
    "log.cleaner.backoff.ms": "How often is looked for logs to compact.",
    "log.dir": "Older name of log.dirs.",
    "log.dirs": "The one data folder.",
    "log.flush.interval.ms": "How often is synced, with tape.fsync=interval.",
    "log.retention.check.interval.ms": "How often is looked for segments to delete.",
    "log.retention.hours": "Default of the topics' retention.ms, unless a finer one is set.",
    "log.retention.minutes": "Default of the topics' retention.ms, unless log.retention.ms is set.",
    "log.retention.ms": "Default of the topics' retention.ms.",
    "log.roll.hours": "Default of the topics' segment.ms, unless log.roll.ms is set.",
    "log.roll.ms": "Default of the topics' segment.ms.",
    "queued.max.request.bytes": "Memory for all unfinished large requests; -1: no bound.",
    "max.connections": "How many connections are open at most.",
    "max.connections.per.ip": "How many of them one address may have.",
    "max.connections.per.ip.overrides": "The same for single addresses: address:number.",
    "node.id": "The number of this broker.",
    "num.recovery.threads.per.data.dir": "Threads that open and close logs.",
    "num.partitions": "How many partitions a topic gets if nobody says.",
    "offset.metadata.max.bytes": "How much text a client may keep with a committed offset.",
    "offsets.commit.timeout.ms": "How long a commit may take to become durable.",
    "offsets.retention.check.interval.ms": "How often is looked for offsets to forget.",
    "offsets.retention.minutes": "How long offsets of a group without members are kept.",
    "offsets.topic.num.partitions": "Partitions of __consumer_offsets, when it is created.",
    "offsets.topic.segment.bytes": "Segment size of __consumer_offsets, when it is created.",
    "producer.id.expiration.ms": "How long a silent producer is remembered.",
    "sasl.enabled.mechanisms": "Which of PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 clients may use.",
    "sasl.jaas.config": "Not used: see listener.name.<listener>.<mechanism>.sasl.jaas.config.",
    "sasl.server.max.receive.size": "The largest request of a client that is yet to authenticate.",
    "ssl.cipher.suites": "Only empty: OpenSSL chooses.",
    "ssl.client.auth": "Whether clients show a certificate: none, requested or required.",
    "ssl.enabled.protocols": "Which versions of TLS are spoken.",
    "ssl.key.password": "The password of the private key.",
    "ssl.keystore.certificate.chain": "The broker's certificates, as PEM text.",
    "ssl.keystore.key": "The broker's private key, as PEM text.",
    "ssl.keystore.location": "The PEM file with the broker's private key and certificates.",
    "ssl.keystore.password": "Not used: a PEM file has only a key password.",
    "ssl.keystore.type": "Only PEM.",
    "ssl.principal.mapping.rules": "How a certificate's name becomes a principal.",
    "ssl.truststore.certificates": "Whose certificates clients may show, as PEM text.",
    "ssl.truststore.location": "The PEM file that says whose certificates clients may show.",
    "ssl.truststore.password": "Not used: a PEM file has none.",
    "ssl.truststore.type": "Only PEM.",
    "socket.request.max.bytes": "The largest request that is read.",
    "tape.log.format": "How the broker writes its own log: text, or a JSON object per line.",
    "tape.metrics.host": "Where metrics and health are served.",
    "tape.metrics.port": "Port of /metrics, /health and /ready; -1: none, 0: any free one.",
    "tape.fsync": "always: synced before acknowledged. interval, never: sooner, and unsafe.",
    "transaction.max.timeout.ms": "The longest timeout that a transactional producer may ask for.",
    "transaction.remove.expired.transaction.cleanup.interval.ms": "How often that is done.",
    "transaction.state.log.num.partitions": "Partitions of __transaction_state.",
    "transaction.state.log.segment.bytes": "Segment size of __transaction_state.",
    "transactional.id.expiration.ms": "How long an unused transactional id is remembered.",
}
