"""Reads our own durable JSON strictly: every key known, every type right, or a StorageError.

Used by intents and manifests. Messages carry what was got and what was wanted.
"""

from collections.abc import Mapping
from itertools import pairwise

import orjson

from tickertape.base.errors import StorageError

Runs = tuple[tuple[int, int], ...]


def read_object(encoded: bytes | str, what: str) -> dict[str, object]:
    """The JSON object in ``encoded``, of format version 1."""
    try:
        document = orjson.loads(encoded)
    except orjson.JSONDecodeError as error:
        raise StorageError(f"{what}: got {_clip(encoded)}, want JSON ({error})") from error
    if type(document) is not dict:
        raise StorageError(f"{what}: got {_clip(encoded)}, want a JSON object")
    if document.get("v") != 1 or type(document["v"]) is not int:
        raise StorageError(f"{what}: got format version {document.get('v')!r}, want 1")
    return document


def check_keys(found: Mapping[str, object], wanted: tuple[str, ...], what: str) -> None:
    """Exactly these keys, in any order."""
    if found.keys() != set(wanted):
        raise StorageError(f"{what}: got the keys {sorted(found)}, want {sorted(wanted)}")


def text(found: Mapping[str, object], key: str, what: str) -> str:
    """A string."""
    value = found[key]
    if type(value) is not str:
        raise StorageError(f"{what}.{key}: got {value!r}, want a string")
    return value


def count(found: Mapping[str, object], key: str, what: str) -> int:
    """An integer of at least 0."""
    value = found[key]
    if type(value) is not int or value < 0:
        raise StorageError(f"{what}.{key}: got {value!r}, want an integer >= 0")
    return value


def mapping(found: Mapping[str, object], key: str, what: str) -> dict[str, object]:
    """A JSON object."""
    value = found[key]
    if type(value) is not dict:
        raise StorageError(f"{what}.{key}: got {value!r}, want an object")
    return value


def hex_digest(found: Mapping[str, object], key: str, what: str, *, digits: int = 64) -> str:
    """``digits`` lower-case hex digits."""
    value = text(found, key, what)
    if len(value) != digits or value.strip("0123456789abcdef"):
        raise StorageError(f"{what}.{key}: got {value!r}, want {digits} hex digits")
    return value


def rising(value: object, what: str) -> tuple[int, ...]:
    """A non-empty list of strictly rising integers >= 0."""
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        numbers = tuple(value)
        if numbers[0] >= 0 and all(before < after for before, after in pairwise(numbers)):
            return numbers
    raise StorageError(f"{what}: got {value!r}, want rising offsets")


def runs(found: Mapping[str, object], key: str, what: str) -> Runs:
    """A list of inclusive ``[first, last]`` pairs, rising and apart."""
    value = found[key]
    if type(value) is not list:
        raise StorageError(f"{what}.{key}: got {value!r}, want a list of [first, last]")
    pairs: list[tuple[int, int]] = []
    floor = 0
    for item in value:
        if type(item) is not list or len(item) != 2 or not all(type(n) is int for n in item):
            raise StorageError(f"{what}.{key}: got {item!r}, want [first, last]")
        first, last = item
        if not floor <= first <= last:
            raise StorageError(
                f"{what}.{key}: got {item!r}, want a run that begins at {floor} or later"
            )
        pairs.append((first, last))
        floor = last + 1
    return tuple(pairs)


def _clip(encoded: bytes | str) -> str:
    return repr(encoded[:80])
