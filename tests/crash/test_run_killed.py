"""``tape run`` killed at any moment, and run again: the ledger of an undisturbed run, every time.

SIGKILL hits the broker, the worker, the job itself, or all of them at once, at moments that follow
a seed. Whatever was killed, nothing is left running and the same command ends the job.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.interop.harness import PATIENCE_S, eventually

from tickertape.broker.server.data_lock import running
from tickertape.connect.feed.synthetic import synthetic_day

ROWS = 30_000
CLEAN = {
    "SendCount": ROWS,
    "AckCount": ROWS,
    "PosAckCount": ROWS,
    "NegAckCount": 0,
    "Received": ROWS,
    "NotReceived": 0,
    "ReceivedNoAck": 0,
    "MsgsWithDups": 0,
}


@dataclass
class Job:
    """One data directory, and the command that works in it."""

    folder: Path
    flags: list[str] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        tape = str(Path(sys.executable).parent / "tape")
        where = ["--ticks", str(self.folder / "day.csv"), "--data-dir", str(self.folder / "d")]
        return [tape, "run", *where, "-o", "json", *self.flags]

    def start(self) -> "subprocess.Popen[bytes]":
        ticks = self.folder / "day.csv"
        if not ticks.exists():
            ticks.write_text("".join(synthetic_day(5, ROWS)))
        with (self.folder / "stderr").open("ab") as log:
            return subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log)

    def finish(self, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
        out, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, self.told()
        document = json.loads(out)
        assert isinstance(document, dict)
        return document

    def told(self) -> str:
        return (self.folder / "stderr").read_text()[-3000:]

    def acked(self) -> int:
        """Rows in the log, roughly: batches are compressed."""
        logs = (self.folder / "d" / "broker").glob("ticks-*/*.log")
        return sum(path.stat().st_size for path in logs) // 60


def children(pid: int) -> dict[str, int]:
    """Role -> process id of the job's children."""
    found: dict[str, int] = {}
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            for role in ("broker", "worker"):
                if role.encode() in words:
                    found[role] = int(child)
    return found


def kill(process: "subprocess.Popen[bytes]", what: str) -> None:
    victims = children(process.pid)
    if what in {"run", "all"}:
        process.kill()
        process.communicate(timeout=PATIENCE_S)
    for role, pid in victims.items():
        if what in {role, "all"}:
            with contextlib.suppress(ProcessLookupError):  # it went with its parent
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("what", ["run", "broker"])
def test_killed_in_the_middle_and_run_again(tmp_path: Path, what: str) -> None:
    job = Job(tmp_path, ["--speed", "6000x"])
    process = job.start()
    eventually(lambda: job.acked() > ROWS / 20 or process.poll() is not None, "rows are in the log")
    kill(process, what)
    if what == "run":
        eventually(lambda: running(str(tmp_path / "d" / "broker")) is None, "nobody is left behind")
        process = Job(tmp_path).start()
        document = job.finish(process)
        assert 0 < document["resumed"] < ROWS, "it was in the middle, and went on"
    else:
        document = job.finish(process)
        assert "the broker was killed by SIGKILL" in job.told()
    assert document["ledger"] == CLEAN, job.told()
    assert document["verified"] is True, job.told()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(6))
def test_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    job = Job(tmp_path, ["--speed", "6000x"])
    for _ in range(4):
        what = rng.choice(["broker", "worker", "run", "all"])
        process = job.start()
        try:
            process.communicate(timeout=rng.uniform(0.3, 7.0))
        except subprocess.TimeoutExpired:
            kill(process, what)
            process.communicate(timeout=PATIENCE_S)
        if what in {"broker", "worker"}:
            assert process.returncode == 0, job.told()
    document = job.finish(Job(tmp_path).start())
    assert document["ledger"] == CLEAN, job.told()
    assert document["verified"] is True, job.told()
