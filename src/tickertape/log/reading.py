"""Finding whole batches in a row of segments, without reading their bodies."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from tickertape.base.errors import StorageError
from tickertape.log.results import ReadResult
from tickertape.log.segment import Segment, batches_in
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.parts import FileSlice

_NONE: Final = ErrorCode.NONE


def base_offset(segment: Segment) -> int:
    """Where the segment starts; a key for bisection."""
    return segment.base_offset


def read_segments(
    segments: Sequence[Segment], offset: int, max_bytes: int, *, below: int, at_least_one: bool
) -> ReadResult:
    """From the batch that holds ``offset``, which lies in these segments and below ``below``.

    At most ``max_bytes`` of one segment, but the first batch whole if ``at_least_one``.
    """
    number = bisect_right(segments, offset, key=base_offset) - 1
    assert number >= 0, "the log start lies in the first segment"
    try:
        while number < len(segments):
            segment = segments[number]
            number += 1
            whole = number < len(segments) and segments[number].base_offset <= below
            stop = segment.size if whole else segment.position_of_end(below)
            found = _slice(segment, offset, max_bytes, stop, at_least_one=at_least_one)
            if found is not None:
                followed = number < len(segments) and segments[number].base_offset < below
                return found._replace(more=True) if followed else found
    except StorageError as error:
        return ReadResult(ErrorCode.KAFKA_STORAGE_ERROR, [], 0, str(error))
    return ReadResult(_NONE, [], 0)


def _slice(
    segment: Segment, offset: int, max_bytes: int, stop: int, *, at_least_one: bool
) -> ReadResult | None:
    """What one segment has from ``offset`` to position ``stop``; None if it ends before."""
    start = segment.find(offset)
    if start is None:
        return None
    if start >= stop:
        return ReadResult(_NONE, [], 0)
    size = segment.whole_batches(start, max_bytes, stop)
    if not size and at_least_one:
        size = next(segment.batches(start)).size
    if not size:
        return ReadResult(_NONE, [], 0, more=True)
    more = start + size < stop
    return ReadResult(_NONE, [FileSlice(segment.file, start, size)], size, more=more)


def end_of_read(result: ReadResult, below: int) -> int:
    """The offset after the last batch of a read below ``below``. Raises StorageError."""
    if not result.more:
        return below
    end = 0
    for part in result.parts:
        assert isinstance(part, FileSlice)
        for batch in batches_in(part.file, "read", part.at, part.at + part.length):
            end = batch.last_offset + 1
    return end
