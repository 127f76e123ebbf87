"""The next step of one member towards its target (Kafka's CurrentAssignmentBuilder, KIP-848).

First it gives up what it must, and says so; only then does it get others, and of them only those
that nobody holds. So no partition ever has two owners.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tickertape.broker.state.assignors import NOTHING, Parts, TopicPartition
from tickertape.broker.state.consumer_group_types import ConsumerMember, MemberState


@dataclass(frozen=True, slots=True)
class Step:
    """Where the member stands now."""

    epoch: int
    state: MemberState
    assigned: Parts
    revoking: Parts


def next_step(
    member: ConsumerMember,
    target_epoch: int,
    owned: Parts | None,
    holders: Mapping[TopicPartition, str],
) -> Step:
    """Where ``member`` goes, given what it says that it owns (None: nothing new).

    ``holders`` says who holds a partition.
    """
    here = Step(member.epoch, member.state, member.assigned, member.revoking)
    match member.state:
        case MemberState.UNREVOKED_PARTITIONS:
            if owned is None or owned & member.revoking:
                return here
            return _towards(member, member.epoch + 1, target_epoch, owned, holders)
        case MemberState.STABLE if member.epoch == target_epoch:
            return here
        case _:
            return _towards(member, member.epoch, target_epoch, owned, holders)


def _towards(
    member: ConsumerMember,
    epoch: int,
    target_epoch: int,
    owned: Parts | None,
    holders: Mapping[TopicPartition, str],
) -> Step:
    kept = member.assigned & member.target
    revoking = member.assigned - kept
    if revoking and (owned is None or owned & revoking):
        return Step(epoch, MemberState.UNREVOKED_PARTITIONS, kept, revoking)
    wanted = member.target - kept
    free = frozenset(
        where for where in wanted if holders.get(where, member.member_id) == member.member_id
    )
    state = MemberState.STABLE if free == wanted else MemberState.UNRELEASED_PARTITIONS
    return Step(target_epoch, state, kept | free, NOTHING)
