"""A consumer group under any order of events: no partition has two owners, and it comes to rest.

Members here are honest about what they hold: they start with what they are told, and give up what
is no longer in what they are told, when they get to it. What they hold is the truth that is judged.
"""

from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tickertape.broker.state.assignors import NOTHING, Parts, TopicPartition
from tickertape.broker.state.consumer_group import ConsumerGroup
from tickertape.broker.state.consumer_group_records import (
    StoredConsumerGroup,
    apply_record,
    consumer_group_records,
)
from tickertape.broker.state.consumer_group_types import (
    JOINING,
    LEAVING,
    ConsumerGroupLimits,
    ConsumerGroupState,
    HeartbeatAsk,
)
from tickertape.wire.error_codes import ErrorCode

REBALANCE_MS = 4_000
SESSION_MS = 5_000
NAMES = ["t", "u"]
MEMBERS = st.sampled_from(["k", "l", "m", "n"])


class Topics:
    """A TopicView that tests write to."""

    def __init__(self) -> None:
        self.changes = 0
        self.sizes = {"t": 3}

    def shape_of(self, name: str) -> tuple[UUID, int] | None:
        size = self.sizes.get(name)
        return None if size is None else (UUID(int=1 + NAMES.index(name)), size)

    def names(self) -> list[str]:
        return list(self.sizes)

    def resize(self, name: str, size: int) -> None:
        self.sizes[name] = max(size, self.sizes.get(name, 0))
        self.changes += 1


class Client:
    """What a member believes: its epoch, and what it reads."""

    def __init__(self, names: frozenset[str], assignor: str | None) -> None:
        self.names = names
        self.assignor = assignor
        self.epoch = JOINING
        self.held: Parts = NOTHING
        self.told: Parts = NOTHING
        self.heard_ms = 0  # when its last heartbeat was answered: after a session it stops reading


class Groups(RuleBasedStateMachine):
    """The group, its log, its clients, and the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.topics = Topics()
        self.stored: dict[str, StoredConsumerGroup] = {}
        self.group = self.empty()
        self.clients: dict[str, Client] = {}
        self.epoch = 0

    def empty(self) -> ConsumerGroup:
        limits = ConsumerGroupLimits(session_timeout_ms=SESSION_MS, heartbeat_interval_ms=1)
        return ConsumerGroup("g", limits, self.topics)

    def store(self) -> None:
        for record in consumer_group_records(self.group, self.group.take_touched(), 0):
            assert record.key is not None
            kind, key = int.from_bytes(record.key[:2], "big"), memoryview(record.key)[2:]
            apply_record(self.stored, kind, key, record.value)

    def beat(self, name: str, *, lost: bool = False, full: bool = False) -> None:
        client = self.clients[name]
        joins = client.epoch == JOINING
        if joins:
            client.held = client.told = NOTHING
        says_all = joins or full
        answer = self.group.heartbeat(
            HeartbeatAsk(
                member_id=name,
                epoch=client.epoch,
                rebalance_timeout_ms=REBALANCE_MS if says_all else -1,
                topic_names=client.names if says_all else None,
                assignor=client.assignor if says_all else None,
                owned=client.held,
            ),
            self.now_ms,
        )
        self.store()
        if lost:
            return
        if answer.error is ErrorCode.NONE:
            client.epoch, client.heard_ms = answer.epoch, self.now_ms
            if answer.assigned is not None:
                client.told = answer.assigned
                client.held |= client.told  # it starts at once, and stops later, in revoke
        else:
            assert answer.error in {ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_MEMBER_EPOCH}
            client.epoch = JOINING
            client.held = client.told = NOTHING

    @rule(name=MEMBERS, names=st.frozensets(st.sampled_from(NAMES)),
          assignor=st.sampled_from([None, "uniform", "range"]))  # fmt: skip
    def join(self, name: str, names: frozenset[str], assignor: str | None) -> None:
        known = self.clients.setdefault(name, Client(names, assignor))
        known.names = names
        self.beat(name, full=True)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), lost=st.booleans())
    def heartbeat(self, data: st.DataObject, lost: bool) -> None:  # noqa: FBT001  # drawn
        self.beat(data.draw(st.sampled_from(sorted(self.clients))), lost=lost)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        client = self.clients[data.draw(st.sampled_from(sorted(self.clients)))]
        client.held &= client.told

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.clients)))
        self.clients.pop(name)
        self.group.heartbeat(HeartbeatAsk(member_id=name, epoch=LEAVING), self.now_ms)
        self.store()

    @rule(name=st.sampled_from(NAMES), size=st.integers(1, 6))
    def grow(self, name: str, size: int) -> None:
        self.topics.resize(name, size)

    @rule(ms=st.sampled_from([1, 1_000, REBALANCE_MS, SESSION_MS]))
    def wait(self, ms: int) -> None:
        """Who has not been answered for a session, or has to revoke for too long, reads no more."""
        self.now_ms += ms
        for client in self.clients.values():
            if client.held - client.told and ms >= REBALANCE_MS:
                client.held &= client.told
            if self.now_ms - client.heard_ms >= SESSION_MS:
                client.held = client.told = NOTHING
        self.group.tick(self.now_ms)
        self.store()

    @rule()
    def restart(self) -> None:
        """The broker comes back with what is stored; every session starts anew."""
        stored = self.stored.get("g", StoredConsumerGroup(epoch=1))
        self.group = self.empty()
        self.group.epoch, self.group.target_epoch = stored.epoch, stored.target_epoch
        self.group.metadata_hash = stored.metadata_hash
        self.group.restore(stored.whole_members(), self.now_ms)
        self.group.take_touched()

    @rule()
    def settle(self) -> None:
        """Let everybody speak, and revoke, a few times: then each partition is read by one."""
        for _ in range(6):
            for name, client in sorted(self.clients.items()):
                self.beat(name)
                client.held &= client.told
        if not self.clients or set(self.group.members) != set(self.clients):
            return  # members that are gone hold their partitions until they are thrown out
        assert self.group.state is ConsumerGroupState.STABLE
        read = {name for client in self.clients.values() for name in client.names}
        shapes = [self.topics.shape_of(name) for name in read]
        want = {(shape[0], index) for shape in shapes if shape for index in range(shape[1])}
        have = [where for client in self.clients.values() for where in client.held]
        assert sorted(have) == sorted(want)

    @invariant()
    def nobody_reads_what_another_reads(self) -> None:
        owner: dict[TopicPartition, str] = {}
        for name, client in self.clients.items():
            for where in client.held:
                assert owner.setdefault(where, name) == name, f"{where}: {owner[where]} and {name}"

    @invariant()
    def the_epoch_only_grows(self) -> None:
        assert self.group.epoch >= self.epoch
        self.epoch = self.group.epoch

    @invariant()
    def time_has_an_end(self) -> None:
        if self.group.members:
            assert self.group.next_deadline_ms() <= self.now_ms + SESSION_MS


Groups.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGroups = pytest.mark.slow(Groups.TestCase)
