"""How far a topic may be purged: up to the first offset that nothing proves, for every flaw."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.connect.s3.verify.bucket import TOPIC, Bucket

from tickertape.connect.s3.compare import Comparison
from tickertape.connect.s3.inventory import Finding, Holding
from tickertape.connect.s3.purge import Plan, Standing, Step, make_plan
from tickertape.connect.s3.runs import Run
from tickertape.connect.s3.verify import PartitionReport, Report, verify


@dataclass
class TheTopic:
    """A topic of one partition, as purge and verify ask it. ``records``: the committed ones."""

    records: Sequence[int] = ()
    id: str = "id-1"
    confirmed: frozenset[str] = frozenset()
    committed: int | None = None

    def identity(self) -> str:
        return self.id

    def first_record(self, partition: int, first: int, end: int) -> int:
        assert partition == 0
        return min((record for record in self.records if first <= record < end), default=end)

    def partitions(self) -> int:
        return 1

    def bounds(self, partition: int) -> tuple[int, int]:
        assert partition == 0
        return 0, max(self.records, default=-1) + 1

    def expected_end(self, partition: int, connectors: Sequence[str]) -> int | None:
        assert partition == 0
        return self.committed

    def compare(
        self, partition: int, holdings: Sequence[Holding], gaps: Sequence[Run]
    ) -> Comparison:
        assert partition == 0
        answer = Comparison(confirmed={h.key for h in holdings} & self.confirmed)
        answer.committed = [
            (at, at) for first, last in gaps for at in self.records if first <= at <= last
        ]
        return answer


@pytest.fixture
def bucket() -> Bucket:
    """Offsets 0 to 8 in three objects."""
    one = Bucket()
    one.simple((0, 2), (3, 5), (6, 8))
    return one


def standing(wanted: int | None, *, start: int = 0, stable: int = 9) -> Standing:
    return Standing(partition=0, log_start=start, stable_end=stable, wanted=wanted)


def planned(
    bucket: Bucket, at: Standing, topic: TheTopic | None = None, *, deep: bool = False
) -> Plan:
    topic = topic or TheTopic(range(9))
    report = verify(bucket.store, TOPIC, witness=topic if deep else None)
    return make_plan(report, [at], topic)


def step(plan: Plan) -> Step:
    (only,) = plan.steps
    return only


def stopped(plan: Plan) -> tuple[int, int, str]:
    """What would go, how far the proof reaches, and why no further."""
    one = step(plan)
    assert not plan.proven
    assert one.stop is not None
    why = one.stop.finding.kind if one.stop.finding is not None else one.stop.reason
    assert one.stop.offset == one.verified_to
    return one.delete_to, one.verified_to, why


def test_what_is_wanted_and_proven_goes_and_no_more(bucket: Bucket) -> None:
    plan = planned(bucket, standing(7))
    assert plan.proven
    assert (step(plan).delete_to, step(plan).verified_to, step(plan).offsets) == (7, 9, 7)


def test_a_purged_topic_goes_on_from_inside_an_object(bucket: Bucket) -> None:
    assert step(planned(bucket, standing(8, start=7))).offsets == 1
    plan = planned(bucket, standing(7, start=7))
    assert plan.proven
    assert step(plan).offsets == 0


def test_all_that_is_proven_ends_at_the_first_flaw_and_is_no_refusal(bucket: Bucket) -> None:
    assert step(planned(bucket, standing(None))).delete_to == 9
    del bucket.store.objects[sorted(k for k in bucket.store.objects if k.startswith("topics"))[1]]
    plan = planned(bucket, standing(None))
    assert plan.proven
    assert step(plan).delete_to == 3


def test_a_missing_object_ends_the_proof(bucket: Bucket) -> None:
    del bucket.store.objects[sorted(k for k in bucket.store.objects if k.startswith("topics"))[1]]
    assert stopped(planned(bucket, standing(9))) == (3, 3, "missing")
    assert planned(bucket, standing(3)).proven, "what is before the flaw is proven"


def test_an_altered_object_ends_the_proof(bucket: Bucket) -> None:
    key = sorted(k for k in bucket.store.objects if k.startswith("topics"))[2]
    bucket.store.objects[key] = gzip.compress(b"1\n2\n3\n")
    assert stopped(planned(bucket, standing(9))) == (6, 6, "altered")


def test_a_missing_manifest_ends_the_proof(bucket: Bucket) -> None:
    del bucket.store.objects[min(k for k in bucket.store.objects if "manifest" in k)]
    assert stopped(planned(bucket, standing(9))) == (0, 0, "unproven")


def test_an_unreadable_manifest_ends_the_proof(bucket: Bucket) -> None:
    bucket.store.objects[sorted(k for k in bucket.store.objects if "manifest" in k)[1]] = b"{}"
    assert stopped(planned(bucket, standing(9))) == (3, 3, "unproven")


def test_a_double_ends_the_proof(bucket: Bucket) -> None:
    key = sorted(k for k in bucket.store.objects if k.startswith("topics"))[1]
    bucket.store.put(key.replace("partition=0", "again"), bucket.store.objects[key])
    assert stopped(planned(bucket, standing(9))) == (3, 3, "doubled")


def test_a_strangers_file_does_not(bucket: Bucket) -> None:
    bucket.store.put(f"topics/{TOPIC}/readme.txt", b"?")
    assert planned(bucket, standing(9)).proven


def test_a_backup_that_is_behind_ends_the_proof(bucket: Bucket) -> None:
    topic = TheTopic(range(12))
    assert stopped(planned(bucket, standing(12, stable=12), topic)) == (9, 9, "behind")


def test_a_backup_that_begins_later_proves_nothing() -> None:
    bucket = Bucket()
    bucket.simple((3, 5))
    assert stopped(planned(bucket, standing(6))) == (0, 0, "before")
    assert step(planned(bucket, standing(None))).offsets == 0
    assert step(planned(bucket, standing(6, start=3))).delete_to == 6


def test_a_partition_without_a_backup_proves_nothing() -> None:
    assert stopped(planned(Bucket(), standing(9))) == (0, 0, "nothing")


def test_offsets_without_a_record_need_no_backup_and_the_last_ones_stay() -> None:
    """Aborted records before the first stored one, a commit marker after the last."""
    bucket = Bucket()
    bucket.simple((3, 5))
    plan = planned(bucket, standing(7, stable=7), TheTopic(range(3, 6)))
    assert plan.proven
    assert (step(plan).verified_to, step(plan).delete_to) == (7, 6)


def test_nothing_goes_past_an_open_transaction(bucket: Bucket) -> None:
    assert stopped(planned(bucket, standing(9, stable=4))) == (4, 4, "open")


@pytest.mark.parametrize("id_", ["id-2", ""])
def test_another_topic_of_the_name_proves_nothing(bucket: Bucket, id_: str) -> None:
    plan = planned(bucket, standing(9), TheTopic(range(9), id=id_))
    assert plan.stranger
    assert stopped(plan) == (0, 0, "stranger")
    everything = planned(bucket, standing(None), TheTopic(range(9), id=id_))
    assert not everything.proven
    assert step(everything).offsets == 0


def test_flushes_that_name_no_topic_id_prove_nothing(bucket: Bucket) -> None:
    bucket.topic_id = ""
    bucket.simple((9, 11))
    plan = planned(bucket, standing(12, stable=12))
    assert "no topic id" in plan.stranger
    assert step(plan).offsets == 0


def test_a_hole_between_flushes_passes_only_if_the_topic_has_no_record_there() -> None:
    bucket = Bucket()
    bucket.simple((0, 2), (6, 8))
    empty = TheTopic([0, 1, 2, 6, 7, 8])
    assert stopped(planned(bucket, standing(9), empty)) == (3, 3, "missing")
    assert planned(bucket, standing(9), empty, deep=True).proven
    assert stopped(planned(bucket, standing(9), TheTopic(range(9)), deep=True))[2] == "missing"


def test_objects_that_only_the_topic_proves_count_below_the_committed_offset() -> None:
    """The flush of the others may be unfinished: its owner will read these records again."""
    bucket = Bucket()
    keys = frozenset(bucket.put("partition=0", span).key for span in (range(3), range(3, 6)))
    topic = TheTopic(range(6), confirmed=keys, committed=3)
    at = standing(6, stable=6)
    assert stopped(planned(bucket, at, topic)) == (0, 0, "unproven")
    assert stopped(planned(bucket, at, topic, deep=True)) == (3, 3, "unfinished")
    unknown = replace(topic, committed=None)
    assert stopped(planned(bucket, at, unknown, deep=True)) == (0, 0, "unfinished")
    assert planned(bucket, at, replace(topic, committed=6), deep=True).proven


# -- for every verdict -----------------------------------------------------------------------

LAST = 14
runs = st.tuples(st.integers(0, LAST), st.integers(0, 4)).map(lambda at: (at[0], at[0] + at[1]))


@st.composite
def verdicts(draw: st.DrawFn) -> tuple[Report, TheTopic]:
    first = draw(st.integers(-1, LAST))
    last = -1 if first < 0 else draw(st.integers(first, LAST))
    findings = draw(
        st.lists(
            st.builds(
                Finding,
                kind=st.sampled_from(["missing", "altered", "unproven", "doubled", "recompressed"]),
                partition=st.sampled_from([0, 0, 0, 1]),
                runs=st.tuples(runs),
                reason=st.just("as drawn"),
            ),
            max_size=3,
        )
    )
    partition = PartitionReport(
        partition=0, first=first, last=last, records=1, objects=1, bytes=1, compared=0, gaps=(),
        confirmed=tuple(draw(st.lists(runs, max_size=2))),
        committed=draw(st.none() | st.integers(0, LAST)),
    )  # fmt: skip
    report = Report(
        topic=TOPIC,
        lake="memory:",
        partitions=[partition],
        findings=findings,
        topic_ids=frozenset(draw(st.lists(st.sampled_from(["id-1", "id-1", "id-2"]), max_size=2))),
    )
    return report, TheTopic(sorted(draw(st.sets(st.integers(0, LAST)))))


@given(
    verdicts(),
    st.integers(0, LAST + 1),
    st.integers(0, LAST + 1),
    st.none() | st.integers(0, LAST + 1),
)
def test_nothing_goes_that_is_not_proven(
    case: tuple[Report, TheTopic], start: int, stable: int, wanted: int | None
) -> None:
    report, topic = case
    stable = max(start, stable)
    plan = make_plan(report, [standing(wanted, start=start, stable=stable)], topic)
    one, (partition,) = step(plan), report.partitions
    wrong = {
        offset
        for finding in report.findings
        if finding.partition == 0 and finding.kind != "recompressed"
        for first, last in finding.runs
        for offset in range(first, last + 1)
    }
    unfinished = {
        offset
        for first, last in partition.confirmed
        for offset in range(first, last + 1)
        if offset >= (partition.committed or 0)
    }
    for offset in range(start, one.delete_to):
        spoken = partition.first <= offset <= partition.last
        assert offset not in wrong or not spoken
        assert offset not in unfinished or not spoken
        assert spoken or offset not in topic.records
    assert start <= one.delete_to <= max(start, stable)
    assert wanted is None or one.delete_to <= max(start, wanted)
    assert one.delete_to <= one.verified_to
    if plan.proven and wanted is not None and wanted > start:
        left = [at for at in topic.records if max(start, one.delete_to) <= at < wanted]
        assert not [at for at in left if partition.first <= at <= partition.last]
    if report.topic_ids - {"id-1"}:
        assert one.offsets == 0


@dataclass
class Spoiled:
    """A backup of ``offsets`` records in flushes, and what was done to its files."""

    bucket: Bucket = field(default_factory=Bucket)
    whole: set[int] = field(default_factory=set)


@st.composite
def spoiled(draw: st.DrawFn) -> Spoiled:
    it, first = Spoiled(), 0
    for size in draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)):
        span = range(first, first + size)
        first += size
        made = it.bucket.put("partition=0", span)
        manifest = it.bucket.flush((span[0], span[-1]), made)
        objects = it.bucket.store.objects
        how = draw(
            st.sampled_from(["well", "well", "well", "gone", "cut", "other", "unlisted", "bad"])
        )
        match how:
            case "well":
                it.whole.update(span)
            case "gone":
                del objects[made.key]
            case "cut":
                objects[made.key] = objects[made.key][:-3]
            case "other":
                objects[made.key] = gzip.compress(json.dumps("x").encode() + b"\n")
            case "unlisted":
                del objects[manifest]
            case _:
                objects[manifest] = b"not JSON"
    return it


@given(spoiled(), st.integers(0, 20))
def test_whatever_is_spoiled_only_whole_objects_let_records_go(it: Spoiled, wanted: int) -> None:
    topic = TheTopic(range(20))
    plan = planned(it.bucket, standing(wanted, stable=20), topic)
    best = next(offset for offset in range(21) if offset not in it.whole)
    assert step(plan).delete_to == min(wanted, best)
    assert plan.proven is (wanted <= best)
