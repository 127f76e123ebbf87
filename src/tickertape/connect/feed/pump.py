"""Rows into a topic: keyed, idempotent, acks=all, retried without end, every delivery counted.

Partitions are chosen as the Java client does (murmur2). Each record says where it is from in three
headers, which is what a later run resumes by. Rows that are in the topic already count as sent and
acknowledged: they were.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer, murmur2

from tickertape.base.errors import TapeError
from tickertape.base.ports import Clock
from tickertape.connect.feed.ledger import Tally
from tickertape.connect.feed.resume import HASH_HEADER, ROW_HEADER, SOURCE_HEADER, chained
from tickertape.connect.feed.rows import Row

_LOOK_EVERY: Final = 1024  # rows between two looks at deliveries and at the rest of the world
_WAIT_S: Final = 0.05
_QUOTED_MAX: Final = 5
_PRODUCER: Final[dict[str, str | int | bool]] = {
    "enable.idempotence": True,  # implies acks=all, at most 5 requests in flight
    "partitioner": "murmur2",
    "message.timeout.ms": 0,  # never give a row up: a gap would break the order that resume needs
    "linger.ms": 5,
    "compression.type": "lz4",
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 131_072,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "log_level": 0,  # errors that do not pass come as fatal ones or as delivery reports
}


class FeedError(TapeError):
    """The producer cannot go on; what it has sent is in the topic, the rest is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A topic. ``kafka`` holds more librdkafka producer properties (security), which win."""

    bootstrap: str
    topic: str
    partitions: int
    kafka: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """How far a pump is. ``resumed`` rows were in the topic before it began."""

    rows: int = 0
    resumed: int = 0
    bytes: int = 0
    in_flight: int = 0
    refusals: list[str] = field(default_factory=list)


class Pump:
    """Used once. ``watch`` is called often, from the same thread; what it raises ends the run."""

    def __init__(
        self,
        destination: Destination,
        source: bytes,
        tally: Tally,
        *,
        clock: Clock,
        watch: Callable[[Progress], None],
    ) -> None:
        self._destination = destination
        self._source = source
        self._tally = tally
        self._clock = clock
        self._watch = watch
        self._fatal: str | None = None
        self._chain = b""
        self.progress = Progress()
        self._producer = Producer(
            {
                **_PRODUCER,
                **destination.kafka,
                "bootstrap.servers": destination.bootstrap,
                "on_delivery": self._delivered,
                "error_cb": self._error,
            }
        )

    def run(
        self, rows: Iterable[Row], resumed: Mapping[int, int], *, speed: float | None = None
    ) -> None:
        """Send every row, and return when each has been reported on.

        ``resumed``: partition -> last row that is there already. ``speed``: as many times faster
        than the rows' own time; None is as fast as it goes. FeedError if it cannot go on.
        """
        progress, sent, acked = self.progress, self._tally.sent, self._tally.acked
        pace = None if speed is None else _Pace(self._clock, speed)
        for row in rows:
            line, key, timestamp_ms, value = row
            self._chain = chained(self._chain, value)
            sent(value)
            progress.rows += 1
            progress.bytes += len(value)
            if resumed and line <= resumed.get(self._partition(key), 0):
                acked(value)
                progress.resumed += 1
            else:
                if pace is not None:
                    self._wait_until(pace.due_ms(timestamp_ms))
                self._send(line, key, timestamp_ms, value)
            if not progress.rows % _LOOK_EVERY:
                self._look(0)
        while len(self._producer):
            self._look(_WAIT_S)
        self._look(0)

    def drain(self, patience_ms: int) -> int:
        """After an interruption: let what was handed over be delivered; how many were not."""
        deadline_ms = self._clock.monotonic_ms() + patience_ms
        while len(self._producer) and self._clock.monotonic_ms() < deadline_ms:
            self._producer.poll(_WAIT_S)
        left = len(self._producer)
        self._producer.purge()
        self._producer.poll(0)
        return left

    def _partition(self, key: bytes) -> int:
        return murmur2(key, self._destination.partitions)

    def _send(self, line: int, key: bytes, timestamp_ms: int, value: bytes) -> None:
        headers: list[tuple[str, str | bytes | None]] = [
            (SOURCE_HEADER, self._source),
            (ROW_HEADER, b"%d" % line),
            (HASH_HEADER, self._chain),
        ]
        while True:
            try:
                self._producer.produce(
                    self._destination.topic,
                    value,
                    key,
                    timestamp=timestamp_ms,
                    headers=headers,
                )
            except BufferError:  # the queue is full: let the cluster catch up
                self._look(_WAIT_S)
            except KafkaException as caught:
                error = caught.args[0]
                raise FeedError(f"row in line {line}: {error.str()}") from caught
            else:
                return

    def _wait_until(self, due_ms: int) -> None:
        while (rest_ms := due_ms - self._clock.monotonic_ms()) > 0:
            self._look(min(rest_ms / 1000, _WAIT_S))

    def _look(self, wait_s: float) -> None:
        self._producer.poll(wait_s)
        if self._fatal is not None:
            raise FeedError(self._fatal)
        self.progress.in_flight = len(self._producer)
        self._watch(self.progress)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            value = message.value()
            assert isinstance(value, bytes)
            self._tally.acked(value)
            return
        self._tally.negative += 1
        if len(self.progress.refusals) < _QUOTED_MAX:
            self.progress.refusals.append(error.str())

    def _error(self, error: KafkaError) -> None:
        if error.fatal():  # anything else passes: librdkafka retries
            self._fatal = f"the producer gave up: {error.str()}"


class _Pace:
    """When a row is due, by its own time and a factor. Time that goes back waits for nobody."""

    def __init__(self, clock: Clock, speed: float) -> None:
        self._speed = speed
        self._clock = clock
        self._start: tuple[int, int] | None = None

    def due_ms(self, timestamp_ms: int) -> int:
        """On the monotonic clock."""
        if self._start is None:
            self._start = (self._clock.monotonic_ms(), timestamp_ms)
        began_ms, first_ms = self._start
        return began_ms + round((timestamp_ms - first_ms) / self._speed)
