"""The console script ``tape``: a Ctrl-C while it still imports ends it quietly, with 130."""

from typing import NoReturn

from tickertape.cli.interrupts import quiet_interrupt


def main() -> NoReturn:
    """Run ``tape`` with the process's arguments and exit."""
    with quiet_interrupt():
        from tickertape.cli import main as command  # noqa: PLC0415  # what may be interrupted
    command.main()
