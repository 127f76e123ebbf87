"""``python -m tests.simulation --seed N``: one seed again, exactly; ``--seeds A..B``: many."""

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable

from tests.simulation.run import STEPS, simulate


def main() -> int:
    """0 if the broker kept every promise, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--seeds", help="A..B: run these, B included")
    parser.add_argument("--steps", type=int, default=STEPS, help="events before all faults end")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    given = parser.parse_args()
    if given.seed is not None:
        seeds = range(given.seed, given.seed + 1)
    else:
        first, _, last = (given.seeds or "0..99").partition("..")
        seeds = range(int(first), int(last) + 1)
    return run_many(seeds, given.steps, print if given.trace else None)


def run_many(seeds: range, steps: int, listener: Callable[[str], None] | None) -> int:
    """Every seed; a line for each that fails, and what they did in all."""
    failed: list[int] = []
    counts: Counter[str] = Counter()
    began = time.perf_counter()
    for seed in seeds:
        try:
            outcome = simulate(seed, steps=steps, listener=listener)
        except Exception as error:  # noqa: BLE001  # whatever the broker raised is a finding
            failed.append(seed)
            print(f"seed {seed}: {type(error).__name__}: {error}")
            if len(seeds) == 1:
                traceback.print_exc()
        else:
            counts.update(outcome.counts)
            if len(seeds) == 1:
                print(f"seed {seed}: all promises kept, {outcome.steps} events, {outcome.digest}")
    took = time.perf_counter() - began
    done = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"{len(seeds)} seeds, {len(failed)} failed {failed[:20]}, {took:.1f} s: {done}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
