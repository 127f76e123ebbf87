"""``tape broker fsck``: whether the data directory of a stopped broker is whole."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tickertape.base.buffers import Buffer
from tickertape.base.errors import MisuseError, StorageError
from tickertape.cli.dump import mapped
from tickertape.cli.tables import output_option, table

if TYPE_CHECKING:
    from tickertape.broker.state.check import DataDirCheck
    from tickertape.log.check import Problem

SCHEMA: Final = "tape.broker.fsck/1"
_PROBLEMS: Final = 3


@click.command(short_help="Check a stopped broker's data directory.")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--repair",
    is_flag=True,
    help="If there are problems: run the recovery that follows a crash, and check again.",
)
@output_option
def fsck(directory: Path, output: str, *, repair: bool) -> int:
    """Check all that is in DIRECTORY, the data directory of a stopped broker. Reads only.

    Every batch's CRC and place, indexes, producers, leader epochs, aborted transactions, topic
    ids, files that belong to nothing, groups and transactions. Exit code 0 if it is whole, 3 if
    there are problems, 1 if it could not be checked, as when the broker runs.

    --repair does what the broker does at its start after a crash, no more: from each log's
    recovery point on it cuts a torn tail, with all records after the first bad byte, and builds
    indexes anew. Damage below a recovery point stays as it is.
    """
    from tickertape.broker.server.data_lock import DataLock  # noqa: PLC0415  # not wanted at start

    if not (directory / "meta.properties").exists() and not (directory / "topics.json").exists():
        raise MisuseError(f"{directory} is no broker's data directory: no meta.properties in it")
    with DataLock(str(directory)):
        check, problems = _check(directory)
        recovered: list[dict[str, Any]] = []
        if repair and any(not problem.is_remark for problem in problems):
            recovered = _recover(directory)
            check, problems = _check(directory)
    _show(directory, output, (check, problems), recovered if repair else None)
    return _PROBLEMS if any(not problem.is_remark for problem in problems) else 0


class _Folder:
    """Reads by mapping files into memory: logs may be larger than that."""

    def list(self, path: str) -> list[str]:
        """The names in a folder."""
        try:
            return sorted(entry.name for entry in Path(path).iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error

    def read(self, path: str) -> Buffer | None:
        """A file."""
        file = Path(path)
        return mapped(file) if file.is_file() else None


def _check(directory: Path) -> "tuple[DataDirCheck, list[Problem]]":
    from tickertape.broker.state.check import DataDirCheck  # noqa: PLC0415  # not wanted at start

    check = DataDirCheck(_Folder(), str(directory))
    return check, list(check.run())


def _recover(directory: Path) -> list[dict[str, Any]]:
    """Start and stop a broker core, which serves nobody, as after a crash."""
    from tickertape.base.world import (  # noqa: PLC0415  # not wanted at start
        OsFileSystem,
        SystemClock,
        SystemRng,
        Threads,
    )
    from tickertape.broker.state.broker import Broker  # noqa: PLC0415  # as above
    from tickertape.broker.state.settings import BrokerSettings  # noqa: PLC0415  # as above
    from tickertape.log.config import FOREVER_MS, LogConfig  # noqa: PLC0415  # as above
    from tickertape.log.data_dir import read_meta_properties, take_clean_mark  # noqa: PLC0415

    fs, data_dir = OsFileSystem(), str(directory)
    meta = read_meta_properties(fs, data_dir)
    take_clean_mark(fs, data_dir)
    settings = BrokerSettings(
        node_id=meta.node_id if meta is not None else 1,
        log=LogConfig(producer_id_expiration_ms=FOREVER_MS),  # the broker knows who is forgotten
    )
    core = Broker(
        fs=fs,
        clock=SystemClock(),
        rng=SystemRng(),
        workers=Threads(1),
        settings=settings,
        data_dir=data_dir,
    )
    report = core.start()
    for log in core.dirty():
        ticket = log.begin_sync()
        if ticket is not None:
            ticket.run()
            log.finish_sync(ticket, ok=True)
    core.stop()
    return [
        {"partition": name, **asdict(found)}
        for name, found in report.recovered
        if found.bytes_cut or found.segments_removed or found.remarks
    ]


def _show(
    directory: Path,
    output: str,
    found: "tuple[DataDirCheck, list[Problem]]",
    recovered: list[dict[str, Any]] | None,
) -> None:
    from tickertape.broker.state.check import totals  # noqa: PLC0415  # not wanted at start

    check, problems = found
    total = totals(iter(check.partitions.values()))
    if output == "json":
        document = {
            "_schema": SCHEMA,
            "data_dir": str(directory),
            "partitions": len(check.partitions),
            "batches": total.batches,
            "records": total.records,
            "bytes": total.bytes,
            "problems": [_row(p) for p in problems if not p.is_remark],
            "remarks": [_row(p) for p in problems if p.is_remark],
        }
        if recovered is not None:
            document["recovered"] = recovered
        click.echo(json.dumps(document, default=str))
        return
    for one in recovered or ():
        cut = f"cut {one['bytes_cut']} bytes: {one['cut_reason']}" if one["bytes_cut"] else ""
        said = "; ".join(filter(None, [cut, *one["remarks"]]))
        click.echo(f"recovered {one['partition']}: ends at offset {one['end_offset']}; {said}")
    if problems:
        rows = [(p.kind, p.path.removeprefix(f"{directory}/"), p.text) for p in problems]
        click.echo(table(("PROBLEM", "WHERE", "WHAT"), rows), nl=False)
    bad = sum(not problem.is_remark for problem in problems)
    verdict = f"{bad} problem{'s' if bad > 1 else ''}" if bad else "whole"
    click.echo(
        f"{directory}: {verdict}; {len(check.partitions)} partitions, {total.batches} batches, "
        f"{total.records} records, {total.bytes} bytes",
        err=True,
    )


def _row(problem: "Problem") -> dict[str, str]:
    return {"kind": problem.kind, "path": problem.path, "text": problem.text}
