"""Objects as files below one folder: the default store, with S3's create-only put.

A put is whole or absent, also after a power cut: written and synced under another name, then linked
to its own with link(2), which refuses a taken name, then the folder is synced. Files that a killed
writer left half-written are invisible and are removed by the next ``check``.
"""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from tickertape.base.errors import MisuseError
from tickertape.objects.store import (
    PROBE_KEY,
    ObjectInfo,
    ObjectStoreError,
    PutOutcome,
    validate_key,
)

NAME_BYTES_MAX = 255  # of one path component on Linux and macOS file systems
_UNFINISHED = ".tickertape-unfinished"  # a folder, directly below the root


# A person must act. All else (disk full, too many open files) may pass: retries give it time.
_LASTING = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
)
_UNMAKEABLE = _LASTING | {errno.ENOENT}  # of a folder: its file system makes none there (/proc)


@contextlib.contextmanager
def _store_errors(what: str, path: Path, lasting: frozenset[int] = _LASTING) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ObjectStoreError(
            f"{what} {path}: {error.strerror or error}", retriable=error.errno not in lasting
        ) from error


def _sync_dir(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class DirectoryStore:
    """One folder on a POSIX file system with hard links. Several processes may share it."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        # Folders whose own names, up to the root, were synced by this process.
        self._durable: set[Path] = set()

    @property
    def url(self) -> str:
        """``file:///...``."""
        return self._root.as_uri()

    def put(
        self,
        key: str,
        data: bytes,
        *,
        create_only: bool = True,
        content_type: str = "application/octet-stream",
    ) -> PutOutcome:
        """Store durably; EXISTS if the name is taken."""
        path = self._path(key)
        with _store_errors("write", path):
            if create_only and path.exists():
                self._make_durable(path.parent)
                _sync_dir(path.parent)  # another writer may have linked it and died before its sync
                return PutOutcome.EXISTS
            try:
                return self._write(path, data, create_only=create_only)
            except (
                FileNotFoundError
            ):  # somebody cleaned up under us: folders or the unfinished file
                self._durable.clear()
                return self._write(path, data, create_only=create_only)

    def _write(self, path: Path, data: bytes, *, create_only: bool) -> PutOutcome:
        self._make_durable(path.parent)
        unfinished = self._root / _UNFINISHED / secrets.token_hex(12)
        unfinished.parent.mkdir(exist_ok=True)
        try:
            with unfinished.open("xb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # tells _remove_unfinished that we live
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                if not create_only:
                    unfinished.replace(path)
                else:
                    try:
                        path.hardlink_to(unfinished)
                    except FileExistsError:
                        _sync_dir(path.parent)
                        return PutOutcome.EXISTS
            _sync_dir(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)
        return PutOutcome.CREATED

    def _make_durable(self, folder: Path) -> None:
        if folder in self._durable:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for step in (folder, *folder.parents):
            if step in self._durable:
                break
            _sync_dir(step.parent)
            if step == self._root:
                break
        self._durable.add(folder)

    def get(self, key: str) -> bytes | None:
        """The file's content."""
        path = self._path(key)
        with _store_errors("read", path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None

    def head(self, key: str) -> ObjectInfo | None:
        """Size; a file system keeps no digest."""
        path = self._path(key)
        with _store_errors("look at", path):
            try:
                return ObjectInfo(key, path.stat().st_size) if path.is_file() else None
            except FileNotFoundError:
                return None

    def list(self, prefix: str, start_after: str = "") -> Iterator[ObjectInfo]:
        """In S3's order: by the bytes of the whole key; a folder's name ends with a slash."""
        with _store_errors("list", self._root):
            yield from self._walk(b"", os.fsencode(prefix), os.fsencode(start_after))

    def _walk(self, folder: bytes, prefix: bytes, start_after: bytes) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(os.path.join(os.fsencode(self._root), folder)) as found:  # noqa: PTH118
                entries = {e.name + b"/" if e.is_dir() else e.name: e for e in found}
        except FileNotFoundError:
            return
        for name in sorted(entries):
            key = folder + name
            if name.endswith(b"/"):
                wanted = key.startswith(prefix) or prefix.startswith(key)
                passed = key < start_after and not start_after.startswith(key)
                if wanted and not passed and key != _UNFINISHED.encode() + b"/":
                    yield from self._walk(key, prefix, start_after)
            elif key.startswith(prefix) and key > start_after:
                yield ObjectInfo(os.fsdecode(key), entries[name].stat().st_size)

    def check(self) -> tuple[str, ...]:
        """Create the folder if needed, prove that it can be written and that link(2) refuses."""
        with _store_errors("create folder", self._root, _UNMAKEABLE):
            missing = [step for step in (self._root, *self._root.parents) if not step.exists()]
            self._root.mkdir(parents=True, exist_ok=True)
            for step in missing:
                _sync_dir(step.parent)
            self._remove_unfinished()
        self.put(PROBE_KEY, b"conditional put?\n")
        if self.put(PROBE_KEY, b"conditional put?\n") is not PutOutcome.EXISTS:
            raise ObjectStoreError(
                f"{self.url}: link(2) replaced a file that existed", retriable=False
            )
        return ()

    def _remove_unfinished(self) -> None:
        for path in (self._root / _UNFINISHED).glob("*"):
            with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    def _path(self, key: str) -> Path:
        validate_key(key)
        parts = key.split("/")
        for part in parts:
            if len(os.fsencode(part)) > NAME_BYTES_MAX:
                raise MisuseError(
                    f"object key {key!r}: a file name has at most {NAME_BYTES_MAX} bytes"
                )
        if parts[0] == _UNFINISHED:
            raise MisuseError(
                f"object key {key!r}: {_UNFINISHED}/ is reserved for half-written files"
            )
        return self._root.joinpath(*parts)
