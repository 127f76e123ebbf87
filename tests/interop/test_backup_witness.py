"""The topic as a witness: contents compared, gaps looked into, what is committed must be there.

Records are ``value(offset)``, as in Bucket, which is a backup built object by object.
"""

import gzip
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from tests.interop.harness import Broker, create_topic, unique
from tests.unit.connect.s3.verify.bucket import CONNECTOR, TOPIC, Bucket, value

from tickertape.base.world import SystemClock
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.verify import Report, verify
from tickertape.connect.s3.witness import TopicWitness

PARTITION = 0


class Witnessed:
    """A backup and a topic that agree, until a test changes one of them."""

    def __init__(self, bootstrap: str, layout: Layout | None = None) -> None:
        self.bootstrap = bootstrap
        self.bucket = Bucket(layout or Layout(compression="gzip"))
        self.bucket.topic_id = ""
        self.topic = create_topic(bootstrap, unique("witness"))

    def produce(self, *values: bytes | None) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap, "enable.idempotence": True})
        for item in values:
            producer.produce(self.topic, item, partition=PARTITION)
        assert producer.flush(10) == 0

    def commit(self, offset: int) -> None:
        group = {"group.id": f"connect-{CONNECTOR}", "bootstrap.servers": self.bootstrap}
        consumer = Consumer(group)
        place = TopicPartition(self.topic, PARTITION, offset)
        consumer.commit(offsets=[place], asynchronous=False)
        consumer.close()

    def verify(self) -> Report:
        """The bucket says TOPIC, the cluster another name: each test has a topic of its own."""
        with TopicWitness(self.bootstrap, self.topic, clock=SystemClock()) as witness:
            return verify(self.bucket.store, TOPIC, witness=witness)


@pytest.fixture
def it(target: Broker) -> Witnessed:
    return Witnessed(target.bootstrap)


def found(report: Report) -> list[tuple[str, int | None, tuple[tuple[int, int], ...]]]:
    return [(f.kind, f.partition, f.runs) for f in report.findings]


def test_records_encoded_again_give_the_objects(it: Witnessed) -> None:
    it.produce(*map(value, range(9)))
    it.bucket.simple((0, 2), (3, 5), (6, 8))
    report = it.verify()
    assert (found(report), report.partitions[0].compared) == ([], 3)
    assert report.verified


def test_interleaved_directories_are_compared_too(it: Witnessed) -> None:
    it.produce(*map(value, range(6)))
    even, odd = it.bucket.put("a", [0, 2, 4]), it.bucket.put("b", [1, 3, 5])
    it.bucket.flush((0, 5), even, odd)
    report = it.verify()
    assert (found(report), report.partitions[0].compared) == ([], 2)


def test_an_object_whose_manifest_lies_with_it_is_altered(it: Witnessed) -> None:
    """Digests agree with each other, but not with the topic."""
    it.produce(value(0), b"something else", value(2))
    it.bucket.simple((0, 2))
    assert found(it.verify()) == [("altered", 0, ((0, 2),))]


def test_a_gap_where_the_topic_has_a_record_is_missing(it: Witnessed) -> None:
    it.produce(*map(value, range(6)))
    it.bucket.flush((0, 5), it.bucket.put("a", [0, 1, 2, 5]))
    assert verify(it.bucket.store, TOPIC).verified, "the manifest alone cannot tell"
    assert found(it.verify()) == [("missing", 0, ((3, 4),))]


def test_what_was_skipped_must_be_null(it: Witnessed) -> None:
    it.bucket.layout = replace(it.bucket.layout, null_values="ignore")
    it.produce(value(0), None, None, value(3))
    it.bucket.flush((0, 3), it.bucket.put("a", [0, 3]), skipped=((1, 2),))
    report = it.verify()
    assert (found(report), report.partitions[0].compared) == ([], 1)
    it.produce(value(4), None, value(6), value(7))
    it.bucket.flush((4, 7), it.bucket.put("a", [4, 7]), skipped=((5, 6),))
    assert found(it.verify()) == [("missing", 0, ((5, 6),))]


def test_what_lies_between_flushes_is_missing_if_the_topic_has_it(it: Witnessed) -> None:
    it.produce(*map(value, range(9)))
    it.bucket.simple((0, 2), (6, 8))
    assert found(it.verify()) == [("missing", 0, ((3, 5),))]


def test_committed_but_not_in_the_bucket_is_missing(it: Witnessed) -> None:
    it.produce(*map(value, range(9)))
    it.bucket.simple((0, 2))
    it.commit(7)
    assert found(it.verify()) == [("missing", 0, ((3, 6),))]


def test_not_committed_is_not_backed_up_yet(it: Witnessed) -> None:
    it.produce(*map(value, range(9)))
    it.bucket.simple((0, 2))
    it.commit(3)
    report = it.verify()
    assert report.verified
    assert "partition 0: 6 offsets are not backed up yet" in report.notes


def test_a_backup_that_begins_later_says_so(it: Witnessed) -> None:
    it.produce(*map(value, range(9)))
    it.bucket.simple((3, 8))
    report = it.verify()
    assert report.verified
    assert "partition 0: the backup begins at offset 3, the topic at 0" in report.notes


def test_offsets_beyond_the_topics_end_are_proven_by_digests(it: Witnessed) -> None:
    it.produce(*map(value, range(3)))
    it.bucket.simple((0, 2), (3, 5))
    report = it.verify()
    assert report.partitions[0].compared == 1
    assert any("records of 1 objects" in note for note in report.notes)


def test_another_format_than_the_manifest_says_is_altered(target: Broker) -> None:
    it = Witnessed(target.bootstrap, Layout(format="bytes", compression="gzip"))
    it.produce(*map(value, range(3)))
    it.bucket.simple((0, 2))
    report = it.verify()
    # The builder writes JSON lines, whatever the layout says: the comparison must notice.
    assert found(report) == [("altered", 0, ((0, 2),))]


def test_null_values_in_a_covered_range_are_altered(it: Witnessed) -> None:
    it.produce(value(0), None, value(2))
    it.bucket.simple((0, 2))
    assert found(it.verify()) == [("altered", 0, ((0, 2),))]


@pytest.mark.real
@pytest.mark.xdist_group("apache")
def test_control_records_and_aborted_ones_are_rightly_in_no_object(apache_kafka: Broker) -> None:
    it = Witnessed(apache_kafka.bootstrap)
    settings = {"bootstrap.servers": it.bootstrap, "transactional.id": unique("tx")}
    producer = Producer(settings)
    producer.init_transactions(30)
    for commits in (True, False):
        producer.begin_transaction()
        producer.produce(it.topic, b"tick 0", partition=PARTITION)
        producer.flush(10)
        if commits:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    it.bucket.flush((0, 3), it.bucket.put("a", [0]))  # 1 and 3 are markers, 2 was aborted
    report = it.verify()
    assert found(report) == []
    gaps = [(gap.first, gap.last, gap.reason) for gap in report.partitions[0].gaps]
    marker = "no record in the topic: control records, or compacted"
    assert gaps == [(1, 1, marker), (2, 2, "aborted transaction"), (3, 3, marker)]


def test_a_topic_that_was_created_again_is_no_witness(target: Broker) -> None:
    it = Witnessed(target.bootstrap)
    it.produce(b"another day")
    it.bucket.topic_id = "AAAAAAAAAAAAAAAAAAAAAQ"
    it.bucket.simple((0, 2))
    report = it.verify()
    assert report.verified
    assert "the topic was created again since: its records are not these" in report.notes


def test_flushes_of_two_topics_of_one_name_are_altered(it: Witnessed) -> None:
    it.bucket.topic_id = "first"
    it.bucket.simple((0, 2))
    it.bucket.topic_id = "second"
    it.bucket.simple((3, 5))
    report = it.verify()
    assert [f.kind for f in report.findings] == ["altered"]
    assert "created again" in report.findings[0].reason


def test_objects_in_no_manifest_are_compared_with_the_topic(it: Witnessed) -> None:
    it.produce(*map(value, range(9)))
    it.bucket.put("partition=0", range(3))
    it.bucket.put("partition=0", range(3, 6))
    changed = it.bucket.put("partition=0", range(6, 9))
    assert found(it.verify()) == []
    assert it.verify().partitions[0].compared == 3
    other = b'"tick 6"\n"tick 7"\n"tick 9"\n'
    it.bucket.store.objects[changed.key] = gzip.compress(other)
    assert found(it.verify()) == [("unproven", 0, ((6, 8),))]


def test_a_deleted_manifest_does_no_harm_where_the_topic_confirms_the_object(it: Witnessed) -> None:
    it.produce(*map(value, range(6)))
    it.bucket.simple((0, 2))
    it.bucket.put("partition=0", range(3, 6))
    assert not verify(it.bucket.store, TOPIC).verified
    assert it.verify().verified
