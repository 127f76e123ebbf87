"""A keeper starts its children again when they die, but not for ever."""

import os
import signal
from pathlib import Path

import pytest
from tests.interop.harness import eventually

from tickertape.cli.children import Child, ChildError, Keeper, Kept


def test_an_ended_child_tells_how_and_its_last_words(tmp_path: Path) -> None:
    child = Child("worker", ["worker", "start"], tmp_path / "logs" / "worker.log")
    assert child.wait(30) == 2
    child.stop()
    told = child.obituary()
    assert "the worker ended: 2" in told
    assert "Missing argument" in told
    assert str(tmp_path) in told


def test_an_obituary_ends_with_the_error_not_with_what_was_said_before(tmp_path: Path) -> None:
    missing = str(tmp_path / "no.properties")
    log = tmp_path / "worker.log"
    child = Child("worker", ["worker", "start", missing, missing], log)
    assert child.wait(30) == 1
    child.stop()
    said = log.read_text()
    log.write_text(f"banner\n  of several\n  lines\n{said}")
    expected = f"the worker ended: 1 (log: {log})\n    tape: {missing}: No such file or directory"
    assert child.obituary() == expected


def test_a_finite_child_that_ends_well_is_finished(tmp_path: Path) -> None:
    def start() -> Child:
        child = Child("helper", ["--version"], tmp_path / "log")
        child.wait(30)
        return child

    kept = Kept(start, lambda _: None, finite=True)
    kept.check()
    assert kept.finished()
    assert kept.last_line() == "", "the version went to stdout"
    assert kept.restarts == 0
    kept.stop()


def test_a_child_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    said: list[str] = []
    started: list[Child] = []

    def start() -> Child:
        started.append(Child("broker", ["broker", "nonsense"], tmp_path / "log"))
        started[-1].wait(30)
        return started[-1]

    kept = Kept(start, said.append)
    with pytest.raises(ChildError, match="the broker ended: 2"):
        kept.check()
    assert "No such command 'nonsense'" in kept.last_line()
    assert len(started) == 4
    assert len(said) == 3
    assert all("starting it again" in line for line in said)


def test_a_killed_child_is_replaced_and_the_replacement_ends_with_the_keeper(
    tmp_path: Path,
) -> None:
    broker = ["broker", "start", "--data-dir", str(tmp_path / "b"), "--port", "0"]
    keeper = Keeper()
    pids: list[int] = []

    def start() -> Child:
        child = Child("broker", broker, tmp_path / "log")
        pids.append(child.pid)
        return child

    try:
        keeper.keep(Kept(start, lambda _: None))
        os.kill(pids[0], signal.SIGKILL)
        eventually(lambda: len(pids) == 2, "a second broker")
        keeper.raise_failure()
    finally:
        keeper.close()
    assert not Path(f"/proc/{pids[1]}").exists()
