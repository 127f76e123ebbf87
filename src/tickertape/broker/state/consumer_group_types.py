"""The words of the consumer group machine (KIP-848): states, members, questions and answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, Protocol, TypeAlias
from uuid import UUID

from tickertape.broker.state.assignors import NOTHING, Parts
from tickertape.wire.error_codes import ErrorCode

NEVER_MS: Final = 1 << 62
JOINING: Final = 0
LEAVING: Final = -1
LEAVING_FOR_NOW: Final = -2
"""Member epochs that are no epochs but wishes; the last is that of a static member."""


class ConsumerGroupState(StrEnum):
    """Kafka's names, as ConsumerGroupDescribe and ListGroups spell them."""

    EMPTY = "Empty"
    ASSIGNING = "Assigning"
    RECONCILING = "Reconciling"
    STABLE = "Stable"
    DEAD = "Dead"


class MemberState(IntEnum):
    """How far a member is on its way to its target, with the numbers of Kafka's records."""

    STABLE = 0
    UNREVOKED_PARTITIONS = 1  # it has to give some up, and to say so, before it gets others
    UNRELEASED_PARTITIONS = 2  # some of its target are still held by others


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerGroupLimits:
    """What a group may do. Times in ms, sizes in members."""

    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 5_000
    size_max: int = 2**31 - 1
    assignors: tuple[str, ...] = ("uniform", "range")

    def __post_init__(self) -> None:
        """A group that admits nobody or cannot assign is a mistake of ours."""
        assert self.size_max > 0
        assert self.session_timeout_ms > 0
        assert self.heartbeat_interval_ms > 0
        assert self.assignors


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a member says of itself."""

    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    rebalance_timeout_ms: int = -1
    topic_names: frozenset[str] = frozenset()
    topic_regex: str | None = None
    assignor: str | None = None


NOTHING_YET: Final = About()


@dataclass(slots=True, kw_only=True)
class ConsumerMember:
    """One member. ``assigned`` is what it may read, ``revoking`` what it has yet to give up.

    The deadlines (monotonic ms) are not stored; all else is.
    """

    member_id: str
    instance_id: str | None = None
    about: About = NOTHING_YET
    epoch: int = JOINING
    previous_epoch: int = JOINING
    state: MemberState = MemberState.STABLE
    assigned: Parts = NOTHING
    revoking: Parts = NOTHING
    target: Parts = NOTHING
    session_deadline_ms: int = NEVER_MS
    revoke_deadline_ms: int = NEVER_MS

    @property
    def deadline_ms(self) -> int:
        """When it will have been silent, or have kept what it must give up, for too long."""
        return min(self.session_deadline_ms, self.revoke_deadline_ms)

    @property
    def held(self) -> Parts:
        """What nobody else may get."""
        return self.assigned | self.revoking


Sees: TypeAlias = Callable[[str], bool]
"""Whether somebody may know of the topic of that name."""


def sees_all(name: str) -> bool:
    """Where no rights are asked for."""
    return bool(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatAsk:
    """One ConsumerGroupHeartbeat; None where nothing has changed since the last.

    ``owned`` is what the member holds, which it says when it joins and when that has changed.
    """

    member_id: str
    epoch: int
    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    rebalance_timeout_ms: int = -1
    topic_names: frozenset[str] | None = None
    topic_regex: str | None = None
    assignor: str | None = None
    owned: Parts | None = None
    sees: Sees = field(default=sees_all, compare=False)

    @property
    def is_full(self) -> bool:
        """It says everything, and so wants to be told everything."""
        subscribed = self.topic_names is not None or self.topic_regex is not None
        says_all = self.rebalance_timeout_ms != -1 and subscribed and self.owned is not None
        return self.epoch == JOINING or says_all


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatAnswer:
    """What the member is told; ``assigned`` None: no change."""

    error: ErrorCode = ErrorCode.NONE
    message: str | None = None
    member_id: str | None = None
    epoch: int = 0
    heartbeat_interval_ms: int = 0
    assigned: Parts | None = None


@dataclass(slots=True)
class Touched:
    """What of a group is to be stored again; members that are no more become tombstones."""

    group_epoch: bool = False
    target_epoch: bool = False
    members: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    currents: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Anything at all."""
        return bool(
            self.group_epoch or self.target_epoch or self.members or self.targets or self.currents
        )


class TopicView(Protocol):
    """What a group must know about topics."""

    @property
    def changes(self) -> int:
        """A number that grows whenever a topic comes, goes or grows."""
        ...

    def shape_of(self, name: str) -> tuple[UUID, int] | None:
        """Id and number of partitions; None: no such topic."""
        ...

    def names(self) -> list[str]:
        """Of all topics."""
        ...
