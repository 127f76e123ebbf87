"""Requests that wait until their partitions are part of a transaction.

A v2 producer sends records without announcing where. The broker adds the partition first, durably,
and lets the records in after that; else a crash between the two would leave an open transaction
that nobody ends. Requests of one transactional id are let in in the order in which they came, so
that sequence numbers stay in order, and wait while the id's last transaction is being completed
(Kafka: AddPartitionsToTxnManager and its retries). So does an AddPartitionsToTxn of v1, which Kafka
sends away: clients come back after 20 ms, and the disk is faster.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from tickertape.broker.state.transaction import Owner, TopicIndex
from tickertape.broker.state.waits import NEVER_MS
from tickertape.wire.error_codes import ErrorCode

WAITING_MAX: Final = 16  # of one transactional id; idempotent producers have five in flight
PATIENCE_MS: Final = 1_000

Resume: TypeAlias = Callable[[ErrorCode], None]


class Applicant:
    """A Waiter: one such request. ``resume`` is called once, with NONE or why not."""

    def __init__(
        self, owner: Owner, partitions: tuple[TopicIndex, ...], resume: Resume, *, version: int = 0
    ) -> None:
        self.owner = owner
        self.partitions = partitions
        self.version = version
        self.deadline_ms = NEVER_MS  # until it begins to wait
        self._resume: Resume | None = resume

    @property
    def is_answered(self) -> bool:
        """Nobody waits any more."""
        return self._resume is None

    def answer(self, error: ErrorCode) -> None:
        """Go on, or say why not."""
        resume, self._resume = self._resume, None
        if resume is not None:
            resume(error)

    def settle(self, slot: int, error: ErrorCode, message: str | None) -> None:  # a Waiter's
        """It appends nothing itself."""
        self.answer(error)

    def expire(self) -> None:
        """The client is to ask again."""
        self.answer(ErrorCode.CONCURRENT_TRANSACTIONS)


Queue: TypeAlias = deque[Applicant]
