"""One consumer group of the classic protocol: a pure machine, time in, effects out.

Owns membership, generation, leader, the chosen protocol and the assignments. It guarantees that the
generation only grows, that a generation has one leader, and that no member's request is forgotten:
every ticket handed in comes back in exactly one effect. It leaves to others the storing of the
group (the Save effect), member ids, offsets, and the clock: ``now_ms`` is monotonic.

Behaviour is that of Kafka's GroupCoordinator and ClassicGroup: KIP-62 (timeouts), KIP-134 (initial
delay), KIP-345 (static members), KIP-394 (member id required), KIP-814 (skipped assignment).
"""

from dataclasses import replace

from tickertape.broker.state.group_types import (
    LEGAL,
    Effect,
    GroupLimits,
    GroupState,
    JoinAnswer,
    JoinAsk,
    JoinTicket,
    Member,
    Save,
    SyncAnswer,
    SyncAsk,
    SyncTicket,
)
from tickertape.broker.state.protocol_votes import elected, some_is_common
from tickertape.wire.error_codes import ErrorCode

NEVER_MS = 1 << 62


class Group:
    """See the module. Each event method returns the effects to perform, in order."""

    def __init__(self, group_id: str, limits: GroupLimits) -> None:
        self.group_id = group_id
        self.state = GroupState.EMPTY
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.leader: str | None = None
        self.members: dict[str, Member] = {}
        self.state_timestamp_ms = -1  # wall clock of the last stored change, set by the coordinator
        self._limits = limits
        self._static: dict[str, str] = {}  # instance id -> member id
        self._pending: dict[str, int] = {}  # ids given out (KIP-394), until when
        self._unsynced: set[str] = set()
        self._returning: dict[str, tuple[str, bool]] = {}  # id -> leader to name, skip assignment
        self._join_deadline_ms = NEVER_MS
        self._sync_deadline_ms = NEVER_MS
        self._initial_left_ms = -1  # >= 0 while the first rebalance of an empty group may be held
        self._late_joiner = False
        self._effects: list[Effect] = []

    @property
    def expects_members(self) -> bool:
        """Somebody holds a member id and has not yet come back with it (KIP-394)."""
        return bool(self._pending)

    @property
    def is_empty(self) -> bool:
        """It has no members, and may go."""
        return self.state is GroupState.EMPTY

    # -- events ------------------------------------------------------------------------------

    def join(self, ask: JoinAsk, now_ms: int) -> list[Effect]:
        """A JoinGroup request."""
        refusal = self._refuse_join(ask)
        if refusal is not None:
            self._answer_join_error(ask.ticket, refusal, ask.member_id)
        elif ask.member_id == "":
            self._join_new(ask, now_ms)
        elif ask.member_id in self._pending:
            self._add_member(ask.member_id, ask, now_ms)
        else:
            self._join_known(ask, now_ms)
        return self._drain()

    def sync(self, ask: SyncAsk, now_ms: int) -> list[Effect]:
        """A SyncGroup request."""
        error = self._check_sync(ask)
        if error is not ErrorCode.NONE:
            self._effects.append(SyncAnswer(ticket=ask.ticket, error=error))
            return self._drain()
        member = self.members[ask.member_id]
        self._unsynced.discard(member.member_id)
        if not self._unsynced:
            self._sync_deadline_ms = NEVER_MS
        if self.state is GroupState.STABLE:
            member.deadline_ms = now_ms + member.session_timeout_ms
            self._effects.append(self._assigned(member, ask.ticket))
            return self._drain()
        if member.sync_ticket is not None:  # the client gave up on that one and asks again
            self._answer_sync_error(member, ErrorCode.REBALANCE_IN_PROGRESS)
        member.sync_ticket = ask.ticket
        if member.member_id == self.leader:
            for other in self.members.values():
                other.assignment = ask.assignments.get(other.member_id, b"")
            self._effects.append(Save(generation=self.generation))
        return self._drain()

    def saved(self, generation: int, error: ErrorCode, now_ms: int) -> list[Effect]:
        """A Save effect of ``generation`` has become durable, or has failed."""
        if generation != self.generation or self.state is GroupState.DEAD:
            return []  # the members moved on while the disk was busy
        if self.state is GroupState.STABLE:
            self._admit_returning(error, now_ms)
            return self._drain()
        if self.state is not GroupState.COMPLETING_REBALANCE:
            return []
        if error is not ErrorCode.NONE:
            self._cancel_assignments(error, now_ms)
            self._prepare_rebalance(now_ms)
            return self._drain()
        self._move(GroupState.STABLE)
        for member in self.members.values():
            if member.sync_ticket is not None:
                ticket, member.sync_ticket = member.sync_ticket, None
                member.deadline_ms = now_ms + member.session_timeout_ms
                self._effects.append(self._assigned(member, ticket))
        return self._drain()

    def heartbeat(
        self, member_id: str, instance_id: str | None, generation: int, now_ms: int
    ) -> ErrorCode:
        """A Heartbeat request; returns the code to answer."""
        error = self._check_member(member_id, instance_id)
        if error is not ErrorCode.NONE:
            return error
        if generation != self.generation:
            return ErrorCode.ILLEGAL_GENERATION
        self._prolong(self.members[member_id], now_ms)
        if self.state is GroupState.PREPARING_REBALANCE:
            return ErrorCode.REBALANCE_IN_PROGRESS
        return ErrorCode.NONE

    def leave(
        self, member_id: str, instance_id: str | None, now_ms: int
    ) -> tuple[ErrorCode, list[Effect]]:
        """One member of a LeaveGroup request; a static one may be named by instance id alone."""
        if self.state is GroupState.DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE, []
        if instance_id is not None and member_id == "":
            member_id = self._static.get(instance_id, "")
        if instance_id is None and member_id in self._pending:
            del self._pending[member_id]
            self._try_complete_join(now_ms)
            return ErrorCode.NONE, self._drain()
        error = self._check_member(member_id, instance_id)
        if error is ErrorCode.NONE:
            self._drop(self.members[member_id], now_ms)
        return error, self._drain()

    def tick(self, now_ms: int) -> list[Effect]:
        """Do everything that has fallen due."""
        for member_id in [id_ for id_, until in self._pending.items() if until <= now_ms]:
            del self._pending[member_id]
        for member in list(self.members.values()):
            present = self.members.get(member.member_id) is member
            if present and self._can_expire(member) and member.deadline_ms <= now_ms:
                self._drop(member, now_ms)
        if self.state is GroupState.PREPARING_REBALANCE:
            if self._join_deadline_ms <= now_ms:
                self._join_timed_out(now_ms)
            else:
                self._try_complete_join(now_ms)
        elif self._sync_deadline_ms <= now_ms:
            self._sync_timed_out(now_ms)
        return self._drain()

    def next_deadline_ms(self) -> int:
        """When ``tick`` has work again; NEVER_MS if nothing is scheduled."""
        due = min(self._pending.values(), default=NEVER_MS)
        for member in self.members.values():
            if self._can_expire(member) and member.deadline_ms < due:
                due = member.deadline_ms
        if self.state is GroupState.PREPARING_REBALANCE:
            return min(due, self._join_deadline_ms)
        return min(due, self._sync_deadline_ms)

    def check_commit(  # noqa: PLR0911  # Kafka's order of checks, one per line
        self, member_id: str, instance_id: str | None, generation: int, now_ms: int
    ) -> ErrorCode:
        """May this OffsetCommit be stored? Also counts as a sign of life of the member."""
        if self.state is GroupState.DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        if generation < 0 and self.state is GroupState.EMPTY:
            return ErrorCode.NONE  # an admin, or a consumer that assigns its partitions itself
        if generation < 0 and member_id == "" and instance_id is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        error = self._check_member(member_id, instance_id)
        if error is not ErrorCode.NONE:
            return error
        if generation != self.generation:
            return ErrorCode.ILLEGAL_GENERATION
        if self.state is GroupState.COMPLETING_REBALANCE:
            return ErrorCode.REBALANCE_IN_PROGRESS
        self._prolong(self.members[member_id], now_ms)
        return ErrorCode.NONE

    def check_transaction(
        self, member_id: str, instance_id: str | None, generation: int, now_ms: int
    ) -> ErrorCode:
        """May this TxnOffsetCommit be stored? A rebalance under way does not matter (KIP-447)."""
        if self.state is GroupState.DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        if generation < 0 and self.state is GroupState.EMPTY:
            return ErrorCode.NONE  # whatever else it says of its consumer, as in Kafka
        if generation < 0 and member_id == "" and instance_id is None:
            return ErrorCode.NONE  # a producer that says nothing of its consumer
        error = self._check_member(member_id, instance_id)
        if error is ErrorCode.NONE and generation != self.generation:
            error = ErrorCode.ILLEGAL_GENERATION
        if error is ErrorCode.NONE:
            self._prolong(self.members[member_id], now_ms)
        return error

    def die(self) -> list[Effect]:
        """The group is deleted or has expired; whoever still waits is sent away."""
        for member in self.members.values():
            if member.join_ticket is not None:
                self._answer_join_error(
                    member.join_ticket, ErrorCode.COORDINATOR_NOT_AVAILABLE, member.member_id
                )
                member.join_ticket = None
            self._answer_sync_error(member, ErrorCode.COORDINATOR_NOT_AVAILABLE)
        self._move(GroupState.DEAD)
        return self._drain()

    def restore(self, members: list[Member], leader: str | None, now_ms: int) -> None:
        """Take up the members of a stored generation; their sessions start anew."""
        assert self.state is GroupState.EMPTY
        assert not self.members
        for member in members:
            member.deadline_ms = now_ms + member.session_timeout_ms
            self.members[member.member_id] = member
            if member.instance_id is not None:
                self._static[member.instance_id] = member.member_id
        self.leader = leader
        if members:
            self.state = GroupState.STABLE

    # -- joining -----------------------------------------------------------------------------

    def _refuse_join(self, ask: JoinAsk) -> ErrorCode | None:
        if self.state is GroupState.DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        if self._is_full_for(ask.member_id):
            return ErrorCode.GROUP_MAX_SIZE_REACHED
        if not ask.protocols or not ask.protocol_type:
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        if self.members and not self._fits(ask):
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        return None

    def _is_full_for(self, member_id: str) -> bool:
        if member_id in self.members or self.state is GroupState.EMPTY:
            return False
        return len(self.members) >= self._limits.size_max

    def _fits(self, ask: JoinAsk) -> bool:
        if ask.protocol_type != self.protocol_type:
            return False
        others = [m for m in self.members.values() if m.member_id != ask.member_id]
        return some_is_common(ask.protocols, others)

    def _join_new(self, ask: JoinAsk, now_ms: int) -> None:
        if ask.instance_id is not None:
            old_id = self._static.get(ask.instance_id)
            if old_id is None:
                self._add_member(ask.fresh_id, ask, now_ms)
            else:
                self._replace_static(self.members[old_id], ask, now_ms)
        elif ask.id_required:
            self._pending[ask.fresh_id] = now_ms + ask.session_timeout_ms
            self._answer_join_error(ask.ticket, ErrorCode.MEMBER_ID_REQUIRED, ask.fresh_id)
        else:
            self._add_member(ask.fresh_id, ask, now_ms)

    def _join_known(self, ask: JoinAsk, now_ms: int) -> None:
        error = self._check_member(ask.member_id, ask.instance_id)
        if error is not ErrorCode.NONE:
            self._answer_join_error(ask.ticket, error, ask.member_id)
            return
        member = self.members[ask.member_id]
        is_leader = member.member_id == self.leader
        unchanged = member.protocols == ask.protocols
        retried = self.state is GroupState.COMPLETING_REBALANCE  # it missed our answer
        settled = self.state is GroupState.STABLE and not is_leader
        if unchanged and (retried or settled):
            member.deadline_ms = now_ms + member.session_timeout_ms
            self._effects.append(self._joined(member, ask.ticket))
            return
        self._update(member, ask, now_ms)
        self._rebalance(now_ms)

    def _add_member(self, member_id: str, ask: JoinAsk, now_ms: int) -> None:
        self._pending.pop(member_id, None)
        self.members[member_id] = Member(
            member_id=member_id,
            instance_id=ask.instance_id,
            client_id=ask.client_id,
            client_host=ask.client_host,
            rebalance_timeout_ms=ask.rebalance_timeout_ms,
            session_timeout_ms=ask.session_timeout_ms,
            protocols=ask.protocols,
            join_ticket=ask.ticket,
            is_new=True,
            deadline_ms=now_ms + self._limits.new_member_join_timeout_ms,
        )
        if ask.instance_id is not None:
            self._static[ask.instance_id] = member_id
        if len(self.members) == 1:
            self.protocol_type = ask.protocol_type
        if self.leader is None:
            self.leader = member_id
        if self.state is GroupState.PREPARING_REBALANCE and self._initial_left_ms >= 0:
            self._late_joiner = True
        self._rebalance(now_ms)

    def _update(self, member: Member, ask: JoinAsk, now_ms: int) -> None:
        if member.join_ticket is not None:  # the client gave up on that one and asks again
            self._answer_join_error(
                member.join_ticket, ErrorCode.REBALANCE_IN_PROGRESS, member.member_id
            )
        member.client_id = ask.client_id
        member.client_host = ask.client_host
        member.protocols = ask.protocols
        member.rebalance_timeout_ms = ask.rebalance_timeout_ms
        member.session_timeout_ms = ask.session_timeout_ms
        member.join_ticket = ask.ticket
        self._prolong(member, now_ms)

    def _replace_static(self, member: Member, ask: JoinAsk, now_ms: int) -> None:
        """A static member came back under a new member id; its older self is fenced (KIP-345)."""
        old_id, was_leader = member.member_id, member.member_id == self.leader
        if member.join_ticket is not None:
            self._answer_join_error(member.join_ticket, ErrorCode.FENCED_INSTANCE_ID, old_id)
            member.join_ticket = None
        self._answer_sync_error(member, ErrorCode.FENCED_INSTANCE_ID)
        self._rename(member, ask.fresh_id)
        self._update(member, ask, now_ms)
        if (
            self.state is not GroupState.STABLE
            or elected(list(self.members.values())) != self.protocol
        ):
            self._rebalance(now_ms)
            return
        # Before KIP-814 a returning leader must not believe that it leads: it would assign anew.
        # Naming its old id keeps it from doing so.
        skip = was_leader and ask.may_skip_assignment
        named = old_id if was_leader and not skip else self.leader or ""
        self._returning[member.member_id] = (named, skip)
        self._effects.append(Save(generation=self.generation))

    def _admit_returning(self, error: ErrorCode, now_ms: int) -> None:
        """Their new ids are stored, or cannot be."""
        returning, self._returning = self._returning, {}
        for member_id, (named, skip) in returning.items():
            member = self.members.get(member_id)
            if member is None or member.join_ticket is None:
                continue
            ticket, member.join_ticket = member.join_ticket, None
            self._prolong(member, now_ms)
            if error is not ErrorCode.NONE:
                self._answer_join_error(ticket, error, member_id)
                continue
            answer = self._joined(member, ticket)
            members = self._roster() if skip else ()
            self._effects.append(
                replace(answer, leader=named, skip_assignment=skip, members=members)
            )

    def _rename(self, member: Member, new_id: str) -> None:
        old_id = member.member_id
        member.member_id = new_id
        self.members = {m.member_id: m for m in self.members.values()}
        self._returning.pop(old_id, None)
        assert member.instance_id is not None
        self._static[member.instance_id] = new_id
        if old_id in self._unsynced:
            self._unsynced.remove(old_id)
            self._unsynced.add(new_id)
        if self.leader == old_id:
            self.leader = new_id

    # -- rebalancing -------------------------------------------------------------------------

    def _rebalance(self, now_ms: int) -> None:
        if self.state is GroupState.PREPARING_REBALANCE:
            self._try_complete_join(now_ms)
        else:
            self._prepare_rebalance(now_ms)

    def _prepare_rebalance(self, now_ms: int) -> None:
        if self.state is GroupState.COMPLETING_REBALANCE:
            self._cancel_assignments(ErrorCode.REBALANCE_IN_PROGRESS, now_ms)
        self._returning.clear()  # they wait for the next generation now, like everybody
        self._sync_deadline_ms = NEVER_MS
        timeout_ms = self._rebalance_timeout_ms()
        delay_ms = self._limits.initial_rebalance_delay_ms
        if self.state is GroupState.EMPTY and delay_ms > 0:
            first_ms = min(delay_ms, timeout_ms)
            self._initial_left_ms = timeout_ms - first_ms
            self._late_joiner = False
            timeout_ms = first_ms
        self._join_deadline_ms = now_ms + timeout_ms
        self._move(GroupState.PREPARING_REBALANCE)
        self._try_complete_join(now_ms)

    def _rebalance_timeout_ms(self) -> int:
        return max((m.rebalance_timeout_ms for m in self.members.values()), default=0)

    def _try_complete_join(self, now_ms: int) -> None:
        if self.state is not GroupState.PREPARING_REBALANCE or self._initial_left_ms >= 0:
            return
        members = self.members.values()
        if members and (self._pending or any(m.join_ticket is None for m in members)):
            return
        self._complete_join(now_ms)

    def _join_timed_out(self, now_ms: int) -> None:
        if self._initial_left_ms > 0 and self._late_joiner:
            more_ms = min(self._limits.initial_rebalance_delay_ms, self._initial_left_ms)
            self._initial_left_ms -= more_ms
            self._late_joiner = False
            self._join_deadline_ms = now_ms + more_ms
            return
        self._complete_join(now_ms)

    def _complete_join(self, now_ms: int) -> None:
        self._initial_left_ms = -1
        for member in list(self.members.values()):
            if member.join_ticket is None and member.instance_id is None:
                self._forget(member)
        if self.members and not self._elect_joined_leader():
            # Only static members, none of them back yet: keep them, and wait once more.
            self._join_deadline_ms = now_ms + max(self._rebalance_timeout_ms(), 1)
            return
        self._join_deadline_ms = NEVER_MS
        self.generation += 1
        if not self.members:
            self.protocol = None
            self.leader = None
            self._move(GroupState.EMPTY)
            self._effects.append(Save(generation=self.generation))
            return
        self.protocol = elected(list(self.members.values()))
        self._move(GroupState.COMPLETING_REBALANCE)
        self._unsynced = set(self.members)
        self._sync_deadline_ms = now_ms + self._rebalance_timeout_ms()
        for member in self.members.values():
            member.is_new = False
            member.assignment = b""
            member.deadline_ms = now_ms + member.session_timeout_ms
            if member.join_ticket is not None:
                ticket, member.join_ticket = member.join_ticket, None
                self._effects.append(self._joined(member, ticket))

    def _elect_joined_leader(self) -> bool:
        """Make sure that the leader is a member that rejoined; False if nobody did."""
        leader = self.members.get(self.leader or "")
        if leader is not None and leader.join_ticket is not None:
            return True
        for member in self.members.values():
            if member.join_ticket is not None:
                self.leader = member.member_id
                return True
        return False

    def _sync_timed_out(self, now_ms: int) -> None:
        """Members that took their place in the generation but never asked for their share."""
        self._sync_deadline_ms = NEVER_MS
        silent = [self.members[id_] for id_ in self._unsynced]
        for member in silent:
            self._forget(member)
        if silent:
            self._prepare_rebalance(now_ms)

    def _cancel_assignments(self, error: ErrorCode, now_ms: int) -> None:
        for member in self.members.values():
            member.assignment = b""
            if member.sync_ticket is not None:  # while it waited it could not heartbeat
                member.deadline_ms = now_ms + member.session_timeout_ms
                self._answer_sync_error(member, error)

    # -- leaving -----------------------------------------------------------------------------

    def _prolong(self, member: Member, now_ms: int) -> None:
        """A sign of life. One that has not been let in yet has a longer time, which stays."""
        if not member.is_new:
            member.deadline_ms = now_ms + member.session_timeout_ms

    def _can_expire(self, member: Member) -> bool:
        return member.is_new or not member.waits

    def _drop(self, member: Member, now_ms: int) -> None:
        """A member left, or its session expired: the others must share its partitions."""
        self._forget(member)
        if self.state in {GroupState.STABLE, GroupState.COMPLETING_REBALANCE}:
            self._prepare_rebalance(now_ms)
        else:
            self._try_complete_join(now_ms)

    def _forget(self, member: Member) -> None:
        del self.members[member.member_id]
        self._unsynced.discard(member.member_id)
        if member.instance_id is not None:
            self._static.pop(member.instance_id, None)
        if member.join_ticket is not None:
            self._answer_join_error(
                member.join_ticket, ErrorCode.UNKNOWN_MEMBER_ID, member.member_id
            )
        self._answer_sync_error(member, ErrorCode.UNKNOWN_MEMBER_ID)
        if self.leader == member.member_id:
            self.leader = next(iter(self.members), None)

    # -- checks and answers ------------------------------------------------------------------

    def _check_member(self, member_id: str, instance_id: str | None) -> ErrorCode:
        if self.state is GroupState.DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        if instance_id is not None:
            known = self._static.get(instance_id)
            if known is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if known != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
        if member_id not in self.members:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE

    def _check_sync(self, ask: SyncAsk) -> ErrorCode:
        error = self._check_member(ask.member_id, ask.instance_id)
        if error is not ErrorCode.NONE:
            return error
        if ask.generation != self.generation:
            return ErrorCode.ILLEGAL_GENERATION
        if ask.protocol_type is not None and ask.protocol_type != self.protocol_type:
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        if ask.protocol is not None and ask.protocol != self.protocol:
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        if self.state is GroupState.PREPARING_REBALANCE:
            return ErrorCode.REBALANCE_IN_PROGRESS
        return ErrorCode.NONE

    def _roster(self) -> tuple[tuple[str, str | None, bytes], ...]:
        protocol = self.protocol or ""
        return tuple(
            (m.member_id, m.instance_id, m.metadata(protocol)) for m in self.members.values()
        )

    def _joined(self, member: Member, ticket: JoinTicket) -> JoinAnswer:
        leads = member.member_id == self.leader
        return JoinAnswer(
            ticket=ticket,
            member_id=member.member_id,
            generation=self.generation,
            protocol_type=self.protocol_type,
            protocol=self.protocol,
            leader=self.leader or "",
            members=self._roster() if leads else (),
        )

    def _assigned(self, member: Member, ticket: SyncTicket) -> SyncAnswer:
        return SyncAnswer(
            ticket=ticket,
            protocol_type=self.protocol_type,
            protocol=self.protocol,
            assignment=member.assignment,
        )

    def _answer_join_error(self, ticket: JoinTicket, error: ErrorCode, member_id: str) -> None:
        self._effects.append(JoinAnswer(ticket=ticket, error=error, member_id=member_id))

    def _answer_sync_error(self, member: Member, error: ErrorCode) -> None:
        if member.sync_ticket is not None:
            self._effects.append(SyncAnswer(ticket=member.sync_ticket, error=error))
            member.sync_ticket = None

    def _move(self, to: GroupState) -> None:
        assert to in LEGAL[self.state], f"{self.group_id}: {self.state} -> {to} is not legal"
        self.state = to

    def _drain(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
