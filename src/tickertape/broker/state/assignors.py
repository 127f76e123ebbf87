"""Who reads which partition: the server-side assignors of KIP-848, ``uniform`` and ``range``.

Pure functions from members, their subscriptions and what each was to read before, to what each is
to read now. Both guarantee that every partition of a topic with a subscriber has exactly one owner,
who is subscribed to it, and that equal questions get equal answers.

``uniform`` (Kafka's UniformAssignor) spreads all partitions evenly and moves as few as that allows.
``range`` (RangeAssignor) gives each member a contiguous range of each topic, in the order of
instance ids, then member ids, so that topics with equally many partitions are co-partitioned.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import heapreplace
from typing import Final, TypeAlias
from uuid import UUID

TopicPartition: TypeAlias = tuple[UUID, int]
Parts: TypeAlias = frozenset[TopicPartition]

NOTHING: Final[Parts] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """One member: the topics it reads, and what it was to read until now."""

    instance_id: str | None
    topics: frozenset[UUID]
    before: Parts


Subscribers: TypeAlias = Mapping[str, Subscriber]
Sizes: TypeAlias = Mapping[UUID, int]
"""How many partitions each topic has."""

Assignor: TypeAlias = Callable[[Subscribers, Sizes], dict[str, Parts]]


def uniform(members: Subscribers, sizes: Sizes) -> dict[str, Parts]:
    """Even, and sticky."""
    readers = _readers(members, sizes)
    shares: dict[str, set[TopicPartition]] = {member_id: set() for member_id in members}
    taken: set[TopicPartition] = set()
    for member_id in sorted(members):
        member = members[member_id]
        for where in member.before:
            topic, index = where
            if topic in member.topics and index < sizes.get(topic, 0) and where not in taken:
                shares[member_id].add(where)
                taken.add(where)
    if all(member.topics == next(iter(members.values())).topics for member in members.values()):
        _cut_to_quota(shares, taken, sum(sizes[topic] for topic in readers))
    ids: list[str] = []
    least: list[tuple[int, str]] = []  # a heap: the size of its share, and the reader
    for topic, own in readers.items():
        if own != ids:  # else nothing has changed but what the heap knows
            ids = own
            least = sorted((len(shares[member_id]), member_id) for member_id in ids)
        for index in range(sizes[topic]):
            if (topic, index) not in taken:
                size, member_id = least[0]
                shares[member_id].add((topic, index))
                heapreplace(least, (size + 1, member_id))
    _level(shares, readers)
    return {member_id: frozenset(share) for member_id, share in shares.items()}


def _readers(members: Subscribers, sizes: Sizes) -> dict[UUID, list[str]]:
    """The subscribers of each topic that has any, both in a fixed order."""
    readers: dict[UUID, list[str]] = {}
    for member_id in sorted(members):
        for topic in members[member_id].topics:
            if topic in sizes:
                readers.setdefault(topic, []).append(member_id)
    return dict(sorted(readers.items()))


def _cut_to_quota(
    shares: dict[str, set[TopicPartition]], taken: set[TopicPartition], partitions: int
) -> None:
    """All read the same: nobody keeps more than an even share, and the remainder goes to some."""
    quota, extras = divmod(partitions, max(len(shares), 1))
    for member_id in sorted(shares):
        share = shares[member_id]
        room = quota
        if len(share) > quota and extras:
            room, extras = quota + 1, extras - 1
        for where in sorted(share, reverse=True)[: max(0, len(share) - room)]:
            share.remove(where)
            taken.remove(where)


def _level(shares: dict[str, set[TopicPartition]], readers: dict[UUID, list[str]]) -> None:
    """Move single partitions while that makes two members more equal.

    Ends: each move makes the sum of the squares of all shares smaller.
    """
    moved = bool(shares)
    while moved:
        moved = False
        fewest = min(map(len, shares.values()))
        for giver in sorted(shares, key=lambda member_id: (-len(shares[member_id]), member_id)):
            if len(shares[giver]) <= fewest + 1:
                break
            for where in sorted(shares[giver]):
                ids = readers[where[0]]
                taker = min(ids, key=lambda member_id: (len(shares[member_id]), member_id))
                if len(shares[taker]) + 1 < len(shares[giver]):
                    shares[giver].remove(where)
                    shares[taker].add(where)
                    moved = True


def range_(members: Subscribers, sizes: Sizes) -> dict[str, Parts]:
    """Contiguous ranges, topic by topic."""
    shares: dict[str, set[TopicPartition]] = {member_id: set() for member_id in members}
    for topic, ids in _readers(members, sizes).items():
        ids.sort(key=lambda member_id: _range_order(member_id, members[member_id]))
        quota, extras = divmod(sizes[topic], len(ids))
        at = 0
        for place, member_id in enumerate(ids):
            until = at + quota + (place < extras)
            shares[member_id].update((topic, index) for index in range(at, until))
            at = until
    return {member_id: frozenset(share) for member_id, share in shares.items()}


def _range_order(member_id: str, member: Subscriber) -> tuple[bool, str]:
    return member.instance_id is None, member.instance_id or member_id


ASSIGNORS: Final[Mapping[str, Assignor]] = {"uniform": uniform, "range": range_}
