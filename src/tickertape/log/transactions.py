"""What one partition knows of transactions: which are open, and which were aborted.

A transaction is open here from its first batch to its marker, a control batch. The last stable
offset is the lowest first offset of a transaction that is open, or whose marker a crash could still
take back; a read_committed reader stops there. What it must skip below that, it is told by the
aborted transactions, which also stand in one ``.txnindex`` per segment, by their markers, in the
format of Kafka's AbortedTxn, version 0 (ProducerStateManager, TransactionIndex,
EndTransactionMarker).
"""

import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from tickertape.base.buffers import Buffer
from tickertape.wire.batch import BatchHeader
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record, read_records, write_batch

_INDEX_ENTRY: Final = struct.Struct(">hqqqq")  # version, producer id, first, last, last stable
_INDEX_VERSION: Final = 0
_MARKER_KEY: Final = struct.Struct(">hh")  # version, type
_MARKER_VALUE: Final = struct.Struct(">hi")  # version, coordinator epoch
_MARKER_VERSION: Final = 0
_TRANSACTIONAL: Final = 0x10
_ABORT: Final = 0
_COMMIT: Final = 1
_MARKER_ATTRIBUTES: Final = 0x30  # transactional, control
_MARKER_BYTES_MAX: Final = 1 << 10

assert _INDEX_ENTRY.size == 34


class Aborted(NamedTuple):
    """An aborted transaction: its first record's offset, its marker's, and the LSO after that."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


class Marker(NamedTuple):
    """What a control batch says."""

    committed: bool
    coordinator_epoch: int


_last_offset = attrgetter("last_offset")


class Transactions:
    """Those of one partition."""

    __slots__ = ("_decided", "aborted", "open")

    def __init__(self) -> None:
        """None yet."""
        self.open: dict[int, int] = {}  # producer id -> first offset
        self.aborted: list[Aborted] = []  # in order of their markers
        self._decided: list[tuple[int, int]] = []  # (marker, first offset), perhaps not durable

    def begin(self, producer_id: int, offset: int) -> None:
        """The producer's first batch of a transaction is in the log."""
        self.open.setdefault(producer_id, offset)

    def end(self, producer_id: int, marker_offset: int, *, committed: bool) -> None:
        """Its marker is in the log. Without an open transaction that decides nothing."""
        first = self.open.pop(producer_id, None)
        if first is None:
            return
        self._decided.append((marker_offset, first))
        if not committed:
            stable = min(self.open.values(), default=marker_offset + 1)
            self.aborted.append(Aborted(producer_id, first, marker_offset, stable))

    def last_stable(self, durable: int) -> int:
        """Below this offset everything is decided for good. ``durable`` never goes back."""
        if not self.open and not self._decided:
            return durable
        self._decided = [pair for pair in self._decided if pair[0] >= durable]
        return min((durable, *self.open.values(), *(first for _, first in self._decided)))

    def aborted_between(self, start: int, end: int) -> list[Aborted]:
        """Those that have records at offsets from ``start`` to before ``end``, in order."""
        found = []
        for at in range(bisect_left(self.aborted, start, key=_last_offset), len(self.aborted)):
            entry = self.aborted[at]
            if entry.first_offset < end:
                found.append(entry)
            if entry.last_stable_offset >= end:
                break  # every later one began at or after that
        return found

    def marked_between(self, start: int, end: int) -> list[Aborted]:
        """Those whose markers lie there: what the index of a segment holds."""
        low = bisect_left(self.aborted, start, key=_last_offset)
        return self.aborted[low : bisect_left(self.aborted, end, key=_last_offset)]

    def forget_below(self, offset: int) -> None:
        """The log starts at ``offset`` now."""
        del self.aborted[: bisect_left(self.aborted, offset, key=_last_offset)]


class AbortedRanges:
    """Which batches belong to aborted transactions, for compaction."""

    def __init__(self, aborted: Iterable[Aborted]) -> None:
        """Freeze what is known now."""
        self._ranges: dict[int, list[tuple[int, int]]] = {}
        for entry in aborted:
            ranges = self._ranges.setdefault(entry.producer_id, [])
            insort(ranges, (entry.first_offset, entry.last_offset))

    def hold(self, header: BatchHeader) -> bool:
        """True if this is data of a transaction that was aborted."""
        if not header.is_transactional or header.is_control:
            return False
        ranges = self._ranges.get(header.producer_id, [])
        at = bisect_right(ranges, (header.base_offset, 1 << 63)) - 1
        return at >= 0 and header.base_offset <= ranges[at][1]


def write_index(aborted: Iterable[Aborted]) -> bytes:
    """The bytes of a ``.txnindex``."""
    return b"".join(_INDEX_ENTRY.pack(_INDEX_VERSION, *entry) for entry in aborted)


def read_index(stored: bytes) -> list[Aborted] | None:
    """The inverse; None if it is damaged: then the log must be read."""
    if len(stored) % _INDEX_ENTRY.size:
        return None
    found: list[Aborted] = []
    for version, *fields in _INDEX_ENTRY.iter_unpack(stored):
        entry = Aborted(*fields)
        if version != _INDEX_VERSION or not 0 <= entry.first_offset < entry.last_offset:
            return None
        if found and entry.last_offset <= found[-1].last_offset:
            return None
        found.append(entry)
    return found


def write_internal(records: Sequence[Record], transaction: tuple[int, int] | None) -> bytes:
    """The broker's own records as one batch; of the ``transaction`` of a producer (id, epoch)."""
    numbered = [
        Record(number, record.timestamp, record.key, record.value, record.headers)
        for number, record in enumerate(records)
    ]
    if transaction is None:
        return write_batch(numbered)
    producer_id, epoch = transaction
    return write_batch(
        numbered, producer_id=producer_id, producer_epoch=epoch, attributes=_TRANSACTIONAL
    )


def write_marker(
    producer_id: int, epoch: int, *, coordinator_epoch: int, committed: bool, now_ms: int
) -> bytes:
    """The control batch that ends a transaction."""
    record = Record(
        0,
        now_ms,
        _MARKER_KEY.pack(_MARKER_VERSION, _COMMIT if committed else _ABORT),
        _MARKER_VALUE.pack(_MARKER_VERSION, coordinator_epoch),
    )
    return write_batch(
        [record], producer_id=producer_id, producer_epoch=epoch, attributes=_MARKER_ATTRIBUTES
    )


def read_marker(batch: Buffer, at: int, header: BatchHeader) -> Marker | None:
    """What the control batch at ``at`` decides; None if it decides no transaction."""
    try:
        records = read_records(batch, at, header, bytes_max=_MARKER_BYTES_MAX)
        key, value = records[0].key or b"", records[0].value or b""
        _, kind = _MARKER_KEY.unpack_from(key)
        _, coordinator_epoch = _MARKER_VALUE.unpack_from(value)
    except (DecodeError, IndexError, struct.error):
        return None
    return Marker(kind == _COMMIT, coordinator_epoch) if kind in {_ABORT, _COMMIT} else None
