"""Child processes of a job: ``tape`` commands that end with it, log to a file, and are watched.

They run in sessions of their own, so that Ctrl-C reaches the job alone, which then ends them in
order. What they write to stderr is appended to a log; its last lines explain a death. A keeper
starts those again that die, in its own thread, so that a job that waits for one is not stuck.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

from tickertape.base.errors import TapeError

_TAIL_LINES: Final = 5
_TAIL_BYTES: Final = 4096
_LOOK_S: Final = 0.1
_RESTARTS_MAX: Final = 3


class ChildError(TapeError):
    """A child process of the job ended and could not be kept running."""


class Child:
    """One ``tape`` process. ``name`` is for messages; stdout is the caller's to read."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._began = log.stat().st_size if log.exists() else 0
        command = [sys.executable, "-m", "tickertape.cli.attended", str(os.getpid()), *arguments]
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes]:
        """What it prints; reading it blocks."""
        assert self._process.stdout is not None
        return self._process.stdout

    def ended(self) -> int | None:
        """Its exit code, negative for the signal that killed it; None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """As ``ended``, after waiting up to ``seconds``."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, patience_s: float = 30.0) -> None:
        """SIGTERM, and SIGKILL if that takes too long. Safe to repeat."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            if self.wait(patience_s) is None:
                self._process.kill()
                self._process.wait()
        self.stdout.close()

    def last_lines(self) -> list[str]:
        """The end of what it wrote to stderr so far."""
        with self._log.open("rb") as log:
            log.seek(max(self._began, self._log.stat().st_size - _TAIL_BYTES))
            return log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]

    def obituary(self) -> str:
        """How it ended, and its last lines."""
        code = self.ended()
        how = (
            f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended: {code}"
        )
        told = "".join(f"\n    {line}" for line in _verdict(self.last_lines()))
        return f"the {self.name} {how} (log: {self._log}){told}"


def _verdict(lines: list[str]) -> list[str]:
    """From the line on with which ``tape`` says why it ends; all lines if it did not say."""
    said = [number for number, line in enumerate(lines) if line.startswith("tape: ")]
    return lines[said[-1] :] if said else lines


class Kept:
    """A child that is started again when it dies, three times. ``finite``: it may end well."""

    def __init__(
        self, start: Callable[[], Child], say: Callable[[str], None], *, finite: bool = False
    ) -> None:
        self._start = start
        self._say = say
        self._finite = finite
        self._stopped = False
        self._lock = threading.Lock()  # guards the fields here: the keeper's thread and the job's
        self._child = start()
        self.restarts = 0

    def check(self) -> None:
        """Restart it if it died. ChildError when it has died too often."""
        with self._lock:
            while not self._stopped and not self._well():
                obituary = self._child.obituary()
                self._child.stop()
                if self.restarts == _RESTARTS_MAX:
                    raise ChildError(obituary)
                self.restarts += 1
                self._say(f"{obituary}\nstarting it again")
                self._child = self._start()

    def _well(self) -> bool:
        code = self._child.ended()
        return code is None or (self._finite and code == 0)

    def last_line(self) -> str:
        """What the child last wrote to stderr; "" if nothing."""
        with self._lock:
            return "".join(self._child.last_lines()[-1:])

    def finished(self) -> bool:
        """Whether a finite one has ended well."""
        with self._lock:
            return self._child.ended() == 0

    def stop(self) -> None:
        """End it for good. Safe to repeat."""
        with self._lock:
            self._stopped = True  # from here on nobody replaces the child
        self._child.stop()


class Keeper:
    """Looks after children until closed.

    Its thread outlives them: the kernel ends a child with the *thread* that started it.
    """

    def __init__(self) -> None:
        self.ending = threading.Event()
        self._kept: list[Kept] = []
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._look, name="keeper", daemon=True)

    def keep(self, kept: Kept) -> Kept:
        """Look after one more."""
        kept.check()
        self._kept.append(kept)
        if not self._thread.is_alive():
            self._thread.start()
        return kept

    def raise_failure(self) -> None:
        """In the job's thread: what ended the keeping, if anything did."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop all children, the last one first, then the thread. Safe to repeat."""
        self.ending.set()
        for kept in reversed(self._kept):
            kept.stop()
        if self._thread.is_alive():
            self._thread.join()

    def _look(self) -> None:
        try:
            while not self.ending.wait(_LOOK_S):
                for kept in list(self._kept):
                    kept.check()
        except (TapeError, OSError, ValueError) as error:
            self._failure = error
        self.ending.wait()
