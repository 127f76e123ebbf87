"""The only real adapters: the operating system's clock, randomness and disk.

Everything else takes the ports of base.ports; only the cli package builds these.
"""

import contextlib
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

from tickertape.base.buffers import Buffer
from tickertape.base.errors import StorageError
from tickertape.base.ports import Job

_IOV_MAX = 1024


@contextlib.contextmanager
def _storage_errors(what: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{what} {path}: {error.strerror or error}") from error
    except ValueError as error:  # what os.fdatasync says of a closed file
        raise StorageError(f"{what} {path}: {error}") from error


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Wall clock, ms since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """CLOCK_MONOTONIC in ms."""
        return time.monotonic_ns() // 1_000_000


class SystemRng:
    """The operating system's cryptographic randomness."""

    def token(self, length: int) -> bytes:
        """``length`` bytes."""
        return os.urandom(length)

    def below(self, stop: int) -> int:
        """A uniform integer in [0, stop)."""
        bits = stop.bit_length()
        while (found := int.from_bytes(os.urandom(bits // 8 + 1), "big") >> (8 - bits % 8)) >= stop:
            pass
        return found


class OsFile:
    """One open file descriptor. The end of the file is tracked here: we are its only writer."""

    def __init__(self, path: str, fd: int) -> None:
        self._path = path
        self._fd = fd
        self._size = os.fstat(fd).st_size

    def size(self) -> int:
        """Length in bytes."""
        return self._size

    def pread(self, at: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``at``; shorter only at the end."""
        with _storage_errors("read", self._path):
            data = os.pread(self._fd, length, at)
            while len(data) < length:  # one pread stops at 2 GiB, and may be interrupted
                more = os.pread(self._fd, length - len(data), at + len(data))
                if not more:
                    break
                data += more
            return data

    def append(self, parts: Sequence[Buffer]) -> None:
        """Gather-write all parts at the end."""
        try:  # spelled out: this is once per produce request, and a context manager costs 1.5 us
            total = sum(map(len, parts))
            done = os.pwritev(self._fd, parts[:_IOV_MAX], self._size)
            if done != total:
                self._append_rest(parts, done, total)
            self._size += total
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(f"append to {self._path}: {reason}") from error

    def _append_rest(self, parts: Sequence[Buffer], done: int, total: int) -> None:
        rest = memoryview(b"".join(parts))
        while done < total:
            done += os.pwrite(self._fd, rest[done:], self._size + done)

    def pwrite(self, at: int, data: Buffer) -> None:
        """Overwrite at ``at``."""
        with _storage_errors("write", self._path):
            rest, position = memoryview(data), at
            while rest:
                done = os.pwrite(self._fd, rest, position)
                rest, position = rest[done:], position + done
            self._size = max(self._size, position)

    def truncate(self, size: int) -> None:
        """Cut or extend."""
        with _storage_errors("truncate", self._path):
            os.ftruncate(self._fd, size)
            self._size = size

    def sync(self) -> None:
        """Fdatasync, which also makes the new length durable."""
        with _storage_errors("sync", self._path):
            os.fdatasync(self._fd)

    def fileno(self) -> int | None:
        """The descriptor."""
        return self._fd

    def close(self) -> None:
        """Close once; later calls do nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with _storage_errors("close", self._path):
                os.close(fd)

    def __del__(self) -> None:
        """A file that was deleted while a response or a sync still used it closes with the last."""
        self.close()


class OsDisk:
    """syncfs(2) on the file system that holds a folder, where that is known to be enough.

    Only ext4: there it writes all data, commits the journal and flushes the device's cache, which
    fdatasync would do for each file (ext4_sync_fs). Not before Linux 5.17: until 5.8 syncfs did
    not tell of writes that had failed, until 5.17 not of a journal that had. What others write
    there is synced with it.

    After one failure it is given up: the kernel tells a descriptor of a failed write once, and that
    may have been one of a file which the next call is for.
    """

    def __init__(self, folder: str) -> None:
        """``folder`` must exist, else this is of no use. What fails from now on is told."""
        self._fd = _opened_for_syncfs(folder)

    def sync(self) -> bool:
        """See base.ports.Disk. A failure is False too: fdatasync will tell whose bytes are lost."""
        if self._fd is None:
            return False
        # Of a file system that became read-only, say by an error of its journal, syncfs says 0.
        if _syncfs(self._fd) and not os.fstatvfs(self._fd).f_flag & os.ST_RDONLY:
            return True
        self._close()
        return False

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        """Give the descriptor back."""
        self._close()


def _opened_for_syncfs(folder: str) -> int | None:
    """The descriptor must live on: the kernel tells it of failures since its last call."""
    try:
        if not _tells_of_failures(os.uname()) or _kind_of_file_system(folder) != "ext4":
            return None
        if _reaches_elsewhere(folder):
            return None
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None


def _syncfs(fd: int) -> bool:
    import ctypes  # noqa: PLC0415  # most brokers never have so many dirty files

    return bool(ctypes.CDLL(None).syncfs(fd) == 0)


def _reaches_elsewhere(folder: str) -> bool:
    """Whether a part of it was linked or mounted from another disk."""
    device = os.stat(folder).st_dev
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                if os.stat(entry.path).st_dev != device:
                    return True
    return False


def _tells_of_failures(machine: os.uname_result) -> bool:
    major, minor = machine.release.split(".")[:2]
    return machine.sysname == "Linux" and (int(major), int(minor)) >= (5, 17)


def _kind_of_file_system(folder: str) -> str:
    """Its name as /proc/self/mountinfo has it; empty if the folder is not found there."""
    device = os.stat(folder).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            mount, _, rest = line.partition(" - ")
            if mount.split(" ")[2] == wanted:
                return rest.split(" ")[0]
    return ""


class Threads:
    """Workers: up to ``count`` threads, the caller's among them; the others end with the jobs."""

    def __init__(self, count: int) -> None:
        self._count = count

    def run_all(self, jobs: Sequence[Callable[[], Job]]) -> list[Job]:
        """The result of each, in order."""
        futures: list[Future[Job]] = [Future() for _ in jobs]
        left = deque(zip(jobs, futures, strict=True))
        threads = []
        for _ in range(min(self._count, len(jobs)) - 1):
            thread = threading.Thread(target=_run_each, args=(left,), name="tape-disk")
            try:
                thread.start()
            except RuntimeError:  # the machine has no more: it takes longer
                break
            threads.append(thread)
        _run_each(left)
        for thread in threads:
            thread.join()
        return [future.result() for future in futures]


def _run_each(left: deque[tuple[Callable[[], Job], Future[Job]]]) -> None:
    while left:
        try:
            job, future = left.popleft()
        except IndexError:  # another thread was faster
            return
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001  # raised where the results are wanted
            future.set_exception(error)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class OsFileSystem:
    """The machine's disk."""

    def open(self, path: str, *, create: bool = False) -> OsFile:
        """Open for reading and writing."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        with _storage_errors("open", path):
            return OsFile(path, os.open(path, flags, 0o644))

    def read(self, path: str) -> bytes | None:
        """The whole content, or None if absent."""
        with _storage_errors("read", path):
            try:
                with open(path, "rb") as file:
                    return file.read()
            except FileNotFoundError:
                return None

    def write_atomic(self, path: str, data: bytes, *, private: bool = False) -> None:
        """Temp file, fsync, rename, fsync folder."""
        temporary = f"{path}.tmp"
        with _storage_errors("write", path):
            with open(temporary, "wb", opener=_open_private if private else None) as file:
                if private:  # also if it was there
                    os.fchmod(file.fileno(), 0o600)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        self.sync_dir(os.path.dirname(path) or ".")

    def remove(self, path: str) -> None:
        """Delete a file or a whole folder."""
        with _storage_errors("remove", path), contextlib.suppress(FileNotFoundError):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    def rename(self, old: str, new: str) -> None:
        """Rename, replacing a file that is there."""
        with _storage_errors("rename", old):
            os.replace(old, new)

    def list(self, path: str) -> list[str]:
        """Sorted names, [] if there is no such folder."""
        with _storage_errors("list", path):
            try:
                return sorted(os.listdir(path))
            except FileNotFoundError:
                return []

    def make_dir(self, path: str) -> None:
        """Create with parents."""
        with _storage_errors("create folder", path):
            os.makedirs(path, exist_ok=True)

    def sync_dir(self, path: str) -> None:
        """Fsync the folder itself."""
        with _storage_errors("sync folder", path):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
