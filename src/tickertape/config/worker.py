"""The keys of a standalone worker's properties file (Kafka's WorkerConfig, StandaloneConfig)."""

from typing import Final

from tickertape.config.keys import Key, choice, text
from tickertape.config.s3_sink import CONVERTER, CONVERTER_PREFIXES

_SOURCE = "only source connectors store offsets in a file; a sink's are in its consumer group"
_REST = "this worker serves no REST interface yet"
_BUILT_IN = "connectors are built in, no plugin is loaded"
_INTERNAL = "internal converters went away in Kafka 3.0"
_AT_ONCE = "every flush commits its offsets itself, at once"
_METRICS = "this worker publishes no metrics yet"
_TOP_LEVEL = (
    "does not reach a sink's consumer, here as in Kafka: write it with the prefix consumer."
)

_INERT: Final = {
    "offset.storage.file.filename": _SOURCE,
    "offset.flush.interval.ms": _AT_ONCE,
    "offset.flush.timeout.ms": _AT_ONCE,
    "plugin.path": _BUILT_IN,
    "plugin.discovery": _BUILT_IN,
    "header.converter": "headers are not stored in JSON or raw objects",
    "listeners": _REST,
    "admin.listeners": _REST,
    "rest.host.name": _REST,
    "rest.port": _REST,
    "response.http.headers.config": _REST,
    "client.dns.lookup": _TOP_LEVEL,
    "client.id": _TOP_LEVEL,
    "security.protocol": _TOP_LEVEL,
    "group.id": "the group of a sink is connect-<name>",
    "topic.tracking.enable": _REST,
    "topic.creation.enable": "only source connectors create topics",
    "task.shutdown.graceful.timeout.ms": "stopping waits for flushes that have begun",
    "internal.key.converter": _INTERNAL,
    "internal.value.converter": _INTERNAL,
}

KEYS: Final = (
    Key(name="bootstrap.servers", parse=text, default="localhost:9092"),
    Key(name="key.converter", parse=CONVERTER, inert="keys are not stored in objects"),
    Key(name="value.converter", parse=CONVERTER),
    Key(
        name="config.providers",
        parse=text,
        default="",
        refused="${provider:...} references are not supported",
    ),
    Key(
        name="connector.client.config.override.policy",
        parse=choice("All", "None", "Principal"),
        default="All",
    ),
    *(Key(name=name, parse=text, inert=reason) for name, reason in _INERT.items()),
)

PREFIXES: Final = {
    "consumer.": "",
    "producer.": "a sink has no producer (no dead-letter queue is supported)",
    "admin.": "this worker needs no admin client",
    "internal.key.converter.": _INTERNAL,
    "internal.value.converter.": _INTERNAL,
    "header.converter.": "headers are not stored in JSON or raw objects",
    "rest.": _REST,
    "access.control.": _REST,
    "listeners.": _REST,
    "metrics.": _METRICS,
    "metric.": _METRICS,
    "ssl.": _TOP_LEVEL,
    "sasl.": _TOP_LEVEL,
    **CONVERTER_PREFIXES,
}
