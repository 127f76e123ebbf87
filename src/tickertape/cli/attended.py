"""``python -m tickertape.cli.attended PARENT ARGUMENT...``: tape, which ends when its parent does.

A job that is killed must not leave its broker and worker behind: the kernel is asked to send
SIGTERM when the parent dies. Where it cannot (only Linux can), the next run stops the leftovers.
"""

import contextlib
import ctypes
import os
import signal
import sys
from typing import NoReturn

from tickertape.cli.main import main

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def attended(parent: int, arguments: list[str]) -> NoReturn:
    """Run ``tape`` with ``arguments`` for as long as process ``parent`` lives."""
    with contextlib.suppress(OSError, AttributeError):  # no prctl here
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    main(arguments)


if __name__ == "__main__":
    attended(int(sys.argv[1]), sys.argv[2:])
