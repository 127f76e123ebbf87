"""The settings of one partition log, named as Kafka names them at topic level with _ for ``.``."""

from collections.abc import Set
from dataclasses import dataclass

from tickertape.base.errors import MisuseError

_HOUR_MS = 3_600_000
FOREVER_MS = (1 << 63) - 1
"""No limit, for a duration in ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What a log needs to know. Sizes in bytes, times in ms; -1 means no limit for retention."""

    segment_bytes: int = 1 << 30
    segment_ms: int = 168 * _HOUR_MS
    segment_jitter_ms: int = 0
    segment_index_bytes: int = 10 * 1024 * 1024
    retention_ms: int = 168 * _HOUR_MS
    retention_bytes: int = -1
    index_interval_bytes: int = 4096
    max_message_bytes: int = 1_048_588
    cleanup_policy: Set[str] = frozenset({"delete"})
    message_timestamp_type: str = "CreateTime"
    message_timestamp_before_max_ms: int = FOREVER_MS
    message_timestamp_after_max_ms: int = _HOUR_MS
    delete_retention_ms: int = 24 * _HOUR_MS
    min_cleanable_dirty_ratio: float = 0.5
    min_compaction_lag_ms: int = 0
    max_compaction_lag_ms: int = FOREVER_MS
    dedupe_buffer_bytes: int = 128 << 20
    compression_type: str = "producer"
    compression_gzip_level: int = -1
    compression_zstd_level: int = 3
    producer_id_expiration_ms: int = 24 * _HOUR_MS

    def __post_init__(self) -> None:
        """Refuse what no log can obey: raises MisuseError."""
        if not self.cleanup_policy <= {"delete", "compact"}:
            got = ",".join(sorted(self.cleanup_policy))
            raise MisuseError(f"cleanup.policy {got!r}: want delete, compact or both")
        if self.message_timestamp_type not in {"CreateTime", "LogAppendTime"}:
            raise MisuseError(
                f"message.timestamp.type {self.message_timestamp_type!r}: "
                "want CreateTime or LogAppendTime"
            )
        if not 14 <= self.segment_bytes <= 0x7FFFFFFF:  # positions in the index are i32
            raise MisuseError(f"segment.bytes {self.segment_bytes}: want 14 to 2147483647")

    @property
    def segment_age_ms_max(self) -> int:
        """``segment.ms``, or ``max.compaction.lag.ms``, as the active segment is never cleaned."""
        return (
            min(self.segment_ms, self.max_compaction_lag_ms) if self.compacts else self.segment_ms
        )

    @property
    def compacts(self) -> bool:
        """True if the newest record per key is kept."""
        return "compact" in self.cleanup_policy

    @property
    def deletes(self) -> bool:
        """True if old segments go by age and size."""
        return "delete" in self.cleanup_policy
