"""How admin commands print: aligned tables with headers that awk can use, or JSON.

One JSON document, or, where ``rows_option`` is used, one a line for each row.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

output_option: Final = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)

rows_option: Final = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "jsonl"]),
    default="table",
    show_default=True,
    help="jsonl: one document a row.",
)


def show(
    output: str,
    schema: str,
    document: Mapping[str, Any],
    rows: tuple[Sequence[str], Sequence[Sequence[object]]],
) -> None:
    """The document as JSON, or ``rows`` (headers, cells) as a table.

    As jsonl, each entry of the document's one list by itself.
    """
    named = {"_schema": f"tape.{schema}/1"}
    if output == "json":
        click.echo(json.dumps({**named, **document}, ensure_ascii=False))
    elif output == "jsonl":
        (entries,) = (value for value in document.values() if isinstance(value, list))
        for entry in entries:
            click.echo(json.dumps({**named, **entry}, ensure_ascii=False))
    else:
        click.echo(table(*rows), nl=False)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell; None is a dash."""
    cells = [list(headers), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(headers))]
    return "".join(
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in cells
    )


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    return str(value)
