"""The coordinator's part for groups of KIP-848: heartbeats in, records out, answers when durable.

A heartbeat is answered when its records are on disk; one that changes nothing, when those of the
heartbeats before it are: else it would tell of what a crash takes back.
If they cannot be stored, the member is told to find a coordinator, and everything of the group is
stored again with the next change.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final, TypeAlias
from uuid import UUID

from tickertape.base.ports import Clock, Rng
from tickertape.broker.state.consumer_group import ConsumerGroup
from tickertape.broker.state.consumer_group_records import (
    StoredConsumerGroup,
    consumer_group_records,
)
from tickertape.broker.state.consumer_group_types import (
    HeartbeatAnswer,
    HeartbeatAsk,
    TopicView,
)
from tickertape.broker.state.durability import Durability
from tickertape.broker.state.group_configs import GroupConfigs
from tickertape.broker.state.internal_log import Commit
from tickertape.broker.state.offsets import OffsetsLog
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.records import Record

HeartbeatDone: TypeAlias = Callable[[HeartbeatAnswer], None]
CommitDone: TypeAlias = Callable[[ErrorCode], None]


class ConsumerGroups:
    """See the module. Which groups there are is the business of ``Groups``."""

    def __init__(
        self,
        log: OffsetsLog,
        durability: Durability,
        clock: Clock,
        topics: TopicView,
        configs: GroupConfigs,
    ) -> None:
        self._log = log
        self._durability = durability
        self._clock = clock
        self._topics = topics
        self.limits_of: Final = configs.limits_of

    def create(self, group_id: str) -> ConsumerGroup:
        """A new group, without members."""
        return ConsumerGroup(group_id, self.limits_of(group_id), self._topics)

    def restored(self, group_id: str, stored: StoredConsumerGroup) -> ConsumerGroup:
        """A group as the log has it."""
        group = self.create(group_id)
        group.epoch, group.target_epoch = max(stored.epoch, 1), stored.target_epoch
        group.metadata_hash = stored.metadata_hash
        group.restore(stored.whole_members(), self._clock.monotonic_ms())
        group.take_touched()
        return group

    def heartbeat(
        self, group: ConsumerGroup, ask: HeartbeatAsk, done: HeartbeatDone, first: list[Record]
    ) -> None:
        """One heartbeat. ``first`` are records that must be stored before the group's own."""
        answer = group.heartbeat(ask, self._clock.monotonic_ms())

        def stored(error: ErrorCode) -> None:
            done(answer if error is ErrorCode.NONE else HeartbeatAnswer(error=error))

        self.save(group, stored, first)

    def save(self, group: ConsumerGroup, done: CommitDone, first: list[Record]) -> None:
        """Store what has changed; ``done`` once that is durable or has failed."""
        touched = group.take_touched()
        if not touched and not first:
            waiter = Commit(self._durability, self._log.deadline_ms(), _ignore, done)
            self._log.follow(group.group_id, waiter)
            return

        def settled(error: ErrorCode) -> None:
            if error is not ErrorCode.NONE:
                group.touch_all(touched)

        records = first + consumer_group_records(group, touched, self._clock.now_ms())
        waiter = Commit(self._durability, self._log.deadline_ms(), settled, done)
        self._log.append(group.group_id, records, waiter)


def _ignore(error: ErrorCode) -> None:
    """Nothing was to be stored."""


def fresh_member_id(rng: Rng) -> str:
    """A member id as Kafka makes them for clients of version 0: a UUID in URL-safe base64."""
    return urlsafe_b64encode(UUID(bytes=rng.token(16), version=4).bytes).decode().rstrip("=")
