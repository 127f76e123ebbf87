"""Every transactional id: what is durable of it, what is on its way to the disk, who waits for it.

A transition is stored first and counts then. With it goes what follows from it: from Prepare* on
the markers, while the transaction is open the time by which it must be over.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tickertape.base.ports import Clock
from tickertape.broker.state.admission import Queue
from tickertape.broker.state.deadlines import Deadlines
from tickertape.broker.state.groups import Groups, coordinator_error
from tickertape.broker.state.markers import Markers
from tickertape.broker.state.transaction import NO_EPOCH, PREPARED, State, Transaction
from tickertape.broker.state.transaction_log import TransactionLog
from tickertape.wire.error_codes import ErrorCode

_NONE: Final = ErrorCode.NONE

Done: TypeAlias = Callable[[ErrorCode], None]


@dataclass(slots=True, eq=False)
class Entry:
    """One id. Until its first record is durable, ``current`` has no epoch."""

    current: Transaction
    pending: Transaction | None = None
    waiting: Queue = field(default_factory=deque)

    @property
    def is_busy(self) -> bool:
        """It cannot change now: a transition is being stored, or markers are being written."""
        return self.pending is not None or self.current.state in PREPARED


class Ledger:
    """See the module. ``freed`` is called when a transition of an entry is answered and over."""

    def __init__(
        self, log: TransactionLog, groups: Groups, clock: Clock, freed: Callable[[Entry], None]
    ) -> None:
        self._log = log
        self._clock = clock
        self._freed = freed
        self.entries: dict[str, Entry] = {}
        self.timeouts = Deadlines()
        self.markers = Markers(log, groups, clock, self._marked)

    def load(self) -> None:
        """Rebuild everything from the transaction log."""
        for transactional_id, stored in self._log.transactions():
            if stored is None:
                self.entries.pop(transactional_id, None)
            else:
                self.entries[transactional_id] = Entry(stored)
        for entry in self.entries.values():
            if entry.current.state in PREPARED:
                self.markers.resume(entry.current)
            else:
                self._watch(entry.current)

    def store(self, entry: Entry, following: Transaction, done: Done) -> None:
        """Make the transition durable, then real; ``done`` after that, or when it takes long."""
        entry.pending = following
        is_late = False

        def settled(error: ErrorCode) -> None:
            entry.pending = None
            if error is _NONE:
                self._enter(entry, following)
            elif entry.current.epoch == NO_EPOCH:
                self.entries.pop(following.transactional_id, None)
            if is_late:
                self._freed(entry)

        def answered(error: ErrorCode) -> None:
            nonlocal is_late
            is_late = entry.pending is following
            done(coordinator_error(error))
            self._freed(entry)

        self._log.store(following, settled, answered)

    def _enter(self, entry: Entry, following: Transaction) -> None:
        entry.current = following
        self._watch(following)
        if following.state in PREPARED:
            self.markers.begin(following)
            return
        self.markers.end(following.transactional_id)
        if following.state is State.DEAD:
            self.entries.pop(following.transactional_id, None)

    def _watch(self, transaction: Transaction) -> None:
        """Note when it must be over."""
        transactional_id = transaction.transactional_id
        if transaction.state is not State.ONGOING:
            self.timeouts.drop(transactional_id)
        elif transactional_id not in self.timeouts:
            left_ms = transaction.started_ms + transaction.timeout_ms - self._clock.now_ms()
            left_ms = min(max(left_ms, 0), transaction.timeout_ms)
            self.timeouts.set(transactional_id, self._clock.monotonic_ms() + left_ms)

    def _marked(self, transaction: Transaction) -> None:
        """Every marker of it is durable."""
        entry = self.entries[transaction.transactional_id]
        if entry.pending is not None:
            self.markers.again(transaction)
            return

        def done(error: ErrorCode) -> None:
            if error is not _NONE:
                self.markers.again(transaction)

        self.store(entry, transaction.completed(self._clock.now_ms()), done)
