"""The manifest of a flush: which offsets each of its objects holds, with digests.

Create-only JSON at names.manifest_key, put after the flush's objects and before the final commit.
Offsets of ``start..end`` that are in no object and not in ``skipped`` are legal gaps of the topic
(control records, aborted transactions, compaction). All runs are inclusive ``[first, last]``.
Version 1; keys in the order of ``encode_manifest``.
"""

from dataclasses import dataclass

from tickertape.connect.s3.layout import Layout

Runs = tuple[tuple[int, int], ...]


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
    raise NotImplementedError


def decode_manifest(encoded: bytes) -> Manifest:
    """Strict inverse of ``encode_manifest``. StorageError, with got and want, on anything else."""
    raise NotImplementedError
