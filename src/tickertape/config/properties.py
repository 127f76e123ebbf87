"""Reads ``.properties`` files as java.util.Properties does, and keeps line numbers.

Bytes are ISO-8859-1 with ``\\uXXXX`` escapes; comments may hold anything, UTF-8 included. Nothing
is trimmed, dropped or interpreted here: duplicates stay, in file order, for the caller to judge.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tickertape.base.errors import MisuseError


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key=value`` of a file; ``line`` counts from 1 and is where the entry begins."""

    key: str
    value: str
    line: int
    source: str


def read_properties(data: bytes, source: str) -> list[Entry]:
    """Every entry of the file in order, duplicates included.

    ``source`` is the file's name as messages shall show it. Raises MisuseError, naming file and
    line, on a malformed ``\\uXXXX`` escape: the only thing that java.util.Properties rejects.
    """
    # Imported here: the package drags in an HTTP client, and a broker may start without any file.
    import javaproperties  # noqa: PLC0415
    from javaproperties.util import ascii_splitlines  # noqa: PLC0415

    entries: list[Entry] = []
    line = 1
    try:
        for element in javaproperties.parse(data):
            if isinstance(element, javaproperties.KeyValue):
                entries.append(Entry(element.key, element.value, line, source))
            line += len(ascii_splitlines(element.source))
    except javaproperties.InvalidUEscapeError as error:
        raise MisuseError(
            f"{source}:{line}: got the escape {error.escape!r}, want \\u and four hex digits"
            " (a single backslash is written \\\\)"
        ) from error
    return entries


def last_wins(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Each key's effective entry: the last one, as java.util.Properties keeps it."""
    return {entry.key: entry for entry in entries}


def shadowed(entries: Iterable[Entry]) -> list[tuple[Entry, Entry]]:
    """The entries that a later line of the same file overrides, each with the one that wins."""
    winners: dict[tuple[str, str], Entry] = {}
    everything = list(entries)
    for entry in everything:
        winners[entry.source, entry.key] = entry
    pairs = ((entry, winners[entry.source, entry.key]) for entry in everything)
    return [(entry, winner) for entry, winner in pairs if entry is not winner]
