"""What is in one file of a partition folder, entry by entry, as Kafka's DumpLogSegments shows it.

Reads bytes and changes nothing. A file that is damaged is shown as far as it can be read; what
follows is one Damage. Field names are Kafka's with _ between the words; offsets are absolute.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from tickertape.base.buffers import Buffer
from tickertape.log import names
from tickertape.log.checkpoint import read_offset, read_topic_id, uuid_text
from tickertape.log.compaction import read_cleaning_times
from tickertape.log.leader_epochs import read_leader_epochs
from tickertape.log.producer_snapshot import read_snapshot, read_window
from tickertape.log.producer_state import ProducerStates
from tickertape.log.transactions import read_index, read_marker
from tickertape.wire.batch import BatchHeader, crc_ok, read_batch_header
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record, iter_records

CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
_RECORDS_BYTES_MAX: Final = 1 << 30
_OFFSET_ENTRY: Final = struct.Struct(">ii")
_TIME_ENTRY: Final = struct.Struct(">qi")

Entry: TypeAlias = Mapping[str, Any]


class Damage(NamedTuple):
    """From ``position`` on the file makes no sense."""

    position: int
    reason: str


class Batch(NamedTuple):
    """A batch of a segment."""

    position: int
    header: BatchHeader
    is_valid: bool  # all of it is there, with the right CRC


Found: TypeAlias = Iterator[Entry | Damage]


def batches(content: Buffer) -> Iterator[Batch | Damage]:
    """The batches of a segment, from its first byte on."""
    at, size = 0, len(content)
    while at < size:
        try:
            header = read_batch_header(content, at)
        except DecodeError as error:
            yield Damage(at, str(error))
            return
        if at + header.size > size:
            yield Damage(at, f"{size - at} bytes of a batch of {header.size}")
            return
        yield Batch(at, header, crc_ok(content, at, header))
        at += header.size


def records(content: Buffer, batch: Batch) -> Iterator[Record]:
    """Its records. DecodeError if they cannot be read."""
    return iter_records(content, batch.position, batch.header, bytes_max=_RECORDS_BYTES_MAX)


def describe_batch(content: Buffer, batch: Batch) -> dict[str, Any]:
    """All that its header says, and what a control batch decides."""
    header = batch.header
    shown = {
        "base_offset": header.base_offset,
        "last_offset": header.last_offset,
        "count": header.record_count,
        "base_sequence": header.base_sequence,
        "last_sequence": header.last_sequence,
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "partition_leader_epoch": header.partition_leader_epoch,
        "is_transactional": header.is_transactional,
        "is_control": header.is_control,
        "delete_horizon_ms": header.base_timestamp if header.has_delete_horizon else None,
        "position": batch.position,
        "timestamp_type": "LogAppendTime" if header.is_log_append_time else "CreateTime",
        "max_timestamp": header.max_timestamp,
        "size": header.size,
        "magic": header.magic,
        "codec": CODECS[header.compression] if header.compression < len(CODECS) else "unknown",
        "crc": header.crc,
        "is_valid": batch.is_valid,
    }
    if header.is_control and batch.is_valid:
        marker = read_marker(content, batch.position, header)
        if marker is not None:
            shown["marker"] = "COMMIT" if marker.committed else "ABORT"
            shown["coordinator_epoch"] = marker.coordinator_epoch
    return shown


def dump_small(name: str, content: Buffer) -> tuple[str, Found] | None:
    """(kind, entries) of any file but a segment; None if it is none that a broker writes.

    ``name`` is without the folder: the kind, and the base offset, are in it.
    """
    for suffix, (kind, dump) in _BY_SUFFIX.items():
        if name.endswith(suffix):
            base = names.offset_of(name, suffix)
            return kind, dump(bytes(content), 0 if base is None else base)
    return None


def offset_entries(content: bytes, base: int) -> Found:
    """Of an offset index; entries grow."""
    for at, (relative, position) in _entries(content, _OFFSET_ENTRY):
        if relative < 0 or position < 0:
            yield Damage(at, f"entry ({relative}, {position}), want none below 0")
            return
        yield {"offset": base + relative, "position": position}
    yield from _rest(content, _OFFSET_ENTRY)


def time_entries(content: bytes, base: int) -> Found:
    """Of a time index."""
    for at, (timestamp, relative) in _entries(content, _TIME_ENTRY):
        if relative < 0:
            yield Damage(at, f"entry ({timestamp}, {relative}), want none below 0")
            return
        yield {"timestamp": timestamp, "offset": base + relative}
    yield from _rest(content, _TIME_ENTRY)


def _entries(content: bytes, entry: struct.Struct) -> Iterator[tuple[int, tuple[int, int]]]:
    """Without the zeros that Kafka preallocates: only a first entry may be all zeros."""
    for at in range(0, len(content) - entry.size + 1, entry.size):
        first, second = entry.unpack_from(content, at)
        if at and not first and not second:
            return
        yield at, (first, second)


def _rest(content: bytes, entry: struct.Struct) -> Found:
    odd = len(content) % entry.size
    if odd:
        yield Damage(len(content) - odd, f"{odd} bytes of an entry of {entry.size}")


def _aborted(content: bytes, base: int) -> Found:  # the entries are absolute
    found = read_index(content)
    if found is None:
        yield Damage(0, "damaged: not a run of entries of version 0 in order")
        return
    for entry in found:
        yield entry._asdict()


def _snapshot(content: bytes, base: int) -> Found:  # the entries are absolute
    return _producers(read_snapshot(content, 0))


def _window(content: bytes, base: int) -> Found:
    return _producers(read_window(content, base), window=True)


def _producers(states: ProducerStates | None, *, window: bool = False) -> Found:
    if states is None:
        yield Damage(0, "damaged: its CRC, version or length is wrong")
        return
    for producer_id, producer in states.by_id.items():
        last = producer.batches[-1] if producer.batches else None
        shown: dict[str, Any] = {
            "producer_id": producer_id,
            "producer_epoch": producer.epoch,
            "last_sequence": last.last_sequence if last else -1,
            "last_offset": last.last_offset if last else -1,
            "offset_delta": last.offset_delta if last else 0,
            "last_timestamp": producer.last_timestamp,
            "coordinator_epoch": producer.coordinator_epoch,
            "first_offset_of_transaction": producer.first_offset_of_transaction,
        }
        if window:
            shown["seen_ms"] = producer.seen_ms
            shown["batches"] = [batch._asdict() for batch in producer.batches]
        yield shown


def _epochs(content: bytes, base: int) -> Found:  # a file of a folder
    found = read_leader_epochs(content)
    if found is None:
        yield Damage(0, "damaged: want version 0, a count, and as many growing lines")
        return
    for entry in found.entries:
        yield entry._asdict()


def _offset(content: bytes, base: int) -> Found:  # a file of a folder
    found = read_offset(content)
    if found is None:
        yield Damage(0, "damaged: want version 0, the count 1, and topic, partition, offset")
    else:
        yield {"offset": found}


def _cleaned(content: bytes, base: int) -> Found:  # a file of a folder
    found = read_cleaning_times(content)
    if found is None:
        yield Damage(0, "damaged: want version 0, a count, and as many lines")
        return
    for entry in found.entries:
        yield {"offset": entry.offset, "at_ms": entry.at_ms}


def _metadata(content: bytes, base: int) -> Found:  # a file of a folder
    found = read_topic_id(content)
    if found is None:
        yield Damage(0, "damaged: want version 0 and a topic id")
    else:
        yield {"topic_id": uuid_text(found), "uuid": str(found)}


def _topics(content: bytes, base: int) -> Found:  # a file of a folder
    try:
        topics = json.loads(content)["topics"]
    except (ValueError, KeyError, TypeError) as error:
        yield Damage(0, f"damaged: {error!r}")
        return
    yield from topics


_Dump: TypeAlias = Callable[[bytes, int], Found]

_BY_SUFFIX: Final[dict[str, tuple[str, _Dump]]] = {
    names.TIME_INDEX: ("time index", time_entries),
    names.TXN_INDEX: ("transaction index", _aborted),
    names.INDEX: ("offset index", offset_entries),
    names.SNAPSHOT: ("producer snapshot", _snapshot),
    names.WINDOW: ("producer window", _window),
    names.LEADER_EPOCHS: ("leader epochs", _epochs),
    names.LOG_START: ("log start offset", _offset),
    names.RECOVERY_POINT: ("recovery point", _offset),
    names.CLEANED_OFFSETS: ("cleaning times", _cleaned),
    names.PARTITION_METADATA: ("partition metadata", _metadata),
    "topics.json": ("topics", _topics),
}
