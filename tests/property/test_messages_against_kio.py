"""Every generated message and version, both ways, against kio: a codec that shares no code.

kio's own dataclass for a version says which fields that version has, so a field that our generator
gives to the wrong version is found too.
"""

import dataclasses
import datetime as dt
import importlib
import io
import pkgutil
import types
import typing
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i32Timedelta, i64Timedelta
from kio.static.protocol import Entity

from tickertape.wire import schema
from tickertape.wire.message import Fields, Message
from tickertape.wire.primitives import ZERO_UUID, DecodeError

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NOT_IN_KIO = {
    "consumer_group_records",
    "consumer_protocol",
    "offsets_topic",
    "transactions_topic",
}

Pair = tuple[Any, Any]
Pairs = st.SearchStrategy[Pair]


def cases() -> list[Any]:
    found = []
    for info in pkgutil.iter_modules(schema.__path__):
        if info.name in NOT_IN_KIO:
            continue
        module = importlib.import_module(f"{schema.__name__}.{info.name}")
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Message) and cls is not Message:
                side = "request" if cls.__name__.endswith("Request") else "response"
                first, last = cls.VERSIONS
                found += [
                    pytest.param(cls, version, f"kio.schema.{info.name}.v{version}.{side}",
                                 id=f"{cls.__name__}-v{version}")
                    for version in range(first, last + 1)
                ]  # fmt: skip
    return found


def signed(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


def ms(count: int) -> dt.timedelta:
    return dt.timedelta(milliseconds=count)


def same(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Pair]:
    return values.map(lambda value: (value, value))


# Pairs of kio's value and ours.
PRIMITIVES: dict[str, st.SearchStrategy[Pair]] = {
    "int8": same(signed(8)),
    "int16": same(signed(16)),
    "int32": same(signed(32)),
    "int64": same(signed(64)),
    "uint16": same(st.integers(0, 0xFFFF)),
    "error_code": st.sampled_from(ErrorCode).map(lambda code: (code, code.value)),
    "timedelta_i32": signed(32).map(lambda n: (i32Timedelta.parse(ms(n)), n)),
    "timedelta_i64": st.integers(0, 10**12).map(lambda n: (i64Timedelta.parse(ms(n)), n)),
    "datetime_i64": st.integers(0, 10**12).map(lambda n: (EPOCH + ms(n), n)),
    "string": same(TEXT),
    "bytes": same(st.binary(max_size=9)),
    "records": same(st.binary(max_size=9)),
    "bool": same(st.booleans()),
    "float64": same(st.floats(allow_nan=False, allow_infinity=False)),
    # kio says None for the zero uuid
    "uuid": same(st.uuids()) | st.just((None, ZERO_UUID)),
}


def annotated(kind: object) -> tuple[Any, bool]:
    """A type without None, and whether None was in it."""
    if isinstance(kind, types.UnionType):
        inner = [arg for arg in typing.get_args(kind) if arg is not types.NoneType]
        return inner[0], True
    return kind, False


def value_pairs(
    field: dataclasses.Field[Any], ours: type[Fields] | None
) -> st.SearchStrategy[Pair]:
    kind, nullable = annotated(field.type)
    kafka_type = field.metadata.get("kafka_type")
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        item = entity_pairs(inner, ours) if kafka_type is None else PRIMITIVES[kafka_type]
        strategy: st.SearchStrategy[Pair] = st.lists(item, max_size=2).map(
            lambda pairs: (tuple(pair[0] for pair in pairs), [pair[1] for pair in pairs])
        )
    elif kafka_type is None:
        strategy = entity_pairs(kind, ours)
    else:
        strategy = PRIMITIVES[kafka_type]
        nullable = nullable and kafka_type not in ("uuid", "datetime_i64")
    return st.one_of(st.just((None, None)), strategy) if nullable else strategy


def our_struct(cls: type[Fields], name: str) -> type[Fields] | None:
    """The class of ours that a field holds, if it holds one."""
    hint = typing.get_type_hints(cls.__init__)[name]
    for arg in [hint, *typing.get_args(hint)]:
        for inner in [arg, *typing.get_args(arg)]:
            if isinstance(inner, type) and issubclass(inner, Fields):
                return inner
    return None


def our_name(cls: type[Fields], kio_name: str) -> str:
    names = [name for name in (kio_name, f"{kio_name}_ms", f"{kio_name}_") if name in cls.__slots__]
    assert names, f"{cls.__name__} lacks {kio_name}: it has {cls.__slots__}"
    return names[0]


def entity_pairs(theirs: type[Any], ours: type[Fields] | None) -> st.SearchStrategy[Pair]:
    assert ours is not None
    fields = {}
    names = {}
    for field in dataclasses.fields(theirs):
        names[field.name] = our_name(ours, field.name)
        fields[field.name] = value_pairs(field, our_struct(ours, names[field.name]))
    return st.fixed_dictionaries(fields).map(
        lambda pairs: (
            theirs(**{name: pair[0] for name, pair in pairs.items()}),
            ours(**{names[name]: pair[1] for name, pair in pairs.items()}),
        )
    )


def kio_bytes(entity: Entity) -> bytes:
    out = io.BytesIO()
    entity_writer(type(entity))(out, entity)
    return out.getvalue()


@pytest.mark.parametrize(("cls", "version", "where"), cases())
def test_same_bytes_and_same_values(cls: type[Message], version: int, where: str) -> None:
    theirs = getattr(importlib.import_module(where), cls.__name__)

    @settings(
        max_examples=max(settings().max_examples // 4, 1),
        suppress_health_check=list(HealthCheck),
    )
    @given(entity_pairs(theirs, cls))
    def check(pair: Pair) -> None:
        entity, message = pair
        data = message.encode(version)
        assert data == kio_bytes(entity)
        assert entity_reader(theirs)(data, 0) == (entity, len(data))
        framed = memoryview(b"\x7f\x7f" + data + b"trailing")
        assert cls.decode(framed, 2, version) == (message, 2 + len(data))

    check()


@pytest.mark.parametrize(("cls", "version", "where"), cases())
def test_every_prefix_is_refused(cls: type[Message], version: int, where: str) -> None:
    """Cut anywhere, a message is a DecodeError: never a value, never another exception."""
    theirs = getattr(importlib.import_module(where), cls.__name__)

    @settings(max_examples=2, suppress_health_check=list(HealthCheck))
    @given(entity_pairs(theirs, cls))
    def check(pair: Pair) -> None:
        data = pair[1].encode(version)
        for end in range(len(data)):
            with pytest.raises(DecodeError):
                cls.decode(memoryview(data)[:end], 0, version)

    check()


@pytest.mark.parametrize(("cls", "version", "where"), cases())
def test_any_bytes_are_a_value_or_a_decode_error(
    cls: type[Message], version: int, where: str
) -> None:
    del where

    @settings(max_examples=max(settings().max_examples // 3, 1))
    @given(st.binary(max_size=80))
    def check(data: bytes) -> None:
        try:
            message, at = cls.decode(memoryview(data), 0, version)
        except DecodeError:
            return
        assert at <= len(data)
        again, _ = cls.decode(message.encode(version), 0, version)
        assert repr(again) == repr(message)  # repr, because NaN is not equal to itself

    check()


def test_the_cases_are_all_there() -> None:
    assert len(cases()) > 250
    assert isinstance(ZERO_UUID, uuid.UUID)
