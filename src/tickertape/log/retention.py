"""Which of the oldest segments have outlived ``retention.ms`` or ``retention.bytes``.

As Kafka does it: a segment goes when its *largest* timestamp is too old, or when what remains
still holds ``retention.bytes``; only whole segments go, oldest first, and only durable ones.
"""

from collections.abc import Sequence

from tickertape.log.config import LogConfig
from tickertape.log.segment import Segment


def segments_to_delete(
    segments: Sequence[Segment], config: LogConfig, *, now_ms: int, durable_offset: int
) -> int:
    """How many segments, oldest first, may go; the active one may be among them."""
    if not config.deletes:
        return 0
    excess = sum(segment.size for segment in segments) - config.retention_bytes
    count = 0
    for number, segment in enumerate(segments):
        last = number + 1 == len(segments)
        if not segment.size or (not last and segments[number + 1].base_offset > durable_offset):
            break
        newest = segment.max_timestamp if segment.max_timestamp >= 0 else segment.created_ms
        too_old = 0 <= config.retention_ms < now_ms - newest
        too_much = config.retention_bytes >= 0 and excess >= segment.size and not last
        if not (too_old or too_much):
            break
        excess -= segment.size
        count += 1
    return count
