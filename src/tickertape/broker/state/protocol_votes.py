"""Which of the classic protocols ("range", "sticky") a group uses: one that all members speak.

Kafka's ClassicGroup.supportsProtocols and selectProtocol.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from tickertape.broker.state.group_types import Member


def some_is_common(protocols: Iterable[tuple[str, bytes]], others: Sequence[Member]) -> bool:
    """Whether every one of the others speaks one and the same of these protocols."""
    return any(
        all(any(name == known for known, _ in other.protocols) for other in others)
        for name, _ in protocols
    )


def elected(members: Sequence[Member]) -> str:
    """Each member votes for its favourite among those that all speak; most votes win."""
    spoken = [{name for name, _ in member.protocols} for member in members]
    common = set.intersection(*spoken)
    votes = Counter(
        next(name for name, _ in member.protocols if name in common) for member in members
    )
    return votes.most_common(1)[0][0]
