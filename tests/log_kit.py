"""What tests of the log share: batches, a log on a fake disk, and reading everything back."""

from uuid import UUID

from tickertape.base.fake_fs import FakeFileSystem
from tickertape.base.ports import FileSystem
from tickertape.log.config import LogConfig
from tickertape.log.partition import PartitionLog
from tickertape.log.recovery import RecoveryReport
from tickertape.wire.batch import BatchHeader, iter_batches
from tickertape.wire.parts import part_bytes
from tickertape.wire.records import Record, read_records, write_batch

TOPIC_ID = UUID("0123456789abcdef0123456789abcdef")
DATA_DIR = "/data"
FOLDER = "/data/ticks-0"
NOW = 1_700_000_000_000


def produced(
    *values: bytes | None,
    key: bytes | None = None,
    producer: tuple[int, int, int] = (-1, -1, -1),
    timestamp: int = NOW,
    compression: int = 0,
) -> memoryview:
    """One batch as a client sends it; ``producer`` is (id, epoch, first sequence)."""
    records = [Record(n, timestamp + n, key, value) for n, value in enumerate(values)]
    producer_id, epoch, sequence = producer
    batch = write_batch(
        records,
        compression=compression,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
    )
    return memoryview(batch)


def keyed(*pairs: tuple[bytes, bytes | None], timestamp: int = NOW) -> memoryview:
    """One batch of (key, value) pairs."""
    return memoryview(
        write_batch([Record(n, timestamp, key, value) for n, (key, value) in enumerate(pairs)])
    )


def open_log(
    fs: FileSystem, config: LogConfig | None = None, *, clean: bool = False, now_ms: int = NOW
) -> tuple[PartitionLog, RecoveryReport]:
    return PartitionLog.open(
        fs, FOLDER, config or LogConfig(), now_ms=now_ms, topic_id=TOPIC_ID, clean=clean
    )


def new_disk(seed: int = 0) -> FakeFileSystem:
    """A disk with a data directory."""
    fs = FakeFileSystem(seed)
    fs.make_dir(DATA_DIR)
    fs.sync_dir("/")
    return fs


def new_log(config: LogConfig | None = None) -> tuple[FakeFileSystem, PartitionLog]:
    fs = new_disk()
    return fs, open_log(fs, config)[0]


def sync(log: PartitionLog) -> None:
    """One group commit."""
    ticket = log.begin_sync()
    if ticket is not None:
        ticket.run()
        log.finish_sync(ticket, ok=True)


def batches(
    log: PartitionLog, max_bytes: int = 1 << 20, start: int = 0
) -> list[tuple[BatchHeader, list[Record]]]:
    """Everything from ``start``, or the log start, to the end, as a reader gets it."""
    found = []
    offset = max(start, log.log_start_offset)
    while offset < log.end_offset:
        result = log.read(offset, max_bytes, below=log.end_offset, at_least_one=True)
        assert result.error == 0, result
        if not result.size:
            break
        stored = b"".join(map(part_bytes, result.parts))
        assert len(stored) == result.size
        for position, header in iter_batches(stored):
            assert header.last_offset >= offset
            offset = header.next_offset
            found.append((header, read_records(stored, position, header, bytes_max=1 << 20)))
    return found


def records(log: PartitionLog, max_bytes: int = 1 << 20, start: int = 0) -> list[Record]:
    """All records from ``start``, or the log start, to the end."""
    start = max(start, log.log_start_offset)
    every = [record for _, inside in batches(log, max_bytes, start) for record in inside]
    return [record for record in every if record.offset >= start]


def values(log: PartitionLog) -> dict[int, bytes | None]:
    """Value by offset."""
    return {record.offset: record.value for record in records(log)}
