"""Where two transcripts of one scenario differ, and which of it docs/kafka.md admits to."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tests.interop.transcripts.player import Step

DOCS: Final = Path(__file__).parents[3] / "docs" / "kafka.md"
HEADING: Final = "## Where the answers differ"
ROW: Final = re.compile(r"^\| `(\w+)` \| ([^|]+) \| `([^|]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$")
MISSING: Final = "(nothing)"


@dataclass(frozen=True)
class Difference:
    """One field of one answer, as Apache Kafka and as our broker gave it."""

    step: str
    version: int
    field: str
    kafka: str
    ours: str

    def __str__(self) -> str:
        return f"{self.step} (v{self.version}): {self.field}: Kafka {self.kafka}, ours {self.ours}"


@dataclass(frozen=True)
class Deviation:
    """A row of docs/kafka.md: differences that are known. ``*`` stands for anything."""

    scenario: str
    step: str
    field: str
    kafka: str
    ours: str

    def covers(self, one: Difference) -> bool:
        pairs = ((one.step, self.step), (one.field, self.field), (one.kafka, self.kafka))
        return all(_like(*pair) for pair in (*pairs, (one.ours, self.ours)))


def _like(text: str, pattern: str) -> bool:
    """As fnmatch, but brackets are brackets: paths are full of them."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def differences(kafka: Sequence[Step], ours: Sequence[Step]) -> list[Difference]:
    """Step by step, field by field. The scripts are one, so the steps must be the same."""
    asked = [(step.label, step.version) for step in kafka]
    assert asked == [(step.label, step.version) for step in ours], "the scripts took other ways"
    found = []
    for theirs, mine in zip(kafka, ours, strict=True):
        for name in sorted(theirs.answer.keys() | mine.answer.keys()):
            pair = (theirs.answer.get(name, MISSING), mine.answer.get(name, MISSING))
            if pair[0] != pair[1]:
                found.append(Difference(theirs.label, theirs.version, name, *pair))
    return found


def documented(text: str) -> list[Deviation]:
    """The rows of the table below HEADING."""
    section = text.partition(HEADING)[2].partition("\n## ")[0]
    rows = [ROW.match(line) for line in section.splitlines()]
    cells = [[cell.strip().strip("`") for cell in row.groups()] for row in rows if row]
    return [Deviation(*cell[:5]) for cell in cells]


def unexplained(found: Iterable[Difference], known: Sequence[Deviation]) -> list[Difference]:
    return [one for one in found if not any(row.covers(one) for row in known)]


def stale(found: Sequence[Difference], known: Sequence[Deviation]) -> list[Deviation]:
    return [row for row in known if not any(row.covers(one) for one in found)]
