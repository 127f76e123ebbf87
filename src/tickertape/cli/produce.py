"""``tape produce``: lines of stdin into a topic, as kafka-console-producer does.

Idempotent, acks=all, keys hashed as Java hashes them. Returns when every line is acknowledged;
exit code 1 if one was refused, or if no broker answers at the start.
"""

import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import click
from confluent_kafka import KafkaError, Message, Producer

from tickertape.base.world import SystemClock
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
_FLUSH_S: Final = 0.5
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
    sender = _Sender(given["topic"], reader)
    own = client_properties(given["files"], given["given"], "--producer-property")
    if given["compression_codec"]:
        own["compression.type"] = given["compression_codec"]
    complaints = Complaints(lambda text: click.echo(text, err=True))
    config = {
        **_PRODUCER,
        **own,
        "bootstrap.servers": given["bootstrap"],
        "on_delivery": sender.delivered,
        "error_cb": complaints,
        "log_level": 0,  # error_cb says it, once
    }
    producer = make_client(Producer, config)
    clock = SystemClock()
    reach(producer, given["bootstrap"], complaints, clock=clock, patience_ms=REACH_MS)
    try:
        for number, line in enumerate(_lines(sys.stdin.buffer), 1):
            sender.send(producer, number, line)
    finally:
        while producer.flush(_FLUSH_S):
            pass
    return 1 if sender.failed else 0


class _Sender:
    """Lines to records; counts what was refused."""

    def __init__(self, topic: str, reader: dict[str, str]) -> None:
        self._topic = topic
        self._keyed = reader["parse.key"].lower() == "true"
        self._separator = reader["key.separator"].encode()
        self._null = reader["null.marker"].encode()
        self.failed = 0

    def send(self, producer: Producer, number: int, line: bytes) -> None:
        """Hand one line over; waits while the queue is full."""
        key: bytes | None = None
        if self._keyed:
            key, found, line = line.partition(self._separator)
            if not found:
                raise click.ClickException(f"line {number}: no key separator in {key[:80]!r}")
            key = self._or_null(key)
        while True:
            try:
                producer.produce(self._topic, self._or_null(line), key)
            except BufferError:
                producer.poll(_FLUSH_S)
            else:
                producer.poll(0)
                return

    def delivered(self, error: KafkaError | None, _: Message) -> None:
        """A delivery report."""
        if error is not None:
            self.failed += 1
            click.echo(f"not delivered: {error.str()}", err=True)

    def _or_null(self, text: bytes) -> bytes | None:
        return None if self._null and text == self._null else text


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines without their ends; a prompt before each on a terminal."""
    prompt = stream.isatty()
    while True:
        if prompt:
            click.echo(">", nl=False, err=True)
        line = stream.readline()
        if not line:
            return
        yield line.removesuffix(b"\n").removesuffix(b"\r")
