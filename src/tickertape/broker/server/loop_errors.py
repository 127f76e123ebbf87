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

LOG = logging.getLogger("tickertape.broker")
_PAUSE_MS: Final = 10_000
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def loop_errors(clock: Clock) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """An exception handler for the loop; what is no lack of resources is reported as ever."""
    next_ms = clock.monotonic_ms()
    unsaid = 0

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal next_ms, unsaid
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _EXHAUSTED:
            loop.default_exception_handler(context)
            return
        now_ms = clock.monotonic_ms()
        if now_ms < next_ms:
            unsaid += 1
            return
        more = f" ({unsaid} times more since the last line)" if unsaid else ""
        LOG.warning("cannot accept connections, trying again: %s%s", error.strerror, more)
        next_ms, unsaid = now_ms + _PAUSE_MS, 0

    return handle
