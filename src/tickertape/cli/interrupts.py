"""Ctrl-C and SIGTERM for commands that end well: the first asks, the second does not."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event


@contextmanager
def asked_to_stop(event: Event | None = None) -> Iterator[Event]:
    """The first Ctrl-C or SIGTERM sets the event, a second one has its default effect."""
    stop = event or Event()

    def ask(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, action in before.items():
            signal.signal(number, action)
