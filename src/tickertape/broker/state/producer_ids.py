"""Producer ids: unique for the life of the data directory, across crashes.

A block of ids is recorded as used before its first id is handed out, so a crash wastes the rest
of a block and never repeats an id. File ``producer_ids.json``: {"version": 1, "next": first id
not in any block handed out so far}.
"""

import json
from typing import Final

from tickertape.base.errors import StorageError
from tickertape.base.ports import FileSystem

BLOCK_SIZE: Final = 1_000
FILE_NAME: Final = "producer_ids.json"
_FORMAT_VERSION: Final = 1


class ProducerIds:
    """See the module."""

    def __init__(self, fs: FileSystem, data_dir: str) -> None:
        self._fs = fs
        self._path = f"{data_dir}/{FILE_NAME}"
        self._next = 0
        self._block_end = 0

    def load(self) -> None:
        """Read where the last block ended; StorageError if the file is damaged."""
        content = self._fs.read(self._path)
        if content is None:
            return
        try:
            stored = json.loads(content)
            version, following = stored["version"], stored["next"]
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self._path} is damaged: {error!r}") from error
        if version != _FORMAT_VERSION or type(following) is not int or following < 0:
            raise StorageError(
                f"{self._path}: got version {version!r}, next {following!r}; "
                f"want version {_FORMAT_VERSION} and an id >= 0"
            )
        self._next = self._block_end = following

    def take(self) -> int:
        """A producer id never handed out before. StorageError if a new block cannot be recorded."""
        if self._next == self._block_end:
            end = self._block_end + BLOCK_SIZE
            content = json.dumps({"version": _FORMAT_VERSION, "next": end})
            self._fs.write_atomic(self._path, content.encode())
            self._block_end = end
        taken = self._next
        self._next += 1
        return taken
