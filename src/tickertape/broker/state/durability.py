"""What is on disk, and who waits for it: the list of unsynced logs and the answers that hang on it.

The shell takes ``dirty``, syncs those logs in a thread, finishes the tickets, and says
``synced``. With fsync "always" a record counts once that happened. With "interval" and "never" it
counts as soon as it is written: what a crash then takes back was acknowledged. "never" asks for no
sync but after upkeep, every ``log.retention.check.interval.ms``: else checkpoints would pile up in
memory, and a recovery would read everything.
"""

from collections.abc import Iterable
from typing import Final

from tickertape.broker.state.settings import FsyncMode
from tickertape.broker.state.waits import DurableWaits, Partition, Waiter
from tickertape.log.partition import PartitionLog
from tickertape.wire.error_codes import ErrorCode

_REFUSAL_MS: Final = 60_000  # nobody may try again, and then space may be there unnoticed


class Durability:
    """See the module."""

    def __init__(self, mode: FsyncMode) -> None:
        self.waits = DurableWaits()
        self._counts_when_written = mode != "always"
        self._never_syncs = mode == "never"
        self._dirty: dict[PartitionLog, Partition] = {}
        self._refusals: dict[PartitionLog, tuple[int, str]] = {}

    def appended(self, partition: Partition) -> None:
        """Something was written to the partition's log."""
        log = partition.log
        if self._refusals:
            self._refusals.pop(log, None)
        if self._counts_when_written:
            log.assume_durable()
            partition.wake()
            if self._never_syncs:
                return
        self._dirty[log] = partition

    def maintained(self, partition: Partition) -> None:
        """The log has rolled or dropped segments: its checkpoints want writing, in any mode."""
        if partition.log.is_dirty:
            self._dirty[partition.log] = partition

    def wait(self, partition: Partition, until: int, waiter: Waiter, slot: int) -> None:
        """Settle ``slot`` once all offsets below ``until`` are durable: perhaps at once."""
        log = partition.log
        if log.durable_offset >= until:
            waiter.settle(slot, ErrorCode.NONE, None)
        elif log.failed is not None:
            waiter.settle(slot, ErrorCode.KAFKA_STORAGE_ERROR, log.failed)
        else:
            partition.waiting.append((until, waiter, slot))

    def dirty(self) -> list[PartitionLog]:
        """The logs that have something to sync. Until ``synced`` names them they stay here."""
        return list(self._dirty)

    def synced(self, logs: Iterable[PartitionLog]) -> None:
        """These logs have been synced, or have failed: answer those who waited for it."""
        for log in logs:
            partition = self._dirty.get(log)
            if partition is None:
                continue  # deleted meanwhile
            if log.failed is not None or not log.is_dirty:
                del self._dirty[log]
            partition.settle()
            if partition.sleepers:
                partition.wake()

    def forget(self, partition: Partition) -> None:
        """The partition is gone."""
        self._dirty.pop(partition.log, None)
        self._refusals.pop(partition.log, None)

    def refused(self, partition: Partition, reason: str, now_ms: int) -> None:
        """The disk refused an append, at ``now_ms`` (monotonic)."""
        self._refusals[partition.log] = (now_ms, reason)

    def refusals(self, now_ms: int) -> list[str]:
        """Why the disk refuses, a line a log: what is no more than a minute old, and not mended."""
        return [reason for at, reason in self._refusals.values() if now_ms - at < _REFUSAL_MS]
