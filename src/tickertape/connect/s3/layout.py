"""What determines the bytes and names of objects: the durable contract of a bucket.

A Layout travels in every flush intent and every manifest (only what differs from the defaults), so
that whoever finishes or verifies a flush encodes as its author did, whatever the files say now.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, Self, get_args, get_origin

from tickertape.base.errors import StorageError

Partitioner = Literal["default", "time"]
Extractor = Literal["wallclock", "record", "recordfield"]
Format = Literal["json", "bytes"]
Compression = Literal["none", "gzip"]
Converter = Literal["string", "json", "bytes"]
NullValues = Literal["fail", "ignore"]
JsonCompat = Literal["java", "preserve"]
DecimalFormat = Literal["BASE64", "NUMERIC"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Names and bytes of the objects of one connector. Defaults are Confluent's.

    ``path_format`` is a Joda pattern (Daily and Hourly partitioners are "time" with a fixed one);
    ``separator`` is the text after every record of format "bytes".
    """

    topics_dir: str = "topics"
    directory_delim: str = "/"
    file_delim: str = "+"
    pad_width: int = 10
    partitioner: Partitioner = "default"
    path_format: str = ""
    duration_ms: int = -1
    locale: str = ""
    timezone: str = ""
    extractor: Extractor = "wallclock"
    timestamp_field: str = "timestamp"
    format: Format = "json"
    compression: Compression = "none"
    level: int = -1
    extension: str = ".bin"
    separator: str = "\n"
    converter: Converter = "string"
    schemas_enable: bool = True
    null_values: NullValues = "fail"
    json_compat: JsonCompat = "java"
    decimal_format: DecimalFormat = "BASE64"

    @property
    def replayable(self) -> bool:
        """Whether a record's directory follows from the record alone, at any later time."""
        return self.partitioner == "default" or self.extractor != "wallclock"

    @property
    def needs_timestamps(self) -> bool:
        """Whether directories come from record timestamps (else chunks may leave them empty)."""
        return self.partitioner == "time" and self.extractor == "record"

    @property
    def suffix(self) -> str:
        """The end of every object name: ``.json``, ``.json.gz``, ``.bin``, ``.bin.gz``."""
        suffix = ".json" if self.format == "json" else self.extension
        return suffix + (".gz" if self.compression == "gzip" else "")

    def to_json(self) -> dict[str, str | int | bool]:
        """The settings that differ from the defaults, by field name."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        }

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> Self:
        """The inverse of ``to_json``; StorageError on an unknown name, type or choice."""
        known = {field.name: field for field in fields(cls)}
        for name, value in found.items():
            if name not in known:
                raise StorageError(f"format: got the setting {name!r}, want one of {sorted(known)}")
            kind = known[name].type
            if get_origin(kind) is Literal:
                if value not in get_args(kind):
                    raise StorageError(
                        f"format.{name}: got {value!r}, want one of {get_args(kind)}"
                    )
            elif type(value) is not kind:
                raise StorageError(f"format.{name}: got {value!r}, want {kind}")
        return cls(**found)  # type: ignore[arg-type]  # names and types were checked one by one

    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of ``to_json`` in canonical form."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
