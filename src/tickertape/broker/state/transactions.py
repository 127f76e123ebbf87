"""The transaction coordinator: every transactional id of this broker, its timers, its markers.

Feeds requests and time to the Transaction machines. Each transition is a record of
``__transaction_state``; it counts and is answered once that is durable. After Prepare* is durable
the outcome cannot change any more: markers go to every partition of the transaction, again and
again if the disk refuses or the broker restarts, and when all are durable, Complete* is stored.
Whether a producer may write, the produce path asks here, in the same turn in which it appends.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from tickertape.base.errors import StorageError
from tickertape.base.ports import Clock
from tickertape.broker.state.groups import Groups, coordinator_error
from tickertape.broker.state.producer_ids import ProducerIds
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.topics import OFFSETS_TOPIC
from tickertape.broker.state.transaction import (
    PREPARED,
    TABLE,
    Event,
    Owner,
    State,
    TopicIndex,
    Transaction,
)
from tickertape.broker.state.transaction_log import TransactionLog
from tickertape.broker.state.waits import NEVER_MS
from tickertape.wire.error_codes import ErrorCode

_NONE: Final = ErrorCode.NONE
_RETRY_MS: Final = 1_000

Done: TypeAlias = Callable[[ErrorCode], None]
InitDone: TypeAlias = Callable[[ErrorCode, int, int], None]


@dataclass(slots=True, eq=False)
class _Entry:
    """A transactional id: what is durable of it, and what is on its way to the disk."""

    current: Transaction
    pending: Transaction | None = None
    marked: frozenset[TopicIndex] = frozenset()  # have their marker, durably
    marking: bool = False


class Transactions:
    """See the module."""

    def __init__(
        self,
        settings: BrokerSettings,
        log: TransactionLog,
        groups: Groups,
        producer_ids: ProducerIds,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._log = log
        self._groups = groups
        self._producer_ids = producer_ids
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._timeouts: list[tuple[int, str]] = []  # monotonic ms; some of them outdated
        self._deadlines: dict[str, int] = {}
        self._unmarked: dict[str, int] = {}  # Prepare*, and when to try the markers (again)
        self._expiry_due_ms = 0

    # -- start -------------------------------------------------------------------------------

    def load(self) -> int:
        """Rebuild everything from the transaction log; returns the number of ids."""
        for transactional_id, stored in self._log.transactions():
            if stored is None:
                self._entries.pop(transactional_id, None)
            else:
                self._entries[transactional_id] = _Entry(stored)
        now_ms = self._clock.monotonic_ms()
        for transactional_id, entry in self._entries.items():
            if entry.current.state in PREPARED:
                self._unmarked[transactional_id] = now_ms
            else:
                self._watch(entry.current)
        self._expiry_due_ms = now_ms + self._settings.transactional_id_check_interval_ms
        return len(self._entries)

    def prepare(self) -> None:
        """Make sure that the transaction log exists. StorageError if it cannot be made."""
        self._log.ensure_topic()

    # -- questions ---------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Transaction]:
        """Every transactional id, as it is durable."""
        return (entry.current for entry in self._entries.values())

    def find(self, transactional_id: str) -> Transaction | None:
        """What is durable of that id."""
        entry = self._entries.get(transactional_id)
        return entry.current if entry is not None else None

    def may_write(self, transactional_id: str, owner: Owner, where: TopicIndex) -> ErrorCode:
        """Whether a transactional batch of ``owner`` may be appended there, now.

        NOT_ENOUGH_REPLICAS: not yet, as the last transaction is being completed.
        """
        entry = self._entries.get(transactional_id)
        if entry is None:
            return ErrorCode.INVALID_PRODUCER_ID_MAPPING
        current, pending = entry.current, entry.pending
        error = current.owner_error(owner)
        if error is ErrorCode.PRODUCER_FENCED:
            return ErrorCode.INVALID_PRODUCER_EPOCH  # what a produce is told
        if error is not _NONE:
            return error
        if current.state in PREPARED or (pending is not None and pending.state in PREPARED):
            return ErrorCode.NOT_ENOUGH_REPLICAS
        if current.state is State.ONGOING and where in current.partitions:
            return _NONE
        return ErrorCode.INVALID_TXN_STATE

    # -- requests ----------------------------------------------------------------------------

    def init(
        self, transactional_id: str, timeout_ms: int, expected: Owner | None, done: InitDone
    ) -> None:
        """InitProducerId: ``done`` gets the producer id and epoch, -1 with an error."""
        if not transactional_id:
            done(ErrorCode.INVALID_REQUEST, -1, -1)
            return
        if not 0 < timeout_ms <= self._settings.transaction_max_timeout_ms:
            done(ErrorCode.INVALID_TRANSACTION_TIMEOUT, -1, -1)
            return
        try:
            entry = self._entries.get(transactional_id) or self._fresh(transactional_id, timeout_ms)
            if entry.pending is not None:
                done(ErrorCode.CONCURRENT_TRANSACTIONS, -1, -1)
                return
            following = entry.current.initialised(
                expected, timeout_ms, self._clock.now_ms(), self._producer_ids.take
            )
        except StorageError:
            done(ErrorCode.COORDINATOR_NOT_AVAILABLE, -1, -1)
            return
        if isinstance(following, ErrorCode):
            done(following, -1, -1)
            return

        def stored(error: ErrorCode) -> None:
            if error is not _NONE:
                done(error, -1, -1)
            elif following.state in PREPARED:
                done(ErrorCode.CONCURRENT_TRANSACTIONS, -1, -1)  # the last owner's is aborted first
            else:
                done(_NONE, following.producer_id, following.epoch)

        self._store(entry, following, stored)

    def _fresh(self, transactional_id: str, timeout_ms: int) -> _Entry:
        """An id that nobody knows: it exists once its first record is durable. StorageError."""
        producer_id = self._producer_ids.take()
        entry = _Entry(
            Transaction(
                transactional_id=transactional_id, producer_id=producer_id, timeout_ms=timeout_ms
            )
        )
        self._entries[transactional_id] = entry
        return entry

    def add(
        self, transactional_id: str, owner: Owner, partitions: Iterable[TopicIndex], done: Done
    ) -> None:
        """AddPartitionsToTxn and AddOffsetsToTxn."""
        entry = self._owned(transactional_id, owner, done)
        if entry is not None:
            self._proceed(entry, entry.current.extended(partitions, self._clock.now_ms()), done)

    def end(self, transactional_id: str, owner: Owner, done: Done, *, commit: bool) -> None:
        """EndTxn."""
        entry = self._owned(transactional_id, owner, done)
        if entry is not None:
            self._proceed(entry, entry.current.ended(self._clock.now_ms(), commit=commit), done)

    def _owned(self, transactional_id: str, owner: Owner, done: Done) -> _Entry | None:
        """The entry, if ``owner`` may speak for it and nothing is under way; else ``done``."""
        if not transactional_id:
            done(ErrorCode.INVALID_REQUEST)
            return None
        entry = self._entries.get(transactional_id)
        if entry is None:
            done(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
            return None
        error = entry.current.owner_error(owner)
        if error is _NONE and entry.pending is not None:
            error = ErrorCode.CONCURRENT_TRANSACTIONS
        if error is not _NONE:
            done(error)
            return None
        return entry

    def _proceed(self, entry: _Entry, following: Transaction | ErrorCode, done: Done) -> None:
        if isinstance(following, ErrorCode):
            done(following)
        else:
            self._store(entry, following, done)

    # -- time --------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> int:
        """Run what is due (monotonic ms); returns the next deadline."""
        for transactional_id in [t for t, due_ms in self._unmarked.items() if due_ms <= now_ms]:
            self._write_markers(self._entries[transactional_id])
        timeouts = self._timeouts
        while timeouts and timeouts[0][0] <= now_ms:
            due_ms, transactional_id = heapq.heappop(timeouts)
            if self._deadlines.get(transactional_id) == due_ms:
                self._time_out(transactional_id, now_ms)
        if now_ms >= self._expiry_due_ms:
            self._expiry_due_ms = now_ms + self._settings.transactional_id_check_interval_ms
            self._expire()
        return min(
            self._expiry_due_ms,
            timeouts[0][0] if timeouts else NEVER_MS,
            min(self._unmarked.values(), default=NEVER_MS),
        )

    def _watch(self, transaction: Transaction) -> None:
        """Note when it must be over."""
        transactional_id = transaction.transactional_id
        if transaction.state is not State.ONGOING:
            self._deadlines.pop(transactional_id, None)
            return
        if transactional_id in self._deadlines:
            return
        left_ms = transaction.started_ms + transaction.timeout_ms - self._clock.now_ms()
        due_ms = self._clock.monotonic_ms() + min(max(left_ms, 0), transaction.timeout_ms)
        self._deadlines[transactional_id] = due_ms
        heapq.heappush(self._timeouts, (due_ms, transactional_id))

    def _time_out(self, transactional_id: str, now_ms: int) -> None:
        """Abort with a new epoch, so that the late producer notices."""
        entry = self._entries[transactional_id]
        if TABLE[entry.current.state][Event.TIMEOUT] is not State.PREPARE_EPOCH_FENCE:
            return
        if entry.pending is not None:  # it is ending anyway, or has just grown: look again
            self._deadlines[transactional_id] = now_ms + _RETRY_MS
            heapq.heappush(self._timeouts, (now_ms + _RETRY_MS, transactional_id))
            return
        self._deadlines.pop(transactional_id)

        def done(error: ErrorCode) -> None:
            if error is not _NONE:
                self._watch(entry.current)

        self._store(entry, entry.current.fenced(self._clock.now_ms()), done)

    def _expire(self) -> None:
        """Forget ids that nobody used for transactional.id.expiration.ms."""
        now_ms = self._clock.now_ms()
        for entry in list(self._entries.values()):
            current = entry.current
            step = TABLE[current.state][Event.EXPIRE]
            age_ms = now_ms - current.updated_ms
            old = age_ms >= self._settings.transactional_id_expiration_ms
            if isinstance(step, State) and old and entry.pending is None:
                self._store(entry, replace(current, state=step, updated_ms=now_ms), _ignore)

    # -- inside ------------------------------------------------------------------------------

    def _store(self, entry: _Entry, following: Transaction, done: Done) -> None:
        """Make the transition durable, then real; ``done`` after that, or when it takes long."""
        entry.pending = following

        def settled(error: ErrorCode) -> None:
            entry.pending = None
            if error is _NONE:
                self._enter(entry, following)
            elif entry.current.epoch < 0:
                self._entries.pop(following.transactional_id, None)

        self._log.store(following, settled, lambda error: done(coordinator_error(error)))

    def _enter(self, entry: _Entry, following: Transaction) -> None:
        entry.current = following
        transactional_id = following.transactional_id
        self._watch(following)
        if following.state is State.DEAD:
            self._entries.pop(transactional_id, None)
        elif following.state in PREPARED:
            entry.marked = frozenset()
            self._unmarked[transactional_id] = self._clock.monotonic_ms()
            self._write_markers(entry)
        else:
            self._unmarked.pop(transactional_id, None)

    def _write_markers(self, entry: _Entry) -> None:
        """To every partition that has none yet; complete it when all are durable."""
        current = entry.current
        if entry.marking or entry.pending is not None:
            self._unmarked[current.transactional_id] = self._clock.monotonic_ms() + _RETRY_MS
            return
        missing = sorted(current.partitions - entry.marked)
        entry.marking = True
        self._unmarked[current.transactional_id] = NEVER_MS
        round_ = _Marking(self, entry, missing)
        for slot in range(len(missing)):
            self._log.mark(current, missing[slot], round_, slot)
        round_.finish_one()  # the one that stands for having begun them all

    def marked(self, entry: _Entry, where: TopicIndex) -> None:
        """That partition's marker is durable; or the partition is gone, or knows a newer one."""
        current = entry.current
        entry.marked |= {where}
        topic, index = where
        if topic == OFFSETS_TOPIC:
            committed = current.state is State.PREPARE_COMMIT
            self._groups.end_transaction(current.producer_id, index, committed=committed)

    def round_finished(self, entry: _Entry) -> None:
        """Every marker of a round is settled."""
        entry.marking = False
        current = entry.current
        again_ms = self._clock.monotonic_ms() + _RETRY_MS
        if current.partitions - entry.marked:
            self._unmarked[current.transactional_id] = again_ms
            return

        def done(error: ErrorCode) -> None:
            if error is not _NONE and entry.current is current:
                self._unmarked[current.transactional_id] = again_ms

        self._store(entry, current.completed(self._clock.now_ms()), done)


class _Marking:
    """A Waiter: one round of markers."""

    def __init__(self, owner: Transactions, entry: _Entry, missing: list[TopicIndex]) -> None:
        self.deadline_ms = NEVER_MS
        self.missing = missing
        self._owner = owner
        self._entry = entry
        self._left = len(missing) + 1

    def settle(self, slot: int, error: ErrorCode, message: str | None) -> None:  # a Waiter's
        """One marker is durable, or was refused."""
        if error is not ErrorCode.KAFKA_STORAGE_ERROR:
            self._owner.marked(self._entry, self.missing[slot])
        self.finish_one()

    def finish_one(self) -> None:
        """One step of the round is over."""
        self._left -= 1
        if not self._left:
            self._owner.round_finished(self._entry)

    def expire(self) -> None:
        """It never does: markers are written until they are there."""


def _ignore(error: ErrorCode) -> None:
    """Nothing hangs on it: what could not be expired is expired next time."""
