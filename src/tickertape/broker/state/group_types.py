"""The words of the group machine: its states, members, questions, and the effects it asks for.

A ``ticket`` says where an answer goes. The machine hands it back in an effect and never calls it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from tickertape.wire.error_codes import ErrorCode

JoinTicket: TypeAlias = "Callable[[JoinAnswer], None]"
SyncTicket: TypeAlias = "Callable[[SyncAnswer], None]"


class GroupState(StrEnum):
    """Kafka's names, as DescribeGroups and ListGroups spell them."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


LEGAL: Final[Mapping[GroupState, frozenset[GroupState]]] = {
    GroupState.EMPTY: frozenset({GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
    GroupState.PREPARING_REBALANCE: frozenset(
        {GroupState.COMPLETING_REBALANCE, GroupState.EMPTY, GroupState.DEAD}
    ),
    GroupState.COMPLETING_REBALANCE: frozenset(
        {GroupState.STABLE, GroupState.PREPARING_REBALANCE, GroupState.DEAD}
    ),
    GroupState.STABLE: frozenset({GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
    GroupState.DEAD: frozenset(),
}
assert LEGAL.keys() == set(GroupState)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """What a group may do. Times in ms, sizes in members."""

    initial_rebalance_delay_ms: int = 0
    size_max: int = 2**31 - 1
    new_member_join_timeout_ms: int = 300_000

    def __post_init__(self) -> None:
        """A group that admits nobody, or waits a negative time, is a mistake of ours."""
        assert self.size_max > 0
        assert self.initial_rebalance_delay_ms >= 0
        assert self.new_member_join_timeout_ms > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinAsk:
    """One JoinGroup request. ``fresh_id`` is the member id to give if a new one is needed."""

    ticket: JoinTicket
    member_id: str
    instance_id: str | None
    fresh_id: str
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocol_type: str
    protocols: tuple[tuple[str, bytes], ...]
    id_required: bool  # v4+ (KIP-394): a new dynamic member must come back with its id
    may_skip_assignment: bool  # v9+ (KIP-814)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAsk:
    """One SyncGroup request; ``assignments`` by member id, from the leader only."""

    ticket: SyncTicket
    member_id: str
    instance_id: str | None
    generation: int
    protocol_type: str | None = None
    protocol: str | None = None
    assignments: Mapping[str, bytes]


@dataclass(slots=True, kw_only=True)
class Member:
    """One member; ``join_ticket`` and ``sync_ticket`` are set while it waits for an answer."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]
    assignment: bytes = b""
    join_ticket: "JoinTicket | None" = None
    sync_ticket: "SyncTicket | None" = None
    is_new: bool = False
    deadline_ms: int = 0

    @property
    def waits(self) -> bool:
        """A member that waits for our answer cannot heartbeat, so its session does not expire."""
        return self.join_ticket is not None or self.sync_ticket is not None

    def metadata(self, protocol: str) -> bytes:
        """The subscription it sent for ``protocol``; b"" if it does not speak it."""
        for name, metadata in self.protocols:
            if name == protocol:
                return metadata
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinAnswer:
    """Effect: answer a JoinGroup. ``members`` are (member id, instance id, subscription)."""

    ticket: JoinTicket
    error: ErrorCode = ErrorCode.NONE
    member_id: str = ""
    generation: int = -1
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    skip_assignment: bool = False
    members: tuple[tuple[str, str | None, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAnswer:
    """Effect: answer a SyncGroup."""

    ticket: SyncTicket
    error: ErrorCode = ErrorCode.NONE
    protocol_type: str | None = None
    protocol: str | None = None
    assignment: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """Effect: make the group, as it is now, durable; then tell ``Group.saved`` how that went."""

    generation: int


Effect: TypeAlias = JoinAnswer | SyncAnswer | Save
