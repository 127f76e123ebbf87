"""Reading a topic of the broker's own from its beginning."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from tickertape.log.partition import PartitionLog
from tickertape.log.transactions import Marker, read_marker
from tickertape.wire.batch import BatchHeader, iter_batches
from tickertape.wire.parts import FileSlice
from tickertape.wire.records import Record, read_records

_READ_BYTES: Final = 4 << 20
_RECORDS_BYTES_MAX: Final = 256 << 20


class Stored(NamedTuple):
    """One batch: its records, or what it decides about a transaction."""

    header: BatchHeader
    records: list[Record]
    marker: Marker | None


def replay_log(log: PartitionLog) -> Iterator[Stored]:
    """Every batch, oldest first."""
    at, end = log.log_start_offset, log.end_offset
    while at < end:
        result = log.read(at, _READ_BYTES, below=end, at_least_one=True)
        following = at
        for part in result.parts:
            chunk = part.file.pread(part.at, part.length) if isinstance(part, FileSlice) else part
            for position, header in iter_batches(chunk):
                if header.next_offset > at:
                    yield _stored(chunk, position, header)
                following = max(following, header.next_offset)
        if following == at:  # nothing left below the end: compaction emptied the rest
            return
        at = following


def _stored(chunk: bytes, position: int, header: BatchHeader) -> Stored:
    if header.is_control:
        return Stored(header, [], read_marker(chunk, position, header))
    records = read_records(chunk, position, header, bytes_max=_RECORDS_BYTES_MAX)
    return Stored(header, records, None)
