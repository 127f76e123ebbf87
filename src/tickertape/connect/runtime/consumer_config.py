"""Kafka's Java consumer properties, as users write them, turned into librdkafka's. Pure.

What librdkafka knows under the same name passes as it is; what it spells differently is translated;
what only the JVM has is dropped with a warning that names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tickertape.base.errors import MisuseError
from tickertape.config.client_security import JVM_ONLY as SECURITY_JVM_ONLY
from tickertape.config.client_security import to_librdkafka
from tickertape.connect.s3.settings import SinkSettings

RENAMED: Final[dict[str, str]] = {
    "fetch.max.wait.ms": "fetch.wait.max.ms",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "request.timeout.ms": "socket.timeout.ms",
    "sasl.mechanism": "sasl.mechanisms",
    "metadata.max.age.ms": "topic.metadata.refresh.interval.ms",
}
# Ours to decide: reading and committing are part of exactly-once.
FIXED: Final[dict[str, str]] = {
    "enable.auto.commit": "we commit after each flush, synchronously",
    "auto.offset.reset": "",  # handled by the task: see start_policy
    "isolation.level": "",  # decided by the connector's settings
    "bootstrap.servers": "",
    "group.id": "",
    "enable.partition.eof": "we need to know when a partition is read to its end",
    "partition.assignment.strategy": "",
}
JVM_ONLY_PREFIXES: Final = ("metric", "interceptor.", "key.deserializer", "value.deserializer")
JVM_ONLY: Final = SECURITY_JVM_ONLY | {
    "max.poll.records", "default.api.timeout.ms", "exclude.internal.topics", "client.dns.lookup",
    "group.protocol", "group.remote.assignor", "auto.include.jmx.reporter",
    "socket.connection.setup.timeout.max.ms", "retry.backoff.max.ms", "metadata.recovery.strategy",
}  # fmt: skip
# Java's consumers leave these out of patterns; librdkafka does so if told.
_INTERNAL: Final = "^__consumer_offsets$,^__transaction_state$"
_TUNING: Final[dict[str, str | int]] = {
    # Kafka says 45 s. A worker that was killed blocks its successor this long; one that was only
    # slow loses nothing but time, as it is fenced.
    "session.timeout.ms": 10_000,
    "log_level": 2,  # errors come by callback; librdkafka's own log repeats them without end
    "topic.metadata.refresh.interval.ms": 10_000,  # a topic created later is seen this soon
    # librdkafka waits a second when its queue is full: that caps a reader at 140k records/s.
    "fetch.queue.backoff.ms": 5,
    "queued.min.messages": 200_000,
    "queued.max.messages.kbytes": 131_072,
    "fetch.max.bytes": 52_428_800,
    "max.partition.fetch.bytes": 8_388_608,
}


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """``librdkafka``: what to make a consumer with. ``warnings``: what was dropped or changed."""

    librdkafka: dict[str, str | int | bool]
    warnings: tuple[str, ...]


def consumer_config(settings: SinkSettings, task: int) -> ConsumerConfig:
    """Translate a connector's consumer properties, for its n-th task, counting from 0.

    MisuseError names key, got and want.
    """
    java = settings.consumer
    if settings.isolation_level not in {"read_committed", "read_uncommitted"}:
        raise MisuseError(
            f"consumer property isolation.level: got {settings.isolation_level!r}, want"
            " read_committed or read_uncommitted"
        )
    found: dict[str, str | int | bool] = {
        **_TUNING,
        **({"topic.blacklist": _INTERNAL} if settings.topics_regex else {}),
        "client.id": f"connector-consumer-{settings.name}-{task}",
    }
    warnings: list[str] = []
    kept: dict[str, str] = {}
    for name, value in java.items():
        if name in FIXED:
            if FIXED[name]:
                warnings.append(f"consumer property {name}={value} has no effect: {FIXED[name]}")
        elif name in JVM_ONLY or name.startswith(JVM_ONLY_PREFIXES):
            warnings.append(f"consumer property {name} belongs to the Java client: no effect")
        else:
            kept[name] = value
    translated = to_librdkafka(kept).items()
    found |= {
        RENAMED.get(name, name): text for name, value in translated if (text := value.strip())
    }
    warnings += _assignment(java)
    if settings.tasks_max > 1 and "group.instance.id" in found:
        found["group.instance.id"] = f"{found['group.instance.id']}-{task}"  # one per member
    return ConsumerConfig(
        {
            **found,
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": settings.group_id,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",  # the task says where to begin: nothing is reset silently
            "isolation.level": settings.isolation_level,
            "partition.assignment.strategy": "range,roundrobin",
        },
        tuple(warnings),
    )


def subscription(settings: SinkSettings) -> list[str]:
    """What to subscribe to: names, or one pattern in librdkafka's form, which starts with ^."""
    if settings.topics_regex is None:
        return list(settings.topics)
    return [f"^({settings.topics_regex})$"]  # in Java a pattern is one for the whole name


def start_policy(java: Mapping[str, str]) -> str:
    """Where a new group begins: ``earliest`` (as Connect) or ``latest``."""
    policy = java.get("auto.offset.reset", "earliest").strip().lower()
    if policy not in {"earliest", "latest"}:
        raise MisuseError(
            f"consumer property auto.offset.reset: got {policy!r}, want earliest or latest"
        )
    return policy


def _assignment(java: Mapping[str, str]) -> list[str]:
    wanted = java.get("partition.assignment.strategy", "").lower()
    if "cooperative" in wanted or "sticky" in wanted:
        text = "we use range and roundrobin, which take all partitions back before giving any away"
        return [f"consumer property partition.assignment.strategy={wanted}: {text}"]
    return []
