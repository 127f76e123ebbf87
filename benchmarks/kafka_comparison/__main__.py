"""``python -m benchmarks.kafka_comparison``: measures, or renders what was measured.

For each group of rows, in each round, every system in turn gets a fresh broker: what the machine
does in one minute meets all of them. Needs Java and what tests/interop/install.sh fetches.
"""

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._lib import machine
from benchmarks.kafka_comparison import report
from benchmarks.kafka_comparison.rows import FULL, QUICK, Group
from benchmarks.kafka_comparison.systems import OURS_SYNCED, SYSTEMS, System, running


def main() -> None:
    """Measure everything, or what was asked for."""
    given = _arguments()
    if given.render:
        result = report.load()
        report.write_document(result)
        report.plot(result, report.PLOT)
        return
    os.environ["PYTHONPYCACHEPREFIX"] = str(
        Path(tempfile.gettempdir()) / f"tape-bench-bytecode-{os.getuid()}"
    )
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    groups = [group for group in report.GROUPS if given.rows is None or group.name in given.rows]
    systems = [SYSTEMS[name] for name in given.systems or SYSTEMS]
    rounds = given.rounds or (1 if given.quick else 3)
    began = time.perf_counter()
    with running(OURS_SYNCED, given.folder):
        pass  # bytecode is cached from here on
    result: dict[str, Any] = {
        "machine": machine(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "quick": given.quick,
        "seconds": 0,
        "rows": {},
    }
    try:
        for group in groups:
            result["rows"] |= _measure(group, systems, rounds, given)
    finally:  # what has been measured is shown, also if the rest fails
        result["seconds"] = round(time.perf_counter() - began)
        print(report.table(result))
        print(f"{result['seconds']} s")
    if given.add:
        result = _added(report.load(), result)
    if given.write or given.add:
        report.RESULTS.mkdir(exist_ok=True)
        report.RESULT.write_text(json.dumps(result, indent=1) + "\n")
        report.write_document(result)
        report.plot(result, report.PLOT)


def _added(before: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """All rounds of both: more of some rows narrow what one noisy minute did to them."""
    assert before["quick"] == result["quick"], "a quick run is not mixed with a full one"
    for row, cells in result["rows"].items():
        for system, values in cells.items():
            before["rows"][row][system] += values
    return before | {"seconds": before["seconds"] + result["seconds"], "date": result["date"]}


def _measure(
    group: Group, systems: list[System], rounds: int, given: argparse.Namespace
) -> dict[str, Any]:
    scale = QUICK if given.quick else FULL
    values: dict[str, dict[str, list[float]]] = {}
    for number in range(rounds):
        # Another order in every round: nobody always comes first.
        for system in systems[number % len(systems) :] + systems[: number % len(systems)]:
            began = time.perf_counter()
            with running(system, given.folder) as broker:
                found = group.measure(broker, scale)
            took = time.perf_counter() - began
            print(f"{group.name}, round {number + 1}, {system.label}: {took:.0f} s",
                  file=sys.stderr, flush=True)  # fmt: skip
            for row in group.rows:
                cells = values.setdefault(row.id, {})
                cells.setdefault(system.name, []).append(float(f"{found[row.id]:.4g}"))
    return values


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kafka_comparison")
    parser.add_argument("--quick", action="store_true", help="proves that it works, in 3 minutes")
    parser.add_argument("--rows", nargs="+", choices=[group.name for group in report.GROUPS])
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS))
    parser.add_argument("--rounds", type=int, help="default 3; with --quick 1")
    parser.add_argument("--folder", help="where the data directories are made (default: /tmp)")
    parser.add_argument("--write", action="store_true", help="results/, docs/benchmarks.md, plot")
    parser.add_argument("--add", action="store_true", help="as --write, beside the rounds there")
    parser.add_argument("--render", action="store_true", help="only table and plot, from results/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
