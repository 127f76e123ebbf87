"""Where an earlier run of the same file stopped: read from the topic itself, not from a side file.

Each record of a feed carries its source (its first row and the columns used), its row, and a hash
over all rows up to it. A partition holds the rows of a source in the file's order (one idempotent
producer, keyed), so the last one there tells which rows of that partition are in the log already.
The hash tells whether the file still begins with these rows: it may have grown, not changed.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson
from confluent_kafka import Message, murmur2

from tickertape.base.errors import MisuseError
from tickertape.connect.feed.rows import Row
from tickertape.connect.topic_reader import TopicReader

SOURCE_HEADER: Final = "tape.source"
ROW_HEADER: Final = "tape.row"
HASH_HEADER: Final = "tape.hash"
_FIRST_LOOK: Final = 16  # records from the end of a partition; grows as long as nothing is found
_GROWTH: Final = 32
_LOOK_MAX: Final = 1 << 18
_CALM_S: Final = 0.2


class RefusedError(MisuseError):
    """These rows must not go into this topic, or not with this backup; nothing was sent."""


class Mark(NamedTuple):
    """The last row of a source in a partition, and the hash over all rows up to it."""

    row: int
    chain: bytes


@dataclass(slots=True)
class Standing:
    """What a topic holds: ``marks`` of our source, ``held`` records of anybody, by partition."""

    marks: dict[int, Mark] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)

    @property
    def rows(self) -> dict[int, int]:
        """Partition -> the last row that is there."""
        return {partition: mark.row for partition, mark in self.marks.items()}


def source_id(identity: Sequence[str], first_value: bytes) -> bytes:
    """16 hex digits over RowReader.identity and the first good row: what stays as a file grows."""
    digest = hashlib.sha256(orjson.dumps([2, *identity, first_value.decode()]))
    return digest.hexdigest()[:16].encode()


def chained(chain: bytes, value: bytes) -> bytes:
    """The hash over one row more, 16 hex digits; b"" is that of no row."""
    return hashlib.blake2b(chain + value, digest_size=8).hexdigest().encode()


def look_up(
    reader: TopicReader, topic: str, source: bytes, wait: Callable[[float], None]
) -> Standing:
    """The last row of ``source`` in each partition that has any, and how much there is at all.

    Waits until the log stands still: a producer that was killed may have a request under way.
    RefusedError if the topic has another number of partitions than when the rows were sent.
    """
    count = reader.partitions(topic)
    bounds = _all_bounds(reader, topic, count)
    before: list[tuple[int, int]] = []
    while bounds != before and any(high > low for low, high in bounds):
        wait(_CALM_S)
        before, bounds = bounds, _all_bounds(reader, topic, count)
    standing = Standing(held={number: high - low for number, (low, high) in enumerate(bounds)})
    for partition, (low, high) in enumerate(bounds):
        last = _last_of(reader, (topic, partition), (low, high), source)
        if last is None:
            continue
        key, mark = last.key() or b"", _mark(last)
        if murmur2(key, count) != partition:
            raise RefusedError(
                f"topic {topic} has {count} partitions now, another number than when row"
                f" {mark.row} was sent to partition {partition}: its rows cannot be continued"
            )
        standing.marks[partition] = mark
    return standing


def check_rows(topic: str, rows: Iterable[Row], standing: Standing, *, append: bool) -> None:
    """Whether ``rows``, from the file's first on, may go on where ``standing`` ends.

    RefusedError if the file no longer begins with the rows that are there, or if the topic holds
    other records and ``append`` does not say that this is wanted.
    """
    wanted = {mark.row: mark.chain for mark in standing.marks.values()}
    last, chain = max(wanted, default=0), b""
    ours = dict.fromkeys(standing.held, 0)
    there = standing.rows
    for line, key, _, value in rows if wanted else ():
        if line > last:
            break
        chain = chained(chain, value)
        partition = murmur2(key, len(ours))
        ours[partition] += line <= there.get(partition, 0)
        if wanted.pop(line, chain) != chain:
            raise RefusedError(_changed(topic, line))
    if wanted:
        raise RefusedError(_changed(topic, min(wanted)))
    others = sum(max(0, held - ours[partition]) for partition, held in standing.held.items())
    if others and not append:
        raise RefusedError(
            f"topic {topic} holds {others:,} records that are not rows of this file read this way"
            " (another file, other columns, another producer): choose another topic with -t,"
            " or mix them with --append"
        )


def _changed(topic: str, line: int) -> str:
    return (
        f"topic {topic} holds an earlier version of this file, and not all rows up to line {line}"
        " are the same now: only new rows at its end can be added; choose another topic with -t"
    )


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


def _mark(record: Message) -> Mark:
    headers = dict(record.headers() or ())
    chain = headers.get(HASH_HEADER) or b""
    return Mark(int(headers[ROW_HEADER] or b""), chain if isinstance(chain, bytes) else b"")
