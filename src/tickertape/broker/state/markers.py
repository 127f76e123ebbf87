"""Carries decisions out: the markers of transactions that are committed or aborted.

From Prepare* on the outcome stands. A marker goes to every partition of the transaction, again and
again if the disk refuses or the broker restarts; when all are durable the coordinator is told, and
stores Complete*.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tickertape.base.ports import Clock
from tickertape.broker.state.groups import Groups
from tickertape.broker.state.topics import OFFSETS_TOPIC
from tickertape.broker.state.transaction import Owner, State, TopicIndex, Transaction
from tickertape.broker.state.transaction_log import TransactionLog
from tickertape.broker.state.waits import NEVER_MS
from tickertape.log.transactions import Marker
from tickertape.wire.error_codes import ErrorCode

RETRY_MS: Final = 1_000


@dataclass(slots=True, eq=False)
class _Decided:
    """A transaction in Prepare*."""

    transaction: Transaction
    due_ms: int  # when to try (again); NEVER_MS while markers are on their way to the disk
    marked: set[TopicIndex] = field(default_factory=set)  # these have theirs, durably


class Markers:
    """See the module. ``completed`` is called once all markers of a transaction are durable."""

    def __init__(
        self,
        log: TransactionLog,
        groups: Groups,
        clock: Clock,
        completed: Callable[[Transaction], None],
    ) -> None:  # fmt: skip
        self._log = log
        self._groups = groups
        self._clock = clock
        self._completed = completed
        self._decided: dict[str, _Decided] = {}

    def begin(self, transaction: Transaction) -> None:
        """Its decision is durable."""
        self.resume(transaction)
        self._write(self._decided[transaction.transactional_id])

    def resume(self, transaction: Transaction) -> None:
        """The same, found at the start of the broker: from the next tick on."""
        one = _Decided(transaction, self._clock.monotonic_ms())
        self._decided[transaction.transactional_id] = one

    def again(self, transaction: Transaction) -> None:
        """Complete* could not be stored: come back with it in a while."""
        one = self._decided.get(transaction.transactional_id)
        if one is not None and one.transaction is transaction:
            one.due_ms = self._clock.monotonic_ms() + RETRY_MS

    def end(self, transactional_id: str) -> None:
        """It is complete, or gone."""
        self._decided.pop(transactional_id, None)

    def tick(self, now_ms: int) -> int:
        """Try what is due (monotonic ms); returns the next deadline."""
        for one in [one for one in self._decided.values() if one.due_ms <= now_ms]:
            self._write(one)
        return min((one.due_ms for one in self._decided.values()), default=NEVER_MS)

    def _write(self, one: _Decided) -> None:
        """To every partition that has none yet."""
        missing = sorted(one.transaction.partitions - one.marked)
        one.due_ms = NEVER_MS
        round_ = _Round(self, one, missing)
        for slot in range(len(missing)):
            self._log.mark(one.transaction, missing[slot], round_, slot)
        round_.finish_one()  # the one that stands for having begun them all

    def write(
        self, owner: Owner, marker: Marker, where: TopicIndex, done: Callable[[ErrorCode], None], *,
        bumped: bool,
    ) -> None:  # fmt: skip
        """One that an operator asks for; ``done`` once it is durable, or why not."""

        def settled(error: ErrorCode) -> None:
            topic, index = where
            if error is ErrorCode.NONE and topic == OFFSETS_TOPIC:
                self._groups.end_transaction(owner[0], index, committed=marker.committed)
            done(error)

        self._log.append_marker(owner, marker, where, _Asked(settled), 0, bumped=bumped)

    def marked(self, one: _Decided, where: TopicIndex) -> None:
        """That partition's marker is durable; or the partition is gone, or knows a newer one."""
        one.marked.add(where)
        topic, index = where
        if topic == OFFSETS_TOPIC:
            committed = one.transaction.state is State.PREPARE_COMMIT
            self._groups.end_transaction(one.transaction.producer_id, index, committed=committed)

    def finished(self, one: _Decided) -> None:
        """Every marker of a round is settled."""
        if one.transaction.partitions - one.marked:
            self.again(one.transaction)
        else:
            self._completed(one.transaction)


class _Round:
    """A Waiter: one attempt at the markers that are missing."""

    def __init__(self, owner: Markers, one: _Decided, missing: list[TopicIndex]) -> None:
        self.deadline_ms = NEVER_MS
        self._owner = owner
        self._one = one
        self._missing = missing
        self._left = len(missing) + 1

    def settle(self, slot: int, error: ErrorCode, message: str | None) -> None:  # a Waiter's
        """One marker is durable, or was refused."""
        if error is not ErrorCode.KAFKA_STORAGE_ERROR:
            self._owner.marked(self._one, self._missing[slot])
        self.finish_one()

    def finish_one(self) -> None:
        """One step of the round is over."""
        self._left -= 1
        if not self._left:
            self._owner.finished(self._one)

    def expire(self) -> None:
        """It never does: markers are written until they are there."""


class _Asked:
    """A Waiter: one marker that an operator has asked for."""

    def __init__(self, settled: Callable[[ErrorCode], None]) -> None:
        self.deadline_ms = NEVER_MS
        self._settled = settled

    def settle(self, slot: int, error: ErrorCode, message: str | None) -> None:
        """It is durable, or was refused."""
        self._settled(error)

    def expire(self) -> None:
        """It never does."""
