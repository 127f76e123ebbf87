"""The topic-level configs that a topic may be created with, and what they do to its log.

Those in LOG_CONFIGS change the log. Those in KEPT_CONFIGS are accepted and kept, so that scripts
written for a cluster run, and change nothing here: one node has no replicas to count, and every
acknowledged write is flushed already.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import Any, Final

from tickertape.log.config import LogConfig

_LONG_MAX: Final = 2**63 - 1
_INT_MAX: Final = 2**31 - 1


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text.strip())
        if not low <= value <= high:
            raise ValueError(f"want {low} to {high}")
        return value

    return parse


def _ratio(text: str) -> float:
    value = float(text.strip())
    if not 0 <= value <= 1:
        raise ValueError("want 0 to 1")
    return value


def _policy(text: str) -> frozenset[str]:
    words = frozenset(word.strip().lower() for word in text.split(",") if word.strip())
    if not words or not words <= {"delete", "compact"}:
        raise ValueError("want delete, compact or both")
    return words


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        for word in allowed:
            if text.strip().lower() == word.lower():
                return word
        raise ValueError(f"want {' or '.join(allowed)}")

    return parse


def _flag(text: str) -> bool:
    return _one_of("true", "false")(text) == "true"


def _gzip_level(text: str) -> int:
    level = _whole(-1, 9)(text)
    if level == 0:
        raise ValueError("want 1 to 9, or -1 for the default")
    return level


LOG_CONFIGS: Final[Mapping[str, Callable[[str], Any]]] = {
    "cleanup.policy": _policy,
    "compression.gzip.level": _gzip_level,
    "compression.type": _one_of("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
    "compression.zstd.level": _whole(-131_072, 22),
    "delete.retention.ms": _whole(0, _LONG_MAX),
    "index.interval.bytes": _whole(0, _INT_MAX),
    "max.compaction.lag.ms": _whole(1, _LONG_MAX),
    "max.message.bytes": _whole(0, _INT_MAX),
    "message.timestamp.after.max.ms": _whole(0, _LONG_MAX),
    "message.timestamp.before.max.ms": _whole(0, _LONG_MAX),
    "message.timestamp.type": _one_of("CreateTime", "LogAppendTime"),
    "min.cleanable.dirty.ratio": _ratio,
    "min.compaction.lag.ms": _whole(0, _LONG_MAX),
    "retention.bytes": _whole(-1, _LONG_MAX),
    "retention.ms": _whole(-1, _LONG_MAX),
    "segment.bytes": _whole(14, _INT_MAX),
    "segment.index.bytes": _whole(4, _INT_MAX),
    "segment.jitter.ms": _whole(0, _LONG_MAX),
    "segment.ms": _whole(1, _LONG_MAX),
}
KEPT_CONFIGS: Final[Mapping[str, Callable[[str], Any]]] = {
    "compression.lz4.level": _whole(1, 17),
    "file.delete.delay.ms": _whole(0, _LONG_MAX),
    "flush.messages": _whole(1, _LONG_MAX),
    "flush.ms": _whole(0, _LONG_MAX),
    "follower.replication.throttled.replicas": str,
    "leader.replication.throttled.replicas": str,
    "local.retention.bytes": _whole(-2, _LONG_MAX),
    "local.retention.ms": _whole(-2, _LONG_MAX),
    "min.insync.replicas": _whole(1, _INT_MAX),
    "preallocate": _flag,
    "remote.log.copy.disable": _flag,
    "remote.log.delete.on.disable": _flag,
    "remote.storage.enable": _one_of("false"),
    "unclean.leader.election.enable": _flag,
}


class ConfigRefused(Exception):  # noqa: N818  # a refusal is not an error of ours; it carries the answer
    """A topic config that cannot be; the message says got and want."""


def checked(configs: Mapping[str, str | None]) -> dict[str, str]:
    """The configs to keep (None values dropped, as Kafka does); ConfigRefused names the bad one."""
    kept: dict[str, str] = {}
    for name, text in configs.items():
        parse = _parser_of(name)
        if parse is None:
            raise ConfigRefused(f"unknown topic config {name!r}")
        if text is None:
            continue
        try:
            parse(text)
        except ValueError as error:
            raise ConfigRefused(f"{name}: got {text!r}; {error}") from error
        kept[name] = text
    return kept


def apply(defaults: LogConfig, configs: Mapping[str, str]) -> LogConfig:
    """``defaults`` with the topic's own configs over them."""
    changes = {
        name.replace(".", "_"): LOG_CONFIGS[name](text)
        for name, text in configs.items()
        if name in LOG_CONFIGS
    }
    return replace(defaults, **changes)


def _parser_of(name: str) -> Callable[[str], Any] | None:
    return LOG_CONFIGS.get(name) or KEPT_CONFIGS.get(name)


def described(config: LogConfig) -> dict[str, str]:
    """The log's settings under their topic-level names, as text."""
    return {name: spelled(getattr(config, name.replace(".", "_"))) for name in LOG_CONFIGS}


def spelled(value: object) -> str:
    """A setting as a properties file would say it."""
    if isinstance(value, Set):
        return ",".join(sorted(value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
