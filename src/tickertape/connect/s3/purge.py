"""How far a topic may be purged: never past what its backup is proven to hold. Pure.

Of each partition the proof must reach without a hole from the first offset there is to the first
that is to stay. An offset passes if the verdict (verify.Report) finds nothing wrong with it, or,
outside of what the backup speaks of, if the topic has no committed record there (markers, aborted
records). Objects that the topic alone proves count only below what the connector's group has
committed: the flush that wrote the later ones may still have to be finished, from these records.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from tickertape.connect.s3.inventory import Finding
from tickertape.connect.s3.runs import Run, common, merged, subtract
from tickertape.connect.s3.verify import HARMLESS, PartitionReport, Report

Reason = Literal["flaw", "before", "behind", "nothing", "unfinished", "open", "stranger"]
_FOREVER: Final = 1 << 63


class Topic(Protocol):
    """What only the topic can tell. connect.s3.witness has the real one."""

    def identity(self) -> str:
        """The topic's id as manifests spell it, or "" if the cluster gives none."""
        ...

    def first_record(self, partition: int, first: int, end: int) -> int:
        """The first offset from ``first`` on that holds a committed record; ``end`` if none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One partition today. ``wanted``: the first offset that is to stay; None: all that is proven.

    ``stable_end`` is the last stable offset: a transaction that is open there has not ended.
    """

    partition: int
    log_start: int
    stable_end: int
    wanted: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why the proof ends where it does. ``finding`` is what verify found, for a "flaw"."""

    reason: Reason
    offset: int
    finding: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What becomes of one partition; offsets are the first ones that stay.

    ``verified_to`` is how far the proof reaches. ``delete_to`` may be lower even where all of
    ``wanted`` is proven: what follows the last stored record (markers) is left, so that the
    connector's committed offset stays within the log. ``stop`` is None if ``wanted`` is proven.
    """

    partition: int
    log_start: int
    wanted: int
    verified_to: int
    delete_to: int
    stop: Stop | None = None

    @property
    def offsets(self) -> int:
        """How many offsets would go: records, and markers among them."""
        return self.delete_to - self.log_start


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a purge would do. ``stranger`` is why the backup is none of this topic, or ""."""

    topic_id: str
    stranger: str
    steps: tuple[Step, ...]

    @property
    def proven(self) -> bool:
        """All that is wanted is proven."""
        return not self.stranger and all(step.stop is None for step in self.steps)


def make_plan(report: Report, standings: Iterable[Standing], topic: Topic) -> Plan:
    """Compare what is wanted with what is proven; asks ``topic`` where the backup says nothing."""
    topic_id = topic.identity()
    stranger = strangeness(report, topic_id)
    steps = []
    for standing in standings:
        stored = [] if stranger else proven(report, standing.partition)
        empty = [
            (first, reached - 1)
            for first, last in unspoken(report, standing)
            if (reached := topic.first_record(standing.partition, first, last + 1)) > first
        ]
        step = decide(report, standing, stored, [] if stranger else empty)
        if stranger and step.stop is not None:
            step = replace(step, stop=Stop(reason="stranger", offset=step.stop.offset))
        steps.append(step)
    return Plan(topic_id=topic_id, stranger=stranger, steps=tuple(steps))


def strangeness(report: Report, topic_id: str) -> str:
    """Why offsets in the backup may not be those of the topic with this id; "" if they are."""
    if not topic_id:
        return (
            "the cluster does not tell the topic's id (Kafka before 3.1, or no right to describe"
            " it): nothing says that the backup is of this very topic"
        )
    strangers = sorted(report.topic_ids - {topic_id})
    if "" in strangers:
        return "manifests say no topic id: they may be of another topic of this name"
    if strangers:
        return (
            f"the backup is of the topic id {', '.join(strangers)}, the topic has {topic_id}:"
            " it was deleted and created again"
        )
    return ""


def proven(report: Report, partition: int) -> list[Run]:
    """Offsets that the backup holds, or rightly does not, and of which nothing is found wrong."""
    judged = _judged(report, partition)
    harmless = {*HARMLESS, "foreign"}  # a stranger's file takes no offset away
    wrong = [finding for finding in report.findings if finding.kind not in harmless]
    if judged is None or any(finding.partition is None for finding in wrong):
        return []
    spoiled = [run for finding in wrong if finding.partition == partition for run in finding.runs]
    unfinished = subtract(judged.confirmed, [(0, (judged.committed or 0) - 1)])
    return subtract([(judged.first, judged.last)], [*spoiled, *unfinished])


def unspoken(report: Report, standing: Standing) -> list[Run]:
    """What is to go before the first and after the last offset that the backup speaks of."""
    judged = _judged(report, standing.partition)
    known = [] if judged is None else [(judged.first, judged.last)]
    end = standing.stable_end
    if standing.wanted is not None:
        end = min(end, standing.wanted)
    elif judged is not None:
        end = min(end, judged.last + 1)
    return subtract([(standing.log_start, end - 1)], known) if standing.log_start < end else []


def decide(report: Report, standing: Standing, stored: Sequence[Run], empty: Sequence[Run]) -> Step:
    """One partition, given what is ``proven`` and where the topic has no committed record."""
    low = verified_to = standing.log_start
    for first, last in merged([*stored, *empty]):
        if first <= verified_to <= last:
            verified_to = last + 1
    limit = max(low, min(verified_to, standing.stable_end))
    wanted = limit if standing.wanted is None else standing.wanted
    going = min(limit, wanted)
    kept = common(stored, [(low, going - 1)]) if low < going else []
    step = Step(
        partition=standing.partition,
        log_start=low,
        wanted=wanted,
        verified_to=limit,
        delete_to=kept[-1][1] + 1 if kept else low,
        stop=_stop(report, standing, limit, verified_to) if wanted > limit else None,
    )
    assert low <= step.delete_to <= max(low, min(wanted, standing.stable_end)), step
    return step


def _stop(report: Report, standing: Standing, limit: int, verified_to: int) -> Stop:
    """What is at ``limit`` that nothing proves."""
    if limit < verified_to or limit == standing.stable_end:
        return Stop(reason="open", offset=limit)
    for finding in report.findings:
        mine = finding.partition == standing.partition and finding.kind not in HARMLESS
        if mine and any(first <= limit <= last for first, last in finding.runs):
            return Stop(reason="flaw", offset=limit, finding=finding)
    judged = _judged(report, standing.partition)
    if judged is None:
        return Stop(reason="nothing", offset=limit)
    if limit < judged.first:
        return Stop(reason="before", offset=limit)
    return Stop(reason="behind" if limit > judged.last else "unfinished", offset=limit)


def _judged(report: Report, partition: int) -> PartitionReport | None:
    """The verdict on a partition; None if the backup says nothing of it."""
    found = (each for each in report.partitions if each.partition == partition)
    return next((each for each in found if each.first >= 0), None)
