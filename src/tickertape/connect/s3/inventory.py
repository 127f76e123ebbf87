"""What a bucket holds of one topic: every object, which offsets it stands for, and how we know.

Objects that a manifest names are checked against it: there, the stored bytes' digest, gzip whole,
the content's digest, the number of lines. Objects that no manifest names (another connector's, or
a flush that was cut off) are accounted for by name and line count, as consecutive offsets: that
counts their records and proves no content.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from tickertape.base.errors import StorageError
from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.s3.formats import line_end
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.manifest import Manifest, ManifestObject, decode_manifest
from tickertape.connect.s3.names import ROOT, parse_manifest_key, parse_object_key, topic_prefix
from tickertape.connect.s3.runs import Run
from tickertape.objects.store import ObjectStore, sha256_hex

Kind = Literal["missing", "doubled", "altered", "unproven", "foreign", "recompressed"]
_GZIP: Final = b"\x1f\x8b"
# What the Java connector is most often told: JSON lines of text or of schemaless JSON, raw lines.
_USUAL: Final = (
    Layout(),
    Layout(converter="json", schemas_enable=False),
    Layout(format="bytes", converter="bytes"),
)
_RECOMPRESSED: Final = "compressed anew since, content unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. ``runs`` may be empty where no offsets can be told."""

    kind: Kind
    partition: int | None
    runs: tuple[Run, ...]
    reason: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One object. ``manifest`` and ``entry`` are None for objects accounted for by name.

    A manifest without an entry stands for the null values that its flush skipped: no object.
    ``content_sha256`` and ``layouts`` are of objects accounted for by name: what they hold, and
    which formats it may be in.
    """

    key: str
    partition: int
    runs: tuple[Run, ...]
    records: int
    size: int
    manifest: Manifest | None = None
    entry: ManifestObject | None = None
    sound: bool = True
    content_sha256: str = ""
    layouts: tuple[Layout, ...] = ()


@dataclass(slots=True)
class Inventory:
    """Everything found. ``manifests`` per partition and connector, by rising start offset.

    ``connectors``: those that wrote manifests, and the one that was asked for.
    """

    holdings: list[Holding] = field(default_factory=list)
    manifests: dict[tuple[int, str], list[Manifest]] = field(default_factory=dict)
    connectors: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def layouts(self) -> tuple[Layout, ...]:
        """The formats that an object without a manifest may be in: the manifests', then usual ones.

        One for each way to encode a value: names and compression do not matter here.
        """
        known = [m.layout for manifests in self.manifests.values() for m in manifests]
        return tuple({_encoding(layout): layout for layout in (*known, *_USUAL)}.values())

    def partitions(self) -> list[int]:
        """Every partition that anything is known of."""
        named = {holding.partition for holding in self.holdings}
        return sorted(named | {partition for partition, _ in self.manifests})


def take_inventory(
    store: ObjectStore, topic: str, *, connector: str | None = None, topics_dir: str = "topics"
) -> Inventory:
    """Read the bucket: all manifests of the topic (or of one connector), then all its objects."""
    inventory = Inventory(connectors={connector} if connector else set())
    others: set[str] = set()
    for name, manifest in _manifests(store, topic, inventory):
        if connector in {None, name}:
            inventory.manifests.setdefault((manifest.partition, name), []).append(manifest)
            inventory.connectors.add(name)
        else:
            others.update(item.key for item in manifest.objects)
    prefixes = {topic_prefix(Layout(topics_dir=topics_dir), topic)}
    layouts = inventory.layouts()
    claimed: set[str] = set()
    for manifests in inventory.manifests.values():
        for manifest in manifests:
            prefixes.add(topic_prefix(manifest.layout, topic))
            for entry in manifest.objects:
                claimed.add(entry.key)
                _check_claimed(store, manifest, entry, inventory)
    for prefix in sorted(prefixes):
        for info in store.list(prefix):
            if info.key not in claimed and info.key not in others:
                claimed.add(info.key)
                holding = _account_by_name(store, topic, info.key, inventory)
                if holding is not None:
                    inventory.holdings.append(replace(holding, layouts=layouts))
    return inventory


def _manifests(
    store: ObjectStore, topic: str, inventory: Inventory
) -> Iterator[tuple[str, Manifest]]:
    for info in store.list(f"{ROOT}/manifest/"):
        named = parse_manifest_key(info.key)
        if named is None or named[1].topic != topic:
            continue
        connector, tp, start = named
        encoded = store.get(info.key)
        try:
            manifest = decode_manifest(encoded or b"")
            place = (
                TopicPartition(TopicName(manifest.topic), PartitionIndex(manifest.partition)),
                manifest.start,
            )
            if place != (tp, start):
                raise StorageError(f"got a manifest of {place[0]} from {place[1]}, not its name's")
        except StorageError as error:
            reason = f"the manifest cannot be read: {error}"
            inventory.findings.append(
                Finding(
                    kind="altered", partition=tp.partition, runs=(), reason=reason, keys=(info.key,)
                )
            )
            continue
        yield connector, manifest


def _check_claimed(
    store: ObjectStore, manifest: Manifest, entry: ManifestObject, inventory: Inventory
) -> None:
    stored = store.get(entry.key)
    if stored is None:
        finding = Finding(
            kind="missing",
            partition=manifest.partition,
            runs=entry.offsets,
            reason="the object that holds them is gone",
            keys=(entry.key,),
        )
        inventory.findings.append(finding)
        return
    reason = _misnamed(manifest, entry) or _damage(stored, manifest.layout, entry)
    if reason is not None:
        finding = Finding(
            kind="recompressed" if reason == _RECOMPRESSED else "altered",
            partition=manifest.partition,
            runs=entry.offsets,
            reason=reason,
            keys=(entry.key,),
        )
        inventory.findings.append(finding)
    inventory.holdings.append(
        Holding(
            key=entry.key,
            partition=manifest.partition,
            runs=entry.offsets,
            records=entry.records,
            size=len(stored),
            manifest=manifest,
            entry=entry,
            sound=reason in {None, _RECOMPRESSED},
        )
    )


def _misnamed(manifest: Manifest, entry: ManifestObject) -> str | None:
    """What a name says must be so: whoever reads the bucket without manifests goes by names."""
    named = parse_object_key(manifest.layout, entry.key)
    if named is not None and (named.topic, named.partition, named.first) == (
        manifest.topic,
        manifest.partition,
        entry.offsets[0][0],
    ):
        return None
    return f"its name does not say {manifest.topic}-{manifest.partition} from its first offset on"


def _damage(stored: bytes, layout: Layout, entry: ManifestObject) -> str | None:
    """What is wrong with an object that a manifest describes; None if nothing is."""
    # Raw values may be gzip themselves.
    content, cut = unpacked(stored) if layout.compression == "gzip" else (stored, None)
    lines = content.count(line_end(layout)) if line_end(layout) else entry.records
    if cut is not None:
        return f"{cut} after {lines} of {entry.records} records"
    if sha256_hex(stored) != entry.sha256:
        if content is not stored and sha256_hex(content) == entry.content_sha256:
            return _RECOMPRESSED
        return "the stored bytes are not those of the manifest (other content)"
    if sha256_hex(content) != entry.content_sha256:
        return "the content is not that of the manifest"
    # Values of format "bytes" may hold the separator; JSON lines hold no line feed.
    if lines < entry.records or (layout.format == "json" and lines != entry.records):
        return f"{lines} lines, want {entry.records}"
    return None


def unpacked(stored: bytes) -> tuple[bytes, str | None]:
    """The content, gunzipped if it is gzip, and what cuts it short, if anything does."""
    if not stored.startswith(_GZIP):
        return stored, None
    pieces: list[bytes] = []
    rest = stored
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            pieces.append(member.decompress(rest))
        except zlib.error as error:
            return b"".join(pieces), f"damaged gzip ({error})"
        if not member.eof:
            return b"".join(pieces), "truncated gzip"
        rest = member.unused_data
    return b"".join(pieces), None


def _account_by_name(
    store: ObjectStore, topic: str, key: str, inventory: Inventory
) -> Holding | None:
    file = key.rpartition("/")[2]
    # Any delimiter, any padding, any ending: whoever wrote it had a layout of its own.
    found = re.fullmatch(rf"{re.escape(topic)}[^0-9A-Za-z](\d+)[^0-9A-Za-z](\d+)(\.[^/]*)?", file)
    stored = store.get(key)
    if found is None or stored is None:
        reason = "its name is none of this topic's" if found is None else "gone while we looked"
        finding = Finding(kind="foreign", partition=None, runs=(), reason=reason, keys=(key,))
        inventory.findings.append(finding)
        return None
    partition, first = int(found[1]), int(found[2])
    content, cut = unpacked(stored)
    # The last line may lack its end: whoever wrote it, it is a record.
    records = content.count(b"\n") + (content[-1:] not in {b"", b"\n"})
    runs = ((first, first + records - 1),) if records else ()
    if cut is not None or not records:
        inventory.findings.append(
            Finding(
                kind="altered",
                partition=partition,
                runs=runs,
                reason=f"{cut or 'empty'}: {records} records readable, no manifest tells how many",
                keys=(key,),
            )
        )
    return Holding(
        key=key,
        partition=partition,
        runs=runs,
        records=records,
        size=len(stored),
        sound=cut is None and records > 0,
        content_sha256=sha256_hex(content),
    )


def _encoding(layout: Layout) -> tuple[object, ...]:
    """What of a layout determines a record's line."""
    return (
        layout.format,
        layout.separator if layout.format == "bytes" else "",
        layout.converter,
        layout.schemas_enable,
        layout.json_compat,
        layout.decimal_format,
    )
