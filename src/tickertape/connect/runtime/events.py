"""What a running worker tells whoever watches: flushes done, notes for people. And its limits."""

from dataclasses import dataclass
from typing import Protocol

from tickertape.connect.s3.assemble import Flush


class Listener(Protocol):
    """Called from task threads; must be quick and must not raise."""

    def flushed(self, flush: Flush) -> None:
        """The flush is complete and proven; its offset is committed, now or with the next one."""
        ...

    def noted(self, text: str) -> None:
        """Something a person should know; one line."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one task."""

    poll_records_max: int = 10_000
    poll_ms_max: int = 100
    retry_ms_max: int = 900_000  # of one flush, from its first failure; then the task fails
    buffered_bytes_max: int = 512 << 20  # of all open files; beyond it the largest is flushed
    # Of finding where to begin, a second apart: together well below max.poll.interval.ms.
    assign_attempts_max: int = 30
    assign_note_ms: int = 3_000  # without partitions for so long after the start: say why
    flushes_at_once_max: int = 8  # of different partitions

    def __post_init__(self) -> None:
        assert min(self.poll_records_max, self.poll_ms_max, self.retry_ms_max) > 0
        assert min(self.buffered_bytes_max, self.flushes_at_once_max) > 0
