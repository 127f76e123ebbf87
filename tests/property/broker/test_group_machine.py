"""The group machine against a simple model, under any order of requests, time and disk outcomes.

Rebalance timeouts are out of reach here, so a member may vanish only because it left, was fenced by
its own successor, or was silent for its session. The model knows who must still be there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tickertape.broker.state.group import Group
from tickertape.broker.state.group_types import (
    LEGAL,
    Effect,
    GroupLimits,
    GroupState,
    JoinAnswer,
    JoinAsk,
    Save,
    SyncAnswer,
    SyncAsk,
)
from tickertape.wire.error_codes import ErrorCode

SESSION_MS = 10_000
NEVER_MS = 1 << 40
PROTOCOLS = ("range", "sticky")


@dataclass
class Life:
    """What the model knows of a member."""

    instance_id: str | None
    last_sign_ms: int
    waits_for: int = 0  # unanswered requests


class GroupMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.group = Group("g", GroupLimits(new_member_join_timeout_ms=NEVER_MS))
        self.now_ms = 0
        self.lives: dict[str, Life] = {}
        self.pending: dict[str, int] = {}
        self.saves: list[Save] = []
        self.unanswered = 0
        self.last_generation = 0
        self.last_state = GroupState.EMPTY
        self.leaders: dict[int, set[str]] = {}
        self.numbers = 0
        self.step = 0

    # -- plumbing ----------------------------------------------------------------------------

    def perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Save():
                    self.saves.append(effect)
                case JoinAnswer():
                    effect.ticket(effect)
                case SyncAnswer():
                    effect.ticket(effect)

    def ticket(self, member_id: str) -> Callable[[JoinAnswer | SyncAnswer], None]:
        answers: list[JoinAnswer | SyncAnswer] = []
        self.unanswered += 1
        life = self.lives.get(member_id)
        if life is not None:
            life.waits_for += 1

        asked_in = self.step

        def collect(answer: JoinAnswer | SyncAnswer) -> None:
            assert not answers, "a request was answered twice"
            answers.append(answer)
            self.unanswered -= 1
            if life is not None:
                life.waits_for -= 1
                if answer.error is ErrorCode.NONE or asked_in != self.step:
                    life.last_sign_ms = self.now_ms  # refused at once, it is no sign of life
            if isinstance(answer, JoinAnswer):
                self.joined(answer)

        return collect

    def joined(self, answer: JoinAnswer) -> None:
        if answer.error is ErrorCode.MEMBER_ID_REQUIRED:
            self.pending[answer.member_id] = self.now_ms + SESSION_MS
        elif answer.error is ErrorCode.NONE:
            assert answer.generation == self.group.generation
            assert answer.protocol in PROTOCOLS
            if answer.members and not answer.skip_assignment:
                assert answer.leader == answer.member_id
                self.leaders.setdefault(answer.generation, set()).add(answer.member_id)

    def fresh(self, prefix: str) -> str:
        self.numbers += 1
        return f"{prefix}{self.numbers}"

    def ask(
        self, member_id: str, instance_id: str | None, fresh_id: str, *, version: int, variant: int
    ) -> None:
        names = PROTOCOLS if variant % 2 else ("range",)
        ask = JoinAsk(
            ticket=self.ticket(member_id or fresh_id),
            member_id=member_id,
            instance_id=instance_id,
            fresh_id=fresh_id,
            client_id="c",
            client_host="/h",
            rebalance_timeout_ms=NEVER_MS,
            session_timeout_ms=SESSION_MS,
            protocol_type="consumer",
            protocols=tuple((name, b"%d" % (variant // 2)) for name in names),
            id_required=version >= 4,
            may_skip_assignment=version >= 9,
        )
        self.perform(self.group.join(ask, self.now_ms))

    def pick(self, number: int) -> str:
        return sorted(self.lives)[number % len(self.lives)]

    # -- rules -------------------------------------------------------------------------------

    @rule(version=st.sampled_from([3, 5, 9]), variant=st.integers(0, 3))
    def new_dynamic_member(self, version: int, variant: int) -> None:
        fresh = self.fresh("m")
        if version < 4:
            self.lives[fresh] = Life(None, self.now_ms)
        self.ask("", None, fresh, version=version, variant=variant)

    @precondition(lambda self: self.pending)
    @rule(number=st.integers(0, 9), variant=st.integers(0, 3))
    def pending_member_comes_back(self, number: int, variant: int) -> None:
        member_id = sorted(self.pending)[number % len(self.pending)]
        del self.pending[member_id]
        self.lives[member_id] = Life(None, self.now_ms)
        self.ask(member_id, None, "unused", version=9, variant=variant)

    @rule(
        instance=st.sampled_from("xyz"), version=st.sampled_from([5, 9]), variant=st.integers(0, 3)
    )
    def static_member_starts(self, instance: str, version: int, variant: int) -> None:
        fresh = self.fresh(f"{instance}-")
        for old, life in list(self.lives.items()):
            if life.instance_id == instance:
                del self.lives[old]
        self.lives[fresh] = Life(instance, self.now_ms)
        self.ask("", instance, fresh, version=version, variant=variant)

    @precondition(lambda self: self.lives)
    @rule(number=st.integers(0, 9), variant=st.integers(0, 3))
    def member_rejoins(self, number: int, variant: int) -> None:
        member_id = self.pick(number)
        self.lives[member_id].last_sign_ms = self.now_ms
        self.ask(member_id, self.lives[member_id].instance_id, "unused", version=9, variant=variant)

    @precondition(lambda self: self.lives)
    @rule(number=st.integers(0, 9), behind=st.sampled_from([0, 0, 0, 1]))
    def member_syncs(self, number: int, behind: int) -> None:
        member_id = self.pick(number)
        given = {id_: id_.encode() for id_ in self.lives}
        ask = SyncAsk(
            ticket=self.ticket(member_id),
            member_id=member_id,
            instance_id=self.lives[member_id].instance_id,
            generation=self.group.generation - behind,
            assignments=given if member_id == self.group.leader else {},
        )
        self.perform(self.group.sync(ask, self.now_ms))

    @precondition(lambda self: self.lives)
    @rule(number=st.integers(0, 9))
    def member_heartbeats(self, number: int) -> None:
        member_id = self.pick(number)
        life = self.lives[member_id]
        error = self.group.heartbeat(
            member_id, life.instance_id, self.group.generation, self.now_ms
        )
        assert error in {ErrorCode.NONE, ErrorCode.REBALANCE_IN_PROGRESS}
        life.last_sign_ms = self.now_ms

    @precondition(lambda self: self.lives)
    @rule(number=st.integers(0, 9))
    def member_leaves(self, number: int) -> None:
        member_id = self.pick(number)
        life = self.lives.pop(member_id)
        error, effects = self.group.leave(member_id, life.instance_id, self.now_ms)
        assert error is ErrorCode.NONE
        self.perform(effects)

    @precondition(lambda self: self.saves)
    @rule(error=st.sampled_from([ErrorCode.NONE, ErrorCode.NONE, ErrorCode.NOT_COORDINATOR]))
    def save_finishes(self, error: ErrorCode) -> None:
        save = self.saves.pop(0)
        self.perform(self.group.saved(save.generation, error, self.now_ms))

    @rule(ms=st.sampled_from([1, 3_000, SESSION_MS - 1, SESSION_MS]))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms
        due = [
            id_
            for id_, life in self.lives.items()
            if not life.waits_for and life.last_sign_ms + SESSION_MS <= self.now_ms
        ]
        for member_id in due:
            del self.lives[member_id]
        self.pending = {id_: due for id_, due in self.pending.items() if due > self.now_ms}
        self.perform(self.group.tick(self.now_ms))

    # -- what must hold ----------------------------------------------------------------------

    @invariant()
    def count_steps(self) -> None:
        self.step += 1

    @invariant()
    def members_are_those_that_live(self) -> None:
        assert set(self.group.members) == set(self.lives)

    @invariant()
    def generation_only_grows(self) -> None:
        assert self.group.generation >= self.last_generation
        self.last_generation = self.group.generation

    @invariant()
    def a_generation_has_one_leader(self) -> None:
        # A static leader that returned under a new id leads the same generation: one instance.
        for leaders in self.leaders.values():
            assert len({leader.partition("-")[0] for leader in leaders}) == 1

    @invariant()
    def the_leader_is_a_member(self) -> None:
        assert (self.group.leader is None) == (not self.group.members)
        assert self.group.leader is None or self.group.leader in self.group.members

    @invariant()
    def states_mean_what_they_say(self) -> None:
        if self.group.state is GroupState.EMPTY:
            assert not self.group.members
        if self.group.state is GroupState.STABLE:
            assert self.group.members
            assert self.group.protocol in PROTOCOLS
        assert self.group.state in LEGAL

    @invariant()
    def due_work_has_been_done(self) -> None:
        assert self.group.next_deadline_ms() > self.now_ms

    def teardown(self) -> None:
        self.perform(self.group.die())
        assert self.unanswered == 0, "a request was forgotten"


TestGroupMachine = GroupMachine.TestCase
TestGroupMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
