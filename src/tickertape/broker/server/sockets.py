"""Listening sockets: binding them, and how they are reached from here and from elsewhere."""

import logging
import socket

from tickertape.base.errors import MisuseError
from tickertape.broker.server.listeners import ListenerSettings

LOG = logging.getLogger("tickertape.broker")


def shown_address(listener: ListenerSettings, sock: socket.socket) -> tuple[str, int]:
    """The address that clients of this listener are told."""
    host, port = sock.getsockname()[:2]
    if listener.advertised is None:
        return _reachable(host), port
    return listener.advertised[0], listener.advertised[1] or port


def local_address(sock: socket.socket) -> str:
    """What a client on this machine puts into bootstrap.servers."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared only
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(host: str, port: int) -> socket.socket:
    """A bound socket. MisuseError if the address cannot be had."""
    try:
        family, *_, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise MisuseError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise MisuseError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return sock


def _reachable(host: str) -> str:
    """What clients shall connect to when the broker listens on ``host``."""
    if host not in {"0.0.0.0", "::"}:  # noqa: S104  # compared, not bound
        return host
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        LOG.warning("host name %s does not resolve: advertising 127.0.0.1", name)
        return "127.0.0.1"
    return name
