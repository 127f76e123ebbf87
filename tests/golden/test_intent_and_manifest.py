"""The durable formats, version 1, byte for byte; and that nothing else is taken for them."""

from pathlib import Path

import orjson
import pytest

from tickertape.base.errors import StorageError
from tickertape.connect.s3.intent import (
    Intent,
    IntentReference,
    decode_intent,
    decode_metadata,
    encode_intent,
    encode_reference,
)
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.manifest import (
    Manifest,
    ManifestObject,
    decode_manifest,
    encode_manifest,
)

FOLDER = Path(__file__).parent / "connect"
LAYOUT = Layout(
    compression="gzip",
    partitioner="time",
    path_format="YYYY-MM-dd",
    duration_ms=3_600_000,
    locale="KR",
    timezone="UTC",
)
INTENT = Intent(
    start=3,
    end=9,
    paths={"2019-06-28": (3, 8), "2019-06-29": (5,)},
    layout=LAYOUT,
    topic_id="Zr7XfdEvQdqKfT2yHkqOrQ",
)
MANIFEST = Manifest(
    topic="mytopic",
    topic_id="Zr7XfdEvQdqKfT2yHkqOrQ",
    partition=0,
    start=3,
    end=9,
    layout=LAYOUT,
    objects=(
        ManifestObject(
            key="topics/mytopic/2019-06-28/mytopic+0+0000000003.json.gz",
            offsets=((3, 4), (8, 9)),
            records=4,
            size=61,
            sha256="ab" * 32,
            content_sha256="cd" * 32,
        ),
        ManifestObject(
            key="topics/mytopic/2019-06-29/mytopic+0+0000000005.json.gz",
            offsets=((5, 5),),
            records=1,
            size=33,
            sha256="01" * 32,
            content_sha256="23" * 32,
        ),
    ),
    skipped=((7, 7),),
)


def test_intent_version_1() -> None:
    stored = (FOLDER / "intent-1.json").read_bytes()
    assert encode_intent(INTENT) == stored
    assert decode_intent(3, stored) == INTENT
    assert decode_metadata(3, stored.decode()) == INTENT


def test_reference_version_1() -> None:
    stored = (FOLDER / "reference-1.json").read_text()
    reference = IntentReference("_tickertape/v1/intent/s3-sink/mytopic/0/3-ab.json", "ab" * 32)
    assert encode_reference(reference) == stored
    assert decode_metadata(3, stored) == reference


def test_manifest_version_1() -> None:
    stored = (FOLDER / "manifest-1.json").read_bytes()
    assert encode_manifest(MANIFEST) == stored
    assert decode_manifest(stored) == MANIFEST


def test_empty_metadata_is_no_intent() -> None:
    assert decode_metadata(3, "") is None


@pytest.mark.parametrize("name", ["intent-1.json", "manifest-1.json"])
def test_every_torn_document_is_refused(name: str) -> None:
    stored = (FOLDER / name).read_bytes().rstrip(b"\n")
    for size in range(len(stored)):
        with pytest.raises(StorageError):
            _decode(name, stored[:size])


@pytest.mark.parametrize("name", ["intent-1.json", "manifest-1.json"])
def test_every_missing_or_extra_key_is_refused(name: str) -> None:
    document = orjson.loads((FOLDER / name).read_bytes())
    for key in document:
        rest = {other: value for other, value in document.items() if other != key}
        with pytest.raises(StorageError):
            _decode(name, orjson.dumps(rest))
    with pytest.raises(StorageError):
        _decode(name, orjson.dumps(document | {"more": 1}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v", 2), ("v", True), ("end", 2), ("end", "9"), ("paths", []), ("paths", {"a": []}),
        ("paths", {"a": [3, 3]}), ("paths", {"a": [2]}), ("paths", {"a": [10]}),
        ("paths", {"a": 3}), ("paths", {"a": [True]}), ("cfg", "0" * 16), ("cfg", "xyz"),
        ("format", {"compression": "zip"}), ("format", {"colour": 1}), ("format", {"level": "1"}),
        ("tid", None),
    ],
)  # fmt: skip
def test_a_wrong_intent_is_refused(key: str, value: object) -> None:
    document = orjson.loads((FOLDER / "intent-1.json").read_bytes())
    with pytest.raises(StorageError, match="want"):
        decode_intent(3, orjson.dumps(document | {key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v", 0), ("topic", 1), ("partition", -1), ("partition", True), ("start", 4), ("end", 8),
        ("end", 1.0), ("config", "0" * 16), ("skipped", [[4, 4]]), ("skipped", [[7]]),
        ("skipped", [[9, 7]]), ("skipped", {}), ("objects", None), ("objects", [1]),
        ("format", []),
    ],
)  # fmt: skip
def test_a_wrong_manifest_is_refused(key: str, value: object) -> None:
    document = orjson.loads((FOLDER / "manifest-1.json").read_bytes())
    with pytest.raises(StorageError, match="want"):
        decode_manifest(orjson.dumps(document | {key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("records", 3), ("records", 0), ("sha256", "ab"), ("sha256", "AB" * 32), ("bytes", -1),
        ("offsets", [[5, 9]]), ("offsets", [[3, 4], [4, 9]]), ("offsets", []), ("key", 5),
        ("more", 1),
    ],
)  # fmt: skip
def test_a_wrong_object_is_refused(key: str, value: object) -> None:
    document = orjson.loads((FOLDER / "manifest-1.json").read_bytes())
    document["objects"][0] |= {key: value}
    with pytest.raises(StorageError, match="want"):
        decode_manifest(orjson.dumps(document))


def test_metadata_of_strangers_is_refused() -> None:
    for metadata in ("hello", "[]", '{"v":1}', '{"v":1,"at":"k","sha256":"x"}', '"v"'):
        with pytest.raises(StorageError):
            decode_metadata(0, metadata)


def test_layouts_say_only_what_differs_from_the_defaults() -> None:
    assert Layout().to_json() == {}
    assert Layout.from_json(LAYOUT.to_json()) == LAYOUT
    assert Layout().fingerprint() != LAYOUT.fingerprint()
    # Durable: a new field of Layout must not change the fingerprint of old layouts.
    assert Layout().fingerprint() == "44136fa355b3678a"
    assert LAYOUT.fingerprint() == "3ddbec374af29815"


def _decode(name: str, encoded: bytes) -> object:
    return decode_intent(3, encoded) if name.startswith("intent") else decode_manifest(encoded)
