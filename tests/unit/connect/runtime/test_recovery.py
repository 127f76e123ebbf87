"""Where a partition begins, by what group and bucket say; damage is refused, not guessed."""

import pytest

from tickertape.base.errors import StorageError
from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.runtime.recovery import ResumePoint, resume_point
from tickertape.connect.runtime.source import Committed
from tickertape.connect.s3.intent import (
    Intent,
    IntentReference,
    encode_intent,
    encode_reference,
)
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.manifest import Manifest, encode_manifest
from tickertape.connect.s3.names import intent_key, manifest_key
from tickertape.objects.memory import MemoryStore
from tickertape.objects.store import sha256_hex

TP = TopicPartition(TopicName("ticks"), PartitionIndex(3))
INTENT = Intent(start=5, end=9, paths={"2019-06-28": (5,)}, layout=Layout(), topic_id="id")


def found(store: MemoryStore, offset: int | None, metadata: str = "") -> ResumePoint:
    return resume_point(store, "s3-sink", TP, Committed(offset, metadata), topic_id="id")


def store_with(*flushes: tuple[int, int]) -> MemoryStore:
    store = MemoryStore()
    for start, end in flushes:
        manifest = Manifest(
            topic="ticks",
            topic_id="id",
            partition=3,
            start=start,
            end=end,
            layout=Layout(),
            objects=(),
            skipped=((start, end),),
        )
        store.put(manifest_key("s3-sink", TP, start), encode_manifest(manifest))
    return store


def test_nothing_known_leaves_it_to_the_policy() -> None:
    assert found(store_with(), None) == ResumePoint(None)


def test_the_committed_offset_counts_if_no_manifest_follows() -> None:
    assert found(store_with((0, 4)), 5) == ResumePoint(5)


def test_an_unbroken_chain_of_manifests_counts_more() -> None:
    store = store_with((0, 4), (5, 9), (10, 12), (20, 29))
    point = found(store, 5, encode_intent(INTENT).decode())
    assert (point.position, point.intent) == (13, None)
    assert "flushes 5..12 were done" in point.note


def test_an_intent_is_finished_first() -> None:
    point = found(store_with((0, 4)), 5, encode_intent(INTENT).decode())
    assert (point.position, point.intent) == (5, INTENT)


def test_a_spilled_intent_is_read_and_checked() -> None:
    encoded = encode_intent(INTENT)
    digest = sha256_hex(encoded)
    key = intent_key("s3-sink", TP, 5, digest)
    metadata = encode_reference(IntentReference(key, digest))
    store = store_with()
    with pytest.raises(StorageError, match=f"got nothing, want {digest}"):
        found(store, 5, metadata)
    store.put(key, encoded)
    assert found(store, 5, metadata).intent == INTENT
    store.objects[key] = encoded.replace(b'"end":9', b'"end":8')
    with pytest.raises(StorageError, match=f"want {digest}"):
        found(store, 5, metadata)


def test_forgotten_offsets_are_found_in_the_last_manifest() -> None:
    point = found(store_with((0, 4), (5, 9), (20, 29)), None)
    assert (point.position, point.intent) == (30, None)
    assert "the last manifest ends at 29" in point.note


def test_metadata_of_somebody_else_is_refused() -> None:
    for metadata in ["checkpoint", '{"v":2}', '{"v":1,"end":4,"paths":{},"cfg":"","format":{}}']:
        with pytest.raises(StorageError):
            found(store_with(), 5, metadata)


def test_a_manifest_of_another_partition_is_refused() -> None:
    store = store_with((5, 9))
    key = manifest_key("s3-sink", TP, 5)
    store.objects[key] = store.objects[key].replace(b'"partition":3', b'"partition":4')
    with pytest.raises(StorageError, match="got a manifest of ticks-4, want one of ticks-3"):
        found(store, 5)
