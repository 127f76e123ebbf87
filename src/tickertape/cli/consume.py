"""``tape consume``: records of a topic to stdout, as kafka-console-consumer does.

Without ``--group`` no group is joined and nothing is committed. Only committed records are shown,
unless ``--isolation-level read_uncommitted`` asks for all. Exit code 1 if no broker answers.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Any, Final

import click
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from tickertape.base.errors import TapeError
from tickertape.base.ports import Clock
from tickertape.base.world import SystemClock
from tickertape.cli.interrupts import INTERRUPTED, asked_to_stop
from tickertape.cli.kafka_flags import (
    REACH_MS,
    Complaints,
    bootstrap_option,
    client_properties,
    console_client_options,
    known_pairs,
    make_client,
    reach,
    topic_option,
    words_option,
)

_FORMATTER: Final = {
    "print.timestamp": "false",
    "print.partition": "false",
    "print.offset": "false",
    "print.headers": "false",
    "print.key": "false",
    "print.value": "true",
    "key.separator": "\t",
    "line.separator": "\n",
    "headers.separator": ",",
    "null.literal": "null",
}
_POLL_S: Final = 0.1
_ASK_S: Final = 2.0
_CONNECT_MS: Final = 2_000
_BATCH: Final = 500
_PASSING: Final = {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT}  # noqa: SLF001  # confluent-kafka's public names

_COMING: Final = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE}


@click.command()
@topic_option
@bootstrap_option
@click.option("--from-beginning", is_flag=True, help="Also the records that are there already.")
@click.option("-g", "--group", help="Consume as a member of this group and commit.")
@click.option("-p", "--partition", type=click.IntRange(0), help="Only this one (no group).")
@click.option("--offset", help="earliest, latest or a number, of --partition.")
@click.option("-n", "--max-messages", type=click.IntRange(1), help="End after so many records.")
@click.option(
    "--timeout-ms",
    type=click.IntRange(0),
    help="End when no record came for so long, be it that there is no such topic.",
)
@click.option(
    "--isolation-level",
    type=click.Choice(["read_committed", "read_uncommitted"]),
    default="read_committed",
    show_default=True,
    help="read_uncommitted: also records of transactions that are open or aborted.",
)
@words_option(
    "formatter", "--formatter-property", f"How records are shown: {', '.join(_FORMATTER)}."
)
@console_client_options("consumer", "fetch.min.bytes=1000")
def consume(**given: Any) -> int:  # noqa: ANN401  # click hands over its options by name
    """Print the records of a topic.

    \b
    tape consume -t mytopic --from-beginning
    tape consume -t ticks --from-beginning --max-messages 10 --property print.key=true
    """
    formatter = _Formatter(known_pairs(given["formatter"], "--property", _FORMATTER))
    if given["offset"] is not None and given["partition"] is None:
        raise click.UsageError("--offset needs --partition")
    if given["group"] and given["partition"] is not None:
        raise click.UsageError("--partition cannot be used with --group")
    own = client_properties(given["files"], given["given"], "--consumer-property")
    complaints = Complaints(lambda text: click.echo(text, err=True))
    config = {
        "auto.offset.reset": "earliest" if given["from_beginning"] else "latest",
        "isolation.level": given["isolation_level"],
        **own,
        "group.id": given["group"] or "tickertape-console",  # never joined without --group
        "enable.auto.commit": bool(given["group"]),
        "bootstrap.servers": given["bootstrap"],
        "error_cb": complaints,
        "log_level": 0,  # error_cb says it, once
    }
    with asked_to_stop() as stop:
        consumer = make_client(Consumer, config)
        count, wait = 0, _Wait(SystemClock(), given["timeout_ms"], stop, given["topic"])
        try:
            wait.reach(consumer, given["bootstrap"], complaints)
            _begin(consumer, given, wait)
            for messages in _batches(consumer, given, wait):
                for message in messages:
                    sys.stdout.buffer.write(formatter.line(message))
                count += len(messages)
                sys.stdout.buffer.flush()
        finally:
            consumer.close()
            click.echo(f"Processed a total of {count} messages", err=True)
        return INTERRUPTED if stop.is_set() else 0


class _Wait:
    """How long to wait for the next record, and what to say meanwhile."""

    def __init__(self, clock: Clock, timeout_ms: int | None, stop: Event, topic: str) -> None:
        self._clock = clock
        self._timeout_ms = timeout_ms
        self._stop = stop
        self._topic = topic
        self._since_ms = clock.monotonic_ms()
        self._told = False

    def reach(self, consumer: Consumer, bootstrap: str, complaints: Complaints) -> None:
        """Find a broker. The wait for records begins after that: to connect takes a moment."""
        patience_ms = REACH_MS
        if self._timeout_ms is not None:
            patience_ms = min(patience_ms, max(self._timeout_ms, _CONNECT_MS))
        reach(
            consumer,
            bootstrap,
            complaints,
            clock=self._clock,
            patience_ms=patience_ms,
            stop=self._stop,
        )
        self.begin()

    def begin(self) -> None:
        """A record came: wait anew."""
        self._since_ms = self._clock.monotonic_ms()

    def over(self) -> bool:
        """Whether nothing came for too long, or a signal asks for the end."""
        if self._stop.is_set():
            return True
        waited_ms = self._clock.monotonic_ms() - self._since_ms
        return self._timeout_ms is not None and waited_ms >= self._timeout_ms

    def no_topic(self) -> None:
        """Say, once, that the topic does not exist."""
        if not self._told:
            self._told = True
            click.echo(f"topic {self._topic} does not exist yet: waiting for it", err=True)


def _begin(consumer: Consumer, given: dict[str, Any], wait: _Wait) -> None:
    topic = given["topic"]
    if given["group"]:
        consumer.subscribe([topic])
        return
    partitions = _partitions(consumer, topic, wait)
    start = OFFSET_BEGINNING if given["from_beginning"] else OFFSET_END
    if given["partition"] is not None and partitions:
        partitions = [given["partition"]]
        start = _offset(given["offset"], start)
    consumer.assign([TopicPartition(topic, partition, start) for partition in partitions])


def _partitions(consumer: Consumer, topic: str, wait: _Wait) -> Sequence[int]:
    """Those of the topic, waiting for it to come into being; none if the wait is over."""
    while True:
        try:
            found = consumer.list_topics(topic, timeout=_ASK_S).topics[topic]
        except KafkaException as caught:
            if caught.args[0].code() not in _PASSING:
                raise TapeError(f"topic {topic}: {caught.args[0].str()}") from caught
        else:
            if found.error is None:
                return sorted(found.partitions)
            if found.error.code() not in _COMING:
                raise TapeError(f"topic {topic}: {found.error.str()}")
            wait.no_topic()
        if wait.over():
            return ()
        time.sleep(_POLL_S)


def _offset(text: str | None, default: int) -> int:
    if text is None:
        return default
    if text in {"earliest", "latest"}:
        return OFFSET_BEGINNING if text == "earliest" else OFFSET_END
    if not text.isdecimal():
        raise click.BadParameter(f"--offset {text}: want earliest, latest or a number")
    return int(text)


def _batches(consumer: Consumer, given: dict[str, Any], wait: _Wait) -> Iterator[list[Message]]:
    left = given["max_messages"]
    whole = f"group {given['group']}" if given["group"] else f"topic {given['topic']}"
    while left != 0 and not wait.over():
        found = consumer.consume(_BATCH if left is None else min(left, _BATCH), timeout=_POLL_S)
        records: list[Message] = []
        for message in found:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                wait.no_topic()
            elif error.code() not in _PASSING:
                subject = f"topic {message.topic()}" if message.topic() else whole
                raise TapeError(f"{subject}: {error.str()}")
        if records:
            left = None if left is None else left - len(records)
            yield records
            wait.begin()  # the time it took to print them does not count


class _Formatter:
    """A record as one line, in the order and the words of Kafka's DefaultMessageFormatter."""

    def __init__(self, properties: dict[str, str]) -> None:
        self._wanted = {name for name, value in properties.items() if value.lower() == "true"}
        self._separator = properties["key.separator"].encode()
        self._end = properties["line.separator"].encode()
        self._headers_separator = properties["headers.separator"].encode()
        self._null = properties["null.literal"].encode()

    def line(self, message: Message) -> bytes:
        """The record's fields that were asked for, and the line's end."""
        fields: dict[str, Callable[[Message], bytes]] = {
            "print.timestamp": self._timestamp,
            "print.partition": lambda m: b"Partition:%d" % (m.partition() or 0),
            "print.offset": lambda m: b"Offset:%d" % (m.offset() or 0),
            "print.headers": self._headers,
            "print.key": lambda m: self._or_null(m.key()),
            "print.value": lambda m: self._or_null(m.value()),
        }
        wanted = [show(message) for name, show in fields.items() if name in self._wanted]
        return self._separator.join(wanted) + self._end

    def _or_null(self, value: bytes | None) -> bytes:
        return self._null if value is None else value

    def _timestamp(self, message: Message) -> bytes:
        kind, ms = message.timestamp()
        name = {1: "CreateTime", 2: "LogAppendTime"}.get(kind)
        return f"{name}:{ms}".encode() if name else b"NO_TIMESTAMP"

    def _headers(self, message: Message) -> bytes:
        headers = message.headers()
        if not headers:
            return b"NO_HEADERS"
        listed = headers.items() if isinstance(headers, dict) else headers
        shown = (
            f"{key}:".encode() + self._or_null(value.encode() if isinstance(value, str) else value)
            for key, value in listed
        )
        return self._headers_separator.join(shown)
