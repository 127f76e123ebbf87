"""The machine of one transactional id: from a state and an event to the next state, or an error.

Kafka's states (TransactionState, TransactionMetadata; KIP-98, KIP-360). Empty, Ongoing, Prepare*
and Complete* are stored. PrepareEpochFence is a moment within one transition: the epoch is bumped
so that the old owner can do nothing more, and the abort is prepared with the new one. Dead is what
expiration leaves. A transition counts, and is answered, once its record is durable; until then, and
from Prepare* to Complete*, others are told to come back (CONCURRENT_TRANSACTIONS).

Transactions v2 (KIP-890): every end of a transaction bumps the epoch, so that nothing which was
sent before it can reach the next one. Prepare* carries the new epoch, as do the markers; after the
last epoch a new producer id takes over at Complete*. Whether an EndTxn is a repetition is told by
its epoch, no longer by the state.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto
from typing import Any, Final, TypeAlias

from tickertape.wire.error_codes import ErrorCode

TopicIndex: TypeAlias = tuple[str, int]
Owner: TypeAlias = tuple[int, int]
"""Producer id and epoch."""

EPOCH_LAST: Final = 32_766
"""The last epoch a producer gets; 32767 is left for fencing it. After that, a new producer id."""
EPOCH_FENCE: Final = 32_767
NO_EPOCH: Final = -1
NO_ID: Final = -1
V2: Final = 2
"""The transaction version of clients whose EndTxn bumps the epoch."""


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

    @property
    def title(self) -> str:
        """Its name in Kafka's tools: PrepareCommit."""
        return self.name.title().replace("_", "")


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

    ``last_epoch`` is the epoch before the newest, if its owner itself asked for the newest, or got
    it by the end of a transaction: then it may ask again. ``previous_producer_id`` is that before
    the last transition, ``next_producer_id`` the one that takes over at Complete*.
    ``client_version`` is the transaction version of whoever made the last transition.
    """

    transactional_id: str
    producer_id: int
    previous_producer_id: int = NO_ID
    next_producer_id: int = NO_ID
    epoch: int = NO_EPOCH
    last_epoch: int = NO_EPOCH
    timeout_ms: int
    state: State = State.EMPTY
    partitions: frozenset[TopicIndex] = frozenset()
    started_ms: int = -1
    updated_ms: int = -1
    client_version: int = 0

    # -- who may speak for it ----------------------------------------------------------------

    def owner_error(self, owner: Owner) -> ErrorCode:
        """Whether ``owner`` may speak for it."""
        if owner[0] != self.producer_id:
            return ErrorCode.INVALID_PRODUCER_ID_MAPPING
        return ErrorCode.NONE if owner[1] == self.epoch else ErrorCode.PRODUCER_FENCED

    def end_error(self, owner: Owner) -> ErrorCode:
        """Whether ``owner`` may end it, or has ended it and asks again (v2)."""
        again = self.ended_by(owner)
        if owner[0] != self.producer_id and not again:
            return ErrorCode.INVALID_PRODUCER_ID_MAPPING
        if self.state in PREPARED:
            valid = again
        elif self.state in {State.COMPLETE_COMMIT, State.COMPLETE_ABORT}:
            valid = again or owner[1] == self.epoch
        else:
            valid = owner == (self.producer_id, self.epoch)
        return ErrorCode.NONE if valid else ErrorCode.PRODUCER_FENCED

    def ended_by(self, owner: Owner) -> bool:
        """Whether the end that gave it its epoch was asked for by ``owner`` (v2).

        Kafka does not look at who made the last transition. Without that, the zombie of a v2
        producer could be taken for its v1 successor, whose ends bump no epoch.
        """
        if self.client_version < V2:
            return False
        if owner == (self.producer_id, self.epoch - 1):
            return True
        return owner == (self.previous_producer_id, EPOCH_LAST) and self.epoch == 0

    def _knows(self, expected: Owner) -> bool:
        producer_id, epoch = expected
        if self.epoch == NO_EPOCH or producer_id == self.producer_id:
            return True
        return producer_id == self.previous_producer_id and epoch >= EPOCH_LAST

    # -- InitProducerId ----------------------------------------------------------------------

    def initialised(
        self, expected: Owner | None, timeout_ms: int, now_ms: int, fresh_id: Callable[[], int], *,
        version: int = 0,
    ) -> "Transaction | ErrorCode":  # fmt: skip
        """InitProducerId; ``expected`` is what the producer says that it is (KIP-360).

        ``version`` is the broker's, by which an open transaction is aborted. As in Kafka, that
        happens whatever the epoch of ``expected`` is: who is not the owner is told so next time.
        """
        if expected is not None and not self._knows(expected):
            return ErrorCode.PRODUCER_FENCED
        step = TABLE[self.state][Event.INIT]
        if isinstance(step, ErrorCode):
            return step
        if step is State.PREPARE_EPOCH_FENCE:
            return self.fenced(now_ms, fresh_id, version=version)
        fresh = self._moved(
            state=step, timeout_ms=timeout_ms, partitions=frozenset(), started_ms=-1,
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
        return replace(self, producer_id=fresh_id(), epoch=0, last_epoch=known)

    def fenced(
        self, now_ms: int, fresh_id: Callable[[], int], *, version: int = 0
    ) -> "Transaction":
        """Aborted by somebody else than its owner: through PrepareEpochFence to PrepareAbort.

        The epoch is bumped once, also by v2, where every abort bumps it (KAFKA-19367).
        """
        step = TABLE[State.PREPARE_EPOCH_FENCE][Event.ABORT]
        assert isinstance(step, State)
        if version >= V2:
            return self._prepared(step, now_ms, fresh_id)
        epoch = min(self.epoch + 1, EPOCH_FENCE)
        return self._moved(
            state=step, epoch=epoch, last_epoch=NO_EPOCH, updated_ms=now_ms, client_version=0
        )

    # -- the transaction itself --------------------------------------------------------------

    def extended(
        self, partitions: Iterable[TopicIndex], now_ms: int, *, version: int = 0
    ) -> "Transaction | ErrorCode":
        """The producer will write there. NONE if that is known."""
        step = TABLE[self.state][Event.ADD]
        if isinstance(step, ErrorCode):
            return step
        more = self.partitions.union(partitions)
        started_ms = now_ms
        if self.state is State.ONGOING:
            if more == self.partitions:
                return ErrorCode.NONE
            started_ms = self.started_ms
        return self._moved(
            state=step, partitions=more, started_ms=started_ms, updated_ms=now_ms,
            client_version=version,
        )  # fmt: skip

    def ended(self, now_ms: int, *, commit: bool) -> "Transaction | ErrorCode":
        """EndTxn of v1. NONE if it has ended in this way."""
        step = TABLE[self.state][Event.COMMIT if commit else Event.ABORT]
        if isinstance(step, ErrorCode):
            return step
        return self._moved(state=step, updated_ms=now_ms, client_version=0)

    def ended_v2(
        self, owner: Owner, now_ms: int, fresh_id: Callable[[], int], *, commit: bool
    ) -> "Transaction | ErrorCode":
        """EndTxn of v2, after ``end_error``. NONE if this very request was carried out before.

        An abort needs no open transaction: the producer may not know whether it has begun one.
        """
        step = TABLE[self.state][Event.COMMIT if commit else Event.ABORT]
        if self.state is not State.ONGOING and not self.ended_by(owner):
            step = _WRONG if commit else State.PREPARE_ABORT
        if isinstance(step, ErrorCode):
            return step
        return self._prepared(step, now_ms, fresh_id)

    def _prepared(self, step: State, now_ms: int, fresh_id: Callable[[], int]) -> "Transaction":
        """Decided, with the epoch of the markers; after the last one also with a new id."""
        exhausted = self.epoch >= EPOCH_LAST
        return self._moved(
            state=step,
            epoch=min(self.epoch + 1, EPOCH_FENCE),
            last_epoch=self.epoch,
            next_producer_id=fresh_id() if exhausted else NO_ID,
            started_ms=self.started_ms if self.state is State.ONGOING else now_ms,
            updated_ms=now_ms,
            client_version=V2,
        )

    def completed(self, now_ms: int) -> "Transaction":
        """Every marker is durable."""
        step = TABLE[self.state][Event.MARKED]
        assert isinstance(step, State), f"markers in {self.state.name}"
        done = self._moved(state=step, partitions=frozenset(), updated_ms=now_ms)
        if self.next_producer_id == NO_ID:
            return done
        return replace(done, producer_id=self.next_producer_id, epoch=0, next_producer_id=NO_ID)

    def _moved(self, **changes: Any) -> "Transaction":  # noqa: ANN401  # fields of this class
        """After a transition."""
        return replace(self, previous_producer_id=self.producer_id, **changes)
