"""Builds small backups by the documented layout, object by object, so that tests can spoil them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.s3.formats import OpenFile
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.manifest import Manifest, ManifestObject, encode_manifest
from tickertape.connect.s3.names import manifest_key, object_key
from tickertape.connect.s3.runs import Run, merged
from tickertape.objects.memory import MemoryStore

TOPIC = "ticks"
CONNECTOR = "s3-sink"
GZIP_JSON = Layout(compression="gzip")


def value(offset: int) -> bytes:
    return b"tick %d" % offset


@dataclass
class Bucket:
    """A backup of TOPIC in memory. Values are ``value(offset)``, lines JSON string literals."""

    layout: Layout = GZIP_JSON
    topic_id: str = "id-1"
    store: MemoryStore = field(default_factory=MemoryStore)

    def put(self, directory: str, offsets: Sequence[int], partition: int = 0) -> ManifestObject:
        """One object, without a manifest."""
        file = OpenFile(self.layout)
        for offset in offsets:
            file.write(json.dumps(value(offset).decode()).encode() + b"\n")
        sealed = file.seal()
        key = object_key(self.layout, _tp(partition), directory, offsets[0])
        self.store.put(key, sealed.data)
        return ManifestObject(
            key=key,
            offsets=tuple(merged((offset, offset) for offset in offsets)),
            records=len(offsets),
            size=len(sealed.data),
            sha256=hashlib.sha256(sealed.data).hexdigest(),
            content_sha256=sealed.content_sha256,
        )

    def flush(
        self,
        span: Run,
        *objects: ManifestObject,
        partition: int = 0,
        skipped: tuple[Run, ...] = (),
        connector: str = CONNECTOR,
    ) -> str:
        """The manifest of a flush; its key."""
        manifest = Manifest(
            topic=TOPIC,
            topic_id=self.topic_id,
            partition=partition,
            start=span[0],
            end=span[1],
            layout=self.layout,
            objects=objects,
            skipped=skipped,
        )
        key = manifest_key(connector, _tp(partition), span[0])
        self.store.put(key, encode_manifest(manifest))
        return key

    def simple(self, *spans: Run, partition: int = 0) -> list[str]:
        """A flush of one object for each span; the keys of the objects."""
        keys = []
        for first, last in spans:
            made = self.put(f"partition={partition}", range(first, last + 1), partition)
            self.flush((first, last), made, partition=partition)
            keys.append(made.key)
        return keys


def _tp(partition: int) -> TopicPartition:
    return TopicPartition(TopicName(TOPIC), PartitionIndex(partition))
