"""The transaction coordinator: what clients ask of transactional ids, and what time does to them.

Feeds requests and time to the Transaction machines. Each transition is a record of
``__transaction_state``; it counts and is answered once that is durable (``Ledger``). After Prepare*
is durable the outcome cannot change any more, and ``Markers`` carries it out. Whether a producer
may write, the produce path asks here, in the same turn in which it appends. Who adds partitions to
a transaction waits its turn (``admission``); those of a v2 producer are added on the way.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from tickertape.base.errors import StorageError
from tickertape.base.ports import Clock
from tickertape.broker.state.admission import PATIENCE_MS, WAITING_MAX, Applicant
from tickertape.broker.state.features import TRANSACTION_VERSION, Features
from tickertape.broker.state.groups import Groups
from tickertape.broker.state.markers import RETRY_MS
from tickertape.broker.state.producer_ids import ProducerIds
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.transaction import (
    NO_EPOCH,
    PREPARED,
    TABLE,
    V2,
    Event,
    Owner,
    State,
    TopicIndex,
    Transaction,
)
from tickertape.broker.state.transaction_ledger import Done, Entry, Ledger
from tickertape.broker.state.transaction_log import TransactionLog
from tickertape.log.transactions import Marker
from tickertape.wire.error_codes import ErrorCode

_NONE: Final = ErrorCode.NONE
_NOBODY: Final = (-1, -1)

OwnerDone: TypeAlias = Callable[[ErrorCode, Owner], None]


class Transactions:
    """See the module."""

    def __init__(
        self,
        settings: BrokerSettings,
        features: Features,
        log: TransactionLog,
        groups: Groups,
        producer_ids: ProducerIds,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._features = features
        self._log = log
        self._producer_ids = producer_ids
        self._clock = clock
        self._ledger = Ledger(log, groups, clock, self._let_in)
        self._entries = self._ledger.entries
        self._expiry_due_ms = 0

    # -- start -------------------------------------------------------------------------------

    def load(self) -> int:
        """Rebuild everything from the transaction log; returns the number of ids."""
        self._ledger.load()
        interval_ms = self._settings.transactional_id_check_interval_ms
        self._expiry_due_ms = self._clock.monotonic_ms() + interval_ms
        return len(self._entries)

    def prepare(self) -> None:
        """Make sure that the transaction log exists. StorageError if it cannot be made."""
        self._log.ensure_topic()

    # -- questions ---------------------------------------------------------------------------

    def find(self, transactional_id: str) -> Transaction | None:
        """What is durable of that id."""
        entry = self._entries.get(transactional_id)
        if entry is None or entry.current.epoch == NO_EPOCH:
            return None
        return entry.current

    def __iter__(self) -> Iterator[Transaction]:
        """What is durable, of every id."""
        for entry in self._entries.values():
            if entry.current.epoch != NO_EPOCH:
                yield entry.current

    def may_write(self, transactional_id: str, owner: Owner, where: TopicIndex) -> ErrorCode:
        """Whether a transactional batch of ``owner`` may be appended there, now.

        The epoch is looked at first: a zombie is told that it is one, whatever else is wrong
        (KAFKA-19690). NOT_ENOUGH_REPLICAS: not yet, as the last transaction is being completed.
        """
        entry = self._entries.get(transactional_id)
        if entry is None:
            return _unknown(transactional_id)
        current, pending = entry.current, entry.pending
        error = _for_writers(current.owner_error(owner))
        if error is not _NONE:
            return error
        if current.state in PREPARED or (pending is not None and pending.state in PREPARED):
            return ErrorCode.NOT_ENOUGH_REPLICAS
        if current.state is State.ONGOING and where in current.partitions:
            return _NONE
        return ErrorCode.INVALID_TXN_STATE

    def admits(self, transactional_id: str, owner: Owner, partitions: Iterable[TopicIndex]) -> bool:
        """Whether ``admit`` would have nothing to do, and nobody waits who came before."""
        entry = self._entries.get(transactional_id)
        if entry is None or entry.pending is not None or entry.waiting:
            return False
        current = entry.current
        if current.state is not State.ONGOING or current.owner_error(owner) is not _NONE:
            return False
        return current.partitions.issuperset(partitions)

    # -- requests ----------------------------------------------------------------------------

    def init(
        self, transactional_id: str, timeout_ms: int, expected: Owner | None, done: OwnerDone
    ) -> None:
        """InitProducerId: ``done`` gets the producer id and epoch, -1 with an error."""
        if not transactional_id:
            done(ErrorCode.INVALID_REQUEST, _NOBODY)
            return
        if not 0 < timeout_ms <= self._settings.transaction_max_timeout_ms:
            done(ErrorCode.INVALID_TRANSACTION_TIMEOUT, _NOBODY)
            return
        try:
            entry = self._entries.get(transactional_id) or self._fresh(transactional_id, timeout_ms)
            if entry.pending is not None:
                done(ErrorCode.CONCURRENT_TRANSACTIONS, _NOBODY)
                return
            following = entry.current.initialised(
                expected, timeout_ms, self._clock.now_ms(), self._producer_ids.take,
                version=self._version,
            )  # fmt: skip
        except StorageError:
            done(ErrorCode.COORDINATOR_NOT_AVAILABLE, _NOBODY)
            return
        if isinstance(following, ErrorCode):
            done(following, _NOBODY)
            return

        def stored(error: ErrorCode) -> None:
            if error is not _NONE:
                done(error, _NOBODY)
            elif following.state in PREPARED:
                done(ErrorCode.CONCURRENT_TRANSACTIONS, _NOBODY)  # the last owner's ends first
            else:
                done(_NONE, (following.producer_id, following.epoch))

        self._ledger.store(entry, following, stored)

    def _fresh(self, transactional_id: str, timeout_ms: int) -> Entry:
        """An id that nobody knows: it exists once its first record is durable. StorageError."""
        producer_id = self._producer_ids.take()
        entry = Entry(
            Transaction(
                transactional_id=transactional_id, producer_id=producer_id, timeout_ms=timeout_ms
            )
        )
        self._entries[transactional_id] = entry
        return entry

    @property
    def _version(self) -> int:
        return self._features.level(TRANSACTION_VERSION)

    def add(
        self, transactional_id: str, owner: Owner, partitions: Iterable[TopicIndex], done: Done
    ) -> None:
        """AddPartitionsToTxn and AddOffsetsToTxn of transactions v1; it may wait as ``admit``."""
        self._apply(transactional_id, Applicant(owner, tuple(partitions), done))

    def admit(
        self, transactional_id: str, owner: Owner, partitions: Iterable[TopicIndex], resume: Done
    ) -> None:
        """Make ``partitions`` part of the transaction of a v2 producer, then ``resume``.

        It waits its turn, and for the end of the last transaction, but not for long:
        CONCURRENT_TRANSACTIONS. The answer may come at once.
        """

        def answer(error: ErrorCode) -> None:
            resume(_for_writers(error))

        self._apply(transactional_id, Applicant(owner, tuple(partitions), answer, version=V2))

    def _apply(self, transactional_id: str, applicant: Applicant) -> None:
        """Let it in now or later.

        While the last transaction is being completed it is too early even to say whose turn it is:
        the producer id may be about to change (KAFKA-18660).
        """
        entry = self._known(transactional_id, applicant.answer)
        if entry is None:
            return
        while entry.waiting and entry.waiting[0].is_answered:  # they gave up
            entry.waiting.popleft()
        if len(entry.waiting) >= WAITING_MAX:
            applicant.answer(ErrorCode.CONCURRENT_TRANSACTIONS)
            return
        applicant.deadline_ms = self._clock.monotonic_ms() + PATIENCE_MS
        entry.waiting.append(applicant)
        self._let_in(entry)
        if not applicant.is_answered:
            self._log.watch(applicant)

    def _let_in(self, entry: Entry) -> None:
        """Those who wait, in order, until one of them needs the disk."""
        while entry.waiting and not entry.is_busy:
            applicant = entry.waiting.popleft()
            if applicant.is_answered:  # too late
                continue
            answer = partial(self._answer, applicant)
            error = entry.current.owner_error(applicant.owner)
            if error is not _NONE:
                answer(error)
                continue
            following = entry.current.extended(
                applicant.partitions, self._clock.now_ms(), version=applicant.version
            )
            self._proceed(entry, following, answer)

    def _answer(self, applicant: Applicant, error: ErrorCode) -> None:
        self._log.forget(applicant)
        applicant.answer(error)

    def end(self, transactional_id: str, owner: Owner, done: Done, *, commit: bool) -> None:
        """EndTxn of transactions v1."""
        entry = self._known(transactional_id, done)
        if entry is None:
            return
        error = entry.current.owner_error(owner)
        if error is _NONE and entry.pending is not None:
            error = ErrorCode.CONCURRENT_TRANSACTIONS
        if error is not _NONE:
            done(error)
            return
        self._proceed(entry, entry.current.ended(self._clock.now_ms(), commit=commit), done)

    def end_v2(self, transactional_id: str, owner: Owner, done: OwnerDone, *, commit: bool) -> None:
        """EndTxn of transactions v2: ``done`` gets the producer id and epoch to go on with."""
        entry = self._known(transactional_id, lambda error: done(error, _NOBODY))
        if entry is None:
            return
        current = entry.current
        error = current.end_error(owner)
        if error is _NONE and entry.pending is not None:
            error = ErrorCode.CONCURRENT_TRANSACTIONS
        if error is not _NONE:
            done(error, _NOBODY)
            return
        now_ms = self._clock.now_ms()
        try:
            following = current.ended_v2(owner, now_ms, self._producer_ids.take, commit=commit)
        except StorageError:
            done(ErrorCode.COORDINATOR_NOT_AVAILABLE, _NOBODY)
            return
        if isinstance(following, ErrorCode):
            again = following is _NONE
            done(following, (current.producer_id, current.epoch) if again else _NOBODY)
            return
        after = following.completed(now_ms)  # its id and epoch: the id may change (KAFKA-18660)
        owner_after = (after.producer_id, after.epoch)
        self._ledger.store(
            entry,
            following,
            lambda error: done(error, _NOBODY if error is not _NONE else owner_after),
        )

    def write_marker(
        self, owner: Owner, marker: Marker, where: TopicIndex, done: Done, *, bumped: bool
    ) -> None:
        """WriteTxnMarkers: end there what no coordinator ends. Its own transactions go on."""
        self._ledger.markers.write(owner, marker, where, done, bumped=bumped)

    def _known(self, transactional_id: str, done: Done) -> Entry | None:
        """The entry, or an answer."""
        entry = self._entries.get(transactional_id)
        if entry is None:
            done(_unknown(transactional_id))
        return entry

    def _proceed(self, entry: Entry, following: Transaction | ErrorCode, done: Done) -> None:
        if isinstance(following, ErrorCode):
            done(following)
        else:
            self._ledger.store(entry, following, done)

    # -- time --------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> int:
        """Run what is due (monotonic ms); returns the next deadline."""
        markers_ms = self._ledger.markers.tick(now_ms)
        for transactional_id in self._ledger.timeouts.take(now_ms):
            self._time_out(transactional_id)
        if now_ms >= self._expiry_due_ms:
            self._expiry_due_ms = now_ms + self._settings.transactional_id_check_interval_ms
            self._expire()
        return min(self._expiry_due_ms, self._ledger.timeouts.next_ms(), markers_ms)

    def _time_out(self, transactional_id: str) -> None:
        """Abort with a new epoch, so that the late producer notices."""
        entry = self._entries[transactional_id]
        if TABLE[entry.current.state][Event.TIMEOUT] is not State.PREPARE_EPOCH_FENCE:
            return
        if entry.pending is not None:  # it is ending anyway, or has just grown
            self._look_again(entry)
            return
        now_ms = self._clock.now_ms()
        try:
            take = self._producer_ids.take
            following = entry.current.fenced(now_ms, take, version=self._version)
        except StorageError:
            self._look_again(entry)
            return

        def done(error: ErrorCode) -> None:
            if error is not _NONE and entry.current.state is State.ONGOING:
                self._look_again(entry)

        self._ledger.store(entry, following, done)

    def _look_again(self, entry: Entry) -> None:
        due_ms = self._clock.monotonic_ms() + RETRY_MS
        self._ledger.timeouts.set(entry.current.transactional_id, due_ms)

    def _expire(self) -> None:
        """Forget ids that nobody used for transactional.id.expiration.ms."""
        now_ms = self._clock.now_ms()
        for entry in list(self._entries.values()):
            current = entry.current
            step = TABLE[current.state][Event.EXPIRE]
            age_ms = now_ms - current.updated_ms
            old = age_ms >= self._settings.transactional_id_expiration_ms
            if isinstance(step, State) and old and entry.pending is None:
                self._ledger.store(entry, replace(current, state=step, updated_ms=now_ms), _ignore)


def _unknown(transactional_id: str) -> ErrorCode:
    """There is no such id, and none can be empty."""
    known = ErrorCode.INVALID_PRODUCER_ID_MAPPING
    return known if transactional_id else ErrorCode.INVALID_REQUEST


def _for_writers(error: ErrorCode) -> ErrorCode:
    """What a producer is told where records are written."""
    if error is ErrorCode.PRODUCER_FENCED:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    return error


def _ignore(error: ErrorCode) -> None:
    """Nothing hangs on it: what could not be expired is expired next time."""
