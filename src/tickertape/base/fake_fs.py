"""A disk in memory that can do what real disks do: lose unsynced bytes, fail, lose power.

File content is durable after ``File.sync``; a name (created, renamed, removed) is durable after
``sync_dir`` of its folder, or ``write_atomic``. ``crash`` throws away what is not durable, all of
it or a seeded part. TORN: writes to one file and changes to one folder are lost from the end
backwards, as a journal loses them, and the last write may be torn or become zeros. SCATTERED: any
sectors of a file are old and any are new, as pages reach a disk in any order; names and lengths
that were cut keep the order of the journal.

After a failed sync the unsynced bytes can still be read, by the next process too, but will never
become durable, whatever later syncs say, unless they are written again: that is what Linux does.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from tickertape.base.buffers import Buffer
from tickertape.base.errors import StorageError

MUTATING = frozenset(
    {
        "create", "append", "pwrite", "truncate", "sync",
        "rename", "remove", "make_dir", "sync_dir",
    }
)  # fmt: skip


SECTOR: Final = 512
"""What a disk writes whole or not at all, bytes."""


class PowerCut(BaseException):
    """The machine has lost power inside a call. Not an Exception: nobody may handle it."""


class Loss(Enum):
    """What ``crash`` does with bytes and names that were not synced.

    NOTHING is the death of the process alone: all is there, and still not durable.
    """

    ALL = "all"
    TORN = "torn"
    SCATTERED = "scattered"
    NOTHING = "nothing"


@dataclass(slots=True)
class _Write:
    at: int
    data: bytes


@dataclass(slots=True)
class _Truncate:
    size: int


@dataclass(slots=True, eq=False)
class _Inode:
    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[_Write | _Truncate] = field(default_factory=list)

    def change(self, operation: _Write | _Truncate) -> None:
        _apply(self.content, operation)
        self.pending.append(operation)

    def sync(self) -> None:
        for operation in self.pending:
            _apply(self.durable, operation)
        self.pending.clear()

    def forsake(self) -> None:
        """A sync has failed: what was written counts as clean now; lengths are the journal's."""
        self.pending = [one for one in self.pending if isinstance(one, _Truncate)]

    def crash(self, loss: Loss, rng: random.Random) -> None:
        if loss is Loss.TORN:
            kept = rng.randint(0, len(self.pending))
            for operation in self.pending[:kept]:
                _apply(self.durable, operation)
            for operation in self.pending[kept : kept + 1]:
                if isinstance(operation, _Write):
                    _apply(self.durable, _torn(operation, rng))
        elif loss is Loss.SCATTERED and self.pending:
            self.durable = _scattered(bytes(self.durable), self.pending, rng)
        self.content[:] = self.durable
        self.pending = []


def _apply(content: bytearray, operation: _Write | _Truncate) -> None:
    if isinstance(operation, _Truncate):
        if operation.size < len(content):
            del content[operation.size :]
        content.extend(bytes(operation.size - len(content)))
        return
    content.extend(bytes(max(0, operation.at - len(content))))
    content[operation.at : operation.at + len(operation.data)] = operation.data


def _torn(write: _Write, rng: random.Random) -> _Write:
    kept = rng.randint(0, len(write.data))
    if rng.random() < 0.25:  # the length reached the disk, the bytes did not
        return _Write(write.at, write.data[:kept] + bytes(len(write.data) - kept))
    return _Write(write.at, write.data[:kept])


def _scattered(durable: bytes, pending: list[_Write | _Truncate], rng: random.Random) -> bytearray:
    """Each sector as it was at some moment since the last truncation that reached the disk."""
    states = [durable]
    for operation in pending:
        content = bytearray(states[-1])
        _apply(content, operation)
        states.append(bytes(content))
    cuts = [n for n, one in enumerate(pending, 1) if isinstance(one, _Truncate)]
    bounds = [0, *cuts, len(states)]
    kept = rng.randrange(len(bounds) - 1)
    size = len(states[rng.randrange(bounds[kept], bounds[kept + 1])])
    found = bytearray()
    for at in range(0, size, SECTOR):
        sector = rng.choice(states[bounds[kept] :])[at : at + SECTOR]
        found += sector.ljust(SECTOR, b"\0")
    return found[:size]


@dataclass(slots=True, eq=False)
class _Folder:
    """Names of one folder: as seen, as durable, and the changes in between."""

    names: dict[str, "_Inode | _Folder"] = field(default_factory=dict)
    durable: dict[str, "_Inode | _Folder"] = field(default_factory=dict)
    pending: list[dict[str, "_Inode | _Folder | None"]] = field(default_factory=list)

    def change(self, changes: dict[str, "_Inode | _Folder | None"]) -> None:
        """One atomic change; None takes a name away."""
        _rename(self.names, changes)
        self.pending.append(changes)

    def sync(self) -> None:
        for changes in self.pending:
            _rename(self.durable, changes)
        self.pending.clear()

    def crash(self, loss: Loss, rng: random.Random) -> None:
        if loss is not Loss.ALL:
            for changes in self.pending[: rng.randint(0, len(self.pending))]:
                _rename(self.durable, changes)
        self.names = dict(self.durable)
        self.pending = []
        for child in self.names.values():
            child.crash(loss, rng)


def _rename(
    names: dict[str, _Inode | _Folder], changes: dict[str, _Inode | _Folder | None]
) -> None:
    for name, node in changes.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class FakeFile:
    """An open file of a FakeFileSystem. Dead after ``crash``."""

    def __init__(self, fs: "FakeFileSystem", path: str, inode: _Inode) -> None:
        """Use ``FakeFileSystem.open``."""
        self._fs = fs
        self._path = path
        self._inode = inode
        self._life = fs.life
        self._closed = False

    def _step(self, kind: str) -> None:
        if self._closed or self._life != self._fs.life:
            raise StorageError(f"{kind} {self._path}: the file is closed")
        self._fs.step(kind, self._path)

    def size(self) -> int:
        """Length in bytes."""
        return len(self._inode.content)

    def pread(self, at: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``at``."""
        self._step("pread")
        return bytes(self._inode.content[at : at + length])

    def append(self, parts: Sequence[Buffer]) -> None:
        """Write all parts at the end; if told to fail, a prefix gets there."""
        self._write("append", len(self._inode.content), b"".join(parts))

    def pwrite(self, at: int, data: Buffer) -> None:
        """Overwrite at ``at``."""
        self._write("pwrite", at, bytes(data))

    def _write(self, kind: str, at: int, data: bytes) -> None:
        try:
            self._step(kind)
        except StorageError:
            if not self._closed:
                self._inode.change(_Write(at, data[: self._fs.rng.randint(0, len(data))]))
            raise
        except PowerCut:
            self._inode.change(_Write(at, data))
            raise
        self._inode.change(_Write(at, data))

    def truncate(self, size: int) -> None:
        """Cut or extend."""
        try:
            self._step("truncate")
        except PowerCut:
            self._inode.change(_Truncate(size))
            raise
        self._inode.change(_Truncate(size))

    def sync(self) -> None:
        """Make the content durable; after a failure what was written never will be."""
        try:
            self._step("sync")
        except StorageError:
            self._inode.forsake()
            raise
        self._inode.sync()

    def fileno(self) -> int | None:
        """None: there is no descriptor."""
        return None

    def close(self) -> None:
        """Idempotent."""
        self._closed = True


class FakeFileSystem:
    """A FileSystem whose every call is counted and may fail; see the module's promise.

    ``trace`` has one ``(kind, path)`` per call; ``fail_at`` and ``cut_at`` count mutating calls,
    1 is the next one.
    """

    def __init__(self, seed: int = 0) -> None:
        """An empty disk."""
        self.rng = random.Random(seed)  # noqa: S311  # reproducible on purpose
        self.trace: list[tuple[str, str]] = []
        self.mutations = 0
        self.life = 0
        self._root = _Folder()
        self._off = False
        self._cut: int | None = None
        self._failures: dict[int, str] = {}
        self._failing: frozenset[str] = frozenset()

    # -- faults

    def fail_at(self, nth: int, reason: str = "No space left on device") -> None:
        """The ``nth`` mutating call from now on raises StorageError."""
        self._failures[self.mutations + nth] = reason

    def fail_always(self, kinds: frozenset[str]) -> None:
        """Every call of these kinds, reading or writing, fails until told otherwise."""
        self._failing = kinds

    def cut_at(self, nth: int) -> None:
        """The ``nth`` mutating call from now on takes effect in memory and raises PowerCut."""
        self._cut = self.mutations + nth

    def sync_all(self) -> None:
        """Make everything durable, as syncfs does."""
        self.step("sync", "/")
        todo: list[_Inode | _Folder] = [self._root]
        while todo:
            node = todo.pop()
            node.sync()
            if isinstance(node, _Folder):
                todo += node.names.values()

    def crash(self, loss: Loss = Loss.ALL, seed: int = 0) -> None:
        """Lose power and come back: what is not durable is lost as ``loss`` says.

        A ``cut_at`` that was not reached yet stays: recovery can be cut too.
        """
        if loss is not Loss.NOTHING:
            self._root.crash(loss, random.Random(seed))  # noqa: S311  # reproducible on purpose
        self.life += 1
        self._off = False
        self._failures.clear()
        self._failing = frozenset()

    def step(self, kind: str, path: str) -> None:
        """Count a call, and let it fail if it is its turn."""
        if self._off:
            raise PowerCut
        self.trace.append((kind, path))
        if kind in self._failing:
            raise StorageError(f"{kind} {path}: Input/output error")
        if kind not in MUTATING:
            return
        self.mutations += 1
        reason = self._failures.pop(self.mutations, None)
        if reason is not None:
            raise StorageError(f"{kind} {path}: {reason}")
        if self.mutations == self._cut:
            self._off = True
            raise PowerCut(f"{kind} {path}")

    # -- the port

    def open(self, path: str, *, create: bool = False) -> FakeFile:
        """Open for reading and writing."""
        folder, name = self._locate(path)
        node = folder.names.get(name)
        if isinstance(node, _Folder):
            raise StorageError(f"open {path}: Is a directory")
        if node is not None:
            self.step("open", path)
            return FakeFile(self, path, node)
        if not create:
            raise StorageError(f"open {path}: No such file or directory")
        node = _Inode()
        self._change("create", path, folder, {name: node})
        return FakeFile(self, path, node)

    def read(self, path: str) -> bytes | None:
        """The whole content, or None if absent."""
        self.step("read", path)
        node = self._find(path)
        if isinstance(node, _Folder):
            raise StorageError(f"read {path}: Is a directory")
        return bytes(node.content) if node is not None else None

    def write_atomic(self, path: str, data: bytes, *, private: bool = False) -> None:
        """Temp file, sync, rename, sync of the folder: each can be cut."""
        temporary = f"{path}.tmp"
        file = self.open(temporary, create=True)
        file.truncate(0)
        file.append((data,))
        file.sync()
        self.rename(temporary, path)
        self.sync_dir(path.rpartition("/")[0] or ".")

    def remove(self, path: str) -> None:
        """Delete a file, or a folder one file at a time."""
        folder, name = self._locate(path)
        node = folder.names.get(name)
        if isinstance(node, _Folder):
            for child in sorted(node.names):
                self.remove(f"{path}/{child}")
        if node is not None:
            self._change("remove", path, folder, {name: None})

    def rename(self, old: str, new: str) -> None:
        """Rename a file or folder, replacing a file that is there."""
        source, old_name = self._locate(old)
        target, new_name = self._locate(new)
        node = source.names.get(old_name)
        if node is None:
            raise StorageError(f"rename {old}: No such file or directory")
        if source is target:
            self._change("rename", old, source, {old_name: None, new_name: node})
            return
        self._change("rename", old, target, {new_name: node})
        source.change({old_name: None})

    def list(self, path: str) -> list[str]:
        """Sorted names, [] if there is no such folder."""
        self.step("list", path)
        node = self._find(path)
        return sorted(node.names) if isinstance(node, _Folder) else []

    def make_dir(self, path: str) -> None:
        """Create with parents."""
        folder = self._root
        for part in _parts(path):
            node = folder.names.get(part)
            if node is None:
                node = _Folder()
                self._change("make_dir", path, folder, {part: node})
            if not isinstance(node, _Folder):
                raise StorageError(f"create folder {path}: File exists")
            folder = node

    def sync_dir(self, path: str) -> None:
        """Make the folder's names durable."""
        self.step("sync_dir", path)
        node = self._find(path)
        if not isinstance(node, _Folder):
            raise StorageError(f"sync folder {path}: No such file or directory")
        node.sync()

    def _change(
        self, kind: str, path: str, folder: _Folder, changes: dict[str, _Inode | _Folder | None]
    ) -> None:
        try:
            self.step(kind, path)
        except PowerCut:
            folder.change(changes)
            raise
        folder.change(changes)

    def _locate(self, path: str) -> tuple[_Folder, str]:
        parent, _, name = path.rstrip("/").rpartition("/")
        node = self._find(parent)
        if not isinstance(node, _Folder):
            raise StorageError(f"{path}: No such file or directory")
        return node, name

    def _find(self, path: str) -> _Inode | _Folder | None:
        node: _Inode | _Folder | None = self._root
        for part in _parts(path):
            node = node.names.get(part) if isinstance(node, _Folder) else None
        return node


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]
