"""The keys of a broker's ``server.properties``, with Kafka's names.

Every key of the files that Kafka 2.2 and 4.x ship is here, so that they start unchanged: those that
mean nothing to a single, embedded node are inert, with the reason. Those that
begin with ``tape.`` are ours.
Sources: Kafka's KafkaConfig, ServerLogConfigs, GroupCoordinatorConfig and SocketServerConfigs.
"""

import re
from dataclasses import dataclass
from typing import Final

from tickertape.config.broker_security import BROKER_WIDE, INERT, PER_LISTENER, PROTOCOLS
from tickertape.config.keys import Checked, Key, boolean, choice, integer, text, words

_LONG: Final = (1 << 63) - 1
_INT: Final = (1 << 31) - 1
_LISTENER: Final = re.compile(
    r"([A-Za-z0-9_.-]+)://(?:\[([0-9A-Fa-f:.%]+)\]|([^:/\s]*)):([0-9]{1,5})"
)


@dataclass(frozen=True, slots=True)
class Listener:
    """``NAME://host:port``; an empty host means every interface."""

    name: str
    host: str
    port: int


def listener_list(raw: str) -> tuple[Listener, ...]:
    """``listeners`` and ``advertised.listeners``; ValueError says what is wanted."""
    found: list[Listener] = []
    for item in words(raw):
        match = _LISTENER.fullmatch(item)
        if match is None or int(match[4]) > 65_535:
            raise ValueError("NAME://host:port, several with commas between")
        found.append(Listener(match[1].upper(), match[2] or match[3], int(match[4])))
    return tuple(found)


def ratio(raw: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(raw.strip())
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return value


def gzip_level(raw: str) -> int:
    """``compression.gzip.level``."""
    level = integer(-1, 9)(raw)
    assert isinstance(level, int)
    if level == 0:
        raise ValueError("a whole number from 1 to 9, or -1")
    return level


def policies(raw: str) -> frozenset[str]:
    """``log.cleanup.policy``."""
    found = frozenset(word.lower() for word in words(raw))
    if not found or not found <= {"delete", "compact"}:
        raise ValueError("delete, compact or delete,compact")
    return found


def authorizer(raw: str) -> str:
    """``authorizer.class.name``: Kafka's own, by its new name or an old one."""
    value = raw.strip()
    if value and value not in _AUTHORIZERS:
        raise ValueError("no value or " + _AUTHORIZERS[0])
    return value


def per_address(raw: str) -> dict[str, int]:
    """``max.connections.per.ip.overrides``: address to number."""
    found: dict[str, int] = {}
    for item in words(raw):
        address, _, number = item.rpartition(":")
        if not address or not number.isdecimal():
            raise ValueError("address:number, several with commas between")
        found[address.strip("[]")] = int(number)
    return found


def principals(raw: str) -> tuple[str, ...]:
    """``super.users``: principals with semicolons between."""
    found = tuple(item for part in raw.split(";") if (item := part.strip()))
    if not all(":" in item for item in found):
        raise ValueError("principals such as User:admin, with semicolons between")
    return found


_AUTHORIZERS: Final = (
    "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "kafka.security.authorizer.AclAuthorizer",
    "kafka.security.auth.SimpleAclAuthorizer",
)
_FORGOTTEN: Final = "what waits is forgotten when it is answered"
_ONE_NODE: Final = "one node has no replicas"
_NO_ZOOKEEPER: Final = "no ZooKeeper is needed"
_NO_QUORUM: Final = "one node needs no controller quorum"
_ONE_LOOP: Final = "one event loop serves all requests"
_KERNEL: Final = "the kernel sizes socket buffers itself"
_BOUNDED: Final = "requests in flight are bounded per connection instead"
_SYNCED: Final = "records are synced before they are acknowledged (see --fsync)"
_CLEANER: Final = "the cleaner is one thread without a budget"
_METRICS: Final = "metrics are read over HTTP, see tape.metrics.port"
_NOT_SERVED: Final = "this broker serves TLS, SASL PLAIN and SCRAM only"
_CLASSIC: Final = "this broker serves classic and consumer groups only"
_AT_ONCE: Final = "targets are computed at once, and groups with members keep their protocol"
_NO_CLASS: Final = "no Java class can be loaded"
_QUOTA: Final = "quotas have Kafka's default windows, and no callbacks"
_TIERED: Final = "this broker has no tiered storage"

_USED: Final = (
    Key(name="node.id", parse=integer(0)),
    Key(name="broker.id", parse=integer(-1)),
    Key(name="broker.rack", parse=text),
    Key(name="listeners", parse=listener_list, default=()),
    Key(name="advertised.listeners", parse=listener_list, default=()),
    Key(name="listener.security.protocol.map", parse=words, default=()),
    Key(name="controller.listener.names", parse=words, default=()),
    Key(name="host.name", parse=text),
    Key(name="port", parse=integer(0, 65_535)),
    Key(name="advertised.host.name", parse=text),
    Key(name="advertised.port", parse=integer(1, 65_535)),
    Key(name="log.dirs", parse=words, default=()),
    Key(name="log.dir", parse=words, default=()),
    Key(name="tape.fsync", parse=choice("always", "interval", "never"), default="always"),
    Key(name="log.flush.interval.ms", parse=integer(1, _LONG), default=1_000),
    Key(name="tape.metrics.port", parse=integer(-1, 65_535), default=-1),
    Key(name="tape.metrics.host", parse=text, default="127.0.0.1"),
    Key(name="tape.log.format", parse=choice("text", "json"), default="text"),
    Key(name="num.partitions", parse=integer(1, 10_000), default=1),
    Key(name="num.recovery.threads.per.data.dir", parse=integer(1, 1_000), default=16),
    Key(name="auto.create.topics.enable", parse=boolean, default=True),
    Key(
        name="compression.type",
        parse=choice("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer", fold=True),
        default="producer",
    ),
    Key(name="compression.gzip.level", parse=gzip_level, default=-1),
    Key(name="compression.zstd.level", parse=integer(-131_072, 22), default=3),
    Key(name="message.max.bytes", parse=integer(0), default=1_048_588),
    Key(name="log.segment.bytes", parse=integer(14), default=1 << 30),
    Key(name="log.roll.ms", parse=integer(1, _LONG)),
    Key(name="log.roll.hours", parse=integer(1), default=168),
    Key(name="log.retention.ms", parse=integer(-1, _LONG)),
    Key(name="log.retention.minutes", parse=integer(-1)),
    Key(name="log.retention.hours", parse=integer(-1), default=168),
    Key(name="log.retention.bytes", parse=integer(-1, _LONG), default=-1),
    Key(name="log.retention.check.interval.ms", parse=integer(1, _LONG), default=300_000),
    Key(name="log.index.interval.bytes", parse=integer(0), default=4_096),
    Key(name="log.cleanup.policy", parse=policies, default=frozenset({"delete"})),
    Key(name="log.cleaner.backoff.ms", parse=integer(0, _LONG), default=15_000),
    Key(name="log.cleaner.min.cleanable.ratio", parse=ratio, default=0.5),
    Key(name="log.cleaner.delete.retention.ms", parse=integer(0, _LONG), default=86_400_000),
    Key(name="log.cleaner.max.compaction.lag.ms", parse=integer(1, _LONG), default=_LONG),
    Key(name="log.cleaner.enable", parse=boolean, default=True),
    Key(name="log.cleaner.dedupe.buffer.size", parse=integer(1, _LONG), default=134_217_728),
    Key(name="log.index.size.max.bytes", parse=integer(4), default=10_485_760),
    Key(name="log.roll.jitter.ms", parse=integer(0, _LONG)),
    Key(name="log.roll.jitter.hours", parse=integer(0), default=0),
    Key(name="delete.topic.enable", parse=boolean, default=True),
    Key(name="log.cleaner.min.compaction.lag.ms", parse=integer(0, _LONG), default=0),
    Key(
        name="log.message.timestamp.type",
        parse=choice("CreateTime", "LogAppendTime"),
        default="CreateTime",
    ),
    Key(name="log.message.timestamp.before.max.ms", parse=integer(0, _LONG), default=_LONG),
    Key(name="log.message.timestamp.after.max.ms", parse=integer(0, _LONG), default=3_600_000),
    Key(name="producer.id.expiration.ms", parse=integer(1), default=86_400_000),
    Key(name="fetch.max.bytes", parse=integer(1024), default=57_671_680),
    Key(name="offsets.topic.num.partitions", parse=integer(1, 10_000), default=50),
    Key(name="offsets.topic.segment.bytes", parse=integer(1024), default=104_857_600),
    Key(name="offsets.retention.minutes", parse=integer(1), default=10_080),
    Key(name="offsets.retention.check.interval.ms", parse=integer(1, _LONG), default=600_000),
    Key(name="offset.metadata.max.bytes", parse=integer(0), default=4_096),
    Key(name="offsets.commit.timeout.ms", parse=integer(1), default=5_000),
    Key(name="transaction.max.timeout.ms", parse=integer(1), default=900_000),
    Key(name="transactional.id.expiration.ms", parse=integer(1), default=604_800_000),
    Key(
        name="transaction.remove.expired.transaction.cleanup.interval.ms",
        parse=integer(1),
        default=3_600_000,
    ),
    Key(name="transaction.state.log.num.partitions", parse=integer(1, 10_000), default=50),
    Key(name="transaction.state.log.segment.bytes", parse=integer(1024), default=104_857_600),
    Key(name="group.initial.rebalance.delay.ms", parse=integer(0), default=0),
    Key(name="group.min.session.timeout.ms", parse=integer(1), default=6_000),
    Key(name="group.max.session.timeout.ms", parse=integer(1), default=1_800_000),
    Key(name="group.max.size", parse=integer(1), default=_INT),
    Key(name="group.consumer.session.timeout.ms", parse=integer(1), default=45_000),
    Key(name="group.consumer.min.session.timeout.ms", parse=integer(1), default=45_000),
    Key(name="group.consumer.max.session.timeout.ms", parse=integer(1), default=60_000),
    Key(name="group.consumer.heartbeat.interval.ms", parse=integer(1), default=5_000),
    Key(name="group.consumer.min.heartbeat.interval.ms", parse=integer(1), default=5_000),
    Key(name="group.consumer.max.heartbeat.interval.ms", parse=integer(1), default=15_000),
    Key(name="group.consumer.max.size", parse=integer(1), default=_INT),
    Key(name="group.consumer.assignors", parse=words, default=("uniform", "range")),
    Key(name="socket.request.max.bytes", parse=integer(1024), default=104_857_600),
    Key(name="queued.max.request.bytes", parse=integer(-1, (1 << 63) - 1), default=-1),
    Key(name="max.connections", parse=integer(1), default=_INT),
    Key(name="max.connections.per.ip", parse=integer(0), default=_INT),
    Key(name="max.connections.per.ip.overrides", parse=per_address, default={}),
    Key(name="connections.max.idle.ms", parse=integer(1, _LONG), default=600_000),
    Key(name="authorizer.class.name", parse=authorizer, default=""),
    Key(name="super.users", parse=principals, default=()),
    Key(name="allow.everyone.if.no.acl.found", parse=boolean, default=False),
)

_INERT: Final = {
    "add.partitions.to.txn.retry.backoff.max.ms": "one node asks nobody about transactions",
    "add.partitions.to.txn.retry.backoff.ms": "one node asks nobody about transactions",
    "alter.config.policy.class.name": _NO_CLASS,
    "config.providers": "values are taken as they are",
    "cordoned.log.dirs": "there is one data folder",
    "create.topic.policy.class.name": _NO_CLASS,
    "delete.records.purgatory.purge.interval.requests": _FORGOTTEN,
    "early.start.listeners": _NO_QUORUM,
    "fetch.purgatory.purge.interval.requests": _FORGOTTEN,
    "max.request.partition.size.limit": "2,000 partitions are described at a time",
    "producer.purgatory.purge.interval.requests": _FORGOTTEN,
    "replication.quota.window.num": _ONE_NODE,
    "replication.quota.window.size.seconds": _ONE_NODE,
    "socket.connection.setup.timeout.max.ms": _ONE_NODE,
    "socket.connection.setup.timeout.ms": _ONE_NODE,
    "auto.leader.rebalance.enable": _ONE_NODE,
    "background.threads": _ONE_LOOP,
    "broker.heartbeat.interval.ms": _NO_QUORUM,
    "broker.id.generation.enable": _NO_ZOOKEEPER,
    "broker.session.timeout.ms": _NO_QUORUM,
    "compression.lz4.level": "lz4 packs at one level here",
    "control.plane.listener.name": _NO_QUORUM,
    "default.replication.factor": _ONE_NODE,
    "inter.broker.listener.name": _ONE_NODE,
    "inter.broker.protocol.version": _ONE_NODE,
    "initial.broker.registration.timeout.ms": _NO_QUORUM,
    "log.cleaner.threads": _CLEANER,
    "log.cleaner.io.buffer.size": _CLEANER,
    "log.cleaner.io.buffer.load.factor": _CLEANER,
    "log.cleaner.io.max.bytes.per.second": _CLEANER,
    "log.dir.failure.timeout.ms": "there is one data folder",
    "log.flush.interval.messages": _SYNCED,
    "log.flush.scheduler.interval.ms": _SYNCED,
    "log.flush.offset.checkpoint.interval.ms": "recovery points are written at every roll",
    "log.flush.start.offset.checkpoint.interval.ms": "the log start is written when it moves",
    "log.message.downconversion.enable": "record batches of magic 2 only",
    "log.message.format.version": "record batches of magic 2 only",
    "log.message.timestamp.difference.max.ms": "replaced by log.message.timestamp.before.max.ms"
    " and log.message.timestamp.after.max.ms",
    "log.preallocate": "segments grow as needed",
    "log.segment.delete.delay.ms": "old segments are deleted when nobody reads them",
    "max.connection.creation.rate": "max.connections and max.connections.per.ip bound connections",
    "max.incremental.fetch.session.cache.slots": "every fetch is a full fetch",
    "min.insync.replicas": _ONE_NODE,
    "num.io.threads": _ONE_LOOP,
    "num.network.threads": _ONE_LOOP,
    "num.replica.alter.log.dirs.threads": _ONE_NODE,
    "num.replica.fetchers": _ONE_NODE,
    "offsets.commit.required.acks": _SYNCED,
    "offsets.load.buffer.size": "the offsets topic is read segment by segment",
    "offsets.topic.compression.codec": "committed offsets are stored uncompressed",
    "offsets.topic.replication.factor": _ONE_NODE,
    "process.roles": _NO_QUORUM,
    "queued.max.requests": _BOUNDED,
    "request.timeout.ms": _ONE_NODE,
    "reserved.broker.max.id": _NO_ZOOKEEPER,
    "security.inter.broker.protocol": _ONE_NODE,
    "security.providers": _NOT_SERVED,
    "socket.listen.backlog.size": "the backlog is 1024",
    "socket.receive.buffer.bytes": _KERNEL,
    "socket.send.buffer.bytes": _KERNEL,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "aborted when they are due",
    "transaction.partition.verification.enable": "every transactional batch is verified",
    "transaction.state.log.load.buffer.size": "the transaction log is read segment by segment",
    "transaction.state.log.min.isr": _ONE_NODE,
    "transaction.state.log.replication.factor": _ONE_NODE,
    "transaction.two.phase.commit.enable": "two-phase commit is not served",
    "unclean.leader.election.enable": _ONE_NODE,
    "unstable.api.versions.enable": "every served version is stable",
    "unstable.feature.versions.enable": "every served version is stable",
    "auto.include.jmx.reporter": _METRICS,
    "kafka.metrics.polling.interval.secs": _METRICS,
    "kafka.metrics.reporters": _METRICS,
    "producer.id.expiration.check.interval.ms": "looked at with every retention check",
}

KEYS: Final = (
    *_USED,
    *PER_LISTENER,
    *BROKER_WIDE,
    *(Key(name=name, parse=text, inert=reason) for name, reason in (_INERT | INERT).items()),
)
"""Every single key; families are in PREFIXES."""

PREFIXES: Final = {
    "zookeeper.": _NO_ZOOKEEPER,
    "controller.": _NO_QUORUM,
    "controlled.shutdown.": _ONE_NODE,
    "metadata.": _NO_QUORUM,
    "replica.": _ONE_NODE,
    "leader.": _ONE_NODE,
    "follower.": _ONE_NODE,
    "group.coordinator.": _CLASSIC,
    "group.consumer.": _AT_ONCE,
    "group.share.": _CLASSIC,
    "group.streams.": _CLASSIC,
    "share.": _CLASSIC,
    "remote.": _TIERED,
    "log.local.retention.": _TIERED,
    "quota.": _QUOTA,
    "alter.log.dirs.": _ONE_NODE,
    "client.quota.": _QUOTA,
    "delegation.token.": _NOT_SERVED,
    "password.encoder.": _NOT_SERVED,
    "principal.builder.": _NOT_SERVED,
    "sasl.": _NOT_SERVED,
    "ssl.": _NOT_SERVED,
    "listener.name.": "",
    "telemetry.": _METRICS,
    "metric.": _METRICS,
    "metrics.": _METRICS,
    "confluent.": "this is not Confluent's broker",
}


def protocols(checked: Checked) -> dict[str, str]:
    """What each listener name speaks; one that is not named here speaks what it is called."""
    found: dict[str, str] = {}
    for pair in _texts(checked, "listener.security.protocol.map"):
        name, _, protocol = pair.partition(":")
        found[name.strip().upper()] = protocol.strip().upper()
    return found


def client_listeners(checked: Checked, name: str) -> list[Listener]:
    """The listeners of ``listeners`` or ``advertised.listeners`` that clients connect to.

    Leaves out those of the controller; refuses (in ``checked``) what speaks no known protocol.
    """
    controllers = {item.upper() for item in _texts(checked, "controller.listener.names")}
    spoken = protocols(checked)
    found: list[Listener] = []
    value = checked.values[name]
    assert isinstance(value, tuple)
    for listener in value:
        assert isinstance(listener, Listener)
        if listener.name in controllers:
            continue
        protocol = spoken.get(listener.name, listener.name)
        if protocol not in PROTOCOLS:
            known = ", ".join(PROTOCOLS)
            checked.refuse(name, f"listeners of {known}, not {listener.name} ({protocol})")
        found.append(listener)
    return found


def _texts(checked: Checked, name: str) -> list[str]:
    value = checked.values[name]
    assert isinstance(value, tuple)
    return [item for item in value if isinstance(item, str)]
