"""SaslAuthenticate (key 36), versions 0 to 2.

Behaviour. Carries the tokens of PLAIN (RFC 4616) and SCRAM (RFC 5802). What fails is answered with
SASL_AUTHENTICATION_FAILED in Kafka's words, connection.failed.authentication.delay.ms later, and
the connection is closed. With connections.max.reauth.ms the answer says how long the proof holds
(KIP-368). After a handshake of version 0 the same tokens come and go without any header.

Versions. 1 session lifetime, 2 flexible.

Deviations. An unknown user of SCRAM fails with the second token, where a bad password does, not
with the first: the answers do not tell which users exist.
"""

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.state.authentication import Gate, Step
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.sasl_authenticate import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
)


def sasl_authenticate(broker: Broker, request: Request, call: Call) -> None:
    """Take the client's next token."""
    ask, _ = SaslAuthenticateRequest.decode(request.frame, request.at, request.version)
    header, gate = request.header, call.session.gate
    step = Step(
        ErrorCode.ILLEGAL_SASL_STATE,
        "SaslAuthenticate request received after successful authentication",
    )
    if gate is not None:
        step = _step(call, gate, ask.auth_bytes)
    response = SaslAuthenticateResponse(
        error_code=step.error,
        error_message=step.message,
        auth_bytes=step.token,
        session_lifetime_ms=step.lifetime_ms,
    )
    if gate is None or not gate.is_failed:
        answer(call, header, response)
        return

    def refuse() -> None:
        answer(call, header, response)
        call.hang_up(_why(gate, call))

    broker.alarms.after(gate.settings.failure_delay_ms, refuse)


def bare_token(broker: Broker, gate: Gate, frame: memoryview, call: Call) -> None:
    """A token as old clients send it: the frame is the token."""
    step = _step(call, gate, bytes(frame))
    if step.error is ErrorCode.NONE:
        call.answer([step.token])
        return
    delay_ms = gate.settings.failure_delay_ms
    broker.alarms.after(delay_ms, lambda: call.close(_why(gate, call)))


def _why(gate: Gate, call: Call) -> str:
    """For the log. Without the user: as in Kafka's, since people type passwords into that field."""
    mechanism = gate.mechanism or "no mechanism"
    return f"authentication failed: {mechanism} on listener {call.session.listener}"


def _step(call: Call, gate: Gate, token: bytes) -> Step:
    step = gate.authenticate(token)
    if step.error is ErrorCode.NONE and gate.is_open:
        call.session.principal = gate.principal
    return step
