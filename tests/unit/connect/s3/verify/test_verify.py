"""The proof holds for a sound backup, and names the offsets of every way to spoil one."""

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.unit.connect.s3.verify.bucket import TOPIC, Bucket

from tickertape.connect.s3.compare import Comparison
from tickertape.connect.s3.inventory import Holding
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.manifest import ManifestObject
from tickertape.connect.s3.runs import Run
from tickertape.connect.s3.verify import KINDS, Report, verify

Told = dict[str, list[tuple[int | None, tuple[tuple[int, int], ...]]]]


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def told(report: Report) -> Told:
    """kind -> (partition, runs) of each finding; only kinds that were found."""
    by_kind = {
        kind: [(f.partition, f.runs) for f in report.findings if f.kind == kind] for kind in KINDS
    }
    return {kind: found for kind, found in by_kind.items() if found}


def test_a_sound_backup_is_proven(bucket: Bucket) -> None:
    bucket.simple((0, 2), (3, 5), (6, 6))
    bucket.simple((10, 19), partition=3)
    report = verify(bucket.store, TOPIC)
    assert told(report) == {}
    assert report.verified
    assert (report.records, report.objects) == (17, 4)
    assert [(p.partition, p.first, p.last) for p in report.partitions] == [(0, 0, 6), (3, 10, 19)]
    assert report.bytes == sum(
        len(data) for key, data in bucket.store.objects.items() if key.startswith("topics/")
    )


def test_an_empty_bucket_proves_nothing(bucket: Bucket) -> None:
    report = verify(bucket.store, TOPIC)
    assert not report.verified
    assert report.notes == ["the bucket holds nothing of topic ticks"]


def test_other_topics_of_the_bucket_do_not_matter(bucket: Bucket) -> None:
    bucket.simple((0, 2))
    bucket.store.put("topics/ticks2/partition=0/ticks2+0+0000000000.json", b"1\n")
    bucket.store.put("topics/other/readme", b"")
    assert verify(bucket.store, TOPIC).verified


def test_several_directories_of_one_flush_interleave(bucket: Bucket) -> None:
    even, odd = bucket.put("day=1", [0, 2, 4]), bucket.put("day=2", [1, 3, 5])
    bucket.flush((0, 5), even, odd)
    assert verify(bucket.store, TOPIC).verified


def test_a_deleted_object_is_missing_with_its_offsets(bucket: Bucket) -> None:
    keys = bucket.simple((0, 2), (3, 5), (6, 8))
    del bucket.store.objects[keys[1]]
    report = verify(bucket.store, TOPIC)
    assert told(report) == {"missing": [(0, ((3, 5),))]}
    assert report.findings[0].keys == (keys[1],)


def test_a_flush_that_is_gone_as_a_whole_is_missing(bucket: Bucket) -> None:
    bucket.simple((0, 2))
    bucket.simple((6, 8))
    assert told(verify(bucket.store, TOPIC)) == {"missing": [(0, ((3, 5),))]}


def test_a_copy_under_another_directory_is_doubled(bucket: Bucket) -> None:
    keys = bucket.simple((0, 2), (3, 5))
    copy = keys[1].replace("partition=0", "partition=0/again")
    bucket.store.put(copy, bucket.store.objects[keys[1]])
    report = verify(bucket.store, TOPIC)
    assert told(report)["doubled"] == [(0, ((3, 5),))]
    assert set(report.findings[0].keys) == {keys[1], copy}


def test_two_flushes_of_the_same_offsets_are_doubled(bucket: Bucket) -> None:
    bucket.simple((0, 5))
    bucket.flush((4, 7), bucket.put("elsewhere", range(4, 8)), connector="second")
    assert told(verify(bucket.store, TOPIC)) == {"doubled": [(0, ((4, 5),))]}


def test_altered_bytes_are_altered(bucket: Bucket) -> None:
    keys = bucket.simple((0, 2), (3, 5))
    data = bucket.store.objects[keys[0]]
    bucket.store.objects[keys[0]] = gzip.compress(gzip.decompress(data).replace(b"1", b"7"))
    report = verify(bucket.store, TOPIC)
    assert told(report) == {"altered": [(0, ((0, 2),))]}
    assert "other content" in report.findings[0].reason


def test_compressed_anew_is_told_and_does_no_harm(bucket: Bucket) -> None:
    (key,) = bucket.simple((0, 2))
    data = bucket.store.objects[key]
    bucket.store.objects[key] = gzip.compress(gzip.decompress(data), 1, mtime=7)
    report = verify(bucket.store, TOPIC)
    assert told(report) == {"recompressed": [(0, ((0, 2),))]}
    assert report.verified
    bucket.store.objects[key] = gzip.decompress(data)
    assert told(verify(bucket.store, TOPIC)) == {"altered": [(0, ((0, 2),))]}, "not .gz any more"


def test_a_truncated_gzip_tells_how_far_it_can_be_read(bucket: Bucket) -> None:
    keys = bucket.simple((0, 999), (1000, 1001))
    bucket.store.objects[keys[0]] = bucket.store.objects[keys[0]][:-9]
    report = verify(bucket.store, TOPIC)
    assert told(report) == {"altered": [(0, ((0, 999),))]}
    assert "truncated gzip after" in report.findings[0].reason
    assert "of 1000 records" in report.findings[0].reason


@pytest.mark.parametrize("at", [0, 1, 2, 15, -5])
def test_any_flipped_byte_is_found(bucket: Bucket, at: int) -> None:
    (key,) = bucket.simple((0, 99))
    spoiled = bytearray(bucket.store.objects[key])
    spoiled[at] ^= 0x10
    bucket.store.objects[key] = bytes(spoiled)
    assert told(verify(bucket.store, TOPIC)) == {"altered": [(0, ((0, 99),))]}


def test_a_removed_manifest_leaves_its_offsets_unproven(bucket: Bucket) -> None:
    first = bucket.put("partition=0", range(3))
    bucket.flush((0, 2), first)
    manifest = bucket.flush((3, 5), bucket.put("partition=0", range(3, 6)))
    bucket.flush((6, 8), bucket.put("partition=0", range(6, 9)))
    assert verify(bucket.store, TOPIC).verified
    del bucket.store.objects[manifest]
    assert told(verify(bucket.store, TOPIC)) == {"unproven": [(0, ((3, 5),))]}


def test_a_manifest_that_cannot_be_read_is_altered(bucket: Bucket) -> None:
    bucket.simple((0, 2))
    manifest = bucket.flush((3, 5), bucket.put("partition=0", range(3, 6)))
    bucket.store.objects[manifest] = b'{"v":1}'
    report = verify(bucket.store, TOPIC)
    assert report.findings[0].kind == "altered"
    assert report.findings[0].keys == (manifest,)


def test_a_manifest_under_another_offsets_name_is_altered(bucket: Bucket) -> None:
    made = bucket.put("partition=0", range(3))
    manifest = bucket.flush((0, 2), made)
    moved = manifest.replace("0.json", "7.json")
    bucket.store.objects[moved] = bucket.store.objects.pop(manifest)
    report = verify(bucket.store, TOPIC)
    assert not report.verified
    assert "not its name's" in report.findings[0].reason


@pytest.mark.parametrize(("partition", "first"), [(0, 3), (1, 0)])
def test_an_object_under_a_name_that_says_other_offsets_is_altered(
    bucket: Bucket, partition: int, first: int
) -> None:
    made = bucket.put("partition=0", range(first, first + 3), partition)
    bucket.flush((0, 2), replace(made, offsets=((0, 2),)))
    report = verify(bucket.store, TOPIC)
    assert told(report) == {"altered": [(0, ((0, 2),))]}
    assert "its name" in report.findings[0].reason


def test_raw_values_that_are_gzip_themselves_are_no_damage() -> None:
    bucket = Bucket(Layout(format="bytes", extension=".bin"))
    key = bucket.put("partition=0", [0]).key
    data = b"\n".join([gzip.compress(b"one", mtime=0), gzip.compress(b"two", mtime=0), b""])
    digest = hashlib.sha256(data).hexdigest()
    entry = ManifestObject(
        key=key, offsets=((0, 1),), records=2, size=len(data), sha256=digest, content_sha256=digest
    )
    bucket.store.objects[key] = data
    bucket.flush((0, 1), entry)
    report = verify(bucket.store, TOPIC)
    assert told(report) == {}
    assert report.verified


class Group:
    """A topic of which nothing is left, and a group that committed up to ``end``."""

    def __init__(self, end: int) -> None:
        self.end = end

    def partitions(self) -> int:
        return 1

    def identity(self) -> str:
        return "id-1"

    def compare(
        self, partition: int, holdings: Sequence[Holding], gaps: Sequence[Run]
    ) -> Comparison:
        return Comparison(not_comparable=len(holdings), unread=list(gaps))

    def expected_end(self, partition: int, connectors: Sequence[str]) -> int | None:
        return self.end if "s3-sink" in connectors else None

    def bounds(self, partition: int) -> tuple[int, int]:
        return self.end, self.end


def test_the_last_manifests_leave_a_trace_in_the_group(bucket: Bucket) -> None:
    bucket.simple((0, 2))
    last = bucket.flush((3, 5), bucket.put("partition=0", range(3, 6)))
    assert verify(bucket.store, TOPIC, witness=Group(6)).verified
    del bucket.store.objects[last]
    for end in (3, 6):  # an unfinished flush's, or a finished one's
        report = verify(bucket.store, TOPIC, witness=Group(end), names_only=True)
        assert told(report) == {"unproven": [(0, ((3, 5),))]}


def test_without_any_manifest_the_group_of_the_connector_given_is_asked(bucket: Bucket) -> None:
    bucket.put("partition=0", range(3))
    witness = Group(6)
    assert verify(bucket.store, TOPIC, witness=witness, names_only=True).verified  # whom to ask?
    report = verify(bucket.store, TOPIC, witness=witness, connector="s3-sink", names_only=True)
    assert told(report) == {"missing": [(0, ((3, 5),))]}


def test_an_object_of_an_unknown_name_is_foreign(bucket: Bucket) -> None:
    bucket.simple((0, 2))
    bucket.store.put("topics/ticks/partition=0/notes.txt", b"hello\n")
    report = verify(bucket.store, TOPIC)
    assert [f.kind for f in report.findings] == ["foreign"]
    assert report.findings[0].keys == ("topics/ticks/partition=0/notes.txt",)


def test_a_bucket_of_the_java_connector_is_accounted_by_name_and_lines(bucket: Bucket) -> None:
    bucket.put("2019-06-28", [0, 1, 2])
    bucket.put("2019-06-29", [3, 4, 5])
    report = verify(bucket.store, TOPIC, names_only=True)
    assert report.verified
    assert (report.partitions[0].first, report.partitions[0].last) == (0, 5)
    assert (report.by_name, report.to_json()["by_name"]) == (2, 2)
    assert not any("proven by" in note for note in report.notes)


def test_names_and_lines_alone_prove_nothing_unless_that_is_asked_for(bucket: Bucket) -> None:
    bucket.put("partition=0", [0, 1, 2])
    report = verify(bucket.store, TOPIC)
    assert told(report) == {"unproven": [(0, ((0, 2),))]}
    assert not report.verified


def test_the_last_manifest_deleted_and_the_content_altered_is_not_verified(bucket: Bucket) -> None:
    bucket.simple((0, 2))
    made = bucket.put("partition=0", range(3, 6))
    last = bucket.flush((3, 5), made)
    del bucket.store.objects[last]
    bucket.store.objects[made.key] = gzip.compress(b"x\ny\nz\n")
    for names_only in (False, True):
        report = verify(bucket.store, TOPIC, names_only=names_only)
        assert told(report) == {"unproven": [(0, ((3, 5),))]}
        assert report.by_name == 1


def test_the_topic_confirms_or_refutes_objects_in_no_manifest(bucket: Bucket) -> None:
    one, two = bucket.put("partition=0", range(3)), bucket.put("partition=0", range(3, 6))

    class Asked(Group):
        def compare(
            self, partition: int, holdings: Sequence[Holding], gaps: Sequence[Run]
        ) -> Comparison:
            return Comparison(compared=1, confirmed={one.key}, refuted={two.key})

    report = verify(bucket.store, TOPIC, witness=Asked(6), names_only=True)
    assert told(report) == {"unproven": [(0, ((3, 5),))]}
    assert "other content" in report.findings[0].reason


def test_a_hole_in_a_java_bucket_is_missing(bucket: Bucket) -> None:
    bucket.put("partition=0", [0, 1, 2])
    bucket.put("partition=0", [6, 7])
    report = verify(bucket.store, TOPIC, names_only=True)
    assert told(report) == {"missing": [(0, ((3, 5),))]}


def test_a_takeover_continues_what_the_java_connector_left(bucket: Bucket) -> None:
    bucket.put("partition=0", [0, 1, 2])
    bucket.simple((3, 5), (6, 8))
    assert told(verify(bucket.store, TOPIC)) == {"unproven": [(0, ((0, 2),))]}
    assert verify(bucket.store, TOPIC, names_only=True).verified


def test_a_flush_that_was_cut_off_is_unproven(bucket: Bucket) -> None:
    bucket.simple((0, 2))
    bucket.put("partition=0", range(3, 6))
    report = verify(bucket.store, TOPIC)
    assert told(report) == {"unproven": [(0, ((3, 5),))]}
    assert "the flush has not ended" in report.findings[0].reason


def test_skipped_and_recordless_offsets_are_explained(bucket: Bucket) -> None:
    bucket.flush((0, 9), bucket.put("partition=0", [0, 1, 2, 5, 6, 9]), skipped=((3, 4),))
    report = verify(bucket.store, TOPIC)
    assert report.verified
    gaps = [(gap.first, gap.last, gap.reason) for gap in report.partitions[0].gaps]
    assert gaps == [(3, 4, "null values, skipped"), (7, 8, "no record, says the flush")]


def test_one_connector_is_judged_without_the_others(bucket: Bucket) -> None:
    bucket.simple((0, 5))
    bucket.flush((0, 5), bucket.put("copy", range(6)), connector="second")
    assert not verify(bucket.store, TOPIC).verified
    assert verify(bucket.store, TOPIC, connector="second").verified


def test_other_directories_and_raw_bytes() -> None:
    bucket = Bucket(Layout(topics_dir="lake", format="bytes", extension=".json"))
    bucket.simple((0, 5))
    assert verify(bucket.store, TOPIC).verified
    assert not verify(bucket.store, "tick").verified


def test_the_document_names_every_offset(bucket: Bucket) -> None:
    keys = bucket.simple((0, 2), (3, 5))
    del bucket.store.objects[keys[0]]
    document = verify(bucket.store, TOPIC).to_json()
    assert document["_schema"] == "tape.backup.verify/1"
    assert document["verified"] is False
    assert document["missing"] == [
        {
            "partition": 0,
            "from": 0,
            "to": 2,
            "reason": "the object that holds them is gone",
            "keys": [keys[0]],
        }
    ]
