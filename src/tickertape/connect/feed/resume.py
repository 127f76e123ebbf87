"""Where an earlier run of the same file stopped: read from the topic itself, not from a side file.

Each record of a feed carries its source and its row. A partition holds the rows of a source in the
file's order (one idempotent producer, keyed), so the last one there tells which rows of that
partition are in the log already.
"""

from collections.abc import Callable
from typing import Final

from confluent_kafka import Message, murmur2

from tickertape.base.errors import MisuseError
from tickertape.connect.topic_reader import TopicReader

SOURCE_HEADER: Final = "tape.source"
ROW_HEADER: Final = "tape.row"
_FIRST_LOOK: Final = 16  # records from the end of a partition; grows as long as nothing is found
_GROWTH: Final = 32
_LOOK_MAX: Final = 1 << 18
_CALM_S: Final = 0.2


def last_rows(
    reader: TopicReader, topic: str, source: bytes, wait: Callable[[float], None]
) -> dict[int, int]:
    """The last row (line number) of ``source`` in each partition that has any.

    Waits until the log stands still: a producer that was killed may have a request under way.
    MisuseError if the topic has another number of partitions than when the rows were sent.
    """
    count = reader.partitions(topic)
    bounds = _all_bounds(reader, topic, count)
    before: list[tuple[int, int]] = []
    while bounds != before and any(high > low for low, high in bounds):
        wait(_CALM_S)
        before, bounds = bounds, _all_bounds(reader, topic, count)
    found: dict[int, int] = {}
    for partition, (low, high) in enumerate(bounds):
        last = _last_of(reader, (topic, partition), (low, high), source)
        if last is None:
            continue
        key = last.key() or b""
        if murmur2(key, count) != partition:
            raise MisuseError(
                f"topic {topic} has {count} partitions now, another number than when row"
                f" {_row(last)} was sent to partition {partition}: its rows cannot be continued"
            )
        found[partition] = _row(last)
    return found


def _all_bounds(reader: TopicReader, topic: str, count: int) -> list[tuple[int, int]]:
    return [reader.bounds(topic, partition) for partition in range(count)]


def _last_of(
    reader: TopicReader, place: tuple[str, int], bounds: tuple[int, int], source: bytes
) -> Message | None:
    topic, partition = place
    low, end = bounds
    look = _FIRST_LOOK
    while end > low:
        start = max(low, end - look)
        ours = [
            record
            for records in reader.read(topic, partition, start, end)
            for record in records
            if (SOURCE_HEADER, source) in (record.headers() or ())
        ]
        if ours:
            return ours[-1]
        end, look = start, min(look * _GROWTH, _LOOK_MAX)
    return None


def _row(record: Message) -> int:
    return int(dict(record.headers() or ())[ROW_HEADER] or b"")
