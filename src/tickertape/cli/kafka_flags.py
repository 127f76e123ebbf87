"""Flags that Kafka's console tools share: brokers, ``key=value`` pairs, config files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from confluent_kafka import KafkaException

from tickertape.base.errors import MisuseError
from tickertape.config.properties import last_wins, read_properties

Client = TypeVar("Client")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

bootstrap_option: Final = click.option(
    "-b",
    "--bootstrap-server",
    "--bootstrap-servers",
    "--broker-list",
    "--brokers",
    "bootstrap",
    envvar="KAFKA_BOOTSTRAP_SERVERS",
    default="localhost:9092",
    show_default=True,
    help="host:port of a broker, several with commas.",
)
topic_option: Final = click.option("-t", "--topic", required=True)


def pairs(given: Sequence[str], flag: str) -> dict[str, str]:
    """``key=value`` arguments as a dict. A usage error names the flag."""
    found: dict[str, str] = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{flag} {item!r}: want KEY=VALUE")
        found[key.strip()] = value
    return found


def known_pairs(given: Sequence[str], flag: str, known: Mapping[str, str]) -> dict[str, str]:
    """As ``pairs``, over defaults; a key that is not among them is a usage error."""
    found = pairs(given, flag)
    for key in found:
        if key not in known:
            raise click.UsageError(f"{flag} {key}: want one of {', '.join(known)}")
    return {**known, **found}


def client_properties(files: Sequence[Path], given: Sequence[str], flag: str) -> dict[str, str]:
    """Client properties from files, and from the command line, which wins."""
    found: dict[str, str] = {}
    for path in files:
        try:
            entries = last_wins(read_properties(path.read_bytes(), str(path)))
        except OSError as error:
            raise MisuseError(f"{path}: {error.strerror}") from error
        found |= {key: entry.value for key, entry in entries.items()}
    return found | pairs(given, flag)


def make_client(factory: Callable[[dict[str, Any]], Client], config: Mapping[str, Any]) -> Client:
    """A librdkafka client; properties that only the Java client has are named and left out."""
    kept = dict(config)
    while True:
        try:
            return factory(kept)
        except KafkaException as caught:
            text = caught.args[0].str()
            unknown = text.partition("No such configuration property: ")[2].strip('"')
            if unknown not in kept:
                raise MisuseError(f"client properties: {text}") from caught
            del kept[unknown]
            click.echo(f"property {unknown} is not known to this client: no effect", err=True)


def said_once(say: Callable[[str], None]) -> Callable[[object], None]:
    """An error callback that repeats no message: an absent broker is news only once."""
    told: set[str] = set()

    def tell(error: object) -> None:
        text = str(error)
        if text not in told:
            told.add(text)
            say(text)

    return tell
