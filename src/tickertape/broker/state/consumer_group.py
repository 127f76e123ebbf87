"""One group of the consumer protocol (KIP-848): a pure machine, time in, answers out.

Owns the members, their epochs, who is to read what (the target) and who may read what now. It
guarantees that no partition is ever held by two members, that the group's epoch only grows, and
that a member which falls silent, or does not give up what it must, is thrown out. It leaves to
others the storing (``take_touched`` says what has changed), offsets, and the clock: ``now_ms`` is
monotonic. Topics are looked at when a member sends its heartbeat, as in Kafka.

Behaviour is that of Kafka's GroupMetadataManager, ConsumerGroup and CurrentAssignmentBuilder.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from uuid import UUID
from zlib import crc32

from tickertape.broker.state.assignors import (
    ASSIGNORS,
    NOTHING,
    Parts,
    Subscriber,
    TopicPartition,
)
from tickertape.broker.state.consumer_group_types import (
    JOINING,
    LEAVING,
    LEAVING_FOR_NOW,
    NEVER_MS,
    About,
    ConsumerGroupLimits,
    ConsumerGroupState,
    ConsumerMember,
    HeartbeatAnswer,
    HeartbeatAsk,
    MemberState,
    TopicView,
    Touched,
)
from tickertape.broker.state.reconciliation import next_step
from tickertape.broker.state.topic_patterns import TopicPatterns
from tickertape.wire.error_codes import ErrorCode


class ConsumerGroup:
    """See the module."""

    protocol_type: Final = "consumer"
    expects_members: Final = False  # a member exists from its first heartbeat on

    def __init__(self, group_id: str, limits: ConsumerGroupLimits, topics: TopicView) -> None:
        self.group_id = group_id
        self.limits = limits
        self.epoch = 1
        self.target_epoch = 0
        self.members: dict[str, ConsumerMember] = {}
        self.metadata_hash = 0  # of the topics that the group's epoch knows of
        self.state_timestamp_ms = -1  # nobody asks: offsets expire by their own time (Kafka too)
        self._topics = topics
        self._patterns = TopicPatterns(topics)
        self._static: dict[str, str] = {}  # instance id -> member id
        self._holders: dict[TopicPartition, str] = {}
        self._dead = False
        self._changes_seen = -1
        self._touched = Touched(group_epoch=True)

    # -- questions ---------------------------------------------------------------------------

    @property
    def state(self) -> ConsumerGroupState:
        """Derived, as in Kafka."""
        if self._dead:
            return ConsumerGroupState.DEAD
        if not self.members:
            return ConsumerGroupState.EMPTY
        if self.epoch > self.target_epoch:
            return ConsumerGroupState.ASSIGNING
        if any(
            member.epoch != self.target_epoch or member.state is not MemberState.STABLE
            for member in self.members.values()
        ):
            return ConsumerGroupState.RECONCILING
        return ConsumerGroupState.STABLE

    @property
    def is_empty(self) -> bool:
        """It has no members, and may go."""
        return not self.members

    @property
    def generation(self) -> int:
        """The epoch, under the name that it has in classic groups: above 0 once it was stored."""
        return self.epoch

    @property
    def assignor(self) -> str:
        """The one that most members ask for; the broker's first choice if nobody asks."""
        wishes = (member.about.assignor for member in self.members.values())
        votes = Counter(wish for wish in wishes if wish in self.limits.assignors)
        return (votes.most_common(1)[0][0] if votes else None) or self.limits.assignors[0]

    def subscribes(self, topic: str) -> bool:
        """Whether any member reads ``topic``."""
        return any(topic in self._names_of(member) for member in self.members.values())

    def check_offsets(self, member_id: str, epoch: int) -> ErrorCode:
        """May a member of that epoch commit or fetch offsets? Kafka: validateMemberEpoch."""
        if epoch < 0 and not self.members:
            return ErrorCode.NONE  # an admin, or a consumer that assigns its partitions itself
        member = self.members.get(member_id)
        if member is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE if epoch == member.epoch else ErrorCode.STALE_MEMBER_EPOCH

    # -- events ------------------------------------------------------------------------------

    def heartbeat(self, ask: HeartbeatAsk, now_ms: int) -> HeartbeatAnswer:
        """A ConsumerGroupHeartbeat, checked for its form by the caller."""
        if ask.epoch in {LEAVING, LEAVING_FOR_NOW}:
            return self._leave(ask)
        member, refusal = self._admit(ask)
        if member is None:
            return refusal
        self._patterns.look_with(ask.sees)
        subscribed = self._update(member, ask)
        if self._look_at_topics() or subscribed:
            self.epoch += 1
            self._touched.group_epoch = True
        if self.epoch > self.target_epoch:
            self._assign()
        before = member.assigned
        self._advance(member, ask.owned, now_ms)
        member.session_deadline_ms = now_ms + self.limits.session_timeout_ms
        news = ask.is_full or member.assigned != before
        return HeartbeatAnswer(
            member_id=member.member_id,
            epoch=member.epoch,
            heartbeat_interval_ms=self.limits.heartbeat_interval_ms,
            assigned=member.assigned if news else None,
        )

    def leave(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """One member of a LeaveGroup request, which tools send for members of any protocol."""
        if instance_id is not None:
            known = self._static.get(instance_id)
            if known is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if member_id not in {"", known}:
                return ErrorCode.FENCED_INSTANCE_ID
            member_id = known
        member = self.members.get(member_id)
        if member is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        self._remove(member)
        return ErrorCode.NONE

    def tick(self, now_ms: int) -> None:
        """Throw out whoever was silent for too long, or kept what it had to give up."""
        for member in list(self.members.values()):
            if member.deadline_ms <= now_ms:
                self._remove(member)

    def next_deadline_ms(self) -> int:
        """When ``tick`` has work again; NEVER_MS if nothing is scheduled."""
        return min((each.deadline_ms for each in self.members.values()), default=NEVER_MS)

    def die(self) -> None:
        """The group is deleted, has expired, or becomes a classic one."""
        assert not self.members
        self._dead = True

    # -- storing -----------------------------------------------------------------------------

    def take_touched(self) -> Touched:
        """What has changed since the last call."""
        touched, self._touched = self._touched, Touched()
        return touched

    def touch_all(self, lost: Touched) -> None:
        """Storing ``lost`` failed: what is on disk is unknown, so next time everything is stored.

        That includes the end of those who have left.
        """
        every = lost.members | lost.targets | lost.currents | set(self.members)
        self._touched.group_epoch = self._touched.target_epoch = True
        for ids in (self._touched.members, self._touched.targets, self._touched.currents):
            ids.update(every)

    def restore(self, members: Iterable[ConsumerMember], now_ms: int) -> None:
        """Take up stored members; their sessions, and their time to revoke, start anew."""
        for member in members:
            member.session_deadline_ms = now_ms + self.limits.session_timeout_ms
            if member.state is MemberState.UNREVOKED_PARTITIONS:
                member.revoke_deadline_ms = now_ms + max(member.about.rebalance_timeout_ms, 0)
            self._enter(member)

    # -- joining and leaving -----------------------------------------------------------------

    def _admit(self, ask: HeartbeatAsk) -> tuple[ConsumerMember | None, HeartbeatAnswer]:
        """The member that asks, made if it is new; else why not."""
        if ask.member_id not in self.members and len(self.members) >= self.limits.size_max:
            full = f"The consumer group has reached its maximum capacity of {self.limits.size_max}"
            return None, _refused(ErrorCode.GROUP_MAX_SIZE_REACHED, f"{full} members.")
        if ask.instance_id is not None:
            return self._admit_static(ask, ask.instance_id)
        member = self.members.get(ask.member_id)
        if member is not None:
            return self._of_this_epoch(member, ask)
        if ask.epoch != JOINING:
            return None, self._unknown(ask.member_id)
        return self._enter(ConsumerMember(member_id=ask.member_id)), HeartbeatAnswer()

    def _admit_static(
        self, ask: HeartbeatAsk, instance_id: str
    ) -> tuple[ConsumerMember | None, HeartbeatAnswer]:
        member = self.members.get(self._static.get(instance_id, ""))
        if ask.epoch != JOINING:
            if member is None or member.member_id != ask.member_id:
                return None, self._wrong_instance(member, ask)
            return self._of_this_epoch(member, ask)
        if member is None:
            new = ConsumerMember(member_id=ask.member_id, instance_id=instance_id)
            return self._enter(new), HeartbeatAnswer()
        if member.epoch != LEAVING_FOR_NOW:
            return None, _refused(
                ErrorCode.UNRELEASED_INSTANCE_ID,
                f"Static member {ask.member_id} with instance id {instance_id} cannot join the "
                f"group because the instance id is owned by {member.member_id} member.",
            )
        return self._replace_static(member, ask.member_id), HeartbeatAnswer()

    def _replace_static(self, old: ConsumerMember, member_id: str) -> ConsumerMember:
        """A static member is back under a new id, and goes on where the old one was."""
        self._leave_room(old)
        new = replace(
            old, member_id=member_id, epoch=JOINING, previous_epoch=JOINING, revoking=NOTHING,
            state=MemberState.STABLE, revoke_deadline_ms=NEVER_MS,
        )  # fmt: skip
        return self._enter(new)

    def _of_this_epoch(
        self, member: ConsumerMember, ask: HeartbeatAsk
    ) -> tuple[ConsumerMember | None, HeartbeatAnswer]:
        if ask.epoch in {member.epoch, JOINING}:
            return member, HeartbeatAnswer()
        if ask.epoch > member.epoch:
            return None, _refused(
                ErrorCode.FENCED_MEMBER_EPOCH,
                f"The consumer group member has a greater member epoch ({ask.epoch}) than the one "
                f"known by the group coordinator ({member.epoch}). The member must abandon all "
                "its partitions and rejoin.",
            )
        lost = ask.epoch == member.previous_epoch  # our last answer, it seems
        if lost and ask.owned is not None and ask.owned <= member.assigned:
            return member, HeartbeatAnswer()
        return None, _refused(
            ErrorCode.FENCED_MEMBER_EPOCH,
            f"The consumer group member has a smaller member epoch ({ask.epoch}) than the one "
            f"known by the group coordinator ({member.epoch}). The member must abandon all its "
            "partitions and rejoin.",
        )

    def _wrong_instance(self, member: ConsumerMember | None, ask: HeartbeatAsk) -> HeartbeatAnswer:
        """Nobody, or ``member`` and not the one that asks, has the instance id."""
        if member is None:
            return _refused(
                ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {ask.instance_id} is unknown."
            )
        return _refused(
            ErrorCode.FENCED_INSTANCE_ID,
            f"Static member {ask.member_id} with instance id {ask.instance_id} was fenced by "
            f"member {member.member_id}.",
        )

    def _leave(self, ask: HeartbeatAsk) -> HeartbeatAnswer:
        if ask.instance_id is None:
            member = self.members.get(ask.member_id)
            if member is None:
                return self._unknown(ask.member_id)
            self._remove(member)
        else:
            member = self.members.get(self._static.get(ask.instance_id, ""))
            if member is None or member.member_id != ask.member_id:
                return self._wrong_instance(member, ask)
            if ask.epoch == LEAVING_FOR_NOW:
                self._leave_for_now(member)
            else:
                self._remove(member)
        return HeartbeatAnswer(member_id=ask.member_id, epoch=ask.epoch)

    def _leave_for_now(self, member: ConsumerMember) -> None:
        """A static member will be back: what it may read stays its own until its session ends."""
        self._release(member.revoking - member.assigned)
        member.epoch = LEAVING_FOR_NOW
        member.state, member.revoking = MemberState.STABLE, NOTHING
        member.revoke_deadline_ms = NEVER_MS
        self._touched.currents.add(member.member_id)

    def _enter(self, member: ConsumerMember) -> ConsumerMember:
        self.members[member.member_id] = member
        if member.instance_id is not None:
            self._static[member.instance_id] = member.member_id
        for where in member.held:
            self._holders[where] = member.member_id
        for ids in (self._touched.members, self._touched.targets, self._touched.currents):
            ids.add(member.member_id)
        return member

    def _leave_room(self, member: ConsumerMember) -> None:
        del self.members[member.member_id]
        if member.instance_id is not None:
            self._static.pop(member.instance_id, None)
        self._release(member.held)
        for ids in (self._touched.members, self._touched.targets, self._touched.currents):
            ids.add(member.member_id)

    def _remove(self, member: ConsumerMember) -> None:
        """The others share what it had from their next heartbeats on."""
        self._leave_room(member)
        self.epoch += 1
        self._touched.group_epoch = True

    def _release(self, parts: Parts) -> None:
        for where in parts:
            self._holders.pop(where, None)

    # -- subscriptions -----------------------------------------------------------------------

    def _update(self, member: ConsumerMember, ask: HeartbeatAsk) -> bool:
        """Note what the member says of itself; whether that concerns who reads what."""
        before = member.about
        after = About(
            rack_id=before.rack_id if ask.rack_id is None else ask.rack_id,
            client_id=ask.client_id,
            client_host=ask.client_host,
            rebalance_timeout_ms=(
                before.rebalance_timeout_ms
                if ask.rebalance_timeout_ms == -1
                else ask.rebalance_timeout_ms
            ),
            topic_names=before.topic_names if ask.topic_names is None else ask.topic_names,
            topic_regex=(
                before.topic_regex if ask.topic_regex is None else ask.topic_regex or None
            ),
            assignor=before.assignor if ask.assignor is None else ask.assignor,
        )
        if after == before:
            return False
        member.about = after
        self._touched.members.add(member.member_id)
        return (after.topic_names, after.topic_regex) != (before.topic_names, before.topic_regex)

    def _names_of(self, member: ConsumerMember) -> frozenset[str]:
        about = member.about
        if about.topic_regex is None:
            return about.topic_names
        return about.topic_names | self._patterns.matching(about.topic_regex)

    def _look_at_topics(self) -> bool:
        """Whether a topic that somebody reads has come, gone or grown since the last look."""
        if self._changes_seen == self._topics.changes:
            return False
        self._changes_seen = self._topics.changes
        return self._note_hash()

    def _note_hash(self) -> bool:
        before, self.metadata_hash = self.metadata_hash, self._hash_of_topics()
        if before == self.metadata_hash:
            return False
        self._touched.group_epoch = True
        return True

    def _hash_of_topics(self) -> int:
        """Over all that is subscribed to; it is stored, so that no restart hides a change."""
        names = frozenset[str]().union(*map(self._names_of, self.members.values()))
        shapes = [(name, self._topics.shape_of(name)) for name in sorted(names)]
        known = [(name, *shape) for name, shape in shapes if shape is not None]
        return crc32(repr(known).encode()) if known else 0

    # -- assigning ---------------------------------------------------------------------------

    def _assign(self) -> None:
        """Compute a target for the group's epoch."""
        self._changes_seen = self._topics.changes
        self._note_hash()
        self._patterns.keep({member.about.topic_regex for member in self.members.values()})
        sizes: dict[UUID, int] = {}
        subscribers = {}
        for member in self.members.values():
            shapes = filter(None, map(self._topics.shape_of, self._names_of(member)))
            own = dict(shapes)
            sizes |= own
            subscribers[member.member_id] = Subscriber(
                instance_id=member.instance_id, topics=frozenset(own), before=member.target
            )
        targets = ASSIGNORS[self.assignor](subscribers, sizes)
        for member in self.members.values():
            target = targets[member.member_id]
            if target != member.target:
                member.target = target
                self._touched.targets.add(member.member_id)
        self.target_epoch = self.epoch
        self._touched.target_epoch = True

    def _advance(self, member: ConsumerMember, owned: Parts | None, now_ms: int) -> None:
        """Let the member take its next step."""
        step = next_step(member, self.target_epoch, owned, self._holders)
        if (step.epoch, step.state, step.assigned, step.revoking) == (
            member.epoch, member.state, member.assigned, member.revoking,
        ):  # fmt: skip
            return
        before = member.held
        if step.epoch != member.epoch:
            member.previous_epoch, member.epoch = member.epoch, step.epoch
        member.state = step.state
        member.assigned, member.revoking = step.assigned, step.revoking
        self._release(before - member.held)
        for where in member.held - before:
            assert where not in self._holders, f"{where} is held by {self._holders[where]}"
            self._holders[where] = member.member_id
        member.revoke_deadline_ms = NEVER_MS
        if step.state is MemberState.UNREVOKED_PARTITIONS:
            member.revoke_deadline_ms = now_ms + max(member.about.rebalance_timeout_ms, 0)
        self._touched.currents.add(member.member_id)

    def _unknown(self, member_id: str) -> HeartbeatAnswer:
        return _refused(
            ErrorCode.UNKNOWN_MEMBER_ID,
            f"Member {member_id} is not a member of group {self.group_id}.",
        )


def _refused(error: ErrorCode, message: str) -> HeartbeatAnswer:
    return HeartbeatAnswer(error=error, message=message)
