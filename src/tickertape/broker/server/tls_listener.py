"""Accepts the clients of a TLS listener, and counts them from their first packet on.

The event loop's own server shows a connection only after its handshake. Until then nobody would
count it, and whoever connects and says nothing would get past max.connections. So here: accept,
count or close, then shake hands, for so long and no longer.
"""

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from socket import socket
from typing import Final, Protocol

from tickertape.broker.server.connection import Connection, Welcome
from tickertape.broker.server.listeners import Door
from tickertape.broker.state.session import Session

_HANDSHAKE_S: Final = 10.0  # who has not finished by then is cut off
_PAUSE_S: Final = 1.0  # when no descriptor is left


class Hall(Protocol):
    """What this needs from the core loop."""

    def arrives(self, host: str) -> bool:
        """Count in somebody who shakes hands; False if there are too many."""
        ...

    def arrived(self, host: str) -> None:
        """Count out: shaken, or given up."""
        ...

    def connect(self, door: Welcome) -> Connection:
        """A protocol for a connection."""
        ...


class TlsListener:
    """See the module. Listens on ``sock`` from the start until ``close``."""

    def __init__(self, hall: Hall, door: Door, sock: socket, backlog: int) -> None:
        self._hall = hall
        self._door = door
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        sock.setblocking(False)  # noqa: FBT003  # the standard library's signature
        sock.listen(backlog)
        self._keep(self._loop.create_task(self._accept()))

    def close(self) -> None:
        """Accept nobody more; who still shakes hands is cut off."""
        for task in self._tasks:
            task.cancel()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        while True:
            try:
                sock, address = await self._loop.sock_accept(self._sock)
            except OSError as error:
                told = {"message": "a connection cannot be accepted", "exception": error}
                self._loop.call_exception_handler(told)
                await asyncio.sleep(_PAUSE_S)
                continue
            host = str(address[0])
            if self._hall.arrives(host):
                over = partial(self._hall.arrived, host)
                self._keep(self._loop.create_task(self._shake(sock, _Arrival(self._door, over))))
            else:
                sock.close()
            await asyncio.sleep(0)  # the others' turn

    async def _shake(self, sock: socket, arrival: "_Arrival") -> None:
        try:
            await self._loop.connect_accepted_socket(
                partial(self._hall.connect, arrival),
                sock,
                ssl=self._door.tls,
                ssl_handshake_timeout=_HANDSHAKE_S,
            )
        except OSError:  # no TLS, a certificate that is not trusted, silence: the client's affair
            sock.close()
        finally:
            arrival.ends()


class _Arrival:
    """One client on its way in. The door asks for its name when the handshake is done."""

    def __init__(self, door: Door, over: Callable[[], None]) -> None:
        self._door = door
        self._over: Callable[[], None] | None = over

    def session(self, host: str, tls: ssl.SSLObject | None) -> Session:
        """From here on the connection itself is counted."""
        self.ends()
        return self._door.session(host, tls)

    def ends(self) -> None:
        """Count it out, once."""
        over, self._over = self._over, None
        if over is not None:
            over()
