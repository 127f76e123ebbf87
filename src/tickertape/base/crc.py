"""CRC32C, from the crc32c package's C extension, without importing the package around it.

``import crc32c`` reads the metadata of installed distributions and sets up a command line: 40 ms,
a seventh of the time in which the broker has to be ready. The function is the same.
"""

import importlib
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Protocol

from tickertape.base.buffers import Buffer

_EXTENSION = "crc32c._crc32c"


class Crc(Protocol):
    """The function's shape."""

    def __call__(self, data: Buffer, value: int = 0, /) -> int:
        """The checksum."""
        ...


def _load() -> Crc:
    package = find_spec("crc32c")
    if "crc32c" not in sys.modules and package is not None:
        spec = PathFinder.find_spec(_EXTENSION, package.submodule_search_locations)
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            found: Crc = module.crc32c
            return found
    whole: Crc = importlib.import_module("crc32c").crc32c
    return whole


crc32c: Crc = _load()
"""``crc32c(data, value=0)``: the checksum of ``data`` after ``value``; nothing is copied."""
