"""From a frame to its handler. The one door into the core for everything that clients send."""

from typing import Final

from tickertape.base.errors import PeerError
from tickertape.broker.api.outcome import Handler, Request
from tickertape.broker.api.p18_api_versions import refuse_version
from tickertape.broker.api.p36_sasl_authenticate import bare_token
from tickertape.broker.api.table import HANDLERS, load_handler
from tickertape.broker.state.authentication import Gate
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.frame import read_request_header

_API_VERSIONS: Final = int(ApiKey.API_VERSIONS)
_loaded: Final[dict[int, Handler]] = {}  # by API key, from the first request on


def handle(broker: Broker, frame: memoryview, call: Call) -> None:
    """Serve one request; ``frame`` is without its size and is not looked at after the call.

    The answer goes to ``call``, now or later. PeerError: these bytes are no request that we serve,
    the connection is to be closed and ``call`` has not been used.
    """
    gate = call.session.gate
    if gate is not None and (gate.is_failed or gate.is_raw):
        _before_requests(broker, gate, frame, call)
        return
    header, at = read_request_header(frame)
    route = HANDLERS.get(header.api_key)
    if route is None:
        raise PeerError(f"API key {header.api_key} is not served")
    if not route.first <= header.api_version <= route.last:
        if header.api_key == _API_VERSIONS:
            refuse_version(header, call)
            return
        raise PeerError(
            f"{ApiKey(header.api_key).name} version {header.api_version}; "
            f"want {route.first} to {route.last}"
        )
    if gate is not None and (why := gate.refusal(header.api_key)) is not None:
        raise PeerError(why)
    handler = _loaded.get(header.api_key)
    if handler is None:
        handler = _loaded[header.api_key] = load_handler(header.api_key)
    handler(broker, Request(header, frame, at), call)


def _before_requests(broker: Broker, gate: Gate, frame: memoryview, call: Call) -> None:
    if gate.is_failed:
        call.no_answer()  # whatever it still sends: it is about to be cut off
    else:
        bare_token(broker, gate, frame, call)
