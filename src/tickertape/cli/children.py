"""Child processes of a job: ``tape`` commands that end with it, log to a file, and are watched.

They run in sessions of their own, so that Ctrl-C reaches the job alone, which then ends them in
order. What they write to stderr is appended to a log; its last lines explain a death.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from tickertape.base.errors import TapeError

_TAIL_LINES: Final = 5
_TAIL_BYTES: Final = 4096


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

    def obituary(self) -> str:
        """How it ended, and its last lines."""
        code = self.ended()
        how = (
            f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended: {code}"
        )
        with self._log.open("rb") as log:
            log.seek(max(self._began, self._log.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        told = "".join(f"\n    {line}" for line in lines)
        return f"the {self.name} {how} (log: {self._log}){told}"
