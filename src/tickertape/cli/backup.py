"""``tape backup verify``: whether every offset of a topic is in the bucket, exactly once."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import click

from tickertape.base.errors import MisuseError
from tickertape.base.world import SystemClock, SystemRng
from tickertape.cli.kafka_flags import Aliased, reached_admin
from tickertape.cli.run_report import advice, finding_line, named_only
from tickertape.config.client_security import to_librdkafka
from tickertape.config.properties import last_wins, read_properties
from tickertape.connect.s3.runs import spelled
from tickertape.connect.s3.verify import Report, verify
from tickertape.connect.s3.witness import TopicWitness
from tickertape.objects.open import open_store
from tickertape.objects.store import ObjectStore

_CHECK_FAILED: Final = 3
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@click.group(short_help="Prove what the backup in the bucket holds.")
def backup() -> None:
    """The backup in the bucket: prove what it holds."""


def bucket_options(command: Decorated) -> Decorated:
    """Where the backup is, and whose: ``lake``, ``connector``, ``topics_dir``."""
    for option in (
        click.option("--topics-dir", default="topics", show_default=True),
        click.option("--connector", help="Only what this connector's manifests say. [all]"),
        click.option(
            "--lake",
            cls=Aliased,
            aliases=("--store",),
            required=True,
            help="file:///folder, s3://bucket[/prefix] or a path.",
        ),
    ):
        command = option(command)
    return command


@backup.command(name="verify", short_help="Every offset is there exactly once, unaltered.")
@click.option("-t", "--topic", required=True)
@bucket_options
@click.option("-b", "--bootstrap-server", help="Also compare with the topic, where it has records.")
@click.option(
    "--names-only",
    is_flag=True,
    help="Accept another connector's objects by name and line count, whatever they hold.",
)
@click.option(
    "--command-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Properties of the Kafka client (librdkafka's names), for security.",
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def verify_command(**given: Any) -> int:  # noqa: ANN401  # click hands over its options by name
    """Prove that every offset from the first backed-up to the last is there exactly once.

    \b
    tape backup verify -t ticks --lake tape-data/lake
    tape backup verify -t ticks --lake s3://bucket -b localhost:9092 -o json

    Without a bootstrap server the proof rests on manifests and digests alone; objects in no
    manifest (another connector's) then want --names-only. Exit code 3 if offsets are missing or
    doubled, or objects altered, unproven or foreign.
    """
    check_folder(given["lake"])
    store = open_store(given["lake"], rng=SystemRng(), sleep=threading.Event().wait)
    report = _verified(store, given)
    if not report.objects:
        report.notes += [f"{place} holds some of it" for place in _beside(given)]
    document = {**report.to_json(), "advice": advice(report)}
    click.echo(json.dumps(document) if given["output"] == "json" else table(report))
    return 0 if report.verified else _CHECK_FAILED


def check_folder(lake: str) -> None:
    """A folder that does not exist holds nothing, and is most likely a typing error."""
    url = urlsplit(lake)
    if url.scheme in {"", "file"}:
        folder = Path(unquote(url.path)) if url.scheme else Path(lake).expanduser()
        if not folder.is_dir():
            raise MisuseError(f"--lake {lake}: no such folder")


def _beside(given: dict[str, Any]) -> list[Path]:
    """Folders in the lake that hold the topic: most likely one of them is the bucket meant."""
    url = urlsplit(given["lake"])
    if url.scheme not in {"", "file"}:
        return []
    folder = Path(unquote(url.path)) if url.scheme else Path(given["lake"]).expanduser()
    wanted = Path(given["topics_dir"] or "topics", given["topic"])
    return sorted(each for each in folder.iterdir() if (each / wanted).is_dir())


def _verified(store: ObjectStore, given: dict[str, Any]) -> Report:
    wanted = {name: given[name] for name in ("connector", "topics_dir", "names_only")}
    bootstrap, topic = given["bootstrap_server"], given["topic"]
    if bootstrap is None:
        return verify(store, topic, **wanted)
    kafka: dict[str, str] = {}
    if given["command_config"]:
        path = given["command_config"]
        entries = last_wins(read_properties(path.read_bytes(), str(path)))
        kafka = to_librdkafka({key: entry.value for key, entry in entries.items()})
    reached_admin(bootstrap, kafka)  # it says why, where the witness could only wait
    with TopicWitness(bootstrap, topic, clock=SystemClock(), kafka=kafka) as witness:
        return verify(store, topic, witness=witness, **wanted)


def table(report: Report) -> str:
    """The verdict, a line for each partition, and everything that is wrong or worth knowing."""
    rows = [("PARTITION", "FIRST", "LAST", "RECORDS", "OBJECTS", "BYTES", "COMPARED", "GAPS")]
    rows += [
        (
            str(part.partition),
            str(part.first) if part.first >= 0 else "-",
            str(part.last) if part.last >= 0 else "-",
            f"{part.records:,}",
            f"{part.objects:,}",
            f"{part.bytes:,}",
            f"{part.compared:,}",
            spelled((gap.first, gap.last) for gap in part.gaps) or "-",
        )
        for part in report.partitions
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    gaps = {(part.partition, gap) for part in report.partitions for gap in part.gaps}
    lines += [
        f"gap: partition {partition}, offsets {spelled([(gap.first, gap.last)])}: {gap.reason}"
        for partition, gap in sorted(gaps, key=lambda item: (item[0], item[1].first))
    ]
    lines += [finding_line(finding) for finding in report.findings]
    lines += [f"note: {note}" for note in report.notes]
    lines += [f"to do: {line}" for line in advice(report)]
    verdict = "verified" if report.verified else "NOT verified"
    lines.append(f"{verdict}: {report.records:,} records of {report.topic} in {report.lake}")
    lines += named_only(report)
    return "\n".join(lines)
