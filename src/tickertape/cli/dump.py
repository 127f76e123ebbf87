"""``tape broker dump``: what is in a file of a data directory, also while its broker runs."""

import base64
import json
import mmap
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from tickertape.base.buffers import Buffer
from tickertape.base.errors import MisuseError, StorageError
from tickertape.cli.tables import table

SCHEMA: Final = "tape.broker.dump/1"
_PROBLEMS: Final = 3
_ROWS_AT_ONCE: Final = 500  # are aligned with each other


@click.command(short_help="Show what is in a segment, index or snapshot.")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--deep", is_flag=True, help="The records too: keys, values, headers.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "jsonl"]), default="table",
    show_default=True,
)  # fmt: skip
def dump(files: tuple[Path, ...], output: str, *, deep: bool) -> int:
    """Show what is in FILES, as Kafka's kafka-dump-log does. Reads only.

    A segment (.log), its indexes (.index, .timeindex, .txnindex), producers (.snapshot, .window),
    leader-epoch-checkpoint and the other checkpoints, partition.metadata, topics.json. With --deep
    records of __consumer_offsets and __transaction_state are decoded. Exit code 3 if a file is
    damaged; what could be read of it is shown.
    """
    shown = [_File(path, deep=deep) for path in files]
    if output == "jsonl":
        for file in shown:
            for entry in file.entries():
                click.echo(_json({"file": str(file.path), **entry}))
    elif output == "json":
        documents = [{**file.head(), "entries": list(file.entries())} for file in shown]
        problems = [
            {**document, "damage": file.damage}
            for document, file in zip(documents, shown, strict=True)
        ]
        click.echo(_json({"_schema": SCHEMA, "files": problems}))
    else:
        for file in shown:
            if file.head()["bytes"] or len(shown) == 1:
                _print(file)
        empty = sum(not file.head()["bytes"] for file in shown)
        if empty and len(shown) > 1:
            click.echo(f"{empty} empty files")
    for file in shown:
        if file.damage is not None:
            at, reason = file.damage["position"], file.damage["reason"]
            click.echo(f"{file.path}: damaged at byte {at}: {reason}", err=True)
    return _PROBLEMS if any(file.damage is not None for file in shown) else 0


class _File:
    """One file; ``damage`` is known once all entries have been taken."""

    def __init__(self, path: Path, *, deep: bool) -> None:
        from tickertape.log import dump as reading  # noqa: PLC0415  # not wanted at start

        self.path = path
        self.damage: dict[str, Any] | None = None
        self._reading = reading
        self._deep = deep
        self._topic = path.absolute().parent.name.rpartition("-")[0]
        self._content = mapped(path)
        self.is_segment = ".log" in path.name
        self._small = None if self.is_segment else reading.dump_small(path.name, self._content)
        if not self.is_segment and self._small is None:
            raise MisuseError(f"{path} is no file of a log: want a .log, .index, .timeindex, ...")

    def head(self) -> dict[str, Any]:
        """What it is."""
        kind = self._small[0] if self._small is not None else "segment"
        return {"file": str(self.path), "kind": kind, "bytes": len(self._content)}

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """Batches or entries."""
        if self._small is None:
            yield from self._batches()
            return
        for entry in self._small[1]:
            if isinstance(entry, self._reading.Damage):
                self.damage = entry._asdict()
            else:
                yield entry

    def _batches(self) -> Iterator[Mapping[str, Any]]:
        for batch in self._reading.batches(self._content):
            if isinstance(batch, self._reading.Damage):
                self.damage = batch._asdict()
                return
            shown = self._reading.describe_batch(self._content, batch)
            if not batch.is_valid and self.damage is None:
                self.damage = {"position": batch.position, "reason": "the CRC is wrong"}
            if self._deep and not batch.header.is_control:
                shown["records"] = list(self._records(batch))
            yield shown

    def _records(self, batch: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  # a lazily imported Batch
        from tickertape.broker.state.stored_records import explain  # noqa: PLC0415  # as above
        from tickertape.wire.primitives import DecodeError  # noqa: PLC0415  # as above

        try:
            for record in self._reading.records(self._content, batch):
                shown = {
                    "offset": record.offset,
                    "timestamp": record.timestamp,
                    **_text("key", record.key),
                    **_text("value", record.value),
                    "headers": [[name, _text("value", value)] for name, value in record.headers],
                }
                decoded = explain(self._topic, record)
                yield shown if decoded is None else shown | {"decoded": decoded}
        except DecodeError as error:
            self.damage = self.damage or {"position": batch.position, "reason": str(error)}


def mapped(path: Path) -> Buffer:
    """The content of the file, without reading it all. StorageError if that is refused."""
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                return b""
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def _text(name: str, stored: bytes | None) -> dict[str, Any]:
    """As text if it is UTF-8, else in base64, and said so."""
    if stored is None:
        return {name: None}
    try:
        return {name: stored.decode()}
    except UnicodeDecodeError:
        return {name: base64.b64encode(stored).decode(), f"{name}_encoding": "base64"}


def _json(document: object) -> str:
    return json.dumps(document, ensure_ascii=False)


# -- for people ----------------------------------------------------------------------------------


def _print(file: _File) -> None:
    head = file.head()
    click.echo(f"{head['file']}: {head['kind']}, {head['bytes']} bytes")
    if file.is_segment:
        _print_batches(file)
        return
    for rows in _chunks(file.entries()):
        names = list(rows[0])
        cells = [[_cell(row.get(name)) for name in names] for row in rows]
        click.echo(table([name.upper().replace("_", "-") for name in names], cells), nl=False)


def _print_batches(file: _File) -> None:
    headers = (
        *("OFFSETS", "COUNT", "POSITION", "BYTES", "CODEC", "EPOCH"),
        *("PRODUCER", "SEQUENCES", "TIME", "KIND"),
    )
    for batches in _chunks(file.entries()):
        lines = table(headers, [_batch_cells(batch) for batch in batches]).splitlines()
        click.echo(lines[0])
        for line, batch in zip(lines[1:], batches, strict=True):
            click.echo(line)
            for record in batch.get("records", ()):
                click.echo(_record_line(record))


def _batch_cells(batch: Mapping[str, Any]) -> list[object]:
    producer = sequences = None
    if batch["producer_id"] >= 0:
        producer = f"{batch['producer_id']}/{batch['producer_epoch']}"
        if batch["base_sequence"] >= 0:
            sequences = f"{batch['base_sequence']}-{batch['last_sequence']}"
    kind = batch.get("marker") or ("control" if batch["is_control"] else None)
    if kind is None and batch["is_transactional"]:
        kind = "transactional"
    if not batch["is_valid"]:
        kind = f"{kind or ''} BAD CRC".strip()
    return [
        f"{batch['base_offset']}-{batch['last_offset']}",
        *(batch["count"], batch["position"], batch["size"], batch["codec"]),
        *(batch["partition_leader_epoch"], producer, sequences),
        *(_time(batch["max_timestamp"]), kind),
    ]


def _record_line(record: Mapping[str, Any]) -> str:
    decoded = record.get("decoded")
    if decoded is not None:
        said = f"{_key(decoded['key'])} = {_json(decoded['value'])}"
    else:
        said = f"{_quoted(record, 'key')} = {_quoted(record, 'value')}"
        for name, value in record["headers"]:
            said += f"  {name}: {_quoted(value, 'value')}"
    return f"  {record['offset']}  {_time(record['timestamp'])}  {said}"


def _key(key: Mapping[str, Any]) -> str:
    """A key of the broker's own topics: what it is in a word, if we have one."""
    return f"{key['name']} {_json(key['data'])}" if "name" in key else _json(key)


def _quoted(shown: Mapping[str, Any], name: str) -> str:
    if shown[name] is None:
        return "null"
    encoding = "base64:" if f"{name}_encoding" in shown else ""
    return f"{encoding}{_json(shown[name])}"


def _time(timestamp_ms: int) -> str | None:
    if not 0 <= timestamp_ms < 253_402_300_800_000:  # year 10000
        return None if timestamp_ms == -1 else str(timestamp_ms)
    at = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cell(value: object) -> object:
    if isinstance(value, list | dict):
        return _json(value)
    return value


def _chunks(entries: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    chunk: list[Mapping[str, Any]] = []
    for entry in entries:
        chunk.append(entry)
        if len(chunk) == _ROWS_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
