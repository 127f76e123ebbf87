"""Producer state on disk, in two files per snapshot offset; docs/formats.md has the bytes.

``<offset>.snapshot`` is Kafka's own (ProducerStateManager, version 1): the last batch of each
producer. ``<offset>.window`` is ours: every batch that is kept, so that a retry of any of the
last five is still recognised after a restart (docs/decisions/0005).
Both carry CRC32C over everything after the CRC field; a damaged file reads as None.
"""

import struct
from typing import Final

from tickertape.base.crc import crc32c
from tickertape.log.producer_state import BATCHES_KEPT, Batch, Producer, ProducerStates

_SNAPSHOT_VERSION: Final = 1
_SNAPSHOT_HEAD: Final = struct.Struct(">hIi")  # version, crc, count
_SNAPSHOT_ENTRY: Final = struct.Struct(">qhiqiqiq")
_SNAPSHOT_CRC_FROM: Final = 6

_WINDOW_VERSION: Final = 1
_WINDOW_HEAD: Final = struct.Struct(">BIqi")  # version, crc, offset, count
_WINDOW_PRODUCER: Final = struct.Struct(">qhqqiqB")
_WINDOW_BATCH: Final = struct.Struct(">iiqiq")
_WINDOW_CRC_FROM: Final = 5

assert (_SNAPSHOT_HEAD.size, _SNAPSHOT_ENTRY.size) == (10, 46)
assert (_WINDOW_HEAD.size, _WINDOW_PRODUCER.size, _WINDOW_BATCH.size) == (17, 39, 28)

_NO_BATCH: Final = Batch(-1, -1, -1, 0, -1)


def write_snapshot(states: ProducerStates) -> bytes:
    """Kafka's ``.snapshot``."""
    body = bytearray()
    for producer_id, producer in states.by_id.items():
        last = producer.batches[-1] if producer.batches else _NO_BATCH
        body += _SNAPSHOT_ENTRY.pack(
            producer_id,
            producer.epoch,
            last.last_sequence,
            last.last_offset,
            last.offset_delta,
            producer.last_timestamp,
            producer.coordinator_epoch,
            producer.first_offset_of_transaction,
        )
    count = len(states.by_id)
    crc = crc32c(_SNAPSHOT_HEAD.pack(0, 0, count)[_SNAPSHOT_CRC_FROM:] + body)
    return _SNAPSHOT_HEAD.pack(_SNAPSHOT_VERSION, crc, count) + bytes(body)


def read_snapshot(stored: bytes, now_ms: int) -> ProducerStates | None:
    """Kafka's ``.snapshot``; it does not say when a producer was seen, so that is ``now_ms``."""
    if len(stored) < _SNAPSHOT_HEAD.size:
        return None
    version, crc, count = _SNAPSHOT_HEAD.unpack_from(stored)
    if version != _SNAPSHOT_VERSION or crc != crc32c(stored[_SNAPSHOT_CRC_FROM:]):
        return None
    if len(stored) != _SNAPSHOT_HEAD.size + count * _SNAPSHOT_ENTRY.size:
        return None
    states = ProducerStates()
    for entry in _SNAPSHOT_ENTRY.iter_unpack(stored[_SNAPSHOT_HEAD.size :]):
        producer_id, epoch, last_sequence, last_offset, delta, timestamp, coordinator, first = entry
        producer = states.by_id[producer_id] = Producer(epoch, now_ms)
        if last_sequence >= 0:
            first_sequence = (last_sequence - delta) & 0x7FFFFFFF
            producer.batches.append(
                Batch(first_sequence, last_sequence, last_offset, delta, timestamp)
            )
        producer.last_timestamp = timestamp
        producer.coordinator_epoch = coordinator
        producer.first_offset_of_transaction = first
    return states


def write_window(states: ProducerStates, offset: int) -> bytes:
    """Our ``.window``: the state of all producers before ``offset``."""
    body = bytearray()
    for producer_id, producer in states.by_id.items():
        body += _WINDOW_PRODUCER.pack(
            producer_id,
            producer.epoch,
            producer.last_timestamp,
            producer.seen_ms,
            producer.coordinator_epoch,
            producer.first_offset_of_transaction,
            len(producer.batches),
        )
        for batch in producer.batches:
            body += _WINDOW_BATCH.pack(*batch)
    count = len(states.by_id)
    crc = crc32c(_WINDOW_HEAD.pack(0, 0, offset, count)[_WINDOW_CRC_FROM:] + body)
    return _WINDOW_HEAD.pack(_WINDOW_VERSION, crc, offset, count) + bytes(body)


def read_window(stored: bytes, offset: int) -> ProducerStates | None:
    """Our ``.window``; None if it is damaged, of another version or of another offset."""
    if len(stored) < _WINDOW_HEAD.size:
        return None
    version, crc, covered, count = _WINDOW_HEAD.unpack_from(stored)
    if version != _WINDOW_VERSION or crc != crc32c(stored[_WINDOW_CRC_FROM:]) or covered != offset:
        return None
    states, at = ProducerStates(), _WINDOW_HEAD.size
    for _ in range(count):
        if at + _WINDOW_PRODUCER.size > len(stored):
            return None
        producer_id, epoch, timestamp, seen_ms, coordinator, first, batches = (
            _WINDOW_PRODUCER.unpack_from(stored, at)
        )
        at += _WINDOW_PRODUCER.size
        end = at + batches * _WINDOW_BATCH.size
        if batches > BATCHES_KEPT or end > len(stored):
            return None
        producer = states.by_id[producer_id] = Producer(epoch, seen_ms)
        producer.last_timestamp = timestamp
        producer.coordinator_epoch = coordinator
        producer.first_offset_of_transaction = first
        producer.batches.extend(map(Batch._make, _WINDOW_BATCH.iter_unpack(stored[at:end])))
        at = end
    return states if at == len(stored) else None
