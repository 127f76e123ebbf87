"""The machine of one transactional id: its table is total, and each row is Kafka's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.broker.state.transaction import (
    EPOCH_LAST,
    NO_EPOCH,
    PREPARED,
    TABLE,
    Event,
    State,
    Transaction,
)
from tickertape.broker.state.transaction_records import read_transactions, transaction_record
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.primitives import DecodeError

NEW = Transaction(transactional_id="t", producer_id=5, timeout_ms=100)
AGAIN = ErrorCode.CONCURRENT_TRANSACTIONS
WRONG = ErrorCode.INVALID_TXN_STATE
NONE = ErrorCode.NONE
GONE = ErrorCode.INVALID_PRODUCER_ID_MAPPING

ENDS = {
    State.EMPTY: (WRONG, WRONG),
    State.ONGOING: (State.PREPARE_COMMIT, State.PREPARE_ABORT),
    State.PREPARE_EPOCH_FENCE: (WRONG, State.PREPARE_ABORT),
    State.PREPARE_COMMIT: (AGAIN, WRONG),
    State.PREPARE_ABORT: (WRONG, AGAIN),
    State.COMPLETE_COMMIT: (NONE, WRONG),
    State.COMPLETE_ABORT: (WRONG, NONE),
    State.DEAD: (GONE, GONE),
}
BUSY = (State.PREPARE_COMMIT, State.PREPARE_ABORT, State.PREPARE_EPOCH_FENCE)
IDLE = (State.EMPTY, State.COMPLETE_COMMIT, State.COMPLETE_ABORT)


def fresh() -> int:
    return 99


def at(state: State, epoch: int = 3) -> Transaction:
    return replace(NEW, state=state, epoch=epoch, partitions=frozenset({("a", 0)}))


def outcome(found: Transaction | ErrorCode) -> State | ErrorCode:
    return found if isinstance(found, ErrorCode) else found.state


def test_the_table_is_total_and_every_state_is_reached() -> None:
    assert set(TABLE) == set(State)
    assert all(set(row) == set(Event) for row in TABLE.values())
    reached = {step for row in TABLE.values() for step in row.values() if isinstance(step, State)}
    assert reached == set(State)


@pytest.mark.parametrize("state", State)
def test_end(state: State) -> None:
    found = [outcome(at(state).ended(1, commit=commit)) for commit in (True, False)]
    assert tuple(found) == ENDS[state]


@pytest.mark.parametrize("state", State)
def test_add(state: State) -> None:
    found = at(state).extended([("b", 1)], 7)
    if state in BUSY or state is State.DEAD:
        assert found is (GONE if state is State.DEAD else AGAIN)
        return
    assert isinstance(found, Transaction)
    assert found.state is State.ONGOING
    assert ("b", 1) in found.partitions
    assert (found.started_ms == 7) == (state is not State.ONGOING)
    again = found.extended([("b", 1)], 9)
    assert again is ErrorCode.NONE


@pytest.mark.parametrize("state", State)
def test_init(state: State) -> None:
    found = at(state).initialised(None, 100, 1, fresh)
    if state in IDLE:
        assert isinstance(found, Transaction)
        assert (found.state, found.epoch, found.partitions) == (State.EMPTY, 4, frozenset())
    elif state is State.ONGOING:
        assert isinstance(found, Transaction)
        assert (found.state, found.epoch) == (State.PREPARE_ABORT, 4)
        assert found.partitions == at(state).partitions
    else:
        assert found is (GONE if state is State.DEAD else AGAIN)


@pytest.mark.parametrize("state", sorted(PREPARED))
def test_completion_keeps_the_decision_and_lets_the_partitions_go(state: State) -> None:
    found = at(state).completed(1)
    wanted = State.COMPLETE_COMMIT if state is State.PREPARE_COMMIT else State.COMPLETE_ABORT
    assert (found.state, found.partitions) == (wanted, frozenset())


@pytest.mark.parametrize("state", sorted(set(State) - PREPARED))
def test_nothing_else_is_completed(state: State) -> None:
    with pytest.raises(AssertionError, match=state.name):
        at(state).completed(1)


@pytest.mark.parametrize(
    ("epoch", "last", "expected", "wanted"),
    [
        (3, NO_EPOCH, None, (5, 4, NO_EPOCH)),
        (3, NO_EPOCH, (5, 3), (5, 4, 3)),
        (4, 3, (5, 3), (5, 4, 3)),  # it asks again
        (4, NO_EPOCH, (5, 3), ErrorCode.PRODUCER_FENCED),
        (4, 3, (5, 2), ErrorCode.PRODUCER_FENCED),
        (4, 3, (5, 5), ErrorCode.PRODUCER_FENCED),
        (4, 3, (6, 4), ErrorCode.PRODUCER_FENCED),
        (NO_EPOCH, NO_EPOCH, (6, 4), (5, 0, NO_EPOCH)),
        (EPOCH_LAST, NO_EPOCH, None, (99, 0, NO_EPOCH)),
        (EPOCH_LAST, NO_EPOCH, (5, EPOCH_LAST), (99, 0, EPOCH_LAST)),
        (EPOCH_LAST + 1, NO_EPOCH, None, (99, 0, NO_EPOCH)),
        (EPOCH_LAST - 1, NO_EPOCH, None, (5, EPOCH_LAST, NO_EPOCH)),
    ],
)
def test_who_gets_which_epoch(
    epoch: int, last: int, expected: tuple[int, int] | None, wanted: object
) -> None:
    before = replace(NEW, epoch=epoch, last_epoch=last)
    found = before.initialised(expected, 100, 1, fresh)
    if isinstance(found, Transaction):
        assert (found.producer_id, found.epoch, found.last_epoch) == wanted
    else:
        assert found is wanted


def test_after_a_rotation_the_owner_may_ask_again() -> None:
    before = replace(NEW, epoch=EPOCH_LAST)
    rotated = before.initialised((5, EPOCH_LAST), 100, 1, fresh)
    assert isinstance(rotated, Transaction)
    again = rotated.initialised((5, EPOCH_LAST), 100, 2, fresh)
    assert isinstance(again, Transaction)
    assert (again.producer_id, again.epoch) == (99, 0)


def test_an_open_transaction_is_aborted_whatever_the_epoch_is() -> None:
    found = at(State.ONGOING).initialised((5, 2), 100, 1, fresh)
    assert isinstance(found, Transaction)
    assert (found.state, found.epoch, found.last_epoch) == (State.PREPARE_ABORT, 4, NO_EPOCH)


FENCED = ErrorCode.PRODUCER_FENCED
V2_ENDS = {
    # the epoch before (abort, commit), the current one (abort, commit): KIP-890's table
    State.EMPTY: (FENCED, FENCED, State.PREPARE_ABORT, WRONG),
    State.ONGOING: (FENCED, FENCED, State.PREPARE_ABORT, State.PREPARE_COMMIT),
    State.PREPARE_COMMIT: (WRONG, AGAIN, FENCED, FENCED),
    State.PREPARE_ABORT: (AGAIN, WRONG, FENCED, FENCED),
    State.COMPLETE_COMMIT: (WRONG, NONE, State.PREPARE_ABORT, WRONG),
    State.COMPLETE_ABORT: (NONE, WRONG, State.PREPARE_ABORT, WRONG),
}


def end_v2(one: Transaction, owner: tuple[int, int], *, commit: bool) -> Transaction | ErrorCode:
    error = one.end_error(owner)
    return error if error is not NONE else one.ended_v2(owner, 7, fresh, commit=commit)


@pytest.mark.parametrize("state", V2_ENDS)
def test_end_of_v2(state: State) -> None:
    one = replace(at(state), client_version=2)
    found = [
        outcome(end_v2(one, owner, commit=commit))
        for owner in ((5, 2), (5, 3))
        for commit in (False, True)
    ]
    assert tuple(found) == V2_ENDS[state]
    for stranger in ((6, 3), (6, 2)):
        assert end_v2(one, stranger, commit=True) is GONE
    assert end_v2(one, (5, 4), commit=True) is FENCED


@pytest.mark.parametrize("commit", [True, False])
def test_the_end_of_v2_bumps_the_epoch_before_the_markers(commit: bool) -> None:  # noqa: FBT001  # a parameter
    one = replace(at(State.ONGOING), started_ms=1)
    prepared = end_v2(one, (5, 3), commit=commit)
    assert isinstance(prepared, Transaction)
    assert (prepared.epoch, prepared.last_epoch, prepared.client_version) == (4, 3, 2)
    assert (prepared.started_ms, prepared.partitions) == (1, one.partitions)
    done = prepared.completed(9)
    assert (done.producer_id, done.epoch, done.last_epoch) == (5, 4, 3)
    assert end_v2(done, (5, 3), commit=commit) is NONE


def test_at_the_last_epoch_v2_goes_on_with_a_new_producer_id() -> None:
    prepared = end_v2(at(State.ONGOING, EPOCH_LAST), (5, EPOCH_LAST), commit=True)
    assert isinstance(prepared, Transaction)
    assert (prepared.producer_id, prepared.epoch, prepared.next_producer_id) == (5, 32_767, 99)
    assert end_v2(prepared, (5, EPOCH_LAST), commit=True) is AGAIN
    done = prepared.completed(9)
    assert (done.producer_id, done.epoch, done.next_producer_id) == (99, 0, -1)
    assert end_v2(done, (5, EPOCH_LAST), commit=True) is NONE
    assert end_v2(done, (5, EPOCH_LAST), commit=False) is WRONG
    assert end_v2(done, (5, EPOCH_LAST - 1), commit=True) is GONE
    later = done.extended([("a", 0)], 10, version=2)
    assert isinstance(later, Transaction)
    assert end_v2(later, (5, EPOCH_LAST), commit=True) is GONE


def test_a_v1_end_bumps_nothing_so_no_older_epoch_has_asked_for_it() -> None:
    done = replace(at(State.COMPLETE_ABORT), client_version=0)
    assert end_v2(done, (5, 2), commit=False) is FENCED


@pytest.mark.parametrize(
    ("version", "epoch", "wanted"),
    [
        (1, 3, (5, 4, NO_EPOCH, -1)),
        (2, 3, (5, 4, 3, -1)),
        (1, EPOCH_LAST, (5, 32_767, NO_EPOCH, -1)),
        (2, EPOCH_LAST, (5, 32_767, EPOCH_LAST, 99)),
        (2, 32_767, (5, 32_767, 32_767, 99)),
    ],
)
def test_fencing_bumps_once(version: int, epoch: int, wanted: tuple[int, int, int, int]) -> None:
    """KAFKA-19367, KAFKA-20090."""
    found = at(State.ONGOING, epoch).fenced(1, fresh, version=version)
    assert found.state is State.PREPARE_ABORT
    assert (found.producer_id, found.epoch, found.last_epoch, found.next_producer_id) == wanted


def test_owners() -> None:
    one = at(State.ONGOING)
    assert one.owner_error((5, 3)) is NONE
    assert one.owner_error((6, 3)) is GONE
    assert one.owner_error((5, 2)) is one.owner_error((5, 4)) is ErrorCode.PRODUCER_FENCED


transactions = st.builds(
    Transaction,
    transactional_id=st.text(min_size=1, max_size=20),
    producer_id=st.integers(0, 2**62),
    previous_producer_id=st.integers(-1, 2**62),
    next_producer_id=st.integers(-1, 2**62),
    last_epoch=st.integers(-1, 32_767),
    client_version=st.integers(0, 2),
    epoch=st.integers(0, 32_767),
    timeout_ms=st.integers(1, 2**31 - 1),
    state=st.sampled_from(sorted(set(State) - {State.DEAD, State.EMPTY})),
    partitions=st.frozensets(st.tuples(st.text(max_size=9), st.integers(0, 2**31 - 1))),
    started_ms=st.integers(-1, 2**62),
    updated_ms=st.integers(-1, 2**62),
)


@given(transactions)
def test_records_say_all_of_it(one: Transaction) -> None:
    record = transaction_record(one)
    assert list(read_transactions([record])) == [(one.transactional_id, one)]


def test_record_bytes() -> None:
    one = replace(
        NEW, epoch=2, state=State.ONGOING, partitions=frozenset({("a", 1), ("a", 0)}),
        started_ms=3, updated_ms=4,
    )  # fmt: skip
    record = transaction_record(one)
    assert record.key == b"\0\0\0\1t"
    assert record.value is not None
    assert record.value.hex() == (
        "0001" "0000000000000005" "0002" "00000064" "01"
        "02" "0261" "03" "00000000" "00000001" "00"
        "0000000000000004" "0000000000000003" "00"
    )  # fmt: skip


def test_a_dead_one_is_a_tombstone_and_an_empty_one_has_no_partitions() -> None:
    dead = transaction_record(replace(NEW, state=State.DEAD))
    assert dead.value is None
    assert list(read_transactions([dead])) == [("t", None)]
    empty = transaction_record(replace(NEW, epoch=0))
    assert list(read_transactions([empty])) == [("t", replace(NEW, epoch=0))]


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\1\0\0"])
def test_damaged_records(value: bytes) -> None:
    record = transaction_record(replace(NEW, epoch=0))
    with pytest.raises(DecodeError):
        list(read_transactions([replace(record, value=value)]))
