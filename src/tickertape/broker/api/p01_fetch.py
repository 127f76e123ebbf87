"""Fetch (key 1), versions 4 to 18.

Behaviour. Whole batches from the one that holds fetchOffset, all below the high watermark, which
is the durable offset: no consumer reads what a crash can take back. The first batch of a response
is sent whole even if it exceeds maxBytes and partitionMaxBytes (KIP-74). With less than minBytes
and no error the request sleeps until a watched partition advances or maxWaitMs has passed.
With read_committed they end at the last stable offset, and the answer names the aborted
transactions among them, whose records the client skips.

Versions. 5 log start offset, 7 sessions (KIP-227), 9 leader epoch fencing (KIP-320), 11 rack id
(KIP-392), 12 flexible, last fetched epoch and diverging epoch (KIP-595), 13 topics by id
(KIP-516): one that is not known, or no longer, is UNKNOWN_TOPIC_ID; 15, 17 and 18 carry more of
what followers say of themselves, 16 endpoints of other leaders: never sent.

Deviations. Sessions are declined: the answer's session id is always 0, which clients must accept,
and an incremental request gets FETCH_SESSION_ID_NOT_FOUND. There are no followers: replicaId is not
looked at. Batches are sent as stored, never converted for an older version.
"""

from typing import Final

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request
from tickertape.broker.api.rights import denied_topics
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.quotas import CONSUMER
from tickertape.broker.state.waits import Partition
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.fetch import (
    FetchedPartition,
    FetchPartition,
    FetchRequest,
    TopicKey,
    read_fetch_request,
    write_fetch_response,
)
from tickertape.wire.frame import RequestHeader, response_prefix
from tickertape.wire.parts import Part

_NONE: Final = ErrorCode.NONE
_READ_COMMITTED: Final = 1
_SESSIONLESS: Final = frozenset({0, -1})  # epochs of a full request: open a session, or none
_NOT_HERE: Final = frozenset({ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID})
_WAIT_MS_MAX: Final = 600_000


def fetch(broker: Broker, request: Request, call: Call) -> None:
    """Answer at once if there is enough to send, else sleep."""
    header = request.header
    ask = read_fetch_request(request.frame, request.at, header.api_version)
    if ask.session_epoch not in _SESSIONLESS:
        _answer(call, header, [], ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        return
    names = map(broker.topics.name_of, (key for key, _ in ask.topics))
    denied = denied_topics(broker, call, Operation.READ, names)
    reading = _Reading(broker, ask, denied)
    if ask.max_wait_ms > 0 and not reading.is_enough and not broker.fetch_waits.is_full():
        wait_ms = min(ask.max_wait_ms, _WAIT_MS_MAX)
        sleeper = SleepingFetch(broker, header, call, ask, wait_ms)
        broker.fetch_waits.add(sleeper, reading.watched)
        return
    _send(broker, call, header, reading)


class SleepingFetch:
    """A Sleeper: a long poll."""

    __slots__ = ("_ask", "_broker", "_call", "_header", "deadline_ms")

    def __init__(
        self, broker: Broker, header: RequestHeader, call: Call, ask: FetchRequest, wait_ms: int
    ) -> None:
        self.deadline_ms = broker.clock.monotonic_ms() + wait_ms
        self._broker = broker
        self._header = header
        self._call = call
        self._ask = ask
        call.on_gone = self.gone

    def gone(self) -> None:
        """The client has vanished: nobody waits any more."""
        self._broker.fetch_waits.remove(self)

    def wake(self, *, due: bool) -> bool:
        """Look again; answer if there is enough or the time is up."""
        if not self._call.alive():
            self._broker.fetch_waits.remove(self)
            self._call.no_answer()
            return True
        reading = _Reading(self._broker, self._ask)
        if not (due or reading.is_enough):
            return False
        self._broker.fetch_waits.remove(self)
        self._call.on_gone = None
        _send(self._broker, self._call, self._header, reading)
        return True


class _Reading:
    """One pass over all partitions of a request, within its byte budget."""

    __slots__ = (
        "_at_hand",
        "_budget",
        "_failed",
        "_min_bytes",
        "_read_committed",
        "_size",
        "sent",
        "topics",
        "watched",
    )

    def __init__(
        self, broker: Broker, ask: FetchRequest, denied: frozenset[str] = frozenset()
    ) -> None:
        self.topics: list[tuple[TopicKey, list[FetchedPartition]]] = []
        self.watched: list[Partition] = []
        self.sent: list[tuple[Partition, int]] = []  # how many bytes of it
        self._budget = min(ask.max_bytes, broker.settings.fetch_max_bytes)
        self._min_bytes = min(ask.min_bytes, self._budget)
        self._read_committed = ask.isolation_level == _READ_COMMITTED
        self._size = 0
        self._at_hand = 0  # with what is there but was cut off by a limit
        self._failed = False
        for key, parts in ask.topics:
            topic = broker.topics.name_of(key)
            if topic is None:
                unknown = ErrorCode.UNKNOWN_TOPIC_ID
                self.topics.append((key, [self._refuse(part, unknown) for part in parts]))
            elif topic in denied:
                error = ErrorCode.TOPIC_AUTHORIZATION_FAILED
                self.topics.append((key, [self._refuse(part, error) for part in parts]))
            else:
                self.topics.append((key, [self._read(broker, topic, part) for part in parts]))

    @property
    def is_enough(self) -> bool:
        """Whether to answer at once."""
        return self._failed or self._at_hand >= self._min_bytes or not self.watched

    def _read(self, broker: Broker, topic: str, part: FetchPartition) -> FetchedPartition:
        try:
            partition = broker.topics.partition(topic, part.index)
        except StorageError:
            return self._refuse(part, ErrorCode.KAFKA_STORAGE_ERROR)
        if partition is None:
            return self._refuse(part, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        log = partition.log
        epoch = part.current_leader_epoch
        if epoch >= 0 and epoch != log.leader_epoch:
            behind = epoch < log.leader_epoch
            return self._refuse(
                part,
                ErrorCode.FENCED_LEADER_EPOCH if behind else ErrorCode.UNKNOWN_LEADER_EPOCH,
            )
        high_watermark, start = log.durable_offset, log.log_start_offset
        offset = part.fetch_offset
        if not start <= offset <= log.end_offset:
            return self._refuse(part, ErrorCode.OFFSET_OUT_OF_RANGE)
        if part.last_fetched_epoch >= 0:
            diverging = self._diverging(partition, part)
            if diverging is not None:
                return diverging
        self.watched.append(partition)
        parts: list[Part] = []
        size, error = 0, _NONE
        left = self._budget - self._size
        stable = log.last_stable_offset
        below = stable if self._read_committed else high_watermark
        aborted: list[tuple[int, int]] | None = [] if self._read_committed else None
        if offset < below and (left > 0 or not self._size):
            limit = min(part.partition_max_bytes, left)
            result = log.read(offset, limit, below=below, at_least_one=not self._size)
            if aborted is not None:
                aborted += [entry[:2] for entry in log.aborted_in(offset, result, below=below)]
            parts, size, error = result.parts, result.size, result.error
            self._size += size
            if size:
                self.sent.append((partition, size))
            self._at_hand += max(size, limit) if result.more else size
            self._failed |= error is not _NONE
        return FetchedPartition(
            part.index,
            error,
            high_watermark,
            stable,
            start,
            aborted,
            parts,
            size,
        )

    def _diverging(self, partition: Partition, part: FetchPartition) -> FetchedPartition | None:
        """Where the client's log parts from ours (KIP-595), if it does."""
        log = partition.log
        epoch, end = log.end_offset_for_epoch(part.last_fetched_epoch)
        if epoch < 0:
            return self._refuse(part, ErrorCode.OFFSET_OUT_OF_RANGE)
        if epoch == part.last_fetched_epoch and end >= part.fetch_offset:
            return None
        out = self._refuse(part, _NONE)
        out.diverging = (epoch, end)
        return out

    def _refuse(self, part: FetchPartition, error: ErrorCode) -> FetchedPartition:
        self._failed = True
        nobody = self._read_committed or error in _NOT_HERE
        return FetchedPartition(part.index, error, aborted=[] if nobody else None)


def _send(broker: Broker, call: Call, header: RequestHeader, reading: _Reading) -> None:
    if broker.quotas.is_active:
        size = sum(size for _, size in reading.sent)
        who = call.session.principal
        call.throttle_ms = broker.quotas.charge(CONSUMER, who, header.client_id, size)
    for partition, size in reading.sent:
        partition.bytes_out += size
    _answer(call, header, reading.topics, _NONE)


def _answer(
    call: Call,
    header: RequestHeader,
    topics: list[tuple[TopicKey, list[FetchedPartition]]],
    error: ErrorCode,
) -> None:
    version = header.api_version
    if error:
        call.count(error)
    for _, parts in topics:
        for part in parts:
            if part.error:
                call.count(part.error)
    prefix: list[Part] = [response_prefix(header.api_key, version, header.correlation_id)]
    call.answer(
        prefix + write_fetch_response(version, topics, throttle_ms=call.throttle_ms, error=error)
    )
