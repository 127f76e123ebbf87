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


def test_an_open_transaction_is_not_aborted_by_an_older_epoch() -> None:
    assert at(State.ONGOING).initialised((5, 2), 100, 1, fresh) is ErrorCode.PRODUCER_FENCED


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
