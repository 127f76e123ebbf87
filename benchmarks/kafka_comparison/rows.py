"""What a row of the table is, and what a group of rows has to offer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.kafka_comparison.systems import Running

Measured = dict[str, float]
"""Row id -> value."""


@dataclass(frozen=True)
class Row:
    """One line; ``compared`` rows get a verdict, the others explain them."""

    id: str
    label: str
    unit: str
    more_is_better: bool = True
    compared: bool = True


@dataclass(frozen=True)
class Scale:
    """How much is done for one value. ``quick`` proves that it works and no more."""

    megabytes: int = 250
    seconds: float = 3.0
    records: int = 6000
    restart_megabytes: int = 1000


FULL = Scale()
QUICK = Scale(megabytes=20, seconds=0.5, records=300, restart_megabytes=50)


@dataclass(frozen=True)
class Group:
    """Rows that one fresh broker answers in one go."""

    name: str
    rows: Sequence[Row]
    measure: Callable[[Running, Scale], Measured]


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed."""
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * share) - 1)]
