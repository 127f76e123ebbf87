"""``tape broker start|stop|status``: the embedded broker as a process.

A running broker is found by its data directory: there it holds a lock and says where it serves.
Without one, the only broker that this user runs is meant.
Imports that only one subcommand needs stay inside it, for the sake of the start-up time.
"""

import gc
import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tickertape.base.errors import MisuseError, StorageError
from tickertape.base.world import OsDisk, OsFileSystem, SystemClock, SystemRng, Threads
from tickertape.broker.server.configure import configure
from tickertape.broker.server.data_lock import running
from tickertape.broker.server.limits import Limits
from tickertape.broker.server.server import Ready, ServerSettings, World, serve
from tickertape.cli import roster
from tickertape.cli.broker_users import add_user
from tickertape.cli.dump import dump
from tickertape.cli.fsck import fsck
from tickertape.cli.logs import start_logging
from tickertape.config.properties import Entry, read_properties

if TYPE_CHECKING:
    from tickertape.config.keys import Checked

SCHEMA: Final = "tape.broker/1"
_DETACHED_LOG: Final = "broker.log"
_FSYNC_WARNINGS: Final = {
    "always": None,
    "interval": "fsync interval: a power cut takes back up to {ms} ms of acknowledged records",
    "never": "fsync never: a power cut takes back acknowledged records",
}

_FLAG_KEYS: Final = {
    "data_dir": "log.dirs",
    "fsync": "tape.fsync",
    "metrics_port": "tape.metrics.port",
    "log_format": "tape.log.format",
}

_properties = click.argument(
    "properties", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
_data_dir = click.option("--data-dir", help="Where the records are (log.dirs).")
_output = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)


@click.group()
def broker() -> None:
    """The embedded broker: start it, ask how it is, stop it."""


broker.add_command(dump)
broker.add_command(fsck)


@broker.command(short_help="Start a broker with Kafka's server.properties.")
@_properties
@_data_dir
@click.option("--port", type=click.IntRange(0, 65_535), help="Port; 0: any free one.")
@click.option(
    "--fsync",
    type=click.Choice(["always", "interval", "never"]),
    help="When records are synced to the disk; always (default): before they are acknowledged.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    help="Serve /metrics, /health and /ready there, for this machine only; 0: any free port.",
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), help="Of the log on stderr; default text."
)
@click.option("--override", multiple=True, metavar="KEY=VALUE", help="Set any server property.")
@click.option("--detach", is_flag=True, help="Return once it serves; its log: DATA_DIR/broker.log.")
@click.option("-v", "--verbose", is_flag=True, help="Say why a property has no effect.")
@_output
def start(**given: Any) -> int:  # noqa: ANN401  # click hands over its options by name
    """Start a broker with the settings of PROPERTIES (Kafka's server.properties) and the flags.

    Flags win over the file. Without a file it listens on 127.0.0.1:9092.
    """
    settings, checked = configure(
        [*_file_entries(given["properties"]), *_flag_entries(given)],
        str(given["properties"] or "flags"),
        default_data_dir(),
        given["port"],
    )
    _want_known_overrides(checked)
    settings = replace(settings, data_dir=str(Path(settings.data_dir).absolute()))
    if given["detach"]:
        return _start_detached(settings, checked, given["output"])
    style = checked.text("tape.log.format")
    start_logging(style)
    _tell(settings, checked, verbose=given["verbose"])
    settings = replace(settings, limits=_within_descriptors(settings.limits))

    def announce(ready: Ready) -> None:
        _announce(ready, settings, given["output"], style)

    world = World(
        fs=OsFileSystem(), disk=OsDisk, workers=Threads, clock=SystemClock(), rng=SystemRng()
    )
    try:
        clean = serve(settings, world, announce)
    finally:
        roster.leave(settings.data_dir)
    return 0 if clean else 1


@broker.command()
@_properties
@_data_dir
@click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds to wait.")
def stop(properties: Path | None, data_dir: str | None, timeout: float) -> int:
    """Stop a broker and wait until it has.

    Which: the one of --data-dir or of PROPERTIES; without either, the only one that you run.
    """
    folder = folder_of(properties, data_dir)
    holder = running(folder)
    if holder is None:
        click.echo(f"no broker runs in {folder}", err=True)
        return 1
    try:
        handle = os.pidfd_open(holder.pid)
    except ProcessLookupError:
        return 0
    try:
        if running(folder) == holder:  # the handle is that of the lock's holder, not of a namesake
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], timeout)[0]:
            raise StorageError(f"broker {holder.pid} still runs {timeout:g} s after SIGTERM")
    finally:
        os.close(handle)
    click.echo(f"stopped broker {holder.pid}", err=True)
    return 0


@broker.command()
@_properties
@_data_dir
@_output
def status(properties: Path | None, data_dir: str | None, output: str) -> int:
    """Ask a broker how it is. Exit code 1 if it does not serve.

    Which: the one of --data-dir or of PROPERTIES; without either, the only one that you run.
    """
    from tickertape.broker.server.probe import probe  # noqa: PLC0415  # not wanted at start

    folder = folder_of(properties, data_dir)
    holder = running(folder)
    if holder is None or holder.bootstrap is None:
        state = "stopped" if holder is None else "starting or stopping"
        _print({"_schema": SCHEMA, "state": state, "data_dir": folder}, output)
        return 1
    if "://" in holder.bootstrap:  # it asks who we are: it serves, and that is all we can say
        facts = {"bootstrap": holder.bootstrap, "pid": holder.pid, "data_dir": folder}
        _print({"_schema": SCHEMA, "state": "running", **facts}, output)
        return 0
    health = probe(holder.bootstrap, SystemClock())
    _print(
        {
            "_schema": SCHEMA,
            "state": "running",
            "bootstrap": holder.bootstrap,
            "pid": holder.pid,
            "data_dir": folder,
            "cluster_id": health.cluster_id,
            "node_id": health.node_id,
            "topics": health.topics if health.sees_all else None,
            "partitions": health.partitions if health.sees_all else None,
            "apis": health.apis,
            "round_trip_ms": health.round_trip_ms,
        },
        output,
    )
    return 0


broker.add_command(add_user)


def default_data_dir() -> str:
    """``$XDG_DATA_HOME/tickertape/broker``, the same for start, stop and status."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return str(Path(home) / "tickertape" / "broker")


def _file_entries(properties: Path | None) -> list[Entry]:
    if properties is None:
        return []
    try:
        return read_properties(properties.read_bytes(), str(properties))
    except OSError as error:
        raise MisuseError(f"{properties}: {error.strerror}") from error


def _flag_entries(given: dict[str, Any]) -> list[Entry]:
    """The flags as if they were lines after those of the file."""
    entries: list[Entry] = []
    for number, pair in enumerate(given["override"], 1):
        key, separator, value = pair.partition("=")
        if not separator:
            raise click.UsageError(f"--override {pair}: want KEY=VALUE")
        entries.append(Entry(key.strip(), value, number, "--override"))
    for flag, key in _FLAG_KEYS.items():
        if given[flag] is not None:
            entries.append(Entry(key, str(given[flag]), 1, f"--{flag.replace('_', '-')}"))
    return entries


def _want_known_overrides(checked: "Checked") -> None:
    """A usage error for a property of --override that nobody knows: nobody wants it ignored."""
    for notice in checked.notices:
        if notice.unknown and notice.entry.source == "--override":
            text = notice.text.replace(", ignored", "")
            raise click.UsageError(f"--override {notice.entry.key}: {text}")


def folder_of(properties: Path | None, data_dir: str | None) -> str:
    """The data folder that a command means, absolute."""
    if data_dir is None and properties is None:
        return _only_running() or default_data_dir()
    if data_dir is None:
        settings, _ = configure(_file_entries(properties), str(properties), default_data_dir())
        data_dir = settings.data_dir
    return str(Path(data_dir).absolute())


def _only_running() -> str | None:
    """The data directory of the one broker that this user runs; None if there is none."""
    found = roster.all_running()
    if len(found) > 1:
        places = "".join(
            f"\n  --data-dir {data_dir}  (process {holder.pid}, {holder.bootstrap or 'starting'})"
            for data_dir, holder in found.items()
        )
        raise MisuseError(f"{len(found)} brokers run, want one of{places}")
    return next(iter(found), None)


def _tell(settings: ServerSettings, checked: "Checked", *, verbose: bool) -> None:
    """What of the configuration does nothing or may surprise."""
    log = logging.getLogger("tickertape.broker")
    inert = [notice for notice in checked.notices if notice.kind == "inert"]
    for notice in checked.notices:
        if notice.kind != "inert":
            log.warning("%s", notice)
        elif verbose:
            log.info("%s: no effect: %s", notice.entry.key, notice.text)
    if inert and not verbose:
        names = ", ".join(notice.entry.key for notice in inert)
        log.info("no effect on this broker (-v says why): %s", names)
    for warning in _fsync_warning(settings):
        log.warning("%s", warning)


def _fsync_warning(settings: ServerSettings) -> list[str]:
    """What a power cut costs, if it costs anything."""
    warning = _FSYNC_WARNINGS[settings.broker.fsync]
    return [] if warning is None else [warning.format(ms=settings.flush_interval_ms)]


def _within_descriptors(limits: Limits) -> Limits:
    """Take all descriptors that the system grants, and leave a third of them to the segments.

    A connection takes two: that of the transport and the outbox's own.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return limits
    return replace(limits, connections_max=min(limits.connections_max, max(1, hard // 3)))


def _announce(ready: Ready, settings: ServerSettings, output: str, style: str) -> None:
    log = logging.getLogger("tickertape.broker")
    try:
        roster.enter(settings.data_dir)
    except StorageError as error:
        log.warning("found by --data-dir only: %s", error)
    gc.freeze()  # what is alive now stays: collections need not look at it again
    line = (
        f"ready on {_where(ready)} after {ready.start_ms} ms, data in {ready.data_dir}, "
        f"fsync {settings.broker.fsync}"
    )
    if ready.metrics_url is not None:
        line += f", metrics on {ready.metrics_url}"
    if style == "json":
        log.info(line, extra={"bootstrap": ready.bootstrap, "start_ms": ready.start_ms})
    else:
        click.echo(line, err=True)
    if output == "json":
        document = {
            "_schema": SCHEMA,
            "state": "running",
            "bootstrap": ready.bootstrap,
            "listeners": ready.addresses,
            "pid": os.getpid(),
            "data_dir": ready.data_dir,
            "cluster_id": ready.cluster_id,
            "fsync": settings.broker.fsync,
            "metrics": ready.metrics_url,
        }
        click.echo(json.dumps(document))
        sys.stdout.flush()


def _where(ready: Ready) -> str:
    """Every address, with what is spoken there unless that is PLAINTEXT."""
    plain = [*ready.protocols.values()] == ["PLAINTEXT"]
    return ", ".join(
        address if plain else f"{ready.protocols[name]}://{address}"
        for name, address in ready.addresses.items()
    )


def _start_detached(settings: ServerSettings, checked: "Checked", output: str) -> int:
    """Start the same command in the background; return when it serves or has failed.

    What it warns of in its log is said here too: nobody looks into the log of a broker that serves.
    """
    holder = running(settings.data_dir)
    if holder is not None:
        raise MisuseError(f"data directory {settings.data_dir} is in use by process {holder.pid}")
    log_path = Path(settings.data_dir) / _DETACHED_LOG
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            began = log.tell()
            child = subprocess.Popen(  # noqa: S603  # our own interpreter and arguments
                _same_command(sys.argv[1:]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
    except (FileExistsError, NotADirectoryError) as error:
        raise StorageError(f"data directory {settings.data_dir} is no folder") from error
    except OSError as error:
        raise StorageError(f"{log_path}: {error.strerror}") from error
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        with log_path.open("rb") as log:
            log.seek(began)
            click.echo(log.read().decode(errors="replace").rstrip(), err=True)
        return child.wait() or 1
    warnings = [str(notice) for notice in checked.notices if notice.kind != "inert"]
    for warning in [*warnings, *_fsync_warning(settings)]:
        click.echo(f"WARNING: {warning}", err=True)
    document = json.loads(line)
    if output == "table":  # metrics that are off are no news
        document = {name: value for name, value in document.items() if value is not None}
    _print(document, output)
    return 0


def _same_command(arguments: Sequence[str]) -> list[str]:
    code = "from tickertape.cli.main import main; main()"
    kept = [argument for argument in arguments if argument != "--detach"]
    return [sys.executable, "-c", code, *kept, "-o", "json"]


def _print(document: dict[str, Any], output: str) -> None:
    """One document on stdout, as JSON or as aligned lines."""
    if output == "json":
        click.echo(json.dumps(document))
        return
    shown = {name: value for name, value in document.items() if not name.startswith("_")}
    width = max(map(len, shown))
    for name, value in shown.items():
        click.echo(f"{name:<{width}}  {_shown(value)}")


def _shown(value: object) -> object:
    """A value in words; what is not known is a dash."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {of}" for name, of in value.items())
    return "-" if value is None else value
