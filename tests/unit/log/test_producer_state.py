"""Rules of idempotent producers, one by one."""

import pytest

from tickertape.log.producer_state import BATCHES_KEPT, Batch, ProducerStates, Refused
from tickertape.wire.error_codes import ErrorCode

NOW = 1000
LAST = 0x7FFFFFFF


def states(*batches: tuple[int, int], epoch: int = 0) -> ProducerStates:
    """Producer 7 with batches of (first sequence, records), at consecutive offsets."""
    made, offset = ProducerStates(), 0
    for first, count in batches:
        last_sequence = (first + count - 1) & LAST
        batch = Batch(first, last_sequence, offset + count - 1, count - 1, NOW)
        made.record(7, epoch, batch, NOW)
        offset += count
    return made


def error(verdict: Batch | Refused | None) -> ErrorCode | None:
    return verdict.error if isinstance(verdict, Refused) else None


def test_an_unknown_producer_may_start_anywhere() -> None:
    assert ProducerStates().check(7, 3, 12345, 0) is None


def test_the_next_sequence_is_accepted() -> None:
    assert states((0, 3)).check(7, 0, 3, 1) is None


@pytest.mark.parametrize("first", [2, 4, 100])
def test_a_gap_or_an_overlap_is_out_of_order(first: int) -> None:
    verdict = states((0, 3)).check(7, 0, first, 0)
    assert error(verdict) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_each_of_the_last_five_batches_is_a_duplicate_with_its_offset() -> None:
    known = states((0, 2), (2, 1), (3, 4), (7, 1), (8, 2), (10, 3))
    bases = []
    for first, count in [(2, 1), (3, 4), (7, 1), (8, 2), (10, 3)]:
        verdict = known.check(7, 0, first, count - 1)
        assert isinstance(verdict, Batch)
        bases.append(verdict.base_offset)
    assert bases == [2, 3, 7, 8, 10]
    assert error(known.check(7, 0, 0, 1)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, "the sixth"


def test_a_duplicate_needs_both_sequences_to_match() -> None:
    known = states((0, 5))
    assert isinstance(known.check(7, 0, 0, 4), Batch)
    assert error(known.check(7, 0, 0, 3)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_an_older_epoch_is_fenced_even_with_a_known_batch() -> None:
    known = states((0, 1), epoch=4)
    assert error(known.check(7, 3, 0, 0)) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert error(known.check(7, 3, 1, 0)) is ErrorCode.INVALID_PRODUCER_EPOCH


def test_a_newer_epoch_starts_at_zero_and_forgets() -> None:
    known = states((0, 1), (1, 1))
    assert error(known.check(7, 1, 2, 0)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert known.check(7, 1, 0, 0) is None
    known.record(7, 1, Batch(0, 0, 2, 0, NOW), NOW)
    assert [batch.last_offset for batch in known.by_id[7].batches] == [2]
    assert error(known.check(7, 0, 2, 0)) is ErrorCode.INVALID_PRODUCER_EPOCH


def test_after_the_largest_sequence_comes_zero() -> None:
    known = states((LAST - 1, 2))
    assert known.by_id[7].batches[-1].last_sequence == LAST
    assert known.check(7, 0, 0, 0) is None
    assert error(known.check(7, 0, 1, 0)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_a_batch_may_wrap_inside_and_is_still_a_duplicate() -> None:
    known = states((LAST - 1, 4))
    assert known.by_id[7].batches[-1].last_sequence == 1
    assert isinstance(known.check(7, 0, LAST - 1, 3), Batch)
    assert known.check(7, 0, 2, 0) is None


def test_no_more_than_five_batches_are_kept() -> None:
    known = states(*((n, 1) for n in range(12)))
    assert len(known.by_id[7].batches) == BATCHES_KEPT == 5


def test_a_control_batch_fences_and_wants_zero_next() -> None:
    known = states((0, 1))
    known.fence(7, 2, -1, NOW)
    assert error(known.check(7, 0, 1, 0)) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert error(known.check(7, 2, 1, 0)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert known.check(7, 2, 0, 0) is None


def test_expiry_goes_by_wall_time_not_by_record_timestamps() -> None:
    known = ProducerStates()
    known.record(1, 0, Batch(0, 0, 0, 0, timestamp=5), now_ms=1000)
    known.record(2, 0, Batch(0, 0, 1, 0, timestamp=10**15), now_ms=900)
    assert known.expire(now_ms=1899, expiration_ms=1000) == []
    assert known.expire(now_ms=1900, expiration_ms=1000) == [2]
    assert list(known.by_id) == [1]


def test_an_open_transaction_does_not_expire() -> None:
    known = states((0, 1))
    known.by_id[7].first_offset_of_transaction = 0
    assert known.expire(now_ms=10**12, expiration_ms=1) == []


def test_checking_changes_nothing() -> None:
    known = states((0, 1))
    known.check(8, 0, 0, 0)
    known.check(7, 5, 0, 0)
    assert list(known.by_id) == [7]
    assert known.by_id[7].epoch == 0
