"""``/metrics``, ``/health`` and ``/ready`` by HTTP, for Prometheus and for supervisors.

Requests are served in threads of their own; what they show is read on the core's event loop, so
that no number is torn, and a core that hangs is not called alive. Reading takes the core well under
a millisecond for a hundred partitions; the text is made outside.

``/health``: 200 while the core answers, also while it recovers its logs. ``/ready``: 200 only while
it serves and no log has failed or is refused by the disk; else 503 with the reasons.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from time import perf_counter
from typing import Any, Final, cast

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from tickertape.base.errors import MisuseError
from tickertape.broker.server.exposition import Readings, families

LOG = logging.getLogger("tickertape.broker")
_ANSWER_S_MAX: Final = 5.0  # of the core
_CLIENT_S_MAX: Final = 10.0
_REQUESTS_MAX: Final = 16  # at a time
_POLL_S: Final = 0.1  # how long a stop may wait for the thread to notice
_JSON: Final = "application/json; charset=utf-8"


class Operations:
    """See the module. Made before the logs are opened, told when the broker serves."""

    def __init__(
        self, host: str, port: int, loop: asyncio.AbstractEventLoop, *,
        patience_s: float = _ANSWER_S_MAX, client_s: float = _CLIENT_S_MAX,
    ) -> None:  # fmt: skip
        """Listen; MisuseError if the port is taken. Patience with the core, and with a client."""
        self._loop = loop
        self.patience_s: Final = patience_s
        self._read: Callable[[], Readings] | None = None
        try:
            self._server = _Server((host, port), self, client_s)
        except OSError as error:
            raise MisuseError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        serve = partial(self._server.serve_forever, poll_interval=_POLL_S)
        self._thread = threading.Thread(target=serve, name="tape-operations", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Of the metrics."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/metrics"

    def serves(self, read: Callable[[], Readings]) -> None:
        """The broker serves; ``read``, called on the loop, tells how it is."""
        self._read = read

    def stops(self) -> None:
        """The broker is about to stop: it is not ready any more."""
        self._read = None

    def close(self) -> None:
        """Listen no more."""
        self._read = None
        self._server.shutdown()
        self._server.server_close()

    # -- in the threads ----------------------------------------------------------------------

    def readings(self) -> Readings | None:
        """None before the broker serves. TimeoutError if the core does not answer."""
        read = self._read
        if read is None:
            return None

        async def on_loop() -> Readings:
            return read()

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(self.patience_s)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], operations: Operations, client_s: float) -> None:
        self.operations = operations
        self._client_s = client_s
        self._slots = threading.BoundedSemaphore(_REQUESTS_MAX)  # guards against endless threads
        self._since: dict[socket, float] = {}  # when each request began
        super().__init__(address, _Handler)

    def service_actions(self) -> None:
        """Every now and then: who sends or reads a byte at a time is cut off, too."""
        too_old = perf_counter() - self._client_s
        for request, began in list(self._since.items()):
            if began < too_old:
                with suppress(OSError):  # it has just ended by itself
                    request.shutdown(SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # stdlib
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # stdlib
        self._since[request] = perf_counter()
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._since[request]
            self._slots.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:  # noqa: ANN401  # stdlib
        """A client that goes away is none of the operator's business."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _CLIENT_S_MAX  # type: ignore[mutable-override]  # nobody sets it to None
    server_version = "tickertape"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        operations = cast(_Server, self.server).operations
        try:
            readings = operations.readings()
        except (TimeoutError, RuntimeError):
            reasons = [f"the core has not answered for {operations.patience_s:g} s"]
            self._tell(HTTPStatus.SERVICE_UNAVAILABLE, "stuck", reasons)
            return
        if path == "/metrics":
            self._show(readings)
        elif path == "/health":
            self._tell(HTTPStatus.OK, "live" if readings else "starting", [])
        elif path == "/ready":
            self._judge(readings)
        else:
            self._tell(HTTPStatus.NOT_FOUND, "want /metrics, /health or /ready", [])

    do_HEAD = do_GET  # noqa: N815  # the standard library's name

    def _show(self, readings: Readings | None) -> None:
        encode, kind = choose_encoder(self.headers.get("Accept", ""))
        self._send(HTTPStatus.OK, kind, encode(_Scrape(families(readings))))

    def _judge(self, readings: Readings | None) -> None:
        if readings is None:
            status = "starting or stopping"
            self._tell(HTTPStatus.SERVICE_UNAVAILABLE, status, ["the broker does not serve"])
        elif readings.census.troubles:
            self._tell(HTTPStatus.SERVICE_UNAVAILABLE, "degraded", readings.census.troubles)
        else:
            self._tell(HTTPStatus.OK, "ready", [])

    def _tell(self, code: HTTPStatus, status: str, reasons: list[str]) -> None:
        body = json.dumps({"status": status, "reasons": reasons}).encode() + b"\n"
        self._send(code, _JSON, body)

    def _send(self, code: HTTPStatus, kind: str, body: bytes) -> None:
        with suppress(ConnectionError, TimeoutError):
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # stdlib
        """Say nothing: a scrape every few seconds is no news."""


class _Scrape:
    """What an encoder wants: something with ``collect``."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found
