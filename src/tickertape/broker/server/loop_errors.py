"""What the event loop cannot tell anybody: a lack of descriptors is a line now and then.

At its limit the loop reports each connection that it cannot accept, up to the backlog at a time,
and tries again a second later: as tracebacks that would fill the log of a broker which is well.
"""

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import Any, Final

from tickertape.base.ports import Clock
from tickertape.base.repeats import Repeats

LOG = logging.getLogger("tickertape.broker")
_PAUSE_MS: Final = 10_000
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def loop_errors(clock: Clock) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """An exception handler for the loop; what is no lack of resources is reported as ever."""
    repeats = Repeats(clock, _PAUSE_MS)

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _EXHAUSTED:
            loop.default_exception_handler(context)
            return
        line = f"cannot accept connections, trying again: {error.strerror}"
        if passed := repeats.passes(line, line):
            LOG.warning("%s", passed)

    return handle
