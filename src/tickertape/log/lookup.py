"""From timestamps to offsets. The only reads that look into record bodies."""

from collections.abc import Iterator, Sequence
from typing import Final

from tickertape.log.segment import BatchAt, Segment
from tickertape.wire.batch import read_batch_header
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record, iter_records

_DECODED_BYTES_MAX: Final = 128 << 20


def record_at_time(
    segments: Sequence[Segment], timestamp: int, start: int, end: int
) -> tuple[int, int] | None:
    """(offset, timestamp) of the first record in [start, end) not older than ``timestamp``.

    Raises StorageError at damage.
    """
    for segment in segments:
        if segment.max_timestamp < timestamp:
            continue
        relative = segment.time_index.offset_before(timestamp)
        position = segment.find(max(start, segment.base_offset + relative))
        if position is None:
            continue
        for batch in segment.batches(position):
            if batch.last_offset >= end:
                return None
            if batch.max_timestamp < timestamp:
                continue
            for record in _records(segment, batch):
                if record.timestamp >= timestamp and record.offset >= start:
                    return record.offset, record.timestamp
    return None


def newest_record(segments: Sequence[Segment], start: int, end: int) -> tuple[int, int]:
    """(offset, timestamp) of the first record with the largest timestamp, (-1, -1) if none."""
    best = (-1, -1)
    for segment in segments:
        if segment.max_timestamp <= best[1]:
            continue
        found = record_at_time([segment], segment.max_timestamp, start, end)
        if found is None:  # the newest is not durable yet, or was deleted: look at each batch
            found = _newest_of(segment, start, end)
        if found[1] > best[1]:
            best = found
    return best


def _newest_of(segment: Segment, start: int, end: int) -> tuple[int, int]:
    best = (-1, -1)
    for batch in segment.batches(segment.find(start) or 0):
        if batch.last_offset >= end:
            break
        if batch.max_timestamp > best[1]:
            for record in _records(segment, batch):
                if record.timestamp > best[1] and record.offset >= start:
                    best = (record.offset, record.timestamp)
    return best


def _records(segment: Segment, batch: BatchAt) -> Iterator[Record]:
    """One at a time: a small batch may decompress to very many."""
    stored = segment.file.pread(batch.position, batch.size)
    try:
        header = read_batch_header(stored, 0)
        yield from iter_records(stored, 0, header, bytes_max=_DECODED_BYTES_MAX)
    except DecodeError:
        # The producer's own nonsense inside an intact batch: the header is all there is to know.
        yield Record(batch.base_offset, batch.max_timestamp, None, None, ())
