"""Where to begin with a partition: after the last flush that is proven done, or inside one.

Called on every assignment, before the first record is read.
"""

from dataclasses import dataclass, replace

from tickertape.base.errors import StorageError
from tickertape.base.ids import TopicPartition
from tickertape.connect.runtime.source import Committed
from tickertape.connect.s3.intent import Intent, IntentReference, decode_intent, decode_metadata
from tickertape.connect.s3.manifest import Manifest, decode_manifest
from tickertape.connect.s3.names import (
    manifest_key,
    manifest_prefix,
    object_key,
    parse_manifest_key,
)
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
    store: ObjectStore, connector: str, tp: TopicPartition, committed: Committed, *, topic_id: str
) -> ResumePoint:
    """Committed offset, its metadata and the manifests, put together.

    ``topic_id`` is the topic's of today, "" if unknown. StorageError: the metadata is not ours, a
    manifest or intent is damaged, or the manifests are of an earlier topic of this name: its
    offsets say nothing about these records.
    """
    _check_same_topic(store, connector, tp, topic_id)
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


def overtaken(store: ObjectStore, tp: TopicPartition, point: ResumePoint, low: int) -> ResumePoint:
    """Where to go on when retention deleted the records from ``point`` up to ``low``.

    StorageError if that is inside a begun flush some of whose objects are stored already.
    """
    assert point.position is not None
    intent = point.intent
    if intent is not None and low <= intent.end:
        keys = [object_key(intent.layout, tp, path, at[0]) for path, at in intent.paths.items()]
        there = [key for key in keys if store.head(key) is not None]
        if there:
            raise StorageError(
                f"{tp}: the flush {intent.start}..{intent.end} was begun, {there[0]} is stored, and"
                f" offsets {point.position}..{low - 1} were deleted from the topic (retention)"
                " before it was finished: it cannot be finished any more. Move its objects away and"
                f" reset the offset of the connector's group to {low} to store what is left anew"
            )
    note = (
        f"{tp}: LOST: offsets {point.position}..{low - 1} were deleted from the topic"
        " before they were backed up (retention); going on after them"
    )
    return replace(point, position=low, intent=None, note=note)


def _check_same_topic(
    store: ObjectStore, connector: str, tp: TopicPartition, topic_id: str
) -> None:
    """By the first manifest: a connector's manifests are all of one topic."""
    info = next(iter(store.list(manifest_prefix(connector, tp))), None)
    data = None if info is None else store.get(info.key)
    if info is None or data is None or not topic_id:
        return
    there = _read_manifest(tp, info.key, data).topic_id
    if there and there != topic_id:
        raise StorageError(
            f"{store.url}: {info.key} is of the topic id {there}, {tp.topic} has the id {topic_id}:"
            " it was deleted and created again. Choose another connector name and topics.dir for it"
        )


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
