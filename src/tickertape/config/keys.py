"""The keys of a Connect properties file as data, and the check of a file against them.

A key is used, inert (accepted, does nothing here, and the report says why) or refused (it would
change bytes, names or safety in a way that is not supported). An unknown key is a warning with the
nearest known name, as Kafka warns. Messages name file, line, key, got and wanted; never a secret.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tickertape.config.properties import Entry, last_wins, shadowed

Parse = Callable[[str], object]  # the raw text -> the value; ValueError says what is wanted

_SECRET: Final = re.compile(
    r"secret|password|passphrase|jaas|token|keystore\.key|keystore\.certificate|customer\.key|access\.key"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One property. ``inert`` and ``refused`` hold the reason; refused means: any other value."""

    name: str
    parse: Parse
    default: object = None
    required: bool = False
    inert: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know about one line of a file; ``kind``: inert or warning.

    ``unknown``: a warning of a key that nobody knows.
    """

    kind: str
    entry: Entry
    text: str
    unknown: bool = False

    def __str__(self) -> str:
        """``file:line: key: text``."""
        return f"{self.entry.source}:{self.entry.line}: {self.entry.key}: {self.text}"


@dataclass(slots=True)
class Checked:
    """A file's values by key, defaults filled in, and what was found on the way."""

    source: str
    values: dict[str, object]
    entries: dict[str, Entry]
    notices: list[Notice] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        """A string value; "" where there is none."""
        value = self.values.get(name)
        return "" if value is None else str(value)

    def number(self, name: str) -> int:
        """An integer value."""
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def flag(self, name: str) -> bool:
        """A boolean value."""
        return self.values[name] is True

    def given(self, name: str) -> bool:
        """Whether the file sets the key to something that is not blank."""
        entry = self.entries.get(name)
        return entry is not None and bool(entry.value.strip())

    def refuse(self, name: str, want: str) -> None:
        """Record an error at the key's line (or at the file, if the key is absent)."""
        entry = self.entries.get(name)
        if entry is None:
            self.errors.append(f"{self.source}: {name}: got nothing, want {want}")
        else:
            self.errors.append(refusal(entry, want))

    def blame(self, name: str, error: Exception) -> None:
        """Record at the key's line what a deeper check said about its value."""
        entry = self.entries.get(name)
        where = self.source if entry is None else f"{entry.source}:{entry.line}"
        self.errors.append(f"{where}: {name}: {error}")

    def warn(self, name: str, text: str) -> None:
        """Record a warning if the file has the key."""
        if name in self.entries:
            self.notices.append(Notice("warning", self.entries[name], text))


def check(
    entries: Iterable[Entry], source: str, keys: Iterable[Key], prefixes: Mapping[str, str]
) -> Checked:
    """Check a file's entries. ``prefixes``: families of keys, each inert for a reason or ""."""
    everything = list(entries)
    found = last_wins(everything)
    checked = Checked(source, {}, found)
    for entry, winner in shadowed(everything):
        text = f"line {winner.line} sets it again and wins"
        checked.notices.append(Notice("warning", entry, text))
    known = {key.name: key for key in keys}
    for key in known.values():
        _check_key(checked, key)
    for name, entry in found.items():
        if name not in known:
            _check_stranger(checked, entry, known, prefixes)
    return checked


def _check_key(checked: Checked, key: Key) -> None:
    checked.values[key.name] = key.default
    entry = checked.entries.get(key.name)
    if entry is None:
        if key.required:
            checked.refuse(key.name, "a value (the property is required)")
        return
    try:
        value = key.parse(entry.value)
    except ValueError as error:
        checked.errors.append(refusal(entry, str(error)))
        return
    checked.values[key.name] = value
    if key.refused and value != key.default:
        default = _spelled(key.default)
        checked.errors.append(refusal(entry, f"{default}: {key.refused}"))
    elif key.inert:
        checked.notices.append(Notice("inert", entry, key.inert))


def _spelled(default: object) -> str:
    """A default as a properties file would say it."""
    if default in (None, ""):
        return "no value"
    return str(default).lower() if isinstance(default, bool) else str(default)


def _check_stranger(
    checked: Checked, entry: Entry, known: Mapping[str, Key], prefixes: Mapping[str, str]
) -> None:
    for prefix, reason in prefixes.items():
        if entry.key.startswith(prefix):
            if reason:
                checked.notices.append(Notice("inert", entry, reason))
            return
    import difflib  # noqa: PLC0415  # 10 ms that a correct file need not pay

    near = difflib.get_close_matches(entry.key, known, n=1, cutoff=0.7)
    hint = f", did you mean {near[0]}?" if near else ""
    checked.notices.append(
        Notice("warning", entry, f"unknown property, ignored{hint}", unknown=True)
    )


def refusal(entry: Entry, want: str) -> str:
    """``file:line: key: got ..., want ...`` with secrets hidden."""
    got = "(hidden)" if is_secret(entry.key) else repr(entry.value)
    return f"{entry.source}:{entry.line}: {entry.key}: got {got}, want {want}"


def is_secret(name: str) -> bool:
    """Whether a property's value must never be shown."""
    return _SECRET.search(name) is not None


def text(raw: str) -> str:
    """Any text, trimmed as ConfigDef trims."""
    return raw.strip()


def untrimmed(raw: str) -> str:
    """Any text, spaces and line ends kept."""
    return raw


def words(raw: str) -> tuple[str, ...]:
    """A comma-separated list; blanks around items go, empty items too."""
    return tuple(item for part in raw.split(",") if (item := part.strip()))


def boolean(raw: str) -> bool:
    """ConfigDef's BOOLEAN: true or false in any case."""
    value = raw.strip().lower()
    if value not in ("true", "false"):
        raise ValueError("true or false")
    return value == "true"


def integer(low: int, high: int = (1 << 31) - 1) -> Parse:
    """A whole number in [low, high]."""

    def parse(raw: str) -> int:
        value = raw.strip()
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", value) or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(value)

    return parse


def choice(*options: str, fold: bool = False) -> Parse:
    """One of the options; with ``fold`` in any case, answered as spelled here."""
    spelled = {(option.lower() if fold else option): option for option in options}

    def parse(raw: str) -> str:
        value = raw.strip()
        found = spelled.get(value.lower() if fold else value)
        if found is None:
            raise ValueError("one of " + ", ".join(option or '""' for option in options))
        return found

    return parse


def class_of(supported: Mapping[str, str], known: Iterable[str] = ()) -> Parse:
    """A Java class name -> our word for it; ``known`` classes exist but are not supported yet."""
    unsupported = set(known)

    def parse(raw: str) -> str:
        value = raw.strip()
        if value in supported:
            return supported[value]
        not_yet = "; that one is not supported yet" if value in unsupported else ""
        raise ValueError("one of " + ", ".join(supported) + not_yet)

    return parse
