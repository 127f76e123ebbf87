"""The group coordinator: all groups of this broker, their timers, their committed offsets.

Feeds requests and time to the Group machines and performs the effects they ask for: answers go to
their tickets, Save becomes a record of ``__consumer_offsets`` and comes back when it is durable.
Everything is rebuilt from that topic at start.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never
from uuid import UUID

from tickertape.base.ports import Clock, Rng
from tickertape.broker.state.consumer_group import ConsumerGroup
from tickertape.broker.state.consumer_group_records import (
    StoredConsumerGroup,
    apply_record,
    consumer_group_tombstones,
)
from tickertape.broker.state.consumer_group_types import (
    JOINING,
    HeartbeatAnswer,
    HeartbeatAsk,
)
from tickertape.broker.state.consumer_groups import (
    ConsumerGroups,
    HeartbeatDone,
    fresh_member_id,
)
from tickertape.broker.state.durability import Durability
from tickertape.broker.state.group import NEVER_MS, Group
from tickertape.broker.state.group_types import (
    Effect,
    GroupLimits,
    JoinAnswer,
    JoinAsk,
    Save,
    SyncAnswer,
    SyncAsk,
)
from tickertape.broker.state.internal_log import Commit
from tickertape.broker.state.offset_records import (
    Committed,
    ConsumerGroupChange,
    OffsetChange,
    StoredGroup,
    TopicIndex,
    group_record,
    group_tombstone,
    offset_record,
    read_changes,
)
from tickertape.broker.state.offsets import CommittedOffsets, OffsetsLog
from tickertape.broker.state.pending_offsets import PendingOffsets, Place
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.subscriptions import AnyGroup, is_subscribed, may_lose_offsets
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.records import Record

_MINUTE_MS: Final = 60_000
_NAME_LENGTH_MAX: Final = 249
_FIRST_WITH_EPOCHS: Final = 9  # of OffsetCommit


CommitDone: TypeAlias = Callable[[ErrorCode], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Who says so: what a group request carries to prove that its sender is a member."""

    member_id: str = ""
    instance_id: str | None = None
    generation: int = -1


class Groups:
    """See the module."""

    def __init__(
        self,
        settings: BrokerSettings,
        log: OffsetsLog,
        durability: Durability,
        clock: Clock,
        rng: Rng,
        consumer_groups: ConsumerGroups,
    ) -> None:
        self.consumer_groups = consumer_groups
        self.offsets = CommittedOffsets()
        self.pending = PendingOffsets()
        self._settings = settings
        self._log = log
        self._durability = durability
        self._clock = clock
        self._rng = rng
        self._limits = GroupLimits(
            initial_rebalance_delay_ms=settings.group_initial_rebalance_delay_ms,
            size_max=settings.group_max_size,
        )
        self._groups: dict[str, AnyGroup] = {}
        self._uncommitted: dict[str, list[dict[TopicIndex, Committed]]] = {}  # not yet on disk
        self._timers: list[tuple[int, str]] = []  # deadline, group id; some of them outdated
        self._scheduled: dict[str, int] = {}  # group id -> its earliest entry in _timers

    # -- start -------------------------------------------------------------------------------

    def load(self) -> int:
        """Rebuild everything from the offsets log; returns the number of groups."""
        stored: dict[str, StoredGroup] = {}
        consumers: dict[str, StoredConsumerGroup] = {}
        for index, batch in self._log.replay():
            place = (batch.header.producer_id, index)
            if batch.marker is not None:
                self.end_transaction(*place, committed=batch.marker.committed)
            for change in read_changes(batch.records):
                if isinstance(change, OffsetChange):
                    self._replay(change, place if batch.header.is_transactional else None)
                elif isinstance(change, ConsumerGroupChange):
                    apply_record(consumers, change.kind, change.key, change.value)
                elif change.stored is None:
                    stored.pop(change.group_id, None)
                else:
                    stored[change.group_id] = change.stored
                    consumers.pop(change.group_id, None)  # whose tombstones the disk refused
        for group_id, what in stored.items():
            self._restore(group_id, what)
        for group_id, kept in consumers.items():
            group = self._groups[group_id] = self.consumer_groups.restored(group_id, kept)
            self._schedule(group)
        for group_id in self.offsets.group_ids() + self.pending.group_ids():
            self._get_or_create(group_id)
        return len(self._groups)

    def _replay(self, change: OffsetChange, place: Place | None) -> None:
        where = (change.topic, change.partition)
        if change.committed is None:
            self.offsets.drop(change.group_id, where)
            self.pending.forget(change.group_id, where)
        elif place is not None:
            self.pending.put(place, change.group_id, where, change.committed)
        else:
            older = self.pending.of(change.group_id, where)
            self.offsets.put(change.group_id, where, change.committed)
            self.pending.replaced(change.group_id, where, older)

    def _restore(self, group_id: str, what: StoredGroup) -> None:
        group = self._groups[group_id] = Group(group_id, self._limits)
        group.generation = what.generation
        group.protocol_type = what.protocol_type
        group.protocol = what.protocol
        group.state_timestamp_ms = what.state_timestamp_ms
        group.restore(what.members, what.leader, self._clock.monotonic_ms())
        self._schedule(group)

    # -- questions ---------------------------------------------------------------------------

    def __iter__(self) -> Iterator[AnyGroup]:
        """Every group, those that only have offsets included."""
        return iter(self._groups.values())

    def topics(self) -> set[str]:
        """Topics in which offsets are committed, or would be by an open transaction."""
        return self.offsets.topics() | self.pending.topics()

    def find(self, group_id: str) -> AnyGroup | None:
        """The group of that id. Not to be changed."""
        return self._groups.get(group_id)

    # -- requests ----------------------------------------------------------------------------

    def join(self, group_id: str, ask: JoinAsk) -> None:
        """A JoinGroup request; the ticket is called now or when the rebalance completes."""
        group = self._groups.get(group_id)
        error = ErrorCode.NONE
        if isinstance(group, ConsumerGroup) and group.members:
            error = ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        elif not isinstance(group, Group) and ask.member_id:
            error = ErrorCode.UNKNOWN_MEMBER_ID
        if error is not ErrorCode.NONE:
            ask.ticket(JoinAnswer(ticket=ask.ticket, error=error, member_id=ask.member_id))
            return
        if not isinstance(group, Group):
            if group is not None:
                self._bury(group_id, self._tombstones_of(group), [], _ignore)
                group.die()
            group = self._groups[group_id] = Group(group_id, self._limits)
        self._perform(group, group.join(ask, self._clock.monotonic_ms()))

    def fresh_member_id(self, instance_id: str | None, client_id: str | None) -> str:
        """A member id as Kafka makes them: the instance or client id, and a random UUID.

        A very long name is cut, so that the id fits into a string of the old versions.
        """
        unique = UUID(bytes=self._rng.token(16), version=4)
        return f"{(instance_id or client_id or '')[:_NAME_LENGTH_MAX]}-{unique}"

    def sync(self, group_id: str, ask: SyncAsk) -> None:
        """A SyncGroup request; the ticket is called now or when the leader has assigned."""
        group = self._groups.get(group_id)
        if not isinstance(group, Group):
            ask.ticket(SyncAnswer(ticket=ask.ticket, error=ErrorCode.UNKNOWN_MEMBER_ID))
            return
        self._perform(group, group.sync(ask, self._clock.monotonic_ms()))

    def heartbeat(self, group_id: str, who: Membership) -> ErrorCode:
        """A Heartbeat request."""
        group = self._groups.get(group_id)
        if not isinstance(group, Group):
            return ErrorCode.UNKNOWN_MEMBER_ID
        now_ms = self._clock.monotonic_ms()
        return group.heartbeat(who.member_id, who.instance_id, who.generation, now_ms)

    def leave(self, group_id: str, leavers: Sequence[Membership]) -> list[ErrorCode]:
        """A LeaveGroup request; one code per leaver."""
        group = self._groups.get(group_id)
        if group is None:
            return [ErrorCode.UNKNOWN_MEMBER_ID] * len(leavers)
        errors = []
        now_ms = self._clock.monotonic_ms()
        for leaver in leavers:
            if isinstance(group, ConsumerGroup):
                errors.append(group.leave(leaver.member_id, leaver.instance_id))
                self._save_consumers(group)
                continue
            error, effects = group.leave(leaver.member_id, leaver.instance_id, now_ms)
            errors.append(error)
            self._perform(group, effects)
        return errors

    def consumer_heartbeat(self, group_id: str, ask: HeartbeatAsk, done: HeartbeatDone) -> None:
        """A ConsumerGroupHeartbeat, checked for its form; ``done`` once what it did is durable."""
        group = self._groups.get(group_id)
        first: list[Record] = []
        if not isinstance(group, ConsumerGroup):
            refusal = _no_consumer_group(group_id, group, ask.epoch)
            if refusal is not None:
                done(refusal)
                return
            if group is not None and group.generation > 0:
                first = [group_tombstone(group_id, self._clock.now_ms())]
            group = self._groups[group_id] = self.consumer_groups.create(group_id)
        self.consumer_groups.heartbeat(group, ask, done, first)
        self._schedule(group)

    def reconfigured(self, group_id: str) -> None:
        """The configs of the group have changed: from its members' next heartbeats on."""
        group = self._groups.get(group_id)
        if isinstance(group, ConsumerGroup):
            group.limits = self.consumer_groups.limits_of(group_id)

    def fresh_consumer_id(self) -> str:
        """A member id for a consumer that does not make its own."""
        return fresh_member_id(self._rng)

    def may_commit(self, group_id: str, who: Membership, version: int) -> ErrorCode:
        """Whether an OffsetCommit of that version from ``who`` is to be stored."""
        group = self._groups.get(group_id)
        speaks_epochs = version >= _FIRST_WITH_EPOCHS
        if group is None:
            if who.generation < 0:
                return ErrorCode.NONE
            unknown = ErrorCode.GROUP_ID_NOT_FOUND
            return unknown if speaks_epochs else ErrorCode.ILLEGAL_GENERATION
        if isinstance(group, ConsumerGroup):
            if not speaks_epochs and who.member_id in group.members:
                return ErrorCode.UNSUPPORTED_VERSION
            return group.check_offsets(who.member_id, who.generation)
        now_ms = self._clock.monotonic_ms()
        return group.check_commit(who.member_id, who.instance_id, who.generation, now_ms)

    def may_fetch(self, group_id: str, member_id: str | None, epoch: int) -> ErrorCode:
        """Whether an OffsetFetch that says who asks is to be answered."""
        group = self._groups.get(group_id)
        if not isinstance(group, ConsumerGroup) or (member_id is None and epoch < 0):
            return ErrorCode.NONE
        member = group.members.get(member_id or "")
        if member is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE if member.epoch == epoch else ErrorCode.STALE_MEMBER_EPOCH

    def commit(self, group_id: str, offsets: dict[TopicIndex, Committed], done: CommitDone) -> None:
        """Store offsets that ``may_commit`` has allowed; ``done`` once they are durable or not."""
        self._get_or_create(group_id)
        self._uncommitted.setdefault(group_id, []).append(offsets)
        now_ms = self._clock.now_ms()
        records = [
            offset_record(OffsetChange(group_id, topic, index, committed), now_ms)
            for (topic, index), committed in offsets.items()
        ]

        older = {where: self.pending.of(group_id, where) for where in offsets}

        def settled(error: ErrorCode) -> None:
            under_way = self._uncommitted[group_id]
            under_way.remove(offsets)
            if not under_way:
                del self._uncommitted[group_id]
            if error is ErrorCode.NONE:
                for where, committed in offsets.items():
                    self.offsets.put(group_id, where, committed)
                    self.pending.replaced(group_id, where, older[where])

        waiter = Commit(self._durability, self._log.deadline_ms(), settled, done)
        self._log.append(group_id, records, waiter)

    def delete(self, group_id: str, done: CommitDone) -> None:
        """Forget a group without members; ``done`` once that is durable, or why it is not so."""
        group = self._groups.get(group_id)
        if group is None:
            done(ErrorCode.GROUP_ID_NOT_FOUND)
        elif not group.is_empty:
            done(ErrorCode.NON_EMPTY_GROUP)
        else:
            self._remove_group(group, self._ever_committed(group_id), done)

    def delete_offsets(self, group_id: str, where: list[TopicIndex], done: CommitDone) -> None:
        """Forget these offsets, checked by the caller; ``done`` once that is durable or not."""
        present = self._ever_committed(group_id)
        stale = [each for each in where if each in present]
        if stale:
            self._remove_offsets(group_id, stale, done)
        else:
            done(ErrorCode.NONE)

    def may_commit_in_transaction(self, group_id: str, who: Membership) -> ErrorCode:
        """Whether a TxnOffsetCommit from ``who`` is to be stored (KIP-447)."""
        group = self._groups.get(group_id)
        if group is None:
            return ErrorCode.ILLEGAL_GENERATION if who.generation >= 0 else ErrorCode.NONE
        if isinstance(group, ConsumerGroup):
            if who == Membership():  # a client that does not say who it is
                return ErrorCode.NONE
            error = group.check_offsets(who.member_id, who.generation)
            is_stale = error is ErrorCode.STALE_MEMBER_EPOCH
            return ErrorCode.ILLEGAL_GENERATION if is_stale else error
        now_ms = self._clock.monotonic_ms()
        return group.check_transaction(who.member_id, who.instance_id, who.generation, now_ms)

    def commit_in_transaction(
        self, group_id: str, producer: tuple[int, int], offsets: dict[TopicIndex, Committed],
        done: CommitDone,
    ) -> None:  # fmt: skip
        """Store offsets that count once the transaction of ``producer`` (id, epoch) commits."""
        self._get_or_create(group_id)
        now_ms = self._clock.now_ms()
        records = [
            offset_record(OffsetChange(group_id, topic, index, committed), now_ms)
            for (topic, index), committed in offsets.items()
        ]
        place = (producer[0], self._log.place_of(group_id))

        older = {
            where: self.pending.put(place, group_id, where, committed)
            for where, committed in offsets.items()
        }

        def settled(error: ErrorCode) -> None:
            if error is not ErrorCode.NONE:
                for where, committed in offsets.items():
                    self.pending.drop(place, group_id, where, committed, older[where])

        waiter = Commit(self._durability, self._log.deadline_ms(), settled, done)
        self._log.append(group_id, records, waiter, transaction=producer)

    def place_of(self, group_id: str) -> int:
        """The group's partition of the offsets topic. StorageError if there is no such topic."""
        return self._log.place_of(group_id)

    def end_transaction(self, producer_id: int, index: int, *, committed: bool) -> None:
        """A transaction's marker is durable in that partition of the offsets topic."""
        for group_id, where, offset in self.pending.end((producer_id, index)):
            if committed:
                self.offsets.put(group_id, where, offset)

    def prepare(self) -> None:
        """Make sure that the offsets topic exists. StorageError if it cannot be made."""
        self._log.ensure_topic()

    # -- time --------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> int:
        """Run what is due (monotonic ms); returns the next deadline."""
        timers = self._timers
        while timers and timers[0][0] <= now_ms:
            due_ms, group_id = heapq.heappop(timers)
            if self._scheduled.get(group_id) != due_ms:
                continue  # an earlier one has been scheduled since
            del self._scheduled[group_id]
            group = self._groups.get(group_id)
            if isinstance(group, ConsumerGroup):
                group.tick(now_ms)
                self._save_consumers(group)
            elif group is not None:
                self._perform(group, group.tick(now_ms))
        return timers[0][0] if timers else NEVER_MS

    def expire_offsets(self) -> None:
        """Remove offsets nobody committed for offsets.retention.minutes, and groups left with none.

        Time counts from the last commit or from when the group became empty, whichever is later
        (KIP-211). A group with members keeps those of the topics that it reads.
        """
        now_ms = self._clock.now_ms()
        retention_ms = self._settings.offsets_retention_minutes * _MINUTE_MS
        for group in list(self._groups.values()):
            busy = group.expects_members or group.group_id in self._uncommitted
            busy = busy or self.pending.has_group(group.group_id)
            if busy or not may_lose_offsets(group):
                continue
            offsets = self.offsets.of_group(group.group_id)
            kept = {topic for topic, _ in offsets if is_subscribed(group, topic)}
            stale = [
                where
                for where, committed in offsets.items()
                if where[0] not in kept
                and _expires_ms(committed, group.state_timestamp_ms, retention_ms) <= now_ms
            ]
            if group.is_empty and len(stale) == len(offsets):
                self._remove_group(group, stale, _ignore)
            elif stale:
                self._remove_offsets(group.group_id, stale, _ignore)

    def topic_deleted(self, topic: str) -> None:
        """Forget what was committed for a topic that is no more."""
        by_group: dict[str, dict[TopicIndex, None]] = {}
        for group_id, where, _ in self.offsets.of_topic(topic):
            by_group.setdefault(group_id, {})[where] = None
        for group_id, where in self.pending.of_topic(topic):
            by_group.setdefault(group_id, {})[where] = None
        for group_id, commits in self._uncommitted.items():  # they will be on disk before this
            for offsets in commits:
                for where in [where for where in offsets if where[0] == topic]:
                    by_group.setdefault(group_id, {})[where] = None
                    del offsets[where]  # it is not to be seen when it is durable
        for group_id, stale in by_group.items():
            for where in stale:  # at once: the next topic of that name may come before the sync
                self.offsets.drop(group_id, where)
                self.pending.forget(group_id, where)
            self._remove_offsets(group_id, list(stale), _ignore)

    def topic_loaded(self, topic: str, topic_id: UUID) -> None:
        """At start: forget what was committed for an earlier topic of that name."""
        for group_id, where, committed in self.offsets.of_topic(topic):
            if not committed.may_be_of(topic_id):
                self.offsets.drop(group_id, where)
                self._remove_offsets(group_id, [where], _ignore)
        self.pending.forget_strangers(topic, topic_id)

    # -- inside ------------------------------------------------------------------------------

    def _get_or_create(self, group_id: str) -> AnyGroup:
        group = self._groups.get(group_id)
        if group is None:
            group = self._groups[group_id] = Group(group_id, self._limits)
        return group

    def _perform(self, group: Group, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case JoinAnswer():
                    effect.ticket(effect)
                case SyncAnswer():
                    effect.ticket(effect)
                case Save():
                    self._save(group, effect)
                case _:
                    assert_never(effect)
        self._schedule(group)

    def _save_consumers(self, group: ConsumerGroup) -> None:
        self.consumer_groups.save(group, _ignore, [])
        self._schedule(group)

    def _tombstones_of(self, group: AnyGroup) -> list[Record]:
        now_ms = self._clock.now_ms()
        if isinstance(group, ConsumerGroup):
            return consumer_group_tombstones(group.group_id, now_ms)
        return [group_tombstone(group.group_id, now_ms)] if group.generation > 0 else []

    def _save(self, group: Group, save: Save) -> None:
        now_ms = self._clock.now_ms()
        group.state_timestamp_ms = now_ms

        def done(error: ErrorCode) -> None:
            code = coordinator_error(error)
            self._perform(group, group.saved(save.generation, code, self._clock.monotonic_ms()))

        waiter = Commit(self._durability, self._log.deadline_ms(), _ignore, done)
        self._log.append(group.group_id, [group_record(group, now_ms)], waiter)

    def _ever_committed(self, group_id: str) -> list[TopicIndex]:
        """Every partition with an offset, also if it is on its way to disk or in a transaction."""
        found = dict.fromkeys(self.offsets.of_group(group_id))
        found.update(dict.fromkeys(self.pending.of_group(group_id)))
        for offsets in self._uncommitted.get(group_id, ()):
            found.update(dict.fromkeys(offsets))
        return list(found)

    def _remove_offsets(self, group_id: str, stale: list[TopicIndex], done: CommitDone) -> None:
        now_ms = self._clock.now_ms()
        records = [offset_record(OffsetChange(group_id, *where, None), now_ms) for where in stale]
        self._bury(group_id, records, stale, done)

    def _remove_group(self, group: AnyGroup, stale: list[TopicIndex], done: CommitDone) -> None:
        now_ms = self._clock.now_ms()
        group_id = group.group_id
        records = [offset_record(OffsetChange(group_id, *where, None), now_ms) for where in stale]
        records += self._tombstones_of(group)
        if isinstance(group, ConsumerGroup):
            group.die()
        else:
            self._perform(group, group.die())
        del self._groups[group_id]
        if records:
            self._bury(group_id, records, stale, done)
        else:
            done(ErrorCode.NONE)

    def _bury(
        self, group_id: str, records: list[Record], stale: list[TopicIndex], done: CommitDone
    ) -> None:
        """Append tombstones; the offsets go when they are durable, or else keep their group."""

        def settled(error: ErrorCode) -> None:
            if error is ErrorCode.NONE:
                for where in stale:
                    self.offsets.drop(group_id, where)
                    self.pending.forget(group_id, where)
            elif self.offsets.of_group(group_id):
                self._get_or_create(group_id)

        waiter = Commit(self._durability, self._log.deadline_ms(), settled, done)
        self._log.append(group_id, records, waiter)

    def _schedule(self, group: AnyGroup) -> None:
        due_ms = group.next_deadline_ms()
        if due_ms < self._scheduled.get(group.group_id, NEVER_MS):
            self._scheduled[group.group_id] = due_ms
            heapq.heappush(self._timers, (due_ms, group.group_id))


def coordinator_error(error: ErrorCode) -> ErrorCode:
    """What a group client is told when the offsets log refused: codes that it can act on."""
    match error:
        case ErrorCode.NONE:
            return ErrorCode.NONE
        case ErrorCode.KAFKA_STORAGE_ERROR:
            return ErrorCode.NOT_COORDINATOR
        case ErrorCode.MESSAGE_TOO_LARGE | ErrorCode.RECORD_LIST_TOO_LARGE:
            return ErrorCode.INVALID_COMMIT_OFFSET_SIZE
        case _:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE


def _no_consumer_group(group_id: str, group: AnyGroup | None, epoch: int) -> HeartbeatAnswer | None:
    """Why this cannot become one; None if it can: there is none, or an empty classic one."""
    message = None
    if group is None and epoch != JOINING:
        message = f"Group {group_id} not found."
    if group is not None and (epoch != JOINING or not group.is_empty):
        message = f"Group {group_id} is not a consumer group."
    if message is None:
        return None
    return HeartbeatAnswer(error=ErrorCode.GROUP_ID_NOT_FOUND, message=message)


def _expires_ms(committed: Committed, empty_since_ms: int, retention_ms: int) -> int:
    if committed.expires_ms >= 0:
        return committed.expires_ms
    return max(committed.committed_ms, empty_since_ms) + retention_ms


def _ignore(error: ErrorCode) -> None:
    """Nothing hangs on it: a tombstone that could not be written is written next time."""
