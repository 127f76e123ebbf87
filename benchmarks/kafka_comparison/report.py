"""From the measured values to medians, verdicts, the table of docs/benchmarks.md, and the plot.

A verdict is computed, never written: by the ratio of medians, so turned that more than 1 means that
Tickertape is better. Within 5 % nobody is ahead: one round differs from the next by more.
"""

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.kafka_comparison import (
    connections,
    latency,
    life,
    partitions,
    throughput,
    transactions,
)
from benchmarks.kafka_comparison.rows import Group, Row
from benchmarks.kafka_comparison.systems import (
    HEAP,
    KAFKA,
    KAFKA_SYNCED,
    KAFKA_VERSION,
    OURS,
    OURS_SYNCED,
    SYSTEMS,
    System,
)

GROUPS: Sequence[Group] = (
    throughput.GROUP,
    latency.GROUP,
    transactions.GROUP,
    partitions.GROUP,
    connections.GROUP,
    life.GROUP,
)
RESULTS = Path(__file__).parents[1] / "results"
RESULT = RESULTS / "kafka_comparison.json"
PLOT = RESULTS / "kafka_comparison.svg"
DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_LEVEL = 0.05
_NEAR = 0.8
_PARTITIONS_GOAL = 0.6

Values = dict[str, list[float]]
"""System name -> one value a round."""


def load() -> dict[str, Any]:
    """The committed result."""
    found = json.loads(RESULT.read_text())
    assert isinstance(found, dict)
    return found


def ratio(row: Row, values: Values, ours: System, theirs: System) -> float | None:
    """How many times better ours is, by medians; None if one was not measured."""
    if not (values.get(ours.name) and values.get(theirs.name)):
        return None
    mine, other = (statistics.median(values[system.name]) for system in (ours, theirs))
    if row.more_is_better:
        return mine / other if other else None
    return other / mine if mine else None


def verdict(value: float | None) -> str:
    """With the same durability."""
    if value is None:
        return "-"
    if value >= 1 + _LEVEL:
        return f"ahead {value:.2f}x"
    if value <= 1 - _LEVEL:
        return f"**behind {value:.2f}x**"
    return f"level {value:.2f}x"


def within(value: float | None) -> str:
    """Ours while it syncs, beside Kafka while it does not: the goal is to lose 20 % at most."""
    if value is None:
        return "-"
    return f"yes {value:.2f}x" if value >= _NEAR else f"**no {value:.2f}x**"


def table(result: dict[str, Any]) -> str:
    """Markdown: the machine, a row a line, the counts at the end."""
    heads = [system.label for system in SYSTEMS.values()]
    heads += ["both synced", "neither synced", "ours synced within 20% of Kafka unsynced"]
    how = f"Median (least to most) of {_rounds(result)}" + " of a quick run" * result["quick"]
    lines = [
        f"{result['machine']}, {result['date']}. {how}. Apache Kafka {KAFKA_VERSION}, heap {HEAP}.",
        "",
        f"| | unit | {' | '.join(heads)} |",
        "|---" * (len(heads) + 2) + "|",
    ]
    explaining: list[str] = []
    for row, values in _measured(result):
        cells = [_cell(values.get(name, [])) for name in SYSTEMS]
        judged = (
            (
                verdict(ratio(row, values, OURS_SYNCED, KAFKA_SYNCED)),
                verdict(ratio(row, values, OURS, KAFKA)),
                within(ratio(row, values, OURS_SYNCED, KAFKA)),
            )
            if row.compared
            else ("", "", "")
        )
        line = f"| {' | '.join([row.label, row.unit, *cells, *judged])} |"
        (lines if row.compared else explaining).append(line)
    return "\n".join([*lines, *explaining, "", *summary(result)])


def _rounds(result: dict[str, Any]) -> str:
    """Some rows may have been measured more often (``--add``)."""
    counts = {len(values) for cells in result["rows"].values() for values in cells.values()}
    most, least = max(counts), min(counts)
    return f"{most} rounds" if most == least else f"{least} to {most} rounds, by row"


def summary(result: dict[str, Any]) -> list[str]:
    """The counts, and the goal for many partitions."""
    same, unsynced, near = [], [], []
    for row, values in _measured(result):
        if row.compared:
            same.append(ratio(row, values, OURS_SYNCED, KAFKA_SYNCED))
            unsynced.append(ratio(row, values, OURS, KAFKA))
            near.append(ratio(row, values, OURS_SYNCED, KAFKA))
    fine = sum(value is not None and value >= _NEAR for value in near)
    lines = [
        f"- Synced, beside Kafka with `flush.messages=1`: {_counts(same)}.",
        f"- Not synced, beside Kafka's default: {_counts(unsynced)}.",
        f"- Ours synced, Kafka's default not: within 20% or ahead in {fine} of {len(near)} rows.",
    ]
    rows = result["rows"]
    one, many = (rows.get(f"spread-{n}", {}).get(OURS_SYNCED.name) for n in (1, 200))
    if one and many:
        share = statistics.median(many) / statistics.median(one)
        lines.append(
            f"- 200 active partitions, synced: {share:.0%} of the rate of one"
            f" (goal: {_PARTITIONS_GOAL:.0%}): {'met' if share >= _PARTITIONS_GOAL else 'missed'}."
        )
    return lines


def write_document(result: dict[str, Any]) -> None:
    """Put the table where the markers are."""
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(), table(result)))


def with_table(text: str, rendered: str) -> str:
    """The document with another table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{rendered}\n{END}{after}"


def plot(result: dict[str, Any], path: Path) -> None:
    """Every compared row relative to Kafka's default: a dot a system, a line from least to most."""
    import matplotlib as mpl  # noqa: PLC0415  # seconds to import

    mpl.use("Agg")
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "tickertape", "font.size": 8}
    from matplotlib import pyplot as plt  # noqa: PLC0415

    rows = [
        (row, values)
        for row, values in _measured(result)
        if row.compared and values.get(KAFKA.name)
    ]
    figure, axes = plt.subplots(figsize=(9, 0.27 * len(rows) + 1.4))
    looks = {"tickertape": "o", "kafka-flush": "s", "tickertape-nosync": "D", "kafka": "|"}
    colours = {"tickertape": "C0", "kafka-flush": "C1", "tickertape-nosync": "C9", "kafka": "C3"}
    for name, system in SYSTEMS.items():
        for at, (row, values) in enumerate(rows):
            base = statistics.median(values[KAFKA.name])
            better = sorted(
                value / base if row.more_is_better else base / value
                for value in values.get(name, [])
                if value and base
            )
            if better:
                axes.plot([better[0], better[-1]], [-at, -at], color=colours[name], alpha=0.4)
                label = system.label if at == 0 else None
                middle = statistics.median(better)
                axes.plot(middle, -at, looks[name], color=colours[name], label=label, markersize=5)
    axes.axvline(1, color="0.6", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks([-at for at in range(len(rows))], [row.label for row, _ in rows])
    axes.set_xlabel("times better than Kafka's default (right is better)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncol=4, frameon=False)
    axes.grid(axis="x", which="both", alpha=0.2)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _measured(result: dict[str, Any]) -> Iterator[tuple[Row, Values]]:
    for group in GROUPS:
        for row in group.rows:
            if row.id in result["rows"]:
                yield row, result["rows"][row.id]


def _counts(ratios: Sequence[float | None]) -> str:
    known = [value for value in ratios if value is not None]
    ahead = sum(value >= 1 + _LEVEL for value in known)
    behind = sum(value <= 1 - _LEVEL for value in known)
    return f"ahead in {ahead}, level in {len(known) - ahead - behind}, behind in {behind} rows"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    if len(values) == 1:
        return _number(values[0])
    middle, *ends = map(_number, (statistics.median(values), min(values), max(values)))
    return f"{middle} ({' to '.join(ends)})"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
