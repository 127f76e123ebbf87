"""What handlers share: the request they get, and how a response goes out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import RequestHeader, response_prefix
from tickertape.wire.message import Fields, Message

NO_AUTHORIZER: Final = "No Authorizer is configured."
"""What Kafka says beside SECURITY_DISABLED."""


@dataclass(slots=True)
class Request:
    """A request header and where the body starts. ``frame`` is valid during the call only."""

    header: RequestHeader
    frame: memoryview
    at: int

    @property
    def version(self) -> int:
        """The API version that the client chose."""
        return self.header.api_version


Handler: TypeAlias = Callable[[Broker, Request, Call], None]


def own_address(broker: Broker, call: Call) -> tuple[str, int]:
    """Host and port of this broker, as this client shall know them: those of its listener."""
    settings = broker.settings
    return call.session.advertised or (settings.advertised_host, settings.advertised_port)


def fenced_before(first: int, error: ErrorCode, version: int) -> ErrorCode:
    """PRODUCER_FENCED as a client of ``version`` knows it: versions before ``first`` do not."""
    if error is ErrorCode.PRODUCER_FENCED and version < first:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    return error


def errors_of(message: Fields) -> Iterator[int]:
    """Every error code in a response that is not NONE."""
    for name in message.__slots__:
        value = getattr(message, name)
        if name == "error_code":
            if value:
                yield value
        elif type(value) is list:
            for item in value:
                if isinstance(item, Fields):
                    yield from errors_of(item)


def answer(call: Call, header: RequestHeader, response: Message) -> None:
    """Encode in the client's version and send."""
    version = header.api_version
    prefix = response_prefix(header.api_key, version, header.correlation_id)
    for error in errors_of(response):
        call.count(error)
    call.answer([prefix + response.encode(version)])
