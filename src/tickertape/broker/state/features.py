"""Finalised features (KIP-584): what this data folder has been upgraded to.

A feature is a behaviour that clients or stored data depend on; its level is chosen by the operator
(UpdateFeatures), kept in ``features.json`` and told to clients by ApiVersions. A new folder starts
at the newest levels, one that is older than this file at those it was written with.
``features.json``: {"version": 1, "epoch": n, "levels": {feature: level}}; the epoch grows by one
with each change.
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from tickertape.base.errors import StorageError
from tickertape.base.ports import FileSystem

FILE_NAME: Final = "features.json"
TRANSACTION_VERSION: Final = "transaction.version"
_FORMAT_VERSION: Final = 1


class Supported(NamedTuple):
    """The levels that this broker can run at."""

    first: int
    last: int
    before: int
    """The level of a data folder that was written before features were kept."""


SUPPORTED: Final[dict[str, Supported]] = {
    # 0 and 1 are the same here: both are transactions v1. 2 is KIP-890.
    TRANSACTION_VERSION: Supported(0, 2, before=1),
}


class Features:
    """See the module."""

    def __init__(self, fs: FileSystem, data_dir: str) -> None:
        self._fs = fs
        self._path = f"{data_dir}/{FILE_NAME}"
        self._levels = {name: levels.before for name, levels in SUPPORTED.items()}
        self.epoch = 0

    def begin(self) -> None:
        """The data folder is new. StorageError if that cannot be written down."""
        self.change({name: levels.last for name, levels in SUPPORTED.items()})

    def load(self) -> None:
        """Read the levels; StorageError if the file is damaged or asks for more than we can."""
        content = self._fs.read(self._path)
        if content is None:
            return
        try:
            stored = json.loads(content)
            version, epoch, levels = stored["version"], stored["epoch"], dict(stored["levels"])
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self._path} is damaged: {error!r}") from error
        if version != _FORMAT_VERSION or type(epoch) is not int:
            raise StorageError(
                f"{self._path}: got version {version!r}, epoch {epoch!r}; "
                f"want version {_FORMAT_VERSION} and a number"
            )
        for name, level in levels.items():
            supported = SUPPORTED.get(name)
            if supported is None or level not in range(supported.first, supported.last + 1):
                raise StorageError(f"{self._path}: this broker cannot run at {name} {level!r}")
        self._levels |= levels
        self.epoch = epoch

    def level(self, name: str) -> int:
        """The finalised level of a feature that is in SUPPORTED."""
        return self._levels[name]

    @property
    def levels(self) -> Mapping[str, int]:
        """All of them. Not to be changed."""
        return self._levels

    def change(self, levels: Mapping[str, int]) -> None:
        """Finalise these, durably, which the caller has checked. StorageError: nothing changed."""
        following = self._levels | dict(levels)
        document = {"version": _FORMAT_VERSION, "epoch": self.epoch + 1, "levels": following}
        self._fs.write_atomic(self._path, json.dumps(document).encode())
        self._levels = following
        self.epoch += 1
