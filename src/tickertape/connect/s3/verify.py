"""Proves what a bucket holds of a topic: every offset from the first to the last, exactly once.

The proof is by offsets (manifests, or names and line counts), by digests of the stored bytes and of
their content, and, where the topic still has the records, by encoding them again. An offset in no
object is legal only if the flush that passed it says that there was no record, or the topic does.
An object in no manifest is proven by the topic alone: names and lines say how many, not what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from tickertape.connect.s3.compare import Comparison
from tickertape.connect.s3.inventory import (
    Finding,
    Holding,
    Inventory,
    Kind,
    take_inventory,
)
from tickertape.connect.s3.runs import Run, common, doubled, merged, subtract
from tickertape.objects.store import ObjectStore


class Witness(Protocol):
    """The topic, as far as verification needs it. connect.s3.witness has the real one."""

    def partitions(self) -> int:
        """How many the topic has."""
        ...

    def identity(self) -> str:
        """The topic's id, or "" if the cluster gives none."""
        ...

    def compare(
        self, partition: int, holdings: Sequence[Holding], gaps: Sequence[Run]
    ) -> Comparison:
        """Encode the records again, and look for records in gaps."""
        ...

    def expected_end(self, partition: int, connectors: Sequence[str]) -> int | None:
        """The offset below which the connectors' groups committed everything; None: no commit."""
        ...

    def bounds(self, partition: int) -> tuple[int, int]:
        """Log start offset and high watermark."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Offsets that are rightly in no object."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionReport:
    """One partition of the backup; ``first`` and ``last`` are -1 if it holds nothing."""

    partition: int
    first: int
    last: int
    records: int
    objects: int
    bytes: int
    compared: int
    gaps: tuple[Gap, ...]
    by_name: int = 0  # objects that neither a manifest nor the topic proves
    confirmed: tuple[Run, ...] = ()  # of objects that the topic alone proves
    committed: int | None = None  # below it the connectors' groups are done, if that is known


@dataclass(slots=True, kw_only=True)
class Report:
    """The verdict, its grounds, and what a reader should know (``notes``)."""

    topic: str
    lake: str
    partitions: list[PartitionReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    topic_ids: frozenset[str] = frozenset()  # as the manifests say; "" where one does not

    @property
    def verified(self) -> bool:
        """Nothing is wrong, and there is something to be right about."""
        wrong = any(finding.kind not in HARMLESS for finding in self.findings)
        return not wrong and self.records > 0

    @property
    def by_name(self) -> int:
        """Objects that neither a manifest nor the topic proves: counted by name and lines only."""
        return sum(partition.by_name for partition in self.partitions)

    @property
    def records(self) -> int:
        """Records in all objects."""
        return sum(partition.records for partition in self.partitions)

    @property
    def objects(self) -> int:
        """Objects of the topic, manifests not counted."""
        return sum(partition.objects for partition in self.partitions)

    @property
    def bytes(self) -> int:
        """Stored bytes of these objects."""
        return sum(partition.bytes for partition in self.partitions)

    def to_json(self) -> dict[str, object]:
        """The document of ``tape backup verify -o json``."""
        return {
            "_schema": "tape.backup.verify/1",
            "topic": self.topic,
            "lake": self.lake,
            "verified": self.verified,
            "records": self.records,
            "objects": self.objects,
            "bytes": self.bytes,
            "by_name": self.by_name,
            "partitions": [_partition_json(partition) for partition in self.partitions],
            **{kind: self._of(kind) for kind in KINDS},
            "notes": self.notes,
        }

    def _of(self, kind: Kind) -> list[dict[str, object]]:
        return [
            {
                "partition": finding.partition,
                "from": first,
                "to": last,
                "reason": finding.reason,
                "keys": list(finding.keys),
            }
            for finding in self.findings
            if finding.kind == kind
            for first, last in finding.runs or ((None, None),)
        ]


KINDS: Final[tuple[Kind, ...]] = (
    "missing", "doubled", "altered", "unproven", "foreign", "recompressed",
)  # fmt: skip
HARMLESS: Final[frozenset[Kind]] = frozenset({"recompressed"})


def verify(
    store: ObjectStore,
    topic: str,
    *,
    witness: Witness | None = None,
    connector: str | None = None,
    topics_dir: str = "topics",
    names_only: bool = False,
) -> Report:
    """Read everything the bucket holds of ``topic`` and judge it. ObjectStoreError, TopicError.

    ``names_only``: objects that another connector left are proven enough by names and lines.
    """
    inventory = take_inventory(store, topic, connector=connector, topics_dir=topics_dir)
    report = Report(
        topic=topic,
        lake=store.url,
        findings=list(inventory.findings),
        topic_ids=frozenset(m.topic_id for chain in inventory.manifests.values() for m in chain),
    )
    if not inventory.holdings and not inventory.manifests:
        report.notes.append(f"the bucket holds nothing of topic {topic}")
        return report
    if witness is not None:
        witness = _same_topic(witness, report)
    proven = any(holding.entry is not None for holding in inventory.holdings)
    if witness is None and proven:
        report.notes.append(
            "the topic was not asked: contents of objects in a manifest are proven by its digests"
        )
    backed_up = inventory.partitions()
    there = range(witness.partitions()) if witness is not None else ()
    for partition in sorted({*backed_up, *there}):
        judged = _judge(partition, inventory, witness, report, names_only=names_only)
        report.partitions.append(judged)
    return report


def _same_topic(witness: Witness, report: Report) -> Witness | None:
    """The witness, unless the topic of today is another than the one that was backed up."""
    here = witness.identity()
    ids = report.topic_ids - {""}
    if len(ids) > 1:
        reason = f"flushes of {len(ids)} topics of this name: it was deleted and created again"
        report.findings.append(Finding(kind="altered", partition=None, runs=(), reason=reason))
        return None
    if here and ids and here not in ids:
        report.notes.append("the topic was created again since: its records are not these")
        return None
    return witness


@dataclass(frozen=True, slots=True)
class _Scope:
    """One partition while it is judged."""

    partition: int
    holdings: list[Holding]
    nulls: list[Holding]
    covered: list[Run]
    since: int | None  # the first offset that a manifest speaks for
    inside: list[Run]  # passed by flushes, in no object, not skipped: the manifests say no record
    skipped: list[Run]
    between: list[Run]  # nobody speaks for them

    @property
    def known(self) -> list[Run]:
        """Everything that an object or a flush speaks for."""
        return merged([*self.covered, *self.inside, *self.skipped])

    @property
    def first(self) -> int:
        """The first offset known of; -1 if none is."""
        return self.known[0][0] if self.known else -1

    @property
    def last(self) -> int:
        """The last offset known of; -1 if none is."""
        return self.known[-1][1] if self.known else -1


def _judge(
    partition: int,
    inventory: Inventory,
    witness: Witness | None,
    report: Report,
    *,
    names_only: bool,
) -> PartitionReport:
    scope = _scope(partition, inventory)
    connectors = sorted(inventory.connectors)
    end = None if witness is None else witness.expected_end(partition, connectors)
    _find_doubles(scope, report)
    gaps = [Gap(first=a, last=b, reason="null values, skipped") for a, b in scope.skipped]
    answer = Comparison()
    if witness is None:
        gaps += [Gap(first=a, last=b, reason="no record, says the flush") for a, b in scope.inside]
        _miss(scope, scope.between, "in no object", report)
    else:
        tail = _unbacked_tail(witness, scope, end)
        answer = _ask(witness, scope, tail, gaps, report)
    named = [h for h in scope.holdings if h.entry is None and h.key not in answer.confirmed]
    _find_unproven(scope, named, answer.refuted, report, names_only=names_only)
    return PartitionReport(
        partition=partition,
        first=scope.first,
        last=scope.last,
        records=sum(holding.records for holding in scope.holdings),
        objects=len(scope.holdings),
        bytes=sum(holding.size for holding in scope.holdings),
        compared=answer.compared,
        gaps=tuple(sorted(gaps, key=lambda gap: gap.first)),
        by_name=len(named),
        confirmed=tuple(
            merged(run for h in scope.holdings if h.key in answer.confirmed for run in h.runs)
        ),
        committed=end,
    )


def _scope(partition: int, inventory: Inventory) -> _Scope:
    holdings = [holding for holding in inventory.holdings if holding.partition == partition]
    manifests = [
        manifest
        for (number, _), chain in inventory.manifests.items()
        if number == partition
        for manifest in chain
    ]
    # An object that is gone was there: its offsets are reported once, as its own.
    claimed = [run for m in manifests for entry in m.objects for run in entry.offsets]
    covered = merged([*claimed, *(run for holding in holdings for run in holding.runs)])
    skipped = merged(run for manifest in manifests for run in manifest.skipped)
    passed = merged((manifest.start, manifest.end) for manifest in manifests)
    inside = subtract(passed, [*covered, *skipped])
    known = merged([*covered, *passed])
    between = subtract([(known[0][0], known[-1][1])], known) if known else []
    nulls = [
        Holding(key="", partition=partition, runs=m.skipped, records=0, size=0, manifest=m)
        for m in manifests
        if m.skipped
    ]
    skipped = subtract(skipped, covered)
    since = passed[0][0] if passed else None
    return _Scope(partition, holdings, nulls, covered, since, inside, skipped, between)


def _find_doubles(scope: _Scope, report: Report) -> None:
    runs = [run for holding in scope.holdings for run in holding.runs]
    twice = doubled(runs)
    by_keys: dict[tuple[str, ...], list[Run]] = {}
    for run in twice:
        keys = tuple(sorted(h.key for h in scope.holdings if common([run], h.runs)))
        by_keys.setdefault(keys, []).append(run)
    for keys, found in by_keys.items():
        report.findings.append(
            Finding(
                kind="doubled",
                partition=scope.partition,
                runs=tuple(found),
                reason=f"in {len(keys)} objects",
                keys=keys,
            )
        )


def _find_unproven(
    scope: _Scope,
    named: Sequence[Holding],
    refuted: set[str],
    report: Report,
    *,
    names_only: bool,
) -> None:
    """Objects (``named``) that no manifest names and the topic did not confirm.

    Those from before the first manifest may be another connector's: whether that will do, the user
    says. A later one is a flush's that was cut off, or whose manifest is gone.
    """
    ours, foreign, wrong = [], [], []
    for holding in named:
        first = holding.runs[0][0] if holding.runs else 0
        if holding.key in refuted:
            wrong.append(holding)
        elif scope.since is not None and first >= scope.since:
            ours.append(holding)
        elif not names_only:
            foreign.append(holding)
    reasons = (
        (wrong, "in no manifest, and the topic's records give other content in every known format"),
        (
            ours,
            "in no manifest: it is gone, or the flush has not ended; nothing proves the content",
        ),
        (
            foreign,
            "in no manifest: another connector's, or all are gone; nothing proves the content",
        ),
    )
    for holdings, reason in reasons:
        if holdings:
            runs = merged(run for holding in holdings for run in holding.runs)
            keys = tuple(holding.key for holding in holdings)
            report.findings.append(
                Finding(
                    kind="unproven",
                    partition=scope.partition,
                    runs=tuple(runs),
                    reason=reason,
                    keys=keys,
                )
            )


def _ask(
    witness: Witness, scope: _Scope, tail: list[Run], gaps: list[Gap], report: Report
) -> Comparison:
    """Everything that only the topic can tell."""
    partition = scope.partition
    asked = merged([*scope.inside, *scope.between, *tail])
    sound = [holding for holding in scope.holdings if holding.sound]
    answer = witness.compare(partition, [*sound, *scope.nulls], asked)
    report.findings += answer.findings
    _miss(scope, answer.committed, "the topic has records there, no object does", report)
    silent = subtract(asked, [*answer.committed, *answer.aborted, *answer.unread])
    reasons = (
        (answer.aborted, "aborted transaction"),
        (common(scope.inside, answer.unread), "no record, says the flush; the topic has moved on"),
        (silent, "no record in the topic: control records, or compacted"),
    )
    gaps += [Gap(first=a, last=b, reason=why) for runs, why in reasons for a, b in runs]
    lost = subtract(common(answer.unread, merged([*scope.between, *tail])), scope.inside)
    _miss(scope, lost, "in no object, and the topic no longer has them", report)
    if answer.not_comparable:
        report.notes.append(
            f"partition {partition}: the topic no longer has the records of"
            f" {answer.not_comparable} objects in manifests: proven by digests alone"
        )
    _note_the_rest(witness, scope, report)
    return answer


def _unbacked_tail(witness: Witness, scope: _Scope, end: int | None) -> list[Run]:
    """What the groups committed (below ``end``) past the last flush: it must be in the bucket."""
    # Where nothing is backed up nobody knows at which offset the connector began.
    first = scope.last + 1 if scope.known else witness.bounds(scope.partition)[0]
    return [(first, end - 1)] if end is not None and end > first else []


def _note_the_rest(witness: Witness, scope: _Scope, report: Report) -> None:
    low, high = witness.bounds(scope.partition)
    name, first = f"partition {scope.partition}", scope.first
    if scope.known and low < first:
        report.notes.append(f"{name}: the backup begins at offset {first}, the topic at {low}")
    behind = high - max(low, scope.last + 1)
    if behind > 0:
        report.notes.append(f"{name}: {behind} offsets are not backed up yet")


def _miss(scope: _Scope, runs: Sequence[Run], reason: str, report: Report) -> None:
    if runs:
        report.findings.append(
            Finding(
                kind="missing", partition=scope.partition, runs=tuple(merged(runs)), reason=reason
            )
        )


def _partition_json(partition: PartitionReport) -> Mapping[str, object]:
    return {
        "partition": partition.partition,
        "first": partition.first,
        "last": partition.last,
        "records": partition.records,
        "objects": partition.objects,
        "bytes": partition.bytes,
        "compared": partition.compared,
        "by_name": partition.by_name,
        "gaps": [{"from": g.first, "to": g.last, "reason": g.reason} for g in partition.gaps],
    }
