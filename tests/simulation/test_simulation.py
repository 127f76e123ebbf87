"""Seeds of the simulation: some with every run, thousands with ``make test-real``.

A seed that fails is run again by ``python -m tests.simulation --seed N --trace``.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulation.run import simulate

ROOT = Path(__file__).parents[2]
CHUNK = 100
QUICK = 50
MANY = 2_000
WANTED = {
    "acked", "reads", "reads by id", "commits", "aborts", "fenced", "retries", "assignments",
    "partitions given", "commits by epoch", "stale commits",
}  # fmt: skip


def run_seeds(first: int, count: int) -> None:
    """All of them, so that a bug shows how often it bites."""
    failures = []
    done: dict[str, int] = {}
    for seed in range(first, first + count):
        try:
            outcome = simulate(seed)
        except Exception as error:  # noqa: BLE001  # whatever the broker raised is a finding
            failures.append(f"--seed {seed}: {type(error).__name__}: {error}")
        else:
            for what, times in outcome.counts.items():
                done[what] = done.get(what, 0) + times
    assert not failures, "\n".join(failures)
    idle = WANTED - set(done)
    assert not idle, f"never happened: {idle}"


@pytest.mark.parametrize("first", range(0, QUICK, QUICK // 2))
def test_some_seeds(first: int) -> None:
    run_seeds(first, QUICK // 2)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(QUICK, QUICK + MANY, CHUNK))
def test_many_seeds(first: int) -> None:
    run_seeds(first, CHUNK)


def test_a_seed_is_the_same_run_in_any_process() -> None:
    """Also where strings hash differently."""
    digests = set()
    for hash_seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "7"],
            cwd=ROOT,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(ran.stdout.splitlines()[0])
    (line,) = digests
    assert line.startswith("seed 7: all promises kept")
    assert line.endswith(simulate(7).digest)
