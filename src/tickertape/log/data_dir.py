"""What a data directory as a whole says: whose it is, and whether it was closed cleanly.

``meta.properties`` and ``.kafka_cleanshutdown`` have Kafka's names and formats
(MetaProperties version 1, CleanShutdownFileHandler version 0).
"""

import json
from dataclasses import dataclass
from typing import Final

from tickertape.base.errors import StorageError
from tickertape.base.ports import FileSystem

META_PROPERTIES: Final = "meta.properties"
CLEAN_SHUTDOWN: Final = ".kafka_cleanshutdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaProperties:
    """The owner of a data directory. ``cluster_id`` is 22 characters of URL-safe base64."""

    cluster_id: str
    node_id: int


def read_meta_properties(fs: FileSystem, data_dir: str) -> MetaProperties | None:
    """Whose directory this is; None if it is nobody's yet. Raises StorageError if unreadable."""
    stored = fs.read(f"{data_dir}/{META_PROPERTIES}")
    if stored is None:
        return None
    fields: dict[str, str] = {}
    for line in stored.decode(errors="replace").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            fields[key.strip()] = value.strip()
    try:
        if fields["version"] != "1":
            raise StorageError(f"{META_PROPERTIES}: version {fields['version']}, want 1")
        return MetaProperties(cluster_id=fields["cluster.id"], node_id=int(fields["node.id"]))
    except (KeyError, ValueError) as error:
        raise StorageError(f"{data_dir}/{META_PROPERTIES}: bad or missing {error}") from error


def write_meta_properties(fs: FileSystem, data_dir: str, meta: MetaProperties) -> None:
    """Claim the directory, durably. Raises StorageError."""
    text = f"cluster.id={meta.cluster_id}\nnode.id={meta.node_id}\nversion=1\n"
    fs.write_atomic(f"{data_dir}/{META_PROPERTIES}", text.encode())


def mark_clean(fs: FileSystem, data_dir: str, broker_epoch: int = -1) -> None:
    """Say durably that every log was closed cleanly. Raises StorageError."""
    marker = json.dumps({"version": 0, "brokerEpoch": broker_epoch}, separators=(",", ":"))
    fs.write_atomic(f"{data_dir}/{CLEAN_SHUTDOWN}", marker.encode())


def take_clean_mark(fs: FileSystem, data_dir: str) -> bool:
    """True if the last process closed every log; the mark is gone, durably, when this returns.

    Call it before the first write. Raises StorageError.
    """
    path = f"{data_dir}/{CLEAN_SHUTDOWN}"
    stored = fs.read(path)
    if stored is None:
        return False
    fs.remove(path)
    fs.sync_dir(data_dir)
    try:
        marker = json.loads(stored)
    except ValueError:
        return False
    return isinstance(marker, dict) and marker.get("version") == 0
