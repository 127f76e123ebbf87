"""Sets of offsets as inclusive ``(first, last)`` runs: union, overlap, holes. Pure."""

from collections.abc import Iterable, Sequence

Run = tuple[int, int]


def merged(runs: Iterable[Run]) -> list[Run]:
    """The union: rising runs that neither overlap nor touch."""
    union: list[Run] = []
    for first, last in sorted(runs):
        if union and first <= union[-1][1] + 1:
            union[-1] = (union[-1][0], max(union[-1][1], last))
        else:
            union.append((first, last))
    return union


def doubled(runs: Iterable[Run]) -> list[Run]:
    """What more than one of the runs holds."""
    twice: list[Run] = []
    reach = -1
    for first, last in sorted(runs):
        if first <= reach:
            twice.append((first, min(last, reach)))
        reach = max(reach, last)
    return merged(twice)


def subtract(runs: Iterable[Run], taken: Iterable[Run]) -> list[Run]:
    """What the first set holds and the second does not."""
    left: list[Run] = []
    away = merged(taken)
    at = 0
    for first, last in merged(runs):
        while at < len(away) and away[at][1] < first:
            at += 1
        here, start = at, first
        while here < len(away) and away[here][0] <= last:
            if away[here][0] > start:
                left.append((start, away[here][0] - 1))
            start = away[here][1] + 1
            here += 1
        if start <= last:
            left.append((start, last))
    return left


def common(runs: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """What both sets hold."""
    return subtract(runs, subtract(runs, others))


def spelled(runs: Iterable[Run]) -> str:
    """``0-9, 12, 20-29``."""
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
