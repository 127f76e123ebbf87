"""JsonConverter with schemas.enable=true: ``{"schema":..., "payload":...}`` in, the payload out.

Fields come in the schema's order; numbers are narrowed, defaults filled in and logical types
checked as Kafka's JsonConverter does (connect-json, JsonConverter.convertToConnect), including that
a value of another JSON type becomes 0, false or null without complaint.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import orjson

from tickertape.connect.s3.chunk import RecordRejectedError
from tickertape.connect.s3.java_json import (
    Line,
    encode_text,
    parse,
    string_literal,
    to_double,
    write_value,
)
from tickertape.connect.s3.java_values import (
    double_text,
    float_text,
    hash_order,
    string_hash,
    to_float,
    wrap,
)

Writer = Callable[[object], str | None]  # a parsed JSON value -> its text; None: Connect's null

_LOGICAL: Final = "org.apache.kafka.connect.data."
_INTEGERS: Final = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
_DAY_MS: Final = 86_400_000
_WRITERS_MAX: Final = 256  # schemas whose writer is remembered


class InvalidEnvelopeError(Exception):
    """A schema that is none, or a payload that does not fit it (Connect's DataException)."""


class Envelopes:
    """Encodes values; remembers the writer of each schema it met."""

    def __init__(self, *, numeric: bool) -> None:
        """``numeric``: json.decimal.format=NUMERIC, else decimals are base64."""
        self._numeric = numeric
        self._writers: dict[bytes, Writer] = {}

    def lines(self, values: Sequence[bytes | None]) -> list[Line]:
        """One line per value. RecordRejectedError at the first that is no valid envelope."""
        lines: list[Line] = []
        for index, value in enumerate(values):
            try:
                lines.append(None if value is None else self._line(value))
            except (InvalidEnvelopeError, ValueError, TypeError, ArithmeticError) as error:
                raise RecordRejectedError(
                    index, f"got a value that is no JSON with a valid schema: {error}"
                ) from error
        return lines

    def _line(self, value: bytes) -> Line:
        document = parse(value)
        if not isinstance(document, dict) or document.keys() != {"schema", "payload"}:
            raise InvalidEnvelopeError('want exactly the fields "schema" and "payload"')
        schema, payload = document["schema"], document["payload"]
        if schema is None:
            return None if payload is None else encode_text(write_value(payload))
        text = self._writer(schema)(payload)
        return None if text is None else encode_text(text)

    def _writer(self, schema: object) -> Writer:
        key = orjson.dumps(schema, default=str)
        writer = self._writers.get(key)
        if writer is None:
            if len(self._writers) >= _WRITERS_MAX:
                self._writers.clear()
            writer = self._writers[key] = compile_schema(schema, numeric=self._numeric)
        return writer


def compile_schema(schema: object, *, numeric: bool) -> Writer:
    """The writer of a Connect schema in its JSON form. InvalidEnvelopeError if it is none."""
    if not isinstance(schema, dict):
        raise InvalidEnvelopeError(f"got the schema {schema!r}, want an object")
    kind = schema.get("type")
    if kind == "struct":
        write = _struct(schema, numeric=numeric)
    elif kind == "array":
        write = _array(schema, numeric=numeric)
    elif kind == "map":
        write = _map(schema, numeric=numeric)
    else:
        write = _scalar(schema, kind, numeric=numeric)
    return _with_default(schema, write)


def _with_default(schema: Mapping[str, object], write: Writer) -> Writer:
    default = schema.get("default")
    text = None if default is None else write(default)
    optional = schema.get("optional") is True
    kind = str(schema.get("type")).upper()

    def write_or_default(value: object) -> str | None:
        if value is not None:
            return write(value)
        if text is None and not optional:
            raise InvalidEnvelopeError(f"invalid null value for required {kind} field")
        return text

    return write_or_default


def _nested(writer: Writer, value: object) -> str:
    """A nested value's text: what is converted to null takes the default, or may not be null."""
    text = writer(value)
    if text is None and value is not None:
        text = writer(None)
    return "null" if text is None else text


def _part(schema: Mapping[str, object], key: str) -> dict[str, object]:
    part = schema.get(key)
    if not isinstance(part, dict):
        raise InvalidEnvelopeError(f"got {part!r} as the schema's {key!r}, want a schema")
    return part


def _struct(schema: Mapping[str, object], *, numeric: bool) -> Writer:
    listed = schema.get("fields")
    if not isinstance(listed, list):
        raise InvalidEnvelopeError(f"got {listed!r} as a struct's fields, want a list")
    fields: list[tuple[str, str, Writer]] = []
    for field in listed:
        if not isinstance(field, dict) or not isinstance(field.get("field"), str):
            raise InvalidEnvelopeError(f"got the struct field {field!r}, want one with a name")
        name = field["field"]
        fields.append((name, string_literal(name), compile_schema(field, numeric=numeric)))

    def write(value: object) -> str:
        if not isinstance(value, dict):
            raise InvalidEnvelopeError(f"got {value!r} for a struct, want an object")
        return "{" + ",".join(
            f"{literal}:{_nested(writer, value.get(name))}" for name, literal, writer in fields
        ) + "}"  # fmt: skip

    return write


def _array(schema: Mapping[str, object], *, numeric: bool) -> Writer:
    writer = compile_schema(_part(schema, "items"), numeric=numeric)

    def write(value: object) -> str:
        items = list(value.values()) if isinstance(value, dict) else value
        if not isinstance(items, list):
            items = []  # Java iterates over the JSON node, whatever it is
        return "[" + ",".join([_nested(writer, item) for item in items]) + "]"

    return write


def _map(schema: Mapping[str, object], *, numeric: bool) -> Writer:
    keys, values = _part(schema, "keys"), _part(schema, "values")
    key_kind = keys.get("type")
    key_writer = compile_schema(keys, numeric=numeric)
    writer = compile_schema(values, numeric=numeric)

    def write_object(value: object) -> str:
        if not isinstance(value, dict):
            raise InvalidEnvelopeError(f"got {value!r} for a map with string keys, want an object")
        return "{" + ",".join(
            f"{string_literal(key)}:{_nested(writer, value[key])}"
            for key in hash_order(value, string_hash)
        ) + "}"  # fmt: skip

    def write_pairs(value: object) -> str:
        if not isinstance(value, list):
            raise InvalidEnvelopeError(f"got {value!r} for a map, want a list of [key, value]")
        pairs: dict[str, str] = {}
        for pair in value:
            if not isinstance(pair, list) or len(pair) != 2:
                raise InvalidEnvelopeError(f"got {pair!r} in a map, want [key, value]")
            pairs[_nested(key_writer, pair[0])] = _nested(writer, pair[1])
        order = hash_order(pairs, _key_hash(str(key_kind)))
        return "[" + ",".join(f"[{key},{pairs[key]}]" for key in order) + "]"

    if key_kind == "string" and keys.get("optional") is not True:
        return write_object
    if key_kind not in (*_INTEGERS, "boolean"):
        raise InvalidEnvelopeError(
            f"got map keys of type {key_kind!r}, want string, integer or boolean"
        )
    return write_pairs


def _key_hash(kind: str) -> Callable[[str], int]:
    """The hashCode of the boxed key whose text this is, as 32 unsigned bits."""
    if kind == "boolean":
        return lambda text: 1231 if text == "true" else 1237
    if kind == "int64":
        return lambda text: (int(text) ^ (int(text) % (1 << 64)) >> 32) & 0xFFFFFFFF
    return lambda text: int(text) & 0xFFFFFFFF


def _scalar(schema: Mapping[str, object], kind: object, *, numeric: bool) -> Writer:
    name = schema.get("name")
    if kind == "bytes" and name == f"{_LOGICAL}Decimal":
        return _decimal(schema, numeric=numeric)
    if kind == "int32" and name == f"{_LOGICAL}Time":
        return _time_of_day
    if isinstance(kind, str) and kind in _INTEGERS:
        bits = _INTEGERS[kind]
        return lambda value: str(wrap(_int_value(value), bits))
    writers: dict[object, Writer] = {
        "boolean": lambda value: "true" if value is True else "false",
        "float": lambda value: float_text(to_float(_double_value(value))),
        "double": lambda value: double_text(_double_value(value)),
        "string": lambda value: string_literal(value) if isinstance(value, str) else None,
        "bytes": _bytes,
    }
    writer = writers.get(kind)
    if writer is None:
        raise InvalidEnvelopeError(f"got the schema type {kind!r}, want one of Connect's")
    return writer


def _int_value(value: object) -> int:
    """JsonNode.longValue: 0 for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return 0
    return int(value)


def _double_value(value: object) -> float:
    """JsonNode.doubleValue: 0 for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return 0.0
    return to_double(Decimal(value))


def _time_of_day(value: object) -> str:
    number = wrap(_int_value(value), 32)
    if not 0 <= number <= _DAY_MS:
        raise InvalidEnvelopeError(f"got {number} for a Time, want ms since midnight")
    return str(number)


def _bytes(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return f'"{b64encode(b64decode(value, validate=True)).decode()}"'


def _decimal(schema: Mapping[str, object], *, numeric: bool) -> Writer:
    parameters = _part(schema, "parameters")
    scale = int(str(parameters.get("scale")))

    def write(value: object) -> str:
        if isinstance(value, str):
            unscaled = int.from_bytes(b64decode(value, validate=True), signed=True)
        elif isinstance(value, int | Decimal) and not isinstance(value, bool):
            unscaled = _unscaled(Decimal(value), scale)
        else:
            raise InvalidEnvelopeError(f"got {value!r} for a Decimal, want base64 text or a number")
        if numeric:
            sign, digits = int(unscaled < 0), tuple(int(digit) for digit in str(abs(unscaled)))
            return str(Decimal((sign, digits, -scale)))
        size = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
        return f'"{b64encode(unscaled.to_bytes(size, "big", signed=True)).decode()}"'

    return write


def _unscaled(value: Decimal, scale: int) -> int:
    exponent = value.as_tuple().exponent
    if exponent != -scale:
        raise InvalidEnvelopeError(f"got the decimal {value}, want {scale} digits after the point")
    sign, digits, _ = value.as_tuple()
    number = int("".join(map(str, digits)))
    return -number if sign else number
