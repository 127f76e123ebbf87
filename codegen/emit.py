"""Python source from a Message: straight-line code, one condition per change of version."""

import keyword
from collections.abc import Iterator
from itertools import groupby

from codegen.apis import snake
from codegen.model import FIXED, Field, Message, Range, Struct

# How a number's struct code shows in the name of a Struct constant.
CONSTANT_NAMES = {
    "?": "T", "b": "B", "h": "H", "H": "UH", "i": "I", "I": "UI", "q": "Q", "d": "D",
}  # fmt: skip

# What a struct's code calls a primitive, by (kind, flexible).
ALIASES = {
    "string": ("string", "compact_string"),
    "nullable_string": ("nullable_string", "compact_nullable_string"),
    "raw": ("bytes", "compact_bytes"),
    "nullable_raw": ("nullable_bytes", "compact_nullable_bytes"),
    "count_of": ("count", "compact_count"),
    "nullable_count_of": ("nullable_count", "compact_nullable_count"),
}

SCALARS = {
    "string": "str",
    "bytes": "bytes",
    "records": "bytes",
    "uuid": "UUID",
    "bool": "bool",
    "float64": "float",
}


def attribute(field: Field) -> str:
    """The field's Python name."""
    name = snake(field.name)
    return name + "_" if keyword.iskeyword(name) else name


def annotation(field: Field) -> str:
    """The field's Python type."""
    base = field.type if field.struct else SCALARS.get(field.type, "int")
    base = f"list[{base}]" if field.array else base
    return f"{base} | None" if field.nullable else base


def default_text(field: Field) -> str:
    """A fresh default, as an expression."""
    if field.default is list:
        return "[]"
    if field.default is Struct:
        return f"{field.type}()"
    return "ZERO_UUID" if field.default == "ZERO_UUID" else repr(field.default)


def condition(versions: Range, within: Range) -> str | None:
    """When the versions hold, given that the version is within; None if always."""
    if versions.covers(within):
        return None
    low, high = versions.first > within.first, versions.last < within.last
    if low and high:
        if versions.first == versions.last:
            return f"version == {versions.first}"
        return f"{versions.first} <= version <= {versions.last}"
    return f"version >= {versions.first}" if low else f"version <= {versions.last}"


def fixed(field: Field) -> bool:
    """Whether the field is a number that a Struct unpacks."""
    return field.type in FIXED and not field.array


class Source:
    """Lines with an indent, and the names they use."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.imports: set[str] = set()
        self.formats: dict[str, str] = {}
        self._indent = 0

    def line(self, text: str = "") -> None:
        self.lines.append("    " * self._indent + text if text else "")

    def deeper(self, levels: int = 1) -> None:
        self._indent += levels

    def call(self, name: str) -> str:
        self.imports.add(name)
        return name

    def struct(self, codes: str) -> str:
        """The module constant for a Struct of these codes."""
        name = "_" + "".join(CONSTANT_NAMES[code] for code in codes)
        self.formats[name] = codes
        return name


class StructEmitter:
    """One class."""

    def __init__(self, source: Source, struct: Struct, message: Message) -> None:
        self.out = source
        self.struct = struct
        self.message = message
        self.flexible = message.flexible & struct.versions
        self.top = struct.name == message.name

    def emit(self) -> None:
        out, struct = self.out, self.struct
        base = out.call("Message" if self.top else "Fields")
        out.line(f"class {struct.name}({base}):")
        out.deeper()
        out.line(f'"""{self._title()}"""')
        out.line()
        names = ", ".join(f'"{attribute(f)}"' for f in struct.fields)
        out.line(f"__slots__ = ({names}{',' if len(struct.fields) == 1 else ''})")
        out.line()
        if self.top:
            versions = self.message.versions
            out.line(f"VERSIONS: ClassVar[tuple[int, int]] = ({versions.first}, {versions.last})")
            out.line()
        self._init()
        self._read()
        self._write()
        out.deeper(-1)
        out.line()

    def _title(self) -> str:
        if self.top:
            return f"Kafka's {self.message.name}, versions {self.message.versions}."
        return f"Part of {self.message.name}, versions {self.struct.versions}."

    def _init(self) -> None:
        out, fields = self.out, self.struct.fields
        if not fields:
            return
        out.line("def __init__(")
        out.deeper()
        out.line("self,")
        out.line("*,")
        for f in fields:
            fresh = f.default in (list, Struct)
            value = out.call("UNSET") if fresh else default_text(f)
            if value == "ZERO_UUID":
                out.call("ZERO_UUID")
            note = "" if f.versions.covers(self.struct.versions) else f"  # versions {f.versions}"
            if f.tag is not None:
                note = f"  # versions {f.versions}, tag {f.tag}"
            out.line(f"{attribute(f)}: {annotation(f)} = {value},{note}")
        out.deeper(-1)
        out.line(") -> None:")
        out.deeper()
        for f in fields:
            name = attribute(f)
            if f.default in (list, Struct):
                out.line(f"self.{name} = {default_text(f)} if {name} is UNSET else {name}")
            else:
                out.line(f"self.{name} = {name}")
        out.deeper(-1)
        out.line()

    # Shared by both directions ------------------------------------------------------------------

    def _body_fields(self) -> list[Field]:
        return [f for f in self.struct.fields if f.tag is None]

    def _tagged(self) -> list[Field]:
        fields = [f for f in self.struct.fields if f.tag is not None]
        return sorted(fields, key=lambda f: f.tag or 0)

    def _prologue(self, verb: str) -> None:
        """Name the primitives that depend on whether the version is flexible."""
        kinds = {kind for f in self.struct.fields for kind in self._kinds(f)}
        within = self.struct.versions
        always, never = self.flexible.covers(within), not self.flexible
        if not always and not never and (kinds or self.flexible):
            self.out.line(f"flexible = version >= {self.flexible.first}")
        for kind in [kind for kind in ALIASES if kind in kinds]:
            plain, compact = (f"{verb}_{name}" for name in ALIASES[kind])
            if always or never:
                self.out.line(f"{kind} = {self.out.call(compact if always else plain)}")
            else:
                self.out.call(plain), self.out.call(compact)
                self.out.line(f"{kind} = {compact} if flexible else {plain}")

    def _kinds(self, f: Field) -> Iterator[str]:
        if f.array:
            yield from self._either("count_of", f)
            if f.type == "string":
                yield "string"
            elif f.type in ("bytes", "records"):
                yield "raw"
        elif f.type == "string":
            yield from self._either("string", f)
        elif f.type in ("bytes", "records"):
            yield from self._either("raw", f)

    def _either(self, kind: str, f: Field) -> Iterator[str]:
        if f.nullable:
            yield f"nullable_{kind}"
        if not f.nullable.covers(f.versions):
            yield kind

    def _tag_condition(self) -> str | None:
        """When there is a tag buffer: "" for always, None for never."""
        if not self.flexible:
            return None
        return "" if self.flexible.covers(self.struct.versions) else "flexible"

    def _runs(self) -> Iterator[tuple[str | None, list[Field]]]:
        within = self.struct.versions
        for cond, fields in groupby(self._body_fields(), lambda f: condition(f.versions, within)):
            yield cond, list(fields)

    # Decoding -----------------------------------------------------------------------------------

    def _read(self) -> None:
        out = self.out
        out.line("@classmethod")
        out.line("def read(cls, buf: Buffer, at: int, version: int) -> tuple[Self, int]:")
        out.deeper()
        out.line('"""As ``decode``, but may raise any of BAD_BYTES."""')
        self._prologue("read")
        out.line("self = cls.__new__(cls)")
        for cond, fields in self._runs():
            if cond is None:
                self._read_fields(fields)
                continue
            out.line(f"if {cond}:")
            out.deeper()
            self._read_fields(fields)
            out.deeper(-1)
            out.line("else:")
            out.deeper()
            for f in fields:
                self._reset(f)
            out.deeper(-1)
        self._read_tags()
        out.line("return self, at")
        out.deeper(-1)
        out.line()

    def _reset(self, f: Field) -> None:
        text = default_text(f)
        if text == "ZERO_UUID":
            self.out.call("ZERO_UUID")
        self.out.line(f"self.{attribute(f)} = {text}")

    def _read_fields(self, fields: list[Field]) -> None:
        for is_fixed, run in groupby(fields, fixed):
            if is_fixed:
                self._read_numbers(list(run))
            else:
                for f in run:
                    self._read_field(f)

    def _read_numbers(self, run: list[Field]) -> None:
        codes = "".join(FIXED[f.type] for f in run)
        form = self.out.struct(codes)
        targets = ", ".join(f"self.{attribute(f)}" for f in run)
        if len(run) == 1:
            targets = f"({targets},)"
        self.out.line(f"{targets} = {form}.unpack_from(buf, at)")
        self.out.line(f"at += {size_of(codes)}")

    def _reader(self, kind: str, f: Field) -> str:
        cond = condition(f.nullable, f.versions) if f.nullable else None
        if not f.nullable:
            return kind
        return f"nullable_{kind}" if cond is None else f"(nullable_{kind} if {cond} else {kind})"

    def _read_field(self, f: Field) -> None:
        out, target = self.out, f"self.{attribute(f)}"
        if f.array:
            self._read_array(f, target)
        elif f.struct is not None:
            self._read_struct(f, target)
        elif f.type in FIXED:
            self._read_numbers([f])
        elif f.type == "uuid":
            out.line(f"{target}, at = {out.call('read_uuid')}(buf, at)")
        else:
            kind = "string" if f.type == "string" else "raw"
            out.line(f"{target}, at = {self._reader(kind, f)}(buf, at)")

    def _read_struct(self, f: Field, target: str) -> None:
        out = self.out
        if f.nullable:
            out.line(f"there, at = {out.call('read_i8')}(buf, at)")
            out.line("if there < 0:")
            out.line(f"    {target} = None")
            out.line("else:")
            out.deeper()
        out.line(f"{target}, at = {f.type}.read(buf, at, version)")
        out.deeper(-1 if f.nullable else 0)

    def _read_array(self, f: Field, target: str) -> None:
        out = self.out
        out.line(f"count, at = {self._reader('count_of', f)}(buf, at)")
        if f.nullable:
            out.line("if count < 0:")
            out.line(f"    {target} = None")
            out.line("else:")
            out.deeper()
        if f.type in FIXED:
            code = FIXED[f.type]
            out.line(f'{target} = list({out.call("unpack_from")}(f">{{count}}{code}", buf, at))')
            out.line(f"at += {size_of(code)} * count" if size_of(code) > 1 else "at += count")
        else:
            item = {"string": "string(buf, at)", "bytes": "raw(buf, at)"}.get(f.type)
            if f.type == "uuid":
                item = f"{out.call('read_uuid')}(buf, at)"
            name = snake(f.name) + "_"
            kind = f.type if f.struct else SCALARS[f.type]
            out.line(f"{name}: list[{kind}] = []")
            out.line("for _ in range(count):")
            out.line(f"    {name}item, at = {item or f'{f.type}.read(buf, at, version)'}")
            out.line(f"    {name}.append({name}item)")
            out.line(f"{target} = {name}")
        out.deeper(-1 if f.nullable else 0)

    def _read_tags(self) -> None:
        out, cond, tagged = self.out, self._tag_condition(), self._tagged()
        for f in tagged:
            self._reset(f)
        if cond is None:
            return
        if cond:
            out.line(f"if {cond}:")
            out.deeper()
        if tagged:
            out.line(f"count, at = {out.call('read_uvarint')}(buf, at)")
            out.line("for _ in range(count):")
            out.line(f"    tag, at, end = {out.call('read_tag')}(buf, at)")
            out.deeper()
            for index, f in enumerate(tagged):
                self._read_tag(f, "if" if index == 0 else "elif")
            out.line("else:")
            out.line("    at = end")
            out.deeper(-1)
        else:
            out.line(f"at = {out.call('skip_tags')}(buf, at)")
        out.deeper(-1 if cond else 0)

    def _read_tag(self, f: Field, word: str) -> None:
        extra = condition(f.versions, self.flexible)
        self.out.line(f"{word} tag == {f.tag}{f' and {extra}' if extra else ''}:")
        self.out.deeper()
        self._read_field(f)
        self.out.line(f"{self.out.call('check_tag')}(tag, at, end)")
        self.out.deeper(-1)

    # Encoding -----------------------------------------------------------------------------------

    def _write(self) -> None:
        out = self.out
        out.line("def write(self, out: bytearray, version: int) -> None:")
        out.deeper()
        out.line('"""Append the bytes of this version."""')
        self._prologue("write")
        for cond, fields in self._runs():
            if cond is not None:
                out.line(f"if {cond}:")
                out.deeper()
            self._write_fields(fields)
            out.deeper(-1 if cond is not None else 0)
        self._write_tags()
        out.deeper(-1)
        out.line()

    def _write_fields(self, fields: list[Field]) -> None:
        for is_fixed, run in groupby(fields, fixed):
            if is_fixed:
                self._write_numbers(list(run), "out")
            else:
                for f in run:
                    self._write_field(f, "out")

    def _write_numbers(self, run: list[Field], to: str) -> None:
        form = self.out.struct("".join(FIXED[f.type] for f in run))
        values = ", ".join(f"self.{attribute(f)}" for f in run)
        self.out.line(f"{to} += {form}.pack({values})")

    def _write_field(self, f: Field, to: str) -> None:
        out, value = self.out, f"self.{attribute(f)}"
        if f.array:
            self._write_array(f, value, to)
        elif f.struct is not None:
            if f.nullable:
                out.line(f"if {value} is None:")
                out.line(f"    {to}.append(0xFF)")
                out.line("else:")
                out.deeper()
                out.line(f"{to}.append(1)")
            out.line(f"{value}.write({to}, version)")
            out.deeper(-1 if f.nullable else 0)
        elif f.type in FIXED:
            self._write_numbers([f], to)
        elif f.type == "uuid":
            out.line(f"{to} += {value}.bytes")
        else:
            self._write_text(f, value, to)

    def _write_text(self, f: Field, value: str, to: str) -> None:
        kind, empty = ("string", '""') if f.type == "string" else ("raw", 'b""')
        cond = condition(f.nullable, f.versions) if f.nullable else None
        if not f.nullable:
            self.out.line(f"{kind}({to}, {value})")
        elif cond is None:
            self.out.line(f"nullable_{kind}({to}, {value})")
        else:
            self.out.line(f"if {cond}:")
            self.out.line(f"    nullable_{kind}({to}, {value})")
            self.out.line("else:")
            self.out.line(f"    {kind}({to}, {value} or {empty})")

    def _write_array(self, f: Field, value: str, to: str) -> None:
        out = self.out
        cond = condition(f.nullable, f.versions) if f.nullable else None
        if not f.nullable:
            out.line(f"count_of({to}, {value})")
        elif cond is None:
            out.line(f"nullable_count_of({to}, {value})")
        else:
            out.line(f"if {cond}:")
            out.line(f"    nullable_count_of({to}, {value})")
            out.line("else:")
            out.line(f"    count_of({to}, {value} or [])")
        items = f"{value} or ()" if f.nullable else value
        if f.type in FIXED:
            if f.nullable:
                out.line(f"if {value}:")
                out.deeper()
            pack = out.call("pack")
            out.line(f'{to} += {pack}(f">{{len({value})}}{FIXED[f.type]}", *{value})')
            out.deeper(-1 if f.nullable else 0)
            return
        name = snake(f.name) + "_item"
        text = {"string": f"string({to}, {name})", "bytes": f"raw({to}, {name})"}.get(f.type)
        if f.type == "uuid":
            text = f"{to} += {name}.bytes"
        out.line(f"for {name} in {items}:")
        out.line(f"    {text or f'{name}.write({to}, version)'}")

    def _write_tags(self) -> None:
        out, cond, tagged = self.out, self._tag_condition(), self._tagged()
        if cond is None:
            return
        if cond:
            out.line(f"if {cond}:")
            out.deeper()
        if tagged:
            out.line("tags: list[tuple[int, bytearray]] = []")
            for f in tagged:
                self._write_tag(f)
            out.line(f"{out.call('write_tags')}(out, tags)")
        else:
            out.line("out.append(0)")
        out.deeper(-1 if cond else 0)

    def _write_tag(self, f: Field) -> None:
        value = f"self.{attribute(f)}"
        if f.default is None:
            given = f"{value} is not None"
        elif f.default in (list, False, "", b""):
            given = value
        else:
            given = f"{value} != {default_text(f)}"
            if f.default == "ZERO_UUID":
                self.out.call("ZERO_UUID")
        extra = condition(f.versions, self.flexible)
        self.out.line(f"if {f'{extra} and ' if extra else ''}{given}:")
        self.out.deeper()
        self.out.line("body = bytearray()")
        self._write_field(f, "body")
        self.out.line(f"tags.append(({f.tag}, body))")
        self.out.deeper(-1)


def size_of(codes: str) -> int:
    """Bytes that these struct codes take."""
    return sum({"?": 1, "b": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "d": 8}[c] for c in codes)


def module_source(title: str, messages: list[Message]) -> str:
    """The whole module."""
    body = Source()
    for message in messages:
        for struct in message.structs:
            StructEmitter(body, struct, message).emit()
    head = [f'"""{title}: generated by ``python -m codegen``, do not edit.', ""]
    head += [f"Source: {message.source}." for message in messages] + ['"""', ""]
    head += _imports(body)
    head += [f'{name}: Final = Struct(">{codes}")' for name, codes in sorted(body.formats.items())]
    return "\n".join([*head, "", *body.lines]) + "\n"


def _imports(body: Source) -> list[str]:
    calls = set(body.imports)
    from_struct = sorted(calls & {"pack", "unpack_from"}) + (["Struct"] if body.formats else [])
    bases = sorted(calls & {"Message", "Fields", "UNSET"})
    primitives = sorted(calls - {"pack", "unpack_from", "Message", "Fields", "UNSET"})
    text = "\n".join(body.lines)
    lines = [f"from struct import {', '.join(sorted(from_struct))}"] if from_struct else []
    typing = ["ClassVar", *(["Final"] if body.formats else []), "Self"]
    lines += [f"from typing import {', '.join(typing)}"]
    lines += ["from uuid import UUID"] if "UUID" in text.replace("ZERO_UUID", "") else []
    lines += ["", "from tickertape.base.buffers import Buffer"]
    lines += [f"from tickertape.wire.message import {', '.join(bases)}"]
    if primitives:
        lines += [f"from tickertape.wire.primitives import {', '.join(primitives)}"]
    return [*lines, ""]
