"""One broker per data directory: a lock file that the kernel releases when its holder dies.

The holder writes its process id into ``.lock`` and, once it serves, where it can be reached into
``broker.json``. Whoever wants to talk to the broker of a directory reads them here; a lock that
nobody holds means that nobody serves, whatever the files say.
"""

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from tickertape.base.errors import MisuseError, StorageError

_LOCK: Final = ".lock"  # Kafka's own name for it
_RUN_FILE: Final = "broker.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A broker that holds a data directory; ``bootstrap`` is None until it serves."""

    pid: int
    bootstrap: str | None


class DataLock:
    """Holds the directory until ``release`` or the end of the process."""

    def __init__(self, data_dir: str) -> None:
        """Take the lock. MisuseError if another broker has it, StorageError if the disk refuses."""
        self._folder = Path(data_dir)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except (FileExistsError, NotADirectoryError) as error:
            raise StorageError(f"data directory {data_dir} is no folder") from error
        except OSError as error:
            raise StorageError(f"data directory {data_dir}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            holder = running(data_dir)
            who = "another process" if holder is None else _describe(holder)
            raise MisuseError(
                f"data directory {data_dir} is in use by {who}; want one broker per directory"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> Self:
        """Already held."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release."""
        self.release()

    def announce(self, bootstrap: str) -> None:
        """Say that the broker serves at ``host:port``."""
        text = json.dumps(asdict(Running(pid=os.getpid(), bootstrap=bootstrap)))
        fresh = self._folder / f"{_RUN_FILE}.tmp"
        try:
            fresh.write_text(text + "\n")
            fresh.replace(self._folder / _RUN_FILE)
        except OSError as error:
            raise StorageError(f"write {self._folder / _RUN_FILE}: {error.strerror}") from error

    def release(self) -> None:
        """Withdraw the announcement and let the next broker in. Idempotent."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # what is left behind counts for nothing, see above
                (self._folder / _RUN_FILE).unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


def running(data_dir: str) -> Running | None:
    """Who holds the directory now; None if nobody does."""
    folder = Path(data_dir)
    try:
        fd = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).strip()
        return None if not holder.isdigit() else _read(folder, int(holder))
    finally:
        os.close(fd)
    return None


def _read(folder: Path, pid: int) -> Running:
    try:
        found = json.loads((folder / _RUN_FILE).read_text())
    except (OSError, ValueError):
        found = None
    if isinstance(found, dict) and found.get("pid") == pid:
        return Running(pid=pid, bootstrap=str(found.get("bootstrap")))
    return Running(pid=pid, bootstrap=None)


def _describe(holder: Running) -> str:
    where = "starting or stopping" if holder.bootstrap is None else f"serving {holder.bootstrap}"
    return f"process {holder.pid} ({where})"
