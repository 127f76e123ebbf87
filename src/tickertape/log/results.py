"""What a partition log answers: results of append and read, and the ticket of a group commit."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from tickertape.base.errors import StorageError
from tickertape.base.ports import File, FileSystem
from tickertape.log import names
from tickertape.log.segment import Segment
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.parts import Part


class AppendResult(NamedTuple):
    """Offsets are -1 if ``error`` is not NONE; ``log_append_time_ms`` is -1 for CreateTime.

    A ``duplicate`` was in the log before: nothing was appended, the offsets are the first ones.
    ``record_errors`` name the records to blame by their places in the batch, with a message each.
    """

    error: ErrorCode
    base_offset: int = -1
    last_offset: int = -1
    log_append_time_ms: int = -1
    duplicate: bool = False
    message: str | None = None
    record_errors: tuple[tuple[int, str], ...] = ()


class ReadResult(NamedTuple):
    """Whole record batches, ``size`` bytes in all; ``more`` says that others follow at once."""

    error: ErrorCode
    parts: list[Part]
    size: int
    message: str | None = None
    more: bool = False


@dataclass(slots=True, eq=False)
class SyncTicket:
    """Everything that must reach the disk before offsets below ``end_offset`` are durable.

    ``run`` may be called in any thread, once; it touches nothing of the log but these files.
    ``writes`` are checkpoints and snapshots, true only once the files are synced: they come last,
    and if one fails, that is no loss but a slower recovery (``unwritten`` says why).
    """

    end_offset: int
    files: list[File]
    folders: list[str]
    writes: list[tuple[str, bytes]]
    sealed: list[Segment]
    recovery_point: int
    folder: str
    fs: FileSystem = field(repr=False)
    unwritten: str | None = None

    def run(self) -> None:
        """Sync. Raises StorageError: the log must then be told ``finish_sync(..., ok=False)``."""
        sync_files(self.fs, self.folder, self.files)
        for folder in dict.fromkeys(self.folders):
            self.fs.sync_dir(folder)
        self.write()

    def write(self) -> None:
        """The rest of ``run``, where files and folders have been synced in another way."""
        try:
            for path, content in self.writes:
                self.fs.write_atomic(path, content)
        except StorageError as error:
            self.unwritten = str(error)


def sync_files(fs: FileSystem, folder: str, files: Iterable[File]) -> None:
    """Sync files of the log in ``folder``. StorageError if that fails, with a note in the folder.

    After a failed sync the bytes can be read as long as the machine runs, and no later sync writes
    them: a process that opens the log must write them again, or a power cut would take what it has
    acknowledged. The note says so; after a power cut the disk tells the truth, note or not.
    """
    try:
        for file in files:
            file.sync()
    except StorageError:
        note_failed_sync(fs, folder)
        raise


def note_failed_sync(fs: FileSystem, folder: str) -> None:
    """As well as the disk lets us: on a full one the close tries again."""
    with suppress(StorageError):
        fs.open(f"{folder}/{names.SYNC_FAILED}", create=True).close()
