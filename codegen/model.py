"""Kafka's message definitions as values: messages, structs, fields and version ranges."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

VERSION_MAX = 32767

Definition: TypeAlias = dict[str, Any]

FIXED = {
    "bool": "?", "int8": "b", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "float64": "d",
}  # fmt: skip


@dataclass(frozen=True)
class Range:
    """Versions ``first`` to ``last``, inclusive; empty if first > last."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "Range":
        if text == "none":
            return cls(0, -1)
        if text.endswith("+"):
            return cls(int(text[:-1]), VERSION_MAX)
        first, _, last = text.partition("-")
        return cls(int(first), int(last or first))

    def __and__(self, other: "Range") -> "Range":
        return Range(max(self.first, other.first), min(self.last, other.last))

    def covers(self, other: "Range") -> bool:
        return self.first <= other.first and self.last >= other.last

    def __bool__(self) -> bool:
        return self.first <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass
class Field:
    """One field: its versions are clipped to those of the struct that holds it."""

    name: str
    type: str  # without [] and with struct names as classes
    array: bool
    versions: Range
    nullable: Range
    default: object
    tag: int | None
    struct: "Struct | None" = None


@dataclass
class Struct:
    """One class to generate."""

    name: str
    versions: Range
    fields: list[Field] = field(default_factory=list)


@dataclass
class Message:
    """One definition file."""

    name: str
    source: str
    versions: Range
    flexible: Range
    structs: list[Struct]  # inner ones first, the message itself last


def load(path: Path) -> Definition:
    """A definition; Kafka's JSON has // comments."""
    text = re.sub(r"^\s*//.*$|(?<=[,{}\[\]])\s*//.*$", "", path.read_text(), flags=re.MULTILINE)
    definition: Definition = json.loads(text)
    return definition


class Parser:
    """Builds one Message; renames structs that two messages of a module share."""

    def __init__(self, definition: Definition, source: str, renamed: dict[str, str]) -> None:
        self._definition = definition
        self._source = source
        self._renamed = renamed
        self._valid = Range.parse(definition["validVersions"])
        self._common = {raw["name"]: raw for raw in definition.get("commonStructs", [])}
        self._done: dict[str, Struct] = {}

    def message(self) -> Message:
        raw = self._definition
        self._struct(raw["name"], raw["fields"], self._valid)
        flexible = Range.parse(raw["flexibleVersions"]) & self._valid
        return Message(raw["name"], self._source, self._valid, flexible, list(self._done.values()))

    def _struct(self, name: str, fields: list[Definition], versions: Range) -> Struct:
        parsed = [self._field(raw, versions) for raw in fields]
        struct = Struct(self._renamed.get(name, name), versions, [f for f in parsed if f.versions])
        self._done[name] = struct
        return struct

    def _field(self, raw: Definition, within: Range) -> Field:
        assert raw.get("flexibleVersions") is None, f"{raw['name']}: not supported here"
        versions = Range.parse(str(raw["versions"])) & within
        base = raw["type"].removeprefix("[]")
        array = raw["type"].startswith("[]")
        struct = None
        if base[0].isupper():
            struct = self._inner(base, raw, versions)
            base = struct.name
        nullable = Range.parse(str(raw.get("nullableVersions", "none"))) & versions
        default = _default(raw, struct)
        return Field(raw["name"], base, array, versions, nullable, default, raw.get("tag"), struct)

    def _inner(self, name: str, raw: Definition, versions: Range) -> Struct:
        if name in self._done:
            return self._done[name]
        if name in self._common:
            common = self._common[name]
            # Shared by several fields: as wide as any of them.
            return self._struct(
                name, common["fields"], Range.parse(common["versions"]) & self._valid
            )
        return self._struct(name, raw["fields"], versions)


_ZEROS: dict[str, object] = {
    "string": "",
    "bytes": b"",
    "records": b"",
    "bool": False,
    "float64": 0.0,
    "uuid": "ZERO_UUID",
}


def _default(raw: Definition, struct: Struct | None) -> object:
    """None for null; for lists and structs, the type itself stands for a fresh one."""
    base, given = raw["type"], raw.get("default")
    if given == "null":
        return None
    if base.startswith("[]"):
        return list
    if struct is not None:
        return Struct
    if given is None or given == "":
        return _ZEROS.get(base, 0)
    if base == "bool":
        return str(given).lower() == "true"
    return given if base == "string" else int(str(given), 0)


def struct_names(definition: Definition) -> set[str]:
    """Every struct that a definition names."""
    found = {raw["name"] for raw in definition.get("commonStructs", [])}
    pending = list(definition["fields"])
    while pending:
        raw = pending.pop()
        base = raw["type"].removeprefix("[]")
        if base[0].isupper():
            found.add(base)
        pending += raw.get("fields", [])
    return found
