"""``tape produce``: lines of stdin into a topic, as kafka-console-producer does.

Idempotent, acks=all, keys hashed as Java hashes them. Returns when every line is acknowledged;
exit code 1 if one was refused, or if no broker answers at the start. A line that cannot be sent at
all, a missing right or Ctrl-C ends the reading: what was read before is delivered, and counted.
"""

import logging
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO, Final

import click
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tickertape.base.errors import TapeError
from tickertape.base.world import SystemClock
from tickertape.cli.interrupts import INTERRUPTED, StopEvent, asked_to_stop
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

_READER: Final = {"parse.key": "false", "key.separator": "\t", "null.marker": ""}
_PRODUCER: Final[dict[str, str | int | bool]] = {
    "enable.idempotence": True,
    "partitioner": "murmur2_random",  # Java's: keys by murmur2, no key anywhere
    "message.timeout.ms": 120_000,
    "linger.ms": 5,
}
_MESSAGE_MAX_BYTES: Final = 1_000_000  # librdkafka's default of message.max.bytes
_FLUSH_S: Final = 0.5
_NAMED_MAX: Final = 10  # refused lines that are named, each; the rest is counted
_RIGHTS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "WRITE on the topic",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "WRITE on the topic (or IDEMPOTENT_WRITE of cluster)",
}
_properties = "--property"


@click.command()
@topic_option
@bootstrap_option
@click.option("-k", "--key-separator", help="Each line is KEY SEPARATOR VALUE.")
@words_option(
    "reader", "--reader-property", "How lines are read: parse.key, key.separator, null.marker."
)
@console_client_options("producer", "linger.ms=50")
@click.option("-z", "--compression-codec", help="none, gzip, snappy, lz4 or zstd.  [default: none]")
def produce(**given: Any) -> int:  # noqa: ANN401  # click hands over its options by name
    """Send each line of standard input as a record.

    \b
    tape produce -t mytopic < lines.txt
    echo AAPL:187.1 | tape produce -t ticks -k :
    ... --property parse.key=true --property key.separator=: is Kafka's way to say -k :
    """
    reader = known_pairs(given["reader"], _properties, _READER)
    if given["key_separator"]:
        reader |= {"parse.key": "true", "key.separator": given["key_separator"]}
    own = client_properties(given["files"], given["given"], "--producer-property")
    if given["compression_codec"]:
        own["compression.type"] = given["compression_codec"]
    sender = _Sender(given["topic"], reader, own)
    complaints = Complaints(lambda text: click.echo(text, err=True))
    config = {
        **_PRODUCER,
        **own,
        "bootstrap.servers": given["bootstrap"],
        "error_cb": lambda error: None if sender.denied(error) else complaints(error),
        "log_level": 0,  # error_cb says it, once
        "logger": _silent(),  # of level 0 there are lines too: the fatal errors
    }
    stop = StopEvent()
    with asked_to_stop(stop):
        producer = make_client(Producer, config)
        reach(
            producer,
            given["bootstrap"],
            complaints,
            clock=SystemClock(),
            patience_ms=REACH_MS,
            stop=stop,
        )
        try:
            for number, line in enumerate(_lines(sys.stdin.buffer, stop), 1):
                sender.send(producer, number, line, stop)
        finally:
            while producer.flush(_FLUSH_S):
                pass
            sender.sum_up(interrupted=stop.is_set())
    if stop.is_set():
        return INTERRUPTED
    return 1 if sender.refused else 0


def _silent() -> logging.Logger:
    logger = logging.getLogger("librdkafka")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


class _Sender:
    """Lines to records; counts what was acknowledged and what was refused."""

    def __init__(self, topic: str, reader: dict[str, str], own: dict[str, str]) -> None:
        self._topic = topic
        self._keyed = reader["parse.key"].lower() == "true"
        self._separator = reader["key.separator"].encode()
        self._null = reader["null.marker"].encode()
        self._user = own.get("sasl.username", "of this client")
        self._message_max = own.get("message.max.bytes", str(_MESSAGE_MAX_BYTES))
        self._lacks = ""
        self._whole = True  # no line ended the reading
        self._acknowledged = 0
        self.refused = 0

    def send(self, producer: Producer, number: int, line: bytes, stop: StopEvent) -> None:
        """Hand one line over; waits while the queue is full. TapeError if it cannot be sent."""
        key: bytes | None = None
        if self._keyed:
            key, found, line = line.partition(self._separator)
            if not found:
                self._whole = False
                raise TapeError(f"line {number}: no key separator in {key[:80]!r}")
            key = self._or_null(key)
        told = partial(self._delivered, number)
        while not stop.is_set():
            try:
                producer.produce(self._topic, self._or_null(line), key, on_delivery=told)
            except BufferError:
                producer.poll(_FLUSH_S)
            except KafkaException as caught:
                self._whole = False
                producer.poll(0)  # a fatal error's reason is in the callback
                self.denied(caught.args[0])
                raise self._unsendable(number, len(line) + len(key or b""), caught) from caught
            else:
                producer.poll(0)
                break
        if self._lacks:
            self._whole = False
            raise TapeError(self._lacks)

    def denied(self, error: KafkaError) -> bool:
        """Whether it says that a right is missing, which ends the reading."""
        right = _RIGHTS.get(error.code())
        if right is None:
            return False
        self._lacks = (
            f"not authorised to write to topic {self._topic}: user {self._user} lacks {right}"
        )
        return True

    def sum_up(self, *, interrupted: bool) -> None:
        """What became of the lines, unless all went well."""
        if interrupted or self.refused or not self._whole:
            refused = f", {self.refused} refused" if self.refused else ""
            rest = "" if self._whole and not interrupted else "; the rest was not sent"
            click.echo(f"{self._acknowledged} lines acknowledged{refused}{rest}", err=True)
        if self._lacks and self._whole and self.refused:  # it came after the last line
            raise TapeError(self._lacks)

    def _unsendable(self, number: int, size: int, caught: KafkaException) -> TapeError:
        error: KafkaError = caught.args[0]
        if self._lacks:
            return TapeError(self._lacks)
        if error.code() != KafkaError.MSG_SIZE_TOO_LARGE:
            return TapeError(f"line {number}: {error.str()}")
        return TapeError(
            f"line {number}: {size:,} bytes, more than message.max.bytes={self._message_max}:"
            f" allow more with -X message.max.bytes=N, and by max.message.bytes of the topic"
        )

    def _delivered(self, number: int, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self._acknowledged += 1
            return
        self.refused += 1
        if self.denied(error) or self._lacks or error.code() == KafkaError._FATAL:  # noqa: SLF001  # a public name; error_cb says why
            return
        if self.refused <= _NAMED_MAX:
            click.echo(f"line {number}: not delivered: {error.str()}", err=True)

    def _or_null(self, text: bytes) -> bytes | None:
        return None if self._null and text == self._null else text


def _lines(stream: BinaryIO, stop: StopEvent) -> Iterator[bytes]:
    """Lines without their ends, until asked to stop; a prompt before each on a terminal."""
    prompt = stream.isatty()
    while not stop.is_set():
        if prompt:
            click.echo(">", nl=False, err=True)
        line = _read(stream, stop)
        if not line:
            return
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _read(stream: BinaryIO, stop: StopEvent) -> bytes:
    try:
        stop.reading = True
        return b"" if stop.is_set() else stream.readline()
    except KeyboardInterrupt:
        return b""
    finally:
        stop.reading = False
