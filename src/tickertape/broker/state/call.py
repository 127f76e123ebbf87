"""One request in flight, as the core sees it. The shell implements it; tests collect with a fake.

Exactly one of ``answer``, ``no_answer`` and ``close`` is called, once, in the handler or later from
``tick`` or ``synced``. Calls after the connection is gone are allowed and do nothing.
"""

from collections.abc import Callable
from typing import Protocol

from tickertape.broker.state.session import Session
from tickertape.wire.parts import Part


class Call(Protocol):
    """See the module."""

    peer: str
    client_id: str | None
    connection_id: int
    session: Session
    throttle_ms: int
    """Of a quota, 0 at first: told in the answer, after which nothing is read for so long."""

    on_gone: Callable[[], None] | None
    """What waits for an answer sets it, to be told when nobody is there any more to read one."""

    def answer(self, parts: list[Part]) -> None:
        """Send the whole response, its header included, without the size prefix."""
        ...

    def no_answer(self) -> None:
        """The protocol wants silence here (produce with acks=0)."""
        ...

    def count(self, error: int) -> None:
        """Note for the statistics that the answer to come holds this error code."""
        ...

    def close(self, reason: str) -> None:
        """Drop the connection."""
        ...

    def hang_up(self, reason: str) -> None:
        """Drop the connection once everything that has been answered is sent."""
        ...

    def alive(self) -> bool:
        """True while somebody is there to read the answer."""
        ...
