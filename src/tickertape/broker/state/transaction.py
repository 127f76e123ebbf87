"""The machine of one transactional id: from a state and an event to the next state, or an error.

Kafka's states (TransactionState, TransactionMetadata; KIP-98, KIP-360). Empty, Ongoing, Prepare*
and Complete* are stored. PrepareEpochFence is a moment within one transition: the epoch is bumped
so that the old owner can do nothing more, and the abort is prepared with the new one. Dead is what
expiration leaves. A transition counts, and is answered, once its record is durable; until then, and
from Prepare* to Complete*, others are told to come back (CONCURRENT_TRANSACTIONS).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto
from typing import Final, TypeAlias

from tickertape.wire.error_codes import ErrorCode

TopicIndex: TypeAlias = tuple[str, int]
Owner: TypeAlias = tuple[int, int]
"""Producer id and epoch."""

EPOCH_LAST: Final = 32_766
"""The last epoch a producer gets; 32767 is left for fencing it. After that, a new producer id."""
NO_EPOCH: Final = -1


class State(IntEnum):
    """With the numbers that are stored."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    PREPARE_EPOCH_FENCE = 7


class Event(Enum):
    """What can happen to a transactional id."""

    INIT = auto()  # a producer begins: InitProducerId
    ADD = auto()  # AddPartitionsToTxn, AddOffsetsToTxn
    COMMIT = auto()  # EndTxn
    ABORT = auto()
    TIMEOUT = auto()  # transaction.timeout.ms has passed
    MARKED = auto()  # every partition has its marker, durably
    EXPIRE = auto()  # transactional.id.expiration.ms has passed


Step: TypeAlias = State | ErrorCode

_AGAIN: Final = ErrorCode.CONCURRENT_TRANSACTIONS
_WRONG: Final = ErrorCode.INVALID_TXN_STATE
_SAME: Final = ErrorCode.NONE
_GONE: Final = ErrorCode.INVALID_PRODUCER_ID_MAPPING


def _row(*steps: Step) -> dict[Event, Step]:
    return dict(zip(Event, steps, strict=True))


_EMPTY, _ONGOING, _COMMITTING, _ABORTING, _COMMITTED, _ABORTED, _DEAD, _FENCING = State

# A state: this comes next. An error: that is the answer, and nothing changes (NONE: it is so).
# fmt: off
TABLE: Final[dict[State, dict[Event, Step]]] = {
    #                     INIT      ADD       COMMIT       ABORT      TIMEOUT   MARKED       EXPIRE
    State.EMPTY: _row(
                          _EMPTY,   _ONGOING, _WRONG,      _WRONG,    _SAME,    _WRONG,      _DEAD),
    State.ONGOING: _row(
                          _FENCING, _ONGOING, _COMMITTING, _ABORTING, _FENCING, _WRONG,      _SAME),
    State.PREPARE_EPOCH_FENCE: _row(
                          _AGAIN,   _AGAIN,   _WRONG,      _ABORTING, _SAME,    _WRONG,      _SAME),
    State.PREPARE_COMMIT: _row(
                          _AGAIN,   _AGAIN,   _AGAIN,      _WRONG,    _SAME,    _COMMITTED,  _SAME),
    State.PREPARE_ABORT: _row(
                          _AGAIN,   _AGAIN,   _WRONG,      _AGAIN,    _SAME,    _ABORTED,    _SAME),
    State.COMPLETE_COMMIT: _row(
                          _EMPTY,   _ONGOING, _SAME,       _WRONG,    _SAME,    _WRONG,      _DEAD),
    State.COMPLETE_ABORT: _row(
                          _EMPTY,   _ONGOING, _WRONG,      _SAME,     _SAME,    _WRONG,      _DEAD),
    State.DEAD: _row(
                          _GONE,    _GONE,    _GONE,       _GONE,     _SAME,    _WRONG,      _SAME),
}
# fmt: on

PREPARED: Final = frozenset({State.PREPARE_COMMIT, State.PREPARE_ABORT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What is stored of a transactional id. Times are wall clock ms, -1 if there is none.

    ``last_epoch`` is the epoch before the newest, if its owner itself asked for the newest: then
    it may ask again. It is not stored, as in Kafka before 4.3.
    """

    transactional_id: str
    producer_id: int
    previous_producer_id: int = -1
    epoch: int = NO_EPOCH
    last_epoch: int = NO_EPOCH
    timeout_ms: int
    state: State = State.EMPTY
    partitions: frozenset[TopicIndex] = frozenset()
    started_ms: int = -1
    updated_ms: int = -1

    def owner_error(self, owner: Owner) -> ErrorCode:
        """Whether ``owner`` may speak for it."""
        if owner[0] != self.producer_id:
            return ErrorCode.INVALID_PRODUCER_ID_MAPPING
        return ErrorCode.NONE if owner[1] == self.epoch else ErrorCode.PRODUCER_FENCED

    def initialised(
        self, expected: Owner | None, timeout_ms: int, now_ms: int, fresh_id: Callable[[], int]
    ) -> "Transaction | ErrorCode":
        """InitProducerId; ``expected`` is what the producer says that it is (KIP-360)."""
        if expected is not None and not self._knows(expected):
            return ErrorCode.PRODUCER_FENCED
        step = TABLE[self.state][Event.INIT]
        if isinstance(step, ErrorCode):
            return step
        if step is State.PREPARE_EPOCH_FENCE:
            owns = expected is None or expected[1] == self.epoch
            return self.fenced(now_ms) if owns else ErrorCode.PRODUCER_FENCED
        fresh = replace(
            self, state=step, timeout_ms=timeout_ms, partitions=frozenset(), started_ms=-1,
            updated_ms=now_ms,
        )  # fmt: skip
        return fresh.with_new_epoch(expected, fresh_id)

    def with_new_epoch(
        self, expected: Owner | None, fresh_id: Callable[[], int]
    ) -> "Transaction | ErrorCode":
        """The next epoch, or at the end of them a new producer id from ``fresh_id``."""
        if expected is not None and self.epoch not in {NO_EPOCH, expected[1]}:
            if expected[1] == self.last_epoch:
                return self  # it asks again: its answer was lost
            return ErrorCode.PRODUCER_FENCED
        known = self.epoch if expected is not None else NO_EPOCH
        if self.epoch < EPOCH_LAST:
            return replace(self, epoch=self.epoch + 1, last_epoch=known)
        return replace(
            self, producer_id=fresh_id(), previous_producer_id=self.producer_id, epoch=0,
            last_epoch=known,
        )  # fmt: skip

    def _knows(self, expected: Owner) -> bool:
        producer_id, epoch = expected
        if self.epoch == NO_EPOCH or producer_id == self.producer_id:
            return True
        return producer_id == self.previous_producer_id and epoch >= EPOCH_LAST

    def fenced(self, now_ms: int) -> "Transaction":
        """Aborted by somebody else than its owner: through PrepareEpochFence to PrepareAbort."""
        step = TABLE[State.PREPARE_EPOCH_FENCE][Event.ABORT]
        assert isinstance(step, State)
        return replace(
            self, state=step, epoch=self.epoch + 1, last_epoch=NO_EPOCH, updated_ms=now_ms
        )

    def extended(self, partitions: Iterable[TopicIndex], now_ms: int) -> "Transaction | ErrorCode":
        """The producer will write there. NONE if that is known."""
        step = TABLE[self.state][Event.ADD]
        if isinstance(step, ErrorCode):
            return step
        more = self.partitions.union(partitions)
        if self.state is State.ONGOING:
            if more == self.partitions:
                return ErrorCode.NONE
            return replace(self, partitions=more, updated_ms=now_ms)
        return replace(self, state=step, partitions=more, started_ms=now_ms, updated_ms=now_ms)

    def ended(self, now_ms: int, *, commit: bool) -> "Transaction | ErrorCode":
        """EndTxn. NONE if it has ended in this way."""
        step = TABLE[self.state][Event.COMMIT if commit else Event.ABORT]
        if isinstance(step, ErrorCode):
            return step
        return replace(self, state=step, updated_ms=now_ms)

    def completed(self, now_ms: int) -> "Transaction":
        """Every marker is durable."""
        step = TABLE[self.state][Event.MARKED]
        assert isinstance(step, State), f"markers in {self.state.name}"
        return replace(self, state=step, partitions=frozenset(), updated_ms=now_ms)
