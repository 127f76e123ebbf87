"""Transactions as a client sees them: what is visible when, who is fenced, and every error row."""

from dataclasses import replace

import pytest
from tests.unit.broker.harness import Core, fetched, produced, records, values_of
from tests.unit.broker.txn import Producer, committed, group_offset

from tickertape.base.fake_fs import Loss
from tickertape.broker.state.admission import PATIENCE_MS
from tickertape.broker.state.settings import BrokerSettings, FsyncMode
from tickertape.broker.state.transaction import EPOCH_LAST, State
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.records import write_batch
from tickertape.wire.schema.delete_groups import DeleteGroupsRequest, DeleteGroupsResponse
from tickertape.wire.schema.find_coordinator import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)
from tickertape.wire.schema.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)

SMALL = BrokerSettings(offsets_topic_num_partitions=2, transaction_state_log_num_partitions=2)
NONE = ErrorCode.NONE


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


def state(core: Core, name: str = "tx") -> State:
    found = core.broker.transactions.find(name)
    assert found is not None
    return found.state


def at_epoch(core: Core, producer: Producer, epoch: int) -> None:
    """As if it had been initialised so often."""
    entry = core.broker.transactions._entries[producer.name]
    entry.current = replace(entry.current, epoch=epoch)
    producer.epoch = epoch


def test_committed_records_appear_with_the_commit(core: Core, producer: Producer) -> None:
    assert producer.begin("t") is NONE
    assert producer.send("t", "a", "b") is NONE
    assert committed(core, "t") == []
    assert values_of(fetched(core.fetch("t", 0))) == ["a", "b"]
    assert producer.end(commit=True) is NONE
    assert committed(core, "t") == ["a", "b"]
    assert state(core) is State.COMPLETE_COMMIT
    assert producer.begin("t") is NONE
    assert producer.send("t", "c") is NONE
    assert producer.end(commit=True) is NONE
    assert committed(core, "t") == ["a", "b", "c"]


def test_aborted_records_never_appear(core: Core, producer: Producer) -> None:
    for number in range(4):
        assert producer.begin("t") is NONE
        assert producer.send("t", f"v{number}") is NONE
        assert producer.end(commit=number % 2 == 1) is NONE
    assert committed(core, "t") == ["v1", "v3"]
    named = {
        entry
        for offset in range(8)
        for entry in fetched(core.fetch("t", offset, isolation_level=1)).aborted or ()
    }
    assert named == {(producer.id, 0), (producer.id, 4)}
    assert fetched(core.fetch("t", 0)).aborted is None


def test_one_transaction_holds_back_what_others_committed(core: Core, producer: Producer) -> None:
    other = Producer(core, "other")
    assert other.init() is NONE
    assert producer.begin("t") is NONE
    assert producer.send("t", "first") is NONE
    assert other.begin("t") is NONE
    assert other.send("t", "second") is NONE
    assert other.end(commit=True) is NONE
    assert committed(core, "t") == []
    assert fetched(core.fetch("t", 0, isolation_level=1)).last_stable_offset == 0
    assert producer.end(commit=False) is NONE
    assert committed(core, "t") == ["second"]


def test_a_long_poll_of_a_committed_reader_is_woken_by_the_marker(
    core: Core, producer: Producer
) -> None:
    assert producer.begin("t") is NONE
    poll = core.fetch("t", 0, isolation_level=1, max_wait_ms=5_000)
    assert producer.send("t", "a") is NONE
    assert not poll.answered
    assert producer.end(commit=True) is NONE
    assert values_of(fetched(poll))[0] == "a"


@pytest.mark.parametrize(("isolation", "expected"), [(0, 3), (1, 1)])
def test_list_offsets_latest(core: Core, producer: Producer, isolation: int, expected: int) -> None:
    assert core.produce("t", write_batch(records("plain"))).answered
    assert producer.begin("t") is NONE
    assert producer.send("t", "a", "b") is NONE
    ask = ListOffsetsRequest(
        isolation_level=isolation,
        topics=[
            ListOffsetsTopic(
                name="t", partitions=[ListOffsetsPartition(partition_index=0, timestamp=-1)]
            )
        ],
    )
    out = core.ask(ApiKey.LIST_OFFSETS, 5, ask, ListOffsetsResponse)
    assert out.topics[0].partitions[0].offset == expected


# -- strict verification of produce ------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "error"),
    [(9, ErrorCode.INVALID_TXN_STATE), (11, ErrorCode.TRANSACTION_ABORTABLE)],
)
def test_records_outside_a_transaction_are_refused(
    core: Core, producer: Producer, version: int, error: ErrorCode
) -> None:
    assert producer.send("t", "never begun", version=version) is error
    assert producer.begin("t") is NONE
    assert producer.send("t", "other partition", partition=1, version=version) is error
    assert producer.end(commit=True) is NONE
    assert producer.send("t", "too late", version=version) is error
    assert committed(core, "t") == committed(core, "t", 1) == []


def test_whose_records_are_refused(core: Core, producer: Producer) -> None:
    assert producer.begin("t") is NONE
    stranger = replace(producer, id=999)
    assert stranger.send("t", "x") is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    unknown = replace(producer, name="nobody")
    assert unknown.send("t", "x") is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    for epoch in (producer.epoch - 1, producer.epoch + 1):
        zombie = replace(producer, epoch=epoch)
        assert zombie.send("t", "x") is ErrorCode.INVALID_PRODUCER_EPOCH
    assert producer.send("t", "mine") is NONE
    plain = producer.send("t", "not transactional", transactional=False)
    assert plain is ErrorCode.INVALID_TXN_STATE


def test_transactional_records_need_a_transactional_id(core: Core, producer: Producer) -> None:
    one = write_batch(records("x"), producer_id=1, producer_epoch=0, base_sequence=0, attributes=16)
    out = produced(core.produce("t", one))
    assert out.error == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


# -- InitProducerId ----------------------------------------------------------------------


def test_each_init_gives_the_next_epoch_and_fences_the_last(core: Core, producer: Producer) -> None:
    zombie = replace(producer)
    successor = Producer(core)
    assert successor.init() is NONE
    assert (successor.id, successor.epoch) == (producer.id, producer.epoch + 1)
    assert zombie.begin("t") is ErrorCode.PRODUCER_FENCED
    assert zombie.begin("t", version=1) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert zombie.end(commit=True) is ErrorCode.PRODUCER_FENCED
    assert zombie.end(commit=True, version=1) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert zombie.begin_offsets("g") is ErrorCode.PRODUCER_FENCED
    assert zombie.begin_offsets("g", version=1) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert zombie.init(keep=True) is ErrorCode.PRODUCER_FENCED
    assert zombie.init(3, keep=True) is ErrorCode.INVALID_PRODUCER_EPOCH


def test_init_aborts_what_the_last_owner_left_open(core: Core, producer: Producer) -> None:
    assert producer.begin("t") is NONE
    assert producer.send("t", "lost") is NONE
    successor = Producer(core)
    assert successor.init() is ErrorCode.CONCURRENT_TRANSACTIONS
    for _ in range(3):
        core.sync()
    assert successor.init() is NONE
    assert successor.epoch == producer.epoch + 2
    assert producer.send("t", "zombie") is ErrorCode.INVALID_PRODUCER_EPOCH
    assert producer.end(commit=True) is ErrorCode.PRODUCER_FENCED
    assert committed(core, "t") == []
    assert fetched(core.fetch("t", 0, isolation_level=1)).last_stable_offset == 2


def test_a_producer_may_bump_its_own_epoch_and_ask_again(core: Core, producer: Producer) -> None:
    before = replace(producer)
    assert producer.init(keep=True) is NONE
    assert producer.epoch == before.epoch + 1
    assert before.init(keep=True) is NONE  # the answer was lost, so it asks again
    assert before.epoch == producer.epoch
    stranger = replace(producer, id=producer.id + 7)
    assert stranger.init(keep=True) is ErrorCode.PRODUCER_FENCED


def test_a_zombie_that_says_who_it_was_aborts_what_is_open_and_is_then_fenced(
    core: Core, producer: Producer
) -> None:
    """As in Kafka: with an open transaction only the producer id is looked at, not the epoch."""
    zombie = replace(producer)
    successor = Producer(core)
    assert successor.init() is NONE
    assert successor.begin("t") is NONE
    assert successor.send("t", "lost") is NONE
    assert zombie.init(keep=True) is ErrorCode.CONCURRENT_TRANSACTIONS
    for _ in range(3):
        core.sync()
    assert zombie.init(keep=True) is ErrorCode.PRODUCER_FENCED
    assert successor.end(commit=True) is ErrorCode.PRODUCER_FENCED
    assert committed(core, "t") == []


def test_half_an_owner_is_no_owner(core: Core, producer: Producer) -> None:
    for half in (replace(producer, epoch=-1), replace(producer, id=-1)):
        assert half.init(keep=True) is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("crash", [True, False])
def test_a_bump_that_the_owner_asked_for_is_known_after_a_restart(
    core: Core,
    producer: Producer,
    crash: bool,  # noqa: FBT001  # a parameter
) -> None:
    """KAFKA-20357: the epoch before the newest is stored."""
    before = replace(producer)
    assert producer.init(keep=True) is NONE
    core.crash(Loss.ALL) if crash else core.restart()
    assert before.init(keep=True) is NONE
    assert (before.id, before.epoch) == (producer.id, producer.epoch)


def test_a_rotation_that_the_owner_asked_for_is_known_after_a_restart(
    core: Core, producer: Producer
) -> None:
    """KAFKA-20357, where it was found: the answer to a rotation of the producer id was lost."""
    at_epoch(core, producer, EPOCH_LAST)
    before = replace(producer)
    assert producer.init(keep=True) is NONE
    assert (producer.id != before.id, producer.epoch) == (True, 0)
    core.crash(Loss.ALL)
    assert before.init(keep=True) is NONE
    assert (before.id, before.epoch) == (producer.id, producer.epoch)


def test_what_init_refuses(core: Core) -> None:
    assert Producer(core, "").init() is ErrorCode.INVALID_REQUEST
    for timeout_ms in (0, 900_001):
        late = Producer(core, timeout_ms=timeout_ms)
        assert late.init() is ErrorCode.INVALID_TRANSACTION_TIMEOUT


@pytest.mark.parametrize("level", [1, 2])
def test_after_the_last_epoch_comes_a_new_producer_id(core: Core, level: int) -> None:
    core.broker.features.change({"transaction.version": level})
    producer = Producer(core)
    assert producer.init() is NONE
    at_epoch(core, producer, EPOCH_LAST)
    old = replace(producer)
    assert producer.begin("t") is NONE
    assert producer.send("t", "lost") is NONE
    assert Producer(core).init() is ErrorCode.CONCURRENT_TRANSACTIONS  # fenced with 32767
    for _ in range(3):
        core.sync()
    fresh = Producer(core)
    assert fresh.init() is NONE
    assert fresh.id != old.id
    assert fresh.epoch == (1 if level == 2 else 0)  # v2 rotates with the abort, and bumps again
    assert old.begin("t") is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert committed(core, "t") == []


# -- AddPartitions, EndTxn ---------------------------------------------------------------


def test_nobody_speaks_for_an_unknown_id(core: Core, producer: Producer) -> None:
    for nobody in (replace(producer, name="nobody"), replace(producer, id=77)):
        wrong = ErrorCode.INVALID_PRODUCER_ID_MAPPING
        assert nobody.begin("t") is nobody.end(commit=True) is nobody.begin_offsets("g") is wrong
    nameless = replace(producer, name="")
    assert nameless.begin("t") is nameless.end(commit=True) is ErrorCode.INVALID_REQUEST


def test_an_unknown_partition_adds_nothing(core: Core, producer: Producer) -> None:
    assert producer.begin("t", partition=5) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert producer.begin("t", "nowhere") in {
        ErrorCode.OPERATION_NOT_ATTEMPTED,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    }
    assert state(core) is State.EMPTY


def test_ending_again(core: Core, producer: Producer) -> None:
    wrong = ErrorCode.INVALID_TXN_STATE
    assert producer.end(commit=True) is producer.end(commit=False) is wrong
    assert producer.begin("t") is NONE
    assert producer.end(commit=True) is producer.end(commit=True) is NONE
    assert producer.end(commit=False) is wrong
    assert producer.begin("t") is NONE
    assert producer.end(commit=False) is producer.end(commit=False) is NONE
    assert producer.end(commit=True) is wrong


def test_while_it_is_decided_others_wait(core: Core, producer: Producer) -> None:
    assert producer.begin("t") is NONE
    assert producer.send("t", "a") is NONE
    core.auto_sync = False
    broker = core.broker
    answers: list[ErrorCode] = []
    owner = (producer.id, producer.epoch)
    broker.transactions.end("tx", owner, answers.append, commit=True)
    assert answers == []  # not durable yet
    again = ErrorCode.CONCURRENT_TRANSACTIONS
    added: list[ErrorCode] = []
    broker.transactions.add("tx", owner, [("t", 1)], added.append)
    assert producer.init() is again
    assert broker.transactions.may_write("tx", owner, ("t", 0)) is ErrorCode.NOT_ENOUGH_REPLICAS
    core.sync()
    assert answers == [NONE]
    assert state(core) is State.PREPARE_COMMIT
    broker.transactions.end("tx", owner, answers.append, commit=True)
    broker.transactions.end("tx", owner, answers.append, commit=False)
    assert answers[1:] == [again, ErrorCode.INVALID_TXN_STATE]
    core.sync()  # the markers
    assert state(core) is State.PREPARE_COMMIT
    core.sync()
    assert (state(core), added) == (State.COMPLETE_COMMIT, [])
    core.sync()
    assert (state(core), added) == (State.ONGOING, [NONE])


def test_who_waits_too_long_for_the_last_transaction_is_sent_away(
    core: Core, producer: Producer
) -> None:
    assert producer.begin("t") is NONE
    assert producer.send("t", "a") is NONE
    core.auto_sync = False
    added: list[ErrorCode] = []
    transactions, owner = core.broker.transactions, (producer.id, producer.epoch)
    transactions.end("tx", owner, lambda _: None, commit=True)
    transactions.add("tx", owner, [("t", 1)], added.append)
    core.pass_ms(PATIENCE_MS - 1)
    assert added == []
    core.pass_ms(1)
    assert added == [ErrorCode.CONCURRENT_TRANSACTIONS]


# -- offsets in transactions -------------------------------------------------------------


@pytest.mark.parametrize("commit", [True, False])
def test_offsets_count_with_the_commit(core: Core, producer: Producer, commit: bool) -> None:  # noqa: FBT001  # a parameter
    assert producer.begin_offsets("g") is NONE
    assert producer.send_offset("g", "t", 7) is NONE
    assert group_offset(core, "g", "t") == (0, -1)
    unstable = (ErrorCode.UNSTABLE_OFFSET_COMMIT, -1)
    assert group_offset(core, "g", "t", stable=True) == unstable
    assert producer.end(commit=commit) is NONE
    assert group_offset(core, "g", "t", stable=True) == (0, 7 if commit else -1)


@pytest.mark.parametrize("crash", [True, False])
def test_pending_offsets_survive_a_restart(core: Core, producer: Producer, crash: bool) -> None:  # noqa: FBT001  # a parameter
    assert producer.begin_offsets("g") is NONE
    assert producer.send_offset("g", "t", 7) is NONE
    core.crash(Loss.ALL) if crash else core.restart()
    assert group_offset(core, "g", "t", stable=True) == (ErrorCode.UNSTABLE_OFFSET_COMMIT, -1)
    assert producer.end(commit=True) is NONE
    assert group_offset(core, "g", "t", stable=True) == (0, 7)
    core.crash(Loss.ALL) if crash else core.restart()
    assert group_offset(core, "g", "t", stable=True) == (0, 7)


def test_a_later_plain_commit_wins(core: Core, producer: Producer) -> None:
    assert producer.begin_offsets("g") is NONE
    assert producer.send_offset("g", "t", 7) is NONE
    part = OffsetCommitRequestPartition(partition_index=0, committed_offset=9)
    plain = OffsetCommitRequest(
        group_id="g", topics=[OffsetCommitRequestTopic(name="t", partitions=[part])]
    )
    core.ask(ApiKey.OFFSET_COMMIT, 8, plain, OffsetCommitResponse)
    assert producer.end(commit=True) is NONE
    assert group_offset(core, "g", "t", stable=True) == (0, 9)
    core.restart()
    assert group_offset(core, "g", "t", stable=True) == (0, 9)


def test_offsets_are_fenced_by_group_and_by_transaction(core: Core, producer: Producer) -> None:
    assert producer.send_offset("g", "t", 7) is ErrorCode.INVALID_TXN_STATE
    assert producer.send_offset("g", "t", 7, version=4) is ErrorCode.TRANSACTION_ABORTABLE
    assert producer.begin_offsets("g") is NONE
    zombie = replace(producer, epoch=producer.epoch - 1)
    assert zombie.send_offset("g", "t", 7) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert producer.send_offset("g", "t", 7, generation=3) is ErrorCode.ILLEGAL_GENERATION
    assert producer.send_offset("g", "t", 7) is NONE
    unknown = producer.send_offset("g", "t", 8, generation=3, member="who")
    assert unknown is ErrorCode.UNKNOWN_MEMBER_ID
    assert producer.send_offset("g", "nowhere", 7) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


# -- time and restarts -------------------------------------------------------------------


def test_a_late_transaction_is_aborted_and_its_producer_fenced(core: Core) -> None:
    producer = Producer(core, timeout_ms=5_000)
    assert producer.init() is NONE
    assert producer.begin("t") is NONE
    assert producer.send("t", "late") is NONE
    core.pass_ms(4_999)
    assert state(core) is State.ONGOING
    core.pass_ms(2)
    for _ in range(3):
        core.sync()
    assert state(core) is State.COMPLETE_ABORT
    assert producer.send("t", "x") is ErrorCode.INVALID_PRODUCER_EPOCH
    assert producer.end(commit=True) is ErrorCode.PRODUCER_FENCED
    assert committed(core, "t") == []
    assert producer.init() is NONE
    assert producer.begin("t") is NONE
    assert producer.send("t", "on time") is NONE
    assert producer.end(commit=True) is NONE
    assert committed(core, "t") == ["on time"]


def test_an_overdue_transaction_is_tried_again_while_the_disk_refuses(core: Core) -> None:
    producer = Producer(core, timeout_ms=5_000)
    assert producer.init() is NONE
    assert producer.begin("t") is NONE
    core.fs.fail_always(frozenset({"append"}))
    core.pass_ms(7_000)  # and comes back from every tick
    assert state(core) is State.ONGOING
    core.fs.fail_always(frozenset())
    core.pass_ms(1_001)
    for _ in range(3):
        core.sync()
    assert state(core) is State.COMPLETE_ABORT


def test_an_open_transaction_goes_on_after_a_restart(core: Core, producer: Producer) -> None:
    assert producer.begin("t") is NONE
    assert producer.send("t", "a") is NONE
    core.crash(Loss.ALL)
    assert state(core) is State.ONGOING
    assert producer.send("t", "b") is NONE
    assert producer.end(commit=True) is NONE
    assert committed(core, "t") == ["a", "b"]


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("syncs", [1, 2])
def test_a_decision_is_carried_out_after_a_crash(
    core: Core,
    producer: Producer,
    commit: bool,  # noqa: FBT001  # a parameter
    syncs: int,
) -> None:
    assert producer.begin("t") is NONE
    assert producer.send("t", "a") is NONE
    core.auto_sync = False
    answers: list[ErrorCode] = []
    owner = (producer.id, producer.epoch)
    core.broker.transactions.end("tx", owner, answers.append, commit=commit)
    for _ in range(syncs):
        core.sync()
    assert answers == [NONE]
    core.crash(Loss.ALL)
    assert state(core) in {State.PREPARE_COMMIT, State.PREPARE_ABORT}
    core.auto_sync = True
    core.broker.tick()
    for _ in range(3):
        core.sync()
    assert state(core) is (State.COMPLETE_COMMIT if commit else State.COMPLETE_ABORT)
    assert committed(core, "t") == (["a"] if commit else [])


def test_a_deleted_topic_does_not_hold_up_the_rest(core: Core, producer: Producer) -> None:
    core.create("gone")
    assert producer.begin("t", "gone") is NONE
    assert producer.send("t", "a") is NONE
    topic = core.broker.topics.get("gone")
    assert topic is not None
    core.broker.delete_topic(topic)
    assert producer.end(commit=True) is NONE
    assert state(core) is State.COMPLETE_COMMIT
    assert committed(core, "t") == ["a"]


def test_an_id_that_nobody_uses_is_forgotten(core: Core, producer: Producer) -> None:
    core.clock.advance(604_800_000)
    core.broker.tick()
    core.sync()
    assert core.broker.transactions.find("tx") is None
    core.restart()
    assert core.broker.transactions.find("tx") is None
    assert producer.begin("t") is ErrorCode.INVALID_PRODUCER_ID_MAPPING


def test_transactions_have_a_coordinator(core: Core) -> None:
    ask = FindCoordinatorRequest(key="tx", key_type=1)
    out = core.ask(ApiKey.FIND_COORDINATOR, 3, ask, FindCoordinatorResponse)
    assert (out.error_code, out.node_id) == (0, core.settings.node_id)
    assert core.broker.topics.get("__transaction_state") is not None


def test_the_transaction_log_refuses_and_nothing_happened(core: Core, producer: Producer) -> None:
    assert producer.begin("t") is NONE
    assert producer.send("t", "a") is NONE
    core.fs.fail_always(frozenset({"sync"}))
    assert producer.end(commit=True) is ErrorCode.NOT_COORDINATOR
    assert state(core) is State.ONGOING
    assert committed(core, "t") == []


@pytest.mark.parametrize("fsync", ["interval", "never"])
def test_without_waiting_for_the_disk_everything_is_decided_at_once(fsync: FsyncMode) -> None:
    core = Core(replace(SMALL, fsync=fsync), auto_sync=False)
    core.create("t", 2)
    producer = Producer(core)
    assert producer.init() is NONE
    for number in range(3):
        assert producer.begin("t") is NONE
        assert producer.begin("t", partition=1) is NONE
        assert producer.send("t", f"v{number}") is NONE
        assert producer.begin_offsets("g") is NONE
        assert producer.send_offset("g", "t", number) is NONE
        assert producer.end(commit=number != 1) is NONE
        assert state(core) in {State.COMPLETE_COMMIT, State.COMPLETE_ABORT}
    assert committed(core, "t") == ["v0", "v2"]
    assert group_offset(core, "g", "t", stable=True) == (0, 2)


def test_markers_are_tried_again_while_the_disk_refuses(core: Core, producer: Producer) -> None:
    assert producer.begin("t") is NONE
    assert producer.send("t", "a") is NONE
    core.auto_sync = False
    answers: list[ErrorCode] = []
    owner = (producer.id, producer.epoch)
    core.broker.transactions.end("tx", owner, answers.append, commit=True)
    partition = core.broker.topics.partition("t", 0)
    assert partition is not None
    partition.log.failed = "the disk is gone"
    core.sync()
    assert answers == [NONE]
    core.pass_ms(5_000)
    core.sync()
    assert state(core) is State.PREPARE_COMMIT
    partition.log.failed = None
    core.pass_ms(1_001)
    for _ in range(3):
        core.sync()
    assert state(core) is State.COMPLETE_COMMIT
    assert committed(core, "t") == ["a"]


def test_no_transaction_brings_back_offsets_of_a_deleted_topic(
    core: Core, producer: Producer
) -> None:
    core.create("gone")
    assert producer.begin_offsets("g") is NONE
    assert producer.send_offset("g", "gone", 7) is NONE
    topic = core.broker.topics.get("gone")
    assert topic is not None
    core.broker.delete_topic(topic)
    core.sync()
    assert producer.end(commit=True) is NONE
    assert group_offset(core, "g", "gone", stable=True) == (0, -1)
    core.restart()
    assert group_offset(core, "g", "gone", stable=True) == (0, -1)


def test_an_offset_that_could_not_be_stored_leaves_the_one_before(
    core: Core, producer: Producer
) -> None:
    assert producer.begin_offsets("g") is NONE
    assert producer.send_offset("g", "t", 7) is NONE
    core.fs.fail_always(frozenset({"append"}))
    assert producer.send_offset("g", "t", 8) is ErrorCode.NOT_COORDINATOR
    core.fs.fail_always(frozenset())
    assert producer.end(commit=True) is NONE
    assert group_offset(core, "g", "t", stable=True) == (0, 7)
    core.restart()
    assert group_offset(core, "g", "t", stable=True) == (0, 7)


def test_no_transaction_brings_back_a_deleted_group(core: Core, producer: Producer) -> None:
    assert producer.begin_offsets("g") is NONE
    assert producer.send_offset("g", "t", 7) is NONE
    ask = DeleteGroupsRequest(groups_names=["g"])
    out = core.ask(ApiKey.DELETE_GROUPS, 2, ask, DeleteGroupsResponse)
    assert out.results[0].error_code == 0
    assert producer.end(commit=True) is NONE
    assert group_offset(core, "g", "t", stable=True) == (0, -1)
    core.restart()
    assert group_offset(core, "g", "t", stable=True) == (0, -1)
