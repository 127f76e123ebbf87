"""What the clients were told, and when: the only knowledge by which the broker is judged.

Shares no code with the broker but the wire codecs. A moment is a world's step; ``None`` is never.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from uuid import UUID

from tests.simulation.verdict import demand
from tests.simulation.world import World

Where: TypeAlias = tuple[str, int]
Part: TypeAlias = tuple[UUID, int]
Ending: TypeAlias = Literal["open", "commit", "abort"]
Kind: TypeAlias = Literal["plain", "compacted", "retained", "volatile"]


@dataclass(eq=False, slots=True)
class Topic:
    """A name that clients write to. A volatile one is deleted and made again."""

    name: str
    kind: Kind
    partitions: int
    created_steps: list[int] = field(default_factory=list)  # answered creations
    deletions: list[tuple[int, int | None]] = field(default_factory=list)  # asked, answered


@dataclass(eq=False, slots=True)
class Txn:
    """One transaction, as its producer sees it."""

    producer: str
    epoch: int
    number: int
    asked: Ending = "open"
    answered: bool = False
    written: bool = False  # at least one batch was sent
    group_offset: tuple[str, Where, int] | None = None

    def __str__(self) -> str:
        return f"{self.producer}/{self.epoch}#{self.number}"


@dataclass(eq=False, slots=True)
class Sent:
    """One record that a client sent; its value is unique in the run."""

    value: str
    key: str
    where: Where
    producer: str
    owner: tuple[int, int]  # producer id and epoch
    order: int  # per producer id, epoch and partition
    sent: int  # when it was sent first
    life: int  # how many unclean starts came before that
    at_ms: int  # its timestamp
    topic_id: UUID | None = None  # None: it was sent to a name
    tombstone: bool = False
    txn: Txn | None = None
    acked: int | None = None
    acked_life: int = -1
    offset: int = -1
    sent_again: bool = False

    def __str__(self) -> str:
        told = f"acked at offset {self.offset}" if self.acked is not None else "not acked"
        return f"{self.value} ({self.where[0]}-{self.where[1]}, {told})"


@dataclass(eq=False, slots=True)
class Attempt:
    """One commit of one group's offset in one partition."""

    offset: int
    asked: int
    answered: int | None = None
    refused: bool = False
    txn: Txn | None = None


@dataclass(eq=False, slots=True)
class Marks:
    """The highest that a partition ever told anyone."""

    high_watermark: int = 0
    last_stable: int = 0
    log_start: int = 0
    deleted_below: int = 0  # a DeleteRecords was answered
    deletable_below: int = 0  # one was asked for
    seen: dict[int, str] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)  # offset -> leader epoch of its batch


class Model:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.topics: dict[str, Topic] = {}
        self.sent: dict[str, Sent] = {}
        self.txns: list[Txn] = []
        self.commits: dict[tuple[str, Where], list[Attempt]] = {}
        self.marks: dict[Where, Marks] = {}
        self.given: dict[tuple[int, int], str] = {}  # producer id, epoch -> whom it was given to
        self.owned_since: dict[str, list[tuple[int, int]]] = {}  # id -> (epoch, when answered)
        self.assigned: dict[tuple[str, int], dict[str, frozenset[Where]]] = {}
        self.seen_by_id: dict[tuple[UUID, int, int], str] = {}
        self.owners: dict[tuple[str, Part], dict[str, int]] = {}  # member -> until when, ms
        self.wall_max_ms = 0
        self.counts: dict[str, int] = {}

    def count(self, what: str) -> None:
        """So that a report can say what a seed has really done."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def marks_of(self, where: Where) -> Marks:
        return self.marks.setdefault(where, Marks())

    # -- producers

    def given_out(self, name: str, producer_id: int, epoch: int, *, transactional: bool) -> None:
        """An InitProducerId was answered."""
        self.count("producer ids")
        other = self.given.setdefault((producer_id, epoch), name)
        demand(other == name, f"{name} and {other} both own producer {producer_id}/{epoch}")
        if not transactional:
            demand(epoch == 0, f"{name} got epoch {epoch} of a fresh producer id, want 0")
        twins = {who for (pid, _), who in self.given.items() if pid == producer_id}
        demand(twins == {name}, f"producer id {producer_id} was given to {sorted(twins)}")
        if transactional:
            since = self.owned_since.setdefault(name, [])
            since.append((epoch, self._world.step))

    def acked(self, sent: Sent, offset: int, life: int) -> None:
        """A Produce was answered with NONE."""
        self.count("acked")
        if sent.acked is None:
            sent.acked = self._world.step
            sent.offset = offset
            sent.acked_life = life
        kind = self.topics[sent.where[0]].kind
        if kind != "volatile" or sent.topic_id is not None:
            demand(sent.offset == offset, f"{sent} was acked again, at offset {offset}")

    # -- consumers

    def known(self, where: Where) -> tuple[int, int, int]:
        """What has been told of it so far: no later question may be answered with less."""
        marks = self.marks_of(where)
        return marks.high_watermark, marks.last_stable, marks.log_start

    def told(self, where: Where, before: tuple[int, int, int], now: tuple[int, int, int]) -> None:
        """A Fetch was answered; ``before`` was known when it was asked."""
        marks = self.marks_of(where)
        name = f"{where[0]}-{where[1]}"
        words = ("high watermark", "last stable offset", "log start offset")
        for what, got, least in zip(words, now, before, strict=True):
            demand(got >= least, f"{name}: the {what} went back from {least} to {got}")
        high, stable, start = now
        demand(start <= stable <= high, f"{name}: want {start} <= {stable} <= {high}")
        marks.high_watermark = max(marks.high_watermark, high)
        marks.last_stable = max(marks.last_stable, stable)
        marks.log_start = max(marks.log_start, start)

    def read(self, where: Where, offset: int, value: str, epoch: int) -> None:
        """A record was read: whoever reads that offset again reads the same."""
        marks = self.marks_of(where)
        before = marks.seen.setdefault(offset, value)
        name = f"{where[0]}-{where[1]}"
        demand(before == value, f"{name} offset {offset} was {before!r}, is {value!r}")
        was = marks.epochs.setdefault(offset, epoch)
        demand(was == epoch, f"{name} offset {offset} had leader epoch {was}, has {epoch}")
        self.count("reads")

    def read_by_id(self, topic_id: UUID, index: int, offset: int, value: str) -> None:
        """A record was read from the topic of that id, of which nothing may ever change."""
        before = self.seen_by_id.setdefault((topic_id, index, offset), value)
        where = f"{topic_id}-{index} offset {offset}"
        demand(before == value, f"{where} was {before!r}, is {value!r}")
        sent = self.sent.get(value)
        demand(sent is not None, f"{where} is {value!r}, which nobody sent")
        assert sent is not None
        theirs = sent.topic_id
        demand(theirs in {None, topic_id}, f"{sent}, sent to topic {theirs}, is at {where}")
        self.count("reads by id")

    def visible(self, value: str) -> None:
        """A read_committed consumer was shown it."""
        sent = self.sent.get(value)
        demand(sent is not None, f"{value!r} was read, and nobody ever sent it")
        if sent is not None and sent.txn is not None:
            shown = f"{sent} of transaction {sent.txn} was shown to read_committed"
            demand(sent.txn.asked == "commit", f"{shown}, it was asked to {sent.txn.asked}")

    # -- groups

    def assigned_to(self, group: str, generation: int, member: str, parts: list[Where]) -> None:
        """A SyncGroup was answered: nobody else may have these partitions in that generation."""
        self.count("assignments")
        owners = self.assigned.setdefault((group, generation), {})
        owners[member] = frozenset(parts)
        for other, theirs in owners.items():
            if other != member:
                both = sorted(theirs & owners[member])
                demand(
                    not both,
                    f"{group} generation {generation}: {member} and {other} both own {both}",
                )

    def owns(self, group: str, member: str, parts: frozenset[Part], until_ms: int) -> None:
        """A member of the consumer protocol owns these and no others, until then at least.

        That may be over when the answer comes: then it owns nothing that another could not have.
        """
        if until_ms <= self._world.now_ms:
            parts = frozenset()
        for (its_group, part), owners in self.owners.items():
            if its_group == group and part not in parts:
                owners.pop(member, None)
        for part in parts:
            owners = self.owners.setdefault((group, part), {})
            others = [
                n for n, end_ms in owners.items() if n != member and end_ms > self._world.now_ms
            ]
            demand(not others, f"{group}: {member} and {others} both own {part}")
            if member not in owners:
                self.count("partitions given")
            owners[member] = max(until_ms, owners.get(member, 0))

    def committed(self, group: str, where: Where, found: int, asked: int) -> None:
        """An OffsetFetch, asked at that step, was answered with ``found`` (-1: none)."""
        attempts = [a for a in self.commits.get((group, where), []) if not a.refused]
        deletions = self.topics[where[0]].deletions
        legal = legal_offsets(attempts, deletions, asked)
        demand(
            found in legal,
            f"{group} at {where[0]}-{where[1]}: got committed offset {found}, want one of "
            f"{sorted(legal)}",
        )
        self.count("offset fetches")


def legal_offsets(
    attempts: list[Attempt], deletions: list[tuple[int, int | None]], asked: int
) -> set[int]:
    """What a register may hold when it is read: nothing that was over before a later write began.

    A deletion of the topic empties it: what was answered before it is dead, what was asked for
    before it was over may be.
    """
    over = [(d0, d1) for d0, d1 in deletions if d1 is not None and d1 < asked]
    dead_before = max((d0 for d0, _ in over), default=-1)
    safe_after = asked if len(over) < len(deletions) else max((d1 for _, d1 in over), default=-1)
    alive = [a for a in attempts if a.answered is None or a.answered >= dead_before]
    sure = [a for a in alive if a.answered is not None and a.answered < asked]
    last_start = max((a.asked for a in sure if a.asked > safe_after), default=-1)
    legal = {a.offset for a in alive if a.answered is None or a.answered >= last_start}
    if last_start < 0:
        legal.add(-1)
    return legal
