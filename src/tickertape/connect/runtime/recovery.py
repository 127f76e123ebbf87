"""Where to begin with a partition: after the last flush that is proven done, or inside one.

Called on every assignment, before the first record is read.
"""

from dataclasses import dataclass

from tickertape.base.errors import StorageError
from tickertape.base.ids import TopicPartition
from tickertape.connect.runtime.source import Committed
from tickertape.connect.s3.intent import Intent, IntentReference, decode_intent, decode_metadata
from tickertape.connect.s3.manifest import Manifest, decode_manifest
from tickertape.connect.s3.names import manifest_key, manifest_prefix, parse_manifest_key
from tickertape.objects.store import ObjectStore, sha256_hex


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Read from ``position`` (None: the group knows nothing, the consumer's default decides).

    ``intent``: a flush was begun at ``position`` and must be finished first, exactly as announced.
    ``note`` tells a person why this is not simply the committed offset; "" if it is.
    """

    position: int | None
    intent: Intent | None = None
    note: str = ""


def resume_point(
    store: ObjectStore, connector: str, tp: TopicPartition, committed: Committed
) -> ResumePoint:
    """Committed offset, its metadata and the manifests, put together.

    StorageError: the metadata is not ours, or a manifest or intent is damaged.
    """
    if committed.offset is None:
        return _after_the_last(store, connector, tp)
    done = _chain(store, connector, tp, committed.offset)
    if done > committed.offset:
        note = f"{tp}: flushes {committed.offset}..{done - 1} were done, their commit was not"
        return ResumePoint(done, None, note)
    found = decode_metadata(committed.offset, committed.metadata)
    if isinstance(found, IntentReference):
        found = _read_spilled(store, committed.offset, found)
    if found is None:
        return ResumePoint(committed.offset)
    note = f"{tp}: a flush of {found.start}..{found.end} was begun: finishing it first"
    return ResumePoint(committed.offset, found, note)


def _chain(store: ObjectStore, connector: str, tp: TopicPartition, position: int) -> int:
    """The offset after the unbroken chain of manifests that begins at ``position``."""
    while True:
        key = manifest_key(connector, tp, position)
        data = store.get(key)
        if data is None:
            return position
        position = _read_manifest(tp, key, data).end + 1


def _after_the_last(store: ObjectStore, connector: str, tp: TopicPartition) -> ResumePoint:
    """The group's offsets expired or it is new: the bucket may still know how far it came."""
    prefix = manifest_prefix(connector, tp)
    keys = [info.key for info in store.list(prefix) if parse_manifest_key(info.key)]
    if not keys:
        return ResumePoint(None)
    data = store.get(keys[-1])
    if data is None:
        raise StorageError(f"{store.url}: {keys[-1]} was listed and is gone")
    position = _read_manifest(tp, keys[-1], data).end + 1
    note = (
        f"{tp}: the group has no offset, the last manifest ends at {position - 1}: going on there"
    )
    return ResumePoint(position, None, note)


def _read_manifest(tp: TopicPartition, key: str, data: bytes) -> Manifest:
    manifest = decode_manifest(data)
    if (manifest.topic, manifest.partition) != tp:
        raise StorageError(
            f"{key}: got a manifest of {manifest.topic}-{manifest.partition}, want one of {tp}"
        )
    return manifest


def _read_spilled(store: ObjectStore, start: int, reference: IntentReference) -> Intent:
    data = store.get(reference.key)
    if data is None or sha256_hex(data) != reference.sha256:
        got = "nothing" if data is None else sha256_hex(data)
        raise StorageError(f"{store.url}: {reference.key}: got {got}, want {reference.sha256}")
    return decode_intent(start, data)
