"""A CSV file with a header, any columns, as records: key, timestamp, the row as JSON. Pure.

The value is a JSON object of the header's names and the file's own field strings, so that prices
keep their trailing zeros byte for byte. A bad row (wrong number of fields, broken quotes, not
UTF-8, bad time) is handed to ``on_bad`` with its line number and the reader goes on.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple

import orjson

from tickertape.base.errors import MisuseError, StorageError
from tickertape.connect.feed.timestamps import TimeColumn, find_time_column

KEY_COLUMNS: Final = ("symbol", "instrument")
_BYTES_PER_ROW_MAX: Final = 1_000_000  # Kafka's default max.message.bytes, less the overhead
_LINES_PER_ROW_MAX: Final = 64  # a quote left open must not swallow the file
_QUOTED_CHARS_MAX: Final = 200
_CSV_ERRORS: Final = {  # a part of csv's own message -> ours
    "expected after": "there is text after a closing quote",
    "unexpected end of data": "a quote is never closed",
    "field larger than": "a field is longer than 131,072 characters",
    "new-line character": "there is a line end within an unquoted field",
    "NUL": "there is a zero byte",
}


class Row(NamedTuple):
    """One record. ``line`` is the row's first line in the file (the header is line 1)."""

    line: int
    key: bytes
    timestamp_ms: int
    value: bytes


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out: where, why, and its raw text as far as it was read."""

    line: int
    reason: str
    raw: bytes

    def quoted(self) -> str:
        """The raw text for a message, cut to a readable length."""
        text = self.raw.decode(errors="backslashreplace").rstrip("\r\n")
        cut = text if len(text) <= _QUOTED_CHARS_MAX else text[: _QUOTED_CHARS_MAX - 3] + "..."
        return f"line {self.line}: {self.reason}: {cut!r}"

    def to_json(self) -> bytes:
        """One line of the dead-letter file."""
        raw = self.raw.decode(errors="backslashreplace")
        document = {"line": self.line, "reason": self.reason, "raw": raw}
        return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


@dataclass(frozen=True, slots=True)
class RowOptions:
    """What the user may say about the columns; None: guess."""

    key_column: str | None = None
    time_column: str | None = None


def uncompressed(stream: BinaryIO) -> BinaryIO:
    """The stream itself, or what it holds if it begins as gzip does. It must be seekable."""
    magic = stream.read(2)
    stream.seek(0)
    return gzip.open(stream, "rb") if magic == b"\x1f\x8b" else stream  # type: ignore[return-value]  # GzipFile reads as a BinaryIO does


class _Lines:
    """Lines of the file; remembers those of the row at hand, and takes lines back."""

    def __init__(self, text: io.TextIOWrapper, name: str) -> None:
        self._text = text
        self._name = name
        self._again: list[str] = []
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._again:
            line = self._again.pop()
        else:
            try:
                line = next(self._text)
            except (EOFError, OSError, zlib.error) as error:
                raise StorageError(
                    f"{self._name}: damaged after line {self.number}: {error}"
                ) from error
        self.number += 1
        taken = self.taken
        taken.append(line)
        if len(taken) > _LINES_PER_ROW_MAX:
            raise csv.Error(f"a quote is still open after {_LINES_PER_ROW_MAX} lines")
        return line

    def first_line_only(self) -> str:
        """Give back all lines of the row at hand but its first, which is returned."""
        first, *rest = self.taken
        self._again.extend(reversed(rest))
        self.number -= len(rest)
        return first


class RowReader:
    """Iterate once. ``stream`` is the file's uncompressed bytes, ``name`` its name for messages."""

    def __init__(
        self, stream: BinaryIO, name: str, options: RowOptions, on_bad: Callable[[BadRow], None]
    ) -> None:
        """Reads the header and the first row. MisuseError if they cannot be used."""
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
        self._lines = _Lines(text, name)
        self._on_bad = on_bad
        self._delimiter = ","
        self.header = self._read_header(name)
        self._key_index = self._find_key(options.key_column)
        self._whole_file_key = _stem(name).encode()
        self.key_meaning = (
            f"the file's name, {_stem(name)}"
            if self._key_index is None
            else self.header[self._key_index]
        )
        self._records = self._split()
        self._first = next(self._records, None)
        first_row = self._first[1] if self._first else []
        self._time = find_time_column(self.header, first_row, options.time_column, name)
        self.time_meaning = self._time.meaning if self._time else "none found: the time of sending"

    @property
    def identity(self) -> tuple[str, str, str]:
        """What of the options and the file's name went into the records: key, constant, time."""
        time = self._time.identity if self._time else ""
        if self._key_index is None:
            return "", self._whole_file_key.decode(), time
        return self.header[self._key_index], "", time

    def __iter__(self) -> Iterator[Row]:
        """Every good row, in file order. StorageError if the file breaks off (a damaged gzip)."""
        header, width = self.header, len(self.header)
        key_index, time = self._key_index, self._time or TimeColumn(0, lambda _: 0, "", "")
        time_index, parse_time, file_key = time.index, time.parse, self._whole_file_key
        dumps, new_row = orjson.dumps, tuple.__new__
        taken = self._lines.taken
        for line, fields in self._rows():
            if len(fields) != width:
                self._bad(line, f"{len(fields)} fields, want {width}")
            else:
                try:
                    value = dumps(dict(zip(header, fields, strict=True)))
                    key = file_key if key_index is None else fields[key_index].encode()
                    timestamp_ms = parse_time(fields[time_index])
                except orjson.JSONEncodeError:
                    self._bad(line, "not UTF-8")
                except ValueError as error:
                    self._bad(line, time.refusal(fields[time_index], error))
                else:
                    if len(value) > _BYTES_PER_ROW_MAX:
                        self._bad(line, f"{len(value)} bytes, want at most {_BYTES_PER_ROW_MAX}")
                    else:
                        yield new_row(Row, (line, key, timestamp_ms, value))
            taken.clear()

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        if self._first is not None:
            yield self._first
            yield from self._records

    def _split(self) -> Iterator[tuple[int, list[str]]]:
        """(line number, fields) of every row; rows that csv cannot split are bad rows."""
        lines = self._lines
        taken = lines.taken
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        while True:
            try:
                for fields in reader:
                    if fields:
                        yield lines.number - len(taken) + 1, fields
                    else:
                        taken.clear()  # a blank line
            except csv.Error as error:
                line = lines.number - len(taken) + 1
                raw = lines.first_line_only()
                taken[:] = [raw]
                self._bad(line, _plain(error))
                taken.clear()
                reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
            else:
                return

    def _bad(self, line: int, reason: str) -> None:
        raw = "".join(self._lines.taken).encode(errors="surrogateescape")
        self._on_bad(BadRow(line, reason, raw))

    def _read_header(self, name: str) -> tuple[str, ...]:
        first = next(self._lines, "")
        self._lines.taken.clear()
        if not first.strip():
            raise MisuseError(f"{name}: got no header line, want the names of the columns")
        for delimiter in (",", "\t", ";"):
            if delimiter in first:
                self._delimiter = delimiter
                break
        try:
            header = tuple(next(csv.reader([first], delimiter=self._delimiter, strict=True)))
            "".join(header).encode()
        except (csv.Error, UnicodeEncodeError) as error:
            if isinstance(error, csv.Error):
                reason = f"header {first[:80]!r}: {_plain(error)}"
                raise MisuseError(f"{name}: {reason}") from error
            raise MisuseError(f"{name}: not a text file (UTF-8)") from error
        if "\0" in first:
            raise MisuseError(f"{name}: not a text file (UTF-8)")
        if all(not column.strip() or _is_number(column) for column in header):
            raise MisuseError(
                f"{name}: the first line, {first[:80].rstrip()!r}, holds values: it must name the"
                " columns. Put a line of names before it"
            )
        twice = sorted({column for column in header if header.count(column) > 1})
        if twice or "" in header:
            raise MisuseError(f"{name}: header {first[:80]!r}: want names, each once; got {twice}")
        return header

    def _find_key(self, wanted: str | None) -> int | None:
        if wanted is not None:
            if wanted not in self.header:
                names = ", ".join(self.header)
                raise MisuseError(f"--key-column {wanted!r}: want one of {names}")
            return self.header.index(wanted)
        for name in KEY_COLUMNS:
            if name in self.header:
                return self.header.index(name)
        return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(error: csv.Error) -> str:
    """What csv found, in words for whoever has the file before them."""
    text = str(error)
    return next((words for start, words in _CSV_ERRORS.items() if start in text), text)


def _stem(name: str) -> str:
    base = name.rpartition("/")[2]
    for ending in (".gz", ".csv", ".txt"):
        base = base.removesuffix(ending)
    return base
