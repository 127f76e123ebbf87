"""SaslHandshake (key 17), versions 0 to 1.

Behaviour. The client names its SASL mechanism. One that the listener has not enabled gets
UNSUPPORTED_SASL_MECHANISM and the names of those that it has, and the connection is closed. A
listener without SASL, or a client that has authenticated and need not again, gets
ILLEGAL_SASL_STATE.

Versions. After version 0 the tokens follow as bare frames, after 1 as SaslAuthenticate (KIP-152).

Deviations. None known.
"""

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse


def sasl_handshake(broker: Broker, request: Request, call: Call) -> None:
    """Agree on a mechanism."""
    ask, _ = SaslHandshakeRequest.decode(request.frame, request.at, request.version)
    gate = call.session.gate
    if gate is None:
        answer(call, request.header, SaslHandshakeResponse(error_code=ErrorCode.ILLEGAL_SASL_STATE))
        return
    error = gate.handshake(ask.mechanism, raw=request.version == 0)
    mechanisms = list(gate.settings.mechanisms)
    answer(call, request.header, SaslHandshakeResponse(error_code=error, mechanisms=mechanisms))
    if gate.is_failed:
        call.hang_up(f"SASL handshake for a mechanism that is not enabled: {error.name}")
