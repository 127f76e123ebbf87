"""What Kafka's console tools share: flags, a client of librdkafka, and reaching the brokers."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any, Final, Protocol, TypeVar

import click
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from tickertape.base.errors import MisuseError, PeerError
from tickertape.base.ports import Clock
from tickertape.base.world import SystemClock
from tickertape.config.client_security import to_librdkafka
from tickertape.config.properties import last_wins, read_properties

Client = TypeVar("Client")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

REACH_MS: Final = 10_000  # for the first answer of a cluster
_ASK_S: Final = 2.0  # so long a signal may wait
_REFUSED: Final = KafkaError._TRANSPORT  # noqa: SLF001  # confluent-kafka's public names
_SYMPTOMS: Final = {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT}  # noqa: SLF001  # confluent-kafka's public names
_HOPELESS: Final = {KafkaError._AUTHENTICATION, KafkaError._SSL}  # noqa: SLF001  # to try again does not help
_ADMIN_REACH_MS: Final = 5_000  # whoever asks a question wants to know soon
_OFTEN_SET: Final = (
    "acks", "allow.auto.create.topics", "auto.offset.reset", "batch.num.messages", "batch.size",
    "check.crcs", "client.id", "client.rack", "compression.codec", "compression.level",
    "compression.type", "connections.max.idle.ms", "debug", "delivery.timeout.ms",
    "enable.auto.commit", "enable.idempotence", "fetch.max.bytes", "fetch.min.bytes",
    "fetch.wait.max.ms", "group.instance.id", "group.protocol", "heartbeat.interval.ms",
    "isolation.level", "linger.ms", "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes", "max.poll.interval.ms", "message.max.bytes",
    "message.timeout.ms", "metadata.max.age.ms", "partition.assignment.strategy", "partitioner",
    "queue.buffering.max.kbytes", "queue.buffering.max.messages", "request.timeout.ms", "retries",
    "retry.backoff.ms", "sasl.mechanism", "sasl.password", "sasl.username", "security.protocol",
    "session.timeout.ms", "socket.timeout.ms", "ssl.ca.location", "ssl.certificate.location",
    "ssl.key.location", "ssl.key.password", "statistics.interval.ms",
)  # fmt: skip
"""Properties that people set, to guess which one was meant: librdkafka does not list its own."""

_LIBRDKAFKA_FRAME: Final = re.compile(r"^\S+/(bootstrap|\d+): | \(after \d+ms in state \w+.*\)$")


class Aliased(click.Option):
    """An option whose ``aliases``, other names of Kafka's for it, work but are not in the help."""

    def __init__(self, *args: Any, aliases: Sequence[str], **attrs: Any) -> None:  # noqa: ANN401  # click's own signature
        names, *rest = args
        self._aliases = aliases
        super().__init__([*names, *aliases], *rest, **attrs)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """As click's, without the aliases."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        shown, text = record
        for alias in self._aliases:
            shown = re.sub(rf", {re.escape(alias)}(?=[ ,]|$)", "", shown)
        return shown, text


bootstrap_option: Final = click.option(
    "-b",
    "--bootstrap-server",
    "bootstrap",
    cls=Aliased,
    aliases=("--bootstrap-servers", "--broker-list", "--brokers"),
    envvar="KAFKA_BOOTSTRAP_SERVERS",
    default="localhost:9092",
    show_default=True,
    help="host:port of a broker, several with commas.",
)
topic_option: Final = click.option("-t", "--topic", required=True, help="The topic.")


def console_client_options(kind: str, example: str) -> Callable[[Decorated], Decorated]:
    """``-X`` and the file of properties of a console tool's "producer" or "consumer"."""

    def add(command: Decorated) -> Decorated:
        command = click.option(
            f"--{kind}.config",
            "--command-config",
            "files",
            multiple=True,
            type=click.Path(path_type=Path),
            help="A file of such properties.",
        )(command)
        return click.option(
            "-X",
            f"--{kind}-property",
            "given",
            cls=Aliased,
            aliases=("--command-property",),
            multiple=True,
            metavar="KEY=VALUE",
            help=f"A property of the Kafka client (librdkafka's names), such as {example}.",
        )(command)

    return add


def words_option(name: str, alias: str, help: str) -> Callable[[Decorated], Decorated]:  # noqa: A002  # click's word
    """``--property KEY=VALUE``: how the tool reads or shows records."""
    return click.option(
        "--property",
        name,
        cls=Aliased,
        aliases=(alias,),
        multiple=True,
        metavar="KEY=VALUE",
        help=help,
    )


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
    """Client properties from files, and from the command line, which wins; in librdkafka's words.

    Security may be said in Java's: see config.client_security.
    """
    found: dict[str, str] = {}
    for path in files:
        try:
            entries = last_wins(read_properties(path.read_bytes(), str(path)))
        except OSError as error:
            raise MisuseError(f"{path}: {error.strerror}") from error
        found |= {key: entry.value for key, entry in entries.items()}
    return to_librdkafka(found | pairs(given, flag))


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
            near = difflib.get_close_matches(unknown, _OFTEN_SET, n=1, cutoff=0.8)
            guess = f" (did you mean {near[0]}?)" if near else ""
            click.echo(
                f"property {unknown} is not known to this client: no effect{guess}", err=True
            )


class Complaints:
    """A client's error callback. Silent until a broker has answered, then each message once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: set[str] = set()
        self._early: list[KafkaError] = []
        self._reached = False

    def __call__(self, error: KafkaError) -> None:
        """Called by the client, while it is polled."""
        text = error.str()
        if not self._reached:
            self._early.append(error)
        elif text not in self._told:
            self._told.add(text)
            self._say(text)

    def reached(self) -> None:
        """From here on an error is news: what went before was the search for a broker."""
        self._reached = True

    def cause(self) -> str:
        """Why no broker was reached, if more is known than that; "" otherwise."""
        causes = [error.str() for error in self._early if error.code() not in _SYMPTOMS]
        causes = causes or [error.str() for error in self._early if error.code() == _REFUSED]
        return _LIBRDKAFKA_FRAME.sub("", causes[-1]) if causes else ""

    def hopeless(self) -> bool:
        """Whether a broker was found that does not take us, or that we do not trust."""
        return any(error.code() in _HOPELESS for error in self._early)


class Reachable(Protocol):
    """What every client of confluent-kafka can do."""

    def list_topics(self, *, timeout: float) -> object:
        """Ask a broker. KafkaException if none answers in time (seconds)."""
        ...

    def poll(self, timeout: float) -> object:
        """Call the callbacks that are due."""
        ...


def no_broker_answers(bootstrap: str, cause: str = "") -> PeerError:
    """The one way to say it."""
    why = f": {cause}" if cause else ""
    return PeerError(f"no broker answers at {bootstrap}{why}")


def reach(
    client: Reachable,
    bootstrap: str,
    complaints: Complaints,
    *,
    clock: Clock,
    patience_ms: int,
    stop: Event | None = None,
) -> None:
    """Return when a broker has answered or ``stop`` is set; PeerError if none does in time."""
    deadline_ms = clock.monotonic_ms() + patience_ms
    while stop is None or not stop.is_set():
        left_s = (deadline_ms - clock.monotonic_ms()) / 1_000
        try:
            client.list_topics(timeout=max(0.1, min(_ASK_S, left_s)))
        except KafkaException as caught:
            client.poll(0)  # brings the complaints
            error: KafkaError = caught.args[0]
            if error.code() not in _SYMPTOMS:
                raise no_broker_answers(bootstrap, error.str()) from caught
            if complaints.hopeless() or clock.monotonic_ms() >= deadline_ms:
                raise no_broker_answers(bootstrap, complaints.cause()) from caught
        else:
            complaints.reached()
            return


def reached_admin(bootstrap: str, own: Mapping[str, str]) -> AdminClient:
    """An admin client that a broker has answered; PeerError with the reason if none does."""
    complaints = Complaints(lambda _: None)  # each question gets an answer of its own
    config = {
        "log_level": 0,
        **own,
        "bootstrap.servers": bootstrap,
        "error_cb": complaints,
    }
    admin = make_client(AdminClient, config)
    reach(admin, bootstrap, complaints, clock=SystemClock(), patience_ms=_ADMIN_REACH_MS)
    return admin
