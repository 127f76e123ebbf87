"""The manifest of a flush: which offsets each of its objects holds, with digests.

Create-only JSON at names.manifest_key, put after the flush's objects and before the final commit.
Offsets of ``start..end`` that are in no object and not in ``skipped`` are legal gaps of the topic
(control records, aborted transactions, compaction). All runs are inclusive ``[first, last]``.
Version 1; keys in the order of ``encode_manifest``.
"""

from dataclasses import dataclass

import orjson

from tickertape.base.errors import StorageError
from tickertape.connect.s3 import strict
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.strict import Runs

__all__ = ["Manifest", "ManifestObject", "Runs", "decode_manifest", "encode_manifest"]

_KEYS = (
    "v", "topic", "topic_id", "partition", "start", "end", "config", "format", "objects", "skipped",
)  # fmt: skip
_OBJECT_KEYS = ("key", "offsets", "records", "bytes", "sha256", "content_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestObject:
    """One object: ``size`` and ``sha256`` of the stored bytes, ``content_sha256`` uncompressed."""

    key: str
    offsets: Runs
    records: int
    size: int
    sha256: str
    content_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One flush of one partition."""

    topic: str
    topic_id: str
    partition: int
    start: int
    end: int
    layout: Layout
    objects: tuple[ManifestObject, ...]
    skipped: Runs = ()


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as one line of UTF-8 JSON; equal manifests give equal bytes."""
    objects = [
        {
            "key": item.key,
            "offsets": item.offsets,
            "records": item.records,
            "bytes": item.size,
            "sha256": item.sha256,
            "content_sha256": item.content_sha256,
        }
        for item in manifest.objects
    ]
    document = {
        "v": 1,
        "topic": manifest.topic,
        "topic_id": manifest.topic_id,
        "partition": manifest.partition,
        "start": manifest.start,
        "end": manifest.end,
        "config": manifest.layout.fingerprint(),
        "format": manifest.layout.to_json(),
        "objects": objects,
        "skipped": manifest.skipped,
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def decode_manifest(encoded: bytes) -> Manifest:
    """Strict inverse of ``encode_manifest``. StorageError, with got and want, on anything else."""
    found = strict.read_object(encoded, "manifest")
    strict.check_keys(found, _KEYS, "manifest")
    layout = Layout.from_json(strict.mapping(found, "format", "manifest"))
    config = strict.hex_digest(found, "config", "manifest", digits=16)
    if config != layout.fingerprint():
        want = layout.fingerprint()
        raise StorageError(f"manifest.config: got {config}, want {want} as its format says")
    listed = found["objects"]
    if type(listed) is not list:
        raise StorageError(f"manifest.objects: got {listed!r}, want a list")
    manifest = Manifest(
        topic=strict.text(found, "topic", "manifest"),
        topic_id=strict.text(found, "topic_id", "manifest"),
        partition=strict.count(found, "partition", "manifest"),
        start=strict.count(found, "start", "manifest"),
        end=strict.count(found, "end", "manifest"),
        layout=layout,
        objects=tuple(_decode_object(item, index) for index, item in enumerate(listed)),
        skipped=strict.runs(found, "skipped", "manifest"),
    )
    _check_coverage(manifest)
    return manifest


def _decode_object(item: object, index: int) -> ManifestObject:
    what = f"manifest.objects[{index}]"
    if type(item) is not dict:
        raise StorageError(f"{what}: got {item!r}, want an object")
    strict.check_keys(item, _OBJECT_KEYS, what)
    offsets = strict.runs(item, "offsets", what)
    records = strict.count(item, "records", what)
    covered = sum(last - first + 1 for first, last in offsets)
    if records != covered or not records:
        raise StorageError(f"{what}.records: got {records}, want {covered} as its offsets say, > 0")
    return ManifestObject(
        key=strict.text(item, "key", what),
        offsets=offsets,
        records=records,
        size=strict.count(item, "bytes", what),
        sha256=strict.hex_digest(item, "sha256", what),
        content_sha256=strict.hex_digest(item, "content_sha256", what),
    )


def _check_coverage(manifest: Manifest) -> None:
    """Every run lies in start..end and no offset is claimed twice."""
    groups = [manifest.skipped, *(item.offsets for item in manifest.objects)]
    floor = manifest.start
    for first, last in sorted(run for group in groups for run in group):
        if first < floor or last > manifest.end:
            raise StorageError(
                f"manifest: got offsets [{first}, {last}] twice or outside"
                f" [{manifest.start}, {manifest.end}], want each offset once"
            )
        floor = last + 1
