"""A topic and its consumer group in memory: the fake of connect.runtime.source.Source.

FakeCluster survives its members, as brokers survive workers. One topic, one group; members are told
of rebalances in ``poll``. Cut or rebalance in ``on_commit``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tickertape.base.fakes import FakeClock
from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.runtime.source import Arrival, Assignee, Committed
from tickertape.connect.s3.chunk import Chunk
from tickertape.connect.s3.commit import CommitOutcome, GroupError


@dataclass
class FakeCluster:
    clock: FakeClock
    topic: str = "ticks"
    topic_id: str = "AAAAAAAAAAAAAAAAAAAAAQ"
    partitions: int = 1
    metadata_bytes_max: int = 4096
    # partition -> [(offset, timestamp, value)]; offsets may have gaps
    log: dict[int, list[tuple[int, int, bytes | None]]] = field(default_factory=dict)
    log_start: dict[int, int] = field(default_factory=dict)
    committed: dict[TopicPartition, Committed] = field(default_factory=dict)
    commits: list[tuple[TopicPartition, int, str]] = field(default_factory=list)
    generation: int = 0
    members: list["FakeSource"] = field(default_factory=list)
    on_commit: Callable[[TopicPartition, int, str], None] = lambda *_: None
    poll_ms: int = 0  # what every poll takes
    quiet_polls: int = 0  # so many polls bring nothing after each that brings something
    lost_answers: int = 0  # so many commits are done and answered with a timeout

    def tp(self, partition: int) -> TopicPartition:
        return TopicPartition(TopicName(self.topic), PartitionIndex(partition))

    def produce(self, value: bytes | None, partition: int = 0, timestamp: int = 0) -> int:
        records = self.log.setdefault(partition, [])
        offset = self.end(partition)
        records.append((offset, timestamp, value))
        return offset

    def end(self, partition: int) -> int:
        records = self.log.get(partition)
        return records[-1][0] + 1 if records else 0

    def rebalance(self) -> None:
        self.generation += 1
        for member in self.members:
            member.must_rejoin = True


class FakeSource:
    def __init__(self, cluster: FakeCluster, *, with_timestamps: bool = True) -> None:
        self.cluster = cluster
        self.with_timestamps = with_timestamps
        self.stamped: set[TopicPartition] = set()
        self.polls = 0
        self.must_rejoin = False
        self.asleep = False  # a zombie: it does not see rebalances, and acts in the old generation
        self.generation = -1
        self.mine: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.told_end: set[TopicPartition] = set()
        self._assignee: Assignee | None = None

    def open(self, assignee: Assignee) -> None:
        self._assignee = assignee
        self.cluster.members.append(self)
        self.cluster.rebalance()

    def poll(self, records_max: int, timeout_ms: int) -> Sequence[Arrival]:
        assert self._assignee is not None
        if self.must_rejoin and not self.asleep:
            self._rejoin(self._assignee)
            return []
        arrivals: list[Arrival] = []
        self.cluster.clock.advance(self.cluster.poll_ms)
        self.polls += 1
        if self.polls % (1 + self.cluster.quiet_polls):
            return []
        for tp, position in self.mine.items():
            if tp not in self.paused:
                arrivals += self._read(tp, position, records_max)
        if not arrivals:
            self.cluster.clock.advance(timeout_ms)
        return arrivals

    def _rejoin(self, assignee: Assignee) -> None:
        self.must_rejoin = False
        if self.mine:
            assignee.revoked(list(self.mine))
        self.generation = self.cluster.generation
        members = self.cluster.members
        turn = members.index(self)
        mine = [self.cluster.tp(p) for p in range(turn, self.cluster.partitions, len(members))]
        self.paused.clear()
        self.told_end.clear()
        self.stamped.clear()
        self.mine = dict(assignee.assigned(mine))

    def _read(self, tp: TopicPartition, position: int, records_max: int) -> list[Arrival]:
        everything = self.cluster.log.get(tp.partition, [])
        found = [record for record in everything if record[0] >= position][:records_max]
        end = self.cluster.end(tp.partition)
        if not found:
            if tp in self.told_end:
                return []
            self.told_end.add(tp)
            return [Arrival(tp, end=max(end, position))]
        self.told_end.discard(tp)
        self.mine[tp] = found[-1][0] + 1
        offsets, stamps, values = zip(*found, strict=True)
        stamped = self.with_timestamps or tp in self.stamped
        return [Arrival(tp, Chunk(offsets, values, stamps if stamped else ()))]

    def commit(self, tp: TopicPartition, offset: int, metadata: str) -> CommitOutcome:
        cluster = self.cluster
        cluster.on_commit(tp, offset, metadata)  # what happens on the way to the coordinator
        if self.generation != cluster.generation or tp not in self.mine:
            return CommitOutcome.FENCED
        if len(metadata) > cluster.metadata_bytes_max:
            return CommitOutcome.TOO_LONG
        cluster.committed[tp] = Committed(offset, metadata)
        cluster.commits.append((tp, offset, metadata))
        if cluster.lost_answers:
            cluster.lost_answers -= 1
            raise GroupError("no answer, as ordered", retriable=True)
        return CommitOutcome.DONE

    def committed(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        return {tp: self.cluster.committed.get(tp, Committed(None)) for tp in tps}

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        return self.cluster.log_start.get(tp.partition, 0), self.cluster.end(tp.partition)

    def topic_id(self, topic: str) -> str:
        return self.cluster.topic_id

    def keep_timestamps(self, tp: TopicPartition) -> None:
        self.stamped.add(tp)

    def pause(self, tp: TopicPartition) -> None:
        self.paused.add(tp)

    def resume(self, tp: TopicPartition) -> None:
        self.paused.discard(tp)
        self.told_end.discard(tp)

    def close(self) -> None:
        self.cluster.members.remove(self)
        self.cluster.rebalance()
