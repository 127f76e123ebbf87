"""Which leader epoch began at which offset, in Kafka's ``leader-epoch-checkpoint`` text format.

One node has one leader, so the epoch says how often this log was recovered after a crash: clients
learn from it that the tail may have been cut (KIP-101, KIP-320; Kafka: LeaderEpochFileCache).
"""

from itertools import pairwise
from typing import NamedTuple

UNDEFINED = -1


class EpochStart(NamedTuple):
    """Batches of ``epoch`` begin at ``start_offset``."""

    epoch: int
    start_offset: int


class LeaderEpochs:
    """The epochs of one log, oldest first; epochs and start offsets both grow."""

    def __init__(self, entries: list[EpochStart] | None = None) -> None:
        """Start from what was stored."""
        self.entries = entries or []

    @property
    def latest(self) -> int:
        """The newest epoch, -1 if there is none."""
        return self.entries[-1].epoch if self.entries else UNDEFINED

    def assign(self, epoch: int, start_offset: int) -> bool:
        """Note that ``epoch`` begins at ``start_offset``; False if that is no news."""
        if epoch <= self.latest:
            return False
        while self.entries and self.entries[-1].start_offset >= start_offset:
            self.entries.pop()
        self.entries.append(EpochStart(epoch, start_offset))
        return True

    def truncate_end(self, end_offset: int) -> None:
        """Forget epochs that would begin at or after ``end_offset``."""
        while self.entries and self.entries[-1].start_offset >= end_offset:
            self.entries.pop()

    def truncate_start(self, start_offset: int) -> bool:
        """Forget epochs that ended before ``start_offset``; False if nothing changed."""
        ended = [entry for entry in self.entries if entry.start_offset <= start_offset]
        if not ended or ended == [EpochStart(ended[0].epoch, start_offset)]:
            return False
        self.entries[: len(ended)] = [EpochStart(ended[-1].epoch, start_offset)]
        return True

    def epoch_at(self, offset: int) -> int:
        """The epoch that ``offset`` belongs to; UNDEFINED if it lies before all that are known."""
        begun = (entry.epoch for entry in reversed(self.entries) if entry.start_offset <= offset)
        return next(begun, UNDEFINED)

    def end_of(self, epoch: int, log_end_offset: int) -> tuple[int, int]:
        """(largest epoch <= ``epoch`` that is known, the offset where it ends), or (-1, -1)."""
        if epoch == UNDEFINED or not self.entries or epoch > self.latest:
            return UNDEFINED, UNDEFINED
        if epoch == self.latest:
            return epoch, log_end_offset
        higher = next(entry for entry in self.entries if entry.epoch > epoch)
        older = [entry.epoch for entry in self.entries if entry.epoch <= epoch]
        return (older[-1] if older else epoch), higher.start_offset


def write_leader_epochs(epochs: LeaderEpochs) -> bytes:
    """Kafka's text: version, count, one ``epoch offset`` per line."""
    lines = ["0", str(len(epochs.entries))]
    lines += [f"{entry.epoch} {entry.start_offset}" for entry in epochs.entries]
    return ("\n".join(lines) + "\n").encode()


def read_leader_epochs(stored: bytes) -> LeaderEpochs | None:
    """The inverse; None if the text is damaged."""
    try:
        version, count, *lines = stored.decode("ascii").splitlines()
        entries = [EpochStart(*map(int, line.split(" "))) for line in lines]
        if version != "0" or int(count) != len(entries):
            return None
    except (ValueError, TypeError):
        return None
    for older, newer in pairwise(entries):
        if newer.epoch <= older.epoch or newer.start_offset <= older.start_offset:
            return None
    return LeaderEpochs(entries)
