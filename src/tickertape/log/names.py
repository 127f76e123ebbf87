"""File names inside a partition folder, as Kafka's LogFileUtils spells them."""

from typing import Final

LOG: Final = ".log"
INDEX: Final = ".index"
TIME_INDEX: Final = ".timeindex"
SNAPSHOT: Final = ".snapshot"
WINDOW: Final = ".window"
TXN_INDEX: Final = ".txnindex"
DELETED: Final = ".deleted"
CLEANED: Final = ".cleaned"
SWAP: Final = ".swap"
TEMPORARY: Final = ".tmp"

LEADER_EPOCHS: Final = "leader-epoch-checkpoint"
PARTITION_METADATA: Final = "partition.metadata"
LOG_START: Final = "log-start-offset-checkpoint"
CLEANED_OFFSETS: Final = "cleaned-offsets-checkpoint"
RECOVERY_POINT: Final = "recovery-point-offset-checkpoint"
SYNC_FAILED: Final = "sync-failed"
"""Its presence says that what can be read here may not be on the disk."""

SEGMENT_FILES: Final = (LOG, INDEX, TIME_INDEX)
ALL_OF_SEGMENT: Final = (INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT, WINDOW, LOG)
"""What goes with a segment, the log last: while it is there, the next open removes the rest."""

_DIGITS = 20


def offset_name(offset: int, suffix: str) -> str:
    """``00000000000000000042.log`` for (42, ".log")."""
    return f"{offset:0{_DIGITS}d}{suffix}"


def offset_of(name: str, suffix: str) -> int | None:
    """The offset in a name that ends in ``suffix``, None if the name is not of that kind."""
    stem = name.removesuffix(suffix)
    if stem == name or len(stem) != _DIGITS or not (stem.isascii() and stem.isdigit()):
        return None
    return int(stem)


def offsets_of(names: list[str], suffix: str) -> list[int]:
    """Sorted offsets of all names of that kind."""
    found = (offset_of(name, suffix) for name in names)
    return sorted(offset for offset in found if offset is not None)
