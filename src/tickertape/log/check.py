"""Is a partition's folder whole? Checks every byte that matters and changes nothing.

What is checked: each batch's CRC and place; leader epochs against their checkpoint; producers'
sequences; both indexes, the transaction index and the producer snapshots against the batches;
checkpoints; the topic id; that every file belongs here. An index may be behind the log, as a crash
leaves it. What is of no harm and is mended at the next start anyway is a remark, no problem.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeAlias
from uuid import UUID

from tickertape.base.buffers import Buffer
from tickertape.log import names
from tickertape.log.checkpoint import read_offset, read_topic_id
from tickertape.log.dump import Batch, Damage, batches, offset_entries, time_entries
from tickertape.log.leader_epochs import LeaderEpochs, read_leader_epochs
from tickertape.log.producer_snapshot import read_snapshot, read_window
from tickertape.log.producer_state import ProducerStates
from tickertape.log.transactions import Aborted, Transactions, read_index, read_marker

_I32_MAX: Final = 0x7FFFFFFF
_LEFTOVERS: Final = (names.TEMPORARY, names.DELETED, names.CLEANED, names.SWAP)
_WHOLE: Final = frozenset(
    {
        names.LEADER_EPOCHS,
        names.PARTITION_METADATA,
        names.LOG_START,
        names.CLEANED_OFFSETS,
        names.RECOVERY_POINT,
    }
)


class Reading(Protocol):
    """The two questions that a check asks of a file system."""

    def list(self, path: str) -> list[str]:
        """The names in a folder, sorted; [] if there is no such folder."""
        ...

    def read(self, path: str) -> Buffer | None:
        """The content of a file, None if there is no such file."""
        ...


class Problem(NamedTuple):
    """Something that is not as it must be; ``kind`` is a word that programs may rely on."""

    kind: str
    path: str
    text: str
    is_remark: bool = False  # the next start mends it by itself, or it does no harm


Found: TypeAlias = Iterator[Problem]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the rest of the data directory says of this partition."""

    topic_id: UUID | None
    compacts: bool  # then offsets and sequences may have gaps
    closed: bool  # in order: then nothing may be behind


@dataclass(slots=True)
class Contents:
    """What the batches of a partition add up to."""

    start: int = 0
    end: int = 0
    batches: int = 0
    records: int = 0
    bytes: int = 0
    transactions: Transactions = field(default_factory=Transactions)


class _Place(NamedTuple):
    """What indexes are compared with: a batch."""

    position: int
    last_offset: int
    max_timestamp: int


class PartitionCheck:
    """Checks one folder; ``run`` once, then ``contents`` tells what is in it."""

    def __init__(self, fs: Reading, folder: str, expected: Expected) -> None:
        """``fs`` may be any reader; ``folder`` is the partition's."""
        self.contents = Contents()
        self._fs = fs
        self._folder = folder
        self._expected = expected
        self._epochs: LeaderEpochs | None = None
        self._producers: dict[int, tuple[int, int]] = {}  # id -> (epoch, last sequence)
        self._last_of: dict[tuple[int, int], int] = {}  # (producer id, last offset) -> sequence
        self._epoch = -1
        self._log_start = 0  # below it records count as deleted, whatever is still there

    def run(self) -> Found:
        """Everything that is wrong, in the order of the files."""
        listed = self._fs.list(self._folder)
        yield from self._names(listed)
        yield from self._metadata()
        yield from self._checkpoint_of_epochs()
        bases = names.offsets_of(listed, names.LOG)
        if not bases:
            text = "there is no segment"
            yield Problem("missing", self._folder, text, is_remark=not self._expected.closed)
            return
        self.contents.start = self.contents.end = bases[0]
        self._log_start = read_offset(bytes(self._fs.read(self._path(names.LOG_START)) or b"")) or 0
        present = frozenset(listed)
        for number, base in enumerate(bases):
            yield from self._segment(base, present, is_last=number + 1 == len(bases))
        yield from self._offsets()
        yield from self._snapshots(names.offsets_of(listed, names.SNAPSHOT), names.SNAPSHOT)
        yield from self._snapshots(names.offsets_of(listed, names.WINDOW), names.WINDOW)

    # -- the folder --------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _names(self, listed: Iterable[str]) -> Found:
        logs = set(names.offsets_of(list(listed), names.LOG))
        for name in listed:
            if name.endswith(_LEFTOVERS):
                text = "left over from an interrupted write: the next start removes it"
                yield Problem("leftover", self._path(name), text, is_remark=True)
            elif name == names.SYNC_FAILED:
                text = "the disk may lack what can be read: the next start writes it again"
                yield Problem("sync", self._path(name), text, is_remark=True)
            elif name not in _WHOLE and not self._belongs(name, logs):
                yield Problem("orphan", self._path(name), "belongs to no segment of this log")

    def _belongs(self, name: str, logs: set[int]) -> bool:
        if names.offset_of(name, names.SNAPSHOT) is not None:
            return True
        if names.offset_of(name, names.WINDOW) is not None:
            return True
        suffixes = (*names.SEGMENT_FILES, names.TXN_INDEX)
        return any(names.offset_of(name, suffix) in logs for suffix in suffixes)

    def _metadata(self) -> Found:
        path = self._path(names.PARTITION_METADATA)
        stored = self._fs.read(path)
        if stored is None:
            if self._expected.closed:
                yield Problem("metadata", path, "missing")
            return
        topic_id = read_topic_id(bytes(stored))
        if topic_id is None:
            yield Problem("metadata", path, "damaged: want version 0 and a topic id")
        elif self._expected.topic_id is not None and topic_id != self._expected.topic_id:
            text = f"topic id {topic_id}, topics.json has {self._expected.topic_id}"
            yield Problem("topic-id", path, text)

    def _checkpoint_of_epochs(self) -> Found:
        path = self._path(names.LEADER_EPOCHS)
        stored = self._fs.read(path)
        if stored is None:
            if self._expected.closed:
                yield Problem("epoch", path, "missing")
            return
        self._epochs = read_leader_epochs(bytes(stored))
        if self._epochs is None:
            text = "damaged: want version 0, a count, and as many growing lines"
            yield Problem("epoch", path, text)

    def _offsets(self) -> Found:
        """The small checkpoints, against the ends of the log."""
        start, end = self.contents.start, self.contents.end
        for name in (names.LOG_START, names.RECOVERY_POINT):
            stored = self._fs.read(self._path(name))
            if stored is None:
                continue
            offset = read_offset(bytes(stored))
            if offset is None:
                yield Problem("checkpoint", self._path(name), "damaged")
            elif offset > end:
                text = f"offset {offset} is beyond the end of the log, {end}"
                yield Problem("checkpoint", self._path(name), text)
            elif name == names.LOG_START and offset > start:
                self.contents.start = offset

    # -- a segment ---------------------------------------------------------------------------

    def _segment(self, base: int, present: frozenset[str], *, is_last: bool) -> Found:
        path = self._path(names.offset_name(base, names.LOG))
        contents = self.contents
        if contents.batches and base != contents.end and not self._may_gap(base):
            text = f"begins at offset {base}, the segment before ends at {contents.end}"
            yield Problem("gap", path, text)
        contents.end = max(contents.end, base)
        content = self._fs.read(path) or b""
        places: list[_Place] = []
        aborted_before = len(contents.transactions.aborted)
        for one in batches(content):
            if isinstance(one, Damage):
                yield self._tail(path, one, content, is_last=is_last)
                break
            yield from self._batch(path, base, content, one)
            header = one.header
            places.append(_Place(one.position, header.last_offset, header.max_timestamp))
        contents.bytes += len(content)
        yield from self._offset_index(base, places, present)
        yield from self._time_index(base, places, present)
        aborted = contents.transactions.aborted[aborted_before:]
        yield from self._txn_index(base, aborted, present, is_last=is_last)

    def _may_gap(self, base: int) -> bool:
        return self._expected.compacts and base > self.contents.end

    def _tail(self, path: str, damage: Damage, content: Buffer, *, is_last: bool) -> Problem:
        left = len(content) - damage.position
        text = f"byte {damage.position}: {damage.reason}"
        if not is_last or self._expected.closed:
            return Problem("torn", path, f"{text}; {left} bytes cannot be read")
        text += f"; the next start cuts off {left} bytes"
        return Problem("torn", path, text)

    def _batch(self, path: str, base: int, content: Buffer, one: Batch) -> Found:
        header, contents = one.header, self.contents
        where = f"byte {one.position}, offset {header.base_offset}"
        if not one.is_valid:
            yield Problem("crc", path, f"{where}: the CRC is wrong")
            contents.end = max(contents.end, header.next_offset)
            return
        if header.base_offset < max(contents.end, base):
            text = f"{where}: want at least {max(contents.end, base)}"
            yield Problem("offset-order", path, text)
        elif header.base_offset > contents.end and not self._expected.compacts:
            yield Problem("gap", path, f"{where}: want {contents.end}")
        yield from self._epoch_of(path, where, one)
        if header.is_control:
            self._marker(content, one)
        elif header.has_producer_id:
            yield from self._sequence(path, where, one)
        contents.end = max(contents.end, header.next_offset)
        contents.batches += 1
        contents.records += header.record_count

    def _epoch_of(self, path: str, where: str, one: Batch) -> Found:
        epoch = one.header.partition_leader_epoch
        if epoch < self._epoch:
            yield Problem("epoch", path, f"{where}: epoch {epoch} after epoch {self._epoch}")
        self._epoch = max(epoch, self._epoch)
        if self._epochs is not None and one.header.base_offset >= self._log_start:
            listed = self._epochs.epoch_at(one.header.base_offset)
            if listed != epoch:
                text = f"{where}: epoch {epoch}, {names.LEADER_EPOCHS} has {listed}"
                yield Problem("epoch", path, text)

    def _marker(self, content: Buffer, one: Batch) -> None:
        header = one.header
        marker = read_marker(content, one.position, header)
        if marker is not None:
            producer_id = header.producer_id
            transactions = self.contents.transactions
            transactions.end(producer_id, header.last_offset, committed=marker.committed)
            known = self._producers.get(producer_id)  # if not, its data may be gone: any may follow
            if known is not None and header.producer_epoch > known[0]:
                self._producers[producer_id] = (header.producer_epoch, -1)

    def _sequence(self, path: str, where: str, one: Batch) -> Found:
        header = one.header
        producer_id, epoch = header.producer_id, header.producer_epoch
        known = self._producers.get(producer_id)
        who = f"{where}: producer {producer_id}, epoch {epoch}"
        if header.is_transactional:
            self.contents.transactions.begin(producer_id, header.base_offset)
        if known is not None and epoch < known[0]:
            yield Problem("sequence", path, f"{who}: after epoch {known[0]}")
        elif header.base_sequence >= 0 and not self._expected.compacts:
            wanted = header.base_sequence  # of a producer not seen before: its start may be gone
            if known is not None:
                wanted = 0 if epoch > known[0] or known[1] < 0 else (known[1] + 1) & _I32_MAX
            if header.base_sequence != wanted:
                text = f"{who}: sequence {header.base_sequence}, want {wanted}"
                yield Problem("sequence", path, text)
        if header.base_sequence >= 0:
            self._producers[producer_id] = (epoch, header.last_sequence)
            self._last_of[producer_id, header.last_offset] = header.last_sequence

    # -- indexes -----------------------------------------------------------------------------

    def _stored(self, name: str, present: frozenset[str]) -> Buffer | None:
        return self._fs.read(self._path(name)) if name in present else None

    def _offset_index(self, base: int, places: list[_Place], present: frozenset[str]) -> Found:
        name = names.offset_name(base, names.INDEX)
        stored = self._stored(name, present)
        if stored is None:
            yield from self._no_index(name, places)
            return
        by_position = {place.position: place.last_offset for place in places}
        last = -1
        for entry in offset_entries(bytes(stored), base):
            if isinstance(entry, Damage):
                yield Problem("index", self._path(name), entry.reason)
                return
            offset, position = entry["offset"], entry["position"]
            if by_position.get(position) != offset or offset <= last:
                text = f"offset {offset} at byte {position}: there is no such batch"
                yield Problem("index", self._path(name), text)
                return
            last = offset

    def _time_index(self, base: int, places: list[_Place], present: frozenset[str]) -> Found:
        name = names.offset_name(base, names.TIME_INDEX)
        stored = self._stored(name, present)
        if stored is None:
            yield from self._no_index(name, places)
            return
        newest: dict[int, int] = {place.last_offset: place.max_timestamp for place in places}
        last = (-1, -1)
        for entry in time_entries(bytes(stored), base):
            if isinstance(entry, Damage):
                yield Problem("time-index", self._path(name), entry.reason)
                return
            found = (entry["timestamp"], entry["offset"])
            if newest.get(found[1]) != found[0] or found[0] <= last[0] or found[1] <= last[1]:
                text = f"timestamp {found[0]} at offset {found[1]}: there is no such batch"
                yield Problem("time-index", self._path(name), text)
                return
            last = found

    def _no_index(self, name: str, places: list[_Place]) -> Found:
        if self._expected.closed and places:
            text = "missing: the next start builds it again"
            yield Problem("index", self._path(name), text, is_remark=True)

    def _txn_index(
        self, base: int, aborted: list[Aborted], present: frozenset[str], *, is_last: bool
    ) -> Found:
        name = names.offset_name(base, names.TXN_INDEX)
        stored = self._stored(name, present)
        if stored is None:
            if aborted and (self._expected.closed or not is_last):
                text = f"missing: {len(aborted)} transactions of this segment were aborted"
                yield Problem("txn-index", self._path(name), text)
            return
        entries = read_index(bytes(stored))
        if entries is None:
            yield Problem("txn-index", self._path(name), "damaged")
            return
        indexed = {(entry.producer_id, entry.last_offset): entry for entry in entries}
        for entry in aborted:
            listed = indexed.pop((entry.producer_id, entry.last_offset), None)
            if listed is None or listed.first_offset > entry.first_offset:
                text = f"{entry} is not in it, it has {listed}"
                yield Problem("txn-index", self._path(name), text)
        for listed in indexed.values():
            if listed.first_offset >= self.contents.start and not self._expected.compacts:
                yield Problem("txn-index", self._path(name), f"{listed}: the log has no such thing")

    # -- producers ---------------------------------------------------------------------------

    def _snapshots(self, offsets: Iterable[int], suffix: str) -> Found:
        kind = suffix.removeprefix(".")
        for offset in offsets:
            path = self._path(names.offset_name(offset, suffix))
            stored = bytes(self._fs.read(path) or b"")
            is_snapshot = suffix == names.SNAPSHOT
            states = read_snapshot(stored, 0) if is_snapshot else read_window(stored, offset)
            if states is None:
                yield Problem(kind, path, "damaged: its CRC, version or length is wrong")
            elif offset > self.contents.end:
                text = f"of offset {offset}, beyond the end of the log, {self.contents.end}"
                yield Problem(kind, path, text)
            else:
                yield from self._against_log(states, kind, path)

    def _against_log(self, states: ProducerStates, kind: str, path: str) -> Found:
        for producer_id, producer in states.by_id.items():
            for batch in producer.batches:
                if batch.last_offset < self.contents.start or self._expected.compacts:
                    continue
                found = self._last_of.get((producer_id, batch.last_offset))
                if found != batch.last_sequence:
                    text = (
                        f"producer {producer_id}: sequence {batch.last_sequence} at offset "
                        f"{batch.last_offset}, the log has {'none' if found is None else found}"
                    )
                    yield Problem(kind, path, text)
