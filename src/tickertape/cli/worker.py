"""``tape worker start``: runs connectors from Kafka Connect's own properties files.

Progress and notes go to stderr, a line each; ``-o json`` prints one document to stdout at the end.
SIGTERM and SIGINT end it gracefully: flushes that have begun are finished, what was read beyond
them is left in the topic for the next start.
"""

import dataclasses
import json
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click

from tickertape.base.errors import MisuseError
from tickertape.base.ids import TopicPartition
from tickertape.base.ports import Clock
from tickertape.base.world import SystemClock, SystemRng
from tickertape.cli.interrupts import asked_to_stop
from tickertape.cli.logs import json_line
from tickertape.config.properties import Entry, read_properties
from tickertape.connect.runtime.events import Limits
from tickertape.connect.runtime.worker import Connector, Worker, wait_for_store
from tickertape.connect.s3.assemble import Flush
from tickertape.connect.s3.load import load_settings
from tickertape.connect.s3.report import start_report
from tickertape.connect.s3.settings import SinkSettings
from tickertape.connect.s3.target import target_url
from tickertape.objects.open import open_store
from tickertape.objects.store import ObjectStore

_FLUSH_LINES_MS = 100  # of one partition; a flush that comes sooner is counted, not printed


@click.group()
def worker() -> None:
    """Back topics up with the properties files of Kafka Connect."""


@worker.command(short_help="Run connectors until stopped, or once with --once.")
@click.argument("worker_file", type=click.Path(path_type=Path))
@click.argument("connector_files", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-b", "--bootstrap-server", help="Overrides bootstrap.servers of the worker's file.")
@click.option(
    "--store-url",
    help="Overrides store.url: file:///folder, an endpoint, or"
    " s3://bucket[/prefix][?endpoint=URL&region=R&profile=P&path_style=false].",
)
@click.option(
    "--once", is_flag=True, help="Store everything that is there now, tails included, and end."
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of what it says on stderr.",
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def start(  # noqa: PLR0913  # one parameter an option
    worker_file: Path,
    connector_files: tuple[Path, ...],
    *,
    bootstrap_server: str | None,
    store_url: str | None,
    once: bool,
    log_format: str,
    output: str,
) -> None:
    """Run the connectors of CONNECTOR_FILES on the brokers of WORKER_FILE.

    \b
    tape worker start connect-s3.properties connect-s3-sink.properties
    """
    stop = threading.Event()
    clock = SystemClock()
    screen = Screen(clock, as_json=log_format == "json")
    base = _read(worker_file)
    every = [load_settings(base, _read(path) + _flags(store_url)) for path in connector_files]
    if bootstrap_server:
        every = [dataclasses.replace(found, bootstrap_servers=bootstrap_server) for found in every]
    connectors = [Connector(settings, connect_store(settings, stop)) for settings in every]
    for connector in connectors:
        for line in start_report(connector.settings, connector.store.url):
            screen.say(line)
    with asked_to_stop(stop):
        try:
            for connector in connectors:
                wait_for_store(connector, stop, clock=clock, listener=screen, limits=Limits())
            if not stop.is_set():
                Worker(connectors, clock=clock, listener=screen).run(stop, once=once)
        finally:
            screen.finish()
    if output == "json":
        click.echo(json.dumps(screen.summary()))


def connect_store(settings: SinkSettings, stop: threading.Event) -> ObjectStore:
    """The store of a connector's settings, whose retries end when ``stop`` is set."""
    url = target_url(settings)
    options = None
    if url.startswith("s3:"):
        from tickertape.objects.retry import RetryBudget  # noqa: PLC0415  # botocore is slow to import
        from tickertape.objects.s3 import S3Options  # noqa: PLC0415  # as above

        options = S3Options(
            region=settings.region,
            path_style=settings.path_style,
            access_key_id=settings.access_key_id or None,
            secret_access_key=settings.secret_access_key or None,
            retry=RetryBudget(attempts_max=settings.part_retries + 1),
            from_file=not settings.names_whole_url,
        )
    return open_store(url, rng=SystemRng(), sleep=stop.wait, s3_options=options)


def _read(path: Path) -> list[Entry]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MisuseError(f"{path}: {error.strerror}") from error
    return (
        _read_json(content, path) if path.suffix == ".json" else read_properties(content, str(path))
    )


def _read_json(content: bytes, path: Path) -> list[Entry]:
    """A connector as Connect's REST interface takes it: its settings, or ``{"name", "config"}``."""
    try:
        found = json.loads(content)
    except ValueError as error:
        raise MisuseError(f"{path}: {error}") from error
    if isinstance(found, dict) and isinstance(found.get("config"), dict):
        found = {"name": found.get("name"), **found["config"]}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise MisuseError(f"{path}: got other JSON, want an object whose values are all strings")
    return [Entry(key, value, 1, str(path)) for key, value in found.items()]


def _flags(store_url: str | None) -> list[Entry]:
    """The flag as lines at the end of the file, where they win."""
    if store_url is None:
        return []
    parts = urlsplit(store_url)
    given = {"store.url": store_url} | (
        {"s3.bucket.name": parts.netloc} if parts.scheme == "s3" else {}
    )
    return [Entry(key, value, 0, "--store-url") for key, value in given.items()]


class Screen:
    """Prints a worker's progress to stderr and adds it up. Called from several threads."""

    def __init__(self, clock: Clock, *, as_json: bool = False) -> None:
        self._clock = clock
        self._as_json = as_json
        self._lock = threading.Lock()  # guards everything below
        self._totals: Counter[str] = Counter()
        self._next: dict[TopicPartition, int] = {}  # committed offsets
        self._printed_ms: dict[TopicPartition, int] = {}
        self._silent: Counter[TopicPartition] = Counter()  # flushes since the last line
        self._last_note = ""

    def say(self, line: str) -> None:
        """A line, as it is, or as a JSON object."""
        if self._as_json:
            line = json_line("tickertape.worker", line)
        print(line, file=sys.stderr, flush=True)  # noqa: T201  # the terminal is the purpose

    def noted(self, text: str) -> None:
        """A note, unless it is the last one again."""
        with self._lock:
            if text != self._last_note:
                self._last_note = text
                self.say(text)

    def flushed(self, flush: Flush) -> None:
        """The line that Kafka Connect's users know."""
        with self._lock:
            self._totals["flushes"] += 1
            self._totals["objects"] += len(flush.objects)
            self._totals["records"] += sum(built.records for built in flush.objects)
            self._totals["bytes"] += sum(len(built.data) for built in flush.objects)
            self._next[flush.tp] = flush.end + 1
            now_ms = self._clock.monotonic_ms()
            if now_ms - self._printed_ms.get(flush.tp, -_FLUSH_LINES_MS) < _FLUSH_LINES_MS:
                self._silent[flush.tp] += 1
                return
            self._printed_ms[flush.tp] = now_ms
            self._print_offset(flush.tp)

    def _print_offset(self, tp: TopicPartition) -> None:
        line = f"Files committed to S3. Target commit offset for {tp} is {self._next[tp]}"
        silent = self._silent.pop(tp, 0)
        self.say(f"{line} ({silent} more since the last line)" if silent else line)

    def finish(self) -> None:
        """The lines that were held back, and the sum."""
        with self._lock:
            for tp in sorted(self._silent):
                self._print_offset(tp)
            counts = (f"{self._totals[name]:,} {name}" for name in _SUMS)
            self.say(f"worker ended: {', '.join(counts)}")

    def summary(self) -> dict[str, object]:
        """The document of ``-o json``."""
        offsets: dict[str, dict[str, int]] = {}
        for tp, offset in sorted(self._next.items()):
            offsets.setdefault(tp.topic, {})[str(tp.partition)] = offset
        return {
            "_schema": "tape.worker/1",
            **{name: self._totals[name] for name in _SUMS},
            "committed": offsets,
        }


_SUMS: Sequence[str] = ("flushes", "objects", "records", "bytes")
