"""Ctrl-C and SIGTERM for commands that end well: the first asks, the second does not."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Final

INTERRUPTED: Final = 128 + signal.SIGINT
"""The exit code."""


class StopEvent(Event):
    """An event that, set by a signal while ``reading``, breaks off the wait for input.

    Anywhere else the main thread may be inside a C library, which an exception would upset.
    """

    reading = False

    def set(self) -> None:
        """Set it; KeyboardInterrupt while ``reading``."""
        super().set()
        if self.reading:
            raise KeyboardInterrupt


@contextmanager
def asked_to_stop(event: Event | None = None) -> Iterator[Event]:
    """The first Ctrl-C or SIGTERM sets the event, a second one has its default effect."""
    stop = event or Event()

    def ask(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, action in before.items():
            signal.signal(number, action)


@contextmanager
def quiet_interrupt() -> Iterator[None]:
    """Ctrl-C ends the process at once and says nothing: for imports, which leave nothing behind."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, or somebody's own
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
