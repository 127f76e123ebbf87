"""A backup against its topic: the same records, encoded again, must give the same content.

Reads each partition once, without isolation (the manifest says which offsets an object holds, and
aborted records are not among them), and a second time, committed records only, where offsets are
in no object although the topic has a record there.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Message

from tickertape.connect.s3.chunk import RecordRejectedError
from tickertape.connect.s3.formats import encoder_for, line_end
from tickertape.connect.s3.inventory import Finding, Holding
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.runs import Run, common, merged, subtract
from tickertape.connect.topic_reader import TopicReader


@dataclass(slots=True)
class Comparison:
    """What the topic said about one partition. Runs are inclusive.

    ``confirmed`` and ``refuted``: keys of objects in no manifest whose records the topic has, and
    whose content these give, or do not in any format. ``unread``: offsets the topic no longer has.
    ``committed`` and ``aborted``: of the gaps asked about, where a record is visible to everybody,
    or only without isolation.
    """

    compared: int = 0
    not_comparable: int = 0
    confirmed: set[str] = field(default_factory=set)
    refuted: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    unread: list[Run] = field(default_factory=list)
    committed: list[Run] = field(default_factory=list)
    aborted: list[Run] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Readers:
    """The topic without and with isolation."""

    uncommitted: TopicReader
    committed: TopicReader


def compare_partition(
    readers: Readers, topic: str, partition: int, holdings: Sequence[Holding], gaps: Sequence[Run]
) -> Comparison:
    """Encode what the topic still has of ``holdings`` and look for records in ``gaps``."""
    result = Comparison()
    low, high = readers.uncommitted.bounds(topic, partition)
    pending: list[_Recount] = []
    for holding in holdings:
        if holding.runs[0][0] < low or holding.runs[-1][1] >= high:
            result.not_comparable += holding.entry is not None
        elif holding.manifest is not None:
            pending.append(_Recount(holding, holding.manifest.layout))
        else:
            pending += [_Recount(holding, layout) for layout in holding.layouts]
    result.unread = common(gaps, [(0, low - 1), (high, max(high, 1 << 62))])
    asked = subtract(gaps, result.unread)
    wanted = merged([*(run for recount in pending for run in recount.holding.runs), *asked])
    present: list[Run] = []
    waiting = sorted(pending, key=lambda recount: recount.first)
    for first, last in _bridged(wanted):
        for records in readers.uncommitted.read(topic, partition, first, last + 1):
            offsets = [message.offset() or 0 for message in records]
            waiting = _count(waiting, records, offsets)
            present += common(asked, _runs_of(offsets)) if asked else []
    for recount in pending:
        if recount.holding.manifest is None:
            _conclude_by_name(recount, result)
        else:
            _conclude(recount, result)
    result.refuted -= result.confirmed
    result.compared += len(result.confirmed)
    result.committed = _visible(readers.committed, topic, partition, present)
    result.aborted = subtract(present, result.committed)
    return result


class _Recount:
    """One object's content as the topic's records give it."""

    def __init__(self, holding: Holding, layout: Layout) -> None:
        self.holding = holding
        self.first, self.last = holding.runs[0][0], holding.runs[-1][1]
        self.records = 0
        self.refusal: str | None = None
        self._digest = hashlib.sha256()
        self._encode = encoder_for(layout)
        self._line_end = line_end(layout)

    def take(self, records: Sequence[Message], offsets: Sequence[int]) -> None:
        """Those of a batch that are this object's."""
        for first, last in self.holding.runs:
            mine = records[bisect_left(offsets, first) : bisect_right(offsets, last)]
            if not mine or self.refusal is not None:
                continue
            try:
                lines = self._encode([message.value() for message in mine])
            except RecordRejectedError as error:
                self.refusal = f"offset {mine[error.index].offset()}: {error.reason}"
                return
            whole = [line for line in lines if line is not None]
            if self.holding.manifest is not None and self.holding.entry is None:
                if whole:
                    self.refusal = "skipped as null values, and the topic has others there"
                continue
            if len(whole) < len(mine):
                self.refusal = f"the topic has null values in {first}-{last}, the object has none"
                return
            self.records += len(mine)
            self._digest.update(self._line_end.join([*whole, b""]))

    def content_sha256(self) -> str:
        """Of what was taken so far."""
        return self._digest.hexdigest()


def _count(
    waiting: list[_Recount], records: Sequence[Message], offsets: Sequence[int]
) -> list[_Recount]:
    """Give a batch to the objects it concerns; return those that may want later ones."""
    for recount in waiting:
        if recount.first > offsets[-1]:
            break
        recount.take(records, offsets)
    return [recount for recount in waiting if recount.last > offsets[-1]]


def _conclude_by_name(recount: _Recount, result: Comparison) -> None:
    """One of the formats that an object in no manifest may be in."""
    holding = recount.holding
    if recount.refusal is None and recount.records < holding.records:
        return  # compaction or retention took some of its records
    same = recount.refusal is None and recount.content_sha256() == holding.content_sha256
    (result.confirmed if same else result.refuted).add(holding.key)


def _conclude(recount: _Recount, result: Comparison) -> None:
    holding = recount.holding
    if holding.entry is None:
        if recount.refusal is not None:
            result.findings.append(
                Finding(
                    kind="missing",
                    partition=holding.partition,
                    runs=holding.runs,
                    reason=recount.refusal,
                )
            )
        return
    if recount.refusal is None and recount.records < holding.entry.records:
        result.not_comparable += 1  # compaction or retention took some of its records
        return
    result.compared += 1
    if recount.refusal is None and recount.content_sha256() == holding.entry.content_sha256:
        return
    reason = recount.refusal or "the manifest's content is not what the topic's records give"
    result.findings.append(
        Finding(
            kind="altered",
            partition=holding.partition,
            runs=holding.runs,
            reason=reason,
            keys=(holding.key,),
        )
    )


def _visible(reader: TopicReader, topic: str, partition: int, runs: Sequence[Run]) -> list[Run]:
    seen: list[Run] = []
    for first, last in merged(runs):
        for records in reader.read(topic, partition, first, last + 1):
            seen += _runs_of([message.offset() or 0 for message in records])
    return common(merged(runs), merged(seen))


def _bridged(runs: Iterable[Run]) -> list[Run]:
    """Reading over a small hole is cheaper than a seek."""
    ranges: list[Run] = []
    for first, last in runs:
        if ranges and first - ranges[-1][1] < 10_000:
            ranges[-1] = (ranges[-1][0], last)
        else:
            ranges.append((first, last))
    return ranges


def _runs_of(offsets: Sequence[int]) -> list[Run]:
    if offsets and offsets[-1] - offsets[0] + 1 == len(offsets):
        return [(offsets[0], offsets[-1])]
    return merged([(offset, offset) for offset in offsets])
