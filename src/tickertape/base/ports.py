"""The ports to the world, as small Protocols: Clock, Rng, File, Disk, Workers, FileSystem.

Pure code takes these; base.world has the only real adapters, base.fakes and base.fake_fs the fakes.
All paths are absolute or relative POSIX strings; all times are integer milliseconds.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from tickertape.base.buffers import Buffer

Job = TypeVar("Job")


class Clock(Protocol):
    """Tells the time."""

    def now_ms(self) -> int:
        """Wall clock, ms since 1970-01-01 UTC. May jump."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds from an arbitrary start; never goes back. For deadlines."""
        ...


class Rng(Protocol):
    """Supplies randomness: identifiers and jitter."""

    def token(self, length: int) -> bytes:
        """``length`` random bytes."""
        ...

    def below(self, stop: int) -> int:
        """A uniform integer in [0, stop)."""
        ...


class File(Protocol):
    """One open file. Every method raises StorageError when the disk refuses or fails."""

    def size(self) -> int:
        """Length in bytes, unsynced bytes included."""
        ...

    def pread(self, at: int, length: int) -> bytes:
        """Up to ``length`` bytes from position ``at``; shorter only at the end of the file."""
        ...

    def append(self, parts: Sequence[Buffer]) -> None:
        """Gather-write all parts in order at the end. On error any prefix may be there."""
        ...

    def pwrite(self, at: int, data: Buffer) -> None:
        """Overwrite bytes at position ``at``; may extend the file."""
        ...

    def truncate(self, size: int) -> None:
        """Cut or extend to ``size`` bytes."""
        ...

    def sync(self) -> None:
        """Return only when every byte written so far survives a power cut (fdatasync)."""
        ...

    def fileno(self) -> int | None:
        """The descriptor, for sendfile; None where there is none (fakes)."""
        ...

    def close(self) -> None:
        """Release the descriptor. Does not sync. Idempotent."""
        ...


class Disk(Protocol):
    """Syncs everything at once, where that is possible."""

    def sync(self) -> bool:
        """True: all that was written before the call survives a power cut, names too.

        False: this cannot be had here, or is not known; then each file must be synced.
        """
        ...


class Workers(Protocol):
    """Runs jobs that mostly wait for the disk, perhaps several at a time."""

    def run_all(self, jobs: Sequence[Callable[[], Job]]) -> list[Job]:
        """The result of each, in order. Jobs touch nothing in common.

        Returns when all have ended; raises what the first of them in order has raised.
        """
        ...


class FileSystem(Protocol):
    """A tree of files. Every method raises StorageError when the disk refuses or fails."""

    def open(self, path: str, *, create: bool = False) -> File:
        """Open for reading and writing; StorageError if absent and not ``create``."""
        ...

    def read(self, path: str) -> bytes | None:
        """The whole content, or None if there is no such file."""
        ...

    def write_atomic(self, path: str, data: bytes, *, private: bool = False) -> None:
        """Replace the content durably; a crash leaves either the old or the new.

        ``private``: no other user of the machine may read it.
        """
        ...

    def remove(self, path: str) -> None:
        """Delete a file, or a folder with all that is in it. Absent is not an error."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Rename a file or folder; durable only after ``sync_dir`` of the parent."""
        ...

    def list(self, path: str) -> list[str]:
        """The names in a folder, sorted; [] if there is no such folder."""
        ...

    def make_dir(self, path: str) -> None:
        """Create a folder and its parents; already there is not an error."""
        ...

    def sync_dir(self, path: str) -> None:
        """Make creations, renames and removals in this folder survive a power cut."""
        ...
