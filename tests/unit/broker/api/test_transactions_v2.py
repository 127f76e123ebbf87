"""Transactions v2 (KIP-890): no call announces a partition, and every end bumps the epoch."""

from collections import deque
from dataclasses import replace

import pytest
from tests.unit.broker.harness import Core, FakeCall, batch, fetched, produced
from tests.unit.broker.txn import Producer, committed, group_offset

from tickertape.base.fake_fs import Loss
from tickertape.broker.state.admission import PATIENCE_MS, WAITING_MAX
from tickertape.broker.state.assignors import NOTHING
from tickertape.broker.state.consumer_group_types import LEAVING, HeartbeatAsk
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.transaction import EPOCH_LAST, State
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)

SMALL = BrokerSettings(offsets_topic_num_partitions=2, transaction_state_log_num_partitions=2)
NONE = ErrorCode.NONE
PRODUCE = 12
END = 5
OFFSETS = 5


@pytest.fixture
def core() -> Core:
    one = Core(SMALL)
    one.create("t", 2)
    return one


@pytest.fixture
def producer(core: Core) -> Producer:
    one = Producer(core)
    assert one.init() is NONE
    return one


def settle(core: Core) -> None:
    for _ in range(4):
        core.sync()


def state(core: Core) -> State:
    found = core.broker.transactions.find("tx")
    assert found is not None
    return found.state


def at_epoch(core: Core, producer: Producer, epoch: int) -> None:
    """As if it had ended so many transactions."""
    entry = core.broker.transactions._entries[producer.name]
    entry.current = replace(entry.current, epoch=epoch)
    producer.epoch = epoch


def post(core: Core, producer: Producer, value: str, *, sequence: int = 0) -> FakeCall:
    """Send a record and do not wait."""
    one = batch(
        value, producer_id=producer.id, producer_epoch=producer.epoch, base_sequence=sequence,
        attributes=0x10,
    )  # fmt: skip
    return core.produce("t", one, version=PRODUCE, transactional_id=producer.name)


def post_offset(core: Core, producer: Producer, *, member: str, generation: int) -> FakeCall:
    """Send an offset of group "g" and do not wait."""
    part = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=7)
    ask = TxnOffsetCommitRequest(
        transactional_id=producer.name, group_id="g", producer_id=producer.id,
        producer_epoch=producer.epoch, generation_id=generation, member_id=member,
        topics=[TxnOffsetCommitRequestTopic(name="t", partitions=[part])],
    )  # fmt: skip
    return core.send(ApiKey.TXN_OFFSET_COMMIT, OFFSETS, ask.encode(OFFSETS))


def error_of(call: FakeCall) -> ErrorCode:
    return ErrorCode(produced(call, PRODUCE).error)


def test_records_bring_their_partition_into_the_transaction(core: Core, producer: Producer) -> None:
    first = replace(producer)
    for number in range(4):
        assert producer.send("t", f"a{number}", version=PRODUCE) is NONE
        assert producer.send("t", f"b{number}", version=PRODUCE) is NONE
        assert producer.send("t", f"c{number}", partition=1, version=PRODUCE) is NONE
        assert producer.end(commit=number % 2 == 0, version=END) is NONE
    assert (producer.id, producer.epoch) == (first.id, first.epoch + 4)
    assert committed(core, "t") == ["a0", "b0", "a2", "b2"]
    assert committed(core, "t", 1) == ["c0", "c2"]


@pytest.mark.parametrize("commit", [True, False])
def test_offsets_bring_their_group_into_the_transaction(
    core: Core,
    producer: Producer,
    commit: bool,  # noqa: FBT001  # a parameter
) -> None:
    assert producer.send_offset("g", "t", 7, version=OFFSETS) is NONE
    assert group_offset(core, "g", "t", stable=True) == (ErrorCode.UNSTABLE_OFFSET_COMMIT, -1)
    assert producer.end(commit=commit, version=END) is NONE
    assert group_offset(core, "g", "t", stable=True) == (0, 7 if commit else -1)


def test_no_record_is_written_before_its_partition_is_in_the_transaction(
    core: Core, producer: Producer
) -> None:
    core.auto_sync = False
    call = post(core, producer, "a")
    partition = core.broker.topics.partition("t", 0)
    assert partition is not None
    assert partition.log.end_offset == 0
    core.sync()
    assert state(core) is State.ONGOING
    assert (partition.log.end_offset, call.answered) == (1, False)
    core.sync()
    assert error_of(call) is NONE


def test_requests_are_let_in_in_their_order(core: Core, producer: Producer) -> None:
    core.auto_sync = False
    calls = [post(core, producer, f"v{n}", sequence=n) for n in range(5)]
    settle(core)
    assert [error_of(call) for call in calls] == [NONE] * 5
    core.auto_sync = True
    assert producer.end(commit=True, version=END) is NONE
    assert committed(core, "t") == [f"v{n}" for n in range(5)]


def test_the_next_transaction_waits_for_the_markers_of_the_last(
    core: Core, producer: Producer
) -> None:
    assert producer.send("t", "a", version=PRODUCE) is NONE
    core.auto_sync = False
    answers: list[tuple[ErrorCode, tuple[int, int]]] = []
    core.broker.transactions.end_v2(
        "tx", (producer.id, producer.epoch), lambda *found: answers.append(found), commit=True
    )
    core.sync()
    assert answers == [(NONE, (producer.id, producer.epoch + 1))]
    assert state(core) is State.PREPARE_COMMIT
    producer.epoch += 1
    call = post(core, producer, "b")
    assert not call.answered
    settle(core)
    settle(core)
    assert error_of(call) is NONE
    assert state(core) is State.ONGOING


def test_nobody_waits_for_ever(core: Core, producer: Producer) -> None:
    core.auto_sync = False
    calls = [post(core, producer, f"v{n}", sequence=n) for n in range(WAITING_MAX + 2)]
    again = ErrorCode.CONCURRENT_TRANSACTIONS
    assert error_of(calls[-1]) is again  # the first is on its way, and sixteen wait
    core.pass_ms(PATIENCE_MS + 1)
    assert {error_of(call) for call in calls} == {again}
    settle(core)
    assert core.broker.transactions._entries["tx"].waiting == deque()
    assert len(core.broker.durability.waits) == 0


def test_a_disk_that_stands_still_for_long_leaves_nobody_in_the_way(
    core: Core, producer: Producer
) -> None:
    """Those who gave up waiting must not take the places of those who come after them."""
    core.auto_sync = False
    first = post(core, producer, "a")
    core.pass_ms(core.settings.offsets_commit_timeout_ms + 1)  # the coordinator gave up as well
    assert error_of(first) is ErrorCode.CONCURRENT_TRANSACTIONS
    for _ in range(WAITING_MAX):
        post(core, producer, "a")
    core.pass_ms(PATIENCE_MS + 1)
    settle(core)
    call = post(core, producer, "a")
    settle(core)
    assert error_of(call) is NONE


def test_who_waits_for_a_slow_disk_is_let_in_when_it_is_done(
    core: Core, producer: Producer
) -> None:
    core.auto_sync = False
    post(core, producer, "a")
    core.pass_ms(core.settings.offsets_commit_timeout_ms + 1)
    call = post(core, producer, "b")
    settle(core)
    assert error_of(call) is NONE


def test_the_group_is_looked_at_again_after_waiting(core: Core, producer: Producer) -> None:
    """KIP-447: while it waited, others may have got the partitions whose offsets these are."""
    joining = HeartbeatAsk(
        member_id="m", epoch=0, topic_names=frozenset({"t"}), rebalance_timeout_ms=1, owned=NOTHING
    )
    groups = core.broker.groups
    groups.consumer_heartbeat("g", joining, lambda _: None)
    core.sync()
    core.auto_sync = False
    call = post_offset(core, producer, member="m", generation=2)
    assert not call.answered
    groups.consumer_heartbeat("g", HeartbeatAsk(member_id="m", epoch=LEAVING), lambda _: None)
    settle(core)
    out = call.read(TxnOffsetCommitResponse, ApiKey.TXN_OFFSET_COMMIT, OFFSETS)
    assert out.topics[0].partitions[0].error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_v1_producer_goes_on_beside(core: Core, producer: Producer) -> None:
    assert producer.begin("t") is NONE
    assert producer.send("t", "v1") is NONE
    assert producer.end(commit=True) is NONE
    assert producer.send("t", "v2", version=PRODUCE) is NONE
    assert producer.end(commit=True, version=END) is NONE
    assert producer.begin("t") is NONE
    assert producer.send("t", "v1 again") is NONE
    assert producer.end(commit=True) is NONE
    assert committed(core, "t") == ["v1", "v2", "v1 again"]


def test_an_end_is_known_when_it_is_repeated(core: Core, producer: Producer) -> None:
    before = producer
    for commit in (True, False):
        before = replace(producer)
        assert producer.send("t", "a", version=PRODUCE) is NONE
        assert producer.end(commit=commit, version=END) is NONE
        again = replace(before)
        assert again.end(commit=commit, version=END) is NONE
        assert (again.id, again.epoch) == (producer.id, producer.epoch)
        wrong = replace(before)
        assert wrong.end(commit=not commit, version=END) is ErrorCode.INVALID_TXN_STATE
    core.crash(Loss.ALL)
    again = replace(before)
    assert again.end(commit=False, version=END) is NONE
    assert again.epoch == producer.epoch


def test_an_empty_transaction_may_be_aborted_but_not_committed(
    core: Core, producer: Producer
) -> None:
    assert producer.end(commit=True, version=END) is ErrorCode.INVALID_TXN_STATE
    before = producer.epoch
    assert producer.end(commit=False, version=END) is NONE
    assert producer.end(commit=False, version=END) is NONE
    assert producer.epoch == before + 2
    assert state(core) is State.COMPLETE_ABORT


def test_a_delayed_end_does_not_reach_the_next_transaction(core: Core, producer: Producer) -> None:
    """The reason for it all (Jepsen on Bufstream, KIP-890)."""
    delayed = replace(producer)
    assert producer.send("t", "a", version=PRODUCE) is NONE
    assert producer.end(commit=True, version=END) is NONE
    assert producer.send("t", "b", version=PRODUCE) is NONE
    assert delayed.end(commit=True, version=END) is ErrorCode.PRODUCER_FENCED
    assert delayed.send("t", "c", version=PRODUCE) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert delayed.send_offset("g", "t", 1, version=OFFSETS) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert committed(core, "t") == ["a"]
    assert producer.end(commit=False, version=END) is NONE
    assert committed(core, "t") == ["a"]


def test_a_producer_unknown_to_the_partition_begins_at_zero(core: Core, producer: Producer) -> None:
    producer.sequences[("t", 0)] = 3
    assert producer.send("t", "x", version=PRODUCE) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    producer.sequences.clear()
    assert producer.send("t", "x", version=PRODUCE) is NONE


def test_an_unknown_partition_does_not_join(core: Core, producer: Producer) -> None:
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert producer.send("nowhere", "x", version=PRODUCE) is unknown
    assert state(core) is State.EMPTY
    assert Producer(core, "who", id=1, epoch=0).send("t", "x", version=PRODUCE) is (
        ErrorCode.INVALID_PRODUCER_ID_MAPPING
    )


@pytest.mark.parametrize("loss", [Loss.ALL, Loss.NOTHING])
@pytest.mark.parametrize("syncs", [1, 2, 3])
def test_a_restart_at_any_step_of_an_end(
    core: Core, producer: Producer, loss: Loss, syncs: int
) -> None:
    before = replace(producer)
    assert producer.send("t", "a", version=PRODUCE) is NONE
    core.auto_sync = False
    core.broker.transactions.end_v2(
        "tx", (producer.id, producer.epoch), lambda *found: None, commit=True
    )
    for _ in range(syncs):
        core.sync()
    core.crash(loss)
    core.auto_sync = True
    core.broker.tick()
    settle(core)
    assert before.end(commit=True, version=END) is NONE
    assert before.epoch == producer.epoch + 1
    assert committed(core, "t") == ["a"]
    assert before.send("t", "b", version=PRODUCE) is NONE
    assert before.end(commit=True, version=END) is NONE
    assert committed(core, "t") == ["a", "b"]


# -- bugs that Apache Kafka has had (each by its number) -------------------------------------


def test_kafka_18660_the_last_epoch_is_answered_with_the_new_producer_id(
    core: Core, producer: Producer
) -> None:
    at_epoch(core, producer, EPOCH_LAST)
    old = replace(producer)
    assert producer.send("t", "a", version=PRODUCE) is NONE
    core.auto_sync = False
    answers: list[tuple[ErrorCode, tuple[int, int]]] = []
    core.broker.transactions.end_v2(
        "tx", (producer.id, producer.epoch), lambda *found: answers.append(found), commit=True
    )
    core.sync()
    ((error, (new_id, epoch)),) = answers
    assert (error, epoch, new_id != old.id) == (NONE, 0, True)
    # it begins at once, while the old id is still being completed, and is not taken for a stranger
    following = replace(old, id=new_id, epoch=0)
    call = post(core, following, "b")
    settle(core)
    settle(core)
    assert error_of(call) is NONE
    core.auto_sync = True
    assert following.end(commit=True, version=END) is NONE
    assert committed(core, "t") == ["a", "b"]


def test_kafka_18660_neither_is_a_v1_producer(core: Core, producer: Producer) -> None:
    at_epoch(core, producer, EPOCH_LAST)
    assert producer.begin("t") is NONE
    core.auto_sync = False
    transactions, owner = core.broker.transactions, (producer.id, producer.epoch)
    afterwards: list[tuple[int, int]] = []
    transactions.end_v2("tx", owner, lambda _, after: afterwards.append(after), commit=True)
    core.sync()
    assert state(core) is State.PREPARE_COMMIT
    added: list[ErrorCode] = []
    transactions.add("tx", afterwards[0], [("t", 0)], added.append)
    settle(core)
    assert added == [NONE]


def test_kafka_19367_a_successor_bumps_once(core: Core, producer: Producer) -> None:
    assert producer.send("t", "lost", version=PRODUCE) is NONE
    successor = Producer(core)
    assert successor.init() is ErrorCode.CONCURRENT_TRANSACTIONS
    found = core.broker.transactions.find("tx")
    assert found is not None
    assert found.epoch == producer.epoch + 1
    settle(core)
    assert successor.init() is NONE
    assert successor.epoch == producer.epoch + 2
    assert committed(core, "t") == []


def test_kafka_19690_a_zombie_is_told_so_whatever_else_is_wrong(
    core: Core, producer: Producer
) -> None:
    zombie = replace(producer)
    assert producer.send("t", "a", version=PRODUCE) is NONE
    assert producer.end(commit=True, version=END) is NONE
    for version in (9, 11, PRODUCE):
        late = replace(zombie, sequences={("t", 0): 0, ("t", 1): 7})
        for partition in (0, 1):  # one is not in the transaction, one has never been
            found = late.send("t", "z", partition=partition, version=version)
            assert found is ErrorCode.INVALID_PRODUCER_EPOCH


def test_kafka_19999_markers_are_repeated_without_end(core: Core, producer: Producer) -> None:
    """A crash after the markers, before Complete*: the same markers are written once more."""
    assert producer.send("t", "a", version=PRODUCE) is NONE
    core.auto_sync = False
    core.broker.transactions.end_v2(
        "tx", (producer.id, producer.epoch), lambda *found: None, commit=True
    )
    core.sync()  # Prepare* is durable, the markers are written
    partition = core.broker.topics.partition("t", 0)
    assert partition is not None
    ticket = partition.log.begin_sync()
    assert ticket is not None
    ticket.run()  # and durable, but nobody hears of it
    core.crash(Loss.ALL)
    core.auto_sync = True
    core.broker.tick()
    settle(core)
    assert state(core) is State.COMPLETE_COMMIT
    assert fetched(core.fetch("t", 0, isolation_level=1)).last_stable_offset == 3
    assert committed(core, "t") == ["a"]


def test_kafka_20090_the_last_epoch_is_fenced(core: Core) -> None:
    producer = Producer(core, timeout_ms=5_000)
    assert producer.init() is NONE
    at_epoch(core, producer, EPOCH_LAST)
    late = replace(producer)
    assert producer.send("t", "late", version=PRODUCE) is NONE
    core.pass_ms(5_001)
    settle(core)
    assert state(core) is State.COMPLETE_ABORT
    commit = replace(late)
    assert commit.end(commit=True, version=END) is ErrorCode.INVALID_TXN_STATE
    assert late.end(commit=False, version=END) is NONE  # as if it had been its own abort
    assert (late.id != producer.id, late.epoch) == (True, 0)
    assert late.send("t", "on time", version=PRODUCE) is NONE
    assert late.end(commit=True, version=END) is NONE
    assert committed(core, "t") == ["on time"]


def test_kafka_20357_the_epoch_before_is_known_after_a_crash(
    core: Core, producer: Producer
) -> None:
    at_epoch(core, producer, EPOCH_LAST)
    before = replace(producer)
    assert producer.send("t", "a", version=PRODUCE) is NONE
    assert producer.end(commit=True, version=END) is NONE
    core.crash(Loss.ALL)
    assert before.init(keep=True) is NONE  # whose answer to the end was lost
    assert (before.id, before.epoch) == (producer.id, 0)
