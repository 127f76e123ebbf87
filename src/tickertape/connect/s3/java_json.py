"""JSON lines byte for byte as Jackson writes them behind Confluent's JsonFormat.

orjson does the work; it differs from Jackson in control characters (``\\u000B``, upper case), in
characters beyond the BMP (two ``\\u`` escapes), in the order of keys (java.util.HashMap's) and in
the notation of floats. What it refuses and Jackson takes goes the slow way through ``json``:
integers beyond 64 bits, numbers too large for a double, lone surrogates.

Stricter than Kafka's JsonConverter, on purpose: text after the value, leading zeros and a byte
order mark are refused. Java drops or reinterprets them silently.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, NoReturn, TypeVar

import orjson

from tickertape.connect.s3.chunk import RecordRejectedError
from tickertape.connect.s3.java_values import double_text, hash_order, string_hash, wrap

Line = bytes | None  # without its end; None is Connect's null value

T = TypeVar("T")

_BLANK: Final = b" \t\r\n"
_LONG_MAX: Final = (1 << 63) - 1
_ASTRAL: Final = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
_MEND: Final = re.compile(rb"\\(?:u(00[01][0-9a-f])|.)|([\xf0-\xf4][\x80-\xbf]{3})", re.DOTALL)
_SURROGATE: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]?")
_ESCAPES: Final = {
    '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
}  # fmt: skip
_ESCAPED: Final = re.compile('["\\\\\x00-\x1f\ud800-\udfff\U00010000-\U0010ffff]')
_ORDERS_MAX: Final = 4096  # key sequences whose HashMap order is remembered


def string_lines(values: Sequence[bytes | None]) -> list[Line]:
    """StringConverter: each value as a JSON string literal; malformed UTF-8 becomes U+FFFD."""
    if has_null(values):
        return _around_nulls(values, string_lines)
    try:
        texts = [value.decode() for value in values]  # type: ignore[union-attr]  # no None here
    except UnicodeDecodeError:
        texts = [java_text(value) for value in values if value is not None]
    # The indent puts a raw line feed between items, and nowhere else: strings escape theirs.
    listed = orjson.dumps(texts, option=orjson.OPT_INDENT_2)
    lines: list[Line] = list(listed[4:-2].split(b",\n  ")) if texts else []
    return _mended(listed, lines)


def base64_lines(values: Sequence[bytes | None]) -> list[Line]:
    """ByteArrayConverter under JsonFormat: base64 as a JSON string."""
    return [None if value is None else b'"' + b64encode(value) + b'"' for value in values]


def schemaless_lines(values: Sequence[bytes | None]) -> list[Line]:
    """JsonConverter with schemas.enable=false. RecordRejectedError at the first bad value."""
    forms = _each(values, _form)
    if not forms:
        return []
    # One call for all: a call per record costs ten times as much, in memory that comes and goes.
    mixed: list[object] = [_BETWEEN] * (2 * len(forms) - 1)
    mixed[::2] = forms
    listed = orjson.dumps(mixed)
    lines: list[Line] = list(listed[1:-1].split(b",\n,"))
    lines = _mended(listed, lines)
    if has_null(forms):
        return [None if form is None else line for form, line in zip(forms, lines, strict=True)]
    return lines


def preserved_lines(values: Sequence[bytes | None]) -> list[Line]:
    """json.compat=preserve: the value's own text, validated; only white space around may go."""
    return _each(values, _preserved)


def has_null(items: Sequence[object]) -> bool:
    """Whether one is None; ``all`` is four times as fast as ``in``, and usually enough."""
    return not all(items) and None in items


def java_text(value: bytes) -> str:
    """``new String(value, UTF_8)``: as Python's "replace", but one U+FFFD for a surrogate."""
    return _SURROGATE.sub(b"\xef\xbf\xbd", value).decode("utf-8", "replace")


def parse(value: bytes) -> object:
    """Strict JSON with exact integers and Decimals, for the slow way. ValueError if it is none."""
    try:
        return json.loads(value.decode(), parse_float=Decimal, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def write_value(value: object) -> str:
    """A parsed value as Jackson writes Connect's schemaless form of it."""
    if isinstance(value, str):
        return string_literal(value)
    if isinstance(value, dict):
        members = [f"{string_literal(key)}:{write_value(value[key])}" for key in key_order(value)]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join([write_value(item) for item in value]) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(wrap(value, 64))
    assert isinstance(value, Decimal)
    return double_text(to_double(value))


def to_double(value: Decimal) -> float:
    """BigDecimal.doubleValue: it has no negative zero."""
    return 0.0 if not value else float(value)


def key_order(found: dict[str, object]) -> list[str]:
    """The keys in HashMap order."""
    return hash_order(found, string_hash)


def string_literal(text: str) -> str:
    """One JSON string, quotes included."""
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def encode_text(text: str) -> bytes:
    """The bytes of ``write_value``'s answer; every surrogate is escaped by then."""
    return text.encode()


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    known = _ESCAPES.get(char)
    if known is not None:
        return known
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04X}" for at in range(0, len(units), 2))


def _each(values: Sequence[bytes | None], line: Callable[[bytes], T]) -> list[T | None]:
    lines: list[T | None] = []
    append = lines.append
    try:
        for value in values:
            append(None if value is None else line(value))
    except ValueError as error:
        raise RecordRejectedError(
            len(lines), f"got a value that is no JSON ({error}), want JSON (value.converter)"
        ) from error
    return lines


class _Orders(dict[tuple[str, ...], tuple[str, ...] | None]):
    """Key sequence -> HashMap order, or None when it is in that order already."""

    def __missing__(self, keys: tuple[str, ...]) -> tuple[str, ...] | None:
        if len(self) >= _ORDERS_MAX:
            self.clear()
        order = tuple(hash_order(keys, string_hash))
        answer = self[keys] = None if order == keys else order
        return answer


_ORDERS: Final = _Orders()


def _form(value: bytes) -> object:
    """What orjson shall write for a value: its parsed form, or text that is ready. None: null."""
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        if not value.strip(_BLANK):
            return None
        parsed = _NO_FORM
    if type(parsed) is dict and _is_flat(parsed):
        order = _ORDERS[tuple(parsed)]
        return parsed if order is None else {key: parsed[key] for key in order}
    if parsed is None:
        return None
    formed = _nested_form(parsed)
    if formed is _NO_FORM:
        return orjson.Fragment(encode_text(write_value(parse(value))))
    return formed


_BETWEEN: Final = orjson.Fragment(b"\n")  # a raw line feed is in no string
_NO_FORM: Final = object()


def _is_flat(parsed: dict[str, object]) -> bool:
    """Whether all values are scalars that orjson writes as Jackson does."""
    for item in parsed.values():
        kind = type(item)
        if kind is str:
            continue
        if kind is float:
            if not 1e-3 <= item < 1e7:  # type: ignore[operator]  # mypy does not see the kind
                return False
        elif kind is int:
            if item > _LONG_MAX:  # type: ignore[operator]  # as above
                return False
        elif kind is not bool and item is not None:
            return False
    return True


def _nested_form(parsed: object) -> object:
    """The value with all keys in order, if orjson then writes what Jackson does; or _NO_FORM."""
    if isinstance(parsed, list):
        items = [_nested_form(item) for item in parsed]
        return _NO_FORM if any(item is _NO_FORM for item in items) else items
    if isinstance(parsed, dict):
        formed = {key: _nested_form(parsed[key]) for key in _ORDERS[tuple(parsed)] or parsed}
        return _NO_FORM if any(item is _NO_FORM for item in formed.values()) else formed
    return parsed if _is_plain(parsed) else _NO_FORM


def _is_plain(scalar: object) -> bool:
    """Whether orjson writes the scalar as Jackson does (zero may be a lost exponent: no)."""
    if type(scalar) is float:
        return 1e-3 <= abs(scalar) < 1e7
    if scalar is _NO_FORM:
        return False
    return type(scalar) is not int or scalar <= _LONG_MAX


def _preserved(value: bytes) -> Line:
    text = value.strip(_BLANK)
    if not text or text == b"null":
        return None
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        parse(text)
    if b"\n" in text or b"\r" in text:  # strings hold none, so they are white space
        text = text.replace(b"\r", b" ").replace(b"\n", b" ")
    return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"got {name}, want a JSON number")


def _around_nulls(
    values: Sequence[bytes | None], convert: Callable[[Sequence[bytes | None]], list[Line]]
) -> list[Line]:
    rest = iter(convert([value for value in values if value is not None]))
    return [None if value is None else next(rest) for value in values]


def _mended(listed: bytes, lines: list[Line]) -> list[Line]:
    if not _needs_mending(listed):
        return lines
    return [line if line is None else _mend(line) for line in lines]


def _needs_mending(encoded: bytes) -> bool:
    if not encoded.isascii() and any(lead in encoded for lead in _ASTRAL):
        return True
    return b"\\u00" in encoded


def _mend(line: bytes) -> bytes:
    return _MEND.sub(_mend_one, line)


def _mend_one(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return b"\\u" + match[1].upper()
    if match[2] is None:
        return match[0]
    units = match[2].decode().encode("utf-16-be").hex().upper()
    return f"\\u{units[:4]}\\u{units[4:]}".encode()
