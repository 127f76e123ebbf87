"""The write-ahead intent of a flush: what it will write, recorded in the group before it writes.

It is the metadata of an OffsetCommit at the flush's start offset. Together with the topic it
determines every object of the flush, name and bytes, for any rotation and any partitioner:
``layout`` says how records become bytes and names, and ``paths`` which offsets go where.
With a replayable layout (Layout.replayable) the directory follows from the record, and ``paths``
holds each directory's first offset, which names its file. With wall-clock directories ``paths``
lists the offset at which each *run* of that directory begins: a record belongs to the directory
whose run started last at or before it.

Version 1, compact JSON, keys in this order:
``{"v":1,"end":E,"paths":{"<directory>":[offset,...]},"cfg":"<16 hex>","format":{...},"tid":"..."}``
An intent longer than METADATA_BYTES_MAX goes to an object of its own (names.intent_key), and the
metadata is ``{"v":1,"at":"<key>","sha256":"<64 hex>"}``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from tickertape.base.errors import StorageError
from tickertape.connect.s3 import strict
from tickertape.connect.s3.layout import Layout

METADATA_BYTES_MAX = 4096  # Kafka's default offset.metadata.max.bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Offsets ``start..end`` (inclusive) go to ``paths``; ``start`` is the committed offset."""

    start: int
    end: int
    paths: Mapping[str, tuple[int, ...]]
    layout: Layout
    topic_id: str = ""


@dataclass(frozen=True, slots=True)
class IntentReference:
    """The metadata points at an object that holds the intent; compare its digest."""

    key: str
    sha256: str


def encode_intent(intent: Intent) -> bytes:
    """The intent as compact UTF-8 JSON: commit metadata, or the spilled object's bytes."""
    return orjson.dumps(
        {
            "v": 1,
            "end": intent.end,
            "paths": {directory: list(starts) for directory, starts in intent.paths.items()},
            "cfg": intent.layout.fingerprint(),
            "format": intent.layout.to_json(),
            "tid": intent.topic_id,
        }
    )


def encode_reference(reference: IntentReference) -> str:
    """Commit metadata for a spilled intent."""
    document = {"v": 1, "at": reference.key, "sha256": reference.sha256}
    return orjson.dumps(document).decode()


def decode_metadata(start: int, metadata: str) -> Intent | IntentReference | None:
    """What the commit at ``start`` says; None when empty. StorageError when it is not ours."""
    if not metadata:
        return None
    found = strict.read_object(metadata, "offset commit metadata")
    if "at" not in found:
        return decode_intent(start, metadata.encode())
    strict.check_keys(found, ("v", "at", "sha256"), "intent reference")
    key = strict.text(found, "at", "intent reference")
    return IntentReference(key, strict.hex_digest(found, "sha256", "intent reference"))


def decode_intent(start: int, encoded: bytes) -> Intent:
    """A spilled intent's bytes. StorageError, with got and want, on anything but version 1."""
    found = strict.read_object(encoded, "intent")
    strict.check_keys(found, ("v", "end", "paths", "cfg", "format", "tid"), "intent")
    end = strict.count(found, "end", "intent")
    if end < start:
        raise StorageError(f"intent.end: got {end}, want at least the committed offset {start}")
    layout = Layout.from_json(strict.mapping(found, "format", "intent"))
    cfg = strict.hex_digest(found, "cfg", "intent", digits=16)
    if cfg != layout.fingerprint():
        raise StorageError(f"intent.cfg: got {cfg}, want {layout.fingerprint()} as its format says")
    paths: dict[str, tuple[int, ...]] = {}
    for directory, starts in strict.mapping(found, "paths", "intent").items():
        offsets = strict.rising(starts, f"intent.paths[{directory!r}]")
        if offsets[0] < start or offsets[-1] > end:
            raise StorageError(f"intent.paths: got {offsets}, want offsets in [{start}, {end}]")
        paths[directory] = offsets
    topic_id = strict.text(found, "tid", "intent")
    return Intent(start=start, end=end, paths=paths, layout=layout, topic_id=topic_id)
