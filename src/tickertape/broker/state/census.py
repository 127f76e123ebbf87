"""The state of the whole broker in numbers, at one moment, for its metrics.

Rows are plain tuples: taking them is all that happens in the core's own time.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from tickertape.broker.state.broker import Broker
from tickertape.broker.state.traffic import Traffic
from tickertape.broker.state.transaction import PREPARED, State

_OPEN: Final = PREPARED | {State.ONGOING, State.PREPARE_EPOCH_FENCE}


class PartitionRow(NamedTuple):
    """One open log; offsets as in PartitionLog, ``size`` in bytes."""

    topic: str
    number: int
    start: int
    stable: int
    durable: int
    end: int
    size: int
    segments: int
    failed: bool


class TopicRow(NamedTuple):
    """One topic and what went through its partitions."""

    name: str
    partitions: int
    traffic: Traffic


class OffsetRow(NamedTuple):
    """One committed offset; ``lag`` in records up to the durable end, None without such a log."""

    group: str
    topic: str
    partition: int
    offset: int
    lag: int | None


class GroupRow(NamedTuple):
    """One group; ``state`` as Kafka spells it."""

    group: str
    state: str
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """See the module. Counts are since the start of the broker."""

    topics: list[TopicRow]
    partitions: list[PartitionRow]
    groups: list[GroupRow]
    offsets: list[OffsetRow]
    traffic: Traffic  # of all topics, deleted ones included
    transactions: dict[str, int]  # state -> how many transactional ids
    transactions_open: int
    transaction_oldest_ms: int  # age of the one that is open for longest; 0 if there is none
    producing: int  # requests that wait for the disk
    fetching: int  # long polls
    answered_by_sync: int
    compactions: int
    compactions_failed: int
    compacting: int
    troubles: list[str]


def take_census(broker: Broker) -> Census:
    """Count everything."""
    topics = list(_topics(broker))
    total = Traffic()
    for row in topics:
        total.add(row.traffic)
    total.add(broker.topics.retired)
    transactions = list(broker.transactions)
    begun_ms = [one.started_ms for one in transactions if one.state in _OPEN]
    now_ms = broker.clock.now_ms()
    return Census(
        topics=topics,
        partitions=list(_partitions(broker)),
        groups=[GroupRow(g.group_id, str(g.state), len(g.members)) for g in broker.groups],
        offsets=list(_offsets(broker)),
        traffic=total,
        transactions=Counter(one.state.name for one in transactions),
        transactions_open=len(begun_ms),
        transaction_oldest_ms=max(0, now_ms - min(begun_ms, default=now_ms)),
        producing=len(broker.durability.waits),
        fetching=len(broker.fetch_waits),
        answered_by_sync=broker.durability.waits.answered,
        compactions=broker.upkeep.compactions,
        compactions_failed=broker.upkeep.compactions_failed,
        compacting=broker.upkeep.compacting,
        troubles=broker.troubles(),
    )


def _topics(broker: Broker) -> Iterator[TopicRow]:
    for topic in broker.topics:
        traffic = Traffic()
        for partition in topic.partitions:
            if partition is not None:
                traffic.add(partition)
        yield TopicRow(topic.name, len(topic.partitions), traffic)


def _partitions(broker: Broker) -> Iterator[PartitionRow]:
    for partition in broker.topics.opened():
        log = partition.log
        yield PartitionRow(
            partition.topic,
            partition.index,
            log.log_start_offset,
            log.last_stable_offset,
            log.durable_offset,
            log.end_offset,
            log.size,
            log.segment_count,
            log.failed is not None,
        )


def _offsets(broker: Broker) -> Iterator[OffsetRow]:
    ends = {(p.topic, p.index): p.log.durable_offset for p in broker.topics.opened()}
    offsets = broker.groups.offsets
    for group in offsets.group_ids():
        for where, committed in offsets.of_group(group).items():
            end = ends.get(where)
            lag = None if end is None else max(0, end - committed.offset)
            yield OffsetRow(group, *where, committed.offset, lag)
