"""What DescribeConfigs knows of a topic's properties: type, default, the broker's name for it, why.

The properties are those that ``topic_configs`` accepts. Where a broker property is the default, it
is a synonym; UNIT_MS is for those that count in another unit than the topic does.
"""

from typing import Final, NamedTuple

from tickertape.broker.state.topic_configs import LOG_CONFIGS

_FOREVER: Final = "9223372036854775807"
_KEPT: Final = "Kept, without effect: "


class TopicProperty(NamedTuple):
    """``default`` is used only for what no log obeys; the others have LogConfig's."""

    kind: str
    why: str
    synonyms: tuple[str, ...] = ()
    default: str = ""


TOPIC_CATALOG: Final[dict[str, TopicProperty]] = {
    "cleanup.policy": TopicProperty(
        "list",
        "delete: old segments go by age and size. compact: the newest record of each key stays.",
        ("log.cleanup.policy",),
    ),
    "compression.gzip.level": TopicProperty(
        "int",
        "How dense gzip packs, where compression.type asks for it.",
        ("compression.gzip.level",),
    ),
    "compression.lz4.level": TopicProperty(
        "int", _KEPT + "lz4 packs at one level here.", ("compression.lz4.level",), "9"
    ),
    "compression.type": TopicProperty(
        "string",
        "producer: batches are stored as they were sent. Else: in which codec they are stored.",
        ("compression.type",),
    ),
    "compression.zstd.level": TopicProperty(
        "int",
        "How dense zstd packs, where compression.type asks for it.",
        ("compression.zstd.level",),
    ),
    "delete.retention.ms": TopicProperty(
        "long",
        "How long a tombstone can still be read after compaction has seen it.",
        ("log.cleaner.delete.retention.ms",),
    ),
    "file.delete.delay.ms": TopicProperty(
        "long",
        _KEPT + "files go when nobody reads them.",
        ("log.segment.delete.delay.ms",),
        "60000",
    ),
    "flush.messages": TopicProperty(
        "long",
        _KEPT + "records are synced before they are acknowledged.",
        ("log.flush.interval.messages",),
        _FOREVER,
    ),
    "flush.ms": TopicProperty(
        "long", _KEPT + "records are synced before they are acknowledged.", (), _FOREVER
    ),
    "follower.replication.throttled.replicas": TopicProperty(
        "list", _KEPT + "one node has no replicas."
    ),
    "index.interval.bytes": TopicProperty(
        "int", "Bytes of log between two index entries.", ("log.index.interval.bytes",)
    ),
    "leader.replication.throttled.replicas": TopicProperty(
        "list", _KEPT + "one node has no replicas."
    ),
    "local.retention.bytes": TopicProperty(
        "long", _KEPT + "there is no tiered storage.", ("log.local.retention.bytes",), "-2"
    ),
    "local.retention.ms": TopicProperty(
        "long", _KEPT + "there is no tiered storage.", ("log.local.retention.ms",), "-2"
    ),
    "max.compaction.lag.ms": TopicProperty(
        "long",
        "How old a record may grow before compaction runs, whatever the dirty ratio.",
        ("log.cleaner.max.compaction.lag.ms",),
    ),
    "max.message.bytes": TopicProperty(
        "int", "The largest batch that is accepted, compressed.", ("message.max.bytes",)
    ),
    "message.timestamp.after.max.ms": TopicProperty(
        "long",
        "How far in the future a record's timestamp may lie.",
        ("log.message.timestamp.after.max.ms",),
    ),
    "message.timestamp.before.max.ms": TopicProperty(
        "long",
        "How far in the past a record's timestamp may lie.",
        ("log.message.timestamp.before.max.ms",),
    ),
    "message.timestamp.type": TopicProperty(
        "string",
        "CreateTime: the producer's clock. LogAppendTime: the broker's.",
        ("log.message.timestamp.type",),
    ),
    "min.cleanable.dirty.ratio": TopicProperty(
        "double",
        "The share of the log that must be uncleaned before compaction runs.",
        ("log.cleaner.min.cleanable.ratio",),
    ),
    "min.compaction.lag.ms": TopicProperty(
        "long",
        "How long a record is safe from compaction.",
        ("log.cleaner.min.compaction.lag.ms",),
    ),
    "min.insync.replicas": TopicProperty(
        "int", _KEPT + "one node has no replicas.", ("min.insync.replicas",), "1"
    ),
    "preallocate": TopicProperty(
        "boolean", _KEPT + "segments grow as needed.", ("log.preallocate",), "false"
    ),
    "remote.log.copy.disable": TopicProperty(
        "boolean", _KEPT + "there is no tiered storage.", (), "false"
    ),
    "remote.log.delete.on.disable": TopicProperty(
        "boolean", _KEPT + "there is no tiered storage.", (), "false"
    ),
    "remote.storage.enable": TopicProperty(
        "boolean", "Only false: there is no tiered storage.", (), "false"
    ),
    "retention.bytes": TopicProperty(
        "long", "How large a partition may grow before old segments go.", ("log.retention.bytes",)
    ),
    "retention.ms": TopicProperty(
        "long",
        "How old a segment's newest record may grow before the segment goes.",
        ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
    ),
    "segment.bytes": TopicProperty(
        "int", "How large a segment may grow before a new one begins.", ("log.segment.bytes",)
    ),
    "segment.index.bytes": TopicProperty(
        "int",
        "How large an index may grow before a new segment begins.",
        ("log.index.size.max.bytes",),
    ),
    "segment.jitter.ms": TopicProperty(
        "long",
        "How much earlier than segment.ms says a segment may end, so that not all end at once.",
        ("log.roll.jitter.ms", "log.roll.jitter.hours"),
    ),
    "segment.ms": TopicProperty(
        "long",
        "How old a segment may grow before a new one begins.",
        ("log.roll.ms", "log.roll.hours"),
    ),
    "unclean.leader.election.enable": TopicProperty(
        "boolean",
        _KEPT + "one node has no replicas.",
        ("unclean.leader.election.enable",),
        "false",
    ),
}
UNIT_MS: Final = {
    "log.retention.minutes": 60_000,
    "log.retention.hours": 3_600_000,
    "log.roll.hours": 3_600_000,
    "log.roll.jitter.hours": 3_600_000,
}
"""Broker properties that count in another unit than their topic's property, which is in ms."""

TOPIC_NAME_OF: Final = {
    synonym: name
    for name, known in TOPIC_CATALOG.items()
    if name in LOG_CONFIGS
    for synonym in known.synonyms[:1]
    if len(known.synonyms) == 1
}
"""Broker property -> the topic property that it is the default of, where one number serves both."""
