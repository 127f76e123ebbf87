"""The classic group machine, event by event. Time is what the test says it is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest

from tickertape.broker.state.group import NEVER_MS, Group
from tickertape.broker.state.group_types import (
    LEGAL,
    Effect,
    GroupLimits,
    GroupState,
    JoinAnswer,
    JoinAsk,
    Member,
    Save,
    SyncAnswer,
    SyncAsk,
)
from tickertape.wire.error_codes import ErrorCode

SESSION_MS = 10_000
REBALANCE_MS = 60_000


@dataclass
class Driver:
    """A group, its clock, and every answer by ticket name. Saves succeed at once unless held."""

    limits: GroupLimits = field(default_factory=GroupLimits)
    now_ms: int = 1_000
    hold_saves: bool = False
    joins: dict[str, JoinAnswer] = field(default_factory=dict)
    syncs: dict[str, SyncAnswer] = field(default_factory=dict)
    saves: list[Save] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.group = Group("g", self.limits)
        self._ids = count(1)

    def is_in(self, state: GroupState) -> bool:
        return self.group.state is state

    def perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Save):
                self.saves.append(effect)
                if not self.hold_saves:
                    self.save_outcome(ErrorCode.NONE)
            elif isinstance(effect, JoinAnswer):
                effect.ticket(effect)
            else:
                effect.ticket(effect)

    def save_outcome(self, error: ErrorCode) -> None:
        save = self.saves[-1]
        self.perform(self.group.saved(save.generation, error, self.now_ms))

    def join(
        self,
        ticket: str,
        member_id: str = "",
        *,
        instance_id: str | None = None,
        protocols: tuple[str, ...] = ("range",),
        version: int = 9,
        session_ms: int = SESSION_MS,
        protocol_type: str = "consumer",
    ) -> JoinAnswer | None:
        """The answer, if it has come at once."""

        def collect(answer: JoinAnswer) -> None:
            assert ticket not in self.joins, "answered twice"
            self.joins[ticket] = answer

        ask = JoinAsk(
            ticket=collect,
            member_id=member_id,
            instance_id=instance_id,
            fresh_id=f"{instance_id or 'm'}-{next(self._ids)}",
            client_id="c",
            client_host="/h",
            rebalance_timeout_ms=REBALANCE_MS,
            session_timeout_ms=session_ms,
            protocol_type=protocol_type,
            protocols=tuple((name, f"{ticket}:{name}".encode()) for name in protocols),
            id_required=version >= 4,
            may_skip_assignment=version >= 9,
        )
        self.perform(self.group.join(ask, self.now_ms))
        return self.joins.get(ticket)

    def sync(
        self,
        ticket: str,
        member_id: str,
        *,
        generation: int | None = None,
        assignments: dict[str, bytes] | None = None,
        instance_id: str | None = None,
        protocol: str | None = None,
    ) -> SyncAnswer | None:
        def collect(answer: SyncAnswer) -> None:
            assert ticket not in self.syncs, "answered twice"
            self.syncs[ticket] = answer

        ask = SyncAsk(
            ticket=collect,
            member_id=member_id,
            instance_id=instance_id,
            generation=self.group.generation if generation is None else generation,
            protocol=protocol,
            assignments=assignments or {},
        )
        self.perform(self.group.sync(ask, self.now_ms))
        return self.syncs.get(ticket)

    def beat(self, member_id: str, generation: int | None = None) -> ErrorCode:
        generation = self.group.generation if generation is None else generation
        return self.group.heartbeat(member_id, None, generation, self.now_ms)

    def leave(self, member_id: str, instance_id: str | None = None) -> ErrorCode:
        error, effects = self.group.leave(member_id, instance_id, self.now_ms)
        self.perform(effects)
        return error

    def pass_ms(self, ms: int) -> None:
        self.now_ms += ms
        self.perform(self.group.tick(self.now_ms))

    def pass_alive(self, ms: int, *alive: tuple[str, str | None, int]) -> None:
        """Let time pass while these (member, instance, generation) heartbeat."""
        for _ in range(ms // 5_000):
            self.pass_ms(5_000)
            for member_id, instance_id, generation in alive:
                self.group.heartbeat(member_id, instance_id, generation, self.now_ms)

    def member(self, ticket: str, protocols: tuple[str, ...] = ("range",)) -> str:
        """A new dynamic member through both steps of KIP-394; its id."""
        first = self.join(f"{ticket}?", protocols=protocols)
        assert first is not None
        assert first.error is ErrorCode.MEMBER_ID_REQUIRED
        self.join(ticket, first.member_id, protocols=protocols)
        return first.member_id

    def stable(self, *names: str) -> list[str]:
        """A stable group of dynamic members; the first leads."""
        ids = [self.member(names[0])]
        for name in names[1:]:
            ids.append(self.member(name))
            for other, other_name in zip(ids[:-1], names, strict=False):
                self.join(f"{other_name}+{name}", other)
        leader = self.group.leader
        assert leader is not None
        for member_id in ids:
            given = {i: f"to {i}".encode() for i in ids} if member_id == leader else None
            self.sync(f"sync {member_id} {self.group.generation}", member_id, assignments=given)
        assert self.group.state is GroupState.STABLE
        return ids


def test_the_table_of_transitions_is_total_and_dead_is_the_end() -> None:
    assert LEGAL.keys() == set(GroupState)
    assert LEGAL[GroupState.DEAD] == frozenset()
    assert all(GroupState.DEAD in to for state, to in LEGAL.items() if state is not GroupState.DEAD)


def test_new_member_must_come_back_with_its_id_from_version_4_on() -> None:
    driver = Driver()
    first = driver.join("a", version=4)
    assert first is not None
    assert first.error is ErrorCode.MEMBER_ID_REQUIRED
    assert first.member_id == "m-1"
    assert driver.is_in(GroupState.EMPTY)
    again = driver.join("b", "m-1", version=4)
    assert again is not None
    assert (again.error, again.generation, again.leader) == (ErrorCode.NONE, 1, "m-1")
    assert driver.is_in(GroupState.COMPLETING_REBALANCE)


def test_old_clients_join_without_an_id_at_once() -> None:
    answer = Driver().join("a", version=3)
    assert answer is not None
    assert (answer.error, answer.generation, answer.member_id) == (ErrorCode.NONE, 1, "m-1")
    assert answer.members == (("m-1", None, b"a:range"),)


def test_an_id_never_given_out_is_unknown() -> None:
    answer = Driver().join("a", "stranger")
    assert answer is not None
    assert answer.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_an_id_that_nobody_came_back_for_expires() -> None:
    driver = Driver()
    driver.join("a")
    driver.pass_ms(SESSION_MS)
    answer = driver.join("b", "m-1")
    assert answer is not None
    assert answer.error is ErrorCode.UNKNOWN_MEMBER_ID
    assert driver.group.next_deadline_ms() == NEVER_MS


def test_initial_delay_waits_for_more_members() -> None:
    driver = Driver(GroupLimits(initial_rebalance_delay_ms=3_000))
    driver.member("a")
    driver.pass_ms(2_999)
    assert "a" not in driver.joins
    driver.member("b")
    driver.pass_ms(1)  # the first delay is over, but somebody came: wait once more
    assert "a" not in driver.joins
    driver.pass_ms(3_000)
    assert driver.joins["a"].generation == driver.joins["b"].generation == 1
    assert {member[0] for member in driver.joins["a"].members} == set(driver.group.members)
    assert driver.joins["b"].members == ()


def test_initial_delay_never_exceeds_the_rebalance_timeout() -> None:
    driver = Driver(GroupLimits(initial_rebalance_delay_ms=50_000))
    driver.member("a")
    driver.pass_ms(49_000)
    driver.member("b")
    driver.pass_ms(1_000)
    driver.member("c")
    driver.pass_ms(10_000)
    assert driver.joins.keys() >= {"a", "b", "c"}


def test_second_member_makes_the_first_rejoin() -> None:
    driver = Driver()
    (first,) = driver.stable("a")
    second = driver.member("b")
    assert driver.is_in(GroupState.PREPARING_REBALANCE)
    assert driver.beat(first) is ErrorCode.REBALANCE_IN_PROGRESS
    assert "b" not in driver.joins
    driver.join("a2", first)
    assert driver.joins["a2"].generation == driver.joins["b"].generation == 2
    assert driver.joins["a2"].leader == driver.joins["b"].leader == first
    assert {member[0] for member in driver.joins["a2"].members} == {first, second}


def test_leaders_sync_gives_everybody_their_share_once_saved() -> None:
    driver = Driver(hold_saves=True)
    first = driver.member("a")
    second = driver.member("b")
    driver.join("a2", first)
    assert driver.sync("sb", second) is None
    assert driver.sync("sa", first, assignments={first: b"1", second: b"2"}) is None
    assert driver.is_in(GroupState.COMPLETING_REBALANCE)
    driver.save_outcome(ErrorCode.NONE)
    assert driver.is_in(GroupState.STABLE)
    assert driver.syncs["sa"].assignment == b"1"
    assert driver.syncs["sb"].assignment == b"2"
    late = driver.sync("sb2", second)
    assert late is not None
    assert late.assignment == b"2"


def test_assignment_that_cannot_be_saved_starts_over() -> None:
    driver = Driver(hold_saves=True)
    first = driver.member("a")
    driver.sync("s", first, assignments={first: b"1"})
    driver.save_outcome(ErrorCode.NOT_COORDINATOR)
    assert driver.syncs["s"].error is ErrorCode.NOT_COORDINATOR
    assert driver.is_in(GroupState.PREPARING_REBALANCE)
    assert driver.group.members[first].assignment == b""


def test_save_of_an_older_generation_changes_nothing() -> None:
    driver = Driver(hold_saves=True)
    first = driver.member("a")
    driver.sync("s", first, assignments={first: b"1"})
    driver.member("b")
    assert driver.syncs["s"].error is ErrorCode.REBALANCE_IN_PROGRESS
    driver.save_outcome(ErrorCode.NONE)
    assert driver.is_in(GroupState.PREPARING_REBALANCE)


@pytest.mark.parametrize(
    ("generation", "protocol", "error"),
    [
        (0, None, ErrorCode.ILLEGAL_GENERATION),
        (2, None, ErrorCode.ILLEGAL_GENERATION),
        (1, "other", ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
    ],
)
def test_sync_of_another_generation_or_protocol_is_refused(
    generation: int, protocol: str | None, error: ErrorCode
) -> None:
    driver = Driver()
    first = driver.member("a")
    answer = driver.sync("s", first, generation=generation, protocol=protocol)
    assert answer is not None
    assert answer.error is error


def test_sync_while_others_rejoin_is_told_to_rejoin() -> None:
    driver = Driver()
    (first,) = driver.stable("a")
    driver.member("b")
    answer = driver.sync("s", first)
    assert answer is not None
    assert answer.error is ErrorCode.REBALANCE_IN_PROGRESS


def test_leader_that_rejoins_forces_a_rebalance() -> None:
    driver = Driver()
    (leader,) = driver.stable("a")
    driver.joins.pop("a")
    answer = driver.join("a", leader)
    assert answer is not None
    assert answer.generation == 2
    assert driver.is_in(GroupState.COMPLETING_REBALANCE)


def test_follower_with_another_subscription_forces_a_rebalance() -> None:
    driver = Driver()
    _, follower = driver.stable("a", "b")
    assert driver.join("other topics", follower) is None
    assert driver.is_in(GroupState.PREPARING_REBALANCE)


def test_follower_that_repeats_its_join_gets_the_current_generation() -> None:
    driver = Driver()
    _, follower = driver.stable("a", "b")
    generation = driver.group.generation
    driver.joins.pop("b")
    answer = driver.join("b", follower)
    assert answer is not None
    assert (answer.error, answer.generation) == (ErrorCode.NONE, generation)
    assert answer.members == ()
    assert driver.is_in(GroupState.STABLE)


def test_member_that_missed_the_join_answer_gets_it_again() -> None:
    driver = Driver()
    first = driver.member("a")
    driver.joins.pop("a")
    answer = driver.join("a", first)
    assert answer is not None
    assert answer.generation == 1
    assert answer.members == ((first, None, b"a:range"),)
    assert driver.is_in(GroupState.COMPLETING_REBALANCE)


def test_protocol_is_the_one_that_all_speak_and_most_prefer() -> None:
    driver = Driver()
    first = driver.member("a", protocols=("sticky", "range"))
    driver.member("b", protocols=("range", "robin"))
    driver.join("a2", first, protocols=("sticky", "range"))
    assert driver.joins["a2"].protocol == "range"


@pytest.mark.parametrize(
    ("protocol_type", "protocol"), [("consumer", "other"), ("connect", "range")]
)
def test_member_that_shares_no_protocol_is_refused(protocol_type: str, protocol: str) -> None:
    driver = Driver()
    driver.stable("a")
    answer = driver.join("b", protocols=(protocol,), protocol_type=protocol_type)
    assert answer is not None
    assert answer.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


@pytest.mark.parametrize(("protocol_type", "protocols"), [("consumer", ()), ("", ("range",))])
def test_member_without_protocols_is_refused(
    protocol_type: str, protocols: tuple[str, ...]
) -> None:
    answer = Driver().join("b", protocols=protocols, protocol_type=protocol_type)
    assert answer is not None
    assert answer.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_full_group_admits_nobody_but_its_members() -> None:
    driver = Driver(GroupLimits(size_max=1))
    (first,) = driver.stable("a")
    answer = driver.join("b")
    assert answer is not None
    assert answer.error is ErrorCode.GROUP_MAX_SIZE_REACHED
    again = driver.join("a2", first)
    assert again is not None
    assert again.error is ErrorCode.NONE


def test_silent_member_expires_and_the_others_rebalance() -> None:
    driver = Driver()
    first, second = driver.stable("a", "b")
    driver.pass_ms(SESSION_MS - 1)
    assert driver.beat(first) is ErrorCode.NONE
    driver.pass_ms(1)
    assert second not in driver.group.members
    assert driver.is_in(GroupState.PREPARING_REBALANCE)
    assert driver.beat(second) is ErrorCode.UNKNOWN_MEMBER_ID


def test_deadline_is_the_first_session_to_end() -> None:
    driver = Driver()
    first, _ = driver.stable("a", "b")
    driver.pass_ms(4_000)
    driver.beat(first)
    assert driver.group.next_deadline_ms() == driver.now_ms + SESSION_MS - 4_000


def test_member_that_waits_for_us_does_not_expire_in_its_session() -> None:
    driver = Driver()
    leader, follower = driver.stable("a", "b")
    driver.member("c")
    driver.join("b2", follower)
    driver.pass_alive(30_000, (leader, None, driver.group.generation))
    assert follower in driver.group.members
    driver.join("a2", leader)
    assert driver.joins["b2"].error is ErrorCode.NONE
    driver.sync("s", follower)
    driver.pass_ms(SESSION_MS)
    assert follower in driver.group.members
    assert leader not in driver.group.members  # it never synced, and waits for nothing


def test_new_member_that_waits_too_long_is_dropped() -> None:
    driver = Driver(GroupLimits(new_member_join_timeout_ms=20_000))
    (first,) = driver.stable("a")
    driver.member("b")
    driver.pass_alive(20_000, (first, None, 1))
    assert driver.joins["b"].error is ErrorCode.UNKNOWN_MEMBER_ID
    assert list(driver.group.members) == [first]


def test_rebalance_timeout_drops_who_did_not_rejoin() -> None:
    driver = Driver()
    first, second = driver.stable("a", "b")
    driver.member("c")
    driver.join("a2", first)
    driver.pass_alive(REBALANCE_MS, (second, None, driver.group.generation))
    assert driver.joins["a2"].error is ErrorCode.NONE
    assert second not in driver.group.members
    assert driver.beat(second) is ErrorCode.UNKNOWN_MEMBER_ID


def test_member_that_never_syncs_is_dropped() -> None:
    driver = Driver()
    first = driver.member("a")
    driver.member("b")
    driver.join("a2", first)
    second = next(id_ for id_ in driver.group.members if id_ != first)
    driver.sync("s", first, assignments={first: b"1"})
    driver.pass_alive(REBALANCE_MS, (first, None, 2), (second, None, 2))
    assert second not in driver.group.members
    assert driver.is_in(GroupState.PREPARING_REBALANCE)


def test_last_member_leaves_and_the_group_is_empty() -> None:
    driver = Driver()
    (first,) = driver.stable("a")
    generation = driver.group.generation
    assert driver.leave(first) is ErrorCode.NONE
    assert driver.is_in(GroupState.EMPTY)
    assert driver.group.generation == generation + 1
    assert driver.group.leader is None
    assert driver.saves[-1].generation == generation + 1
    assert driver.leave(first) is ErrorCode.UNKNOWN_MEMBER_ID


def test_leader_leaves_and_a_member_that_rejoined_leads() -> None:
    driver = Driver()
    first, second = driver.stable("a", "b")
    driver.leave(first)
    answer = driver.join("b2", second)
    assert answer is not None
    assert answer.leader == second
    assert len(answer.members) == 1


def test_pending_member_may_leave_and_no_longer_holds_up_the_rebalance() -> None:
    driver = Driver()
    (first,) = driver.stable("a")
    pending = driver.join("b")
    assert pending is not None
    driver.join("a2", first, protocols=("range", "more"))
    assert "a2" not in driver.joins
    assert driver.leave(pending.member_id) is ErrorCode.NONE
    assert driver.joins["a2"].error is ErrorCode.NONE


def test_heartbeat_errors_in_order() -> None:
    driver = Driver()
    (first,) = driver.stable("a")
    assert driver.beat("stranger") is ErrorCode.UNKNOWN_MEMBER_ID
    assert driver.beat(first, 7) is ErrorCode.ILLEGAL_GENERATION
    assert driver.group.heartbeat(first, "nobody", 1, 0) is ErrorCode.UNKNOWN_MEMBER_ID
    driver.perform(driver.group.die())
    assert driver.beat(first) is ErrorCode.COORDINATOR_NOT_AVAILABLE


def test_death_sends_everybody_away() -> None:
    driver = Driver()
    (first,) = driver.stable("a")
    driver.member("b")
    driver.perform(driver.group.die())
    assert driver.joins["b"].error is ErrorCode.COORDINATOR_NOT_AVAILABLE
    late = driver.join("c")
    assert late is not None
    assert late.error is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert driver.leave(first) is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert driver.group.check_commit(first, None, 1, 0) is ErrorCode.COORDINATOR_NOT_AVAILABLE


# -- static members (KIP-345) ----------------------------------------------------------------


def static_pair(driver: Driver) -> tuple[str, str]:
    """A stable group of two static members, a leading."""
    driver.join("a", instance_id="a")
    driver.join("b", instance_id="b")
    driver.join("a2", "a-1", instance_id="a")
    driver.sync("sa", "a-1", instance_id="a", assignments={"a-1": b"1", "b-2": b"2"})
    driver.sync("sb", "b-2", instance_id="b")
    assert driver.is_in(GroupState.STABLE)
    return "a-1", "b-2"


def test_static_member_needs_no_second_step() -> None:
    answer = Driver().join("a", instance_id="a")
    assert answer is not None
    assert (answer.error, answer.member_id) == (ErrorCode.NONE, "a-1")


def test_returning_static_follower_keeps_the_generation_and_fences_its_older_self() -> None:
    driver = Driver()
    leader, old = static_pair(driver)
    generation = driver.group.generation
    driver.joins.pop("b")
    answer = driver.join("b", instance_id="b")
    assert answer is not None
    assert (answer.error, answer.generation) == (ErrorCode.NONE, generation)
    assert answer.member_id != old
    assert answer.leader == leader
    assert driver.is_in(GroupState.STABLE)
    beat = driver.group.heartbeat
    assert beat(old, "b", generation, driver.now_ms) is ErrorCode.FENCED_INSTANCE_ID
    assert beat(answer.member_id, "b", generation, driver.now_ms) is ErrorCode.NONE
    synced = driver.sync("sb2", answer.member_id, instance_id="b")
    assert synced is not None
    assert synced.assignment == b"2"


def test_returning_static_leader_skips_the_assignment_from_version_9_on() -> None:
    driver = Driver()
    old, _ = static_pair(driver)
    driver.joins.pop("a")
    answer = driver.join("a", instance_id="a", version=9)
    assert answer is not None
    assert answer.skip_assignment
    assert answer.leader == answer.member_id != old
    assert len(answer.members) == 2


def test_returning_static_leader_of_an_old_client_is_not_told_that_it_leads() -> None:
    driver = Driver()
    old, _ = static_pair(driver)
    driver.joins.pop("a")
    answer = driver.join("a", instance_id="a", version=8)
    assert answer is not None
    assert not answer.skip_assignment
    assert answer.leader == old != answer.member_id
    assert answer.members == ()


def test_returning_static_member_is_not_admitted_before_that_is_saved() -> None:
    driver = Driver()
    static_pair(driver)
    driver.hold_saves = True
    driver.joins.pop("b")
    assert driver.join("b", instance_id="b") is None
    driver.save_outcome(ErrorCode.NOT_COORDINATOR)
    assert driver.joins["b"].error is ErrorCode.NOT_COORDINATOR


def test_returning_static_member_with_another_protocol_rebalances() -> None:
    driver = Driver()
    driver.join("a", instance_id="a", protocols=("range", "sticky"))
    driver.sync("s", "a-1", instance_id="a", assignments={"a-1": b"1"})
    answer = driver.join("a'", instance_id="a", protocols=("sticky",))
    assert answer is not None
    assert answer.generation == 2
    assert answer.protocol == "sticky"


def test_waiting_requests_of_a_fenced_instance_are_answered() -> None:
    driver = Driver()
    driver.stable("x")
    driver.join("a", instance_id="a")
    assert "a" not in driver.joins
    driver.join("a'", instance_id="a")
    assert driver.joins["a"].error is ErrorCode.FENCED_INSTANCE_ID
    assert "a'" not in driver.joins


def test_static_member_is_kept_through_a_rebalance_that_it_missed() -> None:
    driver = Driver()
    leader, other = static_pair(driver)
    driver.join("c", instance_id="c")
    driver.join("a3", leader, instance_id="a")
    driver.pass_alive(REBALANCE_MS, (other, "b", driver.group.generation))
    assert driver.joins["c"].error is ErrorCode.NONE
    assert other in driver.group.members


def test_rebalance_with_no_static_member_back_waits_once_more() -> None:
    driver = Driver()
    leader, other = static_pair(driver)
    generation = driver.group.generation
    third = driver.member("d")
    driver.leave(third)
    assert driver.is_in(GroupState.PREPARING_REBALANCE)
    driver.pass_alive(REBALANCE_MS + 5_000, (leader, "a", generation), (other, "b", generation))
    assert driver.is_in(GroupState.PREPARING_REBALANCE)
    assert driver.group.generation == generation
    assert set(driver.group.members) == {leader, other}


def test_static_member_leaves_by_instance_id_alone() -> None:
    driver = Driver()
    static_pair(driver)
    assert driver.leave("", "nobody") is ErrorCode.UNKNOWN_MEMBER_ID
    assert driver.leave("wrong", "b") is ErrorCode.FENCED_INSTANCE_ID
    assert driver.leave("", "b") is ErrorCode.NONE
    assert driver.is_in(GroupState.PREPARING_REBALANCE)


# -- commits and restoring -------------------------------------------------------------------


def test_commit_checks_in_kafkas_order() -> None:
    driver = Driver()
    check = driver.group.check_commit
    assert check("", None, -1, 0) is ErrorCode.NONE
    assert check("m", None, 1, 0) is ErrorCode.UNKNOWN_MEMBER_ID
    first = driver.member("a")
    assert check("", None, -1, 0) is ErrorCode.UNKNOWN_MEMBER_ID
    assert check("stranger", None, 1, 0) is ErrorCode.UNKNOWN_MEMBER_ID
    assert check(first, None, 0, 0) is ErrorCode.ILLEGAL_GENERATION
    assert check(first, None, 1, 0) is ErrorCode.REBALANCE_IN_PROGRESS
    driver.sync("s", first, assignments={first: b""})
    assert check(first, None, 1, driver.now_ms) is ErrorCode.NONE
    driver.member("b")
    assert check(first, None, 1, driver.now_ms) is ErrorCode.NONE


def test_commit_is_a_sign_of_life() -> None:
    driver = Driver()
    (first,) = driver.stable("a")
    driver.pass_ms(SESSION_MS - 1)
    driver.group.check_commit(first, None, 1, driver.now_ms)
    driver.pass_ms(SESSION_MS - 1)
    assert first in driver.group.members


def test_restored_group_is_stable_and_its_sessions_begin_anew() -> None:
    group = Group("g", GroupLimits())
    member = Member(
        member_id="m",
        instance_id="i",
        client_id="c",
        client_host="/h",
        rebalance_timeout_ms=REBALANCE_MS,
        session_timeout_ms=SESSION_MS,
        protocols=(("range", b"s"),),
        assignment=b"x",
    )
    group.generation, group.protocol, group.protocol_type = 4, "range", "consumer"
    group.restore([member], "m", 5_000)
    assert group.state is GroupState.STABLE
    assert group.heartbeat("m", "i", 4, 6_000) is ErrorCode.NONE
    assert group.next_deadline_ms() == 6_000 + SESSION_MS
